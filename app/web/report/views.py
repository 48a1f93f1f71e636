"""The report: what was registered, what became of it and how long it took; as a list, as charts, and as files."""

import tempfile
from collections.abc import Callable, Hashable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from babel.dates import get_day_names
from flask import Blueprint, Response, current_app, redirect, render_template, request, send_file, url_for
from flask_babel import gettext as _
from flask_login import current_user, login_required
from markupsafe import Markup
from persiantools.jdatetime import JalaliDate
from werkzeug.datastructures import MultiDict

from app.domain.lifecycle import ACTIVE, Status
from app.services.report import export, periods
from app.services.report import query as report
from app.services.report.export import Wording
from app.services.report.query import Choices
from app.services.report.statistics import Statistics, statistics
from app.store.version import RequestsVersion, requests_version
from app.web import wording
from app.web.context import cached, cached_query, current_scope, database, utcnow
from app.web.formats import digits, is_persian, number, office_zone, written, written_date
from app.web.locale import choose_locale
from app.web.report import form
from app.web.report.form import PERIODS, Asked

blueprint = Blueprint("report", __name__)

REMEMBERED, LONGEST_REMEMBERED = "report", 1500
REMEMBERED_SECONDS = 365 * 86400
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
NO_REQUESTS = (0, 0)  # the version of what shows no requests
# What the charts tell apart, with the colour of each; what is not over yet is one of them.
OUTCOMES = {
    Status.DONE: "good",
    Status.FAILED: "bad",
    Status.EXPIRED: "warn",
    Status.CANCELLED: "grey",
}


@blueprint.get("/report")
@login_required
def index():
    """Show a page of what is asked for."""
    asked, offered = _asked()
    if tidy := _tidy("report.index", asked):
        return tidy

    def read() -> dict[str, object]:
        scope, wanted = current_scope(), asked.filter(office_zone())
        return {"found": report.read_page(database(), scope, wanted, asked.sort, page=asked.page)}

    return _page("report/index.html", "report/_list.html", asked, offered, read)


@blueprint.get("/report/charts")
@login_required
def charts():
    """Show what is asked for as charts, each with its table."""
    asked, offered = _asked()
    if tidy := _tidy("report.charts", asked):
        return tidy

    def read() -> dict[str, object]:
        counted = _count(asked)
        return {
            "counted": counted,
            "outcomes": OUTCOMES,
            "weekdays": _weekdays(),
            "open_in": open_in,
            "step_label": step_label,
            "step_title": _step_title(counted),
        }

    return _page("report/charts.html", "report/_drawn.html", asked, offered, read)


def _asked() -> tuple[Asked, Choices]:
    scope = current_scope()
    offered = cached(("choices", scope), lambda: report.choices(database(), scope))
    return form.read(request.args, offered, utcnow(), office_zone(), choose_locale()), offered


def _tidy(endpoint: str, asked: Asked):
    """Lead a form that was sent, with all its empty fields, to an address that can be kept."""
    if asked.valid and "" in request.args.values():
        return redirect(url_for(endpoint, **asked.address()))
    return None


def _page(template: str, result: str, asked: Asked, offered: Choices, read: Callable[[], dict[str, object]]):
    """Answer with the search and what it found, of which `read` gives the values of the template `result`."""
    last = None if request.args else _remembered(offered)
    last = last if last != asked.query() else None
    search: dict[str, object] = {"form": asked.form, "last": last, "periods": PERIODS}
    shown = _part("report/_search.html", asked, offered, lambda: search, NO_REQUESTS, (last, bool(request.args)))
    if asked.valid:
        names = {"names": dict(offered.operators)}
        shown += _part(
            result, asked, offered, lambda: names | read(), cached_query("requests", requests_version), asked.page
        )
    page = render_template(template, asked=asked, shown=shown)
    answer = current_app.make_response((page, 200 if asked.valid else 422))
    if asked.valid and request.args:
        _remember(answer, asked.query())
    return answer


def _part(
    template: str,
    asked: Asked,
    offered: Choices,
    read: Callable[[], dict[str, object]],
    version: RequestsVersion | None,
    depends: Hashable,
) -> Markup:
    """Return a part of the page: as it was built before, as long as nothing that stands in it can have changed.

    `read` gives its values as of this version of the requests; `depends`: what else this part alone depends on.
    """
    here = request.script_root + request.path

    def build() -> Markup:
        return Markup(render_template(template, asked=asked, here=here, **read()))  # noqa: S704 - a template's

    if not asked.valid:
        return build()
    days = asked.form.registered_from.data, asked.form.registered_to.data
    reader = current_scope(), choose_locale(), office_zone().key
    key = template, here, asked.query(), days, reader, offered, depends
    return database().cache.get(key, version, build)


# -- as last time -----------------------------------------------------------------------------------------------------


def _remember(answer: Response, query: str) -> None:
    """Keep what was looked for, for whoever comes again and wants the same."""
    if len(query) <= LONGEST_REMEMBERED:
        answer.set_cookie(
            REMEMBERED,
            f"{current_user.id}:{query}",
            max_age=REMEMBERED_SECONDS,
            path=url_for("report.index"),
            secure=bool(current_app.config["SESSION_COOKIE_SECURE"]),
            httponly=True,
            samesite="Lax",
        )


def _remembered(offered: Choices) -> str | None:
    """Return what this user looked for last, as this page would write it; None if there is nothing of use."""
    user, _colon, query = request.cookies.get(REMEMBERED, "").partition(":")
    if user != str(current_user.id) or not query or len(query) > LONGEST_REMEMBERED or "\0" in unquote(query):
        return None
    args = MultiDict(parse_qsl(query))
    asked = form.read(args, offered, utcnow(), office_zone(), choose_locale())
    return asked.query() if asked.valid else None


# -- files ------------------------------------------------------------------------------------------------------------


@blueprint.get("/report.csv")
@login_required
def csv():
    """Send exactly what is filtered, a part at a time."""
    asked, _offered = _asked()
    if not asked.valid:
        return redirect(f"{url_for('report.index')}?{request.query_string.decode(errors='replace')}")
    lines = export.write_csv(_rows(asked), _wording(), office_zone())
    answer = Response(lines, content_type="text/csv; charset=utf-8")
    answer.headers.set("Content-Disposition", "attachment", filename=f"{_file_name(asked)}.csv")
    return answer


@blueprint.get("/report.xlsx")
@login_required
def xlsx():
    """Send exactly what is filtered, from a file that is gone as soon as it is sent."""
    asked, _offered = _asked()
    if not asked.valid:
        return redirect(f"{url_for('report.index')}?{request.query_string.decode(errors='replace')}")
    with tempfile.TemporaryDirectory(prefix="bazang-") as folder:
        path = Path(folder) / "report.xlsx"
        export.write_xlsx(path, _rows(asked), _wording(), office_zone())
        size, file = path.stat().st_size, path.open("rb")  # it can be read as long as it is open
    answer = send_file(file, mimetype=XLSX, as_attachment=True, download_name=f"{_file_name(asked)}.xlsx")
    answer.content_length = size
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _rows(asked: Asked):
    return report.stream(database(), current_scope(), asked.filter(office_zone()), asked.sort)


def _file_name(asked: Asked) -> str:
    """Name a file by its period, in letters that every system knows."""
    days = [field.data for field in (asked.form.registered_from, asked.form.registered_to)]
    period = "_".join(_latin(day) for day in days if day) or f"all_{_latin(utcnow().astimezone(office_zone()).date())}"
    return f"bazang_{period}"


def _latin(day: date) -> str:
    return str(JalaliDate(day).strftime("%Y-%m-%d")) if is_persian() else day.isoformat()


def _wording() -> Wording:
    titles = {
        "id": _("Request"),
        "operator": _("Operator"),
        "target": _("Extension or queue"),
        "module": _("Call request module"),
        "caller_number": _("Caller's number"),
        "caller_name": _("Caller's name"),
        "number": _("Received number"),
        "created_by": _("Created by"),
        "registered_at": _("Date registered"),
        "done_at": _("Date done"),
        "status": _("Status"),
        "attempts": _("Attempts"),
        "note": _("Note"),
    }
    if is_persian():
        titles |= {
            "registered_at": _("Date registered (Gregorian)"),
            "registered_at_jalali": _("Date registered"),
            "done_at": _("Date done (Gregorian)"),
            "done_at_jalali": _("Date done"),
        }
    statuses = {status: str(label) for status, label in wording.STATUS.items()}
    return Wording(titles, statuses, _("by phone"), _("Report"), "fa" if is_persian() else "en")


# -- charts -----------------------------------------------------------------------------------------------------------


def _count(asked: Asked) -> Statistics:
    """Count it. Days to come have no requests, and so no place in a chart."""
    zone = office_zone()
    wanted = asked.filter(zone)
    tomorrow = periods.today(utcnow(), zone).end
    if wanted.registered_to is not None and wanted.registered_from is not None:
        last = max(min(wanted.registered_to, tomorrow), wanted.registered_from)
        wanted = replace(wanted, registered_to=last)
    return statistics(database(), current_scope(), wanted, zone, locale=choose_locale())


def open_in(outcomes) -> int:
    """Return how many are not over yet."""
    return sum(outcomes.get(status, 0) for status in ACTIVE)


def step_label(day: date, step: str) -> str:
    """Write the day, month or year that a row of a chart's table stands for."""
    return written_date(day)[: {"day": 10, "month": 7, "year": 4}[step]]


def _step_title(counted: Statistics) -> str:
    return {"day": _("Day"), "month": _("Month"), "year": _("Year")}[counted.step]


def _weekdays() -> list[tuple[int, str, str]]:
    """Return the days of a week in the reader's order, Monday being 0, with their names and short names."""
    locale = choose_locale()
    long, short = (get_day_names(width, locale=locale) for width in ("wide", "abbreviated"))
    first = periods.first_weekday(locale)
    return [(day, long[day], short[day]) for day in ((first + n) % 7 for n in range(7))]


@blueprint.app_template_filter()
def exactly(value: datetime | None) -> Markup:
    """Write a moment, its day and its time each unbroken."""
    if value is None:
        return Markup("")
    day, time = written(value).split()
    spoken = value.isoformat(timespec="seconds")
    return Markup(f'<time datetime="{spoken}">{number(day)} {number(time)}</time>')  # noqa: S704 - digits only


@blueprint.app_template_filter()
def share(part: int, whole: int) -> str:
    """Write a part of a whole in per cent."""
    text = digits(round(100 * part / whole)) if whole else digits(0)
    return f"{text}٪" if is_persian() else f"{text}%"
