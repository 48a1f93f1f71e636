"""Queues: the list of what the PBX reports, and the scenario of each."""

from dataclasses import replace

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user

from app.domain.routing import QUEUE_PATTERN, Context
from app.services.errors import Invalid, NotFound
from app.services.modules.offers import Offer, find_offer
from app.services.pbx import queue_names, scenarios
from app.services.pbx.lists import ListedQueue, find_queue, list_queues
from app.services.pbx.scenarios import QueueInput
from app.web import wording
from app.web.context import administrator_required, database, settings, utcnow
from app.web.fields import PanelForm, WholeNumberField, has_errors, show_errors, typed_text
from app.web.pbx.fields import DestinationField
from app.web.pbx.freepbx import is_freepbx, step_values
from app.web.pbx.lists import list_values
from app.web.pbx.scenario_form import ScenarioForm, page_values, propose_module

blueprint = Blueprint("queues", __name__, url_prefix="/queues")


class QueueForm(ScenarioForm):
    max_wait = WholeNumberField(
        _l("Maximum wait in the queue"),
        default=60,
        description=_l("After this time the call goes to the destination below."),
    )
    wrapup = WholeNumberField(
        _l("Wrap-up time"),
        default=0,
        description=_l("How long members get no call after a call. The PBX may not report it, so enter it here too."),
    )
    failed = DestinationField(
        _l("Failed-call destination"),
        _l("For callers who waited too long or could not join the queue."),
        optional=True,
    )

    def load(self, stored: QueueInput) -> None:
        """Show a stored scenario."""
        self.max_wait.data, self.wrapup.data = stored.max_wait, stored.wrapup
        self.failed.show(stored.failed)

    def input(self, queue: str) -> QueueInput:
        """Return what was typed."""
        return QueueInput(queue, self.max_wait.data, self.wrapup.data, self.failed.destination)


class WrapupForm(PanelForm):
    wrapup = WholeNumberField(
        _l("Wrap-up time"),
        default=0,
        description=_l("As it is set on the PBX, which does not let us read it: members get no call for so long."),
    )


# -- the list ---------------------------------------------------------------------------------------------------------


@blueprint.get("")
@administrator_required
def index():
    """List the queues with their members and waiting callers. `q` searches in names and members."""
    return _render_list("pbx/queues.html")


@blueprint.get("/rows")
@administrator_required
def rows():
    """Return the list alone, for polling and searching."""
    return _render_list("pbx/_queues.html")


def _render_list(template: str):
    with database().read() as session:
        listed = list_queues(session)
    return render_template(template, **list_values(listed))


@blueprint.get("/open")
@administrator_required
def open_typed():
    """Go to the queue that was typed by hand."""
    name = typed_text([request.args.get("name", "")])
    if not QUEUE_PATTERN.fullmatch(name):
        flash(wording.error("queue_name"), "warning")
        return redirect(url_for("queues.index"))
    return redirect(url_for("queues.edit", queue=name))


# -- the scenario -----------------------------------------------------------------------------------------------------


@blueprint.route("/<queue>", methods=["GET", "POST"])
@administrator_required
def edit(queue: str):
    """Change the scenario of a queue. On FreePBX, show how to do it there."""
    if not QUEUE_PATTERN.fullmatch(queue):
        abort(404)
    with database().read() as session:
        row, extension = find_queue(session, queue), queue_names.extension_of(session, queue)
        offer = find_offer(session, settings(), queue)
    if is_freepbx():
        return _edit_on_freepbx(row, offer)
    form = QueueForm()
    status = 200
    if request.method == "POST":
        form.validate()
        if form.save(form.input(queue)):
            return redirect(url_for("queues.index"))
        status = 422
    else:
        form.load(row.scenario or QueueInput(row.name, failed=propose_module(row.modules)))
    values = page_values(form, Context.QUEUES, extension)
    return render_template("pbx/queue_form.html", form=form, row=row, offer=offer, **values), status


def _edit_on_freepbx(row: ListedQueue, offer: Offer | None):
    """Show how to lead the queue's callers to a module, and ask for the wrap-up time if the PBX does not tell it."""
    form, status = WrapupForm(), 200
    stored = row.scenario or QueueInput(row.name)
    if request.method == "POST" and form.wrapup.name in request.form:
        form.validate()
        if not has_errors(form) and _save_wrapup(form, stored):
            return redirect(url_for("queues.index"))
        status = 422
    elif request.method == "GET":
        form.wrapup.data = stored.wrapup
    return render_template("pbx/queues_freepbx.html", row=row, form=form, offer=offer, **step_values()), status


def _save_wrapup(form: WrapupForm, stored: QueueInput) -> bool:
    given = replace(stored, wrapup=form.wrapup.data)
    try:
        scenarios.save_scenario(database(), given, now=utcnow(), actor=current_user.name)
    except Invalid as invalid:
        show_errors(form, invalid.errors)
        return False
    flash(_("The wrap-up time is saved."), "success")
    return True


@blueprint.route("/<queue>/delete", methods=["GET", "POST"])
@administrator_required
def delete(queue: str):
    """Delete the scenario of a queue after a confirmation."""
    with database().read() as session:
        stored = scenarios.load_queue(session, queue)
    if stored is None:
        abort(404)
    if request.method == "POST":
        try:
            scenarios.delete_scenario(database(), QueueInput, queue, now=utcnow(), actor=current_user.name)
        except NotFound:
            abort(404)
        flash(_("The scenario is deleted."), "success")
        return redirect(url_for("queues.index"))
    return render_template("pbx/queue_delete.html", scenario=stored)
