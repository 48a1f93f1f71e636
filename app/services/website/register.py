"""Register the request that a visitor of a website leaves.

Anybody can type any number into a form. So a number has one open request at most, and few in a day. A visitor is not
told about that, nor that a number is blocked: they would learn which numbers the office knows. What they are told
depends on nothing but what they typed and on the form.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain import chosen_times
from app.domain.hours import Outside
from app.domain.limits import NumberLists, RegistrationLimits, find_reason
from app.domain.number_policy import Rule, Source, judge
from app.domain.routing import CameBy
from app.domain.text import masked
from app.services import commands
from app.services.counts import Limit, count, end_of_span
from app.services.errors import ErrorCode, Invalid, check_line
from app.services.requests.chosen_times import find_free
from app.services.requests.create import MAX_NAME_LENGTH
from app.services.requests.outside import find_outside, hours_of
from app.services.requests.registration import Registration, RegistrationRefused, register_in
from app.services.website.forms import FormView
from app.store import requests as store
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import CallRequest, Count, Module
from app.store.number_policy import load_policy
from app.store.turns import Urgency

log = logging.getLogger(__name__)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PER_ADDRESS = Limit("website address", 10, HOUR)  # tries with a solved challenge
TOTAL_HOUR = 100  # requests of all forms
NUMBER_DAY = 2  # requests of a number, of all forms
TIMES = ("6", "*", "#")  # the keys of chosen_times that a form offers
LONGEST_NUMBER = 40
_NOT_SAID = frozenset({Rule.EXTENSION, Rule.SHORT, Rule.INVALID, Rule.EMPTY})  # else a visitor could find extensions


class NotNow(Exception):
    """Nobody can leave a request now. `opens_at`: the office is closed until then, None: too many were left."""

    def __init__(self, opens_at: datetime | None = None, *, closed: bool = False) -> None:
        super().__init__("closed" if closed else "too many")
        self.opens_at, self.closed = opens_at, closed


class Unavailable(Exception):
    """The form registers nothing: it was switched off, or its module."""


class When(StrEnum):
    """When the visitor is called."""

    SOON = "soon"
    AFTER_OPENING = "after_opening"
    AT = "at"


@dataclass(frozen=True)
class Wish:
    """What a visitor typed. `time` is one of TIMES, or "" for as soon as possible."""

    number: str
    name: str = ""
    time: str = ""


@dataclass(frozen=True)
class Promise:
    """What the visitor is told. `at` is the opening, or the chosen time."""

    when: When
    at: datetime | None = None


def register(database: Database, settings: Settings, form: FormView, wish: Wish, now: datetime) -> Promise:
    """Store the request of a visitor. Raises Invalid, NotNow and Unavailable.

    Invalid names `number`, `name` or `time`. Nothing is stored, and nobody is told, if the number has an open request,
    or too many of today, or is blocked.
    """
    try:
        with database.write(Urgency.REGISTRATION) as session:
            return _register(session, settings, form, wish, now)
    except IntegrityError:  # the same request was registered in the same instant
        with database.read() as session:
            module = _module_of(session, form)
            return _promise(session, settings, module, form, wish, now)


def _register(session: Session, settings: Settings, form: FormView, wish: Wish, now: datetime) -> Promise:
    module = _module_of(session, form)
    number = _check(session, settings, form, wish)
    promise = _promise(session, settings, module, form, wish, now)
    names = {
        f"website form {form.id}": (end_of_span(now, DAY), form.daily_limit),
        "website total": (end_of_span(now, HOUR), TOTAL_HOUR),
    }
    if _is_full(session, module, now) or any(
        (session.scalar(select(Count.hits).where(Count.name == name, Count.until == until)) or 0) >= most
        for name, (until, most) in names.items()
    ):
        log.warning("website form %s: too many requests", form.id)
        raise NotNow
    if _is_enough(session, number, now):
        log.info("website form %s: nothing was registered for %s, which has enough requests", form.id, masked(number))
        return promise
    registration = Registration(
        module_id=module.id,
        number=number,
        source=Source.TYPED,
        caller_name=wish.name.strip() if form.asks_name else "",
        extension=form.target,
        came_by=CameBy.WEBSITE,
        website=form.name,
        call_at=promise.at if promise.when is When.AT else None,
    )
    try:
        request = register_in(session, registration, now)
    except RegistrationRefused as refused:
        log.warning("website form %s: a request was refused: %s", form.id, refused.reason.value)
        return promise
    if any(count(session, name, until, now) > most for name, (until, most) in names.items()):
        raise NotNow  # others were faster; nothing is stored
    commands.notify_worker(session)
    log.info("request %s registered: website form %s, number %s", request, form.id, masked(number))
    return promise


def _module_of(session: Session, form: FormView) -> Module:
    module = session.get(Module, form.module_id) if form.module_id is not None else None
    if module is None or not module.active or not form.active:
        raise Unavailable
    return module


def _check(session: Session, settings: Settings, form: FormView, wish: Wish) -> str:
    """Return the normalized number. Raises Invalid."""
    errors = check_line("name", wish.name, MAX_NAME_LENGTH) if form.asks_name else {}
    if wish.time and (wish.time not in TIMES or not form.offers_times):
        errors["time"] = ErrorCode.CHOICE
    stored = store_settings.read_all(session)
    plan = store_settings.number_plan(session, settings, stored)
    verdict = judge(wish.number[:LONGEST_NUMBER], plan, load_policy(session, plan.region, stored), Source.TYPED)
    if not verdict.allows:
        unreadable = ErrorCode.NUMBER if wish.number.strip() else ErrorCode.REQUIRED
        errors["number"] = unreadable if verdict.rule in _NOT_SAID else ErrorCode.KIND
    if errors:
        raise Invalid(errors)
    return verdict.number


def _promise(
    session: Session, settings: Settings, module: Module, form: FormView, wish: Wish, now: datetime
) -> Promise:
    """Return when the visitor would be called. Raises NotNow if the module declines, and Invalid for the time."""
    hours = hours_of(session, settings, module, now)
    before_closing = timedelta(seconds=module.stop_before)
    outside = find_outside(module, hours, now)
    if outside is Outside.DECLINE:
        raise NotNow(chosen_times.find_free(now, hours, {}, 0, before_closing), closed=True)
    if wish.time:
        wished = chosen_times.wish_of(wish.time, now, hours.zone).first
        at = find_free(session, module, hours, wished, before_closing=before_closing)
        if at is None:
            raise Invalid({"time": ErrorCode.NOT_FREE})
        return Promise(When.AT, at)
    if outside is Outside.NEXT_OPENING:
        return Promise(When.AFTER_OPENING, chosen_times.find_free(now, hours, {}, 0, before_closing))
    return Promise(When.SOON)


def _is_full(session: Session, module: Module, now: datetime) -> bool:
    """Tell whether the limits that hold for every number allow no further request."""
    limits: RegistrationLimits = store_settings.registration_limits(store_settings.read_all(session))
    counts = store.count_for_limits(session, module.id, "", "", now)
    return find_reason([], NumberLists(), limits, counts) is not None


def _is_enough(session: Session, number: str, now: datetime) -> bool:
    """Tell whether a number has an open request, or as many of websites as it may have in a day."""
    of_number = select(func.count()).select_from(CallRequest).where(CallRequest.number == number)
    if session.scalar(of_number.where(store.has_status())):
        return True
    of_today = of_number.where(CallRequest.came_by == CameBy.WEBSITE.value, CallRequest.registered_at > now - DAY)
    return (session.scalar(of_today) or 0) >= NUMBER_DAY
