"""How moments, durations and numbers are written: Persian digits and Jalali dates for those who read Persian."""

import math
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask, g
from flask_babel import gettext, ngettext
from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape
from persiantools.jdatetime import JalaliDate, JalaliDateTime

from app.domain.text import displayable
from app.web.context import office, utcnow
from app.web.locale import choose_locale

MINUTE = 60  # seconds
_PERSIAN = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")


def register(app: Flask) -> None:
    for filter_ in (digits, moment, ago, exact, clock, number, name, written, written_date):
        app.add_template_filter(_for_each_reader(filter_), filter_.__name__)


def _for_each_reader(filter_: Callable[..., str]) -> Callable[..., str]:
    """Keep a template from working a filter out once, when it is compiled, for all readers alike."""

    @pass_context
    def asked(_context: Context, value: Any, **options: Any) -> str:
        return filter_(value, **options)

    return asked


def is_persian() -> bool:
    """Tell whether the reader reads Persian."""
    return choose_locale() == "fa"


def digits(value: object) -> str:
    """Write the digits of a text as the reader writes them."""
    text = str(value)
    return text.translate(_PERSIAN) if is_persian() else text


def number(value: object) -> Markup:
    """Write a telephone number: left to right, in the reader's digits, never broken."""
    return Markup(f'<bdi dir="ltr" class="number">{escape(digits(value))}</bdi>')  # noqa: S704 - it is escaped


def name(value: object) -> Markup:
    """Write a name in its own direction: what turns it round could make one number look like another."""
    return Markup(f"<bdi>{escape(displayable(str(value)))}</bdi>")  # noqa: S704 - it is escaped


def fill_in(message: object, **values: object) -> Markup:
    """Return a message of ours with its placeholders filled in. Values that are no markup are escaped."""
    return Markup(str(message)) % values  # noqa: S704 - the message is ours


def office_zone() -> ZoneInfo:
    """Return the time zone of the office."""
    try:
        return g.zone
    except AttributeError:
        g.zone = ZoneInfo(office().timezone)
        return g.zone


def written(value: datetime, *, seconds: bool = False) -> str:
    """Write a moment in the office's time zone and the reader's calendar: ۱۴۰۵/۰۹/۰۲ ۱۱:۳۸, 2026-11-23 11:38."""
    local = value.astimezone(office_zone())
    form = "%H:%M:%S" if seconds else "%H:%M"
    if is_persian():
        return digits(JalaliDateTime(local).strftime("%Y/%m/%d " + form))
    return local.strftime("%Y-%m-%d " + form)


def written_date(value: date) -> str:
    """Write a day in the reader's calendar: ۱۴۰۵/۰۹/۰۳, 2026-11-24."""
    return digits(JalaliDate(value).strftime("%Y/%m/%d")) if is_persian() else value.isoformat()


def moment(value: datetime | None) -> Markup:
    """Write how long ago, or how far off, with the exact moment for those who ask."""
    if value is None:
        return Markup("")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        value.isoformat(timespec="seconds"), written(value, seconds=True), escape(ago(value))
    )


def exact(value: datetime) -> str:
    """Write a moment to the second."""
    return written(value, seconds=True)


def ago(value: datetime) -> str:
    """Write how long ago a moment was, or how far off it is, in the largest unit that fits."""
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
    """Write a duration (whole seconds) as 02:10, with hours only where there are some: 1:02:10."""
    total = int(value.total_seconds()) if isinstance(value, timedelta) else int(value)
    hours, rest = divmod(max(0, total), 3600)
    minutes, seconds = divmod(rest, 60)
    return digits(f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}")


def countdown(until: datetime, now: datetime) -> Markup:
    """Write how long it still takes, for the browser to count down by itself."""
    left = clock(until - now + timedelta(seconds=0.999))
    return Markup('<span data-until="{}">{}</span>').format(int(until.timestamp() * 1000), left)


def time_of_day(value: datetime, now: datetime) -> str:
    """Write a moment of today as 14:30, any other with its date."""
    local, today = value.astimezone(office_zone()), now.astimezone(office_zone()).date()
    return digits(local.strftime("%H:%M")) if local.date() == today else written(value)
