"""Make requests of missed calls by themselves: silently, once per number within the look-back."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain.missed_calls import Outcome, Target, is_due
from app.domain.number_policy import Source, judge_number
from app.domain.routing import CameBy
from app.domain.text import masked
from app.services.requests.registration import Registration, RegistrationRefused, register
from app.store import missed_calls as store
from app.store import requests
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import MissedCall
from app.store.number_lists import load_lists
from app.store.number_policy import load_policy

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Due:
    """The open missed calls of a number to a target. `first_at` is when the first of them ended."""

    target: Target
    number: str
    name: str
    first_at: datetime


def make_requests(database: Database, settings: Settings, now: datetime) -> int:
    """Make the requests that are due, and return how many. A number that may not be called gets none."""
    with database.read() as session:
        due = _find_due(session, settings, now)
    made = 0
    for module_id, call in due:
        registration = Registration(
            module_id=module_id,
            number=call.number,
            caller=call.number,
            caller_number=call.number,
            caller_name=call.name,
            extension="" if call.target.queue else call.target.code,
            first_called_at=call.first_at,
            came_by=CameBy.MISSED_CALL,
        )
        try:
            request = register(database, registration, now)
        except RegistrationRefused as refused:
            log.info("no request is made of a missed call of %s: %s", masked(call.number), refused.reason.value)
            continue
        log.info("request %s is made of a missed call of %s", request, masked(call.number))
        made += 1
    return made


def _find_due(session: Session, settings: Settings, now: datetime) -> list[tuple[int, _Due]]:
    """Return the calls of which a request is due, each with the id of its module; a number only once."""
    rules = {target: rule for target, rule in store.load_rules(session).items() if rule.minutes}
    if not rules:
        return []
    since = store.looks_back_to(session, now)
    stored = store_settings.read_all(session)
    policy = load_policy(session, store_settings.number_plan(session, settings, stored).region, stored)
    lists, modules = load_lists(session), requests.all_modules(session)
    found: dict[str, tuple[int, _Due]] = {}
    for call in _open_calls(session, since):
        rule = rules.get(call.target)
        module = store.module_for(rule, call.target, modules)
        if rule is None or module is None or call.number in found or not is_due(call.first_at, rule.minutes, now):
            continue
        if judge_number(call.number, policy, Source.CALLER_ID).allows and not lists.is_blocked(call.number):
            found[call.number] = module.id, call
    asked = _with_request(session, since)
    return [pair for number, pair in found.items() if number not in asked]


def _open_calls(session: Session, since: datetime) -> list[_Due]:
    query = (
        select(
            MissedCall.queue,
            MissedCall.target,
            MissedCall.number,
            func.max(MissedCall.caller_name).label("name"),
            func.min(MissedCall.at).label("first_at"),
        )
        .where(MissedCall.outcome == Outcome.OPEN.value, MissedCall.at >= since, MissedCall.number != "")
        .group_by(MissedCall.queue, MissedCall.target, MissedCall.number)
        .order_by(func.min(MissedCall.at))
    )
    return [_Due(Target(row.queue, row.target), row.number, row.name, row.first_at) for row in session.execute(query)]


def _with_request(session: Session, since: datetime) -> set[str]:
    """Return the numbers that have had a request within the look-back."""
    query = select(MissedCall.number).where(MissedCall.at >= since, MissedCall.request_id.is_not(None))
    return set(session.scalars(query.distinct()))


def next_due(first_at: datetime, minutes: int) -> datetime | None:
    """Return when a request is made by itself, None for never."""
    return first_at + timedelta(minutes=minutes) if minutes else None
