"""Recorded digits."""

from pathlib import Path

import pytest
from sqlalchemy import select

from app.audio.library import SoundLibrary
from app.services import commands
from app.services.errors import NotFound
from app.services.prompts.digits import load_digit_files, make_readout, set_digit
from app.store.database import Database
from app.store.models import Command, DigitRecording
from tests.audio.sounds import read_samples, tone, write_sound
from tests.support.factories import NOW, create_recording

FILE = f"uploads/{'0' * 64}.wav"


def test_digit_is_set_and_reset(database: Database) -> None:
    create_recording(database, FILE)
    set_digit(database, "fa", "7", FILE, NOW, actor="sara")
    assert load_digit_files(database, "fa") == {"7": FILE}
    assert load_digit_files(database, "en") == {}
    set_digit(database, "fa", "7", None, NOW)
    assert load_digit_files(database, "fa") == {}
    with database.read() as session:
        sent = [(command.kind, command.actor) for command in session.scalars(select(Command).order_by(Command.id))]
    assert sent == [(commands.WRITE_DIALPLAN, "sara"), (commands.WRITE_DIALPLAN, "")]


@pytest.mark.parametrize(
    ("language", "digit", "file"),
    [
        ("fa", "x", FILE),
        ("fa", "10", FILE),
        ("fa", "", FILE),
        ("fa", "۷", FILE),
        ("de", "7", FILE),
        ("fa", "7", "uploads/missing.wav"),
    ],
)
def test_unknown_digits_languages_and_recordings_are_refused(
    database: Database, language: str, digit: str, file: str
) -> None:
    create_recording(database, FILE)
    with pytest.raises(NotFound):
        set_digit(database, language, digit, file, NOW)
    with database.read() as session:
        assert session.scalars(select(DigitRecording)).all() == []


def test_readout_uses_recorded_digits(database: Database, library: SoundLibrary) -> None:
    write_sound(library.root / FILE, tone(0.5))
    create_recording(database, FILE)
    set_digit(database, "en", "1", FILE, NOW)
    recorded, spoken = read_samples(library.root / FILE), read_samples(Path(library.synthesize("2", "en").path))
    pause = read_samples(library.pause().path)
    assert read_samples(make_readout(database, library, "en", "1121").path) == recorded * 2 + pause + spoken + recorded
