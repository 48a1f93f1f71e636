"""Load the current state of the office for the overview and the wallboard."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.lifecycle import Status
from app.domain.policy import Facts, LineState, Member, Queue, ReasonCode
from app.services.missed.list import Figures, is_in_use, load_figures
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
    """How many of the requests that ended in a period were served. Ended means done, failed or expired.

    `share` is between 0 and 1, or None if none ended.
    """

    served: int
    ended: int

    @property
    def share(self) -> float | None:
        return self.served / self.ended if self.ended else None


@dataclass(frozen=True)
class ExtensionNow:
    """An extension now. `waiting` requests want it alone. `serves` is true while an attempt rings it or it talks."""

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
    """The state of the office. `longest_wait` is the longest time a request waits. `obstacle` blocks all calls.

    `missed` counts the missed calls of today, None if the office lists none.
    """

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
    missed: Figures | None


def load_overview(database: Database, scope: Scope, zone: ZoneInfo, now: datetime) -> Overview:
    """Return the visible state. "Today" and the last seven days are in the office's time zone."""
    with database.read() as session:
        visibility = visibility_of(session, scope)
        rows = [row for row, _ in store.active(session) if visibility.covers(row)]
        facts = pbx_state.stored_facts(session, now)
        counts = Counter(Status(row.status) for row in rows)
        first_calls = [row.first_called_at for row in rows if row.status == Status.WAITING.value]
        today = periods.today(now, zone)
        rate = _rate(session, visibility, today)
        return Overview(
            waiting=counts[Status.WAITING],
            dialling=counts[Status.DIALLING],
            talking=counts[Status.CONNECTED],
            uncertain=counts[Status.UNCERTAIN],
            registered_today=_registered(session, visibility, today),
            served_today=rate.served,
            longest_wait=now - min(first_calls) if first_calls else None,
            today=rate,
            week=_rate(session, visibility, periods.last_days(now, zone, WEEK)),
            extensions=_extensions(session, visibility, facts, rows),
            queues=_queues(session, visibility, facts, rows),
            service_runs=facts.worker_runs(now),
            connected=facts.connected,
            obstacle=facts.obstacle,
            pause=pausing.load_pause(session),
            missed=load_figures(session, visibility, today) if is_in_use(session) else None,
        )


def _registered(session: Session, visibility: Visibility, period: Period) -> int:
    moment = CallRequest.registered_at
    query = select(func.count(CallRequest.id)).where(
        moment >= period.start, moment < period.end, visibility.condition(use_index=False)
    )
    return session.scalar(query) or 0


def _rate(session: Session, visibility: Visibility, period: Period) -> Rate:
    """Count the requests that ended in a period. Cancelled requests count neither as served nor as missed."""
    query = (
        select(CallRequest.status, func.count())
        .where(
            CallRequest.done_at >= period.start, CallRequest.done_at < period.end, visibility.condition(use_index=False)
        )
        .group_by(CallRequest.status)
    )
    ended = {Status(status): count for status, count in session.execute(query)}
    served = ended.get(Status.DONE, 0)
    return Rate(served, served + ended.get(Status.FAILED, 0) + ended.get(Status.EXPIRED, 0))


def _extensions(
    session: Session, visibility: Visibility, facts: Facts, rows: Sequence[CallRequest]
) -> list[ExtensionNow]:
    """Return the extensions that are targets of a module or queue members, or the user's own extensions."""
    waiting = Counter(row.target for row in rows if not row.queue and row.status == Status.WAITING.value)
    names = dict(session.execute(select(ExtensionRow.extension, ExtensionRow.name)).all())
    shown = (
        set(visibility.extensions)
        if not visibility.everything
        else module_targets(session, "extension") | _members(facts)
    )
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


def _queues(session: Session, visibility: Visibility, facts: Facts, rows: Sequence[CallRequest]) -> list[QueueNow]:
    """Return all queues of the PBX and of modules, or the queues that the user serves."""
    waiting = Counter(row.target for row in rows if row.queue and row.status == Status.WAITING.value)
    names = dict(session.execute(select(ExtensionRow.extension, ExtensionRow.name)).all())
    queues = visibility.queues if not visibility.everything else {*facts.queues, *module_targets(session, "queue")}
    shown = []
    for name in sorted(queues):
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
