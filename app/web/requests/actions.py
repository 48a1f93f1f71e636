"""What can be done with requests, one or several at once: a page (or dialog) for each act, and the act itself.

Each request is named as `row=5.3`, its number and the version that was shown: what another person has changed since is
left alone, and one is told who did what.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import ClassVar

from flask import Blueprint, abort, flash, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user, login_required
from flask_wtf import FlaskForm
from markupsafe import Markup
from wtforms import RadioField, SelectChoice, SelectField, TextAreaField
from wtforms.validators import InputRequired, ValidationError

from app.domain.text import displayable
from app.services.errors import Invalid
from app.services.report import periods
from app.services.requests import perform as acting
from app.services.requests import targets
from app.services.requests.actions import (
    MAX_NOTE_LENGTH,
    PRIORITIES,
    Action,
    CallNow,
    Cancel,
    MarkDone,
    Postpone,
    Prioritise,
    Reassign,
    ShownRequest,
    WriteNote,
)
from app.services.requests.pending import PendingRow, load_rows
from app.services.requests.results import ActionResult
from app.services.requests.wait import wait_for_results
from app.web import wording as words
from app.web.context import current_scope, database, utcnow
from app.web.fields import DateField, show_errors
from app.web.formats import digits, office_zone
from app.web.http import is_fragment, is_local_url, parse_row_number, previous_page
from app.web.requests import wording
from app.web.times import TimeField, here, moment_of

blueprint = Blueprint("acts", __name__, url_prefix="/requests/acts")
MOST_ROWS = 500


class ActForm(FlaskForm):
    """What is asked before an act."""

    title: ClassVar[object]
    button: ClassVar[object]
    icon: ClassVar[str]
    danger: ClassVar[bool] = False

    def prepare(self, rows: Sequence[PendingRow]) -> None:
        """Fill in what there is to choose, and what stands there to begin with."""

    def action(self) -> Action:
        raise NotImplementedError

    def is_typed(self) -> bool:
        """Tell whether something was typed that must not be lost when another person was quicker."""
        return False


class CallForm(ActForm):
    title, button, icon = _l("Call now"), _l("Call now"), "phone-outgoing"
    agent = RadioField(_l("Whose phone rings first?"), default="", validate_choice=False)

    def prepare(self, rows: Sequence[PendingRow]) -> None:
        choices = [SelectChoice("", _("The next agent who is free"))]
        for extension in current_user.extensions:
            choices.append(SelectChoice(extension, _("My own phone, %(extension)s", extension=digits(extension))))
        self.agent.choices = choices

    def action(self) -> Action:
        return CallNow(self.agent.data or None)


class PostponeForm(ActForm):
    title, button, icon = _l("Postpone"), _l("Postpone"), "clock-pause"
    until = RadioField(
        _l("Until when?"),
        choices=[
            SelectChoice("15", _l("In 15 minutes")),
            SelectChoice("60", _l("In 1 hour")),
            SelectChoice("tomorrow", _l("Tomorrow morning")),
            SelectChoice("at", _l("At a time that I choose")),
        ],
        default="at",
        validate_choice=False,
    )
    day = DateField(_l("Date"))
    at = TimeField(_l("Time"))

    def prepare(self, rows: Sequence[PendingRow]) -> None:
        if not self.day.raw_data and not self.at.raw_data:
            soon = here(utcnow() + timedelta(hours=2)).replace(minute=0)
            self.day.data, self.at.data = soon.date(), digits(soon.strftime("%H:%M"))

    def validate_until(self, field: RadioField) -> None:
        if field.data not in ("15", "60", "tomorrow", "at"):
            raise ValidationError(words.error("choice"))
        if field.data != "at":
            self.day.data, self.at.at, self.day.process_errors, self.at.process_errors = None, None, [], []
            return
        for part, there in ((self.day, self.day.data), (self.at, self.at.at)):
            if there is None and not part.errors and not part.process_errors:
                part.process_errors = [words.error("required")]

    def action(self) -> Action:
        now = utcnow()
        if self.until.data == "tomorrow":
            return Postpone(periods.tomorrow_morning(now, office_zone()))
        if self.until.data != "at":
            return Postpone(now + timedelta(minutes=int(self.until.data)))
        return Postpone(self._chosen(self.day.data, self.at.at))

    def is_typed(self) -> bool:
        return self.until.data == "at"

    @staticmethod
    def _chosen(day: date | None, at: time | None) -> datetime:
        assert day is not None and at is not None
        return moment_of(day, at)


class ReassignForm(ActForm):
    title, button, icon = _l("Reassign"), _l("Reassign"), "transfer"
    target = SelectField(_l("To whom?"), validate_choice=False)

    def prepare(self, rows: Sequence[PendingRow]) -> None:
        there = targets.load_targets(database())
        choices = [SelectChoice("", _("Choose …"))]
        if all(row.module_id is not None and not row.queue for row in rows):
            choices.append(SelectChoice("any", _("any extension of the module")))
        for extension, name in there.extensions:
            label = (
                f"{wording.target(False, extension)} · {displayable(name)}"
                if name
                else wording.target(False, extension)
            )
            choices.append(SelectChoice(f"extension:{extension}", label))
        choices += [SelectChoice(f"queue:{queue}", wording.target(True, queue)) for queue in there.queues]
        self.target.choices = choices

    def validate_target(self, field: SelectField) -> None:
        kind, _colon, code = (field.data or "").partition(":")
        if not field.data:
            raise ValidationError(words.error("required"))
        if field.data != "any" and (kind not in ("extension", "queue") or not code):
            raise ValidationError(words.error("choice"))

    def action(self) -> Action:
        kind, _colon, code = str(self.target.data).partition(":")
        return Reassign(kind == "queue", code)


class PriorityForm(ActForm):
    title, button, icon = _l("Priority"), _l("Change the priority"), "flag"
    priority = RadioField(
        _l("Which priority?"),
        choices=[SelectChoice(str(value), wording.PRIORITY[value]) for value in reversed(PRIORITIES)],
        description=_l("A high one goes before all normal ones."),
        validate_choice=False,
    )

    def prepare(self, rows: Sequence[PendingRow]) -> None:
        if self.priority.data is None:
            self.priority.data = str(rows[0].priority)

    def validate_priority(self, field: RadioField) -> None:
        if field.data not in [str(value) for value in PRIORITIES]:
            raise ValidationError(words.error("choice"))

    def action(self) -> Action:
        return Prioritise(int(self.priority.data))


class NoteForm(ActForm):
    title, button, icon = _l("Note"), _l("Keep the note"), "note"
    note = TextAreaField(_l("Note"), validators=[InputRequired(_l("This is needed."))])

    def prepare(self, rows: Sequence[PendingRow]) -> None:
        if self.note.data is None and len(rows) == 1:
            self.note.data = rows[0].note

    def action(self) -> Action:
        return WriteNote(self.note.data or "")

    def is_typed(self) -> bool:
        return True


class DoneForm(ActForm):
    title, button, icon = _l("Mark as done"), _l("Mark as done"), "circle-check"
    note = TextAreaField(_l("Note"), description=_l("What came of it; it may stay empty."))

    def prepare(self, rows: Sequence[PendingRow]) -> None:
        if self.note.data is None and len(rows) == 1:
            self.note.data = rows[0].note

    def action(self) -> Action:
        return MarkDone(self.note.data or "")

    def is_typed(self) -> bool:
        return bool((self.note.data or "").strip())


class CancelForm(ActForm):
    title, button, icon, danger = _l("Cancel the request"), _l("Cancel the request"), "ban", True

    def action(self) -> Action:
        return Cancel()


FORMS: dict[str, type[ActForm]] = {
    "call": CallForm,
    "postpone": PostponeForm,
    "reassign": ReassignForm,
    "priority": PriorityForm,
    "note": NoteForm,
    "done": DoneForm,
    "cancel": CancelForm,
}


@blueprint.route("/<any(call,postpone,reassign,priority,note,done,cancel):act>", methods=["GET", "POST"])
@login_required
def perform(act: str):
    """Ask what is needed for an act (GET), and do it (POST)."""
    seen = _chosen_rows()
    if not seen:
        return say_acted(_("Choose one or more requests first."), "warning")
    rows = {row.id: row for row in load_rows(database(), current_scope(), [row.id for row in seen], utcnow())}
    if not rows:
        abort(404)
    form = FORMS[act](request.values if request.method == "POST" else None)
    told = None
    if request.method == "POST" and form.validate():
        try:
            results, (told, level) = _perform(form.action(), seen, rows)
        except Invalid as invalid:
            _show(form, invalid.errors)
        else:
            left = _to_repeat(results)
            if not left or not form.is_typed():
                return say_acted(told, level)
            seen = left
            rows = {row.id: row for row in load_rows(database(), current_scope(), [row.id for row in seen], utcnow())}
    form.prepare(list(rows.values()))
    template = "requests/_action_form.html" if is_fragment() else "requests/action.html"
    values = {"form": form, "act": act, "seen": seen, "rows": rows, "told": told, "back": _back()}
    return render_template(template, **values, longest_note=MAX_NOTE_LENGTH), 422 if request.method == "POST" else 200


def _chosen_rows() -> list[ShownRequest]:
    try:
        return [_read_row(text) for text in dict.fromkeys(request.values.getlist("row"))][:MOST_ROWS]
    except ValueError:
        abort(400)


def _read_row(text: str) -> ShownRequest:
    number, _dot, version = text.partition(".")
    return ShownRequest(parse_row_number(number), parse_row_number(version))


def _show(form: ActForm, errors: dict[str, str]) -> None:
    """Put what the service refuses beside the field that was typed."""
    if "until" in errors:
        errors = {"day": errors["until"]}
    show_errors(form, errors)


def _perform(
    action: Action, seen: Sequence[ShownRequest], rows: Mapping[int, PendingRow]
) -> tuple[Sequence[ActionResult], tuple[Markup, str]]:
    """Do it; return what came of it, row by row, and how that is said."""
    results: Sequence[ActionResult] = acting.perform(database(), current_scope(), action, seen, utcnow())
    results = wait_for_results(database(), results)
    return results, wording.told(action, results, rows)


def _to_repeat(results: Sequence[ActionResult]) -> list[ShownRequest]:
    """Return the requests that were left alone, as they were then: who presses again has been told of that."""
    return [
        ShownRequest(result.id, result.version) for result in results if not result.ok and result.version is not None
    ]


def say_acted(message: str, level: str, back: str | None = None):
    """Say what came of it: within the page, or on the page from which it was done."""
    if not is_fragment():
        flash(message, level)
        return redirect(back or _back())
    answer = make_response(render_template("requests/_action_result.html", message=message, level=level))
    answer.headers["HX-Trigger"] = "acted"
    return answer


def _back() -> str:
    """Return the page from which one came to do this."""
    wanted = request.form.get("back") or previous_page()
    ours = is_local_url(wanted) and not wanted.startswith(url_for("acts.perform", act="call").rpartition("/")[0])
    return wanted if ours else url_for("requests.index")
