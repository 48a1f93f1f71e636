"""Which sound a caller hears: always the best that can be had, and never a strange file."""

import io
import logging
from pathlib import Path

import pytest

from app.audio.cache import SoundLibrary
from app.audio.clip import SoundError, SpeechError
from app.audio.prompts import PROMPT_KEYS, default_text
from app.services import modules
from app.services.modules import PromptInput
from app.services.prompts import FILE, make, prompt_sounds, upload
from app.store.database import Database
from tests.audio.sounds import silence, tone, write_sound
from tests.support.factories import NOW, make_module_input

OWN_TEXT = PromptInput("speech", "We are closed for lunch.")
NONE = PromptInput("none")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> SoundLibrary:
    """One for all tests here: what was spoken once is there for the next."""
    return SoundLibrary(tmp_path_factory.mktemp("prompts"))


@pytest.fixture(scope="module")
def recording(library: SoundLibrary, tmp_path_factory: pytest.TempPathFactory) -> PromptInput:
    """An uploaded recording."""
    file = write_sound(tmp_path_factory.mktemp("recordings") / "greeting.wav", tone(1.5))
    with file.open("rb") as stream:
        return upload(library, stream, "greeting.wav")


def save(database: Database, language: str = "en", **prompts: PromptInput) -> int:
    return modules.save(database, make_module_input(language=language, prompts=prompts), NOW)


def sounds(database: Database, library: SoundLibrary, module_id: int) -> dict[str, Path | None]:
    return {key: clip and clip.path for key, clip in prompt_sounds(database, library, module_id).items()}


def spoken(library: SoundLibrary, text: str, language: str = "en") -> Path:
    return library.spoken(text, language).path


def default(library: SoundLibrary, key: str, language: str = "en") -> Path | None:
    text = default_text(key, language)
    return spoken(library, text, language) if text else None


@pytest.mark.parametrize("language", ["en", "fa"])
def test_a_module_without_prompts_of_its_own_speaks_the_default_texts(
    database: Database, library: SoundLibrary, language: str
) -> None:
    made = prompt_sounds(database, library, save(database, language))
    assert list(made) == [*PROMPT_KEYS, "intro_other"]
    for key, clip in made.items():
        assert (clip and clip.path) == default(library, key, language), key
        assert clip is None or clip.seconds > 0.3
    assert (made["is"] is None) == (language == "en")  # English has no word there


def test_a_text_of_ones_own_is_spoken_and_the_rest_stays(database: Database, library: SoundLibrary) -> None:
    given = sounds(database, library, save(database, before_success=OWN_TEXT))
    assert given["before_success"] == spoken(library, OWN_TEXT.text)
    assert given["after_success"] == default(library, "after_success")


def test_a_text_of_spaces_is_none_of_ones_own(database: Database, library: SoundLibrary) -> None:
    given = sounds(database, library, save(database, enter_number=PromptInput("speech", " \n ")))
    assert given["enter_number"] == default(library, "enter_number")


def test_a_prompt_may_be_left_out(database: Database, library: SoundLibrary) -> None:
    given = sounds(database, library, save(database, before_success=NONE, intro=NONE))
    assert given["before_success"] is None
    assert given["intro"] is None


def test_english_may_have_a_word_after_the_number(database: Database, library: SoundLibrary) -> None:
    given = sounds(database, library, save(database, **{"is": PromptInput("speech", "Thank you.")}))
    assert given["is"] == spoken(library, "Thank you.")


def test_a_recording_is_played(database: Database, library: SoundLibrary, recording: PromptInput) -> None:
    clip = prompt_sounds(database, library, save(database, intro=recording))["intro"]
    assert clip is not None
    assert clip.path == library.root / recording.file
    assert clip.seconds == pytest.approx(1.5, abs=0.1)


def test_there_is_no_sound_of_a_module_that_never_was(database: Database, library: SoundLibrary) -> None:
    assert prompt_sounds(database, library, 4711) == {}


# What cannot be had


@pytest.mark.parametrize(
    "file",
    [
        "uploads/" + "0" * 64 + ".wav",  # lost
        "uploads/../../secret.wav",
        "/etc/passwd",
        "speech/" + "0" * 64 + ".wav",
        "",
    ],
)
def test_a_lost_or_strange_file_falls_back_to_the_default_text(
    database: Database, library: SoundLibrary, caplog: pytest.LogCaptureFixture, file: str
) -> None:
    module_id = save(database, check_number=PromptInput("file", file=file or "x"))
    assert sounds(database, library, module_id)["check_number"] == default(library, "check_number")
    (record,) = caplog.records
    assert "check_number cannot be made" in record.message


def test_a_damaged_recording_falls_back_to_the_default_text(
    database: Database, library: SoundLibrary, caplog: pytest.LogCaptureFixture
) -> None:
    name = "uploads/" + "d" * 64 + ".wav"
    (library.root / name).write_bytes(b"RIFF and no more")
    module_id = save(database, after_success=PromptInput("file", file=name))
    assert sounds(database, library, module_id)["after_success"] == default(library, "after_success")
    assert "damaged" in caplog.text


def test_a_recording_that_nobody_may_read_falls_back_as_well(
    database: Database, library: SoundLibrary, caplog: pytest.LogCaptureFixture
) -> None:
    name = "uploads/" + "e" * 64 + ".wav"
    (library.root / name).mkdir()  # also for root something that cannot be opened
    module_id = save(database, after_success=PromptInput("file", file=name))
    assert sounds(database, library, module_id)["after_success"] == default(library, "after_success")
    assert "after_success cannot be made" in caplog.text


@pytest.mark.parametrize("text", ["سلام", "\x01", "…"])
def test_a_text_that_cannot_be_spoken_falls_back_to_the_default_text(
    database: Database, library: SoundLibrary, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    """The form refuses it; a module that was changed to another language later may have it all the same."""
    module_id = save(database, wrong_number=PromptInput("speech", text))
    assert sounds(database, library, module_id)["wrong_number"] == default(library, "wrong_number")
    assert caplog.records


class MuteLibrary(SoundLibrary):
    """A library whose speech engine is broken."""

    def spoken(self, *_: object, **__: object) -> object:  # type: ignore[override]
        raise SpeechError("speech_failed")


def test_without_speech_there_are_recordings_only_and_no_failure(
    database: Database, library: SoundLibrary, recording: PromptInput, caplog: pytest.LogCaptureFixture
) -> None:
    module_id = save(database, intro=recording, enter_number=NONE)
    caplog.set_level(logging.ERROR)
    given = sounds(database, MuteLibrary(library.root), module_id)
    assert {key for key, path in given.items() if path is not None} == {"intro"}
    assert "default text of prompt check_number cannot be spoken" in caplog.text


# The intro for who has no number of their own to offer


def test_the_default_intro_has_a_variant(database: Database, library: SoundLibrary) -> None:
    given = sounds(database, library, save(database))
    assert given["intro_other"] == default(library, "intro_other") != given["intro"]


@pytest.mark.parametrize("intro", [OWN_TEXT, NONE])
def test_an_intro_of_ones_own_has_none(database: Database, library: SoundLibrary, intro: PromptInput) -> None:
    assert sounds(database, library, save(database, intro=intro))["intro_other"] is None


def test_a_recorded_intro_has_none(database: Database, library: SoundLibrary, recording: PromptInput) -> None:
    assert sounds(database, library, save(database, intro=recording))["intro_other"] is None


@pytest.mark.parametrize(
    "intro",
    [
        PromptInput("speech", "  "),
        PromptInput("speech", "", "uploads/" + "0" * 64 + ".wav", "former.wav"),  # a recording that was chosen before
        PromptInput("speech", default_text("intro", "en")),
        PromptInput("file", "", "uploads/" + "0" * 64 + ".wav"),  # lost
    ],
)
def test_wherever_the_default_intro_is_heard_it_has_its_variant(
    database: Database, library: SoundLibrary, intro: PromptInput
) -> None:
    """Who has no number to offer would else be told to press a key that does nothing for them."""
    given = sounds(database, library, save(database, intro=intro))
    assert given["intro"] == default(library, "intro")
    assert given["intro_other"] == default(library, "intro_other")


# Uploads and single sounds


def test_an_upload_is_named_by_its_content(library: SoundLibrary, recording: PromptInput) -> None:
    assert recording.mode == "file"
    assert recording.original_name == "greeting.wav"
    assert FILE.fullmatch(recording.file)
    assert (library.root / recording.file).is_file()


def test_an_endless_name_of_an_upload_is_cut(library: SoundLibrary, tmp_path: Path) -> None:
    file = write_sound(tmp_path / "tone.wav", tone(1))
    given = upload(library, io.BytesIO(file.read_bytes()), "x" * 1000 + ".wav")
    assert len(given.original_name) == 200


@pytest.mark.parametrize("silent", [True, False])
def test_what_is_no_sound_is_refused(library: SoundLibrary, tmp_path: Path, silent: bool) -> None:
    content = write_sound(tmp_path / "silence.wav", silence(1)).read_bytes() if silent else b"no sound at all"
    before = sorted((library.root / "uploads").iterdir())
    with pytest.raises(SoundError):
        upload(library, io.BytesIO(content), "x.wav")
    assert sorted((library.root / "uploads").iterdir()) == before


def test_a_single_sound_tells_what_is_wrong_instead_of_falling_back(library: SoundLibrary) -> None:
    assert make(library, "intro", NONE, "en") is None
    assert make(library, "is", PromptInput(), "en") is None
    with pytest.raises(FileNotFoundError):
        make(library, "intro", PromptInput("file", file="uploads/" + "0" * 64 + ".wav"), "en")
    with pytest.raises(FileNotFoundError):
        make(library, "intro", PromptInput("file", file="../secret.wav"), "en")
    with pytest.raises(SpeechError):
        make(library, "intro", PromptInput("speech", "سلام"), "en")
