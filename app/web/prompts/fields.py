"""How a module speaks, and its eight prompts, as its form has them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flask import request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import Form, SelectChoice, SelectField
from wtforms.validators import ValidationError

from app.audio.clip import SoundError
from app.audio.library import SoundLibrary
from app.audio.prompt_texts import LANGUAGES, PROMPT_KEYS, default_text
from app.audio.voices import Voice
from app.domain.numbers import ascii_digits
from app.services.modules.save import PROMPT_MODES, PromptInput
from app.services.prompts import recordings, sounds
from app.store.settings import Speech
from app.web import wording
from app.web.context import database, library, utcnow
from app.web.fields import LONGEST_NUMBER
from app.web.formats import digits

RECORD = "record"  # a mode of the page only: a recording is a file, wherever it comes from


# -- the voice ------------------------------------------------------------------------------------------------------


def _whole_or_none(value: object) -> int | None:
    return None if value in (None, "") else int(str(value))


class OwnNumberField(SelectField):
    """One of a table's numbers, or None for the office's own. A number of another origin is on offer as well."""

    def __init__(self, label: object, table: Mapping[int, object], **options: Any) -> None:
        choices = [SelectChoice("", _l("as the office"))]
        choices += [SelectChoice(str(number), text) for number, text in table.items()]
        super().__init__(label, coerce=_whole_or_none, choices=choices, validate_choice=False, **options)
        self._table = table
        self.type = SelectField.__name__  # pages show it as any other

    def iter_choices(self):
        found = super().iter_choices()
        if self.data is not None and self.data not in self._table:
            found.append(found[0]._replace(value=str(self.data), label=digits(self.data), selected=True))
        return found

    def process_formdata(self, valuelist) -> None:
        text = ascii_digits(valuelist[0] if valuelist else "").strip()
        self.data = None
        if text and not (text.isdecimal() and len(text) <= LONGEST_NUMBER):
            raise ValidationError(wording.error("choice"))
        self.data = _whole_or_none(text)


class VoiceField(SelectField):
    """A voice by its name, "" for the office's own. One that is not there (any more) is on offer as long as chosen."""

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
    own = SelectChoice("", _("as the office"))
    return [own, *(_voice_choice(voice) for language in LANGUAGES for voice in library().list_voices(language))]


def _voice_choice(voice: Voice) -> SelectChoice:
    about = {"data-language": voice.language} | ({} if voice.has_pitch else {"data-no-pitch": "1"})
    return SelectChoice(voice.name, wording.voice(voice), about, str(wording.LANGUAGE[voice.language]))


class SpeechFields(Form):
    """The language of the texts, and how they are spoken."""

    language = SelectField(
        _l("Language of the prompts"),
        choices=[SelectChoice(value, label) for value, label in wording.LANGUAGE.items()],
        validate_choice=False,
    )
    voice = VoiceField(_l("Voice"))
    rate = OwnNumberField(_l("Speed"), wording.RATE)
    pitch = OwnNumberField(_l("Pitch"), wording.PITCH)


class SpeechForm(SpeechFields, FlaskForm):
    """What a page sends of them to hear something before it is saved."""

    def given(self) -> Speech:
        return Speech(self.voice.data or "", self.rate.data, self.pitch.data)


# -- the prompts ----------------------------------------------------------------------------------------------------


@dataclass
class PromptFields:
    """A prompt as the form shows it; `error` in words, `recorded`: its mode is called recording, not uploading."""

    given: PromptInput
    error: str = ""
    recorded: bool = False


class PromptsForm(dict[str, PromptFields]):
    """The prompts by their keys, in their order; `typed`: as they were sent, else the defaults."""

    def __init__(self, *, typed: bool) -> None:
        super().__init__({key: _typed_prompt(key) if typed else PromptFields(sounds.DEFAULT) for key in PROMPT_KEYS})

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
                fields.given = self._taken(key, fields, library, language)
            except SoundError as error:
                fields.error = wording.sound_error(error)
            except FileNotFoundError:
                fields.error = wording.error("no_file")
            if fields.error:
                errors.append(f"{wording.PROMPT[key]}: {fields.error}")
        return errors

    @staticmethod
    def _taken(key: str, fields: PromptFields, library: SoundLibrary, language: str) -> PromptInput:
        given, file = fields.given, request.files.get(f"prompt_{key}_upload")
        if given.mode == "file" and file is not None and file.filename:
            kept = recordings.store_upload(
                database(), library, file.stream, file.filename, "upload", utcnow(), current_user.name
            )
            fields.recorded = False
            return replace(given, file=kept.file, original_name=kept.name)
        if given.mode == "file" and not recordings.has_file(library, given.file):
            raise FileNotFoundError(given.file)
        if given.mode == "speech" and given.text and language in LANGUAGES:
            library.speech_path(given.text, language)
        return given


def _typed_prompt(key: str) -> PromptFields:
    mode = request.form.get(f"prompt_{key}_mode", "speech")
    return PromptFields(typed_input(f"prompt_{key}_", key), recorded=mode == RECORD)


def typed_input(prefix: str, key: str) -> PromptInput:
    """Return the prompt `key` as the request's form gives it, in fields whose names begin with `prefix`."""
    sent: Mapping[str, Any] = request.form
    mode = sent.get(f"{prefix}mode", "speech")
    mode = "file" if mode == RECORD else mode
    text = sent.get(f"{prefix}text", "").replace("\r\n", "\n").strip()
    if text in {default_text(key, language) for language in LANGUAGES}:
        text = ""  # the default, whatever language is chosen
    return PromptInput(
        mode=mode if mode in PROMPT_MODES else "speech",
        text=text,
        file=sent.get(f"{prefix}file", ""),
        original_name=sent.get(f"{prefix}name", "")[:200],
    )
