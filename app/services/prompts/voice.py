"""The voice, rate and pitch of spoken texts: those of the module, else of the office, else of the language."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import TypeVar

from sqlalchemy.orm import Session

from app.audio.clip import Clip, SoundError
from app.audio.library import SoundLibrary
from app.audio.prompt_texts import LANGUAGES
from app.audio.pronunciations import (
    BadPronunciation,
    Pronunciation,
    format_pronunciations,
    merge_pronunciations,
    parse_pronunciations,
    pronounce,
)
from app.audio.speak import MAX_CHARACTERS, MAX_PITCH, MAX_RATE, MIN_PITCH, MIN_RATE
from app.audio.voices import is_voice_name
from app.services import commands
from app.services.errors import Invalid
from app.services.prompts.recordings import list_prompt_files
from app.services.settings.save import save_values
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import Module
from app.store.settings import Speech

log = logging.getLogger(__name__)
AGENT_RATE = 220  # words per minute; at 150, the announcement takes 11 seconds
DEFAULT_SPEECH = Speech()  # the default voice, rate and pitch of any language
T = TypeVar("T")


def load_module_speech(session: Session, library: SoundLibrary, module: Module) -> Speech:
    """Return how a module's texts are spoken. A voice that is missing or has another language is ignored."""
    own = Speech(_usable_voice(library, module.voice, module.language), module.rate, module.pitch)
    return complete_speech(own, load_office_speech(session, library, module.language))


def agent_speech(speech: Speech) -> Speech:
    """Return how the agent's announcement is spoken: faster than what callers hear, since agents hear it all day."""
    return replace(speech, rate=max(speech.rate or 0, AGENT_RATE))


def load_office_speech(session: Session, library: SoundLibrary, language: str) -> Speech:
    """Return how the office's texts in a language are spoken, such as the agent's announcement."""
    speech = store_settings.speech(session, language)
    recorded = list_prompt_files(session, language)
    return replace(speech, voice=_usable_voice(library, speech.voice, language), recorded=recorded)


def complete_speech(own: Speech, office: Speech) -> Speech:
    """Return `own` with the office's values in place of those that are not set. The rest is the office's."""
    return Speech(
        own.voice or office.voice,
        office.rate if own.rate is None else own.rate,
        office.pitch if own.pitch is None else own.pitch,
        office.pronunciations,
        office.recorded,
    )


def _usable_voice(library: SoundLibrary, voice: str, language: str) -> str:
    """Return the voice if it exists and speaks the language, else ""."""
    if not voice:
        return ""
    try:
        if library.find_voice(voice).language == language:
            return voice
        log.warning("the voice %s does not speak %s; another voice is used", voice, language)
    except SoundError as error:
        log.warning("%s; another voice is used", error)
    return ""


def validate(language: str, speech: Speech) -> dict[str, str]:
    """Return error codes by field name; empty if voice, rate and pitch are valid for the language."""
    errors = {}
    if speech.voice and not is_voice_name(speech.voice, language):
        errors["voice"] = "choice"
    if speech.rate is not None and not MIN_RATE <= speech.rate <= MAX_RATE:
        errors["rate"] = "range"
    if speech.pitch is not None and not MIN_PITCH <= speech.pitch <= MAX_PITCH:
        errors["pitch"] = "range"
    return errors


def normalize_pronunciations(text: str, language: str) -> str:
    """Return a list of pronunciations as it is stored. Raises BadPronunciation."""
    return format_pronunciations(parse_pronunciations(text, language))


def load_pronunciations(session: Session) -> dict[str, Sequence[Pronunciation]]:
    """Return the lists of pronunciations by language. A language without any is left out."""
    stored = {language: store_settings.speech(session, language).pronunciations for language in LANGUAGES}
    return {language: found for language, text in stored.items() if (found := _list_pronunciations(text, language))}


def add_pronunciations(
    session: Session, language: str, added: Sequence[Pronunciation], now: datetime, *, actor: str
) -> None:
    """Add pronunciations to the list of a language; they replace those of the same words. Raises BadPronunciation."""
    stored = load_pronunciations(session).get(language, ())
    text = normalize_pronunciations(format_pronunciations(merge_pronunciations(stored, added)), language)
    save_values(session, {f"pronunciations_{language}": text}, now, actor=actor)


def save(database: Database, language: str, speech: Speech, now: datetime, *, actor: str = "") -> None:
    """Store how the office's texts in a language are spoken. The worker makes the clips again.

    Raises Invalid and BadPronunciation.
    """
    errors = validate(language, speech) if language in LANGUAGES else {"language": "choice"}
    if errors:
        raise Invalid(errors)
    speech = replace(speech, pronunciations=normalize_pronunciations(speech.pronunciations, language))
    values = {name: getattr(speech, name) for name in ("voice", "rate", "pitch", "pronunciations")}
    with database.write() as session:
        settings = {f"{name}_{language}": "" if value is None else str(value) for name, value in values.items()}
        save_values(session, settings, now, actor=actor)
    commands.send(database, commands.WRITE_DIALPLAN, {}, actor=actor, now=now)


def synthesize(library: SoundLibrary, text: str, language: str, speech: Speech) -> Clip:
    """Return the spoken text. Raises SoundError and OSError."""
    written = pronounce(text, _list_pronunciations(speech.pronunciations, language))
    if len(written) > MAX_CHARACTERS:
        written = text
    return library.synthesize(written, language, speech.voice, speech.rate, speech.pitch)


@lru_cache(maxsize=8)
def _list_pronunciations(stored: str, language: str) -> Sequence[Pronunciation]:
    try:
        return parse_pronunciations(stored, language)
    except BadPronunciation as error:  # a row that somebody has changed by hand
        log.error("the pronunciations of %s are not used: %s", language, error)
        return ()


def synthesize_with_fallback(library: SoundLibrary, text: str, language: str, speech: Speech) -> Clip:
    """Return the spoken text, in the default voice if the given one fails. Raises SoundError and OSError."""
    return make_with_fallback(lambda used: synthesize(library, text, language, used), speech, text)


def make_with_fallback(make: Callable[[Speech], T], speech: Speech, name: str) -> T:
    """Return make(speech), or the same with the default voice, rate and pitch if that fails. `name` is for the log."""
    default = replace(DEFAULT_SPEECH, pronunciations=speech.pronunciations, recorded=speech.recorded)
    try:
        return make(speech)
    except SoundError as error:
        if speech == default:
            raise
        log.error("cannot speak %r in the chosen voice, using the default voice: %s", name, error)
    return make(default)
