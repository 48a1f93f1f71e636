"""The dialogue with a caller as one clip, to listen to before a module is saved."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

import phonenumbers

from app.audio.assemble import Keys, Pause, Piece
from app.audio.clip import Clip, SoundError
from app.audio.library import SoundLibrary
from app.audio.prompt_texts import delay_text
from app.domain.numbers import national
from app.services.prompts import sounds
from app.services.prompts.input import DEFAULT_PROMPT, PromptInput
from app.store.settings import Speech

PAUSE = Pause(0.6)  # before and after the caller presses a key


class PromptError(SoundError):
    """A prompt of the dialogue that cannot be made. `key`: which one; the rest is that of a SoundError."""

    def __init__(self, key: str, error: SoundError) -> None:
        super().__init__(error.code, **error.details)
        self.key = key


class CallerNumber(StrEnum):
    """Which number the caller of the dialogue registers. TIME: their own, for a time that they choose."""

    OWN = "own"
    OTHER = "other"
    TIME = "time"


def make_dialogue(
    library: SoundLibrary,
    speech: Speech,
    prompts: Mapping[str, PromptInput],
    language: str,
    caller_number: CallerNumber,
    digit_files: Mapping[str, str],
    number: str,
) -> Clip:
    """Return the dialogue as the caller hears it, with the tones of the keys that the caller presses.

    `prompts`: by key, saved or not; a missing key means the default. `digit_files`: the recorded digits; `number`: the
    other number, which is typed and read out, such as `sample_number`. Raises PromptError for a prompt that cannot
    be made, SoundError for a number, and OSError if the dialogue cannot be written.
    """

    def play(key: str, prompt: PromptInput | None = None) -> Sequence[Piece]:
        try:
            clip = sounds.make_clip(library, key, prompt or prompts.get(key, DEFAULT_PROMPT), language, speech)
        except SoundError as error:
            raise PromptError(key, error) from error
        except FileNotFoundError as error:
            raise PromptError(key, SoundError("lost")) from error
        return [] if clip is None else [clip]

    def press(keys: str) -> Sequence[Piece]:
        return [PAUSE, Keys(keys), PAUSE]

    registration = [*play("before_success"), *play("after_success")]
    if caller_number is CallerNumber.OWN:
        return library.assemble([*play("intro"), *press("1"), *registration])
    if caller_number is CallerNumber.TIME:
        choice = [*play("intro"), *play("time_offer"), *press("3"), *play("time_choice"), *press("2")]
        chosen = play("time_next", PromptInput(text=delay_text(20, language)))
        is_default = prompts.get("after_success", DEFAULT_PROMPT) == DEFAULT_PROMPT
        last = [*play("before_success"), *play("after_success_time" if is_default else "after_success")]
        return library.assemble([*choice, *chosen, *play("time_next"), *press("1"), *last])
    typing = [*play("intro"), *press("2"), *play("enter_number"), *press(f"{number}#")]
    spoken = sounds.make_readout(library, number, language, speech, digit_files)
    readout = [*play("entered_number"), *spoken, *play("is")]
    return library.assemble([*typing, *readout, *play("check_number"), *press("1"), *registration])


def sample_number(region: str) -> str:
    """Return a number of a country (two letters, such as IR) that is not in use, in the country's own notation."""
    if region == "IR":
        return "09121234567"  # easier to hear than the example of phonenumbers
    example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    example = example or phonenumbers.example_number(region)
    if example is None:
        return "0123456789"
    return national(phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164), region)
