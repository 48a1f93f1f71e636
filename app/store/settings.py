"""The values of the settings page. One that the environment gives wins, and is read-only in the panel."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.config import CONTEXTS, Settings
from app.domain.numbers import NumberRules, OutboundFormat
from app.store.models import ExtensionRow, Setting


def read_setting(session: Session, name: str, default: str = "") -> str:
    row = session.get(Setting, name)
    return default if row is None else row.value


def write_setting(session: Session, name: str, value: str) -> None:
    """Write one value, whether it is there or not: two people may save it for the first time in the same instant."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    row = dialect.insert(Setting).values(name=name, value=value)
    row = row.on_conflict_do_update(index_elements=[Setting.name], set_={"value": row.excluded.value})
    session.scalars(row.returning(Setting), execution_options={"populate_existing": True}).one()


@dataclass(frozen=True)
class Office:
    """What the office manager settles for the whole office."""

    timezone: str
    region: str
    area_code: str
    locale: str
    outbound_context: str
    caller_id: str = ""  # what customers see
    outbound_format: OutboundFormat = OutboundFormat.NATIONAL
    outbound_prefix: str = ""


@dataclass(frozen=True)
class Exchange:
    """How the exchange is reached, and what its contexts are called. `agi_host` is how it reaches us."""

    ami_host: str
    ami_port: int
    ami_username: str
    ami_secret: str
    agi_host: str
    pbx_profile: str
    extension_context: str
    queue_context: str
    outbound_context: str


@dataclass(frozen=True)
class Speech:
    """How a text is spoken. Voice "" and None: the default of the language; `rate` words per minute, `pitch` 0-99."""

    voice: str = ""
    rate: int | None = None
    pitch: int | None = None


# The settings that both the environment and the panel may give, by their name in each.
SHARED = {
    "timezone": "timezone",
    "region": "default_region",
    "area_code": "area_code",
    "locale": "default_locale",
    "outbound_context": "outbound_context",
    "ami_host": "ami_host",
    "ami_port": "ami_port",
    "ami_username": "ami_username",
    "ami_secret": "ami_secret",
    "agi_host": "agi_host",
    "pbx_profile": "pbx_profile",
    "extension_context": "extension_context",
    "queue_context": "queue_context",
}
SECRET = frozenset({"ami_secret"})  # never told again, neither by a page nor by the log
_OF_THE_OFFICE = ("timezone", "region", "area_code", "locale", "outbound_context")


def read_all(session: Session) -> dict[str, str]:
    """Return every value of the settings page by its name."""
    return dict(session.execute(select(Setting.name, Setting.value)).all())


def office(session: Session, settings: Settings, stored: Mapping[str, str] | None = None) -> Office:
    """Return the office's settings in force. `stored`: what `read_all` gave, if that was asked already."""
    stored = read_all(session) if stored is None else stored
    return Office(
        **{name: _in_force(settings, stored, name) for name in _OF_THE_OFFICE},
        caller_id=stored.get("caller_id", ""),
        outbound_format=OutboundFormat(stored.get("outbound_format", OutboundFormat.NATIONAL.value)),
        outbound_prefix=stored.get("outbound_prefix", ""),
    )


def exchange(session: Session, settings: Settings, stored: Mapping[str, str] | None = None) -> Exchange:
    """Return how the exchange is reached, as the environment and the settings page say. `stored`: as for `office`."""
    stored = read_all(session) if stored is None else stored
    values: dict[str, Any] = {name: _in_force(settings, stored, name) for name in Exchange.__dataclass_fields__}
    return Exchange(**values | {"ami_port": int(values["ami_port"])})


def speech(session: Session, language: str, stored: Mapping[str, str] | None = None) -> Speech:
    """Return how the office wants texts of this language spoken. `stored`: as for `office`."""
    stored = read_all(session) if stored is None else stored
    rate, pitch = (stored.get(f"{name}_{language}", "") for name in ("rate", "pitch"))
    return Speech(stored.get(f"voice_{language}", ""), int(rate) if rate else None, int(pitch) if pitch else None)


def _in_force(settings: Settings, stored: Mapping[str, str], name: str) -> str:
    """Return the environment's value, else the page's, else the default; of a context, that of the exchange's kind."""
    origin = SHARED[name]
    if settings.from_environment(origin):
        return str(getattr(settings, origin))
    if name in stored and (stored[name] or not name.endswith("_context")):
        return stored[name]
    if name.endswith("_context"):
        return CONTEXTS[_in_force(settings, stored, "pbx_profile")][name]
    return str(getattr(settings, origin))


def number_rules(session: Session, settings: Settings) -> NumberRules:
    """Return the rules by which numbers are made canonical: the office's country, area code and own extensions."""
    here = office(session, settings)
    return NumberRules(
        region=here.region,
        area_code=here.area_code,
        extensions=frozenset(session.scalars(select(ExtensionRow.extension))),
    )
