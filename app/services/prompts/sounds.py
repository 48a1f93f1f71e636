"""Which sound a prompt of a module is: its own recording, its own text, the default text, or none."""

import logging
from collections.abc import Mapping, Sequence
from typing import Literal

import phonenumbers
from sqlalchemy import select

from app.audio.assemble import Keys, Pause, Piece
from app.audio.clip import Clip, SoundError
from app.audio.library import SoundLibrary
from app.audio.prompt_texts import PROMPT_KEYS, default_text
from app.domain.numbers import national
from app.services.modules.save import PromptInput
from app.services.prompts import recordings
from app.services.prompts import voice as speeches
from app.store.database import Database
from app.store.models import Module, Prompt
from app.store.settings import Speech

log = logging.getLogger(__name__)
DEFAULT = PromptInput()
PAUSE = Pause(0.6)  # seconds that the caller of a sample dialogue takes to press a key

Way = Literal["own", "other"]  # through the dialogue: with the caller's own number, or with another one


class PromptError(SoundError):
    """A prompt of the dialogue, `key`, that cannot be made; a SoundError else."""

    def __init__(self, key: str, error: SoundError) -> None:
        super().__init__(error.code, **error.details)
        self.key = key


def make_prompt_clips(database: Database, library: SoundLibrary, module_id: int) -> dict[str, Clip | None]:
    """Return the eight prompts of a module and `intro_other`, each None where nothing is played.

    Blocks while a text is spoken for the first time. A voice that fails is replaced by the default one, and a prompt
    that cannot be made by the default text: a caller who is told something is better served than one who hears nothing.
    """
    with database.read() as session:
        module = session.get(Module, module_id)
        if module is None:
            return {}
        rows = {row.key: row for row in session.scalars(select(Prompt).where(Prompt.module_id == module_id))}
        language, speech = module.language, speeches.load_module_speech(session, library, module)
    chosen = {key: _input(rows.get(key)) for key in PROMPT_KEYS}
    sounds = {key: _sound(library, key, given, language, speech) for key, given in chosen.items()}
    # Only our own text (be it in place of a lost recording) has a variant that does not offer the caller's number.
    plain = sounds["intro"] == _sound(library, "intro", DEFAULT, language, speech)
    sounds["intro_other"] = _sound(library, "intro_other", DEFAULT, language, speech) if plain else None
    return sounds


def _input(row: Prompt | None) -> PromptInput:
    return DEFAULT if row is None else PromptInput(row.mode, row.text, row.file or "", row.original_name)


def _sound(library: SoundLibrary, key: str, given: PromptInput, language: str, speech: Speech) -> Clip | None:
    try:
        return _made_somehow(library, key, given, language, speech)
    except (SoundError, OSError) as error:
        log.error("prompt %s cannot be made, the default text takes its place: %s", key, error)
    try:
        return _made_somehow(library, key, DEFAULT, language, speech)
    except (SoundError, OSError) as error:
        log.error("the default text of prompt %s cannot be spoken: %s", key, error)
        return None


def _made_somehow(library: SoundLibrary, key: str, given: PromptInput, language: str, speech: Speech) -> Clip | None:
    if given.mode != "speech":  # no voice makes a difference to it
        return make_prompt_clip(library, key, given, language)
    return speeches.make_with_fallback(
        lambda manner: make_prompt_clip(library, key, given, language, manner), speech, key
    )


def make_prompt_clip(
    library: SoundLibrary, key: str, given: PromptInput, language: str, speech: Speech = speeches.DEFAULT_SPEECH
) -> Clip | None:
    """Return the sound of a prompt, None where it is not played. Raises SoundError and, for a lost file, OSError."""
    if given.mode == "none":
        return None
    if given.mode == "file":
        return recordings.read_recording(library, given.file)
    text = given.text.strip() or default_text(key, language)
    return speeches.synthesize(library, text, language, speech) if text else None


def make_digit_clips(
    library: SoundLibrary, language: str, speech: Speech, recorded: Mapping[str, str]
) -> dict[str, Clip]:
    """Return "0" to "9" as they are read out. `recorded`: as `recordings.digits` gives it. Raises SoundError."""
    return {digit: make_digit_clip(library, digit, language, speech, recorded) for digit in "0123456789"}


def make_digit_clip(
    library: SoundLibrary, digit: str, language: str, speech: Speech, recorded: Mapping[str, str]
) -> Clip:
    """Return a digit's recording where there is one that can be played, else the digit spoken. Raises SoundError."""
    if digit in recorded:
        try:
            return recordings.read_recording(library, recorded[digit])
        except (SoundError, OSError) as error:
            log.error(
                "the recording of %s (%s) cannot be played, the voice takes its place: %s", digit, language, error
            )
    return speeches.synthesize_with_fallback(library, digit, language, speech)


def make_dialogue(
    library: SoundLibrary,
    speech: Speech,
    given: Mapping[str, PromptInput],
    language: str,
    way: Way,
    digits: Mapping[str, Clip],
    number: str,
) -> Clip:
    """Return one way through the dialogue as a caller hears it, with the keys that the caller presses.

    `given`: the prompts, be they saved or not; a key that is not among them is the default. `digits`: as
    `digit_sounds` gives them; `number`: what is typed and read out, as `sample_number`. Raises PromptFault for a prompt
    that cannot be made as it is given, and OSError where the dialogue cannot be written.
    """

    def prompt(key: str) -> Sequence[Piece]:
        try:
            clip = make_prompt_clip(library, key, given.get(key, DEFAULT), language, speech)
        except SoundError as error:
            raise PromptError(key, error) from error
        except FileNotFoundError as error:
            raise PromptError(key, SoundError("lost")) from error
        return [] if clip is None else [clip]

    def press(keys: str) -> Sequence[Piece]:
        return [PAUSE, Keys(keys), PAUSE]

    end = [*prompt("before_success"), *prompt("after_success")]
    if way == "own":
        return library.assemble([*prompt("intro"), *press("1"), *end])
    typed = [*prompt("intro"), *press("2"), *prompt("enter_number"), *press(f"{number}#")]
    readout = [*prompt("entered_number"), *(digits[digit] for digit in number), *prompt("is")]
    return library.assemble([*typed, *readout, *prompt("check_number"), *press("1"), *end])


def sample_number(region: str) -> str:
    """Return a number of a country (two letters, as IR) that nobody is called by, as its people write it."""
    if region == "IR":
        return "09121234567"  # easier on the ear than the library's
    example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    example = example or phonenumbers.example_number(region)
    if example is None:
        return "0123456789"
    return national(phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164))
