"""Load the lists of numbers, and count what is refused."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.domain.limits import DAY, LimitReason, ListKind, NumberLists, NumberRange, Standing
from app.store.models import ListedNumber, RefusedRegistrations

KEPT = 30 * DAY


def load_lists(session: Session) -> NumberLists:
    """Return the ranges of all lists."""
    ranges: dict[str, list[NumberRange]] = {ListKind.BLOCK: [], ListKind.ALLOW: []}
    standing: list[tuple[NumberRange, Standing]] = []
    columns = (ListedNumber.kind, ListedNumber.first, ListedNumber.last, ListedNumber.agent)
    for kind, first, last, agent in session.execute(select(*columns)):
        if kind == ListKind.PRIORITY:
            standing.append((NumberRange(first, last), Standing(agent)))
        else:
            ranges[kind].append(NumberRange(first, last))
    return NumberLists(tuple(ranges[ListKind.BLOCK]), tuple(ranges[ListKind.ALLOW]), tuple(standing))


def add_refusals(session: Session, counts: Mapping[LimitReason, int], now: datetime) -> None:
    """Add to the counts of this hour, and delete old ones."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    for reason, count in counts.items():
        row = dialect.insert(RefusedRegistrations).values(hour=hour, reason=reason.value, count=count)
        added = RefusedRegistrations.count + row.excluded["count"]
        session.execute(row.on_conflict_do_update(index_elements=["hour", "reason"], set_={"count": added}))
    session.execute(delete(RefusedRegistrations).where(RefusedRegistrations.hour < now - KEPT))


def refusals_since(session: Session, since: datetime) -> dict[LimitReason, int]:
    """Return how often each reason refused a request in the hours that began at `since` or later."""
    query = (
        select(RefusedRegistrations.reason, func.sum(RefusedRegistrations.count))
        .where(RefusedRegistrations.hour >= since)
        .group_by(RefusedRegistrations.reason)
    )
    return {LimitReason(reason): int(count) for reason, count in session.execute(query)}
