"""The report as a list, as charts, and as files."""

from collections.abc import Callable, Hashable
from dataclasses import replace
from datetime import date, datetime

from babel.dates import get_day_names
from flask import Blueprint, Response, current_app, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user, login_required
from markupsafe import Markup

from app.domain.lifecycle import ACTIVE, Status
from app.services import audit
from app.services.audit import AuditAction
from app.services.report import periods, query, saved_filters
from app.services.report.query import Choices
from app.services.report.statistics import Statistics, statistics
from app.store.settings import retention
from app.store.version import RequestsVersion, requests_version
from app.web.context import cached, cached_query, current_scope, database, stored, utcnow
from app.web.formats import digits, format_date, format_moment, is_persian, number, office_zone
from app.web.locale import choose_locale
from app.web.reading import reads_together
from app.web.report import downloads, form, last_search
from app.web.report.form import PERIODS, Search

blueprint = Blueprint("report", __name__)

NO_REQUESTS: RequestsVersion = (0, 0, 0)  # version of a part that shows no requests
# The outcomes in the charts, with their colours. Open requests are added as one more.
OUTCOMES = {
    Status.DONE: "good",
    Status.FAILED: "bad",
    Status.EXPIRED: "warn",
    Status.CANCELLED: "grey",
}


@blueprint.get("/report")
@login_required
@reads_together
def index():
    """Show one page of the list."""
    search, available = _read_search()
    if redirection := _shorten_address("report.index", search):
        return redirection

    def read() -> dict[str, object]:
        scope, wanted = current_scope(), search.filter(office_zone())
        return {"found": query.read_page(database(), scope, wanted, search.sort, page=search.page)}

    return _page("report/index.html", "report/_list.html", search, available, read)


@blueprint.get("/report/charts")
@login_required
@reads_together
def charts():
    """Show charts, each with its table."""
    search, available = _read_search()
    if redirection := _shorten_address("report.charts", search):
        return redirection

    def read() -> dict[str, object]:
        counted = _count(search)
        return {
            "counted": counted,
            "outcomes": OUTCOMES,
            "weekdays": _weekdays(),
            "open_in": open_in,
            "step_label": step_label,
            "step_title": _step_title(counted),
        }

    return _page("report/charts.html", "report/_drawn.html", search, available, read)


def _read_search() -> tuple[Search, Choices]:
    scope = current_scope()
    available = cached(("choices", scope), lambda: query.choices(database(), scope))
    return form.read(request.args, available, utcnow(), office_zone(), choose_locale()), available


def _shorten_address(endpoint: str, search: Search):
    """Redirect a submitted form with empty fields to the shortest address of its search."""
    if search.valid and "" in request.args.values():
        return redirect(url_for(endpoint, **search.address()))
    return None


def _page(template: str, result: str, search: Search, available: Choices, read: Callable[[], dict[str, object]]):
    """Render the search form and its result. `read` returns the values of the template `result`."""
    last = None if request.args else last_search.load(available)
    last = last if last != search.query() else None
    values: dict[str, object] = {"form": search.form, "last": last, "periods": PERIODS}
    head = _part("report/_search.html", search, available, lambda: values, NO_REQUESTS, (last, bool(request.args)))
    shown = Markup("")
    if search.valid:
        names = {"names": dict(available.operators)}
        shown = _part(
            result, search, available, lambda: names | read(), cached_query("requests", requests_version), search.page
        )
    own = {
        "filters": saved_filters.list_filters(database(), current_user.id),
        "here": request.script_root + request.path,
        "kept_days": retention(stored()).requests,
    }
    page = render_template(template, asked=search, head=head, shown=shown, **own)
    response = current_app.make_response((page, 200 if search.valid else 422))
    if search.valid and request.args:
        last_search.save(response, search.query())
    return response


def _part(
    template: str,
    search: Search,
    available: Choices,
    read: Callable[[], dict[str, object]],
    version: RequestsVersion | None,
    depends: Hashable,
) -> Markup:
    """Return a part of the page, from the cache if nothing in it can have changed.

    `read` returns its values for this version of the requests. `depends` is what else this part depends on.
    """
    here = request.script_root + request.path

    def build() -> Markup:
        return Markup(render_template(template, asked=search, here=here, **read()))  # noqa: S704 - rendered by a template

    if not search.valid:
        return build()
    days = search.form.registered_from.data, search.form.registered_to.data
    reader = current_scope(), choose_locale(), office_zone().key
    key = template, here, search.query(), days, reader, available, depends
    return database().cache.get(key, version, build)


# -- files ------------------------------------------------------------------------------------------------------------


@blueprint.get("/report.csv")
@login_required
def csv():
    """Send the filtered report as CSV."""
    return _download("csv", downloads.send_csv)


@blueprint.get("/report.xlsx")
@login_required
def xlsx():
    """Send the filtered report as an Excel file."""
    return _download("xlsx", downloads.send_xlsx)


def _download(kind: str, send: Callable[[Search], Response]):
    """Send the file, and write down who got it."""
    search, _available = _read_search()
    if not search.valid:
        return redirect(f"{url_for('report.index')}?{request.query_string.decode(errors='replace')}")
    if request.method == "GET":
        detail = {"address": request.remote_addr or "", "file": kind}
        audit.add(database(), current_user.name, AuditAction.REPORT_EXPORTED, detail, utcnow())
    return send(search)


# -- charts -----------------------------------------------------------------------------------------------------------


def _count(search: Search) -> Statistics:
    """Return the statistics of a search. Charts leave out future days."""
    zone = office_zone()
    wanted = search.filter(zone)
    tomorrow = periods.today(utcnow(), zone).end
    if wanted.registered_to is not None and wanted.registered_from is not None:
        last = max(min(wanted.registered_to, tomorrow), wanted.registered_from)
        wanted = replace(wanted, registered_to=last)
    return statistics(database(), current_scope(), wanted, zone, locale=choose_locale())


def open_in(outcomes) -> int:
    """Return the number of open requests."""
    return sum(outcomes.get(status, 0) for status in ACTIVE)


def step_label(day: date, step: str) -> str:
    """Format the day, month or year of a chart row."""
    return format_date(day)[: {"day": 10, "month": 7, "year": 4}[step]]


def _step_title(counted: Statistics) -> str:
    return {"day": _("Day"), "month": _("Month"), "year": _("Year")}[counted.step]


def _weekdays() -> list[tuple[int, str, str]]:
    """Return (number, name, short name) of each weekday in the reader's order. Monday is 0."""
    locale = choose_locale()
    long, short = (get_day_names(width, locale=locale) for width in ("wide", "abbreviated"))
    first = periods.first_weekday(locale)
    return [(day, long[day], short[day]) for day in ((first + n) % 7 for n in range(7))]


@blueprint.app_template_filter()
def exactly(value: datetime | None) -> Markup:
    """Format date and time without a line break inside either."""
    if value is None:
        return Markup("")
    day, time = format_moment(value).split()
    spoken = value.isoformat(timespec="seconds")
    return Markup(f'<time datetime="{spoken}">{number(day)} {number(time)}</time>')  # noqa: S704 - digits only


@blueprint.app_template_filter()
def share(part: int, whole: int) -> str:
    """Format a share in percent."""
    text = digits(round(100 * part / whole)) if whole else digits(0)
    return f"{text}٪" if is_persian() else f"{text}%"
