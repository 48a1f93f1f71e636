"""Call request modules: list, add, edit, duplicate, delete."""

from dataclasses import dataclass, replace

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from app.domain.numbers import ascii_digits
from app.services.errors import Invalid, NotFound
from app.services.modules import save as modules
from app.services.modules.save import ModuleInput
from app.services.pbx import directory, lookup
from app.store.models import Module
from app.web.context import administrator_required, database, library, pbx, settings, utcnow
from app.web.fields import has_errors
from app.web.http import is_fragment, parse_row_number
from app.web.modules import summary
from app.web.modules.form import ModuleForm
from app.web.pbx import destinations
from app.web.pbx.destinations import Verdict

blueprint = Blueprint("modules", __name__, url_prefix="/modules")
PAGE = 25
NEAR = 2  # pages that are named on both sides of the one that is shown
ORDERS = {"code": Module.code, "name": func.lower(Module.name), "kind": Module.target_kind, "active": Module.active}


@dataclass(frozen=True)
class Listed:
    """A page of the list. `numbers` are those of pages to go to, with 0 where some are left out."""

    rows: list[Module]
    total: int
    page: int
    pages: int
    wanted: str
    sort: str  # a name of ORDERS, with "-" before it for the other way round
    numbers: list[int]

    def order(self, name: str) -> str:
        """Return what a click on this column asks for: the other way round where it is sorted by it already."""
        return f"-{name}" if self.sort == name else name

    def aria(self, name: str) -> str:
        return {name: "ascending", f"-{name}": "descending"}.get(self.sort, "none")


@blueprint.get("")
@administrator_required
def index():
    """List the modules; `q` searches in name and code, `sort` is a column."""
    with database().read() as session:
        listed = _list(session, request.args.get("q", "").strip(), request.args.get("sort", "code"))
        reached = directory.references(session)
    template = "modules/_list.html" if is_fragment() else "modules/index.html"
    return render_template(template, listed=listed, reached=reached, **_row_values())


def _row_values() -> dict[str, object]:
    return {"profile": pbx().pbx_profile}


def _list(session: Session, wanted: str, sort: str) -> Listed:
    name = sort.removeprefix("-")
    if name not in ORDERS:
        name = sort = "code"
    found = select(Module)
    if wanted:
        code = Module.code.contains(ascii_digits(wanted), autoescape=True)
        found = found.where(or_(Module.name.icontains(wanted, autoescape=True), code))
    total = session.scalar(select(func.count()).select_from(found.subquery())) or 0
    pages = max(1, -(-total // PAGE))
    page = min(request.args.get("page", 1, type=parse_row_number), pages)
    order = ORDERS[name].desc() if sort.startswith("-") else ORDERS[name].asc()
    rows = session.scalars(found.order_by(order, Module.code).offset((page - 1) * PAGE).limit(PAGE)).all()
    return Listed(list(rows), total, page, pages, wanted, sort, _numbers(page, pages))


def _numbers(page: int, pages: int) -> list[int]:
    """Return the pages to name: the first, the last, and those near to the one that is shown."""
    named = sorted({1, pages, *range(max(1, page - NEAR), min(pages, page + NEAR) + 1)})
    numbers: list[int] = []
    for number in named:
        if numbers and number > numbers[-1] + 1:
            numbers.append(0)
        numbers.append(number)
    return numbers


@blueprint.post("/<row:module_id>/active")
@administrator_required
def switch(module_id: int):
    """Switch a module on or off, in its row of the list."""
    wanted = request.form.get("active") == "1"
    try:
        modules.set_active(database(), module_id, wanted, utcnow(), actor=current_user.name)
    except NotFound:
        abort(404)
    if not is_fragment():
        flash(_("The module is switched on.") if wanted else _("The module is switched off."), "success")
        return redirect(url_for("modules.index"))
    with database().read() as session:
        module = session.get_one(Module, module_id)
        reached = directory.references(session)
    return render_template("modules/_row.html", module=module, reached=reached, **_row_values())


@blueprint.route("/new", methods=["GET", "POST"])
@administrator_required
def new():
    """Add a module; a copy of another one to begin with, if `copy` names it."""
    form = ModuleForm()
    copied = request.args.get("copy", 0, type=parse_row_number)
    if request.method == "GET":
        with database().read() as session:
            code = directory.free_code(session)
        if copied:
            original = _load(copied)
            form.fill(replace(original, name=_("Copy of %(name)s", name=original.name)[:80], code=code))
        form.code.data = code
    return _edit(form, None)


@blueprint.route("/<row:module_id>", methods=["GET", "POST"])
@administrator_required
def edit(module_id: int):
    """Change a module."""
    given = _load(module_id)
    form = ModuleForm()
    if request.method == "GET":
        form.fill(given)
    return _edit(form, module_id, given)


def _load(module_id: int) -> ModuleInput:
    try:
        with database().read() as session:
            return modules.load(session, module_id)
    except NotFound:
        abort(404)


def _edit(form: ModuleForm, module_id: int | None, before: ModuleInput | None = None):
    status = 200
    if request.method == "POST":
        if _take(form, module_id, before):
            return redirect(url_for("modules.index"))
        status = 422
    with database().read() as session:
        here = directory.directory(session)
    values = {"here": here, "sentences": summary.sentences(form.given(), here)}
    return render_template("modules/form.html", form=form, module_id=module_id, **values), status


def _take(form: ModuleForm, module_id: int | None, before: ModuleInput | None) -> bool:
    """Save what was typed, if all of it is sound; else put what is wrong into the form, all of it at once."""
    form.validate()
    form.take_prompts(library())
    given = form.given()
    if before is not None and given.active == (form.shown_active.data == "1"):
        given = replace(given, active=before.active)  # it was left as it was shown
    was_wrong = has_errors(form)
    with database().read() as session:
        errors = modules.check(session, given, module_id)
    form.show(errors)
    if errors or was_wrong:
        form.show_verdict(destinations.ticked({**form.places(given, before), "code": [(destinations.OWN, given.code)]}))
        return False
    verdict = _ask_exchange(form, given, before)
    if verdict.refused:
        return False
    try:
        modules.save(database(), given, utcnow(), module_id=module_id, actor=current_user.name, library=library())
    except Invalid as invalid:  # somebody else was faster
        form.show(invalid.errors)
        return False
    except NotFound:  # what was typed stays to be read; nothing of it is stored
        form.form_errors.append(_("Somebody has just deleted this module, so nothing was saved."))
        return False
    flash(_("The module is saved."), "success")
    destinations.tell_unasked(verdict)
    return True


def _ask_exchange(form: ModuleForm, given: ModuleInput, before: ModuleInput | None) -> Verdict:
    """Hold a sound module against the exchange: does it have what is named, and nothing else at the code?"""
    verdict = destinations.hold(form.places(given, before))
    if not verdict.unasked and (before is None or before.code != given.code):
        context = lookup.code_taken(database(), settings(), given.code, current_user.name, utcnow())
        if context:
            taken = {"code": [destinations.code_taken(given.code, context)]}
            verdict = Verdict({**verdict.doubts, **taken})
        elif context is None:
            verdict = Verdict(verdict.doubts, unasked=True)
    form.show_verdict(verdict)
    return verdict


@blueprint.post("/summary")
@administrator_required
def summarise():
    """Say in plain words what the form as it stands would do."""
    form = ModuleForm()
    form.validate()
    with database().read() as session:
        here = directory.directory(session)
    return render_template("modules/_summary.html", sentences=summary.sentences(form.given(), here))


@blueprint.route("/<row:module_id>/delete", methods=["GET", "POST"])
@administrator_required
def delete(module_id: int):
    """Delete a module, after a question that names what still points at it."""
    given = _load(module_id)
    with database().read() as session:
        pointing = directory.references(session).get(given.code, [])
        waiting = directory.open_requests(session, module_id)
    if request.method == "POST" and not pointing:
        try:
            modules.delete(database(), module_id, utcnow(), actor=current_user.name)
        except (Invalid, NotFound):
            return redirect(url_for("modules.delete", module_id=module_id))
        flash(_("The module is deleted."), "success")
        return redirect(url_for("modules.index"))
    status = 422 if request.method == "POST" else 200
    values = {"module": given, "module_id": module_id, "pointing": pointing, "waiting": waiting}
    return render_template("modules/delete.html", **values), status
