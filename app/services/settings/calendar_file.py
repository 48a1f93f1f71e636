"""Read the days of an iCalendar file, which anybody may have made: its size, its events and the time are limited."""

import logging
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from app.audio.child_process import run_child
from app.audio.clip import SoundError
from app.domain.text import displayable
from app.services.errors import ErrorCode, Invalid

log = logging.getLogger(__name__)
LARGEST = 400_000  # bytes
MOST_EVENTS = 2000
MOST_DAYS = 400
AHEAD = timedelta(days=2 * 366)
SECONDS = 5.0
_CHILD = Path(__file__).with_name("calendar_child.py")


@dataclass(frozen=True)
class CalendarDays:
    """The days that all-day events cover, with their names. `timed` counts the events with a time of day."""

    days: tuple[tuple[date, str], ...]
    timed: int


def read_calendar(content: bytes, today: date) -> CalendarDays:
    """Return the days of a file from today on. Raises Invalid for the field `calendar`."""
    if len(content) > LARGEST:
        raise Invalid({"calendar": ErrorCode.CALENDAR_SIZE})
    try:
        text = content.decode("utf-8-sig").replace("\0", "")
    except UnicodeDecodeError:
        raise Invalid({"calendar": ErrorCode.NO_CALENDAR}) from None
    if text.upper().count("BEGIN:VEVENT") > MOST_EVENTS:
        raise Invalid({"calendar": ErrorCode.CALENDAR_SIZE})
    dates = {"first": today.isoformat(), "last": (today + AHEAD).isoformat()}
    try:
        reply = run_child(str(_CHILD), {"content": text, "most": MOST_DAYS, **dates}, timeout=SECONDS, file_bytes=0)
    except SoundError as error:
        # Too slow, or it needed too much memory: nobody's holidays do.
        code = ErrorCode.BUSY if error.code == "busy" else ErrorCode.CALENDAR_SIZE
        raise Invalid({"calendar": code}) from None
    if "fault" in reply:
        log.info("a calendar file was refused: %s", reply)
        raise Invalid({"calendar": ErrorCode(reply["fault"])})
    days = tuple((date.fromisoformat(day), displayable(name, 80)) for day, name in reply["days"])
    return CalendarDays(days, int(reply["timed"]))
