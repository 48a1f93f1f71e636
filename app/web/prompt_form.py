"""The eight prompts as a module's form has them."""

from collections.abc import Mapping
from dataclasses import dataclass

from flask import request

from app.audio.cache import SoundLibrary
from app.audio.clip import SoundError
from app.audio.prompts import LANGUAGES, PROMPT_KEYS, default_text
from app.services import prompts
from app.services.modules import PROMPT_MODES, PromptInput
from app.web import words


@dataclass
class PromptFields:
    """A prompt as the form shows it; `error` in words."""

    given: PromptInput
    error: str = ""


class PromptsForm(dict[str, PromptFields]):
    """The prompts by their keys, in their order; `typed`: as they were sent, else the defaults."""

    def __init__(self, *, typed: bool) -> None:
        super().__init__({key: PromptFields(_typed_prompt(key) if typed else prompts.DEFAULT) for key in PROMPT_KEYS})

    def fill(self, given: Mapping[str, PromptInput]) -> None:
        """Show prompts as they are stored."""
        for key, prompt in given.items():
            self[key] = PromptFields(prompt)

    def given(self) -> dict[str, PromptInput]:
        """Return what was typed, as the service takes it."""
        return {key: fields.given for key, fields in self.items()}

    def take(self, library: SoundLibrary, language: str) -> list[str]:
        """Convert and keep what was uploaded; return what is wrong, a sentence each."""
        errors = []
        for key, fields in self.items():
            try:
                fields.given = self._taken(key, fields.given, library, language)
            except SoundError as error:
                fields.error = str(words.SOUND_ERROR.get(error.code, error))
            except FileNotFoundError:
                fields.error = words.error("no_file")
            if fields.error:
                errors.append(f"{words.PROMPT[key]}: {fields.error}")
        return errors

    @staticmethod
    def _taken(key: str, given: PromptInput, library: SoundLibrary, language: str) -> PromptInput:
        file = request.files.get(f"prompt_{key}_upload")
        if given.mode == "file" and file is not None and file.filename:
            return prompts.upload(library, file.stream, file.filename)
        if given.mode == "file" and not (prompts.FILE.fullmatch(given.file) and (library.root / given.file).is_file()):
            raise FileNotFoundError(given.file)
        if given.mode == "speech" and given.text and language in LANGUAGES:
            library.spoken_path(given.text, language)
        return given


def _typed_prompt(key: str) -> PromptInput:
    mode = request.form.get(f"prompt_{key}_mode", "speech")
    text = request.form.get(f"prompt_{key}_text", "").replace("\r\n", "\n").strip()
    if text in {default_text(key, language) for language in LANGUAGES}:
        text = ""  # the default, whatever language is chosen
    return PromptInput(
        mode=mode if mode in PROMPT_MODES else "speech",
        text=text,
        file=request.form.get(f"prompt_{key}_file", ""),
        original_name=request.form.get(f"prompt_{key}_name", "")[:200],
    )
