"""The page with the voices: who speaks each language, how fast and how high, and words that they need help with.

A sample can be heard before saving.
"""

from collections.abc import Mapping

from flask import Response, abort, flash, redirect, render_template, send_file, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from wtforms import IntegerRangeField, SelectChoice, SelectField, TextAreaField
from wtforms.validators import ValidationError

from app.audio.clip import SoundError
from app.audio.prompt_texts import LANGUAGES, default_text
from app.audio.pronunciations import BadPronunciation
from app.audio.speak import DEFAULT_PITCH, DEFAULT_RATE, MAX_CHARACTERS
from app.services.errors import Invalid
from app.services.prompts import voice as voice_service
from app.store import settings as settings_store
from app.store.settings import Speech
from app.web import wording
from app.web.context import administrator_required, cached_query, database, library, utcnow
from app.web.fields import PanelForm, has_errors, show_errors
from app.web.prompts import wording as prompt_wording
from app.web.settings.blueprint import blueprint

SLOWEST, FASTEST = 80, 250  # words per minute that the page offers
EXAMPLE_PRONUNCIATION = {"fa": "بازنگ = بازَنگ", "en": "Bazang = Baazang"}


class VoiceForm(PanelForm):
    voice = SelectField(_l("Voice"), validate_choice=False)
    rate = IntegerRangeField(_l("Speed"), description=_l("Words per minute."))
    pitch = IntegerRangeField(_l("Pitch"), description=_l("From 0 (very low) to 99 (very high)."))
    pronunciations = TextAreaField(
        _l("Pronunciations"),
        description=_l("Words that the voice says wrong, one per line: the word = how to write it for the voice."),
    )
    sample = TextAreaField(_l("Sample"), description=_l("Only you hear it. It is not saved."))

    def __init__(self, language: str, **options: object) -> None:
        """Create the form with the stored values of a language."""
        self.language = language
        stored = cached_query(("speech", language), lambda session: settings_store.speech(session, language))
        values = {
            "voice": stored.voice,
            "rate": DEFAULT_RATE if stored.rate is None else stored.rate,
            "pitch": DEFAULT_PITCH if stored.pitch is None else stored.pitch,
            "pronunciations": stored.pronunciations,
        }
        super().__init__(prefix=f"{language}-", data=values, **options)
        if not self.sample.data:
            self.sample.data = default_text("after_success", language)
        self._set_voice_choices()

    def _set_voice_choices(self) -> None:
        voices = library().list_voices(self.language)
        default, others = voices[:1], voices[1:]
        self.voice.choices = [
            *(SelectChoice("", prompt_wording.voice(voice)) for voice in default),
            *(SelectChoice(voice.name, prompt_wording.voice(voice)) for voice in others),
        ]
        if self.voice.data and self.voice.data not in {
            choice.value for choice in self.voice.choices
        }:  # a voice that was removed
            self.voice.choices.append(SelectChoice(self.voice.data, self.voice.data))

    def to_speech(self) -> Speech:
        """Return what was typed. A default is stored as None, so that the choice follows if the default changes."""
        rate, pitch = self.rate.data, self.pitch.data
        return Speech(
            self.voice.data or "",
            None if rate == DEFAULT_RATE else rate,
            None if pitch == DEFAULT_PITCH else pitch,
            self.pronunciations.data or "",
        )

    def validate_pronunciations(self, field: TextAreaField) -> None:
        """Check the list, and show the line that is wrong."""
        try:
            field.data = voice_service.normalize_pronunciations(field.data or "", self.language)
        except BadPronunciation as error:
            raise ValidationError(prompt_wording.pronunciation_error(error)) from error


@blueprint.get("/voices")
@administrator_required
def voices():
    """Show the voices."""
    return _page()


@blueprint.post("/voices/<language>")
@administrator_required
def save_voice(language: str):
    """Save the voice of a language."""
    form = _form(language)
    form.validate()
    if not has_errors(form):
        try:
            voice_service.save(database(), language, form.to_speech(), utcnow(), actor=current_user.name)
        except Invalid as invalid:
            show_errors(form, invalid.errors)
        else:
            flash(_("The voice is saved. The telephone service uses it from now on."), "success")
            return redirect(url_for("settings.voices"))
    return _page(form), 422


@blueprint.post("/voices/<language>/preview")
@administrator_required
def preview_voice(language: str):
    """Return the sample as a sound. If it cannot be spoken, return 422 with the reason as text."""
    form = _form(language)
    form.validate()
    text = form.sample.data or ""
    errors = _preview_errors(form, text)
    if errors:
        return _plain_text(next(iter(errors.values())))
    try:
        clip = voice_service.synthesize_with_fallback(library(), text, language, form.to_speech())
    except SoundError as error:
        return _plain_text(str(prompt_wording.SOUND_ERROR.get(error.code, prompt_wording.SOUND_ERROR["speech_failed"])))
    return send_file(clip.path, mimetype="audio/wav", download_name=f"{language}.wav", max_age=0)


def _preview_errors(form: VoiceForm, text: str) -> Mapping[str, str]:
    """Return messages by field name."""
    if form.pronunciations.errors:
        return {"pronunciations": str(form.pronunciations.errors[0])}
    if has_errors(form):
        return {"rate": wording.error("range")}
    errors = voice_service.validate(form.language, form.to_speech())
    if len(text) > MAX_CHARACTERS:
        errors.setdefault("sample", "too_long")
    return {name: wording.error(code) for name, code in errors.items()}


def _plain_text(text: str) -> Response:
    return Response(text, 422, mimetype="text/plain")


def _form(language: str) -> VoiceForm:
    if language not in LANGUAGES:
        abort(404)
    return VoiceForm(language)


def _page(typed: VoiceForm | None = None) -> str:
    forms = [
        typed if typed is not None and typed.language == language else VoiceForm(language, formdata=None)
        for language in LANGUAGES
    ]
    return render_template(
        "settings/voices.html",
        forms=forms,
        slowest=SLOWEST,
        fastest=FASTEST,
        example_pronunciation=EXAMPLE_PRONUNCIATION,
    )
