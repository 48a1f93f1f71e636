"""What the office manager settles for the whole office. A value that the environment gives stays as it is."""

import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from zoneinfo import available_timezones

import phonenumbers

from app.audio.prompt_texts import LANGUAGES
from app.config import Settings
from app.domain import numbers
from app.domain.numbers import OutboundFormat
from app.services.errors import Invalid
from app.services.modules.save import CALLER_ID
from app.services.requests import pause
from app.services.settings.save import save_values
from app.store import settings as store
from app.store.database import Database

CONTEXT = re.compile(r"[A-Za-z0-9_.-]{0,80}")
AREA_CODE = re.compile(r"[0-9]{0,6}")
PREFIX = re.compile(r"[0-9]{0,6}")


@dataclass(frozen=True)
class OfficeInput:
    """The settings page as it was filled in; the names are those under which the values are stored."""

    timezone: str
    region: str
    area_code: str
    locale: str
    outbound_context: str
    caller_id: str
    outbound_format: str
    outbound_prefix: str
    all_paused: bool


def load(database: Database, settings: Settings) -> OfficeInput:
    """Return the settings in force."""
    with database.read() as session:
        stored = store.read_all(session)
        office = store.office(session, settings, stored)
    return OfficeInput(
        timezone=office.timezone,
        region=office.region,
        area_code=office.area_code,
        locale=office.locale,
        outbound_context=office.outbound_context,
        caller_id=office.caller_id,
        outbound_format=office.outbound_format.value,
        outbound_prefix=office.outbound_prefix,
        all_paused=pause.is_paused(stored),
    )


def fixed(settings: Settings) -> frozenset[str]:
    """Return the names of the settings that the environment gives."""
    return frozenset(name for name, origin in store.SHARED.items() if settings.from_environment(origin))


def save(
    database: Database, settings: Settings, given: OfficeInput, *, actor: str = "", now: datetime | None = None
) -> None:
    """Store the settings; they apply to the next call. Raises Invalid."""
    errors = check(given)
    if errors:
        raise Invalid(errors)
    now = now or datetime.now(UTC)
    values = asdict(given)
    paused = values.pop("all_paused")
    with database.write() as session:
        stored = store.read_all(session)
        changeable = {name: str(value) for name, value in values.items() if name not in fixed(settings)}
        save_values(session, changeable, now, actor=actor)
        if paused != pause.is_paused(stored):
            pause.write(session, pause.Pause(actor, now) if paused else None, actor, now)


def check(given: OfficeInput) -> dict[str, str]:
    """Return what is wrong, by field; empty where all is well."""
    sound = {
        "timezone": given.timezone in available_timezones(),
        "region": given.region in phonenumbers.SUPPORTED_REGIONS,
        "locale": given.locale in LANGUAGES,
        "outbound_format": given.outbound_format in set(OutboundFormat),
    }
    errors = {name: "choice" for name, is_sound in sound.items() if not is_sound}
    patterns = {"area_code": AREA_CODE, "outbound_context": CONTEXT, "outbound_prefix": PREFIX}
    codes = {"area_code": "digits", "outbound_context": "context", "outbound_prefix": "digits"}
    errors |= {name: codes[name] for name, form in patterns.items() if not form.fullmatch(getattr(given, name))}
    if given.caller_id and not CALLER_ID.fullmatch(given.caller_id):
        errors["caller_id"] = "number"
    return errors


def example(region: str, form: str, prefix: str) -> tuple[str, str] | None:
    """Return a number of the country as people write it, and as it would be dialled; None for what makes no sense."""
    number = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    if number is None or form not in set(OutboundFormat) or not PREFIX.fullmatch(prefix):
        return None
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return numbers.national(written), numbers.dialled(written, OutboundFormat(form), prefix)
