"""The sounds of a module: uploaded, spoken, left out; listened to, downloaded and tried before they are saved."""

import wave
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from app.audio.prompt_texts import PROMPT_KEYS, announced_keys, default_text
from app.config import Settings
from app.services.modules import save as modules
from app.services.prompts.input import PromptInput
from app.store.database import Database
from app.store.models import Prompt
from tests.audio.sounds import RATE, likeness, read_samples, tone, write_sound
from tests.support.factories import create_module, create_recording, store
from tests.web.pages import Page, Visitor, text

NEW = "/modules/new"
GOOD = {"name": "Sales", "code": "*5001", "targets": "101"}
PREVIEW = "/modules/prompts/preview"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Two seconds that no text makes."""
    return write_sound(tmp_path / "نام فایل.wav", tone(2, 440))


def file(path: Path) -> tuple[BytesIO, str]:
    return BytesIO(path.read_bytes()), path.name


def add(admin: Visitor, status: int = 302, **changes: Any) -> Page:
    return admin.submit(admin.get(NEW), NEW, status, **(GOOD | changes))


def prompt(database: Database, key: str = "intro", module_id: int = 1) -> PromptInput:
    with database.read() as session:
        return modules.load(session, module_id).prompts[key]


def heard(admin: Visitor, path: str, tmp_path: Path) -> Path:
    """Return what is played there, as a file."""
    sound = tmp_path / "heard.wav"
    sound.write_bytes(admin.get(path).response.get_data())
    with wave.open(str(sound)) as opened:
        assert (opened.getframerate(), opened.getnchannels(), opened.getsampwidth()) == (8000, 1, 2)
        assert opened.getnframes() > RATE / 4
    return sound


# -- uploading --------------------------------------------------------------------------------------------------------


def test_a_recording_is_uploaded_and_heard(admin: Visitor, database: Database, recording: Path, tmp_path: Path) -> None:
    add(admin, prompt_intro_mode="file", prompt_intro_upload=file(recording))
    kept = prompt(database)
    assert (kept.mode, kept.original_name) == ("file", recording.name)
    sound = heard(admin, "/modules/1/prompts/intro.wav", tmp_path)
    assert likeness(read_samples(sound), read_samples(recording)) > 0.9
    page = admin.get("/modules/1")
    assert recording.name in page.main
    admin.submit(page, "/modules/1", name="Renamed")
    assert prompt(database) == kept, "who saves again need not upload again"


def test_every_prompt_can_be_a_recording(admin: Visitor, database: Database, recording: Path) -> None:
    uploads: dict[str, Any] = {}
    for key in PROMPT_KEYS:
        uploads |= {f"prompt_{key}_mode": "file", f"prompt_{key}_upload": file(recording)}
    add(admin, **uploads)
    assert {prompt(database, key).mode for key in PROMPT_KEYS} == {"file"}


def test_another_fields_fault_does_not_cost_the_upload(admin: Visitor, database: Database, recording: Path) -> None:
    page = add(admin, 422, name="", prompt_intro_mode="file", prompt_intro_upload=file(recording))
    assert page.error("name") and not page.error("prompt_intro")
    assert recording.name in page.main
    admin.submit(page, NEW, name="Sales")
    assert (prompt(database).mode, prompt(database).original_name) == ("file", recording.name)


def test_another_prompts_fault_does_not_cost_the_upload(admin: Visitor, database: Database, recording: Path) -> None:
    broken = (BytesIO(b"RIFF\x24\x00\x00\x00WAVEfmt "), "broken.wav")
    page = add(
        admin,
        422,
        prompt_intro_mode="file",
        prompt_intro_upload=file(recording),
        prompt_check_number_mode="file",
        prompt_check_number_upload=broken,
    )
    assert page.error("prompt_check_number") and not page.error("prompt_intro")
    admin.submit(page, NEW, prompt_check_number_mode="speech")
    assert prompt(database).mode == "file"


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "broken.wav"),
        (b"this is a letter", "letter.wav"),
        (b"<script>alert(1)</script>", "<script>alert(1)</script>.mp3"),
        (b"", "empty.wav"),
        (b"\x00" * 5000, "zeros.mp3"),
    ],
    ids=["broken", "text", "hostile", "empty", "zeros"],
)
def test_a_file_that_is_no_sound_is_refused(admin: Visitor, database: Database, content: bytes, name: str) -> None:
    page = add(admin, 422, prompt_intro_mode="file", prompt_intro_upload=(BytesIO(content), name))
    said = page.error("prompt_intro")
    assert said and said in text(page.one("ul", class_="mb-0")), "also above the form, which is long"
    assert page.fields()["prompt_intro_mode"] == ["file"]
    with database.read() as session:
        assert session.get(Prompt, (1, "intro")) is None


def test_a_silent_file_is_refused(admin: Visitor, tmp_path: Path) -> None:
    silent = write_sound(tmp_path / "silent.wav", tone(2, 0))
    page = add(admin, 422, prompt_intro_mode="file", prompt_intro_upload=file(silent))
    assert page.error("prompt_intro") == "This file is silent."


def test_a_broken_file_does_not_replace_the_one_in_use(admin: Visitor, database: Database, recording: Path) -> None:
    add(admin, prompt_intro_mode="file", prompt_intro_upload=file(recording))
    kept = prompt(database)
    page = admin.get("/modules/1")
    page = admin.submit(page, "/modules/1", 422, prompt_intro_upload=(BytesIO(b"no sound"), "letter.wav"))
    assert recording.name in page.main
    admin.submit(page, "/modules/1")
    assert prompt(database) == kept


def test_a_recording_has_to_be_chosen(admin: Visitor) -> None:
    page = add(admin, 422, prompt_intro_mode="file")
    assert page.error("prompt_intro") == "Choose a file."


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "uploads/../../secret_key", "/etc/passwd", f"uploads/{'0' * 64}.wav", "uploads/x.wav"]
)
def test_a_form_names_no_file_of_the_machine(admin: Visitor, database: Database, name: str) -> None:
    page = add(admin, 422, prompt_intro_mode="file", prompt_intro_file=name)
    assert page.error("prompt_intro") == "Choose a file."
    create_module(database)
    create_recording(database, name)
    store(database, Prompt(module_id=1, key="intro", mode="file", file=name))
    admin.get("/modules/1/prompts/intro.wav", 404)


def test_a_file_that_is_lost_is_asked_for_again(
    admin: Visitor, database: Database, settings: Settings, recording: Path
) -> None:
    add(admin, prompt_intro_mode="file", prompt_intro_upload=file(recording))
    (settings.prompts_path / prompt(database).file).unlink()
    admin.get("/modules/1/prompts/intro.wav", 404)
    page = admin.submit(admin.get("/modules/1"), "/modules/1", 422)
    assert page.error("prompt_intro") == "Choose a file."


# -- texts ------------------------------------------------------------------------------------------------------------


def test_a_text_is_kept_and_spoken(admin: Visitor, database: Database, tmp_path: Path) -> None:
    add(admin, prompt_intro_text="Good morning.\r\nPress one.")
    assert prompt(database) == PromptInput("speech", "Good morning.\nPress one.")
    heard(admin, "/modules/1/prompts/intro.wav", tmp_path)


@pytest.mark.parametrize("language", ["fa", "en"])
def test_a_default_text_is_not_copied(admin: Visitor, database: Database, language: str) -> None:
    """So that a module follows when its language is changed, and when the texts are bettered."""
    add(admin, language="en", prompt_intro_text=f"  {default_text('intro', language)}\r\n")
    assert prompt(database).text == ""


def test_a_prompt_that_is_not_played_keeps_its_text(admin: Visitor, database: Database) -> None:
    add(admin, prompt_intro_mode="none", prompt_intro_text="Hello")
    assert prompt(database) == PromptInput("none", "Hello")
    admin.get("/modules/1/prompts/intro.wav", 404)
    page = admin.get("/modules/1")
    assert not [a for a in page.all("audio") if "intro" in a.get("src", "")]
    assert page.fields()["prompt_intro_text"] == ["Hello"]


@pytest.mark.parametrize(
    ("language", "words", "message"),
    [
        ("en", "سلام دنیا", "The text is not written in the module's language."),
        ("fa", "Hello world", "The text is not written in the module's language."),
        ("en", "word " * 400, "The text is too long to be spoken."),
        ("en", "... !!", "There is no text to speak."),
    ],
)
def test_a_text_that_cannot_be_spoken(admin: Visitor, language: str, words: str, message: str) -> None:
    page = add(admin, 422, language=language, prompt_intro_text=words)
    assert page.error("prompt_intro") == message
    assert page.fields()["prompt_intro_text"] == [words.strip()]
    tried = admin.post(PREVIEW, {"key": "intro", "language": language, "text": words}, 422)
    assert tried.source == message
    assert tried.response.content_type == "text/plain; charset=utf-8"


@pytest.mark.parametrize("key", PROMPT_KEYS)
def test_the_keys_that_a_recording_must_name_stand_beside_it(admin: Visitor, key: str) -> None:
    card = admin.get(NEW).one("fieldset", data_prompt=key)
    assert tuple(key.text for key in card.iter("kbd")) == announced_keys(key)


# -- listening --------------------------------------------------------------------------------------------------------


def test_a_text_is_tried_before_it_is_saved(admin: Visitor, database: Database) -> None:
    page = admin.post(PREVIEW, {"key": "intro", "language": "en", "text": "Good evening."}, 200)
    assert page.response.content_type == "audio/wav"
    assert page.response.get_data()[:4] == b"RIFF"


def test_an_empty_text_is_tried_as_the_default_one(admin: Visitor) -> None:
    sounds = [
        admin.post(PREVIEW, {"key": "is", "language": "fa", "text": words}, 200).response.get_data()
        for words in ("", default_text("is", "fa"))
    ]
    assert sounds[0] == sounds[1]
    admin.post(PREVIEW, {"key": "is", "language": "en", "text": ""}, 404)  # English plays nothing there


@pytest.mark.parametrize(
    "sent", [{}, {"key": "intro"}, {"key": "x", "language": "en"}, {"key": "is", "language": "de"}]
)
def test_a_preview_of_nothing_is_not_found(admin: Visitor, sent: dict[str, str]) -> None:
    admin.post(PREVIEW, sent, 404)


def test_sounds_are_downloaded_under_a_name(admin: Visitor) -> None:
    add(admin)
    played = admin.get("/modules/1/prompts/enter_number.wav").response
    assert "attachment" not in played.headers["Content-Disposition"]
    page = admin.get("/modules/1")
    link = next(a.get("href", "") for a in page.all("a") if "enter_number" in a.get("href", ""))
    kept = admin.get(link).response
    assert kept.headers["Content-Disposition"] == "attachment; filename=*5001-enter_number.wav"
    assert kept.get_data() == played.get_data()


@pytest.mark.parametrize("language", ["fa", "en"])
def test_default_texts_are_heard(admin: Visitor, tmp_path: Path, language: str) -> None:
    heard(admin, f"/modules/prompts/{language}/entered_number.wav", tmp_path)


def test_what_is_shown_can_be_heard(admin: Visitor, tmp_path: Path) -> None:
    """Every player of a page has something to play."""
    add(admin, prompt_wrong_number_mode="none")
    players = [audio for audio in admin.get("/modules/1").all("audio") if audio.get("src") is not None]
    sources = [audio.get("src", "") for audio in players]
    assert len(sources) == len(PROMPT_KEYS) - 2, "one is not played by choice, and one not in English"
    for source in sources:
        heard(admin, source, tmp_path)
