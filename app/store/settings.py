"""Settings that the panel stores. A value from the environment wins, and the panel shows it read-only."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from sqlalchemy import MetaData, Table, select, union_all
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.config import AGI_PORTS, CONTEXTS, Settings
from app.domain.dial_order import AnnouncementOrder
from app.domain.limits import RegistrationLimits
from app.domain.mail import MailServer, Security
from app.domain.numbers import NumberPlan, OutboundFormat
from app.domain.retention import Retention
from app.domain.second_factor import Requirement
from app.store import encryption
from app.store.exchanges import exchange_of
from app.store.models import ExtensionRow, Setting
from app.store.once import read_once
from app.store.version import renew_configuration_version

log = logging.getLogger(__name__)


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
    min_talk: int = 5  # seconds after which a talk counts as reached
    second_factor: Requirement = Requirement.NOBODY  # who needs one
    announced_first: AnnouncementOrder = AnnouncementOrder.NUMBER  # what agents hear first of a request
    hold_queues: bool = True  # queues give a member no caller while we ring them


@dataclass(frozen=True)
class CallLimits:
    """How many calls of ours there may be. 0 means no limit.

    `calls` and `route_calls`: at once, in all and through one outbound context. `daily_calls`: automatic ones to
    customers outside in 24 hours.
    """

    calls: int = 0
    route_calls: int = 0
    daily_calls: int = 1000


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
    """How texts are spoken. "" and None mean the language's default; `rate` is words per minute, `pitch` 0-99.

    `pronunciations`: the office's list, a line "word = written as" for each. `recorded`: recordings that are played
    instead of default texts, by the key of their prompt.
    """

    voice: str = ""
    rate: int | None = None
    pitch: int | None = None
    pronunciations: str = ""
    recorded: Mapping[str, str] = field(default_factory=dict)


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
REGISTRATION_LIMITS = tuple(limit.name for limit in fields(RegistrationLimits))  # stored with "_limit" at the end
KEEP = "keep_"  # the settings of retention begin with this
PBX_NOT_ENTERED = "pbx_not_entered"  # stored while the secret is a generated one and nobody has saved the settings
PBX_CONTEXTS = "pbx_contexts"  # those that a connection test has found, with spaces between
AGI_REFUSED = "agi_refused"  # the last address from which a FastAGI connection was refused
PANEL_URL = "panel_url"  # the address of the panel for links in e-mail, with a slash at the end; "": none
# never shown on a page or in the log
SECRETS = frozenset({"ami_secret", "name_lookup_key", "mail_password"})
# Settings of the panel. All exchanges read and write those of the first one.
OF_PANEL = frozenset(
    {
        *("second_factor", PANEL_URL, "known_hosts", "hosts_learned_until", "push_private_key", "setup_token"),
        *("mail_host", "mail_port", "mail_security", "mail_username", "mail_password", "mail_sender"),
        *("mail_inside", "mail_ca"),
    }
)
_OFFICE_NAMES = ("timezone", "region", "area_code", "locale", "outbound_context")


def read_setting(session: Session, name: str, default: str = "") -> str:
    """Return a stored value."""
    panel = _table_of_panel(session) if name in OF_PANEL else None
    if panel is not None:
        found = session.scalar(select(panel.c.value).where(panel.c.name == name))
        return default if found is None else str(found)
    row = session.get(Setting, name)
    return default if row is None else row.value


def write_setting(session: Session, name: str, value: str) -> None:
    """Insert or update a value. One statement, so that two first saves at the same time do not collide."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    panel = _table_of_panel(session) if name in OF_PANEL else None
    if panel is not None:
        row = postgresql.insert(panel).values(name=name, value=value)
        session.execute(row.on_conflict_do_update(index_elements=["name"], set_={"value": row.excluded.value}))
        renew_configuration_version(session, panel)
        return
    row = dialect.insert(Setting).values(name=name, value=value)
    row = row.on_conflict_do_update(index_elements=[Setting.name], set_={"value": row.excluded.value})
    session.scalars(row.returning(Setting), execution_options={"populate_existing": True}).one()


def add_setting(session: Session, name: str, value: str) -> None:
    """Insert a value, unless there is one."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    panel = _table_of_panel(session) if name in OF_PANEL else None
    table = Setting if panel is None else panel
    session.execute(dialect.insert(table).values(name=name, value=value).on_conflict_do_nothing())


def read_all(session: Session) -> dict[str, str]:
    """Return all stored values by name, those of the panel included. They must not be modified."""
    return read_once(session, "settings", lambda: _read_all(session))


def _read_all(session: Session) -> dict[str, str]:
    panel = _table_of_panel(session)
    own = select(Setting.name, Setting.value)
    if panel is None:
        return dict(session.execute(own).all())
    of_panel = select(panel.c.name, panel.c.value).where(panel.c.name.in_(OF_PANEL))
    rows = session.execute(union_all(own.where(Setting.name.not_in(OF_PANEL)), of_panel))
    return {row.name: row.value for row in rows}


def _table_of_panel(session: Session) -> Table | None:
    """Return the table with the settings of the panel, None if it is that of the session's own exchange."""
    key = exchange_of(session)
    return None if key.is_first else _settings_in(key.shared)


@cache
def _settings_in(schema: str) -> Table:
    return Setting.metadata.tables[Setting.__tablename__].to_metadata(MetaData(), schema=schema)


def office(session: Session, settings: Settings, stored: Mapping[str, str] | None = None) -> OfficeSettings:
    """Return the effective office settings. `stored`: the result of `read_all`, if the caller has it already."""
    return office_of(settings, read_all(session) if stored is None else stored)


def office_of(settings: Settings, stored: Mapping[str, str]) -> OfficeSettings:
    """Return the effective office settings. `stored`: the result of `read_all`."""
    return OfficeSettings(
        **{name: _effective(settings, stored, name) for name in _OFFICE_NAMES},
        caller_id=stored.get("caller_id", ""),
        outbound_format=OutboundFormat(stored.get("outbound_format", OutboundFormat.NATIONAL.value)),
        outbound_prefix=stored.get("outbound_prefix", ""),
        min_talk=int(stored.get("min_talk", OfficeSettings.min_talk)),
        second_factor=second_factor_requirement(stored),
        announced_first=AnnouncementOrder(stored.get("announced_first", AnnouncementOrder.NUMBER.value)),
        hold_queues=stored.get("hold_queues", "1") == "1",
    )


def second_factor_requirement(stored: Mapping[str, str]) -> Requirement:
    """Return who needs a second factor. `stored` as for `office`."""
    return Requirement(stored.get("second_factor", Requirement.NOBODY.value))


def call_limits(stored: Mapping[str, str]) -> CallLimits:
    """Return the limits of calls. `stored` as for `office`."""
    return CallLimits(
        int(stored.get("calls_limit") or 0),
        int(stored.get("route_calls_limit") or 0),
        int(stored.get("daily_calls_limit", CallLimits.daily_calls)),
    )


def registration_limits(stored: Mapping[str, str]) -> RegistrationLimits:
    """Return the limits of what callers may register. `stored` as for `office`."""
    limits = {name: int(stored[f"{name}_limit"]) for name in REGISTRATION_LIMITS if f"{name}_limit" in stored}
    return RegistrationLimits(**limits)


def retention(stored: Mapping[str, str]) -> Retention:
    """Return for how long finished data is kept. `stored` as for `office`."""
    names = [name.name for name in fields(Retention) if f"{KEEP}{name.name}" in stored]
    return Retention(**{name: int(stored[f"{KEEP}{name}"]) for name in names})


def pbx(session: Session, settings: Settings, stored: Mapping[str, str] | None = None) -> PbxSettings:
    """Return the effective PBX settings. `stored` as for `office`."""
    return pbx_of(settings, read_all(session) if stored is None else stored)


def pbx_of(settings: Settings, stored: Mapping[str, str]) -> PbxSettings:
    """Return the effective PBX settings. `stored`: the result of `read_all`."""
    values: dict[str, Any] = {name: _effective(settings, stored, name) for name in PbxSettings.__dataclass_fields__}
    return PbxSettings(**values | {"ami_port": int(values["ami_port"]), "ami_secret": _ami_secret(settings, stored)})


def pbx_is_given(settings: Settings, stored: Mapping[str, str]) -> bool:
    """Return whether somebody has given the PBX settings, in the panel or the environment. `stored` as for `office`.

    Before that, a log-in could only be refused, and a PBX that counts refused log-ins would block this machine.
    """
    if settings.from_environment("ami_secret"):
        return True
    return "ami_secret" in stored and PBX_NOT_ENTERED not in stored


def agi_port(settings: Settings, stored: Mapping[str, str]) -> int:
    """Return the port of the FastAGI server; 0 means any free one. `stored` as for `office`."""
    if settings.from_environment("agi_port"):
        return settings.agi_port
    return AGI_PORTS[_effective(settings, stored, "pbx_profile")]


def _ami_secret(settings: Settings, stored: Mapping[str, str]) -> str:
    """Return the secret; "" if it cannot be decrypted. The PBX then refuses the log-in, and the doctor says why."""
    if settings.from_environment("ami_secret"):
        return settings.ami_secret
    try:
        return encryption.decrypt(settings, stored.get("ami_secret", ""))
    except encryption.CannotDecrypt:
        log.error("the stored secret for the PBX was encrypted with another key: enter it again in the panel")
        return ""


def speech(session: Session, language: str, stored: Mapping[str, str] | None = None) -> Speech:
    """Return the office's choice for texts in this language. `stored` as for `office`."""
    stored = read_all(session) if stored is None else stored
    voice, rate, pitch, pronunciations = (
        stored.get(f"{name}_{language}", "") for name in ("voice", "rate", "pitch", "pronunciations")
    )
    return Speech(voice, int(rate) if rate else None, int(pitch) if pitch else None, pronunciations)


def mail_server(settings: Settings, stored: Mapping[str, str]) -> MailServer | None:
    """Return the server for e-mail, None if none is entered. `stored` as for `office`. Raises CannotDecrypt."""
    if not stored.get("mail_host"):
        return None
    return MailServer(
        host=stored["mail_host"],
        port=int(stored["mail_port"]),
        security=Security(stored["mail_security"]),
        sender=stored["mail_sender"],
        username=stored.get("mail_username", ""),
        password=encryption.decrypt(settings, stored.get("mail_password", "")),
        inside=stored.get("mail_inside") == "1",
        ca=stored.get("mail_ca", ""),
    )


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


def number_plan(session: Session, settings: Settings, stored: Mapping[str, str] | None = None) -> NumberPlan:
    """Return how numbers are read: the office's country, area code and extensions. `stored` as for `office`."""
    here = office(session, settings, stored)
    return NumberPlan(
        region=here.region,
        area_code=here.area_code,
        extensions=frozenset(session.scalars(select(ExtensionRow.extension).where(ExtensionRow.devices != ""))),
    )
