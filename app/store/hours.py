"""Load the office hours: the office's and the modules' weeks, and the days that differ from them."""

import logging
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.hours import (
    ALWAYS,
    DAYTIME,
    SEARCHED,
    Hours,
    Opening,
    Spans,
    Week,
    format_week,
    opening,
    parse_spans,
    parse_week,
)
from app.store.models import Module, SpecialDay
from app.store.official_holidays import official_holidays
from app.store.settings import read_setting, write_setting

log = logging.getLogger(__name__)
# The settings. An office without a week is always open: it is older than office hours.
WEEK, OFFICIAL, SPREAD = "office_hours", "official_holidays", "opening_spread"
DEFAULT_SPREAD = 300  # seconds


class OfficeHours:
    """The hours of the office and its modules around a moment. They are built when they are asked for."""

    def __init__(self, zone: tzinfo, week: Week, days: Mapping[date, Spans], spread: timedelta) -> None:
        self._zone, self._week, self._days, self._spread = zone, week, tuple(sorted(days.items())), spread
        self._hours: dict[tuple[str, bool], Hours] = {}  # most modules have those of the office

    @property
    def office(self) -> Hours:
        return Hours(self._zone, self._week, self._days)

    def of(self, module: Module) -> Hours:
        """Return the hours of a module: its own, or the office's."""
        key = module.hours, module.holidays
        if key not in self._hours:
            week = _parse(module.hours) if module.hours else self._week
            self._hours[key] = Hours(self._zone, week, self._days if module.holidays else ())
        return self._hours[key]

    def openings(self, modules: Iterable[Module | None], now: datetime) -> dict[int, Opening]:
        """Return by module whether its office is open."""
        openings: dict[int, Opening] = {}
        of_hours: dict[int, Opening] = {}
        for module in modules:
            if module is not None and module.id not in openings:
                hours = self.of(module)
                if id(hours) not in of_hours:
                    of_hours[id(hours)] = opening(hours, now, self._spread)
                openings[module.id] = of_hours[id(hours)]
        return openings


def load_hours(session: Session, timezone: str, region: str, stored: Mapping[str, str], now: datetime) -> OfficeHours:
    """Return the office hours. `region` is the office's country, `stored` the result of `settings.read_all`."""
    rows = session.execute(select(SpecialDay.date, SpecialDay.hours).where(SpecialDay.date.between(*_around(now))))
    return make_hours(timezone, region, stored, [(day, hours) for day, hours in rows], now)


def make_hours(
    timezone: str, region: str, stored: Mapping[str, str], special_days: Iterable[tuple[date, str]], now: datetime
) -> OfficeHours:
    """Return the office hours. `special_days` are dates and their hours; the rest as `load_hours`."""
    first, last = _around(now)
    days = dict(official_days(region, first, last)) if stored.get(OFFICIAL) else {}
    days |= {day: _parse_day(hours) for day, hours in special_days if first <= day <= last}
    spread = timedelta(seconds=int(stored.get(SPREAD, DEFAULT_SPREAD)))
    return OfficeHours(_zone(timezone), office_week(stored), days, spread)


def office_week(stored: Mapping[str, str]) -> Week:
    """Return the week of the office. `stored` as for `load_hours`."""
    return _parse(stored[WEEK]) if WEEK in stored else ALWAYS


def set_first_hours(session: Session) -> None:
    """Let the phones of a new office be silent at night. An office that has modules, or hours, is not new."""
    if read_setting(session, WEEK) or session.scalar(select(func.count()).select_from(Module)):
        return
    write_setting(session, WEEK, format_week(DAYTIME))


@lru_cache(maxsize=16)
def official_days(region: str, first: date, last: date) -> tuple[tuple[date, Spans], ...]:
    """Return the official holidays of a country from `first` to `last`, as days without spans."""
    years = range(first.year, last.year + 1)
    found = (day for year in years for day, _name in official_holidays(region, year))
    return tuple((day, ()) for day in found if first <= day <= last)


def _around(now: datetime) -> tuple[date, date]:
    """Return the first and the last day that can matter."""
    return (now - SEARCHED).date(), (now + SEARCHED).date()


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        log.error("unknown time zone: %r", name)
        return ZoneInfo("UTC")


@lru_cache(maxsize=256)
def _parse(text: str) -> Week:
    """Parse a stored week. One that cannot be read is closed: no phone rings at a wrong time."""
    try:
        return parse_week(text)
    except ValueError:
        log.error("the stored office hours cannot be read: %r", text)
        return parse_week("")


@lru_cache(maxsize=1024)
def _parse_day(text: str) -> Spans:
    try:
        return parse_spans(text)
    except ValueError:
        log.error("the stored hours of a day cannot be read: %r", text)
        return ()
