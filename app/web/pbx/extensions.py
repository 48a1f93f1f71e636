"""Extensions as the exchange reports them, and the scenario of each: its optional destinations."""

from dataclasses import dataclass
from functools import partial

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from flask_wtf import FlaskForm
from sqlalchemy import select
from sqlalchemy.orm import Session
from wtforms import BooleanField

from app.domain.numbers import ascii_digits
from app.domain.policy import LineState
from app.services.errors import NotFound
from app.services.modules.save import EXTENSION, SITUATIONS
from app.services.pbx import dialplan_view, directory, scenarios
from app.services.pbx.directory import ModuleName
from app.services.pbx.scenarios import ExtensionInput
from app.store.models import ExtensionRow, ExtensionScenario
from app.web.context import administrator_required, database, pbx, settings, utcnow
from app.web.fields import DigitsField, WholeNumberField, destination_field
from app.web.pbx import destinations
from app.web.pbx.destinations import Saying

blueprint = Blueprint("extensions", __name__, url_prefix="/extensions")


class ScenarioForm(FlaskForm):
    ring = WholeNumberField(
        _l("The phone rings"), default=25, description=_l("So long, before the call counts as not answered.")
    )
    same = BooleanField(_l("The same for all three"))
    no_answer_kind, busy_kind, unavailable_kind = (destination_field(optional=True) for _n in range(3))
    no_answer_code = DigitsField(_l("No answer"), description=_l("The phone has rung, and nobody took it up."))
    busy_code = DigitsField(_l("Busy"), description=_l("Somebody talks on this phone already."))
    unavailable_code = DigitsField(_l("Unavailable"), description=_l("The phone is switched off, or not connected."))

    def __init__(self) -> None:
        super().__init__()
        self.sayings: dict[str, list[Saying]] = {}

    def ways(self) -> dict[str, tuple[str, str]]:
        """Return the destination of each situation; the first one's of all, if they are to be the same."""
        named = {situation: self.way(situation) for situation in SITUATIONS}
        return dict.fromkeys(SITUATIONS, named["no_answer"]) if self.same.data else named

    def way(self, situation: str) -> tuple[str, str]:
        kind = self._fields[f"{situation}_kind"].data or ""
        return (kind, self._fields[f"{situation}_code"].data if kind else "")

    def fill(self, stored: ExtensionScenario) -> None:
        for name in ("ring", *(f"{s}_{part}" for s in SITUATIONS for part in ("kind", "code"))):
            self._fields[name].data = getattr(stored, name)
        ways = {self.way(situation) for situation in SITUATIONS}
        self.same.data = len(ways) == 1 and bool(stored.no_answer_kind)


@dataclass(frozen=True)
class Row:
    """An extension in the list: what the exchange says of it, what is set here, and which modules are for it."""

    number: str
    line: ExtensionRow | None
    scenario: ExtensionScenario | None
    served_by: list[ModuleName]

    @property
    def state(self) -> LineState:
        return LineState(self.line.state) if self.line is not None else LineState.UNKNOWN

    def fits(self, wanted: str) -> bool:
        name = self.line.name if self.line is not None else ""
        return wanted.lower() in name.lower() or ascii_digits(wanted) in self.number


@blueprint.get("")
@administrator_required
def index():
    """List what the exchange reports, and what has a scenario; `q` searches in number and name."""
    return _list("pbx/extensions.html")


@blueprint.get("/rows")
@administrator_required
def rows():
    """Return the list alone, for the page that asks again and again, or searches."""
    return _list("pbx/_extensions.html")


def _list(template: str):
    with database().read() as session:
        listed = _rows(session)
    return render_template(template, situations=SITUATIONS, **destinations.found(listed))


def _rows(session: Session) -> list[Row]:
    lines = {row.extension: row for row in session.scalars(select(ExtensionRow))}
    stored = {row.extension: row for row in session.scalars(select(ExtensionScenario))}
    served_by, _of_queues = directory.modules_serving(session)
    numbers = sorted({*lines, *stored}, key=lambda number: (len(number), number))
    return [Row(n, lines.get(n), stored.get(n), served_by.get(n, [])) for n in numbers]


@blueprint.get("/open")
@administrator_required
def open_typed():
    """Go to an extension that was typed by hand."""
    number = ascii_digits(request.args.get("number", "")).strip()
    if not EXTENSION.fullmatch(number):
        flash(_("Use digits, * and # only."), "warning")
        return redirect(url_for("extensions.index"))
    return redirect(url_for("extensions.edit", extension=number))


@blueprint.route("/<extension>", methods=["GET", "POST"])
@administrator_required
def edit(extension: str):
    """Change where callers go whom this extension does not take."""
    if not EXTENSION.fullmatch(extension):
        abort(404)
    if pbx().pbx_profile == "freepbx":
        return render_template(
            "pbx/extensions_freepbx.html", extension=extension, line=_line(extension), **destinations.chosen_module()
        )
    form = ScenarioForm()
    with database().read() as session:
        stored = session.get(ExtensionScenario, extension)
    status = 200
    if request.method == "POST":
        if _take(form, extension, stored):
            return redirect(url_for("extensions.index"))
        status = 422
    elif stored is not None:
        form.fill(stored)
    return render_template("pbx/extension_form.html", form=form, stored=stored, **_about(extension)), status


def _take(form: ScenarioForm, extension: str, stored: ExtensionScenario | None) -> bool:
    """Save what was typed, if all of it is sound; else put what is wrong into the form."""
    form.validate()
    given = ExtensionInput(extension, form.ring.data, form.ways())
    before = {(getattr(stored, f"{s}_kind"), getattr(stored, f"{s}_code")) for s in SITUATIONS} if stored else set()
    asked = {s: given.ways[s] for s in (SITUATIONS[:1] if form.same.data else SITUATIONS)}
    errors = scenarios.check_extension(database(), given)
    save = partial(scenarios.save_extension, database(), given, now=utcnow(), actor=current_user.name)
    return destinations.keep(form, asked, before=before, errors=errors, save=save, saved=_("The scenario is saved."))


def _about(extension: str) -> dict[str, object]:
    """Return what the page of an extension tells beside its form."""
    with database().read() as session:
        here = directory.directory(session)
        served_by, _of_queues = directory.modules_serving(session)
    path = settings().dialplan_path
    return {
        "extension": extension,
        "line": _line(extension),
        "situations": SITUATIONS,
        "here": here,
        "in_reach": destinations.in_reach(),
        "served_by": served_by.get(extension, []),
        "excerpt": dialplan_view.excerpt(
            database(), path, "bazang-extensions", extension, own=f"bazang-extension-{extension}"
        ),
        "dialplan_path": path,
    }


def _line(extension: str) -> ExtensionRow | None:
    with database().read() as session:
        return session.get(ExtensionRow, extension)


@blueprint.route("/<extension>/delete", methods=["GET", "POST"])
@administrator_required
def delete(extension: str):
    """Take an extension's scenario away, after a question."""
    with database().read() as session:
        stored = session.get(ExtensionScenario, extension)
    if stored is None:
        abort(404)
    if request.method == "POST":
        try:
            scenarios.forget_extension(database(), extension, now=utcnow(), actor=current_user.name)
        except NotFound:
            abort(404)
        flash(_("The scenario is deleted."), "success")
        return redirect(url_for("extensions.index"))
    return render_template("pbx/extension_delete.html", extension=extension, scenario=stored, situations=SITUATIONS)
