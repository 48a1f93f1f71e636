"""The digits of a language."""

from io import BytesIO
from pathlib import Path

import pytest

from app.audio.clip import SpeechError
from app.config import Settings
from app.services.prompts.digits import load_digit_files
from app.store.database import Database
from tests.audio.sounds import tone, write_sound
from tests.support.factories import create_recording
from tests.web.pages import Visitor, text
from tests.web.prompts.conftest import as_upload

DIGITS = "/recordings/digits"
FILE = f"uploads/{'a' * 64}.wav"


@pytest.fixture
def recording(database: Database, settings: Settings, admin: Visitor) -> bytes:
    """A recording in the library. Return its content."""
    admin.get("/recordings")  # creates the folders
    create_recording(database, FILE, name="Zebra")
    return write_sound(settings.prompts_path / FILE, tone(1)).read_bytes()


def load_sound(admin: Visitor, path: str) -> bytes:
    data: bytes = admin.get(path).response.get_data()
    return data


def test_digit_is_recorded_and_spoken_again(admin: Visitor, recording: bytes) -> None:
    spoken = load_sound(admin, f"{DIGITS}/en/3.wav")
    page = admin.follow(admin.post(f"{DIGITS}/en/3", {"file": FILE}))
    assert page.message and "Zebra" in text(page.one(id="digit-3"))
    recorded = load_sound(admin, f"{DIGITS}/en/3.wav")
    assert recorded[44:] == recording[-len(recorded[44:]) :]
    page = admin.follow(admin.post(f"{DIGITS}/en/3", {"back": "1"}))
    assert page.message and "Zebra" not in page.main
    assert load_sound(admin, f"{DIGITS}/en/3.wav") == spoken


def test_number_is_read_out_in_either_kind_of_digits(admin: Visitor, recording: bytes) -> None:
    admin.post(f"{DIGITS}/en/1", {"file": FILE})
    one, number = load_sound(admin, f"{DIGITS}/en/1.wav"), load_sound(admin, f"{DIGITS}/en/11.wav")
    assert number[44:] == one[44:] * 2
    assert load_sound(admin, f"{DIGITS}/en/۱۱.wav") == number


def test_digit_is_uploaded(admin: Visitor, database: Database, sound: Path) -> None:
    admin.post(f"{DIGITS}/fa/0", {"upload": as_upload(sound), "file": ""})
    assert set(load_digit_files(database, "fa")) == {"0"}


@pytest.mark.parametrize("sent", [{}, {"file": "uploads/missing.wav"}, {"file": "../../secret_key"}])
def test_digit_needs_a_recording(admin: Visitor, database: Database, sent: dict[str, str]) -> None:
    page = admin.post(f"{DIGITS}/fa/0", sent, 422)
    assert [part for part in page.one(id="digit-0").iter("div") if part.get("role") == "alert"]
    assert load_digit_files(database, "fa") == {}


def test_error_is_shown_beside_its_digit(admin: Visitor) -> None:
    page = admin.post(f"{DIGITS}/fa/4", {"upload": (BytesIO(b"no sound"), "letter.wav")}, 422)
    alerts = {
        digit: [part for part in page.one(id=f"digit-{digit}").iter("div") if part.get("role") == "alert"]
        for digit in "45"
    }
    assert alerts["4"] and not alerts["5"]


@pytest.mark.parametrize("path", ["de/1", "en/x", "en/10"])
def test_unknown_digits_are_not_found(admin: Visitor, recording: bytes, path: str) -> None:
    admin.post(f"{DIGITS}/{path}", {"file": FILE}, 404)
    admin.get(f"{DIGITS}/{path}{'0' * 20}.wav", 404)


def test_number_that_cannot_be_spoken_is_an_error(admin: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise SpeechError("speech_failed")

    monkeypatch.setattr("app.audio.library.speak", fail)
    assert admin.get(f"{DIGITS}/en/12.wav", 422).source
    assert admin.post("/modules/prompts/dialogue", {"language": "en", "way": "own"}, 422).source


def test_overview_is_in_the_users_language(admin: Visitor) -> None:
    assert admin.get(DIGITS, 302).response.headers["Location"] == f"{DIGITS}/en"
    admin.get(f"{DIGITS}/de", 404)
