"""Call request modules: list, add, edit, duplicate, delete."""

from dataclasses import replace

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user
from sqlalchemy import or_, select

from app.domain.numbers import ascii_digits
from app.services import modules
from app.services.errors import Invalid, NotFound
from app.services.modules import ModuleInput
from app.store.models import LineRow, Module, QueueRow
from app.web import row_number, words
from app.web.fields import has_errors
from app.web.module_form import ModuleForm
from app.web.parts import administrator_required, database, library, utcnow

blueprint = Blueprint("modules", __name__, url_prefix="/modules")
PAGE = 25


@blueprint.get("")
@administrator_required
def index():
    """List the modules; `q` searches in name and code."""
    wanted = request.args.get("q", "").strip()
    page = request.args.get("page", 1, type=row_number)
    query = select(Module).order_by(Module.code)
    if wanted:
        query = query.where(
            or_(
                Module.name.icontains(wanted, autoescape=True),
                Module.code.contains(ascii_digits(wanted), autoescape=True),
            )
        )
    with database().read() as session:
        rows = session.scalars(query.offset((page - 1) * PAGE).limit(PAGE + 1)).all()
    values = {"modules": rows[:PAGE], "more": len(rows) > PAGE, "page": page, "wanted": wanted, "words": words}
    return render_template("modules/index.html", **values)


@blueprint.route("/new", methods=["GET", "POST"])
@administrator_required
def new():
    """Add a module; a copy of another one to begin with, if `copy` names it."""
    form = ModuleForm()
    copied = request.args.get("copy", 0, type=row_number)
    if request.method == "GET" and copied:
        original = _load(copied)
        form.fill(replace(original, name=_("Copy of %(name)s", name=original.name)[:80], code=""))
    return _edit(form, None)


@blueprint.route("/<row:module_id>", methods=["GET", "POST"])
@administrator_required
def edit(module_id: int):
    """Change a module."""
    given = _load(module_id)
    form = ModuleForm()
    if request.method == "GET":
        form.fill(given)
    return _edit(form, module_id)


def _load(module_id: int) -> ModuleInput:
    try:
        with database().read() as session:
            return modules.load(session, module_id)
    except NotFound:
        abort(404)


def _edit(form: ModuleForm, module_id: int | None):
    status = 200
    if request.method == "POST":
        form.validate()
        form.take_prompts(library())
        if has_errors(form):
            with database().read() as session:  # everything that is wrong is said at once
                form.show(modules.check(session, form.given(), module_id))
        else:
            try:
                modules.save(
                    database(),
                    form.given(),
                    utcnow(),
                    module_id=module_id,
                    actor=current_user.name,
                    library=library(),
                )
            except Invalid as invalid:
                form.show(invalid.errors)
            else:
                flash(_("The module is saved."), "success")
                return redirect(url_for("modules.index"))
        status = 422
    return render_template("modules/form.html", form=form, module_id=module_id, words=words, **_choices()), status


def _choices() -> dict[str, object]:
    """What the exchange has, to choose from; empty where it is out of reach, and everything can be typed."""
    with database().read() as session:
        return {
            "lines": session.scalars(select(LineRow).order_by(LineRow.extension)).all(),
            "queues": session.scalars(select(QueueRow.name).order_by(QueueRow.name)).all(),
            "all_modules": modules.codes(session),
        }


@blueprint.route("/<row:module_id>/delete", methods=["GET", "POST"])
@administrator_required
def delete(module_id: int):
    """Delete a module, after a question that names what still points at it."""
    given = _load(module_id)
    with database().read() as session:
        pointing = modules.pointing_at(session, given.code)
    if request.method == "POST" and not pointing:
        try:
            modules.delete(database(), module_id, utcnow(), actor=current_user.name)
        except (Invalid, NotFound):
            return redirect(url_for("modules.delete", module_id=module_id))
        flash(_("The module is deleted."), "success")
        return redirect(url_for("modules.index"))
    status = 422 if request.method == "POST" else 200
    return render_template("modules/delete.html", module=given, module_id=module_id, pointing=pointing), status
