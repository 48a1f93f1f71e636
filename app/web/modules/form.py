"""The form of a module, with its eight prompts."""

from collections.abc import Iterable

from flask import request
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import BooleanField, HiddenField, RadioField, SelectMultipleField, StringField
from wtforms.validators import InputRequired

from app.audio.library import SoundLibrary
from app.domain.numbers import ascii_digits
from app.services.modules.save import BOUNDS, ModuleInput
from app.services.pbx.existence import Place
from app.web import wording
from app.web.fields import DigitsField, DurationField, WholeNumberField, choices, destination_field, show_errors
from app.web.locale import choose_locale
from app.web.pbx import destinations
from app.web.pbx.destinations import Saying, Verdict
from app.web.prompts.fields import PromptsForm, SpeechFields

_NEEDED = InputRequired(_l("This field is required."))
_PLAIN = ("name", "code", "active", "silent", "automatic", "language", "voice", "caller_id", "target_kind", *BOUNDS)
_WAYS = ("next_kind", "next_code", "error_kind", "error_code")


class ModuleForm(SpeechFields, FlaskForm):
    name = StringField(
        _l("Name"), validators=[_NEEDED], description=_l("For you and your colleagues; callers never hear it.")
    )
    code = DigitsField(
        _l("Code"),
        validators=[_NEEDED],
        description=_l("What extensions, queues and other modules lead to. Digits, * and # only."),
    )
    active = BooleanField(
        _l("Active"), default=True, description=_l("An inactive module sends every caller to the error destination.")
    )
    shown_active = HiddenField()  # as the form showed it: somebody else may have switched it since
    silent = BooleanField(_l("Silent"), description=_l("Plays nothing and registers the caller's own number at once."))

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
        _l("Rest after a call"), default=10, description=_l("So long the line must have been free before it is rung.")
    )
    retries = WholeNumberField(
        _l("Number of retries"),
        default=2,
        description=_l("How often it is tried again if the customer does not answer."),
    )
    retry_pause = DurationField(
        _l("Pause between customer calls"), default=300, description=_l("hh:mm:ss, from one try to the next.")
    )
    agent_pause = WholeNumberField(
        _l("Pause after a missed call of the agent"),
        default=60,
        description=_l("Until a phone is rung again that nobody took up. It uses up no retry."),
    )
    agent_ring = WholeNumberField(
        _l("The agent's phone rings"), default=20, description=_l("Then it counts as missed.")
    )
    customer_ring = WholeNumberField(
        _l("The customer's phone rings"), default=40, description=_l("Then it counts as not answered.")
    )
    expire_after = DurationField(
        _l("Requests expire after"), default=0, description=_l("hh:mm:ss; 00:00:00: they never expire.")
    )
    caller_id = DigitsField(
        _l("Office's caller ID"), description=_l("What the customer sees; empty: the office's own from the settings.")
    )

    target_kind = RadioField(
        _l("For whom"),
        choices=choices({kind: wording.DESTINATION[kind] for kind in ("extension", "queue")}),
        default="extension",
        validate_choice=False,
    )
    extensions = SelectMultipleField(_l("Extensions"), validate_choice=False)
    targets = DigitsField(_l("Other extensions"), description=_l("Typed by hand, with commas between them: 101, 102"))
    queue = DigitsField(_l("Queue"), description=_l("Whichever member is free first calls back."))

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
        self.prompts = PromptsForm(from_request=request.method == "POST")
        self.sayings: dict[str, list[Saying]] = {}

    @property
    def chosen_extensions(self) -> list[str]:
        """The extensions that are ticked or typed, in their order, each once."""
        typed = destinations.split(self.targets.data or "")
        ticked = [ascii_digits(extension) for extension in self.extensions.data or ()]
        return list(dict.fromkeys([*ticked, *typed]))

    def fill(self, given: ModuleInput) -> None:
        """Show a module as it is stored."""
        for name in (*_PLAIN, *_WAYS, "rate", "pitch"):
            self._fields[name].data = getattr(given, name)
        if given.target_kind == "queue":
            self.queue.data = given.targets[0] if given.targets else ""
        else:
            self.extensions.data = list(given.targets)
        self.shown_active.data = "1" if given.active else ""
        self.prompts.load(given.prompts)

    def given(self) -> ModuleInput:
        """Return what was typed, as the service takes it."""
        values = {name: self._fields[name].data for name in (*_PLAIN, *_WAYS)}
        unset = {name: "" for name, value in values.items() if value is None}  # of a form without it
        values |= unset | {"rate": self.rate.data, "pitch": self.pitch.data}
        for side in ("next", "error"):
            if values[f"{side}_kind"] == "hangup":
                values[f"{side}_code"] = ""
        queue = self.target_kind.data == "queue"
        targets = [self.queue.data] if queue and self.queue.data else [] if queue else self.chosen_extensions
        return ModuleInput(**values, targets=tuple(targets), prompts=self.prompts.inputs())

    def show(self, errors: dict[str, str]) -> None:
        """Put the service's findings beside their fields: of the targets, the one in which they were typed."""
        names = {"targets": "queue"} if self.target_kind.data == "queue" else {}
        show_errors(self, {names.get(name, name): code for name, code in errors.items()})

    def places(self, given: ModuleInput, before: ModuleInput | None) -> dict[str, list[Place]]:
        """Return by field what the exchange should have; what was stored before and stays is not asked about again."""
        kept = _places_of(before) if before is not None else set()
        here = {
            "queue" if given.target_kind == "queue" else "targets": [(given.target_kind, t) for t in given.targets],
            "next": [(given.next_kind, given.next_code)],
            "error": [(given.error_kind, given.error_code)],
        }
        return {field: [place for place in named if place not in kept] for field, named in here.items()}

    def show_verdict(self, verdict: Verdict) -> None:
        """Put what the exchange said beside the fields, and what stands in the way of saving above them."""
        named = {"next": self.next_code, "error": self.error_code, "code": self.code, "queue": self.queue}
        named["targets"] = self.extensions
        destinations.show_verdict(self, verdict, {name: field.label.text for name, field in named.items()})

    def take_prompts(self, library: SoundLibrary) -> None:
        """Convert and keep what was uploaded, at once: another field's error must not cost a person the upload."""
        self.form_errors += self.prompts.store_uploads(library, self.language.data)


def _places_of(given: ModuleInput) -> set[Place]:
    targets: Iterable[Place] = ((given.target_kind, target) for target in given.targets)
    return {*targets, (given.next_kind, given.next_code), (given.error_kind, given.error_code)}
