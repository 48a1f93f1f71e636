"""The page with the settings of the office and its calls."""

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from app.services.settings import office
from app.web.context import administrator_required, database, settings
from app.web.settings.blueprint import blueprint
from app.web.settings.office_form import OfficeForm


@blueprint.route("", methods=["GET", "POST"])
@administrator_required
def index():
    """Show and change the settings of the office."""
    current = office.load(database(), settings())
    form = OfficeForm(obj=current)
    if request.method == "POST":
        if form.save(current):
            flash(_("The settings are saved."), "success")
            return redirect(url_for("settings.index"))
        return _page(form, current), 422
    form.shown_paused.data = "1" if current.all_paused else ""
    return _page(form, current)


def _page(form: OfficeForm, current: office.OfficeInput) -> str:
    form.set_region_choices()
    example = office.dialled_example(form.region.data or "", form.outbound_format.data, form.outbound_prefix.data)
    return render_template("settings/index.html", form=form, current=current, example=example)


@blueprint.get("/dialled")
@administrator_required
def dialled():
    """Show by an example how numbers are dialled with the values that are being typed."""
    current = office.load(database(), settings())
    given = OfficeForm(formdata=request.args, obj=current, meta={"csrf": False}).to_input(current)
    example = office.dialled_example(given.region, given.outbound_format, given.outbound_prefix)
    return render_template("settings/_dialled.html", example=example)
