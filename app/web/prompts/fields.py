"""The fields of a module's form for the voice and for the prompts."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flask import request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from wtforms import Form, SelectChoice, SelectField
from wtforms.validators import ValidationError

from app.audio.clip import SoundError
from app.audio.library import SoundLibrary
from app.audio.prompt_texts import LANGUAGES, PROMPT_KEYS, default_text, fill_in
from app.audio.voices import Voice
from app.domain.numbers import ascii_digits
from app.services.prompts import recordings
from app.services.prompts.input import DEFAULT_PROMPT, PromptInput, PromptMode
from app.services.prompts.recordings import Origin
from app.store.settings import Speech
from app.web import wording
from app.web.context import database, library, utcnow
from app.web.fields import LONGEST_NUMBER, PanelForm
from app.web.formats import digits
from app.web.prompts import wording as prompt_wording

RECORD = "record"  # a mode of the page only: a recorded prompt is stored with the mode FILE


# -- the voice ------------------------------------------------------------------------------------------------------


def _int_or_none(value: object) -> int | None:
    return None if value in (None, "") else int(str(value))


class OfficeDefaultField(SelectField):
    """A number from a table, or None for the office's value. A stored number is offered even if the table lacks it."""

    def __init__(self, label: object, table: Mapping[int, object], **options: Any) -> None:
        choices = [SelectChoice("", _l("as the office"))]
        choices += [SelectChoice(str(number), text) for number, text in table.items()]
        super().__init__(label, coerce=_int_or_none, choices=choices, validate_choice=False, **options)
        self._table = table
        self.type = SelectField.__name__  # templates render it like any other select field

    def iter_choices(self):
        choices = super().iter_choices()
        if self.data is not None and self.data not in self._table:
            choices.append(choices[0]._replace(value=str(self.data), label=digits(self.data), selected=True))
        return choices

    def process_formdata(self, valuelist) -> None:
        text = ascii_digits(valuelist[0] if valuelist else "").strip()
        self.data = None
        if text and not (text.isdecimal() and len(text) <= LONGEST_NUMBER):
            raise ValidationError(wording.error("choice"))
        self.data = _int_or_none(text)


class VoiceField(SelectField):
    """The name of a voice, "" for the office's. A stored voice that is missing is offered while it is selected."""

    def __init__(self, label: object, **options: Any) -> None:
        super().__init__(label, choices=_voice_choices, validate_choice=False, default="", **options)
        self.type = SelectField.__name__

    def iter_groups(self):
        groups = list(super().iter_groups())
        if self.data and not any(choice.selected for _name, group in groups for choice in group):
            label = _("%(name)s (missing)", name=self.data)
            groups[0][1].append(groups[0][1][0]._replace(value=self.data, selected=True, label=label))
        return groups


def _voice_choices() -> list[SelectChoice]:
    voices = [voice for language in LANGUAGES for voice in library().list_voices(language)]
    return [SelectChoice("", _("as the office")), *map(_voice_choice, voices)]


def _voice_choice(voice: Voice) -> SelectChoice:
    attributes = {"data-language": voice.language} | ({} if voice.has_pitch else {"data-no-pitch": "1"})
    return SelectChoice(voice.name, prompt_wording.voice(voice), attributes, str(wording.LANGUAGE[voice.language]))


class SpeechFields(Form):
    """The language of the prompts, and the voice that speaks them."""

    language = SelectField(
        _l("Language of the prompts"),
        choices=[SelectChoice(value, label) for value, label in wording.LANGUAGE.items()],
        validate_choice=False,
    )
    voice = VoiceField(_l("Voice"))
    rate = OfficeDefaultField(_l("Speed"), prompt_wording.RATE)
    pitch = OfficeDefaultField(_l("Pitch"), prompt_wording.PITCH)


class SpeechForm(SpeechFields, PanelForm):
    """These fields alone, for listening to a sound before the module is saved."""

    def speech(self) -> Speech:
        return Speech(self.voice.data or "", self.rate.data, self.pitch.data)


# -- the prompts ----------------------------------------------------------------------------------------------------


@dataclass
class PromptFields:
    """A prompt in the form. `error`: a message; `is_recorded`: show the mode as "record" and not as "upload a file"."""

    input: PromptInput
    error: str = ""
    is_recorded: bool = False


class PromptsForm(dict[str, PromptFields]):
    """The prompts by key. `from_request`: as the request contains them, else the defaults."""

    def __init__(self, *, from_request: bool) -> None:
        super().__init__(
            {key: _read_fields(key) if from_request else PromptFields(DEFAULT_PROMPT) for key in PROMPT_KEYS}
        )

    def load(self, prompts: Mapping[str, PromptInput]) -> None:
        """Show stored prompts."""
        for key, prompt in prompts.items():
            self[key] = PromptFields(prompt)

    def inputs(self) -> dict[str, PromptInput]:
        """Return the prompts for the service."""
        return {key: fields.input for key, fields in self.items()}

    def show_errors(self, errors: Mapping[str, str]) -> None:
        """Show the codes of the service in the cards of prompts that have no error of their own."""
        for key, fields in self.items():
            if not fields.error and f"prompt_{key}" in errors:
                fields.error = wording.error(errors[f"prompt_{key}"])

    def store_uploads(self, library: SoundLibrary, language: str, office_name: str) -> list[str]:
        """Validate the prompts, and convert and store the uploaded files. Return error messages."""
        errors = []
        for key, fields in self.items():
            try:
                self._store_upload(key, fields, library, language, office_name)
            except SoundError as error:
                fields.error = prompt_wording.sound_error(error)
            except FileNotFoundError:
                fields.error = wording.error("no_file")
            if fields.error:
                errors.append(f"{wording.PROMPT[key]}: {fields.error}")
        return errors

    @staticmethod
    def _store_upload(key: str, fields: PromptFields, library: SoundLibrary, language: str, office_name: str) -> None:
        """Validate one prompt. Raises SoundError, and FileNotFoundError if it has no recording."""
        prompt, file = fields.input, request.files.get(f"prompt_{key}_upload")
        if prompt.mode == PromptMode.FILE and file is not None and file.filename:
            row = recordings.store_upload(
                database(), library, file.stream, file.filename, Origin.UPLOAD, utcnow(), current_user.name
            )
            fields.is_recorded = False
            fields.input = replace(prompt, file=row.file, original_name=row.name)
        elif prompt.mode == PromptMode.FILE and not recordings.has_file(library, prompt.file):
            raise FileNotFoundError(prompt.file)
        elif prompt.mode == PromptMode.SPEECH and language in LANGUAGES:
            text = fill_in(prompt.text or default_text(key, language), office_name)
            if text:
                library.speech_path(text, language)  # raises SpeechError if the text cannot be spoken


def _read_fields(key: str) -> PromptFields:
    mode = request.form.get(f"prompt_{key}_mode", PromptMode.SPEECH)
    return PromptFields(read_prompt(f"prompt_{key}_", key), is_recorded=mode == RECORD)


def read_prompt(prefix: str, key: str) -> PromptInput:
    """Return the prompt `key` from the request's form. `prefix`: of the field names."""
    form: Mapping[str, Any] = request.form
    mode = form.get(f"{prefix}mode", PromptMode.SPEECH)
    mode = PromptMode.FILE if mode == RECORD else mode
    text = form.get(f"{prefix}text", "").replace("\r\n", "\n").strip()
    if text in {default_text(key, language) for language in LANGUAGES}:
        text = ""  # a default text, of any language
    return PromptInput(
        mode=PromptMode(mode) if mode in tuple(PromptMode) else PromptMode.SPEECH,
        text=text,
        file=form.get(f"{prefix}file", ""),
        original_name=form.get(f"{prefix}name", "")[:200],
    )
