"""Settings that the panel stores. A value from the environment wins, and the panel shows it read-only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.config import CONTEXTS, Settings
from app.domain.numbers import NumberRules, OutboundFormat
from app.store.models import ExtensionRow, Setting


@dataclass(frozen=True)
class OfficeSettings:
    """The settings of the office and its outgoing calls."""

    timezone: str
    region: str
    area_code: str
    locale: str
    outbound_context: str
    caller_id: str = ""  # the number that customers see
    outbound_format: OutboundFormat = OutboundFormat.NATIONAL
    outbound_prefix: str = ""


@dataclass(frozen=True)
class PbxSettings:
    """How to connect to the PBX, and the names of its contexts. `agi_host` is the worker's address for the PBX."""

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
    """How texts are spoken. "" and None mean the language's default; `rate` is words per minute, `pitch` 0-99."""

    voice: str = ""
    rate: int | None = None
    pitch: int | None = None


# Settings that both the panel and the environment can give: name in the panel -> field of `config.Settings`.
ENVIRONMENT_NAMES = {
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
SECRETS = frozenset({"ami_secret"})  # never shown on a page or in the log
_OFFICE_NAMES = ("timezone", "region", "area_code", "locale", "outbound_context")


def read_setting(session: Session, name: str, default: str = "") -> str:
    """Return a stored value."""
    row = session.get(Setting, name)
    return default if row is None else row.value


def write_setting(session: Session, name: str, value: str) -> None:
    """Insert or update a value. One statement, so that two first saves at the same time do not collide."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    row = dialect.insert(Setting).values(name=name, value=value)
    row = row.on_conflict_do_update(index_elements=[Setting.name], set_={"value": row.excluded.value})
    session.scalars(row.returning(Setting), execution_options={"populate_existing": True}).one()


def read_all(session: Session) -> dict[str, str]:
    """Return all stored values by name."""
    return dict(session.execute(select(Setting.name, Setting.value)).all())


def office(session: Session, settings: Settings, stored: Mapping[str, str] | None = None) -> OfficeSettings:
    """Return the effective office settings. `stored`: the result of `read_all`, if the caller has it already."""
    stored = read_all(session) if stored is None else stored
    return OfficeSettings(
        **{name: _effective(settings, stored, name) for name in _OFFICE_NAMES},
        caller_id=stored.get("caller_id", ""),
        outbound_format=OutboundFormat(stored.get("outbound_format", OutboundFormat.NATIONAL.value)),
        outbound_prefix=stored.get("outbound_prefix", ""),
    )


def pbx(session: Session, settings: Settings, stored: Mapping[str, str] | None = None) -> PbxSettings:
    """Return the effective PBX settings. `stored` as for `office`."""
    stored = read_all(session) if stored is None else stored
    values: dict[str, Any] = {name: _effective(settings, stored, name) for name in PbxSettings.__dataclass_fields__}
    return PbxSettings(**values | {"ami_port": int(values["ami_port"])})


def speech(session: Session, language: str, stored: Mapping[str, str] | None = None) -> Speech:
    """Return the office's choice for texts in this language. `stored` as for `office`."""
    stored = read_all(session) if stored is None else stored
    rate, pitch = (stored.get(f"{name}_{language}", "") for name in ("rate", "pitch"))
    return Speech(stored.get(f"voice_{language}", ""), int(rate) if rate else None, int(pitch) if pitch else None)


def _effective(settings: Settings, stored: Mapping[str, str], name: str) -> str:
    """Return the value from the environment, else the stored one, else the default.

    An empty context means the default of the PBX profile.
    """
    field = ENVIRONMENT_NAMES[name]
    if settings.from_environment(field):
        return str(getattr(settings, field))
    is_context = name.endswith("_context")
    if name in stored and (stored[name] or not is_context):
        return stored[name]
    if is_context:
        return CONTEXTS[_effective(settings, stored, "pbx_profile")][name]
    return str(getattr(settings, field))


def number_rules(session: Session, settings: Settings) -> NumberRules:
    """Return the rules for normalizing numbers: the office's country, area code and extensions."""
    here = office(session, settings)
    return NumberRules(
        region=here.region,
        area_code=here.area_code,
        extensions=frozenset(session.scalars(select(ExtensionRow.extension))),
    )
