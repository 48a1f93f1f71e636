"""What the telephone service knows, as rows, so that every page can explain by the same policy."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.domain.policy import Facts, Line, LineState, Member, Queue, ReasonCode
from app.store import requests
from app.store.models import ExtensionRow, QueueMemberRow, QueueRow, QueueScenario, WorkerState
from app.store.settings import read_setting

STALE_POLLS = 3  # a heartbeat older than this many polls is none
SLACK = timedelta(seconds=2)


@dataclass(frozen=True)
class ExtensionReport:
    """An extension as the exchange reports it; `devices` is what its hint names ("PJSIP/101&PJSIP/201").

    `name` is None where it was not asked yet: the one that is stored stays.
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
    """Return the single row of the telephone service, made at first use."""
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


def service_runs(session: Session, now: datetime) -> bool:
    """Tell whether the telephone service gave a sign of life lately."""
    return runs(worker_state(session), now)


def runs(state: WorkerState, now: datetime) -> bool:
    """Tell whether the telephone service's row shows a sign of life that is recent."""
    return Facts(heartbeat=state.heartbeat, stale_after=_stale_after(state)).service_runs(now)


def _stale_after(state: WorkerState) -> timedelta:
    return STALE_POLLS * timedelta(seconds=state.poll_seconds) + SLACK


def store_extensions(session: Session, reports: Iterable[ExtensionReport], *, complete: bool) -> None:
    """Store lines that changed; `complete` drops the ones not named."""
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
    """Store queues that changed with all their members; `complete` drops the ones not named."""
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
    """Return the queues' wrap-up times in seconds, as they were typed: the exchange does not tell them."""
    return dict(session.execute(select(QueueScenario.queue, QueueScenario.wrapup)).all())


def stored_facts(session: Session, now: datetime) -> Facts:
    """Return what is known of the exchange, as the rows tell it: what a page explains by."""
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
