"""The form for a new request."""

from collections.abc import Mapping
from datetime import datetime

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import RadioField, SelectChoice, SelectField, StringField, TextAreaField

from app.services.errors import ErrorCode
from app.services.requests.create import NewRequest, TargetChoice, load_target_choices
from app.web.context import current_scope, database
from app.web.fields import DigitsField, PanelForm, show_errors
from app.web.http import parse_row_number
from app.web.requests import wording
from app.web.requests.moment_fields import MomentFields


class NewRequestForm(MomentFields, PanelForm):
    """`wanted` is "<module id>:<target>". The target of a queue module is ""."""

    number = DigitsField(_l("Number"), description=_l("As you dial it, such as 09121234567."))
    name = StringField(_l("Name"))
    wanted = SelectField(_l("For whom"), validate_choice=False)
    note = TextAreaField(_l("Note"))
    when = RadioField(
        _l("When is the customer to be called?"),
        choices=[SelectChoice("", _l("As soon as possible")), SelectChoice("at", _l("At a certain time"))],
        default="",
        validate_choice=False,
    )

    @property
    def has_moment(self) -> bool:
        return bool(self.when.data == "at")

    def fill_choices(self) -> None:
        """Offer the targets for which the user may create a request."""
        choices = load_target_choices(database(), current_scope())
        self.wanted.choices = [SelectChoice("", _("Choose …")), *(_to_choice(choice) for choice in choices)]

    def to_request(self) -> NewRequest:
        """Return what the user typed. An invalid `wanted` has a module id that does not exist."""
        number, _colon, target = (self.wanted.data or "").partition(":")
        try:
            module_id = parse_row_number(number)
        except ValueError:
            module_id = 0
        name, note = (self.name.data or "").strip(), self.note.data or ""
        call_at = self.moment if self.has_moment else None
        return NewRequest(self.number.data, module_id, target, name, note, call_at=call_at)

    def show_errors(self, errors: Mapping[str, str], free_at: datetime | None = None) -> None:
        """Show the service's errors beside the fields. Those of module and target belong to `wanted`.

        `free_at`: the next free time, if the wished one is not free.
        """
        found = {name: code for name, code in errors.items() if name not in ("module_id", "target", "call_at")}
        if errors.get("call_at") == ErrorCode.NOT_FREE:
            self.refuse_moment(wording.not_free_text(free_at))
        elif "call_at" in errors:
            found["day"] = errors["call_at"]
        wanted = errors.get("target") or errors.get("module_id")
        if wanted:
            found["wanted"] = wanted if self.wanted.data else ErrorCode.REQUIRED
        show_errors(self, found)


def _to_choice(choice: TargetChoice) -> SelectChoice:
    target = "" if choice.queue else choice.target
    label = f"{choice.module_name} · {wording.target_text(choice.queue, choice.target)}"
    return SelectChoice(f"{choice.module_id}:{target}", label)
