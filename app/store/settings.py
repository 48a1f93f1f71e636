"""The values of the settings page. One that the environment gives wins, and is read-only in the panel."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain.numbers import NumberRules, OutboundFormat
from app.store.models import LineRow, Setting


def read_setting(session: Session, name: str, default: str = "") -> str:
    row = session.get(Setting, name)
    return default if row is None else row.value


def write_setting(session: Session, name: str, value: str) -> None:
    session.merge(Setting(name=name, value=value))


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


# The settings that both the environment and the panel may give, by their name in each.
SHARED = {
    "timezone": "timezone",
    "region": "default_region",
    "area_code": "area_code",
    "locale": "default_locale",
    "outbound_context": "outbound_context",
}


def read_all(session: Session) -> dict[str, str]:
    """Return every value of the settings page by its name."""
    return dict(session.execute(select(Setting.name, Setting.value)).all())


def office(session: Session, settings: Settings, stored: Mapping[str, str] | None = None) -> Office:
    """Return the office's settings in force. `stored`: what `read_all` gave, if that was asked already."""
    stored = read_all(session) if stored is None else stored
    values = {
        name: getattr(settings, origin)
        if settings.from_environment(origin)
        else stored.get(name, getattr(settings, origin))
        for name, origin in SHARED.items()
    }
    return Office(
        **values,
        caller_id=stored.get("caller_id", ""),
        outbound_format=OutboundFormat(stored.get("outbound_format", OutboundFormat.NATIONAL.value)),
        outbound_prefix=stored.get("outbound_prefix", ""),
    )


def number_rules(session: Session, settings: Settings) -> NumberRules:
    """Return the rules by which numbers are made canonical: the office's country, area code and own extensions."""
    here = office(session, settings)
    return NumberRules(
        region=here.region, area_code=here.area_code, extensions=frozenset(session.scalars(select(LineRow.extension)))
    )
