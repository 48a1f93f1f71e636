"""The page of the set of recordings."""

import io
import zipfile
from pathlib import Path

import pytest

from app.audio.prompt_texts import default_text
from app.web.prompts import wording
from tests.audio.sounds import tone, write_sound
from tests.support.sounds import quick_conversion, quick_sounds
from tests.web.pages import Visitor

__all__ = ["quick_conversion", "quick_sounds"]
pytestmark = pytest.mark.usefixtures("quick_sounds")
PAGE = "/recordings/set/en"


def make_zip(**files: bytes) -> tuple[io.BytesIO, str]:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.wav", content)
    file.seek(0)
    return file, "studio.zip"


def test_set_is_uploaded_used_and_downloaded(admin: Visitor, tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "a.wav", tone(0.5)).read_bytes()
    listed = admin.get(PAGE)
    assert default_text("intro", "en") in listed.main and "press {key}" not in listed.main
    done = admin.follow(admin.post(PAGE, {"set": make_zip(intro=sound, withdrawn=sound)}))
    assert done.message == "2 recordings are in use now." and done.main.count("Use the voice again") == 2
    assert "default text intro (English)" in admin.get("/recordings").main
    downloaded = admin.get(f"{PAGE}.zip").response.data
    with zipfile.ZipFile(io.BytesIO(downloaded)) as archive:
        assert set(archive.namelist()) == {"texts.txt", "intro.wav", "withdrawn.wav"}
    admin.post(PAGE, {"back": "intro"})
    assert admin.get(PAGE).main.count("Use the voice again") == 1
    assert "The set of recordings was changed" in admin.get("/log").main


def test_bad_set_is_refused_with_a_message_for_each_file(admin: Visitor) -> None:
    page = admin.post(PAGE, {"set": make_zip(intro=b"no sound", holiday=b"x")}, 422)
    for name, code in (("intro.wav", "not_audio"), ("holiday.wav", "unknown_name")):
        assert wording.set_fault(name, code) in page.main
    for data in ({}, {"set": (io.BytesIO(b"no zip"), "studio.zip")}):
        assert wording.set_fault("", "no_zip") in admin.post(PAGE, data, 422).main
    admin.post(PAGE, {"back": "nothing"}, 404)
    admin.post("/recordings/set/de", {"back": "intro"}, 404)
