"""The prompt library: upload, list, rename and delete recordings."""

from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from app.config import Settings
from app.services import audit, users
from app.services.prompts import recordings
from app.store.database import Database
from app.store.models import DigitRecording, Prompt, Recording
from tests.audio.sounds import tone, write_sound
from tests.support.factories import NOW, create_module, create_recording, store
from tests.web.pages import Page, Visitor, rows, text
from tests.web.prompts.conftest import as_upload

LIBRARY = "/recordings"
UPLOAD = "/recordings/take"


def upload(admin: Visitor, path: Path, status: int = 200, **fields: str) -> Page:
    return admin.press(UPLOAD, {"sound": as_upload(path), **fields}, status)


def list_recordings(database: Database) -> list[Recording]:
    with database.read() as session:
        return list(session.scalars(select(Recording).order_by(Recording.name)))


def digest(row: Recording) -> str:
    return row.file.removeprefix("uploads/").removesuffix(".wav")


# -- upload ---------------------------------------------------------------------------------------------------------


def test_upload_by_script(admin: Visitor, database: Database, sound: Path) -> None:
    page = upload(admin, sound)
    (row,) = list_recordings(database)
    assert (row.name, row.original_name, row.origin, row.created_by) == (sound.name, sound.name, "upload", "sara")
    shown = page.one("div", class_="recording")
    assert (shown.get("data-file"), shown.get("data-digest")) == (row.file, digest(row))
    assert "2.0 s" in text(shown)
    admin.get(str(shown.get("data-url")))
    again = upload(admin, sound, name="other")
    assert again.one("div", class_="recording").get("data-name") == sound.name
    assert len(list_recordings(database)) == 1


@pytest.mark.parametrize(("origin", "stored"), [("browser", "browser"), ("<b>", "upload")])
def test_name_and_origin_are_stored(admin: Visitor, database: Database, sound: Path, origin: str, stored: str) -> None:
    upload(admin, sound, name=" سلام ", origin=origin)
    (row,) = list_recordings(database)
    assert (row.name, row.origin, row.original_name) == ("سلام", stored, sound.name)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"no sound at all", "letter.wav"),
        (b"", "empty.mp3"),
        (b"#EXTM3U\nhttp://127.0.0.1:9/x.ts\n", "list.m3u8"),
        (b"\x00" * 5001, "large.wav"),
    ],
)
@pytest.mark.parametrize("locale", ["fa", "en"])
def test_refused_upload_is_explained_in_the_users_language(
    app: Flask, database: Database, monkeypatch: pytest.MonkeyPatch, content: bytes, name: str, locale: str
) -> None:
    monkeypatch.setattr("app.audio.library.MAX_BYTES", 5000)
    users.set_locale(database, 1, locale)
    page = Visitor(app, 1, locale=locale).post(UPLOAD, {"sound": (BytesIO(content), name)}, 422)
    assert page.response.content_type == "text/plain; charset=utf-8"
    assert any("آ" <= letter <= "ی" for letter in page.source) is (locale == "fa")
    assert list_recordings(database) == []


def test_upload_without_a_file_is_an_error(admin: Visitor) -> None:
    assert admin.post(UPLOAD, {}, 422).source
    assert admin.post(LIBRARY, {}, 422).error("upload")


def test_upload_without_scripts(admin: Visitor, sound: Path) -> None:
    page = admin.post(LIBRARY, {"upload": (BytesIO(b"no sound"), "letter.wav")}, 422)
    assert page.error("upload")
    listed = admin.follow(admin.submit(page, LIBRARY, name="Welcome", upload=as_upload(sound)))
    (row,) = listed.one("tbody").iter("tr")
    assert text(row).startswith("Welcome") and row.get("class") == "new"


def test_nul_in_a_name_is_refused(admin: Visitor, database: Database, sound: Path) -> None:
    admin.post(UPLOAD, {"sound": as_upload(sound), "name": "a\0b"}, 400)
    assert list_recordings(database) == []


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "\"><h1 x='", "../../etc/passwd", "a\u202eb", "x" * 300])
def test_hostile_names_are_escaped(admin: Visitor, database: Database, sound: Path, name: str) -> None:
    page = upload(admin, sound, name=name)
    (row,) = list_recordings(database)
    assert len(row.name) <= 80 and "\u202e" not in row.name
    assert row.name in text(page.one("div", class_="recording"))
    for path in (LIBRARY, f"{LIBRARY}/{digest(row)}", f"{LIBRARY}/{digest(row)}/delete"):
        shown = admin.get(path)
        assert not [script for script in shown.all("script") if not script.get("src")]
        assert row.name in shown.main or shown.one("input", id="name").get("value") == row.name
    disposition = admin.get(f"{LIBRARY}/{digest(row)}.wav", download=1).response.headers["Content-Disposition"]
    assert disposition.startswith("attachment") and "\n" not in disposition


def test_full_disk_is_logged(
    admin: Visitor, sound: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recordings, "store_upload", fail)
    assert upload(admin, sound, 422).source
    assert "No space left" in caplog.text


# -- the list -------------------------------------------------------------------------------------------------------


@pytest.fixture
def library(database: Database, settings: Settings, admin: Visitor) -> list[Recording]:
    """Three recordings. The file of the third is missing."""
    admin.get(LIBRARY)  # creates the folders
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


def names(page: Page) -> list[str]:
    return [row.split()[0] for row in rows(page)]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("name", ["apple", "Mango", "Zebra"]),
        ("length", ["Mango", "apple", "Zebra"]),
        ("newest", ["Mango", "apple", "Zebra"]),
        ("unknown", ["Mango", "apple", "Zebra"]),
    ],
)
def test_list_is_sorted(admin: Visitor, library: list[Recording], sort: str, order: list[str]) -> None:
    page = admin.get(LIBRARY, sort=sort)
    assert names(page) == order
    assert len([head for head in page.all("th") if head.get("aria-sort")]) == 1


def test_list_is_searched(admin: Visitor, library: list[Recording]) -> None:
    assert names(admin.get(LIBRARY, q="AN")) == ["Mango"]
    nothing = admin.get(LIBRARY, q="pear")
    assert not rows(nothing) and nothing.has("form", class_="search")
    assert "Zebra" in admin.ask(f"{LIBRARY}/shelf").main
    assert "Zebra" not in admin.ask(f"{LIBRARY}/shelf?q=apple").main


def test_missing_file_is_shown_and_cannot_be_chosen(
    admin: Visitor, library: list[Recording], caplog: pytest.LogCaptureFixture
) -> None:
    missing = "c" * 64
    (row,) = admin.get(LIBRARY, q="Mango").one("tbody").iter("tr")
    assert [part for part in row.iter("div") if "invalid-feedback" in part.get("class", "")]
    admin.get(f"{LIBRARY}/{missing}.wav", 404)
    assert library[2].file in caplog.text
    assert admin.ask(f"{LIBRARY}/{missing}/chosen").one("div", class_="recording").get("data-url") is None
    choices = admin.ask(f"{LIBRARY}/shelf")
    assert "Zebra" in choices.main and "Mango" not in choices.main


def test_uses_are_linked(admin: Visitor, library: list[Recording], database: Database) -> None:
    create_module(database, name="Sales")
    store(database, Prompt(module_id=1, key="intro", mode="file", file=library[0].file))
    store(database, DigitRecording(language="fa", digit="3", file=library[0].file))
    for path in (LIBRARY, f"{LIBRARY}/{'a' * 64}", f"{LIBRARY}/{'a' * 64}/delete"):
        page = admin.get(path)
        assert "Sales" in text(page.one("a", href="/modules/1#prompt_intro")), path
        assert "3" in text(page.one("a", href="/recordings/digits/fa#digit-3")), path


def test_list_has_pages(admin: Visitor, database: Database) -> None:
    for number in range(51):
        create_recording(database, f"uploads/{number:064x}.wav", name=f"n{number:02}", seconds=1.0, loudness=-20.0)
    page = admin.get(LIBRARY, sort="name")
    assert len(rows(page)) == 50
    assert page.has("a", href="/recordings?sort=name&page=2")
    assert names(admin.get(LIBRARY, sort="name", page=2)) == ["n50"]


def test_folder_for_voices_is_shown(admin: Visitor, settings: Settings) -> None:
    assert str(settings.voices_path) in admin.get(LIBRARY).main


@pytest.mark.parametrize(
    ("dbfs", "words"),
    [(-5, "very loud"), (-20, "clearly audible"), (-30, "quiet"), (-96, "very quiet")],
)
def test_loudness_in_words(admin: Visitor, database: Database, dbfs: float, words: str) -> None:
    create_recording(database, f"uploads/{'1' * 64}.wav", seconds=1.0, loudness=float(dbfs))
    assert f" {words} (\u2066\u2212{-dbfs}\u2069 dB)" in rows(admin.get(LIBRARY))[0]


def test_lengths_are_formatted_for_the_language(app: Flask, database: Database) -> None:
    create_recording(database, f"uploads/{'1' * 64}.wav", seconds=12.4, loudness=-20.0)
    create_recording(database, f"uploads/{'2' * 64}.wav", seconds=125.0, loudness=-20.0)
    for locale, short, long in (("en", "12.4 s", "02:05"), ("fa", "۱۲٫۴", "۰۲:۰۵")):
        users.set_locale(database, 1, locale)
        main = Visitor(app, 1, locale=locale).get(LIBRARY).main
        assert short in main and long in main


# -- one recording --------------------------------------------------------------------------------------------------


def test_rename(admin: Visitor, library: list[Recording]) -> None:
    path = f"{LIBRARY}/{'a' * 64}"
    page = admin.submit(admin.get(path), path, 422, name="x" * 81)
    assert page.error("name") and page.one("input", id="name").get("value") == "x" * 81
    listed = admin.follow(admin.submit(page, path, name="  Giraffe "))
    assert listed.message and "Giraffe" in listed.main


def test_delete(admin: Visitor, library: list[Recording], database: Database, settings: Settings) -> None:
    path = f"{LIBRARY}/{'a' * 64}/delete"
    page = admin.get(path)
    assert "Zebra" in text(page.one("h1"))
    assert admin.follow(admin.submit(page, path)).message
    assert [row.name for row in list_recordings(database)] == ["Mango", "apple"]
    assert not (settings.prompts_path / library[0].file).exists()


def test_recording_in_use_is_not_deleted(
    admin: Visitor, library: list[Recording], database: Database, settings: Settings
) -> None:
    create_module(database, name="Sales")
    store(database, Prompt(module_id=1, key="intro", mode="file", file=library[0].file))
    path = f"{LIBRARY}/{'a' * 64}/delete"
    assert not admin.get(path).has("button", class_="btn-danger")
    assert "Sales" in admin.post(path, {}, 422).main
    assert len(list_recordings(database)) == 3 and (settings.prompts_path / library[0].file).exists()


def test_file_that_cannot_be_removed_is_logged(
    admin: Visitor, library: list[Recording], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(recordings, "delete", fail)
    assert admin.post(f"{LIBRARY}/{'a' * 64}/delete", {}, 422).has("div", class_="note-fault")
    assert "Permission denied" in caplog.text


def test_changes_are_in_the_audit_log(admin: Visitor, database: Database) -> None:
    create_recording(database, f"uploads/{'c' * 64}.wav", name="Old")
    admin.post(f"{LIBRARY}/{'c' * 64}", {"name": "New"})
    admin.post(f"{LIBRARY}/{'c' * 64}/delete")
    assert [(entry.action, entry.actor) for entry in audit.read(database).entries[:2]] == [
        ("recording_deleted", "sara"),
        ("recording_renamed", "sara"),
    ]
