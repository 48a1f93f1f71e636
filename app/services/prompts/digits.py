"""Recorded digits: a language's digits that are read out by a recording instead of the voice."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audio.clip import Clip
from app.audio.library import SoundLibrary
from app.audio.prompt_texts import LANGUAGES
from app.services import commands
from app.services.audit import record
from app.services.errors import NotFound
from app.services.prompts import sounds, voice
from app.services.prompts.recordings import lock_recording, try_insert
from app.store.database import Database
from app.store.models import DigitRecording


def list_digit_files(session: Session, language: str) -> dict[str, str]:
    """Return the files of a language's recorded digits by digit."""
    rows = session.scalars(select(DigitRecording).where(DigitRecording.language == language))
    return {row.digit: row.file for row in rows}


def load_digit_files(database: Database, language: str) -> Mapping[str, str]:
    """Return the files of a language's recorded digits by digit, in a transaction of its own."""
    with database.read() as session:
        return list_digit_files(session, language)


def set_digit(
    database: Database, language: str, digit: str, file: str | None, now: datetime, *, actor: str = ""
) -> None:
    """Let a recording read out a digit, or the voice (None). Raises NotFound.

    The worker is told to make the clips again.
    """
    if language not in LANGUAGES or digit not in tuple(sounds.DIGITS):
        raise NotFound(f"digit {digit} of {language}")
    with database.write() as session:
        if file is not None and lock_recording(session, file) is None:
            raise NotFound(file)
        row = session.get(DigitRecording, (language, digit), with_for_update=True)
        old, new = row.file if row is not None else "", file or ""
        if old != new:
            record(session, actor, "digit_changed", f"{language} {digit}", {"file": [old, new]}, now)
        if file is None:
            if row is not None:
                session.delete(row)
        elif row is not None:
            row.file = file
        elif not try_insert(session, DigitRecording(language=language, digit=digit, file=file)):
            session.get_one(DigitRecording, (language, digit), with_for_update=True).file = file
    commands.send(database, commands.WRITE_DIALPLAN, {}, actor=actor, now=now)


def make_readout(database: Database, library: SoundLibrary, language: str, number: str) -> Clip:
    """Return the clip in which a number (ASCII digits) is read out. Raises SoundError, and FileNotFoundError."""
    with database.read() as session:
        speech = voice.load_office_speech(session, library, language)
        files = list_digit_files(session, language)
    return library.assemble(sounds.make_readout(library, number, language, speech, files))
