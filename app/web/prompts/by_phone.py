"""Recording by phone: the telephone service rings an extension, and a card shows how far the call is."""

import uuid

from flask import Blueprint, abort, render_template, request
from flask_login import current_user

from app.domain.numbers import ascii_digits
from app.services.errors import Invalid, NotFound
from app.services.prompts import phone_calls
from app.services.prompts.phone_calls import CallKind
from app.web import wording
from app.web.context import administrator_required, database, utcnow
from app.web.prompts.preview import PLAIN_TEXT

blueprint = Blueprint("by_phone", __name__, url_prefix="/recordings/by-phone")


@blueprint.post("")
@administrator_required
def ring():
    """Have an extension rung to be spoken into; return how the call is shown. A fault is a 422 that says which."""
    given = request.form
    try:
        call = phone_calls.create_recording_call(
            database(),
            extension=ascii_digits(given.get("extension", "")).strip(),
            language=given.get("language", ""),
            name=given.get("name", ""),
            text=given.get("text", ""),
            actor=current_user.name,
            now=utcnow(),
        )
    except Invalid as invalid:
        return _said(invalid.errors), 422, PLAIN_TEXT
    return _shown(call)


def _said(errors: dict[str, str]) -> str:
    return " ".join(f"{wording.PHONE_CALL_FIELD[name]}: {wording.error(code)}" for name, code in errors.items())


@blueprint.get("/<uuid:call>")
@administrator_required
def state(call: uuid.UUID):
    """Return how a call is shown as it stands now."""
    return _shown(str(call))


@blueprint.post("/<uuid:call>/cancel")
@administrator_required
def cancel(call: uuid.UUID):
    """End a call; return how it is shown."""
    try:
        phone_calls.cancel(database(), str(call), current_user.name, utcnow())
    except NotFound:
        abort(404)
    return _shown(str(call))


def _shown(call: str):
    try:
        view = phone_calls.load(database(), call, utcnow())
    except NotFound:
        abort(404)
    if view.kind is not CallKind.RECORD:
        abort(404)
    return render_template("prompts/_call.html", call=view, words=wording)
