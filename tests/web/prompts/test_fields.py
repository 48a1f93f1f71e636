"""The prompts and the voice in a module's form."""

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from app.audio.prompt_texts import PROMPT_KEYS, announced_keys, default_text
from app.config import Settings
from app.services.modules.input import ModuleInput
from app.services.modules.list import load_module
from app.services.prompts.input import PromptInput
from app.store.database import Database
from app.store.models import Module, Prompt, Recording
from tests.support.factories import create_module, create_recording, store
from tests.web.modules.adding import NEW, VALID, add_module
from tests.web.pages import Visitor, text
from tests.web.prompts.conftest import as_upload

EDIT = "/modules/1"
PREVIEW = "/modules/prompts/preview"
BROKEN = b"RIFF\x24\x00\x00\x00WAVEfmt "


def stored_module(database: Database) -> ModuleInput:
    with database.read() as session:
        return load_module(session, 1)


def load_prompt(database: Database, key: str = "intro") -> PromptInput:
    return stored_module(database).prompts[key]


@pytest.fixture
def recording(admin: Visitor, database: Database, sound: Path) -> Recording:
    """A recording in the library."""
    admin.press("/recordings/take", {"sound": as_upload(sound), "name": "Zebra"})
    with database.read() as session:
        return session.query(Recording).one()


# -- uploads --------------------------------------------------------------------------------------------------------


def test_upload_is_stored_and_kept(admin: Visitor, database: Database, sound: Path) -> None:
    add_module(admin, prompt_intro_mode="file", prompt_intro_upload=as_upload(sound))
    prompt = load_prompt(database)
    assert (prompt.mode, prompt.original_name) == ("file", sound.name)
    page = admin.get(EDIT)
    assert sound.name in page.main
    admin.submit(page, EDIT, name="Renamed")
    assert load_prompt(database) == prompt


def test_every_prompt_can_be_uploaded(admin: Visitor, database: Database, sound: Path) -> None:
    uploads: dict[str, Any] = {}
    for key in PROMPT_KEYS:
        uploads |= {f"prompt_{key}_mode": "file", f"prompt_{key}_upload": as_upload(sound)}
    add_module(admin, **uploads)
    assert {prompt.mode for prompt in stored_module(database).prompts.values()} == {"file"}


def test_other_errors_do_not_lose_the_upload(admin: Visitor, database: Database, sound: Path) -> None:
    page = add_module(
        admin,
        422,
        name="",
        prompt_intro_mode="file",
        prompt_intro_upload=as_upload(sound),
        prompt_check_number_mode="file",
        prompt_check_number_upload=(BytesIO(BROKEN), "broken.wav"),
    )
    assert page.error("name") and page.error("prompt_check_number") and not page.error("prompt_intro")
    assert sound.name in text(page.one("fieldset", data_prompt="intro"))
    admin.submit(page, NEW, name="Sales", prompt_check_number_mode="speech")
    assert (load_prompt(database).mode, load_prompt(database).original_name) == ("file", sound.name)


def test_file_that_is_no_sound_is_refused(admin: Visitor, database: Database) -> None:
    form = admin.get(NEW)
    script = b"<script>alert(1)</script>"
    for content, name in ((BROKEN, "broken.wav"), (script, f"{script.decode()}.mp3"), (b"", "empty.wav")):
        upload = {"prompt_intro_mode": "file", "prompt_intro_upload": (BytesIO(content), name)}
        page = admin.submit(form, NEW, 422, **VALID, **upload)
        error = page.error("prompt_intro")
        assert error and error in text(page.one("ul", class_="mb-0")), "also above the form, which is long"
        assert page.fields()["prompt_intro_mode"] == ["file"]
    with database.read() as session:
        assert session.query(Module).count() == 0


def test_refused_upload_does_not_replace_the_recording(admin: Visitor, database: Database, sound: Path) -> None:
    add_module(admin, prompt_intro_mode="file", prompt_intro_upload=as_upload(sound))
    prompt = load_prompt(database)
    page = admin.submit(admin.get(EDIT), EDIT, 422, prompt_intro_upload=(BytesIO(b"no sound"), "letter.wav"))
    assert sound.name in page.main
    admin.submit(page, EDIT)
    assert load_prompt(database) == prompt


def test_form_cannot_name_other_files(admin: Visitor, database: Database) -> None:
    form = admin.get(NEW)
    for name in ("", "../../etc/passwd", "/etc/passwd", f"uploads/{'0' * 64}.wav", "uploads/x.wav"):
        typed = {"prompt_intro_mode": "record", "prompt_intro_file": name, "prompt_intro_text": "Say this."}
        page = admin.submit(form, NEW, 422, **VALID, **typed)
        assert page.error("prompt_intro"), name
        assert (page.fields()["prompt_intro_mode"], page.fields()["prompt_intro_text"]) == (["record"], ["Say this."])
        if not name:
            continue
        admin.post(PREVIEW, {"key": "intro", "language": "en", "mode": "file", "file": name}, 404)
        module = create_module(database)
        create_recording(database, name)
        store(database, Prompt(module_id=module.id, key="intro", mode="file", file=name))
        admin.get(f"/modules/{module.id}/prompts/intro.wav", 404)


def test_missing_file_is_an_error_when_the_module_is_saved(
    admin: Visitor, database: Database, settings: Settings, sound: Path
) -> None:
    add_module(admin, prompt_intro_mode="file", prompt_intro_upload=as_upload(sound))
    (settings.prompts_path / load_prompt(database).file).unlink()
    admin.get("/modules/1/prompts/intro.wav", 404)
    assert admin.submit(admin.get(EDIT), EDIT, 422).error("prompt_intro")


# -- recordings of the library --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["file", "record"])
def test_recording_is_chosen(admin: Visitor, database: Database, recording: Recording, mode: str) -> None:
    add_module(admin, prompt_intro_mode=mode, prompt_intro_file=recording.file, prompt_intro_name="Zebra")
    assert (load_prompt(database).mode, load_prompt(database).file) == ("file", recording.file)


@pytest.mark.parametrize(("origin", "mode"), [("upload", "file"), ("phone", "record"), ("browser", "record")])
def test_mode_depends_on_the_origin(
    admin: Visitor, database: Database, recording: Recording, origin: str, mode: str
) -> None:
    with database.write() as session:
        session.get_one(Recording, recording.file).origin = origin
    add_module(admin, prompt_intro_mode="file", prompt_intro_file=recording.file)
    assert admin.get(EDIT).fields()["prompt_intro_mode"] == [mode]


# -- texts ----------------------------------------------------------------------------------------------------------


def test_text_is_saved(admin: Visitor, database: Database) -> None:
    add_module(
        admin,
        prompt_intro_text="Good morning.\r\nPress one.",
        prompt_check_number_mode="none",
        prompt_check_number_text="Hello",
    )
    assert load_prompt(database) == PromptInput("speech", "Good morning.\nPress one.")
    assert load_prompt(database, "check_number") == PromptInput("none", "Hello")
    assert admin.get(EDIT).fields()["prompt_check_number_text"] == ["Hello"]


@pytest.mark.parametrize("language", ["fa", "en"])
def test_default_text_is_not_stored(admin: Visitor, database: Database, language: str) -> None:
    """So the prompt follows a change of the module's language or of the default text."""
    add_module(admin, language="en", prompt_intro_text=f"  {default_text('intro', language)}\r\n")
    assert load_prompt(database).text == ""


def test_text_that_cannot_be_spoken_is_refused(admin: Visitor) -> None:
    form = admin.get(NEW)
    for language, words in (("en", "سلام دنیا"), ("fa", "Hello world"), ("en", "word " * 400), ("en", "... !!")):
        page = admin.submit(form, NEW, 422, **VALID, language=language, prompt_intro_text=words)
        assert page.fields()["prompt_intro_text"] == [words.strip()]
        preview = admin.post(PREVIEW, {"key": "intro", "language": language, "text": words}, 422)
        assert page.error("prompt_intro") == preview.source
        assert preview.response.content_type == "text/plain; charset=utf-8"


def test_keys_that_a_recording_must_name_are_shown(admin: Visitor) -> None:
    page = admin.get(NEW)
    for key in PROMPT_KEYS:
        card = page.one("fieldset", data_prompt=key)
        assert tuple(key.text for key in card.iter("kbd")) == announced_keys(key)


# -- the voice ------------------------------------------------------------------------------------------------------


def test_voice_is_saved_and_reset(admin: Visitor, database: Database) -> None:
    add_module(admin, language="en", voice="en+m3", rate="180", pitch="30")
    module = stored_module(database)
    assert (module.voice, module.rate, module.pitch) == ("en+m3", 180, 30)
    page = admin.get(EDIT)
    assert [page.fields()[name] for name in ("voice", "rate", "pitch")] == [["en+m3"], ["180"], ["30"]]
    admin.submit(page, EDIT, voice="", rate="", pitch="")
    module = stored_module(database)
    assert (module.voice, module.rate, module.pitch) == ("", None, None)


def test_other_values_are_not_lost(admin: Visitor, database: Database) -> None:
    create_module(database, code="*5001", language="en", rate=133, pitch=44, voice="piper:gone")
    page = admin.get(EDIT)
    assert [o for o in page.one(id="voice").iter("option") if o.get("value") == "piper:gone"]
    admin.submit(page, EDIT)
    module = stored_module(database)
    assert (module.rate, module.pitch, module.voice) == (133, 44, "piper:gone")


def test_invalid_voice_is_refused(admin: Visitor) -> None:
    form = admin.get(NEW)
    rounds: list[dict[str, str]] = [
        {"voice": "fa+f3", "rate": "9", "pitch": "100"},
        {"voice": "<script>", "rate": "fast"},
        {"rate": "9" * 30},
    ]
    for typed in rounds:
        page = admin.submit(form, NEW, 422, **VALID, language="en", **typed)
        for field, value in typed.items():
            error = page.error(field)
            assert error, field
            preview = admin.post(PREVIEW, {"key": "intro", "language": "en", field: value}, 422)
            assert error in preview.source
