"""Voice, rate and pitch: the module's, else the office's, else the default."""

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audio.library import SoundLibrary
from app.services import commands
from app.services.errors import Invalid
from app.services.modules.save import save_module
from app.services.prompts import voice
from app.store.database import Database
from app.store.models import Command, Module, Setting
from app.store.settings import Speech, write_setting
from tests.support.factories import NOW, make_module_input


def load_speech(database: Database, library: SoundLibrary, **module: Any) -> Speech:
    """Save a module and return how its texts are spoken."""
    module_id = save_module(database, make_module_input(**({"language": "en"} | module)), NOW)
    with database.read() as session:
        return voice.load_module_speech(session, library, session.get_one(Module, module_id))


def test_module_uses_the_offices_values_unless_it_has_its_own(database: Database, library: SoundLibrary) -> None:
    assert load_speech(database, library, code="1") == Speech()
    voice.save(database, "en", Speech("en+m1", 200, 30), NOW)
    voice.save(database, "fa", Speech("fa+m1", 100, 60), NOW)
    assert load_speech(database, library, code="2") == Speech("en+m1", 200, 30)
    assert load_speech(database, library, code="3", voice="en-us") == Speech("en-us", 200, 30)
    assert load_speech(database, library, code="4", rate=90, pitch=0) == Speech("en+m1", 90, 0)
    assert load_speech(database, library, code="5", language="fa") == Speech("fa+m1", 100, 60)


def test_voice_of_another_language_is_ignored(
    database: Database, library: SoundLibrary, caplog: pytest.LogCaptureFixture
) -> None:
    module_id = save_module(database, make_module_input(language="fa", voice="fa+m1", rate=120), NOW)
    voice.save(database, "en", Speech("en+m1"), NOW)
    with database.write() as session:
        session.get_one(Module, module_id).language = "en"
        write_setting(session, "voice_fa", "en+m1")
    with database.read() as session:
        module = session.get_one(Module, module_id)
        assert voice.load_module_speech(session, library, module) == Speech("en+m1", 120)
        assert voice.load_office_speech(session, library, "fa") == Speech()
    assert "fa+m1" in caplog.text


def speech_settings(session: Session) -> dict[str, str]:
    names = Setting.name.in_(["voice_en", "rate_en", "pitch_en"])
    return {row.name: row.value for row in session.scalars(select(Setting).where(names))}


def test_offices_values_are_saved_and_the_worker_is_told(database: Database) -> None:
    voice.save(database, "en", Speech("en+m1", 200, 30), NOW, actor="sara")
    with database.read() as session:
        assert speech_settings(session) == {"voice_en": "en+m1", "rate_en": "200", "pitch_en": "30"}
        (command,) = session.scalars(select(Command))
        assert (command.kind, command.actor) == (commands.WRITE_DIALPLAN, "sara")
    voice.save(database, "en", Speech(), NOW)
    with database.read() as session:
        assert set(speech_settings(session).values()) == {""}


@pytest.mark.parametrize(
    ("language", "speech", "errors"),
    [
        ("en", Speech("fa+m1"), {"voice": "choice"}),
        ("en", Speech("", 79, 100), {"rate": "range", "pitch": "range"}),
        ("de", Speech(), {"language": "choice"}),
    ],
)
def test_invalid_values_are_refused(database: Database, language: str, speech: Speech, errors: dict[str, str]) -> None:
    with pytest.raises(Invalid) as caught:
        voice.save(database, language, speech, NOW)
    assert caught.value.errors == errors
    with database.read() as session:
        assert session.scalars(select(Setting)).all() == []
