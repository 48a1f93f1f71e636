"""Read an iCalendar file (RFC 5545) in a child process: its recurrences may take any amount of time and memory.

The request has `content`, and the first and the last day to look at. The reply has `days`: lists of the date and the
name of each day that an all-day event covers, in order; and `timed`: how many events with a time of day were left out.
Or it has `fault`: why the file is refused.
This file imports nothing of ours.
"""

import datetime
import json
import sys
from typing import Any

import recurring_ical_events  # type: ignore[import-untyped]
from icalendar import Calendar

LONGEST_NAME = 80


def find_days(content: str, first: datetime.date, last: datetime.date, most: int) -> dict[str, Any]:
    days: dict[str, str] = {}
    timed = 0
    calendars = Calendar.from_ical(content, multiple=True)
    if not calendars or any(calendar.name != "VCALENDAR" for calendar in calendars):
        return {"fault": "no_calendar"}
    for calendar in calendars:
        events = recurring_ical_events.of(calendar).between(first, last + datetime.timedelta(days=1))
        for event in events:
            if str(event.get("STATUS", "")).upper() == "CANCELLED":
                continue
            start, end = event["DTSTART"].dt, event["DTEND"].dt
            if isinstance(start, datetime.datetime):
                timed += 1
                continue
            name = " ".join(str(event.get("SUMMARY", "")).split())[:LONGEST_NAME]
            day = max(start, first)
            while day <= min(max(end - datetime.timedelta(days=1), start), last):
                days.setdefault(day.isoformat(), name)
                if len(days) > most:
                    return {"fault": "too_many_days"}
                day += datetime.timedelta(days=1)
    return {"days": sorted(days.items()), "timed": timed}


def main() -> None:
    request = json.load(sys.stdin)
    first, last = (datetime.date.fromisoformat(request[name]) for name in ("first", "last"))
    try:
        reply = find_days(request["content"], first, last, request["most"])
    except MemoryError:
        raise
    except Exception as error:  # the library raises many kinds for a damaged file
        reply = {"fault": "no_calendar", "reason": repr(error)[:300]}
    json.dump(reply, sys.stdout)


if __name__ == "__main__":
    main()
