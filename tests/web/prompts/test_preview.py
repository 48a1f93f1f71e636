"""Listening to prompts and to the dialogue before and after a module is saved."""

import wave
from io import BytesIO
from pathlib import Path

import pytest

from app.audio.prompt_texts import default_text
from app.store.database import Database
from app.store.models import Prompt, Recording
from tests.support.factories import create_module, store
from tests.support.rows import for_each
from tests.web.pages import Visitor
from tests.web.prompts.conftest import as_upload

PREVIEW = "/modules/prompts/preview"
DIALOGUE = "/modules/prompts/dialogue"
INTRO = {"key": "intro", "language": "en"}
OWN = {"language": "en", "way": "own"}


def load_sound(admin: Visitor, path: str) -> bytes:
    response = admin.get(path).response
    assert response.content_type == "audio/wav"
    data: bytes = response.get_data()
    return data


def post_sound(admin: Visitor, path: str, fields: dict[str, str]) -> bytes:
    response = admin.post(path, fields, 200).response
    assert response.content_type == "audio/wav"
    data: bytes = response.get_data()
    return data


def read_frames(sound: bytes) -> bytes:
    with wave.open(BytesIO(sound)) as opened:
        assert (opened.getframerate(), opened.getnchannels(), opened.getsampwidth()) == (8000, 1, 2)
        frames: bytes = opened.readframes(opened.getnframes())
        return frames


@pytest.fixture
def recording(admin: Visitor, database: Database, sound: Path) -> Recording:
    """A recording in the library."""
    admin.press("/recordings/take", {"sound": as_upload(sound)})
    with database.read() as session:
        return session.query(Recording).one()


# -- saved prompts --------------------------------------------------------------------------------------------------


def test_saved_prompts_are_played(admin: Visitor, database: Database, recording: Recording) -> None:
    create_module(database, code="*5001", language="en")
    store(database, Prompt(module_id=1, key="intro", mode="file", file=recording.file))
    store(database, Prompt(module_id=1, key="wrong_number", mode="none"))
    store(database, Prompt(module_id=1, key="check_number", mode="speech", text="Hello."))
    library = load_sound(admin, f"/recordings/{recording.file[8:-4]}.wav")
    assert load_sound(admin, "/modules/1/prompts/intro.wav") == library
    admin.get("/modules/1/prompts/wrong_number.wav", 404)
    admin.get("/modules/1/prompts/unknown.wav", 404)
    admin.get("/modules/prompts/de/intro.wav", 404)
    admin.get("/modules/2/prompts/intro.wav", 404)
    players = {audio.get("src") for audio in admin.get("/modules/1").all("audio") if audio.get("src") is not None}
    played = ["intro", "enter_number", "entered_number", "check_number", "before_success", "after_success", "closed"]
    played += ["offer", "ask_customer", "greet_customer", "apology"]
    assert players == {f"/modules/1/prompts/{key}.wav" for key in played}
    for player in players:
        assert read_frames(load_sound(admin, str(player)))


def test_prompt_is_downloaded_with_a_name(admin: Visitor, database: Database) -> None:
    create_module(database, code="*5001", language="en")
    played = admin.get("/modules/1/prompts/enter_number.wav").response
    assert "attachment" not in played.headers["Content-Disposition"]
    page = admin.get("/modules/1")
    link = next(a.get("href", "") for a in page.all("a") if "enter_number.wav?download" in a.get("href", ""))
    downloaded = admin.get(link).response
    assert downloaded.headers["Content-Disposition"] == "attachment; filename=*5001-enter_number.wav"
    assert downloaded.get_data() == played.get_data()


@pytest.mark.parametrize("language", ["fa", "en"])
def test_default_texts_are_played(admin: Visitor, language: str) -> None:
    assert read_frames(load_sound(admin, f"/modules/prompts/{language}/entered_number.wav"))


# -- prompts that are not saved -------------------------------------------------------------------------------------


def test_preview_uses_text_and_voice_of_the_form(admin: Visitor) -> None:
    fields = [{}, {"text": "Hello."}, {"voice": "en-us+m3"}, {"rate": "220"}, {"pitch": "90"}]
    sounds = {post_sound(admin, PREVIEW, INTRO | each) for each in fields}
    assert len(sounds) == 5
    assert admin.post(PREVIEW, INTRO | {"voice": "piper:gone"}, 422).source


def test_preview_says_the_name_of_the_office(admin: Visitor, database: Database) -> None:
    offers = [
        post_sound(admin, PREVIEW, {"key": "offer", "language": "en", "offer_key": key})
        for key in ("1", "", "2", "*", "#")
    ]
    assert offers[0] == offers[1] and len(set(offers)) == 4
    fields = {"key": "ask_customer", "language": "en"}
    sounds = [post_sound(admin, PREVIEW, fields | {"office_name": name}) for name in ("Sepehr", "Parsian", "Sepehr")]
    assert sounds[0] == sounds[2] != sounds[1]
    create_module(database, language="en", office_name="Sepehr")
    assert load_sound(admin, "/modules/1/prompts/ask_customer.wav") == sounds[0]


def test_preview_of_an_empty_text_is_the_default(admin: Visitor) -> None:
    fields = {"key": "is", "language": "fa"}
    empty, default = (post_sound(admin, PREVIEW, fields | {"text": text}) for text in ("", default_text("is", "fa")))
    assert empty == default
    admin.post(PREVIEW, {"key": "is", "language": "en", "text": ""}, 404)  # English plays nothing there


@for_each(
    ("path", "fields"),
    [
        (PREVIEW, {}),
        (PREVIEW, {"key": "intro"}),
        (PREVIEW, {"key": "unknown", "language": "en"}),
        (PREVIEW, {"key": "is", "language": "de"}),
        (DIALOGUE, {}),
        (DIALOGUE, {"language": "en"}),
        (DIALOGUE, {"language": "de", "way": "own"}),
        (DIALOGUE, {"language": "en", "way": "unknown"}),
    ],
)
def test_unknown_prompts_and_languages_are_not_found(admin: Visitor, path: str, fields: dict[str, str]) -> None:
    admin.post(path, fields, 404)


def test_dialogue_uses_the_prompts_of_the_form(admin: Visitor, recording: Recording) -> None:
    spoken = post_sound(admin, PREVIEW, INTRO | {"text": "Hello."})
    dialogue = post_sound(admin, DIALOGUE, OWN | {"prompt_intro_text": "Hello."})
    assert read_frames(dialogue).startswith(read_frames(spoken))
    recorded = load_sound(admin, f"/recordings/{recording.file[8:-4]}.wav")
    fields = {"prompt_intro_mode": "record", "prompt_intro_file": recording.file}
    assert read_frames(post_sound(admin, DIALOGUE, OWN | fields)).startswith(read_frames(recorded))
    other = post_sound(admin, DIALOGUE, OWN | {"way": "other"})
    assert len(other) > len(dialogue)


def test_dialogue_names_the_prompt_that_cannot_be_made(admin: Visitor) -> None:
    page = admin.get("/modules/new")
    labels = {key: page.one("fieldset", data_prompt=key).get("data-name") for key in ("intro", "after_success")}
    fields = {"prompt_intro_text": "سلام"}
    assert admin.post(DIALOGUE, OWN | fields, 422).source.startswith(f"{labels['intro']}: ")
    fields = {"prompt_after_success_mode": "file", "prompt_after_success_file": f"uploads/{'0' * 64}.wav"}
    assert admin.post(DIALOGUE, OWN | fields, 422).source.startswith(f"{labels['after_success']}: ")
    assert admin.post(DIALOGUE, OWN | {"rate": "1"}, 422).source.startswith("Speed: ")
