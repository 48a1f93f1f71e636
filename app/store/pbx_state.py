"""The state of the PBX and of the worker, stored as rows. Pages explain waiting requests from these rows."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.domain.hours import Opening
from app.domain.place_in_line import WaitingCallers
from app.domain.policy import Facts, Line, LineState, Member, Queue, ReasonCode
from app.store import requests, routes
from app.store.hours import load_hours
from app.store.models import ExtensionRow, NumberOnLine, QueueMemberRow, QueueRow, QueueScenario, WorkerState
from app.store.number_policy import load_policy
from app.store.once import read_once
from app.store.settings import call_limits, read_all
from app.store.uptime import boot_id, uptime

STALE_POLLS = 3  # the worker counts as stopped after this many polls without a heartbeat
SLACK = timedelta(seconds=2)
LONGEST_NAME = 80  # characters; PostgreSQL refuses a longer value, and all that is written with it
PBX_NOT_GIVEN = "not_given"  # instead of the status of the connection: nobody has entered the PBX settings
RECENT_JUMP = timedelta(days=1)  # for so long, pages say that the clock has jumped


@dataclass(frozen=True)
class ExtensionReport:
    """The state of an extension. `devices` are the devices of its hint ("PJSIP/101&PJSIP/201").

    `name` is None if it is not known yet. Then the stored name stays.
    """

    extension: str
    state: LineState
    since: datetime
    name: str | None = None
    context: str = ""
    devices: str = ""
    idle_since: datetime | None = None


@dataclass(frozen=True)
class QueueReport:
    """`wrapup` is in seconds, None if the PBX does not let us read it."""

    name: str
    callers: WaitingCallers
    members: tuple[Member, ...]
    wrapup: int | None = None


def worker_state(session: Session) -> WorkerState:
    """Return the single row of the worker's state. Return a new row if there is none."""
    return read_once(session, "worker_state", lambda: session.get(WorkerState, 1) or _no_state())


def _no_state() -> WorkerState:
    return WorkerState(
        id=1,
        ami_status="down",
        ami_detail="",
        asterisk_version="",
        dialplan_written="",
        dialplan_running="",
        dialplan_detail="",
        obstacle="",
        outbound_context="",
        region="",
        timezone="",
        poll_seconds=5.0,
        holder="",
        host="",
        boot_id="",
        jump_seconds=0,
        figures="",
        deletions=0,
    )


def writable_worker_state(session: Session) -> WorkerState:
    """Return the single row of the worker's state to change it. Store it first if there is none.

    Two writers may store it at the same time: the second one uses the row of the first.
    """
    state = worker_state(session)
    if state not in session:
        try:
            with session.begin_nested():
                session.add(state)
        except IntegrityError:
            state = session.get_one(WorkerState, 1)
    return state


def worker_runs(session: Session, now: datetime) -> bool:
    """Tell whether the worker is running, by its heartbeat."""
    return has_heartbeat(worker_state(session), now)


def has_heartbeat(state: WorkerState, now: datetime) -> bool:
    """Tell whether the worker of this state is running, by its heartbeat."""
    return Facts(heartbeat=_heartbeat(state, now), stale_after=_stale_after(state)).worker_runs(now)


def _heartbeat(state: WorkerState, now: datetime) -> datetime | None:
    """Return the heartbeat by the clock that says `now`.

    On the same machine its age is taken from the uptime, because the wall clock may have jumped since. A heartbeat of
    the future from an earlier start of the machine, or from another machine, says nothing.
    """
    if state.heartbeat is None or not state.boot_id:
        return state.heartbeat
    if state.booted_at is not None and state.boot_id == boot_id():
        return now - (state.booted_at + uptime() - state.heartbeat)
    return state.heartbeat if state.heartbeat <= now + _stale_after(state) else None


def heartbeat_age(state: WorkerState, now: datetime) -> timedelta | None:
    """Return how old the worker's last heartbeat is, None if there is none or its age cannot be told."""
    heartbeat = _heartbeat(state, now)
    return None if heartbeat is None else max(timedelta(), now - heartbeat)


def has_jumped(state: WorkerState, now: datetime) -> bool:
    """Tell whether the clock has jumped lately."""
    return state.jumped_at is not None and abs(now - state.jumped_at) < RECENT_JUMP


def _stale_after(state: WorkerState) -> timedelta:
    return STALE_POLLS * timedelta(seconds=state.poll_seconds) + SLACK


def store_extensions(session: Session, reports: Iterable[ExtensionReport], *, complete: bool) -> None:
    """Store changed extensions. With `complete`, delete all others."""
    names = set()
    for report in reports:
        names.add(report.extension)
        row = ExtensionRow(
            extension=report.extension,
            context=report.context[:LONGEST_NAME],
            devices=report.devices,
            state=report.state.value,
            since=report.since,
            idle_since=report.idle_since,
        )
        if report.name is not None:
            row.name = report.name
        session.merge(row)
    if complete:
        session.execute(delete(ExtensionRow).where(ExtensionRow.extension.not_in(names)))


def mark_unknown(session: Session, reported: Collection[str], now: datetime) -> None:
    """Make the state of all extensions unknown that are not reported."""
    others = ExtensionRow.extension.not_in(reported), ExtensionRow.state != LineState.UNKNOWN.value
    session.execute(update(ExtensionRow).where(*others).values(state=LineState.UNKNOWN.value, since=now))


def idle_since(session: Session, now: datetime) -> dict[str, datetime]:
    """Return since when each extension is idle. One that was in a call when its state was stored has been since now."""
    rows = session.execute(select(ExtensionRow.extension, ExtensionRow.state, ExtensionRow.idle_since))
    known = {row.extension: now if row.state == LineState.IN_CALL.value else row.idle_since for row in rows}
    return {extension: at for extension, at in known.items() if at is not None}


def wrapup_of(session: Session, queue: str) -> timedelta:
    """Return the wrap-up time of a queue: the longer one of what people typed and of what the PBX has."""
    found = (
        session.scalar(select(QueueScenario.wrapup).where(QueueScenario.queue == queue)),
        session.scalar(select(QueueRow.wrapup).where(QueueRow.name == queue)),
    )
    return timedelta(seconds=max(seconds or 0 for seconds in found))


def store_queues(session: Session, reports: Iterable[QueueReport], *, complete: bool) -> None:
    """Store changed queues with all their members. With `complete`, delete all other queues."""
    reports = [replace(report, name=report.name[:LONGEST_NAME]) for report in reports]
    for report in reports:
        session.merge(
            QueueRow(
                name=report.name,
                live_callers=report.callers.count,
                callers_joined=[joined.timestamp() for joined in report.callers.joined],
                callers_answered=report.callers.answered,
                wrapup=report.wrapup,
            )
        )
        stored = {
            row.extension: row
            for row in session.scalars(select(QueueMemberRow).where(QueueMemberRow.queue == report.name))
        }
        for member in report.members:
            stored.pop(member.extension, None)
            session.merge(
                QueueMemberRow(
                    queue=report.name,
                    extension=member.extension,
                    name=member.name[:LONGEST_NAME],
                    paused=member.paused,
                    penalty=member.penalty,
                    wrapup_until=member.wrapup_until,
                )
            )
        for row in stored.values():
            session.delete(row)
    if complete:
        names = [report.name for report in reports]
        session.execute(delete(QueueMemberRow).where(QueueMemberRow.queue.not_in(names)))
        session.execute(delete(QueueRow).where(QueueRow.name.not_in(names)))


def store_numbers_on_line(session: Session, numbers: Collection[str]) -> None:
    """Store the numbers that are in a call with the office. Only what has changed is written."""
    stored = set(session.scalars(select(NumberOnLine.number)))
    session.execute(delete(NumberOnLine).where(NumberOnLine.number.in_(stored - set(numbers))))
    session.add_all(NumberOnLine(number=number) for number in set(numbers) - stored)


def wrapups(session: Session) -> dict[str, int]:
    """Return the wrap-up times of the queues in seconds that people typed. The PBX reports them only to some users."""
    return dict(session.execute(select(QueueScenario.queue, QueueScenario.wrapup)).all())


def _openings(session: Session, state: WorkerState, stored: Mapping[str, str], now: datetime) -> dict[int, Opening]:
    """Return by module whether its office is open, nothing if the worker has not stored the office's time zone yet."""
    if not state.timezone:
        return {}
    hours = load_hours(session, state.timezone, state.region, stored, now)
    return hours.openings(requests.all_modules(session), now)


def office_region(session: Session) -> str:
    """Return the office's country as the worker last knew it, "" if it has not run yet."""
    return worker_state(session).region


def _callers(row: QueueRow) -> WaitingCallers:
    joined = tuple(datetime.fromtimestamp(seconds, UTC) for seconds in row.callers_joined)
    return WaitingCallers(row.live_callers, joined, row.callers_answered)


def waiting_callers(session: Session, queue: str) -> WaitingCallers:
    """Return the callers who wait in a queue."""
    row = session.get(QueueRow, queue)
    return _callers(row) if row is not None else WaitingCallers()


def stored_facts(session: Session, now: datetime) -> Facts:
    """Return the facts from the stored rows. Pages explain waiting requests with them."""
    state = worker_state(session)
    members: dict[str, list[Member]] = {}
    for row in session.scalars(select(QueueMemberRow)):
        member = Member(row.extension, row.paused, row.penalty, row.wrapup_until, row.name)
        members.setdefault(row.queue, []).append(member)
    occupied = requests.occupied(session, now)
    stored = read_all(session)
    limits = call_limits(stored)
    daily = requests.daily_calls(session, limits.daily_calls, now)
    return Facts(
        lines={
            row.extension: Line(
                row.extension, LineState(row.state), row.since, row.devices, row.context, idle_since=row.idle_since
            )
            for row in session.scalars(select(ExtensionRow))
        },
        queues={
            row.name: Queue(tuple(members.get(row.name, ())), _callers(row))
            for row in session.scalars(select(QueueRow))
        },
        connected=state.ami_status == "connected",
        obstacle=ReasonCode(state.obstacle) if state.obstacle else None,
        heartbeat=_heartbeat(state, now),
        stale_after=_stale_after(state),
        all_paused=stored.get("all_paused") == "1",
        numbers_in_flight=occupied.numbers,
        numbers_on_line=frozenset(session.scalars(select(NumberOnLine.number))),
        agents_in_flight=occupied.agents,
        agent_pauses=occupied.agent_pauses,
        request_pauses=occupied.request_pauses,
        wrapups=occupied.wrapups,
        number_policy=load_policy(session, state.region, stored) if state.region else None,
        openings=_openings(session, state, stored, now),
        outbound_context=state.outbound_context,
        routes=routes.failing(session),
        calls=occupied.calls,
        dialling=occupied.dialling,
        calls_limit=limits.calls,
        route_calls_limit=limits.route_calls,
        daily_calls=daily.count,
        daily_limit=daily.limit,
        daily_limit_until=daily.until,
    )
