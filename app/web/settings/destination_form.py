"""What the forms of a webhook and of a recipient of e-mail have in common. Both are destinations of events."""

from collections.abc import Sequence

from flask_babel import lazy_gettext as _l
from flask_babel.speaklater import LazyString
from wtforms import BooleanField, SelectChoice, SelectMultipleField
from wtforms.widgets import CheckboxInput, ListWidget

from app.domain.webhooks import EVENTS
from app.web.context import directory
from app.web.fields import PanelForm, WholeNumberField, choices
from app.web.settings import wording

_BOXES = {"option_widget": CheckboxInput(), "widget": ListWidget(prefix_label=False), "validate_choice": False}


def events_field(label: LazyString) -> SelectMultipleField:
    """Return the field of the events that a destination is told."""
    return SelectMultipleField(
        label, choices=choices({event.value: wording.WEBHOOK_EVENT[event] for event in EVENTS}), **_BOXES
    )


def modules_field(description: LazyString) -> SelectMultipleField:
    """Return the field of the modules whose events count. `fill` gives it its choices."""
    return SelectMultipleField(_l("Of which modules"), description=description, **_BOXES)


class DestinationForm(PanelForm):
    """The subclass has the fields `events` and `modules`."""

    active = BooleanField(_l("Active"), description=_l("Otherwise nothing that happens is kept for it."))
    hours = WholeNumberField(
        _l("Tried for"), description=_l("A message that could not be sent in this time is given up. At most 72.")
    )

    def fill(self) -> None:
        """Fill the list of modules."""
        self.modules.choices = [SelectChoice(str(each.id), each.name) for each in directory().modules.values()]

    @property
    def module_ids(self) -> Sequence[int]:
        """The chosen modules. What is no id was not sent by our page."""
        return [int(module) for module in self.modules.data or () if module.isdecimal() and len(module) < 10]
