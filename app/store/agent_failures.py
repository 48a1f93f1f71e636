"""The attempts of an agent that failed in a row: how many there are, and one row for those in which nothing rang."""

from collections import Counter
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.domain.lifecycle import Failures, Outcome, Side
from app.store.models import Attempt, HistoryEntry

MAX_FAILURES = 20  # more make no pause longer


def failures_of(session: Session, attempt: Attempt, outcome: Outcome, since: datetime) -> Failures:
    """Return how often the agent of an attempt has failed in a row, if the attempt ends with this outcome.

    Attempts in which a phone rang and attempts in which nothing rang are counted apart. Those for its request count
    from `since`.
    """
    columns = select(Attempt.request_id, Attempt.outcome, Attempt.repeats)
    ended = columns.where(Attempt.ended_at.is_not(None), Attempt.id != attempt.id, Attempt.agent == attempt.agent)
    newest_first = ended.order_by(Attempt.started_at.desc()).limit(MAX_FAILURES)
    of_request = newest_first.where(Attempt.request_id == attempt.request_id, Attempt.started_at >= since)
    repeats = 1
    for row in session.execute(of_request):
        earlier = Outcome(row.outcome)
        if earlier.side not in (Side.AGENT, Side.NOBODY):
            break
        repeats += row.repeats if earlier.rang == outcome.rang else 0
    without_ring = Counter({attempt.request_id: 1})
    for row in session.execute(newest_first):
        if Outcome(row.outcome).rang:
            break
        without_ring[row.request_id] += row.repeats
    in_all = 1 + without_ring.total() - max(without_ring.values())
    return Failures(repeats, in_all)


def merge_repeats(session: Session, attempt: Attempt) -> None:
    """Merge the last attempts like this one, in which nothing rang either, into its row.

    An attempt stays while the PBX may still know it: it could ring late, and then its row shows that it is ours.
    """
    query = (
        select(Attempt)
        .where(Attempt.request_id == attempt.request_id, Attempt.agent == attempt.agent, Attempt.id != attempt.id)
        .order_by(Attempt.started_at.desc())
        .limit(MAX_FAILURES)
    )
    for earlier in session.scalars(query).all():
        if earlier.outcome != attempt.outcome:
            break
        if earlier.trace_cleared:
            attempt.repeats += earlier.repeats
            attempt.since = min(attempt.since or attempt.started_at, earlier.since or earlier.started_at)
            session.execute(delete(HistoryEntry).where(HistoryEntry.attempt == earlier.id))
            session.delete(earlier)
