"""The digits of a language: listen to them, and let recordings read them out."""

import re

from flask import abort, current_app, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user

from app.audio.clip import SoundError
from app.audio.convert import MAX_BYTES
from app.audio.prompt_texts import LANGUAGES
from app.domain.numbers import ascii_digits
from app.services.errors import NotFound
from app.services.prompts import digits as digits_service
from app.services.prompts.sounds import DIGITS
from app.web import wording
from app.web.body_check import accept_file
from app.web.context import administrator_required, database, library, utcnow
from app.web.formats import digits as format_digits
from app.web.locale import choose_locale
from app.web.prompts import wording as prompt_wording
from app.web.prompts.blueprint import blueprint
from app.web.prompts.recording_view import find_recording, sound_sources
from app.web.prompts.responses import error_text, send_clip
from app.web.prompts.uploads import store_upload


@blueprint.get("/digits")
@administrator_required
def all_digits():
    """Redirect to the digits of the user's language."""
    return redirect(url_for("recordings.digits", language=choose_locale()))


@blueprint.get("/digits/<language>")
@administrator_required
def digits(language: str):
    """Show how the digits of a language are read out."""
    return _show_digits(language)


def _show_digits(language: str, error_digit: str = "", error: str = ""):
    if language not in LANGUAGES:
        abort(404)
    files = digits_service.load_digit_files(database(), language)
    cards = [(digit, find_recording(files.get(digit, ""))) for digit in DIGITS]
    values = {"language": language, "cards": cards, "error_digit": error_digit, "error": error, "languages": LANGUAGES}
    return render_template("prompts/digits.html", **values, **sound_sources())


@blueprint.post("/digits/<language>/<digit>")
@administrator_required
@accept_file(MAX_BYTES)
def set_digit(language: str, digit: str):
    """Let an uploaded file, a recording of the library (`file`) or the voice (`back`) read out a digit."""
    file = request.form.get("file", "")
    upload = request.files.get("upload")
    if upload is not None and upload.filename:
        recording, error = store_upload(upload)
        if recording is None:
            return _show_digits(language, digit, error), 422
        file = recording.file
    elif "back" not in request.form and not file:
        return _show_digits(language, digit, wording.error("no_file")), 422
    try:
        digits_service.set_digit(database(), language, digit, file or None, utcnow(), actor=current_user.name)
    except NotFound:
        if language not in LANGUAGES or digit not in tuple(DIGITS):
            abort(404)
        return _show_digits(language, digit, prompt_wording.sound_error(SoundError("lost"))), 422
    message = _("%(digit)s is read out by the recording.") if file else _("%(digit)s is read out by the voice again.")
    flash(message % {"digit": format_digits(digit)}, "success")
    return redirect(url_for("recordings.digits", language=language, _anchor=f"digit-{digit}"))


@blueprint.get("/digits/<language>/<number>.wav")
@administrator_required
def readout(language: str, number: str):
    """Send a number of up to twenty digits as it is read out."""
    number = ascii_digits(number)
    if language not in LANGUAGES or not re.fullmatch("[0-9]{1,20}", number):
        abort(404)
    try:
        clip = digits_service.make_readout(database(), library(), language, number)
    except (SoundError, FileNotFoundError) as error:
        current_app.logger.error("cannot read out %s: %s", number, error)
        return error_text(prompt_wording.sound_error(SoundError("speech_failed")))
    return send_clip(clip, f"{language}-{number}.wav")
