"""The form of a module, with its prompts."""

from collections.abc import Mapping

from flask import request
from flask_babel import lazy_gettext as _l
from wtforms import BooleanField, HiddenField, RadioField, SelectField, SelectMultipleField, StringField
from wtforms.validators import InputRequired

from app.audio.library import SoundLibrary
from app.domain import module_defaults
from app.domain.hours import format_week
from app.domain.numbers import ascii_digits
from app.domain.routing import HANG_UP, Destination, DestinationKind
from app.services.modules.input import BOUNDS, OFFER_KEYS, ModuleInput, fingerprint
from app.services.modules.validation import TARGET_KINDS
from app.services.pbx.destinations import SaveResult
from app.services.settings.hours import office_week
from app.web import wording
from app.web.context import database
from app.web.fields import (
    DigitsField,
    DurationField,
    Fault,
    MinutesField,
    MinutesListField,
    WholeNumberField,
    choices,
    split_list,
)
from app.web.formats import digits
from app.web.hours_fields import WeekFields
from app.web.locale import choose_locale
from app.web.pbx.fields import DestinationField, DestinationsForm
from app.web.prompts.fields import PromptsForm, SpeechFields

_REQUIRED = InputRequired(wording.ERROR["required"])
_PLAIN = (
    "name", "code", "active", "silent", "automatic", "language", "voice", "caller_id", "target_kind", "retry_pauses",
    "busy_pause", "agent_confirms", "asks_customer", "customer_first", "office_name", "holidays", "outside",
    "at_closing", "agent_order", "place", "offers_times", "tells_place", "tells_wait", "asks_name", "keeps_while_down",
    "offer_key", *BOUNDS,
)  # fmt: skip
_KEY_LABELS = {"*": _l("* (star)"), "#": _l("# (hash)")}


def _key_label(key: str) -> object:
    return _KEY_LABELS.get(key) or digits(key)


class ModuleForm(SpeechFields, WeekFields, DestinationsForm):
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
    shown = HiddenField()  # the fingerprint of the module when the page was loaded
    silent = BooleanField(_l("Silent"), description=_l("Plays nothing and registers the caller's own number at once."))

    automatic = BooleanField(
        _l("Automatic call"),
        default=True,
        description=_l("On: Bazang calls as soon as someone is free. Off: you call by hand from the panel."),
    )
    min_wait = DurationField(
        _l("Minimum waiting time"),
        default=module_defaults.MIN_WAIT,
        description=_l("hh:mm:ss. During this time the person who missed the call can call back."),
    )
    rest = WholeNumberField(
        _l("Rest after a call"),
        default=module_defaults.REST,
        description=_l("How long the line must be free before its phone rings."),
    )
    retries = WholeNumberField(
        _l("Number of retries"),
        default=module_defaults.RETRIES,
        description=_l("How many more times to call a customer who does not answer."),
    )
    retry_pauses = MinutesListField(
        _l("Pauses between customer calls"),
        default=module_defaults.RETRY_PAUSES,
        description=_l("In minutes, one for each retry: 5, 15, 30. The last one is used for all further retries."),
    )
    busy_pause = MinutesField(
        _l("Pause if the customer was busy"),
        default=module_defaults.BUSY_PAUSE,
        description=_l("Busy customers are at their phone, so they can be called sooner. Empty: the pauses above."),
    )
    agent_pause = WholeNumberField(
        _l("Pause after a missed call of the agent"),
        default=module_defaults.AGENT_PAUSE,
        description=_l(
            "How long a phone that nobody answered does not ring again. It grows with each call that the same person "
            "misses for the same request, and does not count as a retry."
        ),
    )
    agent_ring = WholeNumberField(
        _l("The agent's phone rings"),
        default=module_defaults.AGENT_RING,
        description=_l("After this time the call counts as missed."),
    )
    customer_ring = WholeNumberField(
        _l("The customer's phone rings"),
        default=module_defaults.CUSTOMER_RING,
        description=_l("After this time the call counts as not answered."),
    )
    expire_after = DurationField(
        _l("Requests expire after"),
        default=module_defaults.EXPIRE_AFTER,
        description=_l("hh:mm:ss. With 00:00:00 they never expire."),
    )
    caller_id = DigitsField(
        _l("Office's caller ID"),
        description=_l("The number that the customer sees. Empty: the number from the settings."),
    )

    agent_confirms = SelectField(
        _l("The agent confirms"),
        choices=choices(wording.CONFIRMATION),
        default=module_defaults.AGENT_CONFIRMS,
        validate_choice=False,
        description=_l(
            "The customer is dialled after the announcement, or as soon as the agent presses 1. By answering is "
            "faster, but if a mailbox or the like answers, the customer is connected with it."
        ),
    )
    asks_customer = BooleanField(
        _l("Asks the customer"),
        description=_l(
            "On: the customer hears who is calling. Key 1 connects, key 2 means later, key 9 cancels the request. "
            "Without a key, as with a mailbox, the call counts as unsuccessful. Meanwhile the agent hears ringing."
        ),
    )
    customer_first = BooleanField(
        _l("Rings the customer first"),
        description=_l(
            "On: when an agent is free, Bazang reserves that phone and calls the customer, who hears the greeting, and "
            "music for as long as the agent's phone may ring. If the agent does not come, the customer hears the "
            "apology, and the next call rings the agent first. Off: the agent is always rung first."
        ),
    )
    office_name = StringField(
        _l("Name of the office"),
        description=_l("Customers hear it in place of {name} in the question and in the greeting."),
    )

    own_hours = BooleanField(
        _l("Hours of its own"), description=_l("On: the hours below. Off: those of the office, from the settings.")
    )
    holidays = BooleanField(
        _l("Closed on the holidays of the office"),
        default=True,
        description=_l("The special days from the settings, and the official holidays if they are switched on there."),
    )
    outside = SelectField(
        _l("What callers are offered outside these hours"),
        choices=choices(wording.OUTSIDE),
        default=module_defaults.OUTSIDE,
        validate_choice=False,
        description=_l("A silent module plays nothing, so it does not say that the office is closed."),
    )
    stop_before = DurationField(
        _l("Closes for callers before the end"),
        default=module_defaults.STOP_BEFORE,
        description=_l("hh:mm:ss. Callers who come this long before the closing are treated as outside the hours."),
    )
    at_closing = SelectField(
        _l("Open requests when the office closes"),
        choices=choices(wording.AT_CLOSING),
        default=module_defaults.AT_CLOSING,
        validate_choice=False,
        description=_l(
            "What is given up counts as failed. It was called on the day at least once, and is not called again on the "
            "next. An office that never closes gives nothing up here."
        ),
    )
    offers_times = BooleanField(
        _l("Callers may choose the time"),
        description=_l("Key 3 leads to the choice: in 10 to 90 minutes, or tomorrow morning or afternoon."),
    )
    quarter_limit = WholeNumberField(
        _l("Chosen times in a quarter of an hour"),
        default=module_defaults.QUARTER_LIMIT,
        description=_l("How many there may be. What comes then moves to the next free time. 0: no limit."),
    )

    tells_place = BooleanField(
        _l("Callers hear their place in line"),
        description=_l("After they left a request, and when they call again while it waits."),
    )
    tells_wait = BooleanField(
        _l("Callers hear the estimated wait"),
        description=_l(
            "By the last days at this hour: “in about 10 minutes”. Nothing is said after too few requests, or if their "
            "waits differ too much."
        ),
    )
    asks_name = BooleanField(
        _l("Callers may say their name"),
        description=_l(
            "On: after the registration they are asked for it and have 4 seconds. The agent hears it before key 1, and "
            "it can be played on the page of the request."
        ),
    )

    target_kind = RadioField(
        _l("For whom"),
        choices=choices({kind: wording.DESTINATION[kind] for kind in TARGET_KINDS}),
        default=DestinationKind.EXTENSION,
        validate_choice=False,
    )
    extensions = SelectMultipleField(_l("Extensions"), validate_choice=False)
    targets = DigitsField(_l("Other extensions"), description=_l("Typed by hand, with commas between them: 101, 102"))
    agent_order = SelectField(
        _l("Which extension rings first"),
        choices=choices(wording.AGENT_ORDER),
        default=module_defaults.AGENT_ORDER,
        validate_choice=False,
        description=_l("For requests that any of several extensions may serve."),
    )
    list_order = DigitsField(
        _l("Order of the list"),
        description=_l("The chosen extensions as they should be rung: 102, 101. Those left out follow."),
    )
    preferred_for = MinutesField(
        _l("Time for the preferred agent"),
        default=module_defaults.PREFERRED_FOR,
        description=_l(
            "For so long only the agent rings who talked with this customer last, then anybody. With a time, Bazang "
            "keeps for 180 days who talked with which number. Empty: anybody rings at once."
        ),
    )
    queue = DigitsField(_l("Queue"), description=_l("The first free member calls back."))

    fallback_after = MinutesField(
        _l("Time until the fallback"),
        default=module_defaults.FALLBACK_AFTER,
        description=_l("When a request has waited for so long, the fallback may serve it, too. Empty: never."),
    )
    fallback = DestinationField(
        _l("Fallback"), _l("An extension or a queue. The time counts while the office is open."), target=True
    )
    place = RadioField(
        _l("Callers on the line and requests"),
        choices=choices(wording.PLACE),
        default=module_defaults.PLACE,
        validate_choice=False,
    )
    callers_lead = MinutesField(
        _l("A request waits behind later callers for"),
        default=module_defaults.CALLERS_LEAD,
        description=_l("Then its turn comes before theirs. Empty: as long as anyone is on the line."),
    )
    callers_share = WholeNumberField(_l("Callers before each request"), default=module_defaults.CALLERS_SHARE)
    offer_key = SelectField(
        _l("Key to leave the queue"),
        choices=lambda: choices({"": _l("none: no offer"), **{key: _key_label(key) for key in OFFER_KEYS}}),
        default="",
        validate_choice=False,
        description=_l(
            "Callers who press it while they wait come to the module and keep their place. The page of the queue "
            "shows what the PBX needs for that."
        ),
    )
    offer_after = WholeNumberField(
        _l("Announced every"),
        default=module_defaults.OFFER_AFTER,
        description=_l("The first time when they have waited for so long."),
    )
    offer_callers = WholeNumberField(
        _l("Announced at once from"),
        default=module_defaults.OFFER_CALLERS,
        description=_l("From so many callers on, those who come hear the offer before they wait. 0: never."),
    )
    offer_callers_per_agent = WholeNumberField(
        _l("Announced at once from (for each agent)"),
        default=module_defaults.OFFER_CALLERS_PER_AGENT,
        description=_l(
            "With 2 and three agents: from 6 callers on. Agents who are logged out or paused do not count. If none is "
            "left, everybody hears the offer. 0: never."
        ),
    )

    next = DestinationField(_l("Next destination"), _l("Where the call goes after the caller left a request."))
    error = DestinationField(
        _l("Error destination"),
        _l("Where the call goes if the caller did not leave a request, also if Bazang does not run."),
    )

    keeps_while_down = BooleanField(
        _l("Takes requests while Bazang does not run"),
        description=_l(
            "On: meanwhile the PBX itself plays the introduction. It keeps the requests of callers who press 1 until "
            "Bazang runs again. They can leave their own number only. If the module declines callers outside the "
            "office hours, it declines them then, too. Off: callers go to the error destination."
        ),
    )

    def __init__(self) -> None:
        super().__init__()
        if request.method == "GET":
            self.language.data = choose_locale()
            self.show_week(format_week(office_week(database())))
            self.next.show(HANG_UP)
            self.error.show(HANG_UP)
        self.prompts = PromptsForm(from_request=request.method == "POST")

    @property
    def is_for_queue(self) -> bool:
        return self.target_kind.data == DestinationKind.QUEUE

    @property
    def chosen_extensions(self) -> list[str]:
        """The extensions that are ticked or typed, without duplicates, those of the typed order first."""
        ticked = [ascii_digits(extension) for extension in self.extensions.data or ()]
        chosen = [*ticked, *split_list(self.targets.data or "")]
        first = [extension for extension in split_list(self.list_order.data or "") if extension in chosen]
        return list(dict.fromkeys([*first, *chosen]))

    def load(self, stored: ModuleInput) -> None:
        """Show a stored module."""
        for name in (*_PLAIN, "rate", "pitch"):
            self[name].data = getattr(stored, name)
        self.own_hours.data = bool(stored.hours)
        if stored.hours:
            self.show_week(stored.hours)
        if self.is_for_queue:
            self.queue.data = stored.targets[0] if stored.targets else ""
        else:
            self.extensions.data = list(stored.targets)
            self.list_order.data = ", ".join(stored.targets) if len(stored.targets) > 1 else ""
        self.fallback.show(stored.fallback)
        self.next.show(stored.next)
        self.error.show(stored.error)
        self.show_version(stored)
        self.prompts.load(stored.prompts)

    def show_version(self, stored: ModuleInput) -> None:
        """Remember which version of the module the user is shown."""
        self.shown_active.data = "1" if stored.active else ""
        self.shown.data = fingerprint(stored)

    def input(self) -> ModuleInput:
        """Return what was typed."""
        values = {name: self[name].data for name in _PLAIN}
        values |= {name: "" for name, value in values.items() if value is None}  # the request does not contain them
        queues = [self.queue.data] if self.queue.data else []
        return ModuleInput(
            **values,
            hours=self.week if self.own_hours.data else "",
            rate=self.rate.data,
            pitch=self.pitch.data,
            targets=tuple(queues if self.is_for_queue else self.chosen_extensions),
            fallback=self.fallback.destination,
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
        self.prompts.show_errors(result.errors)

    def label_of(self, field: str) -> str:
        return super().label_of("extensions" if field == "targets" else field)

    def single_destinations(self) -> Mapping[str, Destination]:
        queue = Destination(DestinationKind.QUEUE, self.queue.data or "")
        return {**super().single_destinations(), "queue": queue}

    def other_faults(self) -> list[Fault]:
        """Return the warnings that somebody has to confirm, and the errors of the prompts."""
        return super().other_faults() + [
            Fault(prompt.error, str(wording.PROMPT[key]), f"prompt_{key}")
            for key, prompt in self.prompts.items()
            if prompt.error
        ]

    def store_uploads(self, library: SoundLibrary) -> None:
        """Convert and store the uploaded files, so that errors in other fields do not lose them."""
        self.form_errors += self.prompts.store_uploads(library, self.language.data, self.office_name.data or "")
