"""Extensions as the exchange reports them, and the scenario of each: its optional destinations."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from flask_wtf import FlaskForm
from sqlalchemy import select

from app.domain.numbers import ascii_digits
from app.domain.policy import LineState
from app.services import modules, scenarios
from app.services.errors import Invalid
from app.services.modules import EXTENSION, SITUATIONS
from app.services.scenarios import ExtensionInput
from app.store.models import ExtensionScenario, LineRow
from app.web import words
from app.web.fields import DigitsField, WholeNumberField, destination_field, has_errors, show_errors
from app.web.parts import administrator_required, database, exchange, utcnow

blueprint = Blueprint("extensions", __name__, url_prefix="/extensions")


class ScenarioForm(FlaskForm):
    ring = WholeNumberField(_l("The phone rings"), default=25, description=_l("Seconds."))
    no_answer_kind, busy_kind, unavailable_kind = (destination_field(optional=True) for _n in range(3))
    no_answer_code = DigitsField(_l("No answer"))
    busy_code = DigitsField(_l("Busy"))
    unavailable_code = DigitsField(_l("Unavailable"))


@blueprint.get("")
@administrator_required
def index():
    """List what the exchange reports, and what has a scenario."""
    with database().read() as session:
        lines = {row.extension: row for row in session.scalars(select(LineRow))}
        stored = {row.extension: row for row in session.scalars(select(ExtensionScenario))}
    rows = [(number, lines.get(number), stored.get(number)) for number in sorted({*lines, *stored})]
    return render_template("extensions/index.html", rows=rows, words=words, LineState=LineState, situations=SITUATIONS)


@blueprint.get("/open")
@administrator_required
def open_typed():
    """Go to an extension that was typed by hand."""
    number = ascii_digits(request.args.get("number", "")).strip()
    if not EXTENSION.fullmatch(number):
        flash(_("Digits, * and # only."), "warning")
        return redirect(url_for("extensions.index"))
    return redirect(url_for("extensions.edit", extension=number))


@blueprint.route("/<extension>", methods=["GET", "POST"])
@administrator_required
def edit(extension: str):
    """Change where callers go whom this extension does not take."""
    if not EXTENSION.fullmatch(extension):
        abort(404)
    if exchange().pbx_profile == "freepbx":
        return render_template("extensions/freepbx.html", extension=extension, modules=_modules())
    form = ScenarioForm()
    status = 200
    if request.method == "POST":
        form.validate()
        if not has_errors(form):
            try:
                given = ExtensionInput(extension, form.ring.data, {s: _way(form, s) for s in SITUATIONS})
                scenarios.save_extension(database(), given, now=utcnow(), actor=current_user.name)
            except Invalid as invalid:
                show_errors(form, invalid.errors)
            else:
                flash(_("The scenario is saved."), "success")
                return redirect(url_for("extensions.index"))
        status = 422
    else:
        _fill(form, extension)
    return render_template(
        "extensions/form.html",
        form=form,
        extension=extension,
        situations=SITUATIONS,
        words=words,
        all_modules=_modules(),
    ), status


def _modules():
    with database().read() as session:
        return modules.codes(session)


def _way(form: ScenarioForm, situation: str) -> tuple[str, str]:
    kind = form._fields[f"{situation}_kind"].data or ""
    return (kind, form._fields[f"{situation}_code"].data if kind else "")


def _fill(form: ScenarioForm, extension: str) -> None:
    with database().read() as session:
        stored = session.get(ExtensionScenario, extension)
    if stored is not None:
        for name in ("ring", *(f"{s}_{part}" for s in SITUATIONS for part in ("kind", "code"))):
            form._fields[name].data = getattr(stored, name)
