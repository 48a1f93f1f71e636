"""The pages and dialogs by which users perform an action on one or several requests.

Each request is given as `row=<id>.<version>`, with the version that the page showed. See services/requests/perform.py.
"""

from collections.abc import Mapping, Sequence

from flask import Blueprint, abort, flash, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import login_required

from app.services.errors import Invalid
from app.services.requests import perform as services
from app.services.requests.actions import MAX_NOTE_LENGTH, Action, Block, CallNow, ShownRequest, Undo
from app.services.requests.command_results import wait_for_results
from app.services.requests.pending import PendingRow, load_rows
from app.services.requests.results import ActionResult, ResultCode
from app.web.context import current_scope, database, utcnow
from app.web.fields import show_errors
from app.web.http import is_fragment, is_local_url, parse_row_number, previous_page
from app.web.requests.action_forms import FORMS, ActionForm, PostponeForm
from app.web.requests.wording import not_free_text, results_message

blueprint = Blueprint("acts", __name__, url_prefix="/requests/acts")
MAX_ROWS = 500


@blueprint.route(
    "/<any(call,postpone,reassign,priority,note,done,cancel,reopen,withdraw,undo,block):act>", methods=["GET", "POST"]
)
@login_required
def perform(act: str):
    """Show the form of an action (GET), and perform the action (POST)."""
    shown = _shown_requests()
    if not shown:
        return respond_done(_("Choose one or more requests first."), "warning")
    rows = _load(shown)
    may_have_left = act == "undo" and request.method == "POST"  # the change may have moved it to somebody else
    if not rows and not may_have_left:
        abort(404)
    form = FORMS[act](request.values if request.method == "POST" else None)
    message = None
    if request.method == "POST" and form.validate():
        action = form.action()
        try:
            results = _perform(action, shown)
        except Invalid as invalid:
            _show_errors(form, invalid.errors)
        else:
            if not rows and all(result.code is ResultCode.NOT_FOUND for result in results):
                abort(404)
            after = _load(shown) if isinstance(action, CallNow | Undo) else {}
            message, category = results_message(action, results, rows, after)
            left = _to_repeat(results)
            if not left or not form.has_typed_input():
                return respond_done(message, category, undo=_undo_rows(action, results))
            shown, rows = left, _load(left)
            refused = next((result for result in results if result.code is ResultCode.NOT_FREE), None)
            if refused is not None and isinstance(form, PostponeForm):
                form.refuse_moment(not_free_text(refused.free_at))
                message = message if len(results) > 1 else None
    form.prepare(list(rows.values()))
    return _render(act, form, shown, rows, message)


def _render(act: str, form: ActionForm, shown: Sequence[ShownRequest], rows: Mapping[int, PendingRow], message: object):
    template = "requests/_action_form.html" if is_fragment() else "requests/action.html"
    values = {"form": form, "act": act, "shown": shown, "rows": rows, "message": message, "back": _back()}
    status = 422 if request.method == "POST" else 200
    return render_template(template, **values, max_note_length=MAX_NOTE_LENGTH), status


def _shown_requests() -> list[ShownRequest]:
    """Return the requests that the `row` arguments name. Abort with 400 if one is invalid."""
    try:
        return [_parse_row(text) for text in dict.fromkeys(request.values.getlist("row"))][:MAX_ROWS]
    except ValueError:
        abort(400)


def _parse_row(text: str) -> ShownRequest:
    number, _dot, version = text.partition(".")
    return ShownRequest(parse_row_number(number), parse_row_number(version))


def _load(shown: Sequence[ShownRequest]) -> dict[int, PendingRow]:
    rows = load_rows(database(), current_scope(), [row.id for row in shown], utcnow())
    return {row.id: row for row in rows}


def _show_errors(form: ActionForm, errors: Mapping[str, str]) -> None:
    """Show the service's errors beside the fields. The error of `until` belongs to the date."""
    show_errors(form, {"day": errors["until"]} if "until" in errors else dict(errors))


def _perform(action: Action, shown: Sequence[ShownRequest]) -> list[ActionResult]:
    results = services.perform(database(), current_scope(), action, shown, utcnow())
    return wait_for_results(database(), results)


def _to_repeat(results: Sequence[ActionResult]) -> list[ShownRequest]:
    """Return the unchanged requests in their present version, so that the user can repeat the action on them."""
    return [
        ShownRequest(result.id, result.version) for result in results if not result.ok and result.version is not None
    ]


def _undo_rows(action: Action, results: Sequence[ActionResult]) -> list[str]:
    """Return the requests whose change can be undone, as the `row` arguments of the undo."""
    if isinstance(action, Block):  # its number stays on the list
        return []
    return [f"{result.id}.{result.version}" for result in results if result.undoable]


def respond_done(message: str, category: str, back: str | None = None, *, undo: Sequence[str] = ()):
    """Show the message in the page (HTMX), or redirect to the page from which the user came.

    `undo` are the requests whose change can be undone beside the message.
    """
    if not is_fragment():
        # The session holds any JSON.
        flash({"text": message, "undo": list(undo), "back": back or _back()}, category)  # type: ignore[arg-type]
        return redirect(back or _back())
    values = {"message": message, "category": category, "undo": undo, "back": previous_page()}
    response = make_response(render_template("requests/_action_result.html", **values))
    response.headers["HX-Trigger"] = "acted"
    return response


def _back() -> str:
    """Return the page from which the user came, unless that is the page of an action."""
    page = request.form.get("back") or previous_page()
    actions = url_for("acts.perform", act="call").rpartition("/")[0]
    return page if is_local_url(page) and not page.startswith(actions) else url_for("requests.index")
