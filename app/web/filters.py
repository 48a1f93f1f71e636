"""How moments, durations and numbers are written: Persian digits and Jalali dates for those who read Persian."""

from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from flask import Flask, g
from flask_babel import get_locale, gettext, ngettext
from markupsafe import Markup, escape
from persiantools.jdatetime import JalaliDate, JalaliDateTime

from app.domain.names import showable
from app.store import settings as store_settings
from app.web.parts import database, settings, utcnow

_PERSIAN = str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹")


def register(app: Flask) -> None:
    for filter_ in (digits, moment, ago, clock, number, name, written, written_date):
        app.add_template_filter(filter_)


def is_persian() -> bool:
    """Tell whether the reader reads Persian."""
    locale = get_locale()
    return locale is not None and locale.language == "fa"


def digits(value: object) -> str:
    """Write the digits of a text as the reader writes them."""
    text = str(value)
    return text.translate(_PERSIAN) if is_persian() else text


def number(value: object) -> Markup:
    """Write a telephone number: left to right, in the reader's digits, never broken."""
    return Markup('<bdi dir="ltr" class="number">{}</bdi>').format(digits(value))


def name(value: object) -> Markup:
    """Write a name in its own direction: what turns it round could make one number look like another."""
    return Markup("<bdi>{}</bdi>").format(showable(str(value)))


@lru_cache(maxsize=8)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def office_zone() -> ZoneInfo:
    if "zone" not in g:
        with database().read() as session:
            g.zone = store_settings.office(session, settings()).timezone
    return _zone(g.zone)


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
    """Write how long ago, with the exact moment for those who ask."""
    if value is None:
        return Markup("")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        value.isoformat(timespec="seconds"), written(value, seconds=True), escape(ago(value))
    )


def ago(value: datetime) -> str:
    """Write how long ago a moment was, in the largest unit that fits."""
    minutes = max(0, int((utcnow() - value).total_seconds() // 60))
    if minutes < 1:
        return gettext("just now")
    if minutes < 60:
        return digits(ngettext("%(num)s minute ago", "%(num)s minutes ago", minutes))
    if minutes < 24 * 60:
        return digits(ngettext("%(num)s hour ago", "%(num)s hours ago", minutes // 60))
    return digits(ngettext("%(num)s day ago", "%(num)s days ago", minutes // (24 * 60)))


def clock(value: timedelta | int) -> str:
    """Write a duration (whole seconds) as 02:10, with hours only where there are some: 1:02:10."""
    total = int(value.total_seconds()) if isinstance(value, timedelta) else int(value)
    hours, rest = divmod(max(0, total), 3600)
    minutes, seconds = divmod(rest, 60)
    return digits(f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}")


def time_of_day(value: datetime, now: datetime) -> str:
    """Write a moment of today as 14:30, any other with its date."""
    local, today = value.astimezone(office_zone()), now.astimezone(office_zone()).date()
    return digits(local.strftime("%H:%M")) if local.date() == today else written(value)
