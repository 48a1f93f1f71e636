"""The forms of the actions on requests, one form for each action."""

from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from wtforms import RadioField, SelectChoice, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, ValidationError

from app.domain.text import displayable
from app.services.errors import ErrorCode
from app.services.report import periods
from app.services.requests.actions import (
    PRIORITIES,
    Action,
    Block,
    CallNow,
    Cancel,
    MarkDone,
    Postpone,
    Prioritise,
    Reassign,
    Reopen,
    Undo,
    WithdrawCallNow,
    WriteNote,
)
from app.services.requests.pending import PendingRow
from app.services.requests.targets import load_targets
from app.web import wording
from app.web.context import database, utcnow
from app.web.fields import PanelForm
from app.web.formats import digits, office_zone
from app.web.requests.moment_fields import MomentFields
from app.web.requests.wording import PRIORITY, target_text


class ActionForm(PanelForm):
    """What a user enters for an action."""

    title: ClassVar[object]
    button: ClassVar[object]
    icon: ClassVar[str]
    danger: ClassVar[bool] = False

    def prepare(self, rows: Sequence[PendingRow]) -> None:
        """Fill the choices and the default values for these requests."""

    def action(self) -> Action:
        """Return the action that the user entered."""
        raise NotImplementedError

    def has_typed_input(self) -> bool:
        """Return whether the user typed something that must be kept if another user was faster."""
        return False


class CallForm(ActionForm):
    title, button, icon = _l("Call now"), _l("Call now"), "phone-outgoing"
    agent = RadioField(_l("Which phone rings first?"), default="", validate_choice=False)

    def prepare(self, rows: Sequence[PendingRow]) -> None:
        choices = [SelectChoice("", _("The next free agent"))]
        for extension in current_user.extensions:
            choices.append(SelectChoice(extension, _("My phone, %(extension)s", extension=digits(extension))))
        self.agent.choices = choices

    def action(self) -> Action:
        return CallNow(self.agent.data or None)


class PostponeForm(MomentFields, ActionForm):
    title, button, icon = _l("Postpone"), _l("Postpone"), "clock-pause"
    until = RadioField(
        _l("Until when?"),
        choices=[
            SelectChoice("15", _l("In 15 minutes")),
            SelectChoice("60", _l("In 1 hour")),
            SelectChoice("tomorrow", _l("Tomorrow morning")),
            SelectChoice("at", _l("At another time")),
        ],
        default="at",
        validate_choice=False,
    )

    def prepare(self, rows: Sequence[PendingRow]) -> None:
        self.propose_moment()

    def validate_until(self, field: RadioField) -> None:
        if field.data not in ("15", "60", "tomorrow", "at"):
            raise ValidationError(wording.error(ErrorCode.CHOICE))

    @property
    def has_moment(self) -> bool:
        return bool(self.until.data == "at")

    def action(self) -> Action:
        now = utcnow()
        if self.until.data == "tomorrow":
            return Postpone(periods.tomorrow_morning(now, office_zone()), may_move=True)
        if self.until.data != "at":
            return Postpone(now + timedelta(minutes=int(self.until.data)), may_move=True)
        return Postpone(self.moment)

    def has_typed_input(self) -> bool:
        return self.until.data == "at"


class ReassignForm(ActionForm):
    title, button, icon = _l("Reassign"), _l("Reassign"), "transfer"
    target = SelectField(_l("To whom?"), validate_choice=False)

    def prepare(self, rows: Sequence[PendingRow]) -> None:
        targets = load_targets(database())
        choices = [SelectChoice("", _("Choose …"))]
        if all(row.module_id is not None and not row.queue for row in rows):
            choices.append(SelectChoice("any", target_text(False, "")))
        for extension, name in targets.extensions:
            label = f"{target_text(False, extension)} · {displayable(name)}" if name else target_text(False, extension)
            choices.append(SelectChoice(f"extension:{extension}", label))
        choices += [SelectChoice(f"queue:{queue}", target_text(True, queue)) for queue in targets.queues]
        self.target.choices = choices

    def validate_target(self, field: SelectField) -> None:
        kind, _colon, code = (field.data or "").partition(":")
        if not field.data:
            raise ValidationError(wording.error(ErrorCode.REQUIRED))
        if field.data != "any" and (kind not in ("extension", "queue") or not code):
            raise ValidationError(wording.error(ErrorCode.CHOICE))

    def action(self) -> Action:
        kind, _colon, code = str(self.target.data).partition(":")
        return Reassign(kind == "queue", code)


class PriorityForm(ActionForm):
    title, button, icon = _l("Priority"), _l("Change the priority"), "flag"
    priority = RadioField(
        _l("Priority"),
        choices=[SelectChoice(str(value), PRIORITY[value]) for value in reversed(PRIORITIES)],
        description=_l("Requests with a high priority are served before all others."),
        validate_choice=False,
    )

    def prepare(self, rows: Sequence[PendingRow]) -> None:
        if self.priority.data is None:
            self.priority.data = str(rows[0].priority)

    def validate_priority(self, field: RadioField) -> None:
        if field.data not in [str(value) for value in PRIORITIES]:
            raise ValidationError(wording.error(ErrorCode.CHOICE))

    def action(self) -> Action:
        return Prioritise(int(self.priority.data))


class NoteForm(ActionForm):
    title, button, icon = _l("Note"), _l("Save the note"), "note"
    note = TextAreaField(_l("Note"), validators=[InputRequired(_l("This field is required."))])

    def prepare(self, rows: Sequence[PendingRow]) -> None:
        _prepare_note(self.note, rows)

    def action(self) -> Action:
        return WriteNote(self.note.data or "")

    def has_typed_input(self) -> bool:
        return True


class DoneForm(ActionForm):
    title, button, icon = _l("Mark as done"), _l("Mark as done"), "circle-check"
    note = TextAreaField(_l("Note"), description=_l("The result. Optional."))

    def prepare(self, rows: Sequence[PendingRow]) -> None:
        _prepare_note(self.note, rows)

    def action(self) -> Action:
        return MarkDone(self.note.data or "")

    def has_typed_input(self) -> bool:
        return bool((self.note.data or "").strip())


def _prepare_note(field: TextAreaField, rows: Sequence[PendingRow]) -> None:
    """Show the note of a single request until the user types another one."""
    if field.data is None and len(rows) == 1:
        field.data = rows[0].note


class CancelForm(ActionForm):
    title, button, icon, danger = _l("Cancel the request"), _l("Cancel the request"), "ban", True

    def action(self) -> Action:
        return Cancel()


class ReopenForm(ActionForm):
    title, button, icon = _l("Reopen the request"), _l("Reopen"), "restore"

    def action(self) -> Action:
        return Reopen()


class WithdrawForm(ActionForm):
    title, button, icon = _l("Withdraw the urgent call"), _l("Withdraw"), "x"

    def action(self) -> Action:
        return WithdrawCallNow()


class UndoForm(ActionForm):
    title, button, icon = _l("Undo the last change"), _l("Undo"), "arrow-back-up"

    def action(self) -> Action:
        return Undo()


class BlockForm(ActionForm):
    title, button, icon, danger = _l("Block the number"), _l("Block the number"), "lock", True
    note = StringField(_l("Note"), description=_l("For the list of blocked numbers. Optional."))

    def action(self) -> Action:
        return Block(self.note.data or "")


# name of the action in the address -> its form
FORMS: dict[str, type[ActionForm]] = {
    "call": CallForm,
    "postpone": PostponeForm,
    "reassign": ReassignForm,
    "priority": PriorityForm,
    "note": NoteForm,
    "done": DoneForm,
    "cancel": CancelForm,
    "reopen": ReopenForm,
    "withdraw": WithdrawForm,
    "undo": UndoForm,
    "block": BlockForm,
}
