"""How the office stands at this moment: for the overview and the wallboard."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.lifecycle import Status
from app.domain.policy import Facts, LineState, Member, Queue, ReasonCode
from app.services.report import periods
from app.services.report.periods import Period
from app.services.requests import pause as pausing
from app.services.requests.access import Scope, Visibility, visibility_of
from app.services.requests.pause import Pause
from app.services.requests.targets import module_targets
from app.store import pbx_state
from app.store import requests as store
from app.store.database import Database
from app.store.models import CallRequest, ExtensionRow

WEEK = 7  # days


@dataclass(frozen=True)
class Rate:
    """How many were served of the requests that ended in a time, be it by a talk, as failed or as expired.

    `share` is between 0 and 1, None where none ended.
    """

    served: int
    ended: int

    @property
    def share(self) -> float | None:
        return self.served / self.ended if self.ended else None


@dataclass(frozen=True)
class ExtensionNow:
    """`waiting`: how many requests wait for it alone; `serves`: it is being rung, or talks, for a request."""

    extension: str
    name: str
    state: LineState
    since: datetime
    waiting: int
    serves: bool
    paused_until: datetime | None


@dataclass(frozen=True)
class MemberNow:
    extension: str
    name: str
    state: LineState
    paused: bool
    wrapup_until: datetime | None


@dataclass(frozen=True)
class QueueNow:
    name: str
    live_callers: int
    waiting: int
    members: Sequence[MemberNow]

    @property
    def free(self) -> int:
        return sum(member.state is LineState.FREE and not member.paused for member in self.members)


@dataclass(frozen=True)
class Overview:
    """`longest_wait` is that of whoever called first of those who wait; `obstacle` what keeps all calls back."""

    waiting: int
    dialling: int
    talking: int
    uncertain: int
    registered_today: int
    served_today: int
    longest_wait: timedelta | None
    today: Rate
    week: Rate
    extensions: Sequence[ExtensionNow]
    queues: Sequence[QueueNow]
    service_runs: bool
    connected: bool
    obstacle: ReasonCode | None
    pause: Pause | None


def load_overview(database: Database, scope: Scope, zone: ZoneInfo, now: datetime) -> Overview:
    """Return how everything stands that may be seen. "Today" and the last seven days are those of the office."""
    with database.read() as session:
        seen = visibility_of(session, scope)
        rows = [row for row, _ in store.active(session) if seen.covers(row)]
        facts = pbx_state.stored_facts(session, now)
        counts = Counter(Status(row.status) for row in rows)
        first_calls = [row.first_called_at for row in rows if row.status == Status.WAITING.value]
        today = periods.today(now, zone)
        rate = _rate(session, seen, today)
        return Overview(
            waiting=counts[Status.WAITING],
            dialling=counts[Status.DIALLING],
            talking=counts[Status.CONNECTED],
            uncertain=counts[Status.UNCERTAIN],
            registered_today=_registered(session, seen, today),
            served_today=rate.served,
            longest_wait=now - min(first_calls) if first_calls else None,
            today=rate,
            week=_rate(session, seen, periods.last_days(now, zone, WEEK)),
            extensions=_extensions(session, seen, facts, rows),
            queues=_queues(session, seen, facts, rows),
            service_runs=facts.worker_runs(now),
            connected=facts.connected,
            obstacle=facts.obstacle,
            pause=pausing.load_pause(session),
        )


def _registered(session: Session, seen: Visibility, period: Period) -> int:
    moment = CallRequest.registered_at
    query = select(func.count(CallRequest.id)).where(
        moment >= period.start, moment < period.end, seen.condition(use_index=False)
    )
    return session.scalar(query) or 0


def _rate(session: Session, seen: Visibility, period: Period) -> Rate:
    """Count what ended in a period. What somebody cancelled was neither served nor missed."""
    query = (
        select(CallRequest.status, func.count())
        .where(CallRequest.done_at >= period.start, CallRequest.done_at < period.end, seen.condition(use_index=False))
        .group_by(CallRequest.status)
    )
    ended = {Status(status): count for status, count in session.execute(query)}
    served = ended.get(Status.DONE, 0)
    return Rate(served, served + ended.get(Status.FAILED, 0) + ended.get(Status.EXPIRED, 0))


def _extensions(session: Session, seen: Visibility, facts: Facts, rows: Sequence[CallRequest]) -> list[ExtensionNow]:
    """Return the extensions that are wanted by a module, serve in a queue, or are the user's own."""
    waiting = Counter(row.target for row in rows if not row.queue and row.status == Status.WAITING.value)
    names = dict(session.execute(select(ExtensionRow.extension, ExtensionRow.name)).all())
    shown = set(seen.extensions) if not seen.everything else module_targets(session, "extension") | _members(facts)
    return [
        ExtensionNow(
            extension=line.extension,
            name=names.get(line.extension, ""),
            state=line.state,
            since=line.since,
            waiting=waiting[line.extension],
            serves=line.extension in facts.agents_in_flight,
            paused_until=facts.agent_pauses.get(line.extension),
        )
        for line in sorted(facts.lines.values(), key=lambda line: (len(line.extension), line.extension))
        if line.extension in shown
    ]


def _queues(session: Session, seen: Visibility, facts: Facts, rows: Sequence[CallRequest]) -> list[QueueNow]:
    """Return the queues that are wanted by a module or have members, or those in which the user serves."""
    waiting = Counter(row.target for row in rows if row.queue and row.status == Status.WAITING.value)
    names = dict(session.execute(select(ExtensionRow.extension, ExtensionRow.name)).all())
    known = seen.queues if not seen.everything else {*facts.queues, *module_targets(session, "queue")}
    shown = []
    for name in sorted(known):
        queue = facts.queues.get(name, Queue())
        members = [_member(member, names, facts) for member in queue.members]
        shown.append(QueueNow(name, queue.live_callers, waiting[name], members))
    return shown


def _member(member: Member, names: Mapping[str, str], facts: Facts) -> MemberNow:
    line = facts.lines.get(member.extension)
    return MemberNow(
        extension=member.extension,
        name=names.get(member.extension, ""),
        state=line.state if line is not None else LineState.UNKNOWN,
        paused=member.paused,
        wrapup_until=member.wrapup_until,
    )


def _members(facts: Facts) -> set[str]:
    return {member.extension for queue in facts.queues.values() for member in queue.members}
