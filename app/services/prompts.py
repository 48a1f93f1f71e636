"""Which sound a prompt of a module is: its own recording, its own text, the default text, or none."""

import logging
import re
from typing import IO, BinaryIO, cast

from sqlalchemy import select

from app.audio.cache import SoundLibrary
from app.audio.clip import Clip, SoundError, read_clip
from app.audio.prompts import PROMPT_KEYS, default_text
from app.services.modules import PromptInput
from app.store.database import Database
from app.store.models import Module, Prompt

log = logging.getLogger(__name__)
FILE = re.compile(r"uploads/[0-9a-f]{64}\.wav")  # below PROMPTS_DIR; the only names that are ever given
DEFAULT = PromptInput()


def prompt_sounds(database: Database, library: SoundLibrary, module_id: int) -> dict[str, Clip | None]:
    """Return the eight prompts of a module and `intro_other`, each None where nothing is played.

    Blocks while a text is spoken for the first time. A prompt that cannot be made is replaced by the default text: a
    caller who is told something is better served than one who hears nothing.
    """
    with database.read() as session:
        module = session.get(Module, module_id)
        if module is None:
            return {}
        rows = {row.key: row for row in session.scalars(select(Prompt).where(Prompt.module_id == module_id))}
        language = module.language
    chosen = {key: _input(rows.get(key)) for key in PROMPT_KEYS}
    sounds = {key: _sound(library, key, given, language) for key, given in chosen.items()}
    # Only our own text (be it in place of a lost recording) has a variant that does not offer the caller's number.
    plain = sounds["intro"] == _sound(library, "intro", DEFAULT, language)
    sounds["intro_other"] = _sound(library, "intro_other", DEFAULT, language) if plain else None
    return sounds


def _input(row: Prompt | None) -> PromptInput:
    return DEFAULT if row is None else PromptInput(row.mode, row.text, row.file or "", row.original_name)


def _sound(library: SoundLibrary, key: str, given: PromptInput, language: str) -> Clip | None:
    try:
        return make(library, key, given, language)
    except (SoundError, OSError) as error:
        log.error("prompt %s cannot be made, the default text takes its place: %s", key, error)
    try:
        return make(library, key, DEFAULT, language)
    except (SoundError, OSError) as error:
        log.error("the default text of prompt %s cannot be spoken: %s", key, error)
        return None


def make(library: SoundLibrary, key: str, given: PromptInput, language: str) -> Clip | None:
    """Return the sound of a prompt, None where it is not played. Raises SoundError and, for a lost file, OSError."""
    if given.mode == "none":
        return None
    if given.mode == "file":
        if not FILE.fullmatch(given.file):
            raise FileNotFoundError(given.file)
        return read_clip(library.root / given.file)
    text = given.text.strip() or default_text(key, language)
    return library.spoken(text, language) if text else None


def upload(library: SoundLibrary, source: IO[bytes], name: str) -> PromptInput:
    """Convert and keep an uploaded recording. Raises SoundError."""
    clip = library.uploaded(cast(BinaryIO, source), name)
    return PromptInput("file", "", clip.path.relative_to(library.root).as_posix(), name[:200])
