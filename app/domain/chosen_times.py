"""The time that somebody chooses for a call: what the caller's keys mean, and where it moves if it cannot be then."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo

from app.domain.hours import Hours, stops_offering

QUARTER = timedelta(minutes=15)
LATEST = timedelta(days=90)  # how far a time may lie ahead
MINUTES: Mapping[str, int] = {str(tens): 10 * tens for tens in range(1, 10)}  # key -> in how many minutes
# key -> the part of tomorrow, on the clock of the office. "24:00" is written as time.max.
TOMORROW: Mapping[str, tuple[time, time]] = {"*": (time(8), time(12)), "#": (time(13), time.max)}
KEYS = "".join((*MINUTES, *TOMORROW))


@dataclass(frozen=True)
class Wish:
    """The time that a caller asked for: a moment from `first` to `last` serves them."""

    first: datetime
    last: datetime


def wish_of(key: str, now: datetime, zone: tzinfo) -> Wish:
    """Return what the caller wishes who presses one of KEYS. Raises KeyError."""
    if key in MINUTES:
        moment = now + timedelta(minutes=MINUTES[key])
        return Wish(moment, moment)
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    first, last = (datetime.combine(tomorrow, at, zone).astimezone(UTC) for at in TOMORROW[key])
    return Wish(first, last)


def quarter_of(moment: datetime) -> datetime:
    """Return the start of the quarter of an hour in which a moment lies. All time zones have the same quarters."""
    return moment.replace(minute=moment.minute - moment.minute % 15, second=0, microsecond=0)


def find_free(
    wished: datetime,
    hours: Hours,
    taken: Mapping[datetime, int],
    limit: int = 0,
    before_closing: timedelta = timedelta(0),
) -> datetime | None:
    """Return the first moment from `wished` on that is in the hours, and whose quarter of an hour is not full.

    `taken` says how many requests each quarter has already, by its start; `limit` is the most it may have, 0: as many
    as wished. Nothing is free in the last `before_closing` of the hours. None if nothing is free until LATEST.
    """
    moment: datetime | None = wished
    while moment is not None and moment <= wished + LATEST:
        if stops_offering(hours, moment, before_closing):
            moment = _next_opening(hours, moment)
        elif 0 < limit <= taken.get(quarter_of(moment), 0):
            moment = quarter_of(moment) + QUARTER
        else:
            return moment
    return None


def _next_opening(hours: Hours, moment: datetime) -> datetime | None:
    if hours.is_open(moment):
        closing = hours.next_change(moment)
        return None if closing is None else hours.next_change(closing)
    return hours.next_change(moment)
