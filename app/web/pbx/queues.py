"""Queues as the exchange reports them, and where callers go whom nobody served."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from flask_wtf import FlaskForm
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.numbers import ascii_digits
from app.domain.policy import LineState
from app.services.errors import NotFound
from app.services.modules.save import TARGET
from app.services.pbx import dialplan_view, directory, scenarios
from app.services.pbx.directory import ModuleName
from app.services.pbx.scenarios import QueueInput
from app.store.models import ExtensionRow, QueueMemberRow, QueueRow, QueueScenario
from app.web.context import administrator_required, database, pbx, settings, utcnow
from app.web.fields import DigitsField, WholeNumberField, destination_field
from app.web.pbx import destinations
from app.web.pbx.destinations import Saying

blueprint = Blueprint("queues", __name__, url_prefix="/queues")


class QueueForm(FlaskForm):
    max_wait = WholeNumberField(
        _l("Maximum wait in the queue"), default=60, description=_l("Then the caller goes to the destination below.")
    )
    wrapup = WholeNumberField(
        _l("Wrap-up time"),
        default=0,
        description=_l(
            "A member is left alone so long after a call. The exchange does not tell it, so repeat it here."
        ),
    )
    failed_kind = destination_field(optional=True)
    failed_code = DigitsField(
        _l("Failed-call destination"), description=_l("For callers who waited too long, or could not join the queue.")
    )

    def __init__(self) -> None:
        super().__init__()
        self.sayings: dict[str, list[Saying]] = {}


@dataclass(frozen=True)
class Seat:
    """A member of a queue with its line."""

    member: QueueMemberRow
    line: ExtensionRow | None

    @property
    def name(self) -> str:
        return (self.line.name if self.line is not None else "") or self.member.name

    @property
    def state(self) -> LineState:
        return LineState(self.line.state) if self.line is not None else LineState.UNKNOWN


@dataclass(frozen=True)
class Row:
    """A queue in the list. `reported`: the exchange has it, as far as is known."""

    name: str
    reported: QueueRow | None
    scenario: QueueScenario | None
    seats: list[Seat]
    served_by: list[ModuleName]

    def fits(self, wanted: str) -> bool:
        named = [self.name, *(seat.name for seat in self.seats), *(seat.member.extension for seat in self.seats)]
        return any(ascii_digits(wanted).lower() in text.lower() for text in named)


@blueprint.get("")
@administrator_required
def index():
    """List the queues with their members and waiting callers; `q` searches in names and members."""
    return _list("pbx/queues.html")


@blueprint.get("/rows")
@administrator_required
def rows():
    """Return the list alone, for the page that asks again and again, or searches."""
    return _list("pbx/_queues.html")


def _list(template: str):
    with database().read() as session:
        listed = _rows(session)
    return render_template(template, **destinations.found(listed))


def _rows(session: Session) -> list[Row]:
    queues = {row.name: row for row in session.scalars(select(QueueRow))}
    stored = {row.queue: row for row in session.scalars(select(QueueScenario))}
    lines = {row.extension: row for row in session.scalars(select(ExtensionRow))}
    seats = _seats(session.scalars(select(QueueMemberRow)), lines)
    _of_extensions, served_by = directory.modules_serving(session)
    names = sorted({*queues, *stored})
    return [Row(n, queues.get(n), stored.get(n), seats.get(n, []), served_by.get(n, [])) for n in names]


def _seats(members: Iterable[QueueMemberRow], lines: dict[str, ExtensionRow]) -> dict[str, list[Seat]]:
    seats: dict[str, list[Seat]] = {}
    for member in sorted(members, key=lambda member: (member.penalty, len(member.extension), member.extension)):
        seats.setdefault(member.queue, []).append(Seat(member, lines.get(member.extension)))
    return seats


@blueprint.get("/open")
@administrator_required
def open_typed():
    """Go to a queue that was typed by hand."""
    name = ascii_digits(request.args.get("name", "")).strip()
    if not TARGET.fullmatch(name):
        flash(_("Use letters, digits, dots, dashes and underscores only."), "warning")
        return redirect(url_for("queues.index"))
    return redirect(url_for("queues.edit", queue=name))


@blueprint.route("/<queue>", methods=["GET", "POST"])
@administrator_required
def edit(queue: str):
    """Change a queue's failed-call destination."""
    if not TARGET.fullmatch(queue):
        abort(404)
    with database().read() as session:
        stored = session.get(QueueScenario, queue)
        row = next((row for row in _rows(session) if row.name == queue), Row(queue, None, None, [], []))
    if pbx().pbx_profile == "freepbx":
        return render_template("pbx/queues_freepbx.html", queue=queue, row=row, **destinations.chosen_module())
    form = QueueForm()
    status = 200
    if request.method == "POST":
        if _take(form, queue, stored):
            return redirect(url_for("queues.index"))
        status = 422
    elif stored is not None:
        for name in ("max_wait", "wrapup", "failed_kind", "failed_code"):
            form._fields[name].data = getattr(stored, name)
    return render_template("pbx/queue_form.html", form=form, stored=stored, row=row, **_about(queue)), status


def _take(form: QueueForm, queue: str, stored: QueueScenario | None) -> bool:
    """Save what was typed, if all of it is sound; else put what is wrong into the form."""
    form.validate()
    way = (form.failed_kind.data or "", form.failed_code.data if form.failed_kind.data else "")
    given = QueueInput(queue, form.max_wait.data, form.wrapup.data, way)
    before = {(stored.failed_kind, stored.failed_code)} if stored else set()
    errors = scenarios.check_queue(database(), given)
    save = partial(scenarios.save_queue, database(), given, now=utcnow(), actor=current_user.name)
    saved = _("The queue's destination is saved.")
    return destinations.keep(form, {"failed": way}, before=before, errors=errors, save=save, saved=saved)


def _about(queue: str) -> dict[str, object]:
    """Return what the page of a queue tells beside its form."""
    with database().read() as session:
        here = directory.directory(session)
    path = settings().dialplan_path
    excerpt = dialplan_view.excerpt(database(), path, "bazang-queues", queue)
    return {
        "queue": queue,
        "here": here,
        "in_reach": destinations.in_reach(),
        "excerpt": excerpt,
        "dialplan_path": path,
    }


@blueprint.route("/<queue>/delete", methods=["GET", "POST"])
@administrator_required
def delete(queue: str):
    """Take away what is set for a queue, after a question."""
    with database().read() as session:
        stored = session.get(QueueScenario, queue)
    if stored is None:
        abort(404)
    if request.method == "POST":
        try:
            scenarios.forget_queue(database(), queue, now=utcnow(), actor=current_user.name)
        except NotFound:
            abort(404)
        flash(_("The queue's destination is deleted."), "success")
        return redirect(url_for("queues.index"))
    return render_template("pbx/queue_delete.html", queue=queue, scenario=stored)
