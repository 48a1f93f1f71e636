"""Fields for office hours: the spans of a day as text, and the seven days of a week."""

from collections.abc import Sequence

from babel.dates import get_day_names
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from markupsafe import Markup, escape
from wtforms import Form, StringField
from wtforms.validators import ValidationError

from app.domain.hours import DAY, WEEKDAYS, Spans, Week, clock_time, format_spans, format_week, parse_spans, parse_week
from app.domain.numbers import ascii_digits
from app.web import wording
from app.web.formats import digits, fill_in, is_persian
from app.web.locale import choose_locale

_SATURDAY = 5
WEEK_HELP = _l("From when to when, for example 08:00-12:00, 13:00-17:00. Empty: closed. The whole day: 00:00-24:00.")


class SpansField(StringField):
    """The spans of a day: "08:00-12:00, 13:00-17:00". `data` is "" for a closed day, and if the text is invalid."""

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        self.data = ""
        try:
            self.data = format_spans(parse_spans(ascii_digits(valuelist[0]) if valuelist else ""))
        except ValueError:
            raise ValidationError(wording.error("hours")) from None

    def _value(self) -> str:
        if self.errors and self.raw_data:  # show invalid text as it was typed
            return str(self.raw_data[0])
        return digits(self.data or "")


class WeekFields(Form):
    """A field for each day of a week. They are named by `hours.WEEKDAYS`."""

    hours_mon = SpansField()
    hours_tue = SpansField()
    hours_wed = SpansField()
    hours_thu = SpansField()
    hours_fri = SpansField()
    hours_sat = SpansField()
    hours_sun = SpansField()

    @property
    def week_fields(self) -> list[SpansField]:
        """The fields in the order of the reader's week, with the names of the days as labels."""
        names = day_names()
        fields = [self._fields[f"hours_{weekday}"] for weekday in WEEKDAYS]
        for field, name in zip(fields, names, strict=True):
            field.label.text = name
        return [fields[weekday] for weekday in week_order()]

    def show_week(self, week: str) -> None:
        """Show a stored week."""
        for weekday, spans in zip(WEEKDAYS, parse_week(week), strict=True):
            self._fields[f"hours_{weekday}"].data = format_spans(spans)

    @property
    def week(self) -> str:
        """The week that was typed, as `hours.parse_week` reads it."""
        return format_week(tuple(parse_spans(self._fields[f"hours_{weekday}"].data or "") for weekday in WEEKDAYS))


def week_order() -> list[int]:
    """Return the weekdays in the order of the reader's week. In Persian it starts on Saturday."""
    first = _SATURDAY if is_persian() else 0
    return [(first + place) % 7 for place in range(7)]


def day_names() -> list[str]:
    """Return the names of the weekdays, Monday first."""
    names = get_day_names("wide", locale=choose_locale())
    return [names[weekday] for weekday in range(7)]


def format_day(spans: Spans) -> Markup:
    """Return the spans of a day for display."""
    if not spans:
        return escape(_("closed"))
    if [(span.start, span.end) for span in spans] == [(0, DAY)]:
        return escape(_("the whole day"))
    parts = [_("%(start)s–%(end)s", start=clock_time(span.start), end=clock_time(span.end)) for span in spans]
    return escape(digits(_(", ").join(parts)))


def describe_week(week: Week) -> Markup:
    """Describe a week in a sentence. Days in a row that have the same hours are named together."""
    names, order = day_names(), week_order()
    groups: list[tuple[list[int], Spans]] = []
    for weekday in order:
        if groups and groups[-1][1] == week[weekday]:
            groups[-1][0].append(weekday)
        else:
            groups.append(([weekday], week[weekday]))
    if len(groups) == 1:
        return fill_in(_("every day: %(hours)s"), hours=format_day(groups[0][1]))
    parts = []
    for days, spans in groups:
        named = names[days[0]]
        if len(days) > 1:
            named = _("%(first)s to %(last)s", first=names[days[0]], last=names[days[-1]])
        parts.append(fill_in(_("%(days)s: %(hours)s"), days=named, hours=format_day(spans)))
    return escape(_("; ")).join(parts)
