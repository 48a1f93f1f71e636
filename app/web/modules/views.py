"""Call request modules: list, add, edit, duplicate, switch and delete."""

from dataclasses import dataclass, replace

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user

from app.audio.convert import MAX_BYTES
from app.services.errors import ChangedMeanwhile, Invalid, NotFound
from app.services.modules.former_codes import list_former_codes, remove_former_code
from app.services.modules.input import ModuleInput
from app.services.modules.list import (
    SORT_COLUMNS,
    ModulePage,
    count_open_requests,
    get_module,
    list_modules,
    load_module,
    names_by_id,
    suggest_code,
)
from app.services.modules.save import check_and_save_module, check_without_pbx, delete_module, set_active
from app.services.pbx.destinations import SaveResult
from app.services.pbx.references import find_references
from app.web.body_check import accept_file
from app.web.context import administrator_required, database, directory, library, pbx, settings, utcnow
from app.web.fields import has_errors
from app.web.formats import fill_in, number
from app.web.hours_fields import WEEK_HELP
from app.web.http import is_fragment, parse_row_number
from app.web.modules.form import ModuleForm
from app.web.modules.summary import summarise
from app.web.pbx.fields import confirmed_keys, flash_unanswered

blueprint = Blueprint("modules", __name__, url_prefix="/modules")
NEAR_PAGES = 2  # how many pages before and after the current one have a link


# -- the list ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ModuleList:
    """A page of the list as it was asked for. `sort` is a column, with "-" before it for descending order."""

    content: ModulePage
    search: str
    sort: str

    def next_sort(self, column: str) -> str:
        """Return the order that a click on a column asks for: the other direction if it is sorted by it."""
        return f"-{column}" if self.sort == column else column

    def aria_sort(self, column: str) -> str:
        return {column: "ascending", f"-{column}": "descending"}.get(self.sort, "none")

    def page_links(self) -> list[int]:
        """Return the pages that have a link: the first, the last and the near ones. 0 stands for a gap."""
        page, pages = self.content.page, self.content.pages
        near = range(max(1, page - NEAR_PAGES), min(pages, page + NEAR_PAGES) + 1)
        links: list[int] = []
        for shown in sorted({1, pages, *near}):
            if links and shown > links[-1] + 1:
                links.append(0)
            links.append(shown)
        return links


@blueprint.get("")
@administrator_required
def index():
    """List the modules. `q` searches in name and code, `sort` is a column."""
    with database().read() as session:
        listed = _list(session)
        references = find_references(session)
        values = {"former_codes": list_former_codes(session), "names": names_by_id(session)}
    template = "modules/_list.html" if is_fragment() else "modules/index.html"
    return render_template(template, listed=listed, references=references, profile=pbx().pbx_profile, **values)


def _list(session) -> ModuleList:
    search, sort = request.args.get("q", "").strip(), request.args.get("sort", "code")
    if sort.removeprefix("-") not in SORT_COLUMNS:
        sort = "code"
    page = request.args.get("page", 1, type=parse_row_number)
    column, descending = sort.removeprefix("-"), sort.startswith("-")
    content = list_modules(session, search=search, column=column, descending=descending, page=page)
    return ModuleList(content, search, sort)


@blueprint.post("/<row:module_id>/active")
@administrator_required
def switch(module_id: int):
    """Switch a module on or off, in its row of the list."""
    active = request.form.get("active") == "1"
    try:
        set_active(database(), module_id, active, utcnow(), actor=current_user.name)
    except NotFound:
        abort(404)
    if not is_fragment():
        flash(_("The module is now active.") if active else _("The module is now inactive."), "success")
        return redirect(url_for("modules.index"))
    with database().read() as session:
        module, references = get_module(session, module_id), find_references(session)
    return render_template("modules/_row.html", module=module, references=references, profile=pbx().pbx_profile)


@blueprint.post("/former-codes")
@administrator_required
def remove_code():
    """Remove the former code in the form."""
    code = request.form.get("code", "")
    try:
        remove_former_code(database(), code, utcnow(), actor=current_user.name)
    except NotFound:
        abort(404)
    flash(fill_in(_("The former code %(code)s is removed."), code=number(code)), "success")
    return redirect(url_for("modules.index"))


# -- the form ---------------------------------------------------------------------------------------------------------


@blueprint.route("/new", methods=["GET", "POST"])
@administrator_required
@accept_file(MAX_BYTES)
def new():
    """Add a module. `copy` is the id of a module whose values the form starts with."""
    form = ModuleForm()
    original_id = request.args.get("copy", 0, type=parse_row_number)
    if request.method == "GET":
        with database().read() as session:
            code = suggest_code(session)
        if original_id:
            original = _load(original_id)
            form.load(replace(original, name=_("Copy of %(name)s", name=original.name)[:80], code=code))
        form.code.data = code
    return _edit(form, None)


@blueprint.route("/<row:module_id>", methods=["GET", "POST"])
@administrator_required
@accept_file(MAX_BYTES)
def edit(module_id: int):
    """Change a module."""
    stored = _load(module_id)
    form = ModuleForm()
    if request.method == "GET":
        form.load(stored)
    return _edit(form, module_id, stored)


def _load(module_id: int) -> ModuleInput:
    try:
        with database().read() as session:
            return load_module(session, module_id)
    except NotFound:
        abort(404)


def _edit(form: ModuleForm, module_id: int | None, stored: ModuleInput | None = None):
    status = 200
    if request.method == "POST":
        if _save(form, module_id, stored):
            return redirect(url_for("modules.index"))
        status = 422
    form.show_existing(directory())
    values = {"directory": directory(), "sentences": summarise(form.input(), directory()), "week_help": WEEK_HELP}
    return render_template("modules/form.html", form=form, module_id=module_id, **values), status


def _save(form: ModuleForm, module_id: int | None, stored: ModuleInput | None) -> bool:
    """Save the form if everything is valid and confirmed; otherwise show all errors and warnings in it."""
    form.validate()
    form.store_uploads(library())
    given = form.input()
    if stored is not None and given.active == (form.shown_active.data == "1"):
        given = replace(given, active=stored.active)  # the user did not change it
    try:
        result = _check_and_save(form, given, module_id)
    except ChangedMeanwhile:  # what the other user did is not lost unnoticed
        form.form_errors.append(
            _(
                "This module has been changed since you opened this page. Save once more to replace those changes with "
                "what is below, or open the module again to start from them. The log shows what was changed."
            )
        )
        assert module_id is not None  # a new module was not shown before
        form.show_version(_load(module_id))
        return False
    except NotFound:  # the form stays, so that nothing typed is lost
        form.form_errors.append(_("Nothing was saved, because someone else has just deleted this module."))
        return False
    form.show_result(result)
    if result.saved:
        flash(_("The module is saved."), "success")
        if stored is not None and stored.code != given.code:
            _flash_former_code(stored.code)
        flash_unanswered(result)
    return result.saved


def _flash_former_code(code: str) -> None:
    text = _("The former code %(code)s still leads callers on. Change it on the PBX, then remove it here.")
    flash(fill_in(text, code=number(code)), "warning")


def _check_and_save(form: ModuleForm, given: ModuleInput, module_id: int | None) -> SaveResult:
    """Validate a module, and save it unless the form has errors of its own, such as a text for a number."""
    confirmed = confirmed_keys()
    if has_errors(form):
        return check_without_pbx(database(), given, module_id, confirmed=confirmed)
    return check_and_save_module(
        database(),
        settings(),
        given,
        utcnow(),
        confirmed=confirmed,
        module_id=module_id,
        shown=form.shown.data or "",
        actor=current_user.name,
        library=library(),
    )


@blueprint.post("/summary", endpoint="summarise")
@administrator_required
def show_summary():
    """Describe what the module in the form would do."""
    form = ModuleForm()
    form.validate()
    return render_template("modules/_summary.html", sentences=summarise(form.input(), directory()))


@blueprint.route("/<row:module_id>/delete", methods=["GET", "POST"])
@administrator_required
def delete(module_id: int):
    """Delete a module after a confirmation, which lists what points to it."""
    given = _load(module_id)
    with database().read() as session:
        references = find_references(session).get(given.code, [])
        open_requests = count_open_requests(session, module_id)
    if request.method == "POST" and not references:
        try:
            delete_module(database(), module_id, utcnow(), actor=current_user.name)
        except (Invalid, NotFound):
            return redirect(url_for("modules.delete", module_id=module_id))
        flash(_("The module is deleted."), "success")
        _flash_former_code(given.code)
        return redirect(url_for("modules.index"))
    status = 422 if request.method == "POST" else 200
    return render_template(
        "modules/delete.html", module=given, references=references, open_requests=open_requests
    ), status
