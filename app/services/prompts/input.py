"""A prompt of a module as a form or an imported file gives it."""

from dataclasses import dataclass
from enum import StrEnum


class PromptMode(StrEnum):
    SPEECH = "speech"  # a spoken text
    FILE = "file"  # a recording
    NONE = "none"  # nothing is played


@dataclass(frozen=True)
class PromptInput:
    """A prompt's source. `text`: for mode speech, "" for the default text; `file`: below PROMPTS_DIR, for mode file."""

    mode: str = PromptMode.SPEECH.value
    text: str = ""
    file: str = ""
    original_name: str = ""


DEFAULT_PROMPT = PromptInput()
