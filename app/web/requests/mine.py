"""My requests: the requests for the user's own extensions and queues, waiting and past."""

from datetime import date, datetime
from typing import Any

from flask import Blueprint, render_template, request
from flask_babel import lazy_gettext as _l
from flask_login import current_user, login_required

from app.services.report import periods
from app.services.report.own_requests import load_own_requests
from app.services.report.periods import Period
from app.services.requests.pending import Pending
from app.web import poll, wording
from app.web.context import current_scope, database, utcnow
from app.web.date_fields import office_time, parse_date
from app.web.formats import format_date, is_persian, office_zone
from app.web.http import parse_row_number
from app.web.locale import choose_locale
from app.web.reading import reads_together
from app.web.requests.views import next_change

blueprint = Blueprint("mine", __name__, url_prefix="/mine")

ARGUMENTS = ("period", "from", "to", "page")
PERIODS = {
    "today": _l("Today"),
    "week": _l("This week"),
    "month": _l("This month"),
    "range": _l("From – to"),
}


@blueprint.get("")
@login_required
@reads_together
def index():
    """Show the user's waiting requests, and those that were registered in a period."""
    return render_template("requests/mine.html", **_values(utcnow()))


@blueprint.get("/rows")
@login_required
@reads_together
def rows():
    """Answer the poll of this page."""

    def build(now: datetime) -> tuple[str, datetime | None]:
        values = _values(now)
        shown = Pending(values["mine"].active, values["mine"].ended)
        return render_template("requests/_mine_live.html", **values), next_change(shown, now)

    return poll.respond(build, ARGUMENTS)


def _values(now: datetime) -> dict[str, Any]:
    chosen, period, errors = _period(now)
    page = request.args.get("page", 1, type=parse_row_number)
    first, last = office_time(period.start).date(), periods.days(period, office_zone())[-1]
    return {
        "mine": load_own_requests(database(), current_scope(), period, now, page=page),
        "now": now,
        "periods": PERIODS,
        "chosen": chosen,
        "typed": {
            "from": request.args.get("from") or format_date(first),
            "to": request.args.get("to") or format_date(last),
        },
        "errors": errors,
        "phones": current_user.extensions,
        "calendar": "persian" if is_persian() else "gregory",
        "arguments": {name: value for name, value in request.args.items() if name in ARGUMENTS},
    }


def _period(now: datetime) -> tuple[str, Period, dict[str, str]]:
    """Read the period from the query arguments; return its key in PERIODS, the period, and errors by argument."""
    zone = office_zone()
    match request.args.get("period"):
        case "week":
            return "week", periods.week(now, zone, choose_locale()), {}
        case "month":
            return "month", periods.month(now, zone, choose_locale()), {}
        case "range":
            period, errors = _range()
            return "range", period or periods.today(now, zone), errors
    return "today", periods.today(now, zone), {}


def _range() -> tuple[Period | None, dict[str, str]]:
    """Read a range of days from the query arguments; return it, or None and the errors by argument."""
    found: dict[str, date] = {}
    errors: dict[str, str] = {}
    for name in ("from", "to"):
        try:
            found[name] = parse_date(request.args.get(name, ""))
        except (ValueError, OverflowError):
            errors[name] = wording.error("date")
    if not errors and found["from"] > found["to"]:
        errors["to"] = wording.error("order")
    if errors:
        return None, errors
    try:
        return periods.between(found["from"], found["to"], office_zone()), {}
    except OverflowError:
        return None, {"to": wording.error("date")}
