"""The settings of the office and its outgoing calls. Values from the environment cannot be changed here."""

import re
from dataclasses import asdict, dataclass
from datetime import datetime
from zoneinfo import available_timezones

import phonenumbers

from app.audio.prompt_texts import LANGUAGES
from app.config import Settings
from app.domain import numbers
from app.domain.dial_order import AnnouncementOrder
from app.domain.limits import RegistrationLimits
from app.domain.numbers import OutboundFormat
from app.domain.routing import CALLER_ID_PATTERN
from app.domain.second_factor import Requirement
from app.services.errors import ErrorCode, Invalid
from app.services.requests import pause
from app.services.settings.save import save_values
from app.store import settings as store
from app.store import waiting
from app.store.database import Database
from app.store.settings import CallLimits

CONTEXT = re.compile(r"[A-Za-z0-9_.-]{0,80}")
AREA_CODE = re.compile(r"[0-9]{0,6}")
PREFIX = re.compile(r"[0-9]{0,6}")
MAX_CALLS_LIMIT = 1000
MAX_LIMIT = 100_000
LONGEST_MIN_TALK = 600  # seconds


@dataclass(frozen=True)
class OfficeInput:
    """The values of the settings form. All but `all_paused` are stored under these names."""

    timezone: str
    region: str
    area_code: str
    locale: str
    outbound_context: str
    caller_id: str
    outbound_format: str
    outbound_prefix: str
    min_talk: int
    all_paused: bool
    calls_limit: int = 0  # calls at once; 0: no limit
    route_calls_limit: int = 0  # the same for one outbound context
    daily_calls_limit: int = CallLimits.daily_calls  # automatic calls to customers in 24 hours
    number_open_limit: int = RegistrationLimits.number_open  # requests of callers, see RegistrationLimits
    number_hour_limit: int = RegistrationLimits.number_hour
    number_day_limit: int = RegistrationLimits.number_day
    module_hour_limit: int = RegistrationLimits.module_hour
    total_hour_limit: int = RegistrationLimits.total_hour
    waiting_limit: int = RegistrationLimits.waiting
    second_factor: str = Requirement.NOBODY.value  # who needs one to log in
    announced_first: str = AnnouncementOrder.NUMBER.value  # what agents hear first of a request
    hold_queues: bool = store.OfficeSettings.hold_queues  # queues give a member no caller while we ring them


def load(database: Database, settings: Settings) -> OfficeInput:
    """Return the effective settings."""
    with database.read() as session:
        stored = store.read_all(session)
        office, limits = store.office(session, settings, stored), store.call_limits(stored)
        registrations = asdict(store.registration_limits(stored))
    return OfficeInput(
        timezone=office.timezone,
        region=office.region,
        area_code=office.area_code,
        locale=office.locale,
        outbound_context=office.outbound_context,
        caller_id=office.caller_id,
        outbound_format=office.outbound_format.value,
        outbound_prefix=office.outbound_prefix,
        min_talk=office.min_talk,
        all_paused=pause.is_paused(stored),
        calls_limit=limits.calls,
        route_calls_limit=limits.route_calls,
        daily_calls_limit=limits.daily_calls,
        second_factor=office.second_factor.value,
        announced_first=office.announced_first.value,
        hold_queues=office.hold_queues,
        **{f"{name}_limit": value for name, value in registrations.items()},
    )


def from_environment(settings: Settings) -> frozenset[str]:
    """Return the names of the settings whose values come from the environment."""
    return frozenset(name for name, field in store.ENVIRONMENT_NAMES.items() if settings.from_environment(field))


def save(database: Database, settings: Settings, given: OfficeInput, *, actor: str, now: datetime) -> None:
    """Store the settings; they apply from the next call on. Raises Invalid."""
    errors = validate(given)
    if errors:
        raise Invalid(errors)
    values = asdict(given)
    paused = values.pop("all_paused")
    fixed = from_environment(settings)
    with database.write() as session:
        stored = store.read_all(session)
        save_values(session, {n: _to_text(v) for n, v in values.items() if n not in fixed}, now, actor=actor)
        if any(stored.get(name) != values[name] for name in ("timezone", "region")):
            waiting.release_all(session)  # the office opens at other times now
        if paused != pause.is_paused(stored):
            pause.save_pause(session, pause.Pause(actor, now) if paused else None, actor, now)


def _to_text(value: object) -> str:
    """Return a value as it is stored."""
    return str(int(value)) if isinstance(value, bool) else str(value)


def validate(given: OfficeInput) -> dict[str, ErrorCode]:
    """Return validation errors by field name; empty if the input is valid."""
    choices = {
        "timezone": available_timezones(),
        "region": phonenumbers.SUPPORTED_REGIONS,
        "locale": LANGUAGES,
        "outbound_format": set(OutboundFormat),
        "second_factor": set(Requirement),
        "announced_first": set(AnnouncementOrder),
    }
    patterns = {
        "area_code": (AREA_CODE, ErrorCode.DIGITS),
        "outbound_context": (CONTEXT, ErrorCode.CONTEXT),
        "outbound_prefix": (PREFIX, ErrorCode.DIGITS),
    }
    errors = {name: ErrorCode.CHOICE for name, allowed in choices.items() if getattr(given, name) not in allowed}
    errors |= {name: code for name, (form, code) in patterns.items() if not form.fullmatch(getattr(given, name))}
    if given.caller_id and not CALLER_ID_PATTERN.fullmatch(given.caller_id):
        errors["caller_id"] = ErrorCode.NUMBER
    limits = {"calls_limit": given.calls_limit, "route_calls_limit": given.route_calls_limit}
    errors |= {name: ErrorCode.RANGE for name, limit in limits.items() if not 0 <= limit <= MAX_CALLS_LIMIT}
    for name in ("daily_calls_limit", *(f"{limit}_limit" for limit in store.REGISTRATION_LIMITS)):
        if not 0 <= getattr(given, name) <= MAX_LIMIT:
            errors[name] = ErrorCode.RANGE
    if not 0 <= given.min_talk <= LONGEST_MIN_TALK:
        errors["min_talk"] = ErrorCode.RANGE
    return errors


def dialled_example(region: str, outbound_format: str, prefix: str) -> tuple[str, str] | None:
    """Return a mobile number of the country as people write it, and as the PBX would dial it.

    Return None if the country has no such number, or the format or prefix is invalid.
    """
    number = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    if number is None or outbound_format not in set(OutboundFormat) or not PREFIX.fullmatch(prefix):
        return None
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return numbers.national(written, region), numbers.dialled(written, region, OutboundFormat(outbound_format), prefix)
