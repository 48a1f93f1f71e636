"""The dialogue as one clip."""

from pathlib import Path
from typing import Any

import phonenumbers
import pytest

from app.audio.clip import Clip
from app.audio.library import SoundLibrary
from app.audio.prompt_texts import PROMPT_KEYS, default_text, delay_text
from app.audio.spoken_numbers import group_text, number_groups
from app.services.prompts.dialogue import PAUSE, CallerNumber, PromptError, make_dialogue, sample_number
from app.services.prompts.input import PromptInput
from app.store.settings import Speech
from tests.audio.sounds import RATE, read_samples, write_sound
from tests.audio.test_assemble import recognize_keys

MALE = Speech("en-us+m3")


def cut(samples: Any, start: int, seconds: float, library: SoundLibrary) -> Path:
    return write_sound(library.root / "cut.wav", samples[start : start + round(seconds * RATE)])


def test_own_number_needs_one_key(library: SoundLibrary) -> None:
    prompts = {
        "intro": PromptInput("speech", "Hello."),
        "enter_number": PromptInput("none"),
        "after_success": PromptInput("speech", "Goodbye."),
    }
    clip = make_dialogue(library, MALE, prompts, "en", CallerNumber.OWN, {}, "09121234567")
    intro, end = (read_samples(library.speech_path(text, "en", MALE.voice)) for text in ("Hello.", "Goodbye."))
    samples = read_samples(clip.path)
    assert samples[: len(intro)] == intro
    assert samples[-len(end) :] == end
    assert recognize_keys(cut(samples, len(intro), 2 * PAUSE.seconds + 0.2, library)) == "1"


def test_other_number_is_typed_and_read_out(library: SoundLibrary) -> None:
    number = sample_number("IR")
    clip = make_dialogue(library, Speech(), {}, "fa", CallerNumber.OTHER, {}, number)
    samples, at = read_samples(clip.path), 0
    keys = iter(["2", f"{number}#", "1"])
    readout = [part for group in number_groups(number) for part in (library.pause(), group_text(group, "fa"))][1:]
    parts = ["intro", "", "enter_number", "", "entered_number", *readout, "is", "check_number", "", "before_success"]
    texts = {key: default_text(key, "fa") for key in PROMPT_KEYS}
    for key in parts:
        if key:
            path = key.path if isinstance(key, Clip) else library.speech_path(texts.get(key, key), "fa")
            expected = read_samples(path)
            assert samples[at : at + len(expected)] == expected, key
            at += len(expected)
        else:
            pressed = next(keys)
            seconds = 2 * PAUSE.seconds + 0.2 * len(pressed)
            assert recognize_keys(cut(samples, at, seconds, library)) == pressed
            at += round(seconds * RATE)
    assert samples[at:] == read_samples(library.speech_path(default_text("after_success", "fa"), "fa"))


@pytest.mark.parametrize("own", [True, False])
def test_time_is_chosen_and_said(library: SoundLibrary, own: bool) -> None:
    prompts = {"after_success": PromptInput("speech", "Goodbye.")} if own else {}
    clip = make_dialogue(library, MALE, prompts, "en", CallerNumber.TIME, {}, "1")
    samples, at = read_samples(clip.path), 0
    keys = iter("321")
    texts = [default_text(key, "en") for key in ("intro", "time_offer")] + [""]
    texts += [default_text("time_choice", "en"), "", delay_text(20, "en"), default_text("time_next", "en"), ""]
    texts += [default_text("before_success", "en"), "Goodbye." if own else default_text("after_success_time", "en")]
    for text in texts:
        if text:
            expected = read_samples(library.speech_path(text, "en", MALE.voice))
            assert samples[at : at + len(expected)] == expected, text
            at += len(expected)
        else:
            assert recognize_keys(cut(samples, at, 2 * PAUSE.seconds + 0.2, library)) == next(keys)
            at += round((2 * PAUSE.seconds + 0.2) * RATE)
    assert at == len(samples)


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        (PromptInput("speech", "سلام"), "wrong_language"),
        (PromptInput("file", file="uploads/" + "0" * 64 + ".wav"), "lost"),
        (PromptInput("file", file="/etc/passwd"), "lost"),
    ],
)
def test_prompt_that_cannot_be_made_is_named(library: SoundLibrary, prompt: PromptInput, code: str) -> None:
    with pytest.raises(PromptError) as caught:
        make_dialogue(library, Speech(), {"after_success": prompt}, "en", CallerNumber.OWN, {}, "1")
    assert (caught.value.key, caught.value.code) == ("after_success", code)


def test_every_country_has_a_sample_number() -> None:
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        number = sample_number(region)
        assert number.isascii() and number.isdigit() and 3 < len(number) < 16, region
        assert phonenumbers.is_possible_number(phonenumbers.parse(number, region)), region
    assert sample_number("IR") == "09121234567"
