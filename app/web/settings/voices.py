"""The voices of the office: who speaks each language, how fast and how high, heard before it is saved."""

from flask import abort, flash, redirect, render_template, request, send_file, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import IntegerRangeField, SelectChoice, SelectField, TextAreaField

from app.audio.clip import SoundError
from app.audio.prompt_texts import LANGUAGES, default_text
from app.audio.speak import DEFAULT_PITCH, DEFAULT_RATE, MAX_CHARACTERS
from app.services.errors import Invalid
from app.services.prompts import voice as speech
from app.store import settings as store
from app.store.settings import Speech
from app.web import wording
from app.web.context import administrator_required, database, library, utcnow
from app.web.fields import has_errors, show_errors
from app.web.prompts import wording as prompt_wording
from app.web.settings.views import blueprint

SLOWEST, FASTEST = 80, 250  # what is offered; more than that nobody understands


class VoiceForm(FlaskForm):
    voice = SelectField(_l("Voice"), validate_choice=False)
    rate = IntegerRangeField(_l("Speed"), description=_l("Words per minute."))
    pitch = IntegerRangeField(_l("Pitch"), description=_l("From 0, very low, to 99, very high."))
    sample = TextAreaField(_l("Sample"), description=_l("It is spoken for you alone, and not saved."))

    def __init__(self, language: str, now: Speech, **options) -> None:
        self.language = language
        sample = default_text("after_success", language)
        rate, pitch = (d if n is None else n for n, d in ((now.rate, DEFAULT_RATE), (now.pitch, DEFAULT_PITCH)))
        super().__init__(prefix=f"{language}-", data={"voice": now.voice, "rate": rate, "pitch": pitch}, **options)
        if not self.sample.data:
            self.sample.data = sample
        self.voice.choices = [
            SelectChoice("" if place == 0 else voice.name, prompt_wording.voice(voice))
            for place, voice in enumerate(library().list_voices(language))
        ]
        if self.voice.data and self.voice.data not in {choice.value for choice in self.voice.choices}:
            self.voice.choices.append(SelectChoice(self.voice.data, self.voice.data))

    def given(self) -> Speech:
        """Return the choice. A default is not stored, so that it follows should it ever change."""
        rate, pitch = self.rate.data, self.pitch.data
        return Speech(
            self.voice.data or "",
            None if rate == DEFAULT_RATE else rate,
            None if pitch == DEFAULT_PITCH else pitch,
        )

    def show(self, errors: dict[str, str]) -> None:
        show_errors(self, errors)


@blueprint.get("/voices")
@administrator_required
def voices():
    """Show who speaks each language."""
    return _page()


@blueprint.post("/voices/<language>")
@administrator_required
def save_voice(language: str):
    """Change who speaks a language."""
    form = _form(language)
    form.validate()
    if not has_errors(form):
        try:
            speech.save(database(), language, form.given(), utcnow(), actor=current_user.name)
        except Invalid as invalid:
            form.show(invalid.errors)
        else:
            flash(_("The voice is saved. The telephone service speaks with it from now on."), "success")
            return redirect(url_for("settings.voices"))
    return _page(form), 422


@blueprint.post("/voices/<language>/preview")
@administrator_required
def preview_voice(language: str):
    """Return the sample, spoken as chosen. What cannot be spoken is a 422 with the reason in words."""
    form = _form(language)
    form.validate()
    text = form.sample.data or ""
    errors = speech.validate(language, form.given()) if not has_errors(form) else {"rate": "range"}
    if errors:
        return _told(wording.error(next(iter(errors.values()))))
    if len(text) > MAX_CHARACTERS:
        return _told(wording.error("too_long"))
    try:
        clip = speech.synthesize(library(), text, language, form.given())
    except SoundError as error:
        return _told(prompt_wording.sound_error(error))
    return send_file(clip.path, mimetype="audio/wav", download_name=f"{language}.wav", max_age=0)


def _told(text: str):
    return text, 422, {"Content-Type": "text/plain; charset=utf-8"}


def _form(language: str) -> VoiceForm:
    if language not in LANGUAGES:
        abort(404)
    with database().read() as session:
        now = store.speech(session, language)
    return VoiceForm(language, now)


def _page(typed: VoiceForm | None = None):
    forms = []
    for language in LANGUAGES:
        if typed is not None and typed.language == language:
            forms.append(typed)
            continue
        with database().read() as session:
            forms.append(VoiceForm(language, store.speech(session, language), formdata=None))
    return render_template("settings/voices.html", forms=forms, slowest=SLOWEST, fastest=FASTEST, request=request)
