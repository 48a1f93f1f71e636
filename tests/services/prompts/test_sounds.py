"""Clips of prompts: always the best one that can be made."""

import logging
from pathlib import Path
from typing import Any

import pytest

from app.audio.clip import Clip, SpeechError
from app.audio.library import SoundLibrary
from app.audio.prompt_texts import NAME_KEYS, OPEN_KEYS, PROMPT_KEYS, TIME_KEYS, default_text, fill_in
from app.services.modules.save import save_module
from app.services.prompts.input import DEFAULT_PROMPT, PromptInput
from app.services.prompts.sounds import make_clip, make_digit_clips, make_module_clips
from app.store.database import Database
from app.store.models import Prompt
from app.store.settings import Speech
from tests.audio.sounds import tone, write_sound
from tests.support.factories import NOW, create_module, make_module_input, store

OWN_TEXT = PromptInput("speech", "We are closed for lunch.")
NONE = PromptInput("none")
MISSING = PromptInput("file", file="uploads/" + "0" * 64 + ".wav")


@pytest.fixture
def recording(library: SoundLibrary, tmp_path: Path) -> PromptInput:
    file = write_sound(tmp_path / "greeting.wav", tone(1.5))
    clip = library.convert(file)
    return PromptInput("file", "", clip.path.relative_to(library.root).as_posix(), file.name)


def save(database: Database, language: str = "en", **prompts: PromptInput) -> int:
    return save_module(database, make_module_input(language=language, prompts=prompts), NOW)


def make_paths(database: Database, library: SoundLibrary, language: str = "en", /, **prompts: PromptInput) -> Any:
    """Save a module and return the paths of its clips by key."""
    clips = make_module_clips(database, library, save(database, language, **prompts))
    return {key: clip and clip.path for key, clip in clips.items()}


def default_path(library: SoundLibrary, key: str, language: str = "en") -> Path | None:
    text = fill_in(default_text(key, language), "")
    return library.speech_path(text, language) if text else None


# -- prompts of a module --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "fa"])
def test_default_texts(database: Database, library: SoundLibrary, language: str) -> None:
    paths = make_paths(database, library, language)
    assert paths == {
        key: default_path(library, key, language)
        for key in (*PROMPT_KEYS, *OPEN_KEYS, "intro_other", "after_success_closed")
    }
    assert all(path.exists() for path in paths.values() if path is not None)
    assert (paths["is"] is None) == (language == "en")


def test_prompts_of_a_module_whose_callers_choose_the_time(database: Database, library: SoundLibrary) -> None:
    module = create_module(database, language="en", offers_times=True)
    clips = make_module_clips(database, library, module.id)
    assert {*TIME_KEYS} < clips.keys()
    store(database, Prompt(module_id=module.id, key="after_success", mode="none"))
    assert make_module_clips(database, library, module.id)["after_success_time"] is None


def test_prompts_of_a_module_whose_callers_say_their_name(database: Database, library: SoundLibrary) -> None:
    asks = {*NAME_KEYS, "tone"}
    for asks_name in (False, True):
        module = create_module(database, code=f"*500{asks_name:d}", language="en", asks_name=asks_name)
        clips = make_module_clips(database, library, module.id)
        assert {key for key in asks if clips.get(key) is not None} == (asks if asks_name else set())


def test_own_prompts(database: Database, library: SoundLibrary, recording: PromptInput) -> None:
    paths = make_paths(
        database,
        library,
        intro=recording,
        enter_number=PromptInput("speech", " \n "),
        before_success=OWN_TEXT,
        after_success=NONE,
        **{"is": PromptInput("speech", "Thank you.")},
    )
    assert paths["intro"] == library.root / recording.file
    assert paths["enter_number"] == default_path(library, "enter_number")
    assert paths["before_success"] == library.speech_path(OWN_TEXT.text, "en")
    assert paths["after_success"] is None
    assert paths["is"] == library.speech_path("Thank you.", "en")
    assert paths["check_number"] == default_path(library, "check_number")


def test_unknown_module_has_no_clips(database: Database, library: SoundLibrary) -> None:
    assert make_module_clips(database, library, 4711) == {}


def test_clips_are_made_in_the_modules_voice(database: Database, library: SoundLibrary) -> None:
    module = make_module_input(
        language="en", voice="en-us+m1", rate=200, pitch=70, prompts={"before_success": OWN_TEXT}
    )
    clips = make_module_clips(database, library, save_module(database, module, NOW))
    for key, text in (("before_success", OWN_TEXT.text), ("intro_other", default_text("intro_other", "en"))):
        clip = clips[key]
        assert clip is not None
        assert clip.path == library.speech_path(text, "en", "en-us+m1", 200, 70)


# -- the intro for callers without an own number --------------------------------------------------------------------


@pytest.mark.parametrize(
    "intro",
    [
        PromptInput("speech", "  "),
        PromptInput("speech", "", MISSING.file, "old.wav"),  # a recording that was chosen before
        PromptInput("speech", default_text("intro", "en")),
        MISSING,
    ],
)
def test_default_intro_has_a_variant(database: Database, library: SoundLibrary, intro: PromptInput) -> None:
    """The default text offers key 1, which does nothing for callers without a number."""
    paths = make_paths(database, library, intro=intro)
    assert paths["intro"] == default_path(library, "intro")
    assert paths["intro_other"] == default_path(library, "intro_other")


def test_own_intro_has_no_variant(database: Database, library: SoundLibrary, recording: PromptInput) -> None:
    for code, intro in (("1", OWN_TEXT), ("2", NONE), ("3", recording)):
        module = make_module_input(code=code, language="en", prompts={"intro": intro})
        assert make_module_clips(database, library, save_module(database, module, NOW))["intro_other"] is None


# -- fallbacks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prompt",
    [
        MISSING,
        PromptInput("file", file="uploads/../../secret.wav"),
        PromptInput("file", file="/etc/passwd"),
        PromptInput("file", file="speech/" + "0" * 64 + ".wav"),
        PromptInput("speech", "سلام"),  # the module's language was changed
        PromptInput("speech", "…"),
    ],
)
def test_prompt_that_cannot_be_made_falls_back_to_the_default_text(
    database: Database, library: SoundLibrary, caplog: pytest.LogCaptureFixture, prompt: PromptInput
) -> None:
    paths = make_paths(database, library, check_number=prompt)
    assert paths["check_number"] == default_path(library, "check_number")
    assert "check_number" in caplog.text


def test_damaged_or_unreadable_recording_falls_back_to_the_default_text(
    database: Database, library: SoundLibrary, caplog: pytest.LogCaptureFixture
) -> None:
    damaged, unreadable = (f"uploads/{letter * 64}.wav" for letter in "de")
    (library.root / damaged).write_bytes(b"RIFF and no more")
    (library.root / unreadable).mkdir()  # even root cannot open a folder as a file
    prompts = {"is": PromptInput("file", file=damaged), "after_success": PromptInput("file", file=unreadable)}
    paths = make_paths(database, library, "fa", **prompts)
    for key in prompts:
        assert paths[key] == default_path(library, key, "fa")
        assert key in caplog.text


class BrokenVoice(SoundLibrary):
    """A library in which one voice, or every voice, fails to speak."""

    voice: str | None = None

    def synthesize(self, text: str, language: str, voice: str | None = None, *options: Any) -> Clip:
        if self.voice in (None, voice):
            raise SpeechError("speech_failed")
        return super().synthesize(text, language, voice, *options)


def test_without_speech_only_recordings_are_left(
    database: Database, library: SoundLibrary, recording: PromptInput, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    paths = make_paths(database, BrokenVoice(library.root), intro=recording, enter_number=NONE)
    assert {key for key, path in paths.items() if path is not None} == {"intro"}
    assert "check_number" in caplog.text and "enter_number" not in caplog.text


def test_voice_that_fails_is_replaced_by_the_default_voice(database: Database, library: SoundLibrary) -> None:
    broken = BrokenVoice(library.root)
    broken.voice = "en-us+m1"
    module = make_module_input(language="en", voice="en-us+m1", prompts={"before_success": OWN_TEXT})
    clip = make_module_clips(database, broken, save_module(database, module, NOW))["before_success"]
    assert clip is not None
    assert clip.path == library.speech_path(OWN_TEXT.text, "en")
    assert make_digit_clips(broken, "en", Speech("en-us+m1"), {})["7"].path == library.speech_path("7", "en")


# -- single clips ---------------------------------------------------------------------------------------------------


def test_single_clip_has_no_fallback(library: SoundLibrary) -> None:
    assert make_clip(library, "intro", NONE, "en") is None
    assert make_clip(library, "is", DEFAULT_PROMPT, "en") is None
    for file in (MISSING.file, "../secret.wav"):
        with pytest.raises(FileNotFoundError):
            make_clip(library, "intro", PromptInput("file", file=file), "en")
    with pytest.raises(SpeechError):
        make_clip(library, "intro", PromptInput("speech", "سلام"), "en")


def test_digits_are_recorded_or_spoken(library: SoundLibrary, recording: PromptInput) -> None:
    digits = make_digit_clips(library, "en", Speech("en-us+m3"), {"3": recording.file, "4": "../strange.wav"})
    assert list(digits) == list("0123456789")
    assert digits["3"].path == library.root / recording.file
    assert [digits[digit].path for digit in "45"] == [library.speech_path(digit, "en", "en-us+m3") for digit in "45"]
