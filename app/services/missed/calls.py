"""Store the calls that were missed, and delete them when they are old."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import CursorResult, delete, or_, select, update
from sqlalchemy.orm import Session

from app.domain.missed_calls import Arrival, Outcome, Target, find_target
from app.domain.text import displayable
from app.store import missed_calls as store
from app.store import requests
from app.store.database import Database
from app.store.models import CallRequest, MissedCall
from app.store.settings import read_all


@dataclass(frozen=True)
class EndedCall:
    """A call from outside that ended without a talk.

    `uniqueid` is that of its dialogues. `number` is normalized, "" if it is withheld or no number.
    """

    uniqueid: str
    number: str
    caller_name: str
    arrivals: tuple[Arrival, ...]


def record(database: Database, call: EndedCall, at: datetime) -> None:
    """Store a call that ended at `at`, unless nobody lists it, it left a request, or it is stored already."""
    with database.read() as session:
        target = _find_target(session, call)
    if target is None:
        return
    with database.write() as session:
        if not _is_stored(session, call) and not _has_left_request(session, call.uniqueid):
            session.add(_missed_call(session, call, target, at))


def _find_target(session: Session, call: EndedCall) -> Target | None:
    rules = store.load_rules(session)
    if not rules:
        return None
    modules = {module.id: store.targets_of(module) for module in requests.all_modules(session)}
    return find_target(call.arrivals, modules, rules)


def _is_stored(session: Session, call: EndedCall) -> bool:
    return session.scalar(select(MissedCall.id).where(MissedCall.call_uniqueid == call.uniqueid)) is not None


def _has_left_request(session: Session, uniqueid: str) -> bool:
    ids = or_(
        CallRequest.call_uniqueid == uniqueid, CallRequest.call_uniqueid.startswith(f"{uniqueid}/", autoescape=True)
    )
    return session.scalar(select(CallRequest.id).where(ids).limit(1)) is not None


def _missed_call(session: Session, call: EndedCall, target: Target, at: datetime) -> MissedCall:
    """Return the row. Who is going to be called back anyway has left a request already."""
    waiting = None
    if call.number:
        query = select(CallRequest).where(CallRequest.number == call.number, requests.has_status())
        waiting = session.scalar(query.order_by(CallRequest.id.desc()).limit(1))
    return MissedCall(
        call_uniqueid=call.uniqueid,
        queue=target.queue,
        target=target.code,
        number=call.number,
        caller_name=displayable(call.caller_name, 80),
        at=at,
        outcome=(Outcome.OPEN if waiting is None else Outcome.LEFT).value,
        outcome_at=waiting.registered_at if waiting is not None else None,
        request_id=waiting.id if waiting is not None else None,
    )


def forget_number(database: Database, uniqueid: str) -> None:
    """Delete the number of a missed call whose caller withholds it."""
    with database.write() as session:
        values = {"number": "", "caller_name": ""}
        session.execute(update(MissedCall).where(MissedCall.call_uniqueid == uniqueid).values(values))


def forget(database: Database, uniqueids: Collection[str]) -> None:
    """Delete the missed calls of callers who have left a request after all, in the moment in which they hung up."""
    of_them = MissedCall.call_uniqueid.in_(uniqueids)
    with database.read() as session:
        stored = session.scalar(select(MissedCall.id).where(of_them).limit(1))
    if stored is not None:
        with database.write() as session:
            session.execute(delete(MissedCall).where(of_them))


def delete_old(database: Database, now: datetime) -> int:
    """Delete the calls that are not kept any longer. Return how many."""
    with database.write() as session:
        kept = timedelta(days=store.missed_call_settings(read_all(session)).kept)
        result = session.execute(delete(MissedCall).where(MissedCall.at < now - kept))
    return cast("CursorResult[object]", result).rowcount
