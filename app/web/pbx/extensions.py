"""Extensions: the list of what the PBX reports, and the scenario of each."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from wtforms import BooleanField

from app.domain.numbers import ascii_digits
from app.domain.routing import EXTENSION_PATTERN, Context, Situation
from app.services.errors import NotFound
from app.services.pbx import config_snippets, scenarios
from app.services.pbx.destinations import SaveResult
from app.services.pbx.lists import ListedExtension, find_extension, list_extensions
from app.services.pbx.scenarios import ExtensionInput
from app.web import wording
from app.web.context import administrator_required, database, utcnow
from app.web.fields import WholeNumberField
from app.web.pbx.fields import DestinationField
from app.web.pbx.freepbx import is_freepbx, step_values
from app.web.pbx.lists import list_values
from app.web.pbx.scenario_form import ScenarioForm, page_values, propose_module

blueprint = Blueprint("extensions", __name__, url_prefix="/extensions")


class ExtensionForm(ScenarioForm):
    ring = WholeNumberField(
        _l("The phone rings"), default=25, description=_l("After this time the call counts as not answered.")
    )
    same = BooleanField(_l("The same for all three"))
    no_answer = DestinationField(_l("No answer"), _l("The phone rang and nobody answered."), optional=True)
    busy = DestinationField(_l("Busy"), _l("The phone is in a call."), optional=True)
    unavailable = DestinationField(_l("Unavailable"), _l("The phone is switched off or not connected."), optional=True)

    def load(self, stored: ExtensionInput) -> None:
        """Show a stored scenario."""
        self.ring.data = stored.ring
        destinations = [stored.destination(situation) for situation in Situation]
        for situation, destination in zip(Situation, destinations, strict=True):
            self[situation].show(destination)
        self.same.data = len(set(destinations)) == 1 and bool(destinations[0].kind)

    def input(self, extension: str) -> ExtensionInput:
        """Return what was typed. If `same` is ticked, all situations have the first destination."""
        typed = {situation: self[situation].destination for situation in Situation}
        destinations = dict.fromkeys(Situation, typed[Situation.NO_ANSWER]) if self.same.data else typed
        return ExtensionInput(extension, self.ring.data, destinations)

    def show_result(self, result: SaveResult) -> None:
        """Show errors and warnings. If `same` is ticked, only the first situation is on the page."""
        shown = (Situation.NO_ANSWER,) if self.same.data else tuple(Situation)
        warnings = {situation: found for situation, found in result.warnings.items() if situation in shown}
        super().show_result(SaveResult(result.errors, warnings))


# -- the list ---------------------------------------------------------------------------------------------------------


@blueprint.get("")
@administrator_required
def index():
    """List what the PBX reports and what has a scenario. `q` searches in number and name."""
    return _render_list("pbx/extensions.html")


@blueprint.get("/rows")
@administrator_required
def rows():
    """Return the list alone, for polling and searching."""
    return _render_list("pbx/_extensions.html")


def _render_list(template: str):
    with database().read() as session:
        listed = list_extensions(session)
    return render_template(template, situations=Situation, **list_values(listed))


@blueprint.get("/open")
@administrator_required
def open_typed():
    """Go to the extension that was typed by hand."""
    number = ascii_digits(request.args.get("number", "")).strip()
    if not EXTENSION_PATTERN.fullmatch(number):
        flash(wording.error("code"), "warning")
        return redirect(url_for("extensions.index"))
    return redirect(url_for("extensions.edit", extension=number))


# -- the scenario -----------------------------------------------------------------------------------------------------


@blueprint.route("/<extension>", methods=["GET", "POST"])
@administrator_required
def edit(extension: str):
    """Change the scenario of an extension. On FreePBX, show how to do it there."""
    if not EXTENSION_PATTERN.fullmatch(extension):
        abort(404)
    with database().read() as session:
        row = find_extension(session, extension)
    if is_freepbx():
        return render_template("pbx/extensions_freepbx.html", row=row, situations=Situation, **step_values())
    form = ExtensionForm()
    status = 200
    if request.method == "POST":
        form.validate()
        if form.save(form.input(extension)):
            return redirect(url_for("extensions.index"))
        status = 422
    else:
        form.load(row.scenario or _propose(row))
    values = page_values(form, Context.EXTENSIONS, extension)
    goto = config_snippets.goto_line(Context.EXTENSIONS, extension)
    return render_template("pbx/extension_form.html", form=form, row=row, goto=goto, **values), status


def _propose(row: ListedExtension) -> ExtensionInput:
    """Return the scenario that a new one starts with: a module in all situations."""
    return ExtensionInput(row.number, destinations=dict.fromkeys(Situation, propose_module(row.modules)))


@blueprint.route("/<extension>/delete", methods=["GET", "POST"])
@administrator_required
def delete(extension: str):
    """Delete the scenario of an extension after a confirmation."""
    with database().read() as session:
        stored = scenarios.load_extension(session, extension)
    if stored is None:
        abort(404)
    if request.method == "POST":
        try:
            scenarios.delete_scenario(database(), ExtensionInput, extension, now=utcnow(), actor=current_user.name)
        except NotFound:
            abort(404)
        flash(_("The scenario is deleted."), "success")
        return redirect(url_for("extensions.index"))
    return render_template("pbx/extension_delete.html", scenario=stored, situations=Situation)
