"""Recording by phone: the worker rings an extension, and the page shows the state of the call."""

import uuid

from flask import Blueprint, abort, render_template, request
from flask_login import current_user

from app.domain.numbers import ascii_digits
from app.domain.phone_calls import CallKind
from app.services.errors import Invalid, NotFound
from app.services.prompts import phone_calls
from app.web import wording
from app.web.context import administrator_required, database, utcnow
from app.web.prompts import wording as prompt_wording
from app.web.prompts.responses import error_text

blueprint = Blueprint("by_phone", __name__, url_prefix="/recordings/by-phone")


@blueprint.post("")
@administrator_required
def ring():
    """Let the worker ring an extension; return the state of the call, or 422 with a message."""
    form = request.form
    try:
        call_id = phone_calls.create_recording_call(
            database(),
            extension=ascii_digits(form.get("extension", "")).strip(),
            language=form.get("language", ""),
            name=form.get("name", ""),
            text=form.get("text", ""),
            actor=current_user.name,
            now=utcnow(),
        )
    except Invalid as invalid:
        messages = [
            f"{prompt_wording.PHONE_CALL_FIELD[name]}: {wording.error(code)}" for name, code in invalid.errors.items()
        ]
        return error_text(" ".join(messages))
    return _show_call(call_id)


@blueprint.get("/<uuid:call>")
@administrator_required
def state(call: uuid.UUID):
    """Return the present state of a call."""
    return _show_call(str(call))


@blueprint.post("/<uuid:call>/cancel")
@administrator_required
def cancel(call: uuid.UUID):
    """End a call; return its state."""
    try:
        phone_calls.cancel(database(), str(call), current_user.name, utcnow())
    except NotFound:
        abort(404)
    return _show_call(str(call))


def _show_call(call_id: str):
    try:
        call = phone_calls.load(database(), call_id, utcnow())
    except NotFound:
        abort(404)
    if call.kind is not CallKind.RECORD:
        abort(404)
    return render_template("prompts/_phone_call.html", call=call)
