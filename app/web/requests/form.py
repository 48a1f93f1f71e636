"""The form for a new request."""

from collections.abc import Mapping

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import SelectChoice, SelectField, StringField, TextAreaField

from app.services.errors import ErrorCode
from app.services.requests.create import NewRequest, TargetChoice, load_target_choices
from app.web.context import current_scope, database
from app.web.fields import DigitsField, show_errors
from app.web.http import parse_row_number
from app.web.requests import wording


class NewRequestForm(FlaskForm):
    """`wanted` is "<module id>:<target>". The target of a queue module is ""."""

    number = DigitsField(_l("Number"), description=_l("As you dial it, such as 09121234567."))
    name = StringField(_l("Name"))
    wanted = SelectField(_l("For whom"), validate_choice=False)
    note = TextAreaField(_l("Note"))

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
        return NewRequest(self.number.data, module_id, target, name, note)

    def show_errors(self, errors: Mapping[str, str]) -> None:
        """Show the service's errors beside the fields. Those of module and target belong to `wanted`."""
        found = {name: code for name, code in errors.items() if name not in ("module_id", "target")}
        wanted = errors.get("target") or errors.get("module_id")
        if wanted:
            found["wanted"] = wanted if self.wanted.data else ErrorCode.REQUIRED
        show_errors(self, found)


def _to_choice(choice: TargetChoice) -> SelectChoice:
    target = "" if choice.queue else choice.target
    label = f"{choice.module_name} · {wording.target_text(choice.queue, choice.target)}"
    return SelectChoice(f"{choice.module_id}:{target}", label)
