"""Step 2: the location of the office and its language."""

from flask import render_template, request, session

from app.services.settings import office
from app.services.setup.progress import SetupStep
from app.web.context import administrator_required, database, settings, stored
from app.web.locale import choose_locale
from app.web.settings.office_form import LocationForm
from app.web.setup.steps import blueprint, complete_step


@blueprint.route("/office", methods=["GET", "POST"], endpoint="place")
@administrator_required
def edit():
    """Show and change the location and the language of the office."""
    current = office.load(database(), settings())
    form = LocationForm(obj=current)
    if request.method == "POST":
        if not form.save(current):
            return _page(form, current), 422
        session.pop("locale", None)  # chosen before there was an office language
        return complete_step(SetupStep.OFFICE)
    if not _is_chosen():
        form.locale.data = choose_locale()
    return _page(form, current)


def _page(form: LocationForm, current: office.OfficeInput) -> str:
    form.set_region_choices()
    return render_template(
        "setup/office.html", form=form, current=current, guess_timezone=not _is_chosen(), step_number=2
    )


def _is_chosen() -> bool:
    """Return whether the time zone was chosen before."""
    return "timezone" in stored() or "timezone" in office.from_environment(settings())
