"""The state of the PBX and of the worker, stored as rows. Pages explain waiting requests from these rows."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.domain.policy import Facts, Line, LineState, Member, Queue, ReasonCode
from app.store import requests
from app.store.models import ExtensionRow, QueueMemberRow, QueueRow, QueueScenario, WorkerState
from app.store.settings import read_setting

STALE_POLLS = 3  # the worker counts as stopped after this many polls without a heartbeat
SLACK = timedelta(seconds=2)


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


@dataclass(frozen=True)
class QueueReport:
    name: str
    live_callers: int
    members: tuple[Member, ...]


def worker_state(session: Session) -> WorkerState:
    """Return the single row of the worker's state. Return a new row if there is none."""
    state = session.get(WorkerState, 1)
    if state is None:
        state = WorkerState(
            id=1,
            ami_status="down",
            ami_detail="",
            asterisk_version="",
            dialplan_written="",
            dialplan_running="",
            dialplan_detail="",
            obstacle="",
            poll_seconds=5.0,
        )
    return state


def worker_runs(session: Session, now: datetime) -> bool:
    """Tell whether the worker is running, by its heartbeat."""
    return has_heartbeat(worker_state(session), now)


def has_heartbeat(state: WorkerState, now: datetime) -> bool:
    """Tell whether the worker of this state is running, by its heartbeat."""
    return Facts(heartbeat=state.heartbeat, stale_after=_stale_after(state)).worker_runs(now)


def _stale_after(state: WorkerState) -> timedelta:
    return STALE_POLLS * timedelta(seconds=state.poll_seconds) + SLACK


def store_extensions(session: Session, reports: Iterable[ExtensionReport], *, complete: bool) -> None:
    """Store changed extensions. With `complete`, delete all others."""
    names = set()
    for report in reports:
        names.add(report.extension)
        row = ExtensionRow(
            extension=report.extension,
            context=report.context,
            devices=report.devices,
            state=report.state.value,
            since=report.since,
        )
        if report.name is not None:
            row.name = report.name
        session.merge(row)
    if complete:
        session.execute(delete(ExtensionRow).where(ExtensionRow.extension.not_in(names)))


def store_queues(session: Session, reports: Iterable[QueueReport], *, complete: bool) -> None:
    """Store changed queues with all their members. With `complete`, delete all other queues."""
    reports = list(reports)
    for report in reports:
        session.merge(QueueRow(name=report.name, live_callers=report.live_callers))
        session.execute(delete(QueueMemberRow).where(QueueMemberRow.queue == report.name))
        for member in report.members:
            session.add(
                QueueMemberRow(
                    queue=report.name,
                    extension=member.extension,
                    name=member.name,
                    paused=member.paused,
                    penalty=member.penalty,
                    wrapup_until=member.wrapup_until,
                )
            )
    if complete:
        names = [report.name for report in reports]
        session.execute(delete(QueueMemberRow).where(QueueMemberRow.queue.not_in(names)))
        session.execute(delete(QueueRow).where(QueueRow.name.not_in(names)))


def wrapups(session: Session) -> dict[str, int]:
    """Return the wrap-up times of the queues in seconds. People typed them, since the PBX does not report them."""
    return dict(session.execute(select(QueueScenario.queue, QueueScenario.wrapup)).all())


def stored_facts(session: Session, now: datetime) -> Facts:
    """Return the facts from the stored rows. Pages explain waiting requests with them."""
    state = worker_state(session)
    members: dict[str, list[Member]] = {}
    for row in session.scalars(select(QueueMemberRow)):
        member = Member(row.extension, row.paused, row.penalty, row.wrapup_until, row.name)
        members.setdefault(row.queue, []).append(member)
    occupied = requests.occupied(session, now)
    return Facts(
        lines={
            row.extension: Line(row.extension, LineState(row.state), row.since, row.devices, row.context)
            for row in session.scalars(select(ExtensionRow))
        },
        queues={
            row.name: Queue(tuple(members.get(row.name, ())), row.live_callers)
            for row in session.scalars(select(QueueRow))
        },
        connected=state.ami_status == "connected",
        obstacle=ReasonCode(state.obstacle) if state.obstacle else None,
        heartbeat=state.heartbeat,
        stale_after=_stale_after(state),
        all_paused=read_setting(session, "all_paused") == "1",
        numbers_in_flight=occupied.numbers,
        agents_in_flight=occupied.agents,
        agent_pauses=occupied.agent_pauses,
    )
