"""My requests: what an operator has to do, and has done, for their own extensions and queues."""

from datetime import date, datetime
from typing import Any

from flask import Blueprint, render_template, request
from flask_babel import lazy_gettext as _l
from flask_login import current_user, login_required

from app.services.report import periods
from app.services.report.mine import mine
from app.services.report.periods import Period
from app.services.requests.pending import Pending
from app.web import poll
from app.web import wording as words
from app.web.context import current_scope, database, utcnow
from app.web.fields import read_date
from app.web.formats import is_persian, office_zone, written_date
from app.web.http import parse_row_number
from app.web.locale import choose_locale
from app.web.requests import wording
from app.web.requests.views import next_change
from app.web.times import here

blueprint = Blueprint("mine", __name__, url_prefix="/mine")

ASKED = ("period", "from", "to", "page")  # as the address has it
PERIODS = {
    "today": _l("Today"),
    "week": _l("This week"),
    "month": _l("This month"),
    "range": _l("From – to"),
}


@blueprint.get("")
@login_required
def index():
    """Show what waits for the user's own phones, and what they had in a period."""
    return render_template("requests/mine.html", **_values(utcnow()))


@blueprint.get("/rows")
@login_required
def rows():
    """Answer that page when it asks what has changed."""

    def build(now: datetime) -> tuple[str, datetime | None]:
        values = _values(now)
        shown = Pending(values["mine"].active, values["mine"].ended)
        return render_template("requests/_mine_live.html", **values), next_change(shown, now)

    return poll.respond(build, ASKED)


def _values(now: datetime) -> dict[str, Any]:
    chosen, period, errors = _period(now)
    page = request.args.get("page", 1, type=parse_row_number)
    typed = {name: request.args.get(name, "") for name in ("from", "to")}
    first, last = (written_date(day) for day in (here(period.start).date(), periods.days(period, office_zone())[-1]))
    return {
        "mine": mine(database(), current_scope(), period, now, page=page),
        "now": now,
        "words": words,
        "deeds": wording,
        "periods": PERIODS,
        "chosen": chosen,
        "typed": {"from": typed["from"] or first, "to": typed["to"] or last},
        "errors": errors,
        "phones": current_user.extensions,
        "calendar": "persian" if is_persian() else "gregory",
        "asked": {name: value for name, value in request.args.items() if name in ASKED},
    }


def _period(now: datetime) -> tuple[str, Period, dict[str, str]]:
    """Read from the address which time is asked for; return its name, the time, and what is wrong with it."""
    zone = office_zone()
    chosen = request.args.get("period", "today")
    if chosen == "week":
        return chosen, periods.week(now, zone, choose_locale()), {}
    if chosen == "month":
        return chosen, periods.month(now, zone, choose_locale()), {}
    if chosen != "range":
        return "today", periods.today(now, zone), {}
    found: dict[str, date] = {}
    errors: dict[str, str] = {}
    for name in ("from", "to"):
        try:
            found[name] = read_date(request.args.get(name, ""))
        except (ValueError, OverflowError):
            errors[name] = words.error("date")
    if not errors and found["from"] > found["to"]:
        errors["to"] = words.error("order")
    if errors:
        return chosen, periods.today(now, zone), errors
    try:
        return chosen, periods.between(found["from"], found["to"], zone), {}
    except OverflowError:
        return chosen, periods.today(now, zone), {"to": words.error("date")}
