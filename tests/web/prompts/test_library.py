"""The prompt library and the digits: taken in, heard, renamed, deleted unless something plays it; recorded by phone."""

from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app.config import Settings
from app.domain.phone_calls import CallFailure, CallState
from app.services import audit, commands, users
from app.services.modules import save as modules
from app.services.modules.save import PromptInput
from app.services.prompts import phone_calls, recordings
from app.store.database import Database
from app.store.models import Command, DigitRecording, PhoneCall, Prompt, Recording
from app.web.locale import use_locale
from app.web.prompts import wording as prompt_wording
from tests.audio.sounds import read_samples, tone, write_sound
from tests.support.factories import NOW, create_module, create_recording, create_running_service, store
from tests.web.pages import Page, Visitor, rows, text

LIBRARY = "/recordings"
TAKE = "/recordings/take"
BY_PHONE = "/recordings/by-phone"
NO_SOUND = "This file is of no kind of sound that is known here."


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    return write_sound(tmp_path / "welcome.wav", tone(2, 440))


def file(path: Path) -> tuple[BytesIO, str]:
    return BytesIO(path.read_bytes()), path.name


def take(admin: Visitor, path: Path, status: int = 200, **fields: str) -> Page:
    return admin.press(TAKE, {"sound": file(path), **fields}, status)


def kept(database: Database) -> list[Recording]:
    with database.read() as session:
        return list(session.scalars(select(Recording).order_by(Recording.name)))


def digest(row: Recording) -> str:
    return row.file.removeprefix("uploads/").removesuffix(".wav")


def heard(admin: Visitor, path: str, tmp_path: Path) -> Path:
    out = tmp_path / "heard.wav"
    out.write_bytes(admin.get(path).response.get_data())
    return out


# -- taking in --------------------------------------------------------------------------------------------------------


def test_what_a_script_sends_is_in_the_library_at_once(admin: Visitor, database: Database, sound: Path) -> None:
    page = take(admin, sound)
    (row,) = kept(database)
    assert (row.name, row.original_name, row.origin, row.created_by) == ("welcome.wav",) * 2 + ("upload", "sara")
    shown = page.one("div", class_="chosen")
    assert (shown.get("data-file"), shown.get("data-digest")) == (row.file, digest(row))
    assert "2.0 s, well audible" in text(shown)
    admin.get(str(shown.get("data-sound")))


def test_a_name_and_an_origin_can_be_given(admin: Visitor, database: Database, sound: Path) -> None:
    take(admin, sound, name=" سلام ", origin="browser")
    assert [(row.name, row.origin, row.original_name) for row in kept(database)] == [("سلام", "browser", "welcome.wav")]


def test_an_origin_that_is_none_is_an_upload(admin: Visitor, database: Database, sound: Path) -> None:
    take(admin, sound, origin="<b>")
    assert [row.origin for row in kept(database)] == ["upload"]


def test_the_same_sound_is_kept_once(admin: Visitor, database: Database, sound: Path) -> None:
    take(admin, sound, name="first")
    assert "first" in text(take(admin, sound, name="second").one("div", class_="chosen"))
    assert len(kept(database)) == 1


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"no sound at all", "letter.wav", NO_SOUND),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "broken.wav", "The sound is damaged and cannot be decoded."),
        (b"", "empty.mp3", NO_SOUND),
        (b"#EXTM3U\nhttp://127.0.0.1:9/x.ts\n", "list.m3u8", NO_SOUND),
        (b"\x00" * 5001, "large.wav", "The file is too large."),
    ],
    ids=["text", "broken", "empty", "list", "large"],
)
@pytest.mark.parametrize("locale", ["fa", "en"])
def test_what_is_no_sound_is_refused_in_words(
    app: Flask,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
    name: str,
    said: str,
    locale: str,
) -> None:
    monkeypatch.setattr("app.audio.library.MAX_BYTES", 5000)
    users.set_locale(database, 1, locale)
    answer = Visitor(app, 1, locale=locale).post(TAKE, {"sound": (BytesIO(content), name)}, 422)
    assert answer.response.content_type == "text/plain; charset=utf-8"
    assert answer.source == said if locale == "en" else any("آ" <= letter <= "ی" for letter in answer.source)
    assert kept(database) == []


def test_nothing_sent_is_said(admin: Visitor) -> None:
    assert admin.post(TAKE, {}, 422).source == "Choose a file."
    assert "Choose a file." in admin.post(LIBRARY, {}, 422).main


def test_a_name_with_a_nul_is_nobodys_typing(admin: Visitor, database: Database, sound: Path) -> None:
    admin.post(TAKE, {"sound": file(sound), "name": "a\0b"}, 400)
    assert kept(database) == []


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "\"><h1 x='", "../../etc/passwd", "a\u202eb", "x" * 300])
def test_a_hostile_name_is_shown_as_it_is_and_does_nothing(
    admin: Visitor, database: Database, sound: Path, name: str
) -> None:
    page = take(admin, sound, name=name)
    (row,) = kept(database)
    assert len(row.name) <= 80 and "\u202e" not in row.name
    assert row.name in text(page.one("div", class_="chosen"))
    for path in (LIBRARY, f"{LIBRARY}/{digest(row)}", f"{LIBRARY}/{digest(row)}/delete"):
        listed = admin.get(path)
        assert not [script for script in listed.all("script") if not script.get("src")]
        assert row.name in listed.main or listed.one("input", id="name").get("value") == row.name
    disposition = admin.get(f"{LIBRARY}/{digest(row)}.wav", download=1).response.headers["Content-Disposition"]
    assert disposition.startswith("attachment") and "\n" not in disposition


def test_a_folder_that_cannot_be_written_is_told(
    admin: Visitor, database: Database, sound: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recordings, "store_upload", full)
    assert "cannot be stored on this machine" in take(admin, sound, 422).source
    assert "No space left" in caplog.text


def test_a_file_is_uploaded_without_scripts(admin: Visitor, database: Database, sound: Path) -> None:
    page = admin.get(LIBRARY)
    assert "The library is empty." in page.main
    answer = admin.submit(page, LIBRARY, name="Welcome", upload=file(sound))
    listed = admin.follow(answer)
    assert "kept just now" in rows(listed)[0] and rows(listed)[0].startswith("Welcome")


def test_a_faulty_file_is_told_in_the_list(admin: Visitor, database: Database) -> None:
    page = admin.post(LIBRARY, {"upload": (BytesIO(b"no sound"), "letter.wav")}, 422)
    assert page.error("upload")


# -- the list ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def library(database: Database, settings: Settings, admin: Visitor) -> list[Recording]:
    """Three recordings: a and b are there, the sound of c is lost."""
    admin.get(LIBRARY)  # makes the folders
    found = []
    for number, (letter, name) in enumerate((("a", "Zebra"), ("b", "apple"), ("c", "Mango"))):
        values: dict[str, Any] = {
            "created_at": NOW + timedelta(hours=number),
            "seconds": 10.0 - number,
            "loudness": -20.0 - 10 * number,
            "created_by": "sara",
        }
        found.append(create_recording(database, f"uploads/{letter * 64}.wav", name=name, **values))
        if letter != "c":
            write_sound(settings.prompts_path / found[-1].file, tone(1, 300 + 200 * number))
    return found


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("name", ["apple", "Mango", "Zebra"]),
        ("length", ["Mango", "apple", "Zebra"]),
        ("loudness", ["Mango", "apple", "Zebra"]),
        ("newest", ["Mango", "apple", "Zebra"]),
        ("nonsense", ["Mango", "apple", "Zebra"]),
    ],
)
def test_the_list_is_sorted(admin: Visitor, library: list[Recording], sort: str, order: list[str]) -> None:
    assert [row.split()[0] for row in rows(admin.get(LIBRARY, sort=sort))] == order


def test_the_list_is_searched(admin: Visitor, library: list[Recording]) -> None:
    assert [row.split()[0] for row in rows(admin.get(LIBRARY, q="AN"))] == ["Mango"]
    assert "No recording is called so." in admin.get(LIBRARY, q="pear").main


def test_a_lost_sound_says_so_everywhere_and_is_not_offered(
    admin: Visitor, library: list[Recording], caplog: pytest.LogCaptureFixture
) -> None:
    lost = "c" * 64
    assert "not there any more" in rows(admin.get(LIBRARY, q="Mango"))[0]
    admin.get(f"{LIBRARY}/{lost}.wav", 404)
    assert "cannot be played" in caplog.text
    assert "not there any more" in text(admin.ask(f"{LIBRARY}/{lost}/chosen").one("div", class_="chosen"))
    shelf = admin.ask(f"{LIBRARY}/shelf")
    assert "Zebra" in shelf.main and "Mango" not in shelf.main


def test_what_was_never_measured_is_measured(admin: Visitor, library: list[Recording], database: Database) -> None:
    with database.write() as session:
        session.get_one(Recording, library[0].file).seconds = None
    assert "1.0 s" in rows(admin.get(LIBRARY, q="Zebra"))[0]


def test_the_list_says_where_it_is_used(admin: Visitor, library: list[Recording], database: Database) -> None:
    create_module(database, name="Sales")
    store(database, Prompt(module_id=1, key="intro", mode="file", file=library[0].file))
    store(database, DigitRecording(language="fa", digit="3", file=library[0].file))
    page = admin.get(LIBRARY, q="Zebra")
    assert "Sales: introduction" in rows(page)[0] and "digit 3 (Persian)" in rows(page)[0]
    assert page.has("a", href="/modules/1#prompt_intro")
    assert page.has("a", href="/recordings/digits/fa#digit-3")


def test_fifty_are_on_a_page(admin: Visitor, database: Database) -> None:
    for number in range(51):
        create_recording(database, f"uploads/{number:064x}.wav", name=f"n{number:02}", seconds=1.0, loudness=-20.0)
    page = admin.get(LIBRARY, sort="name")
    assert len(rows(page)) == 50
    assert rows(admin.get(LIBRARY, sort="name", page=2))[0].startswith("n50")


def test_how_to_add_a_voice_is_told_with_the_folder(admin: Visitor, settings: Settings) -> None:
    assert str(settings.voices_path) in admin.get(LIBRARY).main


# -- one recording ----------------------------------------------------------------------------------------------------


def test_a_recording_is_renamed(admin: Visitor, library: list[Recording], database: Database) -> None:
    path = f"{LIBRARY}/{'a' * 64}"
    listed = admin.follow(admin.submit(admin.get(path), path, name="  Giraffe "))
    assert "The recording is renamed." in listed.message and "Giraffe" in listed.main


@pytest.mark.parametrize(
    ("name", "said"), [("", "This field is required."), ("x" * 81, "too long"), ("a\u202eb", "cannot be shown")]
)
def test_a_name_that_will_not_do(admin: Visitor, library: list[Recording], name: str, said: str) -> None:
    path = f"{LIBRARY}/{'a' * 64}"
    page = admin.submit(admin.get(path), path, 422, name=name)
    assert said in page.error("name") and page.one("input", id="name").get("value") == name


def test_a_recording_is_deleted_after_a_question(
    admin: Visitor, library: list[Recording], database: Database, settings: Settings
) -> None:
    path = f"{LIBRARY}/{'a' * 64}/delete"
    page = admin.get(path)
    assert page.one("h1").text == "Delete the recording “" and "Zebra" in page.main
    admin.follow(admin.submit(page, path))
    assert [row.name for row in kept(database)] == ["Mango", "apple"]
    assert not (settings.prompts_path / library[0].file).exists()


def test_what_is_used_is_not_deleted_and_the_user_is_told_by_what(
    admin: Visitor, library: list[Recording], database: Database, settings: Settings
) -> None:
    create_module(database, name="Sales")
    store(database, Prompt(module_id=1, key="intro", mode="file", file=library[0].file))
    path = f"{LIBRARY}/{'a' * 64}/delete"
    asked = admin.get(path)
    assert "Sales: introduction" in asked.main and not asked.has("button", class_="btn-danger")
    assert "Sales: introduction" in admin.post(path, {}, 422).main
    assert len(kept(database)) == 3 and (settings.prompts_path / library[0].file).exists()


def test_a_file_that_cannot_be_removed_is_told(
    admin: Visitor, library: list[Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(recordings, "delete", refuse)
    assert "cannot be removed" in admin.post(f"{LIBRARY}/{'a' * 64}/delete", {}, 422).main


# -- digits -----------------------------------------------------------------------------------------------------------


def test_a_digit_is_replaced_heard_and_given_back_to_the_voice(
    admin: Visitor, library: list[Recording], database: Database, settings: Settings, tmp_path: Path
) -> None:
    spoken = heard(admin, "/recordings/digits/en/3.wav", tmp_path).read_bytes()
    page = admin.follow(admin.post("/recordings/digits/en/3", {"file": library[0].file}))
    assert page.message == "3 is read out by the recording." and "Zebra" in page.main
    recorded = heard(admin, "/recordings/digits/en/3.wav", tmp_path)
    assert read_samples(recorded) == read_samples(settings.prompts_path / library[0].file)
    with database.read() as session:
        assert [c.kind for c in session.scalars(select(Command))] == [commands.WRITE_DIALPLAN]
    page = admin.follow(admin.post("/recordings/digits/en/3", {"back": "1"}))
    assert page.message == "3 is read out by the voice again."
    assert heard(admin, "/recordings/digits/en/3.wav", tmp_path).read_bytes() == spoken


def test_a_number_is_heard_with_the_present_digits(
    admin: Visitor, library: list[Recording], database: Database, settings: Settings, tmp_path: Path
) -> None:
    recordings.set_digit(database, "en", "1", library[0].file, NOW)
    admin.get("/recordings/digits/en/11.wav")
    whole = read_samples(heard(admin, "/recordings/digits/en/11.wav", tmp_path))
    assert whole == read_samples(settings.prompts_path / library[0].file) * 2
    persian = admin.get("/recordings/digits/en/۱۱.wav").response.get_data()
    assert persian == admin.get("/recordings/digits/en/11.wav").response.get_data()


def test_a_digit_is_replaced_by_an_upload(admin: Visitor, database: Database, sound: Path) -> None:
    admin.post("/recordings/digits/fa/0", {"upload": file(sound), "file": ""})
    with database.read() as session:
        assert recordings.digits(session, "fa") == {"0": kept(database)[0].file}


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({}, "Choose a file."),
        ({"file": "uploads/nothing.wav"}, "The recording is not there any more."),
        ({"file": "../../secret_key"}, "The recording is not there any more."),
    ],
)
def test_a_digit_is_not_replaced_by_nothing(
    admin: Visitor, database: Database, sent: dict[str, str], said: str
) -> None:
    assert said in admin.post("/recordings/digits/fa/0", sent, 422).main
    with database.read() as session:
        assert recordings.digits(session, "fa") == {}


def test_a_faulty_upload_stands_beside_its_digit(admin: Visitor) -> None:
    page = admin.post("/recordings/digits/fa/4", {"upload": (BytesIO(b"no sound"), "letter.wav")}, 422)
    assert "kind of sound" in text(page.one(id="digit-4")) and "kind of sound" not in text(page.one(id="digit-5"))


@pytest.mark.parametrize("path", ["/recordings/digits/de/1", "/recordings/digits/en/x", "/recordings/digits/en/10"])
def test_what_is_no_digit_is_not_found(admin: Visitor, library: list[Recording], path: str) -> None:
    admin.post(path, {"file": library[0].file}, 404)


# -- by phone ---------------------------------------------------------------------------------------------------------

RING = {"extension": "۱۰۱", "language": "fa", "name": "خوشامد", "text": "سلام"}


def calls(database: Database) -> list[PhoneCall]:
    with database.read() as session:
        return list(session.scalars(select(PhoneCall)))


def test_an_extension_is_rung_and_the_call_is_followed(
    admin: Visitor, database: Database, library: list[Recording]
) -> None:
    create_running_service(database)
    shown = admin.press(BY_PHONE, RING).one("div", class_="studio-call")
    (call,) = calls(database)
    assert (call.extension, call.name, call.text, call.created_by) == ("101", "خوشامد", "سلام", "sara")
    address = str(shown.get("data-address"))
    for state, said in (
        (CallState.RINGING, "The phone rings. Pick it up."),
        (CallState.RECORDING, "Say the text after the tone. Press # when you have finished."),
        (CallState.LISTENING, "Press 1 to keep it, 2 to record it again, 3 to hear it."),
    ):
        phone_calls.advance(database, call.id, state, NOW)
        shown = admin.ask(address).one("div", class_="studio-call")
        assert said in text(shown) and shown.get("data-over") is None
    phone_calls.advance(database, call.id, CallState.KEPT, NOW, file=library[0].file)
    shown = admin.ask(address).one("div", class_="studio-call")
    assert (shown.get("data-over"), shown.get("data-digest")) == ("", "a" * 64)


def test_a_call_is_cancelled(admin: Visitor, database: Database) -> None:
    create_running_service(database)
    button = admin.press(BY_PHONE, RING).one("button")
    shown = admin.press(str(button.get("data-call-cancel"))).one("div", class_="studio-call")
    assert "The call was cancelled." in text(shown)
    assert [call.state for call in calls(database)] == ["cancelled"]
    with database.read() as session:
        assert [c.kind for c in session.scalars(select(Command))] == [commands.STUDIO_CALL, commands.STUDIO_CANCEL]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"extension": ""}, "Extension: This field is required."),
        ({"extension": "101&PJSIP/102"}, "Extension: Use digits, * and # only."),
        ({"extension": "1" * 21}, "Extension: Use digits, * and # only."),
        ({"language": "de"}, "Language: Choose an item from the list."),
        ({"name": ""}, "Name: This field is required."),
        ({"name": "a\u202eb"}, "Name: This contains characters that cannot be displayed. Remove them."),
        ({"text": "x" * 1501}, "Text: This is too long."),
    ],
)
def test_what_cannot_be_rung_is_told(admin: Visitor, database: Database, changes: dict[str, str], said: str) -> None:
    answer = admin.post(BY_PHONE, RING | changes, 422)
    assert answer.source == said and answer.response.content_type == "text/plain; charset=utf-8"
    assert calls(database) == []


@pytest.mark.parametrize("failure", list(CallFailure))
@pytest.mark.parametrize("locale", ["fa", "en"])
def test_every_failure_is_told_in_words(app: Flask, database: Database, failure: CallFailure, locale: str) -> None:
    users.set_locale(database, 1, locale)
    call = PhoneCall(id="00000000-0000-0000-0000-000000000001", kind="record", extension="101", language="en")
    call.state, call.detail, call.created_at, call.updated_at = "failed", failure.value, NOW, NOW
    store(database, call)
    said = text(Visitor(app, 1, locale=locale).ask(f"{BY_PHONE}/{call.id}").one("div", class_="studio-call"))
    with app.test_request_context(), use_locale(locale):
        assert str(prompt_wording.PHONE_CALL_FAILURE[failure]) in said


def test_a_service_that_does_not_run_is_told(admin: Visitor, database: Database) -> None:
    call = PhoneCall(id="00000000-0000-0000-0000-000000000001", kind="record", extension="101", language="en")
    call.state, call.created_at, call.updated_at = "asked", NOW, NOW
    store(database, call)
    assert "The telephone service is not running" in admin.ask(f"{BY_PHONE}/{call.id}").main


def test_a_trial_call_is_not_shown_as_a_recording(admin: Visitor, database: Database) -> None:
    call = phone_calls.ask_test(database, extension="101", language="en", actor="sara", now=NOW)
    admin.get(f"{BY_PHONE}/{call}", 404)


# -- in a module's form -----------------------------------------------------------------------------------------------

GOOD = {"name": "Sales", "code": "*5001", "targets": "101"}


def add(admin: Visitor, status: int = 302, **changes: Any) -> Page:
    return admin.submit(admin.get("/modules/new"), "/modules/new", status, **(GOOD | changes))


def prompt(database: Database, key: str = "intro") -> PromptInput:
    with database.read() as session:
        return modules.load(session, 1).prompts[key]


@pytest.mark.parametrize("mode", ["file", "record"])
def test_a_recording_of_the_library_is_chosen(
    admin: Visitor, database: Database, library: list[Recording], mode: str
) -> None:
    add(admin, prompt_intro_mode=mode, prompt_intro_file=library[0].file, prompt_intro_name="Zebra")
    assert (prompt(database).mode, prompt(database).file) == ("file", library[0].file)


def test_the_mode_is_called_by_where_the_recording_comes_from(
    admin: Visitor, database: Database, library: list[Recording]
) -> None:
    add(admin, prompt_intro_mode="file", prompt_intro_file=library[0].file)
    assert admin.get("/modules/1").fields()["prompt_intro_mode"] == ["file"]
    with database.write() as session:
        session.get_one(Recording, library[0].file).origin = "phone"
    page = admin.get("/modules/1")
    assert page.fields()["prompt_intro_mode"] == ["record"]
    assert "recorded by phone" in text(page.one("fieldset", data_prompt="intro"))


def test_an_upload_of_the_form_is_in_the_library_whatever_else_is_wrong(
    admin: Visitor, database: Database, sound: Path
) -> None:
    page = add(admin, 422, name="", prompt_intro_mode="file", prompt_intro_upload=file(sound))
    assert [row.name for row in kept(database)] == ["welcome.wav"]
    assert "2.0 s, well audible" in text(page.one("fieldset", data_prompt="intro"))


def test_a_recording_that_is_lost_is_refused_and_the_text_is_kept(admin: Visitor, library: list[Recording]) -> None:
    page = add(admin, 422, prompt_intro_mode="record", prompt_intro_file=library[2].file, prompt_intro_text="Say this.")
    assert page.error("prompt_intro") == "Choose a file."
    assert page.fields()["prompt_intro_text"] == ["Say this."]
    assert page.fields()["prompt_intro_mode"] == ["record"]


@pytest.mark.parametrize("name", ["../../secret_key", "uploads/../../x.wav", "/etc/passwd", f"uploads/{'G' * 64}.wav"])
def test_a_file_with_a_strange_name_is_no_recording(admin: Visitor, name: str) -> None:
    assert add(admin, 422, prompt_intro_mode="file", prompt_intro_file=name).error("prompt_intro")
    sent = {"key": "intro", "language": "en", "mode": "file", "file": name}
    admin.post("/modules/prompts/preview", sent, 404)


# -- the voice --------------------------------------------------------------------------------------------------------


def test_the_voice_of_a_module_is_chosen_and_kept(admin: Visitor, database: Database) -> None:
    add(admin, language="en", voice="en+m3", rate="180", pitch="30")
    with database.read() as session:
        saved = modules.load(session, 1)
    assert (saved.voice, saved.rate, saved.pitch) == ("en+m3", 180, 30)
    fields = admin.get("/modules/1").fields()
    assert (fields["voice"], fields["rate"], fields["pitch"]) == (["en+m3"], ["180"], ["30"])
    admin.submit(admin.get("/modules/1"), "/modules/1", voice="", rate="", pitch="")
    with database.read() as session:
        saved = modules.load(session, 1)
    assert (saved.voice, saved.rate, saved.pitch) == ("", None, None)


def test_a_speed_of_another_origin_is_not_lost(admin: Visitor, database: Database) -> None:
    create_module(database, code="*5001", language="en", rate=133, pitch=44, voice="piper:gone")
    page = admin.get("/modules/1")
    assert "piper:gone (missing)" in [text(option) for option in page.one(id="voice").iter("option")]
    admin.submit(page, "/modules/1")
    with database.read() as session:
        saved = modules.load(session, 1)
    assert (saved.rate, saved.pitch, saved.voice) == (133, 44, "piper:gone")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("voice", "fa+f3", "Choose an item from the list."),
        ("voice", "<script>", "Choose an item from the list."),
        ("rate", "9", "out of range"),
        ("rate", "fast", "Choose an item from the list."),
        ("rate", "9" * 30, "Choose an item from the list."),
        ("pitch", "100", "out of range"),
    ],
)
def test_a_voice_that_will_not_do(admin: Visitor, field: str, value: str, said: str) -> None:
    page = add(admin, 422, language="en", **{field: value})
    assert said in page.error(field)
    sent = {"key": "intro", "language": "en", field: value}
    assert said in admin.post("/modules/prompts/preview", sent, 422).source


def test_a_preview_is_spoken_as_chosen(admin: Visitor) -> None:
    sounds = {
        admin.post("/modules/prompts/preview", {"key": "intro", "language": "en", **manner}, 200).response.get_data()
        for manner in ({}, {"voice": "en-us+m3"}, {"rate": "220"}, {"pitch": "90"}, {"rate": "220", "pitch": "90"})
    }
    assert len(sounds) == 5


def test_a_voice_that_is_gone_is_told_at_the_preview(admin: Visitor) -> None:
    sent = {"key": "intro", "language": "en", "voice": "piper:gone"}
    assert admin.post("/modules/prompts/preview", sent, 422).source == "This voice is not there."


# -- the dialogue -----------------------------------------------------------------------------------------------------

DIALOGUE = "/modules/prompts/dialogue"


def test_the_dialogue_is_of_what_is_in_the_form(
    admin: Visitor, library: list[Recording], settings: Settings, tmp_path: Path
) -> None:
    sent = {"language": "en", "way": "own"}
    default = admin.post(DIALOGUE, sent, 200)
    assert default.response.content_type == "audio/wav"
    typed = admin.post(DIALOGUE, sent | {"prompt_intro_text": "Hello."}, 200).response.get_data()
    recorded = {"prompt_intro_mode": "record", "prompt_intro_file": library[0].file}
    out = tmp_path / "dialogue.wav"
    out.write_bytes(admin.post(DIALOGUE, sent | recorded, 200).response.get_data())
    own = read_samples(settings.prompts_path / library[0].file)
    assert read_samples(out)[: len(own)] == own
    other = admin.post(DIALOGUE, sent | {"way": "other"}, 200).response.get_data()
    assert len(other) > len(default.response.get_data()) > len(typed)


def test_a_prompt_that_cannot_be_made_is_named(admin: Visitor, library: list[Recording]) -> None:
    sent = {"language": "en", "way": "own"}
    wrong = admin.post(DIALOGUE, sent | {"prompt_intro_text": "سلام"}, 422)
    assert wrong.source == "introduction: The text is not written in the module's language."
    lost = {"prompt_after_success_mode": "file", "prompt_after_success_file": library[2].file}
    assert admin.post(DIALOGUE, sent | lost, 422).source.startswith("after registration: The recording is not there")
    assert "out of range" in admin.post(DIALOGUE, sent | {"rate": "1"}, 422).source


@pytest.mark.parametrize(
    "sent", [{}, {"language": "en"}, {"language": "de", "way": "own"}, {"language": "en", "way": "x"}]
)
def test_a_dialogue_of_nothing_is_not_found(admin: Visitor, sent: dict[str, str]) -> None:
    admin.post(DIALOGUE, sent, 404)


# -- how sounds are told ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dbfs", "said"),
    [(-5, "very loud"), (-20, "well audible"), (-30, "rather quiet"), (-96, "very quiet")],
)
def test_loudness_in_words(admin: Visitor, database: Database, dbfs: float, said: str) -> None:
    create_recording(database, f"uploads/{'1' * 64}.wav", seconds=1.0, loudness=float(dbfs))
    assert f"{said} (\u2066\u2212{-dbfs}\u2069 dB)" in rows(admin.get(LIBRARY))[0]


def test_lengths_are_written_as_they_are_read(app: Flask, database: Database) -> None:
    for locale, short, long in (("en", "12.4 s", "02:05"), ("fa", "۱۲٫۴", "۰۲:۰۵")):
        users.set_locale(database, 1, locale)
        create_recording(database, f"uploads/{'1' * 63}{locale[0]}.wav", seconds=12.4, loudness=-20.0)
        create_recording(database, f"uploads/{'2' * 63}{locale[0]}.wav", seconds=125.0, loudness=-20.0)
        main = Visitor(app, 1, locale=locale).get(LIBRARY).main
        assert short in main and long in main


def test_the_log_says_who_renamed_and_deleted(admin: Visitor, database: Database) -> None:
    create_recording(database, f"uploads/{'c' * 64}.wav", name="Old")
    admin.post(f"/recordings/{'c' * 64}", {"name": "New"})
    admin.post(f"/recordings/{'c' * 64}/delete")
    assert [(entry.action, entry.actor) for entry in audit.read(database).entries[:2]] == [
        ("recording_deleted", "sara"),
        ("recording_renamed", "sara"),
    ]
