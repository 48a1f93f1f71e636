"""Missed calls: who called, reached nobody and left no request."""

from datetime import datetime
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import login_required

from app.domain.missed_calls import Target
from app.services.errors import Invalid, NotFound
from app.services.missed import list as missed
from app.services.requests.results import ResultCode
from app.services.requests.targets import parse_target
from app.web import poll, wording
from app.web.context import current_scope, database, settings, utcnow
from app.web.http import parse_row_number
from app.web.reading import reads_together

blueprint = Blueprint("missed", __name__, url_prefix="/missed")

ARGUMENTS = ("target", "page")


@blueprint.get("")
@login_required
@reads_together
def index():
    """Show the missed calls that the user may see."""
    return render_template("missed/index.html", **_values(utcnow()))


@blueprint.get("/rows")
@login_required
@reads_together
def rows():
    """Answer the poll of this page."""

    def build(now: datetime) -> tuple[str, datetime | None]:
        values = _values(now)
        due = (entry.due_at for entry in values["missed"].entries)
        soon = min((at for at in due if at is not None and at > now), default=None)
        return render_template("missed/_live.html", **values), soon

    return poll.respond(build, ARGUMENTS)


def _values(now: datetime) -> dict[str, Any]:
    queue, code = parse_target(request.args.get("target", ""))
    chosen = Target(queue, code) if code else None
    return {
        "missed": missed.load(
            database(), current_scope(), now, chosen, page=request.args.get("page", 1, type=parse_row_number)
        ),
        "chosen": chosen,
        "now": now,
        "arguments": _arguments(),
    }


def _arguments() -> dict[str, Any]:
    return {name: request.args[name] for name in ARGUMENTS if request.args.get(name)}


@blueprint.post("/<row:missed_id>/request")
@login_required
def make_request(missed_id: int):
    """Make a request of the missed calls of a number."""
    try:
        result = missed.request(database(), settings(), current_scope(), missed_id, utcnow())
    except NotFound:
        abort(404)
    except Invalid as invalid:
        flash(" ".join(wording.error(code) for code in invalid.errors.values()), "warning")
    else:
        if result.code is ResultCode.DUPLICATE:
            flash(_("This caller already has the following request."), "warning")
            return redirect(url_for("requests.show", request_id=result.id))
        flash(_("The request was added."), "success")
    return redirect(url_for("missed.index", **_arguments()))


@blueprint.post("/<row:missed_id>/dismiss")
@login_required
def dismiss(missed_id: int):
    """Take the missed calls of a number off the list."""
    try:
        missed.dismiss(database(), current_scope(), missed_id, utcnow())
    except NotFound:
        abort(404)
    flash(_("The missed call is off the list."), "success")
    return redirect(url_for("missed.index", **_arguments()))
