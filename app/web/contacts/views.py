"""The contacts: their list, the form of one, and their import and export."""

from typing import Any

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from flask_login import current_user
from wtforms import FileField, StringField, TextAreaField

from app.domain import numbers
from app.domain.contacts import Action, Planned
from app.services.contacts import export, files, importing
from app.services.contacts import list as contacts
from app.services.contacts import save as saving
from app.services.contacts.importing import Preview
from app.services.contacts.list import ListedContact
from app.services.contacts.save import ContactInput
from app.services.errors import Invalid, NotFound
from app.services.requests.access import SEES_EVERYTHING
from app.web.body_check import accept_file
from app.web.contacts import wording
from app.web.context import database, office, settings, supervisor_required, utcnow
from app.web.fields import PanelForm, has_errors, show_errors
from app.web.formats import digits
from app.web.http import is_fragment, parse_row_number

blueprint = Blueprint("contacts", __name__, url_prefix="/contacts")

SHOWN = 100  # rows of each kind in a preview
COLUMN_EXAMPLES = 3


class ContactForm(PanelForm):
    name = StringField(_l("Name"))
    organisation = StringField(_l("Organisation"), description=_l("Optional."))
    numbers = TextAreaField(
        _l("Numbers"),
        description=_l("One a line, as you dial them. An extension behind a number is not needed."),
    )
    note = TextAreaField(_l("Note"), description=_l("Optional. Shown on this page only."))

    def input(self) -> ContactInput:
        """Return the typed values."""
        return ContactInput(*(field.data or "" for field in (self.name, self.organisation, self.numbers, self.note)))


class FileForm(PanelForm):
    file = FileField(
        _l("File"),
        description=_l("A CSV file, or a vCard file (.vcf) as phones and mail programs write it, of up to 10 MB."),
    )


@blueprint.get("")
@supervisor_required
def index():
    """Show the contacts."""
    text = request.args.get("find", "").strip()[: contacts.LONGEST_SEARCH]
    page = request.args.get("page", 1, type=parse_row_number)
    found = contacts.load_page(database(), text, page=page)
    template = "contacts/_list.html" if is_fragment() else "contacts/index.html"
    return render_template(template, found=found, text=text, arguments={"find": text} if text else {})


@blueprint.route("/new", methods=["GET", "POST"])
@supervisor_required
def new():
    """Add a contact."""
    form = ContactForm()
    if request.method == "GET":
        form.numbers.data = request.args.get("number", "")[:40]
    elif _save(form, None):
        flash(_("The contact is added."), "success")
        return redirect(url_for("contacts.index"))
    return render_template("contacts/form.html", form=form, shown=None), 422 if has_errors(form) else 200


@blueprint.route("/<row:contact_id>", methods=["GET", "POST"])
@supervisor_required
def edit(contact_id: int):
    """Change a contact."""
    shown = _load(contact_id)
    form = ContactForm()
    if request.method == "GET":
        form.name.data, form.organisation.data, form.note.data = shown.name, shown.organisation, shown.note
        form.numbers.data = "\n".join(digits(number) for number in shown.numbers)
    elif _save(form, contact_id):
        flash(_("The contact is saved."), "success")
        return redirect(url_for("contacts.index"))
    return render_template("contacts/form.html", form=form, shown=shown), 422 if has_errors(form) else 200


def _save(form: ContactForm, contact_id: int | None) -> bool:
    """Store what was typed. Return whether that went well."""
    form.validate()
    if has_errors(form):
        return False
    by: dict[str, Any] = {"actor": current_user.name, "now": utcnow()}
    try:
        if contact_id is None:
            saving.add(database(), settings(), form.input(), **by)
        else:
            saving.change(database(), settings(), contact_id, form.input(), **by)
    except NotFound:
        abort(404)
    except Invalid as invalid:
        show_errors(form, invalid.errors)
        return False
    return True


def _load(contact_id: int) -> ListedContact:
    try:
        return contacts.load(database(), contact_id)
    except NotFound:
        abort(404)


@blueprint.route("/<row:contact_id>/delete", methods=["GET", "POST"])
@supervisor_required
def delete(contact_id: int):
    """Ask for confirmation, then delete a contact."""
    shown = _load(contact_id)
    if request.method == "GET":
        return render_template("contacts/delete.html", shown=shown)
    saving.remove(database(), contact_id, actor=current_user.name, now=utcnow())
    flash(_("The contact is deleted."), "success")
    return redirect(url_for("contacts.index"))


@blueprint.get("/contacts.csv")
@supervisor_required
def export_csv():
    """Send all contacts as CSV."""
    titles = {name: str(title) for name, title in wording.EXPORT_TITLES.items()}
    parts = export.write_csv(database(), titles, actor=current_user.name, now=utcnow())
    response = Response(parts, content_type="text/csv; charset=utf-8")
    response.headers.set("Content-Disposition", "attachment", filename="bazang_contacts.csv")
    return response


# -- import -----------------------------------------------------------------------------------------------------------


@blueprint.route("/import", methods=["GET", "POST"])
@supervisor_required
@accept_file(files.LARGEST, SEES_EVERYTHING)
def upload():
    """Take a file. What it would change is shown before anything is stored."""
    form = FileForm()
    if request.method == "GET":
        return render_template("contacts/import.html", form=form)
    file = request.files.get("file")
    try:
        if file is None or not file.filename:
            raise Invalid({"file": "no_file"})
        importing.upload(database(), settings(), current_user.id, file.filename, file.stream.read(), utcnow())
    except Invalid as invalid:
        show_errors(form, invalid.errors)
        return render_template("contacts/import.html", form=form), 422
    return redirect(url_for("contacts.preview"))


@blueprint.get("/import/preview")
@supervisor_required
def preview():
    """Show what the file would change."""
    found = _load_preview()
    if found is None:
        return redirect(url_for("contacts.upload"))
    return render_template("contacts/preview.html", found=found, **_shown(found))


def _load_preview() -> Preview | None:
    try:
        return importing.load_preview(database(), current_user.id)
    except NotFound:
        return None


def _shown(found: Preview) -> dict[str, Any]:
    """Return what a page has room for: first what needs a look."""
    order = {Action.LEFT_OUT: 0, Action.CHANGED: 2, Action.ADDED: 3, Action.JOINED: 4, Action.UNCHANGED: 5}

    def rank(each: Planned) -> tuple[int, int]:
        return (1 if each.faults and each.action is not Action.LEFT_OUT else order[each.action], each.row.place)

    first = 1 if found.table.has_titles else 0
    examples = [
        [row[place] for row in found.table.rows[first : first + COLUMN_EXAMPLES] if row[place]]
        for place in range(len(found.table.columns))
    ]
    titles = found.table.rows[0] if found.table.has_titles else ()
    return {
        "planned": sorted(found.planned, key=rank)[:SHOWN],
        "examples": examples,
        "titles": titles,
        "written": lambda number: numbers.national(number, office().region),
    }


@blueprint.post("/import/columns")
@supervisor_required
def choose_columns():
    """Say what the columns of the file are."""
    columns, has_titles = request.form.getlist("column"), bool(request.form.get("has_titles"))
    try:
        importing.choose_columns(database(), settings(), current_user.id, columns, has_titles=has_titles)
    except NotFound:
        return redirect(url_for("contacts.upload"))
    except Invalid:
        abort(400)
    return redirect(url_for("contacts.preview"))


@blueprint.post("/import/store")
@supervisor_required
def store():
    """Store the contacts of the file."""
    try:
        counts = importing.store(database(), current_user.id, actor=current_user.name, now=utcnow())
    except NotFound:
        return redirect(url_for("contacts.upload"))
    added, changed = counts.get(Action.ADDED, 0), counts.get(Action.CHANGED, 0)
    parts = [
        ngettext("%(num)s contact is added.", "%(num)s contacts are added.", added),
        ngettext("%(num)s contact is changed.", "%(num)s contacts are changed.", changed),
    ]
    flash(digits(" ".join(parts)), "success")
    return redirect(url_for("contacts.index"))


@blueprint.post("/import/drop")
@supervisor_required
def drop():
    """Forget the file."""
    importing.drop(database(), current_user.id)
    flash(_("Nothing of the file is stored."), "success")
    return redirect(url_for("contacts.index"))
