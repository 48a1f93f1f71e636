"""The form of the office settings. The setup uses a part of it."""

from typing import Any

from flask_babel import lazy_gettext as _l
from flask_login import current_user
from wtforms import BooleanField, HiddenField, SelectField, StringField

from app.services.errors import Invalid
from app.services.settings import office
from app.services.settings.office import OfficeInput
from app.store.settings import REGISTRATION_LIMITS
from app.web import wording
from app.web.context import database, settings, utcnow
from app.web.fields import DigitsField, PanelForm, WholeNumberField, choices, has_errors, show_errors
from app.web.locale import choose_locale
from app.web.settings import regions


class LocationForm(PanelForm):
    """Where the office is, and its language."""

    locale = SelectField(
        _l("Language of the panel"),
        choices=choices(wording.LANGUAGE),
        validate_choice=False,
        description=_l("Every user can choose another one."),
    )
    region = SelectField(
        _l("Country"), validate_choice=False, description=_l("Numbers are read by the rules of this country.")
    )
    area_code = DigitsField(_l("Area code"), description=_l("Added to local numbers, for example 021."))
    timezone = SelectField(_l("Time zone"), validate_choice=False)

    def set_region_choices(self) -> None:
        """Fill the lists of countries and time zones, in the user's language."""
        current = office.load(database(), settings()).timezone
        self.region.choices = regions.countries(choose_locale())
        self.timezone.choices = regions.time_zones(choose_locale(), utcnow(), current)

    def save(self, current: OfficeInput) -> bool:
        """Save the form if it is valid, else show its errors. Return whether it was saved."""
        self.validate()
        if has_errors(self):
            return False
        try:
            office.save(database(), settings(), self.to_input(current), actor=current_user.name, now=utcnow())
        except Invalid as invalid:
            show_errors(self, invalid.errors)
            return False
        return True

    def to_input(self, current: OfficeInput) -> OfficeInput:
        """Return the values of the form. Settings that it cannot change have their current values."""
        fixed = office.from_environment(settings())
        typed = {name: value for name, value in self.typed(current).items() if name not in fixed}
        return OfficeInput(**{name: typed.get(name, getattr(current, name)) for name in current.__dataclass_fields__})

    def typed(self, current: OfficeInput) -> dict[str, Any]:
        """Return the values of the form's own fields."""
        return {name: self._fields[name].data or "" for name in current.__dataclass_fields__ if name in self._fields}


class OfficeForm(LocationForm):
    """The location, and how customers are called."""

    all_paused = BooleanField(
        _l("Pause all automatic calls"),
        description=_l("Requests are still registered, and you can call them by hand."),
    )
    shown_paused = HiddenField()  # the state that the page showed; another user may have changed it since
    caller_id = DigitsField(_l("Caller ID of the office"), description=_l("The number that customers see."))
    outbound_context = StringField(
        _l("Context for calls to customers"),
        description=_l("The context of the PBX in which your phones dial out, for example from-internal."),
    )
    outbound_format = SelectField(
        _l("Format of dialled numbers"), choices=choices(wording.OUTBOUND_FORMAT), validate_choice=False
    )
    outbound_prefix = DigitsField(
        _l("Prefix for an outside line"), description=_l("For example 9. Most offices need none.")
    )
    route_calls_limit = WholeNumberField(
        _l("Most calls to customers at once"),
        description=_l("As many as the trunk has lines for Bazang. 0 means no limit."),
    )
    calls_limit = WholeNumberField(
        _l("Most calls at once"), description=_l("In all, with those inside. 0 means no limit.")
    )
    daily_calls_limit = WholeNumberField(
        _l("Most automatic calls in 24 hours"),
        description=_l("To customers outside. Calls by hand are not limited. 0 means no limit."),
    )
    number_open_limit = WholeNumberField(_l("Open requests of a number"))
    number_hour_limit = WholeNumberField(_l("New requests of a number in an hour"))
    number_day_limit = WholeNumberField(_l("New requests of a number in 24 hours"))
    module_hour_limit = WholeNumberField(_l("New requests of a module in an hour"))
    total_hour_limit = WholeNumberField(_l("New requests of all modules in an hour"))
    waiting_limit = WholeNumberField(_l("Waiting requests in all"))
    second_factor = SelectField(
        _l("Two-step log-in"),
        choices=choices(wording.SECOND_FACTOR),
        validate_choice=False,
        description=_l("Users who lack a required one must set it up before they can do anything else."),
    )
    announced_first = SelectField(
        _l("Agents hear first"),
        choices=choices(wording.ANNOUNCED_FIRST),
        validate_choice=False,
        description=_l("The rest follows, and then the keys. Key 1 interrupts it from the first word on."),
    )
    hold_queues = BooleanField(
        _l("Queues wait while an agent is rung for a request"),
        description=_l(
            "The member is paused in their queues until they answer, so that no waiting caller rings them at the same "
            "moment. The queue log shows these pauses with the reason Bazang."
        ),
    )
    min_talk = WholeNumberField(
        _l("Shortest talk (seconds)"),
        description=_l("A request is done when the office and the customer have talked this long in any call."),
    )

    def typed(self, current: OfficeInput) -> dict[str, Any]:
        """Return the values of the form. The pause changes only if the user changed it on the page."""
        paused = bool(self.all_paused.data)
        unchanged = paused == (self.shown_paused.data == "1")
        return (
            super().typed(current)
            | {
                "min_talk": self.min_talk.data,
                "hold_queues": bool(self.hold_queues.data),
                "all_paused": current.all_paused if unchanged else paused,
                "calls_limit": self.calls_limit.data,
                "route_calls_limit": self.route_calls_limit.data,
                "daily_calls_limit": self.daily_calls_limit.data,
            }
            | {f"{name}_limit": self._fields[f"{name}_limit"].data for name in REGISTRATION_LIMITS}
        )
