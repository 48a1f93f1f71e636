"""Make the clip of a prompt: a recording, the prompt's own text, the default text, or none."""

import logging
from collections.abc import Mapping

from sqlalchemy import select

from app.audio.clip import Clip, SoundError
from app.audio.library import SoundLibrary
from app.audio.prompt_texts import NAME_KEYS, OPEN_KEYS, PROMPT_KEYS, TIME_KEYS, default_text, fill_in, spoken_key
from app.audio.spoken_numbers import group_text, number_groups
from app.services.prompts import recordings
from app.services.prompts import voice as voices
from app.services.prompts.input import DEFAULT_PROMPT, PromptInput, PromptMode
from app.store.database import Database
from app.store.models import Module, Prompt
from app.store.settings import Speech

log = logging.getLogger(__name__)
DIGITS = "0123456789"


def make_module_clips(database: Database, library: SoundLibrary, module_id: int) -> dict[str, Clip | None]:
    """Return the clips of a module's prompts by key, None for a prompt that is not played.

    There are the prompts of PROMPT_KEYS and OPEN_KEYS, `intro_other` and `after_success_closed`. If callers may choose
    the time, there are those of TIME_KEYS, too; if they may say their name, those of NAME_KEYS and the `tone`.

    Blocks while a text is synthesized for the first time. If a voice fails, the default voice is used. If a prompt
    cannot be made, its default text is used. Callers had better hear another sound than none.
    """
    with database.read() as session:
        module = session.get(Module, module_id)
        if module is None:
            return {}
        rows = {row.key: row for row in session.scalars(select(Prompt).where(Prompt.module_id == module_id))}
        language, speech = module.language, voices.load_module_speech(session, library, module)
        time_keys = TIME_KEYS if module.offers_times else ()
        name_keys = NAME_KEYS if module.asks_name else ()
        fixed_keys = (*OPEN_KEYS, *time_keys, *name_keys)
        name, offer_key = module.office_name, module.offer_key
    prompts = {key: _prompt_input(rows.get(key)) for key in PROMPT_KEYS}
    clips = {
        key: _make_or_default(library, key, prompt, language, speech, name, offer_key)
        for key, prompt in prompts.items()
    }
    clips |= {key: _make_or_default(library, key, DEFAULT_PROMPT, language, speech, name) for key in fixed_keys}
    if name_keys:
        clips["tone"] = library.tone()
    # `intro_other` replaces the intro for callers without an own number, `after_success_closed` the last prompt outside
    # the office hours, `after_success_time` that for a chosen time. They exist only for the default prompts, which are
    # also played in place of lost recordings.
    variants = [("intro", "intro_other"), ("after_success", "after_success_closed")]
    for key, variant in [*variants, *([("after_success", "after_success_time")] if time_keys else [])]:
        is_default = clips[key] == _make_or_default(library, key, DEFAULT_PROMPT, language, speech)
        made = _make_or_default(library, variant, DEFAULT_PROMPT, language, speech) if is_default else None
        clips[variant] = made
    return clips


def _prompt_input(row: Prompt | None) -> PromptInput:
    return DEFAULT_PROMPT if row is None else PromptInput(row.mode, row.text, row.file or "", row.original_name)


def _make_or_default(
    library: SoundLibrary,
    key: str,
    prompt: PromptInput,
    language: str,
    speech: Speech,
    name: str = "",
    offer_key: str = "",
) -> Clip | None:
    """Return the prompt's clip, or the default text's if it cannot be made, or None if neither can."""
    try:
        return _make_with_fallback(library, key, prompt, language, speech, name, offer_key)
    except (SoundError, OSError) as error:
        log.error("cannot make the prompt %s, using the default text: %s", key, error)
    try:
        return _make_with_fallback(library, key, DEFAULT_PROMPT, language, speech, name, offer_key)
    except (SoundError, OSError) as error:
        log.error("cannot speak the default text of the prompt %s: %s", key, error)
        return None


def _make_with_fallback(
    library: SoundLibrary, key: str, prompt: PromptInput, language: str, speech: Speech, name: str, offer_key: str
) -> Clip | None:
    if prompt.mode != PromptMode.SPEECH:  # another voice would make no difference
        return make_clip(library, key, prompt, language)
    return voices.make_with_fallback(
        lambda used: make_clip(library, key, prompt, language, used, name, offer_key), speech, key
    )


def make_clip(
    library: SoundLibrary,
    key: str,
    prompt: PromptInput,
    language: str,
    speech: Speech = voices.DEFAULT_SPEECH,
    office_name: str = "",
    offer_key: str = "",
) -> Clip | None:
    """Return a prompt's clip, None if it is not played. Raises SoundError, and OSError for a missing recording."""
    if prompt.mode == PromptMode.NONE:
        return None
    if prompt.mode == PromptMode.FILE:
        return recordings.read_recording(library, prompt.file)
    own_text = prompt.text.strip()
    recorded = None if own_text else _find_recorded(library, key, speech)
    if recorded is not None:
        return recorded
    text = fill_in(own_text or default_text(key, language), office_name, spoken_key(offer_key, language))
    return voices.synthesize(library, text, language, speech) if text else None


def _find_recorded(library: SoundLibrary, key: str, speech: Speech) -> Clip | None:
    """Return the recording of a default text, None if there is none or it cannot be played."""
    if key not in speech.recorded:
        return None
    try:
        return recordings.read_recording(library, speech.recorded[key])
    except (SoundError, OSError) as error:
        log.error("cannot play the recording of the prompt %s, using the voice: %s", key, error)
        return None


def make_digit_clips(library: SoundLibrary, language: str, speech: Speech, files: Mapping[str, str]) -> dict[str, Clip]:
    """Return the clips of the digits "0" to "9". `files`: the recorded ones. Raises SoundError."""
    return {digit: make_digit_clip(library, digit, language, speech, files) for digit in DIGITS}


def make_digit_clip(library: SoundLibrary, digit: str, language: str, speech: Speech, files: Mapping[str, str]) -> Clip:
    """Return a digit's recording, or the spoken digit if there is none or it cannot be played. Raises SoundError."""
    if digit in files:
        try:
            return recordings.read_recording(library, files[digit])
        except (SoundError, OSError) as error:
            log.error("cannot play the recording of the digit %s (%s), using the voice: %s", digit, language, error)
    return voices.synthesize_with_fallback(library, digit, language, speech)


def make_readout(
    library: SoundLibrary, number: str, language: str, speech: Speech, files: Mapping[str, str]
) -> list[Clip]:
    """Return the clips that read out a number (ASCII digits) in groups, with pauses between them. Raises SoundError.

    `files`: the recorded digits. If there are any, the digits are read one by one.
    """
    clips: list[Clip] = []
    for group in number_groups(number):
        if clips:
            clips.append(library.pause())
        if files:
            clips += [make_digit_clip(library, digit, language, speech, files) for digit in group]
        else:
            clips.append(voices.synthesize_with_fallback(library, group_text(group, language), language, speech))
    return clips
