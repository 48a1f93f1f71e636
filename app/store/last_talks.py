"""Who of the office talked with a number last: their preferred agent."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from app.domain.policy import LineState
from app.store.models import Attempt, CallRequest, ExtensionRow, LastTalk, Module, QueueMemberRow

KEPT = timedelta(days=180)
_AWAY = frozenset({LineState.OFFLINE.value, LineState.UNKNOWN.value})


def are_kept(session: Session) -> bool:
    """Tell whether any module prefers who talked last. Otherwise nothing is kept."""
    return bool(session.scalar(select(exists().where(Module.preferred_for > 0))))


def keep(session: Session, number: str, extension: str, at: datetime) -> None:
    """Note who talks with a number."""
    session.merge(LastTalk(number=number, extension=extension, at=at))


def delete_old(session: Session, now: datetime) -> None:
    """Delete what is too old, or everything if no module asks for it."""
    old = delete(LastTalk)
    session.execute(old.where(LastTalk.at < now - KEPT) if are_kept(session) else old)


def find_preferred(session: Session, module: Module, queue: bool, target: str, number: str) -> str:
    """Return the agent for whom a new request should wait first, "" for nobody.

    They talked with the number last, may serve the request, and have a phone that can be reached.
    """
    if not module.preferred_for or (target and not queue):
        return ""
    agent = _talked_last(session, number)
    if not agent or session.scalar(select(ExtensionRow.state).where(ExtensionRow.extension == agent)) in (None, *_AWAY):
        return ""
    if queue:
        member = exists().where(QueueMemberRow.queue == target, QueueMemberRow.extension == agent)
        return agent if session.scalar(select(member)) else ""
    return agent if agent in module.targets and len(module.targets) > 1 else ""


def _talked_last(session: Session, number: str) -> str:
    """Return the extension that talked with a number last, in any call or in an attempt of ours."""
    of_attempt = (
        select(Attempt.agent, Attempt.connected_at)
        .join(CallRequest, CallRequest.id == Attempt.request_id)
        .where(CallRequest.number == number, Attempt.connected_at.is_not(None))
        .order_by(Attempt.connected_at.desc())
        .limit(1)
    )
    of_talk = select(LastTalk.extension, LastTalk.at).where(LastTalk.number == number)
    found: list[Any] = [row for query in (of_attempt, of_talk) for row in session.execute(query)]
    return str(max(found, key=lambda row: row[1])[0]) if found else ""
