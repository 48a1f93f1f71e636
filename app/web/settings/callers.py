"""The page with the lists of numbers: who may not leave requests, who is not limited, and who is served first."""

from flask import abort, flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from wtforms import SelectField, StringField

from app.services.errors import Invalid, NotFound
from app.services.requests import number_lists
from app.web.context import administrator_required, database, directory, settings, utcnow
from app.web.fields import DigitsField, PanelForm, choices, show_errors
from app.web.settings.blueprint import blueprint
from app.web.wording import LIST_KIND_OF_NUMBER


class ListedNumberForm(PanelForm):
    number = DigitsField(
        _l("Number"),
        description=_l("A number, its beginning with a star (0912*), or a range (02188880000 - 02188889999)."),
    )
    kind = SelectField(_l("List"), choices=choices(LIST_KIND_OF_NUMBER), validate_choice=False)
    agent = DigitsField(
        _l("Fixed agent"),
        description=_l(
            "For numbers that are served first: the extension that calls back, if the module has a queue or several "
            "extensions. Optional."
        ),
    )
    note = StringField(_l("Note"), description=_l("For example why. Optional."))


@blueprint.route("/callers", methods=["GET", "POST"])
@administrator_required
def callers():
    """Show the lists, and add a number."""
    form = ListedNumberForm()
    if not form.is_submitted():
        return _page(form)
    form.validate()
    given = (form.kind.data or "", form.number.data or "", form.note.data or "")
    agent = form.agent.data or ""
    try:
        number_lists.add_entry(database(), settings(), *given, agent=agent, actor=current_user.name, now=utcnow())
    except Invalid as invalid:
        show_errors(form, invalid.errors)
        return _page(form), 422
    flash(_("The number is added."), "success")
    return redirect(url_for("settings.callers"))


def _page(form: ListedNumberForm) -> str:
    values = {"entries": number_lists.load_entries(database()), "directory": directory()}
    return render_template("settings/callers.html", form=form, **values)


@blueprint.post("/callers/<int:entry_id>/remove")
@administrator_required
def remove_caller(entry_id: int):
    """Remove a number from its list."""
    try:
        number_lists.remove_entry(database(), entry_id, actor=current_user.name, now=utcnow())
    except NotFound:
        abort(404)
    flash(_("The number is removed."), "success")
    return redirect(url_for("settings.callers"))
