"""Office hours: when phones may ring by themselves, when they next may, and what callers are told meanwhile.

Hours are read from the clock on the wall of the office. So a span from 08:00 begins when that clock says 08:00, also on
the day after it was put forward. Where the clock skips a part of a span, the span is shorter. Where it says the same
times twice, the span comes twice.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from functools import cached_property, lru_cache
from itertools import pairwise

DAY = 24 * 60  # minutes
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")  # as `date.weekday` counts them
MOST_SPANS = 6  # in a day
SEARCHED = timedelta(days=400)  # how far a change is looked for
_STEP = timedelta(days=7)
_REPEATS = timedelta(days=16)  # without days that differ, all that happens in longer has happened in this time


class Outside(StrEnum):
    """What a module does for callers outside the office hours."""

    OFFER = "offer"  # the same as inside
    NEXT_OPENING = "next_opening"  # say that the office is closed, and offer a call after the next opening
    DECLINE = "decline"  # say that the office is closed; the call goes to the error destination


class AtClosing(StrEnum):
    """What becomes of a module's open requests when the office closes."""

    CARRY_OVER = "carry_over"  # they wait for the next opening
    GIVE_UP = "give_up"  # those whose customer was called and not reached fail; the others wait
    EXPIRE = "expire"  # all expire


@dataclass(frozen=True, order=True)
class Span:
    """A part of a day, in minutes since its midnight. `end` is not included. It may lie in the next day."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < DAY or not self.start < self.end <= self.start + DAY:
            raise ValueError(f"no part of a day: {self.start}-{self.end}")


Spans = tuple[Span, ...]
Week = tuple[Spans, ...]  # the spans of the seven days, Monday first

WHOLE_DAY: Spans = (Span(0, DAY),)
ALWAYS: Week = (WHOLE_DAY,) * 7
NEVER: Week = ((),) * 7
DAYTIME: Week = ((Span(8 * 60, 21 * 60),),) * 7  # of a new office: nobody is rung at night


@dataclass(frozen=True)
class Hours:
    """The hours of an office or a module.

    `days` are the days that differ from the week, in order. Holidays have no spans.
    """

    zone: tzinfo
    week: Week = ALWAYS
    days: tuple[tuple[date, Spans], ...] = ()

    @cached_property
    def _by_date(self) -> Mapping[date, Spans]:
        return dict(self.days)

    @property
    def is_always(self) -> bool:
        return self.week == ALWAYS and not self.days

    def spans_of(self, day: date) -> Spans:
        found = self._by_date.get(day)
        return self.week[day.weekday()] if found is None else found

    def is_open(self, now: datetime) -> bool:
        """Tell whether the office is open at an aware moment."""
        local = now.astimezone(self.zone)
        minute, day = local.hour * 60 + local.minute, local.date()
        return any(span.start <= minute < span.end for span in self.spans_of(day)) or any(
            minute + DAY < span.end for span in self.spans_of(day - timedelta(days=1))
        )

    def next_change(self, now: datetime) -> datetime | None:
        """Return when it next opens or closes, in UTC. None if it does not within SEARCHED."""
        is_open = self.is_open(now)
        return next((moment for moment in self._after(now) if self.is_open(moment) != is_open), None)

    def last_change(self, now: datetime) -> datetime | None:
        """Return when it last opened or closed, in UTC. None if it did not within SEARCHED."""
        is_open, changed = self.is_open(now), None
        for moment in self._before(now):
            if changed is not None and self.is_open(moment) != is_open:
                return changed
            changed = moment
        return None

    def last_closing(self, now: datetime) -> datetime | None:
        """Return when it last closed, in UTC. None if it did not within SEARCHED."""
        changed = self.last_change(now)
        if changed is None or not self.is_open(now):
            return changed
        return self.last_change(changed - timedelta(minutes=1))

    def _after(self, now: datetime) -> Iterator[datetime]:
        """Return the moments after `now` at which it may open or close, earliest first."""
        start, end = now, min(now + SEARCHED, self._noon(-1, now) + _REPEATS)
        while start < end:
            yield from (moment for moment in self._between(start, start + _STEP) if moment > now)
            start += _STEP

    def _before(self, now: datetime) -> Iterator[datetime]:
        """Return the moments until `now` at which it may open or close, latest first."""
        end, start = now, max(now - SEARCHED, self._noon(0, now) - _REPEATS)
        while end > start:
            yield from (m for m in reversed(self._between(end - _STEP, end + timedelta(seconds=1))) if m <= now)
            end -= _STEP

    def _noon(self, place: int, now: datetime) -> datetime:
        """Return the noon of the first (0) or last (-1) day that differs from the week, or `now` if it is beyond."""
        if not self.days:
            return now
        noon = datetime.combine(self.days[place][0], time(12), UTC)
        return min(noon, now) if place == 0 else max(noon, now)

    def _between(self, start: datetime, end: datetime) -> list[datetime]:
        """Return the moments in `start <= moment < end` at which it may open or close, in UTC."""
        first, last = (start - timedelta(days=3)).date(), (end + timedelta(days=1)).date()
        days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        moments = {moment for day in days for moment in self._edges(day)} | set(_clock_changes(self.zone, days))
        return sorted(moment for moment in moments if start <= moment < end)

    def _edges(self, day: date) -> Iterator[datetime]:
        midnight = datetime.combine(day, time())
        for span in self.spans_of(day):
            for minutes in (span.start, span.end):
                for fold in (0, 1):
                    wall = midnight + timedelta(minutes=minutes)
                    yield wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC)


def _clock_changes(zone: tzinfo, days: Sequence[date]) -> Iterator[datetime]:
    """Return when the clock is put forward or back on these days of UTC, to the minute."""
    midnights = [datetime.combine(day, time(), UTC) for day in days]
    offsets = [_offset(zone, midnight) for midnight in midnights]
    for (earlier, _), (before, after) in zip(pairwise(midnights), pairwise(offsets), strict=True):
        if before != after:
            low, high = 0, DAY  # minutes after `earlier`
            while high - low > 1:
                middle = (low + high) // 2
                if _offset(zone, earlier + timedelta(minutes=middle)) == before:
                    low = middle
                else:
                    high = middle
            yield earlier + timedelta(minutes=high)


def _offset(zone: tzinfo, moment: datetime) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()


# -- what the policy asks ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Opening:
    """Whether the office is open, since when, and until when. None: not changed, or not changing, within SEARCHED.

    `spread` is the time over which the requests that waited for the opening are called, half of a short opening at
    most.
    """

    is_open: bool = True
    since: datetime | None = None
    until: datetime | None = None
    spread: timedelta = timedelta(0)

    def turn_of(self, request: int, waiting_since: datetime) -> datetime | None:
        """Return when a request may be called that has waited for the opening, None if it has not.

        Consecutive ids lie far from each other, so any few of them are spread evenly.
        """
        if not self.is_open or self.since is None or waiting_since >= self.since:
            return None
        spread = self.spread if self.until is None else min(self.spread, (self.until - self.since) / 2)
        return self.since + spread * (request * _GOLDEN % 2**32 / 2**32)


_GOLDEN = 2654435769  # 2**32 divided by the golden ratio (Knuth's multiplicative hashing)


def opening(hours: Hours, now: datetime, spread: timedelta = timedelta(0)) -> Opening:
    """Return whether the office is open now. Changes happen on whole minutes."""
    if hours.is_always:
        return Opening(spread=spread)
    return _opening(hours, now.replace(second=0, microsecond=0), spread)


@lru_cache(maxsize=256)
def _opening(hours: Hours, now: datetime, spread: timedelta) -> Opening:
    return Opening(hours.is_open(now), hours.last_change(now), hours.next_change(now), spread)


def stops_offering(hours: Hours, now: datetime, before_closing: timedelta) -> bool:
    """Tell whether callers are told that the office is closed: it is, or it closes in `before_closing` or less."""
    here = opening(hours, now)
    return not here.is_open or (here.until is not None and now >= here.until - before_closing and bool(before_closing))


# -- hours as text ----------------------------------------------------------------------------------------------------

_SEPARATOR = re.compile(r"\s*[,;،؛]\s*|\s+(?:and|و)\s+")
_SPAN = re.compile(r"(\d{1,2})(?:[:.](\d{2}))?\s*(?:-|–|—|to|تا)\s*(\d{1,2})(?:[:.](\d{2}))?", re.IGNORECASE)


def parse_spans(text: str) -> Spans:
    """Parse "08:00-12:00, 13-17", in ASCII digits; "" is a closed day. Raises ValueError.

    A span that ends at or before its start ends on the next day.
    """
    spans = sorted(_parse_span(part) for part in _SEPARATOR.split(text.strip()) if part)
    if len(spans) > MOST_SPANS or any(one.end > other.start for one, other in pairwise(spans)):
        raise ValueError(text)
    return tuple(spans)


def _parse_span(text: str) -> Span:
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise ValueError(text)
    hour, minute, end_hour, end_minute = (int(part or 0) for part in found.groups())
    start, end = hour * 60 + minute, end_hour * 60 + end_minute
    if minute > 59 or end_minute > 59 or end > DAY:
        raise ValueError(text)
    return Span(start, end if end > start else end + DAY)


def format_spans(spans: Iterable[Span]) -> str:
    """Return "08:00-12:00, 13:00-17:00"; "" for a closed day."""
    return ", ".join(f"{clock_time(span.start)}-{clock_time(span.end)}" for span in spans)


def clock_time(minutes: int) -> str:
    """Return what the clock shows so long after midnight: "08:30". The midnight at the end of a day is "24:00"."""
    minutes = minutes if minutes <= DAY else minutes - DAY
    return f"{minutes // 60:02}:{minutes % 60:02}"


def parse_week(text: str) -> Week:
    """Parse "sat 08:00-12:00, 13:00-17:00; sun 08:00-17:00". Days that are not named are closed. Raises ValueError."""
    days: dict[str, Spans] = {}
    for part in filter(None, map(str.strip, text.split(";"))):
        name, _, spans = part.partition(" ")
        if name not in WEEKDAYS or name in days:
            raise ValueError(text)
        days[name] = parse_spans(spans)
    return tuple(days.get(name, ()) for name in WEEKDAYS)


def format_week(week: Week) -> str:
    """Return a week as `parse_week` reads it. A week that is closed throughout names its first day."""
    named = [f"{name} {format_spans(spans)}" for name, spans in zip(WEEKDAYS, week, strict=True) if spans]
    return "; ".join(named) or WEEKDAYS[0]
