"""The search form of the report. A search is an address, so people can bookmark and share it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.datastructures import MultiDict
from wtforms import Form, SelectField, SelectMultipleField
from wtforms.widgets import CheckboxInput, ListWidget

from app.domain.lifecycle import Status
from app.services.report import periods
from app.services.report.periods import Period
from app.services.report.query import SORTS, Choices, Filter, RequestSource, Sort
from app.web import wording
from app.web.date_fields import DateField
from app.web.fields import DigitsField, choices
from app.web.formats import digits
from app.web.http import parse_row_number

PERIODS = {
    "today": _l("Today"),
    "week": _l("This week"),
    "month": _l("This month"),
    "last_month": _l("Last month"),
    "7": _l("7 days"),
    "30": _l("30 days"),
    "all": _l("All"),
}
SOURCE = {
    RequestSource.PHONE: _l("by phone"),
    RequestSource.PANEL: _l("added by hand"),
    RequestSource.MISSED_CALL: _l("from a missed call"),
    RequestSource.WEBSITE: _l("from a website"),
}
DEFAULT_PERIOD = "30"
MAX_LENGTH = 80  # characters of a number
QUEUE, EXTENSION = "queue:", "extension:"


class ReportForm(Form):
    """The search form. The names of its fields are the query parameters."""

    registered_from = DateField(_l("Registered from"))
    registered_to = DateField(_l("Registered to"))
    number = DigitsField(_l("Received number"))
    caller = DigitsField(_l("Caller's number"))
    done_from = DateField(_l("Done from"))
    done_to = DateField(_l("Done to"))
    operator = SelectField(_l("Operator"), validate_choice=False)
    target = SelectField(_l("Extension or queue"), validate_choice=False)
    module = SelectField(_l("Call request module"), validate_choice=False)
    source = SelectField(_l("Came from"), validate_choice=False)
    status = SelectMultipleField(
        _l("Status"),
        choices=choices(wording.STATUS),
        option_widget=CheckboxInput(),
        widget=ListWidget(prefix_label=False),
        validate_choice=False,
    )

    def set_choices(self, available: Choices) -> None:
        """Fill the select fields."""
        any_value = ("", _("any"))
        self.operator.choices = [any_value, *((key, label_extension(key, name)) for key, name in available.operators)]
        self.source.choices = [any_value, *((source.value, SOURCE[source]) for source in RequestSource)]
        self.module.choices = [any_value, *((str(key), name) for key, name in available.modules)]
        self.target.choices = [
            any_value,
            *(
                (QUEUE + key, _("queue %(name)s", name=digits(key)))
                if queue
                else (EXTENSION + key, label_extension(key, name))
                for queue, key, name in available.targets
            ),
        ]

    def check(self) -> bool:
        """Validate the form. Invalid fields get their errors."""
        self.validate()
        for field in (self.number, self.caller):
            if len(field.data or "") > MAX_LENGTH:
                field.errors = [wording.error("too_long")]
        for field in (self.operator, self.target, self.module, self.source):
            if (field.data or "") not in {key for key, _label in field.choices}:
                field.errors = [wording.error("choice")]
        if set(self.status.data or ()) - {status.value for status in Status}:
            self.status.errors = [wording.error("choice")]
        for first, last in ((self.registered_from, self.registered_to), (self.done_from, self.done_to)):
            if first.data and last.data and last.data < first.data:
                last.errors = [_("This is before the first day.")]
        return not any(field.errors for field in self)

    @property
    def advanced(self) -> bool:
        """Tell whether a field of the advanced search is filled in."""
        numbers_and_days = (self.caller, self.done_from, self.done_to)
        fields = (*numbers_and_days, self.operator, self.target, self.module, self.source, self.status)
        return any(field.data or field.errors for field in fields)


def label_extension(key: str, name: str) -> str:
    """Return the label of an extension: number and name."""
    return f"{digits(key)} {name}".strip()


@dataclass(frozen=True)
class Search:
    """A search. `period` is a key of PERIODS, or "" if days were chosen. `page` starts at 1."""

    form: ReportForm
    valid: bool
    period: str
    sort: Sort
    page: int

    def address(self, **changes: object) -> dict[str, Any]:
        """Return the shortest query parameters of this search."""
        found: dict[str, Any] = {"period": self.period} if self.period else {}
        for field in self.form:
            if isinstance(field, DateField):
                value = field.data.isoformat() if field.data else ""
                if self.period and field.name.startswith("registered"):
                    continue
            else:
                value = field.data
            if value:
                found[field.name] = value
        if self.sort != Sort():
            found["sort"] = f"-{self.sort.by}" if self.sort.descending else self.sort.by
        found = found or {"period": "all"}
        return {name: value for name, value in (found | changes).items() if value is not None}

    def query(self, **changes: object) -> str:
        return urlencode(self.address(**changes), doseq=True)

    def sorted_by(self, column: str) -> Sort:
        """Return the sort order after a click on a column head. Times start with the newest."""
        if self.sort.by == column:
            return replace(self.sort, descending=not self.sort.descending)
        return Sort(column, descending=column in ("registered", "done"))

    def filter(self, zone: ZoneInfo) -> Filter:
        """Return the filter of a valid search."""
        form = self.form
        registered, done = (
            _period_of(first.data, last.data, zone)
            for first, last in ((form.registered_from, form.registered_to), (form.done_from, form.done_to))
        )
        return Filter(
            *registered,
            *done,
            caller_number=form.caller.data or "",
            number=form.number.data or "",
            operator=form.operator.data or "",
            module_id=int(form.module.data) if form.module.data else None,
            statuses=[Status(value) for value in form.status.data or ()],
            source=form.source.data or "",
            queue=(form.target.data or "").startswith(QUEUE),
            target=(form.target.data or "").partition(":")[2],
        )


def _period_of(first: date | None, last: date | None, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    return (
        periods.day_start(first, zone) if first else None,
        periods.day_start(last + periods.DAY, zone) if last else None,
    )


def read(args: MultiDict[str, str], available: Choices, now: datetime, zone: ZoneInfo, locale: str) -> Search:
    """Read a search from the query parameters. Invalid values become errors of their fields or defaults."""
    form = ReportForm(args)
    form.set_choices(available)
    period = args.get("period", "") if args.get("period") in PERIODS else ""
    if not period and not any(name in args for name in form._fields):
        period = DEFAULT_PERIOD
    valid = form.check()
    period = _fit_days(form, args, period, _period(period, now, zone, locale), zone)
    return Search(form, valid, period, _sort(args.get("sort", "")), _page(args.get("page", "")))


def _fit_days(form: ReportForm, args: Mapping[str, str], period: str, days: Period | None, zone: ZoneInfo) -> str:
    """Fill the date fields from the period. Return "" if other days were chosen."""
    if not period:
        return ""
    first, last = periods.ends(days, zone) if days is not None else (None, None)
    chosen = form.registered_from, form.registered_to
    if any(field.name in args for field in chosen) and [field.data for field in chosen] != [first, last]:
        return ""
    form.registered_from.data, form.registered_to.data = first, last
    return period


def _period(period: str, now: datetime, zone: ZoneInfo, locale: str) -> Period | None:
    match period:
        case "today":
            return periods.today(now, zone)
        case "week":
            return periods.week(now, zone, locale)
        case "month":
            return periods.month(now, zone, locale)
        case "last_month":
            return periods.last_month(now, zone, locale)
        case "7" | "30":
            return periods.last_days(now, zone, int(period))
    return None


def _sort(text: str) -> Sort:
    by = text.removeprefix("-")
    return Sort(by, descending=text.startswith("-")) if by in SORTS else Sort()


def _page(text: str) -> int:
    try:
        return parse_row_number(text)
    except ValueError:
        return 1
