"""Which sound a caller hears: always the best that can be had, and never a strange file."""

import logging
from pathlib import Path
from typing import Any

import phonenumbers
import pytest

from app.audio.clip import Clip, SpeechError
from app.audio.library import SoundLibrary
from app.audio.prompt_texts import PROMPT_KEYS, default_text
from app.services.errors import Invalid
from app.services.modules import save as modules
from app.services.prompts import recordings
from app.services.prompts import voice as speech
from app.services.prompts.input import PromptInput
from app.services.prompts.sounds import (
    PAUSE,
    PromptError,
    make_clip,
    make_dialogue,
    make_digit_clips,
    make_module_clips,
    sample_number,
)
from app.store.database import Database
from app.store.models import Command, Module, Setting
from app.store.settings import Speech, write_setting
from tests.audio.sounds import RATE, read_samples, tone, write_sound
from tests.audio.test_assemble import heard_keys
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
    clip = library.convert(file)
    return PromptInput("file", "", clip.path.relative_to(library.root).as_posix(), file.name)


def save(database: Database, language: str = "en", **prompts: PromptInput) -> int:
    return modules.save(database, make_module_input(language=language, prompts=prompts), NOW)


def sounds(database: Database, library: SoundLibrary, module_id: int) -> dict[str, Path | None]:
    return {key: clip and clip.path for key, clip in make_module_clips(database, library, module_id).items()}


def spoken(library: SoundLibrary, text: str, language: str = "en") -> Path:
    return library.synthesize(text, language).path


def default(library: SoundLibrary, key: str, language: str = "en") -> Path | None:
    text = default_text(key, language)
    return spoken(library, text, language) if text else None


@pytest.mark.parametrize("language", ["en", "fa"])
def test_a_module_without_prompts_of_its_own_speaks_the_default_texts(
    database: Database, library: SoundLibrary, language: str
) -> None:
    made = make_module_clips(database, library, save(database, language))
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
    clip = make_module_clips(database, library, save(database, intro=recording))["intro"]
    assert clip is not None
    assert clip.path == library.root / recording.file
    assert clip.seconds == pytest.approx(1.5, abs=0.1)


def test_there_is_no_sound_of_a_module_that_never_was(database: Database, library: SoundLibrary) -> None:
    assert make_module_clips(database, library, 4711) == {}


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

    def synthesize(self, *_: object, **__: object) -> object:  # type: ignore[override]
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


# Single sounds


def test_a_single_sound_tells_what_is_wrong_instead_of_falling_back(library: SoundLibrary) -> None:
    assert make_clip(library, "intro", NONE, "en") is None
    assert make_clip(library, "is", PromptInput(), "en") is None
    with pytest.raises(FileNotFoundError):
        make_clip(library, "intro", PromptInput("file", file="uploads/" + "0" * 64 + ".wav"), "en")
    with pytest.raises(FileNotFoundError):
        make_clip(library, "intro", PromptInput("file", file="../secret.wav"), "en")
    with pytest.raises(SpeechError):
        make_clip(library, "intro", PromptInput("speech", "سلام"), "en")


# Who speaks


def speech_of(database: Database, library: SoundLibrary, **kwargs: Any) -> Speech:
    """Return how a module with these values speaks."""
    module_id = modules.save(database, make_module_input(**({"language": "en"} | kwargs)), NOW)
    with database.read() as session:
        return speech.load_module_speech(session, library, session.get_one(Module, module_id))


def test_a_module_speaks_as_the_office_unless_it_says_otherwise(database: Database, library: SoundLibrary) -> None:
    assert speech_of(database, library, code="1") == Speech()
    speech.save(database, "en", Speech("en+m1", 200, 30), NOW)
    speech.save(database, "fa", Speech("fa+m1", 100, 60), NOW)
    assert speech_of(database, library, code="2") == Speech("en+m1", 200, 30)
    assert speech_of(database, library, code="3", voice="en-us") == Speech("en-us", 200, 30)
    assert speech_of(database, library, code="4", rate=90, pitch=0) == Speech("en+m1", 90, 0)
    assert speech_of(database, library, code="5", language="fa") == Speech("fa+m1", 100, 60)


def test_a_voice_of_another_language_is_passed_over(
    database: Database, library: SoundLibrary, caplog: pytest.LogCaptureFixture
) -> None:
    module_id = modules.save(database, make_module_input(language="fa", voice="fa+m1", rate=120), NOW)
    speech.save(database, "en", Speech("en+m1"), NOW)
    with database.write() as session:
        session.get_one(Module, module_id).language = "en"
        write_setting(session, "voice_fa", "en+m1")  # by hand
    with database.read() as session:
        assert speech.load_module_speech(session, library, session.get_one(Module, module_id)) == Speech("en+m1", 120)
        assert speech.load_office_speech(session, library, "fa") == Speech()
    assert "fa+m1 does not speak en" in caplog.text


def test_prompts_are_spoken_in_the_modules_voice(database: Database, library: SoundLibrary) -> None:
    given = make_module_input(language="en", voice="en-us+m1", rate=200, pitch=70, prompts={"before_success": OWN_TEXT})
    heard = make_module_clips(database, library, modules.save(database, given, NOW))
    for key, text in (("before_success", OWN_TEXT.text), ("intro_other", default_text("intro_other", "en"))):
        clip = heard[key]
        assert clip is not None
        assert clip.path == library.speech_path(text, "en", "en-us+m1", 200, 70)


class Hoarse(SoundLibrary):
    """A library in which one voice fails when it is to speak."""

    def synthesize(self, text: str, language: str, voice: str | None = None, *manner: Any) -> Clip:
        if voice == "en-us+m1":
            raise SpeechError("voice_broken", voice=voice, reason="its model cannot be loaded")
        return super().synthesize(text, language, voice, *manner)


def test_a_voice_that_fails_is_replaced_by_the_default_one(
    database: Database, library: SoundLibrary, caplog: pytest.LogCaptureFixture
) -> None:
    given = make_module_input(language="en", voice="en-us+m1", prompts={"before_success": OWN_TEXT})
    heard = make_module_clips(database, Hoarse(library.root), modules.save(database, given, NOW))
    clip = heard["before_success"]
    assert clip is not None
    assert clip.path == spoken(library, OWN_TEXT.text)  # the text stays
    assert "its model cannot be loaded" in caplog.text
    digits = make_digit_clips(Hoarse(library.root), "en", Speech("en-us+m1"), {})
    assert digits["7"].path == spoken(library, "7")


def test_the_office_chooses_how_a_language_is_spoken(database: Database) -> None:
    speech.save(database, "en", Speech("en+m1", 200, 30), NOW, actor="sara")
    with database.read() as session:
        assert {row.name: row.value for row in session.query(Setting)} == {
            "voice_en": "en+m1",
            "rate_en": "200",
            "pitch_en": "30",
        }
        (command,) = session.query(Command).all()
        assert (command.kind, command.actor) == ("write_dialplan", "sara")
    speech.save(database, "en", Speech(), NOW)
    with database.read() as session:
        assert {row.value for row in session.query(Setting)} == {""}


@pytest.mark.parametrize(
    ("language", "given", "errors"),
    [
        ("en", Speech("fa+m1"), {"voice": "choice"}),
        ("en", Speech("", 79, 100), {"rate": "range", "pitch": "range"}),
        ("de", Speech(), {"language": "choice"}),
    ],
)
def test_a_choice_that_makes_no_sense_is_told(
    database: Database, language: str, given: Speech, errors: dict[str, str]
) -> None:
    with pytest.raises(Invalid) as caught:
        speech.save(database, language, given, NOW)
    assert caught.value.errors == errors
    with database.read() as session:
        assert session.query(Setting).count() == 0


# The dialogue as a whole


def test_with_ones_own_number_one_key_is_pressed(library: SoundLibrary, recording: PromptInput) -> None:
    """Of prompts that are not saved yet."""
    digits = make_digit_clips(library, "en", Speech(), {})
    given = {"intro": recording, "after_success": OWN_TEXT, "enter_number": NONE}
    clip = make_dialogue(library, Speech("en-us+m3"), given, "en", "own", digits, "09121234567")
    intro = read_samples(library.root / recording.file)
    end = read_samples(library.speech_path(OWN_TEXT.text, "en", "en-us+m3"))
    samples = read_samples(clip.path)
    assert samples[: len(intro)] == intro
    assert samples[-len(end) :] == end
    pressed = cut(samples, len(intro), 2 * PAUSE.seconds + 0.2, library)
    assert heard_keys(pressed) == "1"


def test_with_another_number_it_is_typed_and_read_out(library: SoundLibrary) -> None:
    digits = make_digit_clips(library, "fa", Speech(), {})
    number = sample_number("IR")
    clip = make_dialogue(library, Speech(), {}, "fa", "other", digits, number)
    samples, at = read_samples(clip.path), 0
    keys = iter(["2", f"{number}#", "1"])
    for key in ("intro", "", "enter_number", "", "entered_number", *number, "is", "check_number", "", "before_success"):
        if key:
            path = digits[key].path if key in digits else spoken(library, default_text(key, "fa"), "fa")
            heard = read_samples(path)
            assert samples[at : at + len(heard)] == heard, key
            at += len(heard)
        else:
            expected = next(keys)
            seconds = 2 * PAUSE.seconds + 0.2 * len(expected)
            assert heard_keys(cut(samples, at, seconds, library)) == expected
            at += round(seconds * RATE)
    assert samples[at:] == read_samples(spoken(library, default_text("after_success", "fa"), "fa"))
    assert make_dialogue(library, Speech(), {}, "fa", "other", digits, number) == clip


def cut(samples: Any, start: int, seconds: float, library: SoundLibrary) -> Path:
    return write_sound(library.root / "cut.wav", samples[start : start + round(seconds * RATE)])


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (PromptInput("speech", "سلام"), "wrong_language"),
        (PromptInput("file", file="uploads/" + "0" * 64 + ".wav"), "lost"),
        (PromptInput("file", file="/etc/passwd"), "lost"),
    ],
)
def test_a_prompt_that_cannot_be_made_is_named(library: SoundLibrary, given: PromptInput, code: str) -> None:
    digits = make_digit_clips(library, "en", Speech(), {})
    with pytest.raises(PromptError) as caught:
        make_dialogue(library, Speech(), {"after_success": given}, "en", "own", digits, "1")
    assert (caught.value.key, caught.value.code) == ("after_success", code)


def test_a_recorded_digit_is_read_out_of_its_file(library: SoundLibrary, recording: PromptInput) -> None:
    digits = make_digit_clips(library, "en", Speech("en-us+m3"), {"3": recording.file, "4": "../strange.wav"})
    assert digits["3"] == recordings.read_recording(library, recording.file)
    assert [digits[digit].path for digit in "45"] == [library.speech_path(digit, "en", "en-us+m3") for digit in "45"]


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_every_country_has_a_sample_number(region: str) -> None:
    number = sample_number(region)
    assert number.isascii()
    assert number.isdigit()
    assert 3 < len(number) < 16
    assert phonenumbers.is_possible_number(phonenumbers.parse(number, region))


def test_the_sample_number_of_iran_is_one_that_people_know() -> None:
    assert sample_number("IR") == "09121234567"
