"""The office hours, and the days that differ from them. An administrator changes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain.hours import Week, format_spans, format_week, parse_spans, parse_week
from app.services import audit, commands
from app.services.audit import AuditAction
from app.services.errors import ErrorCode, Invalid, NotFound, check_line
from app.services.settings.calendar_file import CalendarDays, read_calendar
from app.services.settings.save import save_values
from app.store import hours as store_hours
from app.store import official_holidays, waiting
from app.store import settings as store
from app.store.database import Database
from app.store.hours import OFFICIAL, SPREAD, WEEK
from app.store.models import SpecialDay

LONGEST_NAME = 80
LONGEST_SPREAD = 7200  # seconds
LONGEST_VACATION = timedelta(days=60)
MOST_DAYS = 1000
KEPT = timedelta(days=30)  # how long past days are shown


@dataclass(frozen=True)
class HoursInput:
    """`week` is as `hours.parse_week` reads it. `spread` is in seconds."""

    week: str
    official: bool
    spread: int


@dataclass(frozen=True)
class DayView:
    """A day that differs from the week. `hours` is "" if the office is closed."""

    date: date
    hours: str
    name: str
    created_by: str
    created_at: datetime


@dataclass(frozen=True)
class HoursView:
    """The page of the office hours. `official` are the coming official holidays of the country with their names.

    `is_set`: somebody has chosen the hours; otherwise the office is always open. `can_be_official`: the official
    holidays of the country are known.
    """

    input: HoursInput
    is_set: bool
    region: str
    can_be_official: bool
    days: Sequence[DayView]
    official: Sequence[tuple[date, str]]


def load(database: Database, settings: Settings, now: datetime, *, english: bool = False) -> HoursView:
    """Return the office hours. `english`: name the official holidays in English."""
    with database.read() as session:
        stored = store.read_all(session)
        office = store.office(session, settings, stored)
        today = now.astimezone(ZoneInfo(office.timezone)).date()
        rows = session.scalars(
            select(SpecialDay).where(SpecialDay.date >= today - KEPT).order_by(SpecialDay.date)
        ).all()
        week = store_hours.office_week(stored)
    is_official = bool(stored.get(OFFICIAL))
    spread = int(stored.get(SPREAD, store_hours.DEFAULT_SPREAD))
    official = [
        named
        for year in (today.year, today.year + 1)
        for named in official_holidays.official_holidays(office.region, year, english)
        if today <= named[0] <= today + timedelta(days=366)
    ]
    return HoursView(
        HoursInput(format_week(week), is_official, spread),
        WEEK in stored,
        office.region,
        official_holidays.has_holidays(office.region),
        [DayView(row.date, row.hours, row.name, row.created_by, row.created_at) for row in rows],
        official if is_official else (),
    )


def office_week(database: Database) -> Week:
    """Return the week of the office."""
    with database.read() as session:
        return store_hours.office_week(store.read_all(session))


def save(database: Database, given: HoursInput, *, actor: str, now: datetime) -> None:
    """Store the week, whether the official holidays count, and the spread. Raises Invalid."""
    errors: dict[str, ErrorCode] = {}
    try:
        week = format_week(parse_week(given.week))
    except ValueError:
        errors["week"] = ErrorCode.HOURS
    if not 0 <= given.spread <= LONGEST_SPREAD:
        errors["spread"] = ErrorCode.RANGE
    if errors:
        raise Invalid(errors)
    values = {WEEK: week, OFFICIAL: "1" if given.official else "", SPREAD: str(given.spread)}
    with database.write() as session:
        save_values(session, values, now, actor=actor)
        _apply(session)


def add_days(
    database: Database,
    first: date | None,
    last: date | None,
    name: str,
    hours: str,
    *,
    actor: str,
    now: datetime,
) -> int:
    """Add the days from `first` to `last`, or one if `last` is None; return how many. Days that exist are replaced.

    `hours` is as `hours.parse_spans` reads it; "" means closed. Raises Invalid.
    """
    name = name.strip()
    errors = check_line("name", name, LONGEST_NAME)
    if first is None:
        errors["date"] = ErrorCode.REQUIRED
    elif last is not None and not timedelta(0) <= last - first <= LONGEST_VACATION:
        errors["last_date"] = ErrorCode.RANGE
    try:
        hours = format_spans(parse_spans(hours))
    except ValueError:
        errors["hours"] = ErrorCode.HOURS
    if errors:
        raise Invalid(errors)
    assert first is not None
    days = [first + timedelta(days=number) for number in range(((last or first) - first).days + 1)]
    with database.write() as session:
        _check_room(session, len(days), "date")
        for day in days:
            before = session.get(SpecialDay, day)
            old = (before.name, before.hours) if before is not None else (None, None)
            session.merge(SpecialDay(date=day, hours=hours, name=name, created_by=actor, created_at=now))
            changed = audit.changes({"name": old[0], "day_hours": old[1]}, {"name": name, "day_hours": hours})
            audit.record(session, actor, AuditAction.SPECIAL_DAY_SAVED, day.isoformat(), changed, now)
        _apply(session)
    return len(days)


def remove_day(database: Database, day: date, *, actor: str, now: datetime) -> None:
    """Remove a day: the week holds again. Raises NotFound."""
    with database.write() as session:
        row = session.get(SpecialDay, day)
        if row is None:
            raise NotFound(f"special day {day}")
        session.delete(row)
        changed = {"name": [row.name, None], "day_hours": [row.hours, None]}
        audit.record(session, actor, AuditAction.SPECIAL_DAY_REMOVED, day.isoformat(), changed, now)
        _apply(session)


@dataclass(frozen=True)
class ImportResult:
    """How many days were added, and how many were there already. `timed` as in CalendarDays."""

    added: int
    existing: int
    timed: int


def import_days(
    database: Database, settings: Settings, content: bytes, file: str, *, actor: str, now: datetime
) -> ImportResult:
    """Add the days of an iCalendar file as days on which the office is closed. Days that exist stay. Raises Invalid."""
    with database.read() as session:
        zone = ZoneInfo(store.office(session, settings).timezone)
    found: CalendarDays = read_calendar(content, now.astimezone(zone).date())
    with database.write() as session:
        existing = set(session.scalars(select(SpecialDay.date)))
        new = [(day, name) for day, name in found.days if day not in existing]
        _check_room(session, len(new), "calendar")
        session.add_all(SpecialDay(date=day, name=name, created_by=actor, created_at=now) for day, name in new)
        if new:
            detail = {"days": [[], [f"{day.isoformat()} {name}".strip() for day, name in new]]}
            audit.record(session, actor, AuditAction.SPECIAL_DAYS_IMPORTED, file, detail, now)
        _apply(session)
    return ImportResult(len(new), len(found.days) - len(new), found.timed)


def _apply(session: Session) -> None:
    """Let the dispatcher look at all requests again: they may come to their turn at other times now."""
    waiting.release_all(session)
    commands.notify_worker(session)


def _check_room(session: Session, more: int, field: str) -> None:
    count = session.scalar(select(func.count()).select_from(SpecialDay)) or 0
    if count + more > MOST_DAYS:
        raise Invalid({field: ErrorCode.TOO_MANY_DAYS})
