"""Dates, durations and numbers in the reader's language: Persian pages have Persian digits and Jalali dates."""

import math
import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from unicodedata import bidirectional
from zoneinfo import ZoneInfo

from flask import Flask, g
from flask_babel import gettext, ngettext
from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape

from app.domain.routing import LONGEST_INSIDE
from app.domain.text import displayable
from app.services import dates
from app.web.context import office, utcnow
from app.web.locale import choose_locale

MINUTE = 60  # seconds


def register(app: Flask) -> None:
    """Give templates the filters."""
    for filter_ in (
        *(digits, moment, ago, exact, clock, number, isolated, name, listed),
        *(format_moment, format_date, time_of_day),
    ):
        app.add_template_filter(_with_context(filter_), filter_.__name__)
    app.add_template_filter(telephone_url)


def _with_context(filter_: Callable[..., str]) -> Callable[..., str]:
    """Make a filter depend on the context, so that Jinja does not compute it once when it compiles a template."""

    @pass_context
    def wrapped(_context: Context, value: Any, *more: Any, **options: Any) -> str:
        return filter_(value, *more, **options)

    return wrapped


def is_persian() -> bool:
    """Return whether the page is in Persian."""
    return choose_locale() == "fa"


def digits(value: object) -> str:
    """Return a text with the digits of the reader's language."""
    return dates.digits(value, choose_locale())


def file_size(size: int) -> str:
    """Return a number of bytes in words, such as 20 MB. What is beyond whole units is left out."""
    if size < 1_000_000:
        return digits(gettext("%(number)s KB", number=size // 1000))
    return digits(gettext("%(number)s MB", number=size // 1_000_000))


def number(value: object) -> Markup:
    """Return a telephone number in the reader's digits, left to right and on one line."""
    return Markup(f'<bdi dir="ltr">{escape(digits(value))}</bdi>')  # noqa: S704 - it is escaped


def telephone_url(value: str) -> str:
    """Return the address by which a device calls a number itself, or "" for an extension, which it cannot reach."""
    dialled = re.sub(r"[^0-9+]", "", value)
    return f"tel:{dialled}" if len(dialled) > LONGEST_INSIDE else ""


def isolated(value: object) -> str:
    """Return a telephone number or code as `number` does, for texts without markup: titles, options and labels."""
    text = digits(value)
    return text if text.isdecimal() else f"\u2066{text}\u2069"


def name(value: object) -> Markup:
    """Return a name isolated from the direction of the text around it. Control characters are removed."""
    return Markup(f"<bdi>{escape(displayable(str(value)))}</bdi>")  # noqa: S704 - it is escaped


def is_left_to_right(text: str) -> bool:
    """Tell whether no letter of a text is written from right to left."""
    return not any(bidirectional(letter) in ("R", "AL", "AN") for letter in text)


def listed(values: Iterable[object]) -> str:
    """Return values as a list in the reader's language. It is markup if one of them is."""
    parts = [value if isinstance(value, Markup) else str(value) for value in values]
    comma = gettext(", ")
    return (escape(comma) if any(isinstance(part, Markup) for part in parts) else comma).join(parts)


def fill_in(message: object, **values: object) -> Markup:
    """Return a message of ours with its placeholders filled in. Values that are no markup are escaped."""
    return Markup(str(message)) % values  # noqa: S704 - the message is ours


def office_zone() -> ZoneInfo:
    """Return the office's time zone."""
    try:
        return g.zone
    except AttributeError:
        g.zone = ZoneInfo(office().timezone)
        return g.zone


def format_moment(value: datetime, *, seconds: bool = False) -> str:
    """Return date and time in the office's time zone and the reader's calendar: ۱۴۰۵/۰۹/۰۲ ۱۱:۳۸, 2026-11-23 11:38."""
    return dates.moment(value, office_zone(), choose_locale(), seconds=seconds)


def format_date(value: date) -> str:
    """Return a date in the reader's calendar: ۱۴۰۵/۰۹/۰۳, 2026-11-24."""
    return dates.day(value, choose_locale())


def moment(value: datetime | None) -> Markup:
    """Return how long ago a moment was, or how far off it is, with the exact time as a tooltip."""
    if value is None:
        return Markup("")
    utc, shown = value.astimezone(UTC), format_moment(value, seconds=True)
    return Markup(f'<time datetime="{utc:%Y-%m-%dT%H:%MZ}" title="{shown}">{escape(ago(value))}</time>')  # noqa: S704 - the rest are digits


def exact(value: datetime) -> str:
    """Return date and time with seconds."""
    return format_moment(value, seconds=True)


def ago(value: datetime) -> str:
    """Return how long ago a moment was, or how far off it is, in the largest unit that fits."""
    seconds = (utcnow() - value).total_seconds()
    if seconds < -MINUTE / 2:
        return _ahead(math.ceil(-seconds / MINUTE))
    minutes = max(0, int(seconds // MINUTE))
    if minutes < 1:
        return gettext("just now")
    if minutes < 60:
        return digits(ngettext("%(num)s minute ago", "%(num)s minutes ago", minutes))
    if minutes < 24 * 60:
        return digits(ngettext("%(num)s hour ago", "%(num)s hours ago", minutes // 60))
    return digits(ngettext("%(num)s day ago", "%(num)s days ago", minutes // (24 * 60)))


def _ahead(minutes: int) -> str:
    if minutes < 60:
        return digits(ngettext("in %(num)s minute", "in %(num)s minutes", minutes))
    if minutes < 24 * 60:
        return digits(ngettext("in %(num)s hour", "in %(num)s hours", round(minutes / 60)))
    return digits(ngettext("in %(num)s day", "in %(num)s days", round(minutes / (24 * 60))))


def clock(value: timedelta | int) -> str:
    """Return a duration (in seconds) as 02:10, or with hours as 1:02:10."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    return dates.duration(int(seconds), choose_locale())


def countdown(until: datetime, now: datetime) -> Markup:
    """Return the time that is left until a moment. The browser counts it down (js/live/countdown.js)."""
    left = clock(until - now + timedelta(seconds=0.999))
    return Markup(f'<span data-until="{int(until.timestamp() * 1000)}">{left}</span>')  # noqa: S704 - digits


def time_of_day(value: datetime, now: datetime) -> str:
    """Return a moment of today as 14:30, and any other with its date."""
    local, today = value.astimezone(office_zone()), now.astimezone(office_zone()).date()
    return digits(local.strftime("%H:%M")) if local.date() == today else format_moment(value)
