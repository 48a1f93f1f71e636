"""Who speaks how: the module's own voice, rate and pitch, else the office's, else the default of the language."""

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from sqlalchemy.orm import Session

from app.audio.clip import Clip, SoundError
from app.audio.library import SoundLibrary
from app.audio.prompt_texts import LANGUAGES
from app.audio.speak import MAX_PITCH, MAX_RATE, MIN_PITCH, MIN_RATE
from app.audio.voices import is_voice_name
from app.services import commands
from app.services.errors import Invalid
from app.services.settings.save import save_values
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import Module
from app.store.settings import Speech

log = logging.getLogger(__name__)
DEFAULT_SPEECH = Speech()  # the default of any language
Made = TypeVar("Made")


def load_module_speech(session: Session, library: SoundLibrary, module: Module) -> Speech:
    """Return how the texts of a module are spoken. A voice that is not there or speaks otherwise is passed over."""
    office = load_office_speech(session, library, module.language)
    return Speech(
        _usable_voice(library, module.voice, module.language) or office.voice,
        office.rate if module.rate is None else module.rate,
        office.pitch if module.pitch is None else module.pitch,
    )


def load_office_speech(session: Session, library: SoundLibrary, language: str) -> Speech:
    """Return how the office wants this language spoken, such as the agent's announcement."""
    given = store_settings.speech(session, language)
    return replace(given, voice=_usable_voice(library, given.voice, language))


def _usable_voice(library: SoundLibrary, voice: str, language: str) -> str:
    if not voice:
        return ""
    try:
        if library.find_voice(voice).language == language:
            return voice
        log.warning("the voice %s does not speak %s; another takes its place", voice, language)
    except SoundError as error:
        log.warning("%s; another takes its place", error)
    return ""


def validate(language: str, given: Speech) -> dict[str, str]:
    """Return what is wrong with a choice, by field; empty where all is well."""
    errors = {}
    if given.voice and not is_voice_name(given.voice, language):
        errors["voice"] = "choice"
    if given.rate is not None and not MIN_RATE <= given.rate <= MAX_RATE:
        errors["rate"] = "range"
    if given.pitch is not None and not MIN_PITCH <= given.pitch <= MAX_PITCH:
        errors["pitch"] = "range"
    return errors


def save(database: Database, language: str, given: Speech, now: datetime, *, actor: str = "") -> None:
    """Store how the office wants a language spoken; the telephone service speaks anew. Raises Invalid."""
    errors = validate(language, given) if language in LANGUAGES else {"language": "choice"}
    if errors:
        raise Invalid(errors)
    values = {"voice": given.voice, "rate": given.rate, "pitch": given.pitch}
    with database.write() as session:
        chosen = {f"{name}_{language}": "" if value is None else str(value) for name, value in values.items()}
        save_values(session, chosen, now, actor=actor)
    commands.ask(database, commands.WRITE_DIALPLAN, {}, actor=actor, now=now)


def synthesize_with_fallback(library: SoundLibrary, text: str, language: str, speech: Speech) -> Clip:
    """Return the text as sound, by the default voice if the chosen one fails. Raises SoundError and OSError."""
    return make_with_fallback(lambda manner: synthesize(library, text, language, manner), speech, text)


def synthesize(library: SoundLibrary, text: str, language: str, speech: Speech) -> Clip:
    """Return the text as sound, spoken as chosen and not otherwise. Raises SoundError and OSError."""
    return library.synthesize(text, language, speech.voice, speech.rate, speech.pitch)


def make_with_fallback(make: Callable[[Speech], Made], speech: Speech, what: str) -> Made:
    """Make a sound as chosen, else by the default voice: a caller who is told something is better served."""
    try:
        return make(speech)
    except SoundError as error:
        if speech == DEFAULT_SPEECH:
            raise
        log.error("%r cannot be spoken as chosen, the default voice takes its place: %s", what, error)
    return make(DEFAULT_SPEECH)
