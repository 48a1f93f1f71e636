"""The form of a module, with its prompts."""

from collections.abc import Mapping

from flask import request
from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, HiddenField, RadioField, SelectMultipleField, StringField
from wtforms.validators import InputRequired

from app.audio.library import SoundLibrary
from app.domain.numbers import ascii_digits
from app.domain.routing import HANG_UP, Destination, DestinationKind
from app.services.modules.input import BOUNDS, ModuleInput
from app.services.modules.validation import TARGET_KINDS
from app.services.pbx.destinations import SaveResult
from app.web import wording
from app.web.fields import DigitsField, DurationField, WholeNumberField, choices
from app.web.locale import choose_locale
from app.web.pbx.fields import DestinationField, DestinationsForm, split_extensions
from app.web.prompts.fields import PromptsForm, SpeechFields

_REQUIRED = InputRequired(wording.ERROR["required"])
_PLAIN = ("name", "code", "active", "silent", "automatic", "language", "voice", "caller_id", "target_kind", *BOUNDS)


class ModuleForm(SpeechFields, DestinationsForm):
    name = StringField(
        _l("Name"), validators=[_REQUIRED], description=_l("For you and your colleagues. Callers do not hear it.")
    )
    code = DigitsField(
        _l("Code"),
        validators=[_REQUIRED],
        description=_l("Extensions, queues and other modules send calls to this code. Digits, * and # only."),
    )
    active = BooleanField(
        _l("Active"), default=True, description=_l("An inactive module sends every caller to the error destination.")
    )
    shown_active = HiddenField()  # `active` when the page was loaded; someone can switch the module meanwhile
    silent = BooleanField(_l("Silent"), description=_l("Plays nothing and registers the caller's own number at once."))

    automatic = BooleanField(
        _l("Automatic call"),
        default=True,
        description=_l("On: Bazang calls as soon as someone is free. Off: you call by hand from the panel."),
    )
    min_wait = DurationField(
        _l("Minimum waiting time"),
        default=0,
        description=_l("hh:mm:ss. During this time the person who missed the call can call back."),
    )
    rest = WholeNumberField(
        _l("Rest after a call"), default=10, description=_l("How long the line must be free before its phone rings.")
    )
    retries = WholeNumberField(
        _l("Number of retries"),
        default=2,
        description=_l("How many more times to call a customer who does not answer."),
    )
    retry_pause = DurationField(
        _l("Pause between customer calls"), default=300, description=_l("hh:mm:ss, from one call to the next.")
    )
    agent_pause = WholeNumberField(
        _l("Pause after a missed call of the agent"),
        default=60,
        description=_l("How long a phone that nobody answered does not ring again. It does not count as a retry."),
    )
    agent_ring = WholeNumberField(
        _l("The agent's phone rings"), default=20, description=_l("After this time the call counts as missed.")
    )
    customer_ring = WholeNumberField(
        _l("The customer's phone rings"),
        default=40,
        description=_l("After this time the call counts as not answered."),
    )
    expire_after = DurationField(
        _l("Requests expire after"), default=0, description=_l("hh:mm:ss. With 00:00:00 they never expire.")
    )
    caller_id = DigitsField(
        _l("Office's caller ID"),
        description=_l("The number that the customer sees. Empty: the number from the settings."),
    )

    target_kind = RadioField(
        _l("For whom"),
        choices=choices({kind: wording.DESTINATION[kind] for kind in TARGET_KINDS}),
        default=DestinationKind.EXTENSION,
        validate_choice=False,
    )
    extensions = SelectMultipleField(_l("Extensions"), validate_choice=False)
    targets = DigitsField(_l("Other extensions"), description=_l("Typed by hand, with commas between them: 101, 102"))
    queue = DigitsField(_l("Queue"), description=_l("The first free member calls back."))

    next = DestinationField(_l("Next destination"), _l("Where the call goes after the caller left a request."))
    error = DestinationField(
        _l("Error destination"),
        _l("Where the call goes if the caller did not leave a request, also if Bazang does not run."),
    )

    def __init__(self) -> None:
        super().__init__()
        if request.method == "GET":
            self.language.data = choose_locale()
            self.next.show(HANG_UP)
            self.error.show(HANG_UP)
        self.prompts = PromptsForm(from_request=request.method == "POST")

    @property
    def is_for_queue(self) -> bool:
        return self.target_kind.data == DestinationKind.QUEUE

    @property
    def chosen_extensions(self) -> list[str]:
        """The extensions that are ticked or typed, in their order and without duplicates."""
        ticked = [ascii_digits(extension) for extension in self.extensions.data or ()]
        return list(dict.fromkeys([*ticked, *split_extensions(self.targets.data or "")]))

    def load(self, stored: ModuleInput) -> None:
        """Show a stored module."""
        for name in (*_PLAIN, "rate", "pitch"):
            self[name].data = getattr(stored, name)
        if self.is_for_queue:
            self.queue.data = stored.targets[0] if stored.targets else ""
        else:
            self.extensions.data = list(stored.targets)
        self.next.show(stored.next)
        self.error.show(stored.error)
        self.shown_active.data = "1" if stored.active else ""
        self.prompts.load(stored.prompts)

    def input(self) -> ModuleInput:
        """Return what was typed."""
        values = {name: self[name].data for name in _PLAIN}
        values |= {name: "" for name, value in values.items() if value is None}  # the request does not contain them
        queues = [self.queue.data] if self.queue.data else []
        return ModuleInput(
            **values,
            rate=self.rate.data,
            pitch=self.pitch.data,
            targets=tuple(queues if self.is_for_queue else self.chosen_extensions),
            next=self.next.destination,
            error=self.error.destination,
            prompts=self.prompts.inputs(),
        )

    def show_result(self, result: SaveResult) -> None:
        """Show errors and warnings. Those of the targets stand beside the field in which they were typed."""
        names = {"targets": "queue"} if self.is_for_queue else {}
        errors = {names.get(name, name): code for name, code in result.errors.items()}
        warnings = {names.get(name, name): found for name, found in result.warnings.items()}
        super().show_result(SaveResult(errors, warnings))

    def label_of(self, field: str) -> str:
        return super().label_of("extensions" if field == "targets" else field)

    def single_destinations(self) -> Mapping[str, Destination]:
        queue = Destination(DestinationKind.QUEUE, self.queue.data or "")
        return {**super().single_destinations(), "queue": queue}

    def store_uploads(self, library: SoundLibrary) -> None:
        """Convert and store the uploaded files, so that errors in other fields do not lose them."""
        self.form_errors += self.prompts.store_uploads(library, self.language.data)
