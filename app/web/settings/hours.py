"""The page with the office hours, and with the days that differ from them."""

from datetime import date

from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from flask_login import current_user
from wtforms import BooleanField, FileField, StringField

from app.domain.hours import parse_spans
from app.services.errors import Invalid, NotFound
from app.services.settings import calendar_file, hours
from app.services.settings.hours import HoursInput
from app.web.body_check import accept_file
from app.web.context import administrator_required, database, settings, utcnow
from app.web.date_fields import DateField
from app.web.fields import DurationField, PanelForm, has_errors, show_errors
from app.web.formats import digits, format_date
from app.web.hours_fields import WEEK_HELP, SpansField, WeekFields, day_names, format_day
from app.web.locale import choose_locale
from app.web.settings import regions
from app.web.settings.blueprint import blueprint


class HoursForm(PanelForm, WeekFields):
    official = BooleanField(
        _l("Closed on official holidays"),
        description=_l(
            "The dates of holidays that follow the moon are estimates until the government announces them. "
            "Correct them below if they differ."
        ),
    )
    spread = DurationField(
        _l("Spread the first calls over"),
        description=_l("hh:mm:ss. Requests that waited for the opening are called one after the other in this time."),
    )


class DayForm(PanelForm):
    date = DateField(_l("Day"))
    last_date = DateField(_l("Last day"), description=_l("For several days in a row. Empty: one day."))
    name = StringField(_l("Name"), description=_l("For example why. Optional."))
    hours = SpansField(_l("Hours of this day"), description=_l("Empty: closed. Otherwise for example 09:00-12:00."))


class CalendarForm(PanelForm):
    calendar = FileField(
        _l("Calendar file"),
        description=_l("An iCalendar file (.ics) of up to 400 KB. Its all-day events become days without calls."),
    )


@blueprint.route("/hours", methods=["GET", "POST"])
@administrator_required
def hours_page():
    """Show the office hours, and save the week."""
    form = HoursForm()
    if not form.is_submitted():
        return _page()
    form.validate()
    if not has_errors(form):
        try:
            given = HoursInput(form.week, form.official.data, form.spread.data)
            hours.save(database(), given, actor=current_user.name, now=utcnow())
        except Invalid as invalid:
            show_errors(form, invalid.errors)
    if has_errors(form):
        return _page(week=form), 422
    flash(_("The settings are saved."), "success")
    return _back()


@blueprint.post("/hours/days")
@administrator_required
def add_special_day():
    """Add a day, or several in a row, that differ from the week."""
    form = DayForm()
    form.validate()
    if not has_errors(form):
        try:
            given = (form.date.data, form.last_date.data, form.name.data or "", form.hours.data or "")
            count = hours.add_days(database(), *given, actor=current_user.name, now=utcnow())
        except Invalid as invalid:
            show_errors(form, invalid.errors)
    if has_errors(form):
        return _page(day=form), 422
    flash(digits(ngettext("%(num)s day is added.", "%(num)s days are added.", count)), "success")
    return _back()


@blueprint.post("/hours/days/remove")
@administrator_required
def remove_special_day():
    """Remove the day in the form."""
    try:
        day = date.fromisoformat(request.form.get("day", ""))
        hours.remove_day(database(), day, actor=current_user.name, now=utcnow())
    except (ValueError, NotFound):
        abort(404)
    flash(_("The day is removed."), "success")
    return _back()


@blueprint.post("/hours/calendar")
@administrator_required
@accept_file(calendar_file.LARGEST)
def import_calendar():
    """Add the days of an iCalendar file."""
    form = CalendarForm()
    file = request.files.get("calendar")
    if file is None or not file.filename:
        show_errors(form, {"calendar": "no_file"})
        return _page(calendar=form), 422
    try:
        content = file.stream.read()
        now, who = utcnow(), current_user.name
        result = hours.import_days(database(), settings(), content, file.filename, actor=who, now=now)
    except Invalid as invalid:
        show_errors(form, invalid.errors)
        return _page(calendar=form), 422
    flash(_import_message(result), "success")
    return _back()


def _import_message(result: hours.ImportResult) -> str:
    parts = [ngettext("%(num)s day is added.", "%(num)s days are added.", result.added)]
    if result.existing:
        parts.append(ngettext("%(num)s day was there already.", "%(num)s days were there already.", result.existing))
    if result.timed:
        parts.append(
            ngettext(
                "%(num)s event with a time of day is left out.",
                "%(num)s events with a time of day are left out.",
                result.timed,
            )
        )
    return digits(" ".join(parts))


def _back():
    return redirect(url_for("settings.hours_page"))


def _page(*, week: HoursForm | None = None, day: DayForm | None = None, calendar: CalendarForm | None = None) -> str:
    """Return the page. The forms that are not given are as if they had just been opened."""
    view = hours.load(database(), settings(), utcnow(), english=choose_locale() == "en")
    given = (week, day, calendar)
    if week is None:
        week = HoursForm(formdata=None, data={"official": view.input.official, "spread": view.input.spread})
        week.show_week(view.input.week)
    return render_template(
        "settings/hours.html",
        view=view,
        week=week,
        week_help=WEEK_HELP,
        day=day or DayForm(formdata=None),
        calendar=calendar or CalendarForm(formdata=None),
        country=regions.names(choose_locale()).get(view.region, view.region),
        day_name=lambda day: day_names()[day.weekday()],
        format_date=format_date,
        format_hours=lambda text: format_day(parse_spans(text)),
        faulty=next((form for form in given if form is not None), None),
    )
