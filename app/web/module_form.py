"""The form of a module, with its eight prompts."""

import re
from dataclasses import dataclass

from flask import request
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import BooleanField, RadioField, SelectField, SelectMultipleField, StringField
from wtforms.validators import InputRequired

from app.audio.cache import SoundLibrary
from app.audio.clip import SoundError
from app.audio.prompts import LANGUAGES, PROMPT_KEYS, default_text
from app.domain.numbers import ascii_digits
from app.services import prompts
from app.services.modules import BOUNDS, PROMPT_MODES, ModuleInput, PromptInput
from app.web import choose_locale, words
from app.web.fields import DigitsField, DurationField, WholeNumberField, choices, destination_field, show_errors

_NEEDED = InputRequired(_l("This is needed."))
_PLAIN = ("name", "code", "active", "silent", "automatic", "language", "caller_id", "target_kind", *BOUNDS)
_WAYS = ("next_kind", "next_code", "error_kind", "error_code")


@dataclass
class PromptFields:
    """A prompt as the form shows it; `error` in words."""

    given: PromptInput
    error: str = ""


class ModuleForm(FlaskForm):
    name = StringField(_l("Name"), validators=[_NEEDED])
    code = DigitsField(
        _l("Code"),
        validators=[_NEEDED],
        description=_l("What scenarios point at, such as *5001. Digits, * and # only."),
    )
    active = BooleanField(
        _l("Active"), default=True, description=_l("An inactive module sends every caller to the error destination.")
    )
    silent = BooleanField(_l("Silent"), description=_l("Plays nothing and registers the caller's own number at once."))
    language = SelectField(_l("Language of the prompts"), choices=choices(words.LANGUAGE), validate_choice=False)

    automatic = BooleanField(
        _l("Automatic call"),
        default=True,
        description=_l("On: the system calls as soon as somebody is free. Off: you call by hand from the panel."),
    )
    min_wait = DurationField(
        _l("Minimum waiting time"),
        default=0,
        description=_l("hh:mm:ss. Gives the person who missed the call a chance to ring back first."),
    )
    rest = WholeNumberField(
        _l("Rest after a call"), default=10, description=_l("Seconds for which the line must have been free.")
    )
    retries = WholeNumberField(
        _l("Number of retries"), default=2, description=_l("How often the call is repeated if the customer fails.")
    )
    retry_pause = DurationField(_l("Pause between customer calls"), default=300, description=_l("hh:mm:ss"))
    agent_pause = WholeNumberField(_l("Pause after a missed call of the agent"), default=60, description=_l("Seconds."))
    agent_ring = WholeNumberField(_l("The agent's phone rings"), default=20, description=_l("Seconds."))
    customer_ring = WholeNumberField(_l("The customer's phone rings"), default=40, description=_l("Seconds."))
    expire_after = DurationField(
        _l("Requests expire after"), default=0, description=_l("hh:mm:ss; 00:00:00: they never expire.")
    )
    caller_id = DigitsField(
        _l("Office's caller ID"), description=_l("What the customer sees; empty: the office's own from the settings.")
    )

    target_kind = RadioField(
        _l("For whom"),
        choices=choices({kind: words.DESTINATION[kind] for kind in ("extension", "queue")}),
        default="extension",
        validate_choice=False,
    )
    extensions = SelectMultipleField(_l("Extensions"), validate_choice=False)
    targets = DigitsField(_l("Other extensions"), description=_l("Typed by hand, with commas between them: 101, 102"))
    queue = DigitsField(_l("Queue"))

    next_kind, error_kind = destination_field(), destination_field()
    next_code = DigitsField(_l("Next destination"), description=_l("Where a caller goes who has left a request."))
    error_code = DigitsField(
        _l("Error destination"),
        description=_l("Where a caller goes who could not, or would not, leave one; also when our service is down."),
    )

    def __init__(self) -> None:
        super().__init__()
        if request.method == "GET":
            self.language.data = choose_locale()
            self.next_kind.data = self.error_kind.data = "hangup"
        self.prompts = {key: PromptFields(prompts.DEFAULT) for key in PROMPT_KEYS}
        if request.method == "POST":
            self.prompts = {key: PromptFields(_typed_prompt(key)) for key in PROMPT_KEYS}

    @property
    def chosen_extensions(self) -> list[str]:
        """The extensions that are ticked or typed, in their order, each once."""
        typed = [part for part in re.split(r"[\s,،;]+", self.targets.data or "") if part]
        ticked = [ascii_digits(extension) for extension in self.extensions.data or ()]
        return list(dict.fromkeys([*ticked, *typed]))

    def fill(self, given: ModuleInput) -> None:
        """Show a module as it is stored."""
        for name in (*_PLAIN, *_WAYS):
            self._fields[name].data = getattr(given, name)
        if given.target_kind == "queue":
            self.queue.data = given.targets[0] if given.targets else ""
        else:
            self.extensions.data = list(given.targets)
        for key, prompt in given.prompts.items():
            self.prompts[key] = PromptFields(prompt)

    def given(self) -> ModuleInput:
        """Return what was typed, as the service takes it."""
        values = {name: self._fields[name].data for name in (*_PLAIN, *_WAYS)}
        values = {name: "" if value is None else value for name, value in values.items()}  # of a form without it
        for side in ("next", "error"):
            if values[f"{side}_kind"] == "hangup":
                values[f"{side}_code"] = ""
        queue = self.target_kind.data == "queue"
        targets = [self.queue.data] if queue and self.queue.data else [] if queue else self.chosen_extensions
        chosen = {key: prompt.given for key, prompt in self.prompts.items()}
        return ModuleInput(**values, targets=tuple(targets), prompts=chosen)

    def show(self, errors: dict[str, str]) -> None:
        """Put the service's findings beside their fields: of the targets, the one in which they were typed."""
        names = {"targets": "queue"} if self.target_kind.data == "queue" else {}
        show_errors(self, {names.get(name, name): code for name, code in errors.items()})

    def take_prompts(self, library: SoundLibrary) -> None:
        """Convert and keep what was uploaded, at once: another field's error must not cost a person the upload."""
        for key, fields in self.prompts.items():
            try:
                fields.given = self._taken(key, fields.given, library)
            except SoundError as error:
                fields.error = str(words.SOUND_ERROR.get(error.code, error))
            except FileNotFoundError:
                fields.error = words.error("no_file")
            if fields.error:
                self.form_errors.append(f"{words.PROMPT[key]}: {fields.error}")

    def _taken(self, key: str, given: PromptInput, library: SoundLibrary) -> PromptInput:
        file = request.files.get(f"prompt_{key}_upload")
        if given.mode == "file" and file is not None and file.filename:
            return prompts.upload(library, file.stream, file.filename)
        if given.mode == "file" and not (prompts.FILE.fullmatch(given.file) and (library.root / given.file).is_file()):
            raise FileNotFoundError(given.file)
        if given.mode == "speech" and given.text and self.language.data in LANGUAGES:
            library.spoken_path(given.text, self.language.data)
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
