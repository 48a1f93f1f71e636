"""The addresses by which Bazang works with the office's customer program: the screen pop, and names from there."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import and_, delete, func, select
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain import url_templates
from app.domain.name_lookup import DEFAULT_DAYS, MOST_DAYS
from app.domain.text import masked
from app.domain.url_templates import HostNotFixed, UnknownPlaceholder
from app.domain.webhooks import BadUrl, InsideUrl
from app.services.errors import ErrorCode, Invalid, check_line
from app.services.settings.save import save_values
from app.store import encryption
from app.store import settings as store
from app.store.database import Database
from app.store.models import LookedUpName

POP_PLACEHOLDERS = ("number", "number_e164", "name", "request", "module")
LOOKUP_PLACEHOLDERS = ("number", "number_e164")
LONGEST_FIELD, LONGEST_KEY = 100, 500


@dataclass(frozen=True)
class ContactTemplates:
    """The settings, stored under these names.

    `name_lookup_field`: the member of the JSON answer that has the name, "": the answer is text. `name_lookup_days`:
    for so long an answer counts. `name_lookup_inside`: the program may have an address of the office.
    """

    screen_pop_url: str = ""
    name_lookup_url: str = ""
    name_lookup_field: str = ""
    name_lookup_inside: bool = False
    name_lookup_days: int = DEFAULT_DAYS


@dataclass(frozen=True)
class LookupState:
    """What the other program has answered. `failure` is that of the last question, "" if it was answered."""

    names: int = 0
    unknown: int = 0
    failed: int = 0
    asked_at: datetime | None = None
    failure: str = ""
    number: str = ""  # of the last failure, shortened


def read(session: Session) -> ContactTemplates:
    """Return the stored settings."""
    stored = store.read_all(session)
    return ContactTemplates(
        stored.get("screen_pop_url", ""),
        stored.get("name_lookup_url", ""),
        stored.get("name_lookup_field", ""),
        stored.get("name_lookup_inside", "") == "1",
        int(stored.get("name_lookup_days", DEFAULT_DAYS)),
    )


def load(database: Database) -> ContactTemplates:
    """Return the stored settings."""
    with database.read() as session:
        return read(session)


def has_key(database: Database) -> bool:
    """Tell whether a key for the other program is stored."""
    with database.read() as session:
        return bool(store.read_setting(session, "name_lookup_key"))


def save(
    database: Database,
    settings: Settings,
    given: ContactTemplates,
    key: str | None = None,
    *,
    actor: str,
    now: datetime,
) -> None:
    """Store the settings. `key` is the key for the other program, None: as before. Raises Invalid.

    A key never goes to another host than the one for which it was entered.
    """
    errors = validate(given)
    if key is not None and not (key.isascii() and key.isprintable() and len(key) <= LONGEST_KEY):
        errors["name_lookup_key"] = ErrorCode.SECRET
    values = {
        "screen_pop_url": given.screen_pop_url,
        "name_lookup_url": given.name_lookup_url,
        "name_lookup_field": given.name_lookup_field,
        "name_lookup_inside": "1" if given.name_lookup_inside else "",
        "name_lookup_days": str(given.name_lookup_days),
    }
    with database.write() as session:
        before = read(session)
        moved = url_templates.host_of(before.name_lookup_url) != url_templates.host_of(given.name_lookup_url)
        if key is None and moved and given.name_lookup_url and store.read_setting(session, "name_lookup_key"):
            errors.setdefault("name_lookup_key", ErrorCode.KEY_AGAIN)
        if errors:
            raise Invalid(errors)
        if key is not None:
            values["name_lookup_key"] = encryption.encrypt(settings, key)
        save_values(session, values, now, actor=actor)
        if replace(before, screen_pop_url="", name_lookup_days=0) != replace(
            given, screen_pop_url="", name_lookup_days=0
        ):
            session.execute(delete(LookedUpName))  # another program may say something else


def validate(given: ContactTemplates) -> dict[str, ErrorCode]:
    """Return validation errors by field name; empty if the input is valid."""
    errors = _check("screen_pop_url", given.screen_pop_url, POP_PLACEHOLDERS, inside=True, fragment=True)
    errors |= _check("name_lookup_url", given.name_lookup_url, LOOKUP_PLACEHOLDERS, inside=given.name_lookup_inside)
    if given.name_lookup_url and not errors.get("name_lookup_url") and "{number" not in given.name_lookup_url:
        errors["name_lookup_url"] = ErrorCode.NO_NUMBER
    errors |= check_line("name_lookup_field", given.name_lookup_field, LONGEST_FIELD)
    if not 1 <= given.name_lookup_days <= MOST_DAYS:
        errors["name_lookup_days"] = ErrorCode.RANGE
    return errors


def _check(
    name: str, template: str, placeholders: tuple[str, ...], *, inside: bool, fragment: bool = False
) -> dict[str, ErrorCode]:
    try:
        if template:
            url_templates.check(template, placeholders, inside=inside, fragment=fragment)
    except UnknownPlaceholder:
        return {name: ErrorCode.PLACEHOLDER}
    except HostNotFixed:
        return {name: ErrorCode.HOST_FIXED}
    except InsideUrl:
        return {name: ErrorCode.INSIDE}
    except BadUrl:
        return {name: ErrorCode.URL}
    return {}


def lookup_state(database: Database) -> LookupState:
    """Return what the other program has answered so far."""
    with database.read() as session:
        answered, named = LookedUpName.failure == "", LookedUpName.name != ""
        kinds = (and_(answered, named), and_(answered, ~named), ~answered)
        counts = session.execute(select(*(func.count().filter(kind) for kind in kinds)).select_from(LookedUpName)).one()
        last = session.scalar(select(LookedUpName).order_by(LookedUpName.asked_at.desc()).limit(1))
        if last is None:
            return LookupState()
        names, unknown, failures = (int(count) for count in counts)
        return LookupState(names, unknown, failures, last.asked_at, last.failure, masked(last.number))
