"""The recordings of a language as one file: the list of texts for a speaker, download and upload."""

import io

from flask import abort, current_app, flash, redirect, render_template, request, send_file, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from flask_login import current_user

from app.audio.prompt_texts import LANGUAGES
from app.services.errors import NotFound
from app.services.prompts import recording_set as sets
from app.services.prompts.recording_set import BadSet
from app.services.prompts.sounds import DIGITS
from app.web.body_check import accept_file
from app.web.context import administrator_required, database, library, utcnow
from app.web.formats import digits
from app.web.locale import choose_locale
from app.web.prompts import wording as prompt_wording
from app.web.prompts.blueprint import blueprint
from app.web.prompts.recording_view import find_recording


@blueprint.get("/set")
@administrator_required
def all_sets():
    """Redirect to the recordings of the user's language."""
    return redirect(url_for("recordings.recording_set", language=choose_locale()))


@blueprint.get("/set/<language>")
@administrator_required
def recording_set(language: str):
    """Show the texts of a language, to be printed for a speaker, and their recordings."""
    return _show_set(language)


@blueprint.post("/set/<language>")
@administrator_required
@accept_file(sets.LARGEST_ZIP)
def change_set(language: str):
    """Import an uploaded zip file, or let the voice speak the text `back` again."""
    try:
        if back := request.form.get("back", ""):
            sets.remove_from_set(database(), language, back, utcnow(), actor=current_user.name)
            flash(_("The voice speaks this text again."), "success")
            return redirect(url_for("recordings.recording_set", language=language))
        return _import_set(language)
    except NotFound:
        abort(404)


def _import_set(language: str):
    upload = request.files.get("set")
    if upload is None or not upload.filename:
        return _show_set(language, [prompt_wording.set_fault("", "no_zip")]), 422
    try:
        count = sets.import_set(database(), library(), upload.stream, language, utcnow(), actor=current_user.name)
    except BadSet as bad:
        return _show_set(language, [prompt_wording.set_fault(fault.name, fault.code) for fault in bad.faults]), 422
    except OSError:
        current_app.logger.exception("cannot store a set of recordings")
        message = _("The sounds cannot be saved. Ask the administrator of this machine to check the server log.")
        return _show_set(language, [message]), 422
    message = ngettext(
        "%(number)s recording is in use now.", "%(number)s recordings are in use now.", count, number=digits(count)
    )
    flash(message, "success")
    return redirect(url_for("recordings.recording_set", language=language))


@blueprint.get("/set/<language>.zip")
@administrator_required
def download_set(language: str):
    """Send the recordings of a language with the list of its texts."""
    file = io.BytesIO()
    try:
        sets.export_set(database(), library(), language, file)
    except NotFound:
        abort(404)
    file.seek(0)
    name = f"bazang-{language}.zip"
    return send_file(file, mimetype="application/zip", as_attachment=True, download_name=name, max_age=0)


def _show_set(language: str, errors: list[str] | None = None) -> str:
    try:
        parts = sets.list_parts(database(), language)
    except NotFound:
        abort(404)
    rows = [(part, find_recording(part.file)) for part in parts]
    values = {"language": language, "languages": LANGUAGES, "rows": rows, "digit_keys": DIGITS}
    return render_template("prompts/set.html", errors=errors or [], **values)
