"""The page with the office hours, the days that differ from them, and the import of a calendar."""

from datetime import timedelta
from io import BytesIO

import pytest

from app.config import Settings
from app.domain.hours import DAYTIME, format_week, parse_week
from app.services.errors import ErrorCode, Invalid
from app.services.settings import calendar_file, hours
from app.services.settings.calendar_file import read_calendar
from app.services.settings.hours import HoursInput
from app.store.database import Database
from app.web import wording
from app.web.context import utcnow
from tests.support.factories import NOW
from tests.web.pages import Page, Visitor

PATH = "/settings/hours"
DAY = timedelta(days=1)


def add(admin: Visitor, status: int = 302, **typed: str) -> Page:
    page = admin.get(PATH)
    return admin.post(f"{PATH}/days", page.fields(page.form(id="add-day")) | typed, status)


def days_of(database: Database, settings: Settings) -> list[tuple[str, str, str]]:
    view = hours.load(database, settings, utcnow())
    return [(day.date.isoformat(), day.hours, day.name) for day in view.days]


def test_week_is_saved_and_shown(admin: Visitor, database: Database, settings: Settings) -> None:
    page = admin.get(PATH)
    assert "No office hours are set" in page.main
    week = page.fields(page.form(id="week"))
    assert week["hours_sat"] == ["00:00-24:00"]
    changes = {"hours_sat": "۸ تا ۱۲ و ۱۳ تا ۱۷", "hours_sun": "08:00 - 17:00", "hours_fri": "", "spread": "10:00"}
    page = admin.follow(admin.post(PATH, week | changes | {"official": "y"}))
    assert "No office hours are set" not in page.main
    saved = hours.load(database, settings, NOW).input
    assert saved.week.endswith("thu 00:00-24:00; sat 08:00-12:00, 13:00-17:00; sun 08:00-17:00")
    assert (saved.official, saved.spread) == (True, 600)
    assert "The next official holidays of Iran" in page.main and "Nowruz" in page.main
    log = admin.get("/log").main
    assert "Office hours" in log and "Saturday: 08:00–12:00, 13:00–17:00" in log


def test_faults_of_the_week(admin: Visitor, database: Database) -> None:
    page = admin.get(PATH)
    week = page.fields(page.form(id="week"))
    page = admin.post(PATH, week | {"hours_mon": "8-12, 11-13", "spread": "3:00:00"}, 422)
    assert page.error("hours_mon") == wording.error("hours")
    assert page.fields(page.form(id="week"))["hours_mon"] == ["8-12, 11-13"]
    page = admin.post(PATH, week | {"spread": "3:00:00"}, 422)
    assert page.error("spread") == wording.error("range")


def test_days_are_added_and_removed(admin: Visitor, database: Database, settings: Settings) -> None:
    today = utcnow().date() + DAY
    page = admin.follow(add(admin, date=today.isoformat(), name="<b>Move</b>", last_date=(today + 2 * DAY).isoformat()))
    assert "<b>Move</b>" in page.main and "3 days are added." in page.message
    admin.follow(add(admin, date=today.isoformat(), hours="9-12"))
    assert days_of(database, settings) == [
        (today.isoformat(), "09:00-12:00", ""),
        *(((today + number * DAY).isoformat(), "", "<b>Move</b>") for number in (1, 2)),
    ]
    page = admin.follow(admin.post(f"{PATH}/days/remove", {"day": today.isoformat()}))
    assert "09:00–12:00" not in page.main
    for gone in (today.isoformat(), "yesterday", ""):
        admin.post(f"{PATH}/days/remove", {"day": gone}, 404)
    log = admin.get("/log").main
    assert f"The special day {today.isoformat()} was removed." in log


def test_faults_of_a_day(admin: Visitor) -> None:
    page = add(admin, 422, name="x" * 81, hours="all day")
    assert page.error("hours") == wording.error("hours")
    page = add(admin, 422, name="x" * 81)
    assert (page.error("date"), page.error("name")) == (wording.error("required"), wording.error("too_long"))
    page = add(admin, 422, date="2030-01-02", last_date="2030-01-01")
    assert page.error("last_date") == wording.error("range")
    page = add(admin, 422, date="1409-13-01")
    assert page.error("date") == wording.error("date")


# -- calendars --------------------------------------------------------------------------------------------------------

START = (NOW + 10 * DAY).date()


def calendar(*events: str) -> bytes:
    lines = "\r\n".join(f"BEGIN:VEVENT\r\nUID:{number}\r\n{event}\r\nEND:VEVENT" for number, event in enumerate(events))
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{lines}\r\nEND:VCALENDAR\r\n".encode()


def on(days: int) -> str:
    return f"{START + days * DAY:%Y%m%d}"


def test_all_day_events_become_days() -> None:
    found = read_calendar(
        calendar(
            f"DTSTART;VALUE=DATE:{on(0)}\r\nSUMMARY:عید نوروز",
            f"DTSTART;VALUE=DATE:{on(2)}\r\nDTEND;VALUE=DATE:{on(4)}\r\nSUMMARY:Two\u202e days",
            f"DTSTART;VALUE=DATE:20000320\r\nRRULE:FREQ=YEARLY;UNTIL={on(20)}\r\nSUMMARY:Each year",
            f"DTSTART;VALUE=DATE:{on(5)}\r\nSTATUS:CANCELLED",
            f"DTSTART:{on(6)}T080000Z\r\nDTEND:{on(6)}T090000Z\r\nSUMMARY:A meeting",
            "DTSTART;VALUE=DATE:20200101\r\nSUMMARY:Past",
        ),
        NOW.date(),
    )
    assert found.timed == 1
    assert [((day - START).days, name) for day, name in found.days] == [
        (0, "عید نوروز"),
        (2, "Two days"),
        (3, "Two days"),
        (8, "Each year"),
    ]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", ErrorCode.NO_CALENDAR),
        (b"MZ\x90\x00", ErrorCode.NO_CALENDAR),
        (b"\xff\xfe", ErrorCode.NO_CALENDAR),
        (b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART:never\r\nEND:VEVENT\r\n", ErrorCode.NO_CALENDAR),
        (b"x" * (calendar_file.LARGEST + 1), ErrorCode.CALENDAR_SIZE),
        (calendar(*["SUMMARY:x"] * (calendar_file.MOST_EVENTS + 1)), ErrorCode.CALENDAR_SIZE),
        (calendar(f"DTSTART;VALUE=DATE:{on(0)}\r\nRRULE:FREQ=DAILY"), ErrorCode.TOO_MANY_DAYS),
        (calendar(f"DTSTART;VALUE=DATE:{on(0)}\r\nDTEND;VALUE=DATE:{on(600)}"), ErrorCode.TOO_MANY_DAYS),
    ],
)
def test_other_files_are_refused(content: bytes, code: ErrorCode) -> None:
    with pytest.raises(Invalid) as caught:
        read_calendar(content, NOW.date())
    assert caught.value.errors == {"calendar": code}


@pytest.mark.parametrize(
    "rule", ["FREQ=SECONDLY", "FREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=30", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"]
)
def test_recurrence_bombs_end_in_time(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendar_file, "SECONDS", 0.3)
    bomb = calendar(*[f"DTSTART;VALUE=DATE:19000101\r\nRRULE:{rule}"] * 200)
    with pytest.raises(Invalid) as caught:
        read_calendar(bomb, NOW.date())
    assert caught.value.errors["calendar"] in (ErrorCode.CALENDAR_SIZE, ErrorCode.NO_CALENDAR, ErrorCode.TOO_MANY_DAYS)


def test_a_calendar_is_imported_by_the_page(admin: Visitor, database: Database, settings: Settings) -> None:
    today = utcnow().date()
    days = [f"DTSTART;VALUE=DATE:{today + number * DAY:%Y%m%d}\r\nSUMMARY:Holiday {number}" for number in (5, 6)]
    admin.follow(add(admin, date=(today + 5 * DAY).isoformat(), name="By hand"))
    meeting = f"DTSTART:{today + 9 * DAY:%Y%m%d}T080000Z"
    file = (BytesIO(calendar(*days, meeting)), "holidays.ics")
    page = admin.follow(admin.post(f"{PATH}/calendar", {"calendar": file}))
    assert page.message == ("1 day is added. 1 day was there already. 1 event with a time of day is left out.")
    assert [name for _, _, name in days_of(database, settings)] == ["By hand", "Holiday 6"]
    log = admin.get("/log").main
    assert "Special days were imported from the file holidays.ics." in log and "Holiday 6" in log
    page = admin.post(f"{PATH}/calendar", {"calendar": (BytesIO(b"x"), "x.ics")}, 422)
    assert page.error("calendar") == wording.error("no_calendar")
    assert admin.post(f"{PATH}/calendar", {}, 422).error("calendar") == wording.error("no_file")


def test_days_have_a_limit(database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hours, "MOST_DAYS", 1)
    hours.add_days(database, START, None, "", "", actor="sara", now=NOW)
    with pytest.raises(Invalid):
        hours.add_days(database, START + DAY, None, "", "", actor="sara", now=NOW)


def test_service_refuses_a_wrong_week(database: Database) -> None:
    with pytest.raises(Invalid) as caught:
        hours.save(database, HoursInput("sat 8", official=False, spread=0), actor="sara", now=NOW)
    assert caught.value.errors == {"week": ErrorCode.HOURS}
    assert parse_week(format_week(DAYTIME)) == DAYTIME
