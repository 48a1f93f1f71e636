"""The pages of pending requests, of one request and of a new request."""

from datetime import datetime
from io import BytesIO
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, send_file, url_for
from flask_babel import gettext as _
from flask_login import login_required

from app.domain.lifecycle import ACTIVE, Status
from app.services.errors import Invalid, NotFound
from app.services.requests.create import create_request
from app.services.requests.detail import load_detail
from app.services.requests.first_steps import load_first_steps
from app.services.requests.pending import Pending, PendingFilter, load_filter_choices, load_pending, load_rows
from app.services.requests.results import ResultCode
from app.services.requests.spoken_names import find_for_user
from app.services.sounds import path_of, read_content
from app.web import poll
from app.web.context import cached_query, current_scope, database, settings, utcnow
from app.web.http import first_page, is_fragment, parse_row_number
from app.web.reading import reads_together
from app.web.requests.form import NewRequestForm

blueprint = Blueprint("requests", __name__)
FILTER_ARGUMENTS = ("module", "target", "status")
ARGUMENTS = (*FILTER_ARGUMENTS, "page")


@blueprint.context_processor
def _template_values():
    return {"first_steps": lambda: cached_query("first_steps", load_first_steps)}


@blueprint.get("/")
@login_required
def home():
    """Go to the page on which the user starts."""
    return redirect(first_page())


@blueprint.get("/requests")
@login_required
@reads_together
def index():
    """Show the active and the recently ended requests."""
    filters = _filters()
    return render_template(
        "requests/index.html",
        choices=load_filter_choices(database(), current_scope()),
        filters=filters,
        is_filtered=any(request.args.get(name) for name in FILTER_ARGUMENTS),
        **_pending(filters, utcnow()),
    )


@blueprint.get("/requests/rows")
@login_required
@reads_together
def rows():
    """Answer the poll of this page."""

    def build(now: datetime) -> tuple[str, datetime | None]:
        values = _pending(_filters(), now)
        return render_template("requests/_live.html", **values), next_change(values["pending"], now)

    return poll.respond(build, ARGUMENTS)


def _pending(filters: PendingFilter, now: datetime) -> dict[str, Any]:
    page = request.args.get("page", 1, type=parse_row_number)
    return {
        "pending": load_pending(database(), current_scope(), now, filters, page=page),
        "now": now,
        "arguments": {name: request.args[name] for name in ARGUMENTS if request.args.get(name)},
    }


def next_change(shown: Pending, now: datetime) -> datetime | None:
    """Return the next time at which a displayed reason ends by itself."""
    times = [row.reason.until for row in shown.active if row.reason is not None and row.reason.until is not None]
    return min((time for time in times if time > now), default=None)


def _filters() -> PendingFilter:
    """Read the filter from the query arguments. Invalid values do not filter.

    A target is "queue:support", or an extension: "101", in older addresses "extension:101".
    """
    kind, _colon, target = request.args.get("target", "").rpartition(":")
    status = request.args.get("status", "")
    return PendingFilter(
        module_id=request.args.get("module", None, type=parse_row_number),
        queue=kind == "queue",
        target=target,
        statuses=[Status(status)] if status in set(ACTIVE) else (),
    )


@blueprint.get("/requests/<row:request_id>")
@login_required
@reads_together
def show(request_id: int):
    """Show one request."""
    return render_template("requests/show.html", **_detail(request_id, utcnow()))


@blueprint.get("/requests/<row:request_id>/rows")
@login_required
@reads_together
def show_rows(request_id: int):
    """Answer the poll of this page."""

    def build(now: datetime) -> tuple[str, datetime | None]:
        values = _detail(request_id, now)
        reason = values["detail"].request.reason
        return render_template("requests/_show_live.html", **values), reason.until if reason else None

    return poll.respond(build)


@blueprint.get("/requests/<row:request_id>/menu")
@login_required
def menu(request_id: int):
    """Return the menu of a row of a table, which live/menu.js loads when it is opened."""
    if not is_fragment():
        return redirect(url_for("requests.show", request_id=request_id))
    rows = load_rows(database(), current_scope(), [request_id], utcnow())
    if not rows:
        abort(404)
    return render_template("requests/_menu_entries.html", request=rows[0])


@blueprint.get("/requests/<row:request_id>/name.wav")
@login_required
def spoken_name(request_id: int):
    """Send the name that the caller has said."""
    try:
        file = find_for_user(database(), current_scope(), request_id)
        path = path_of(settings().prompts_path, file)
        # What another machine has recorded is not written here: it would outlive its deletion there.
        content = path if path.is_file() else BytesIO(read_content(database(), file))
        return send_file(content, mimetype="audio/wav")
    except (NotFound, FileNotFoundError):
        abort(404)


def _detail(request_id: int, now: datetime) -> dict[str, Any]:
    try:
        return {"detail": load_detail(database(), current_scope(), request_id, now), "now": now}
    except NotFound:
        abort(404)


@blueprint.route("/requests/new", methods=["GET", "POST"])
@login_required
def new():
    """Create a request for a customer who did not ask by phone."""
    form = NewRequestForm()
    form.fill_choices()
    form.propose_moment()
    if request.method == "POST":
        created = _create(form) if form.validate() else None
        if created is not None:
            return created
    return render_template("requests/new.html", form=form), 422 if request.method == "POST" else 200


def _create(form: NewRequestForm):
    """Create the request; return the redirect, or None if the form has errors."""
    try:
        result = create_request(database(), settings(), current_scope(), form.to_request(), utcnow())
    except Invalid as invalid:
        form.show_errors(invalid.errors, invalid.free_at)
        return None
    if result.code is ResultCode.DUPLICATE:
        flash(_("This caller already has the following request."), "warning")
        return redirect(url_for("requests.show", request_id=result.id))
    flash(_("The request was added."), "success")
    return redirect(url_for("requests.index"))
