"""The page of pending requests, a request's own page, and requests that are added by hand."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import login_required
from flask_wtf import FlaskForm
from wtforms import SelectChoice, SelectField, StringField, TextAreaField

from app.domain.lifecycle import ACTIVE, Status
from app.domain.text import displayable
from app.services.errors import Invalid, NotFound
from app.services.requests import create, detail
from app.services.requests.access import visibility_of
from app.services.requests.create import NewRequest
from app.services.requests.detail import AttemptDetail, RequestDetail
from app.services.requests.history import HistoryEvent
from app.services.requests.pending import Pending, PendingFilter, PendingRow, load_filter_choices, load_pending
from app.store import requests as store_requests
from app.web import poll
from app.web import wording as words
from app.web.context import current_scope, database, settings, utcnow
from app.web.fields import DigitsField, show_errors
from app.web.http import parse_row_number
from app.web.requests import wording

blueprint = Blueprint("requests", __name__)
FILTER = ("module", "target", "status")  # as the address has it


@blueprint.get("/")
@login_required
def home():
    return redirect(url_for("requests.index"))


@blueprint.get("/requests")
@login_required
def index():
    """Show every active request that may be seen, and those that ended lately."""
    wanted = _wanted()
    values = _values(wanted, utcnow())
    return render_template(
        "requests/index.html",
        choices=load_filter_choices(database(), current_scope()),
        wanted=wanted,
        asked=_asked(),
        **values,
    )


@blueprint.get("/requests/rows")
@login_required
def rows():
    """Answer that page when it asks what has changed."""

    def build(now: datetime) -> tuple[str, datetime | None]:
        values = _values(_wanted(), now)
        body = render_template("requests/_live.html", wanted=_wanted(), **values)
        return body, next_change(values["pending"], now)

    return poll.respond(build, FILTER)


def _values(wanted: PendingFilter, now: datetime) -> dict[str, Any]:
    shown = load_pending(database(), current_scope(), now, wanted)
    return {"pending": shown, "now": now, "words": words, "deeds": wording}


def next_change(shown: Pending, now: datetime) -> datetime | None:
    """Return the first moment at which a reason that is shown ends by itself."""
    moments = [row.reason.until for row in shown.active if row.reason is not None and row.reason.until is not None]
    return min((moment for moment in moments if moment > now), default=None)


def _wanted() -> PendingFilter:
    """Read the filter from the address; what makes no sense there asks for nothing."""
    kind, colon, target = request.args.get("target", "").partition(":")
    status = request.args.get("status", "")
    return PendingFilter(
        module_id=request.args.get("module", None, type=parse_row_number),
        queue=kind == "queue",
        target=target if colon else "",
        statuses=[Status(status)] if status in set(ACTIVE) else (),
    )


def _asked() -> dict[str, str]:
    """Return the filter as the address has it, for the next address."""
    return {name: request.args[name] for name in FILTER if request.args.get(name)}


@blueprint.get("/requests/<row:request_id>")
@login_required
def show(request_id: int):
    """Show everything about one request."""
    return render_template("requests/show.html", **_story(request_id, utcnow()))


@blueprint.get("/requests/<row:request_id>/rows")
@login_required
def show_rows(request_id: int):
    """Answer that page when it asks what has changed."""

    def build(now: datetime) -> tuple[str, datetime | None]:
        values = _story(request_id, now)
        row: PendingRow = values["request_row"]
        return render_template("requests/_show_live.html", **values), row.reason.until if row.reason else None

    return poll.respond(build)


def _story(request_id: int, now: datetime) -> dict[str, Any]:
    try:
        told = detail.load_detail(database(), current_scope(), request_id, now)
    except NotFound:
        abort(404)
    return {
        "story": told,
        "request_row": told.request,
        "now": now,
        "words": words,
        "deeds": wording,
        "timeline": timeline,
    }


# Events of the history that an attempt's own entry tells, and more of it.
_TOLD_BY_ATTEMPT = frozenset({"claimed", "ended", "agent_answered", "customer_dialled", "connected"})


@dataclass(frozen=True)
class Entry:
    """A step of a request's timeline: an attempt with all that belongs to it, or something else that happened."""

    at: datetime
    attempt: AttemptDetail | None = None
    happening: HistoryEvent | None = None


def timeline(told: RequestDetail) -> list[Entry]:
    """Return what happened, the latest first."""
    known = {attempt.id for attempt in told.attempts}
    entries = [Entry(attempt.started_at, attempt=attempt) for attempt in told.attempts]
    entries += [
        Entry(entry.at, happening=entry)
        for entry in told.history
        if entry.kind not in _TOLD_BY_ATTEMPT or entry.attempt not in known
    ]
    return sorted(entries, key=lambda entry: entry.at, reverse=True)


class AddForm(FlaskForm):
    number = DigitsField(_l("Number"), description=_l("As you would dial it, such as 09121234567."))
    name = StringField(_l("Name"))
    wanted = SelectField(_l("For whom"), validate_choice=False)
    note = TextAreaField(_l("Note"))


@blueprint.route("/requests/new", methods=["GET", "POST"])
@login_required
def new():
    """Add a request by hand, for a customer who asked otherwise."""
    form = AddForm()
    form.wanted.choices = _whom()
    if request.method == "POST":
        answer = _add(form) if form.validate() else None
        if answer is not None:
            return answer
    return render_template("requests/new.html", form=form), 422 if request.method == "POST" else 200


def _whom() -> list[SelectChoice]:
    """Return for whom a request may be added: the user's own, or everybody that a module serves."""
    found = [SelectChoice("", _("Choose …"))]
    with database().read() as session:
        seen = visibility_of(session, current_scope())
        modules = store_requests.all_modules(session)
    for module in modules:
        queue = module.target_kind == "queue"
        if queue and seen.covers_target(module.id, True, module.targets[0]):
            found.append(
                SelectChoice(f"{module.id}:", f"{displayable(module.name)} · {wording.target(True, module.targets[0])}")
            )
        elif not queue:
            for target in ("", *module.targets) if len(module.targets) > 1 else module.targets:
                if seen.covers_target(module.id, False, target):
                    label = f"{displayable(module.name)} · {wording.target(False, target)}"
                    found.append(SelectChoice(f"{module.id}:{target}", label))
    return found


def _add(form: AddForm):
    number, _colon, target = (form.wanted.data or "").partition(":")
    try:
        module_id = parse_row_number(number)
    except ValueError:
        module_id = 0
    given = NewRequest(form.number.data, module_id, target, (form.name.data or "").strip(), form.note.data or "")
    try:
        result = create.create_request(database(), settings(), current_scope(), given, utcnow())
    except Invalid as invalid:
        errors = invalid.errors
        for name in ("module_id", "target"):
            if name in errors:
                errors["wanted"] = "required" if not form.wanted.data else errors[name]
        show_errors(form, {name: code for name, code in errors.items() if name not in ("module_id", "target")})
        return None
    if result.code == "duplicate":
        flash(_("This caller waits there already: here is the request."), "warning")
        return redirect(url_for("requests.show", request_id=result.id))
    flash(_("The request is added."), "success")
    return redirect(url_for("requests.index"))
