"""Step 5: a test call to one phone."""

from flask import abort, redirect, render_template, request, url_for
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from wtforms import SelectField

from app.services.errors import Invalid, NotFound
from app.services.prompts import phone_calls
from app.services.setup import first_module
from app.web import context, wording
from app.web.context import administrator_required, database, directory, utcnow
from app.web.fields import DigitsField, PanelForm, choices, show_errors
from app.web.http import is_fragment
from app.web.setup.steps import blueprint


class CallForm(PanelForm):
    extension = DigitsField(_l("Extension"), description=_l("This phone will ring. Stay near it."))
    language = SelectField(_l("Language"), choices=choices(wording.LANGUAGE), validate_choice=False)


@blueprint.route("/call", methods=["GET", "POST"])
@administrator_required
def call():
    """Ring a phone and play a text that says that everything works."""
    form = CallForm(data={"language": context.office().locale})
    if request.method == "GET":
        form.extension.data = first_module.suggest_test_extension(database())
        return _page(form)
    form.validate()
    try:
        call_id = phone_calls.create_test_call(
            database(),
            extension=form.extension.data or "",
            language=form.language.data,
            actor=current_user.name,
            now=utcnow(),
        )
    except Invalid as invalid:
        show_errors(form, invalid.errors)
        return _page(form), 422
    return redirect(url_for("setup.called", call_id=call_id))


def _page(form: CallForm) -> str:
    return render_template("setup/call.html", form=form, here=directory(), step_number=5)


@blueprint.get("/call/<uuid:call_id>")
@administrator_required
def called(call_id):
    """Show the state of the test call."""
    try:
        call = phone_calls.load(database(), str(call_id), utcnow())
    except NotFound:
        abort(404)
    if is_fragment():
        return render_template("setup/_call.html", call=call)
    return render_template("setup/called.html", call=call, step_number=5)


@blueprint.post("/call/<uuid:call_id>/cancel")
@administrator_required
def cancel_call(call_id):
    """End the test call."""
    try:
        phone_calls.cancel(database(), str(call_id), current_user.name, utcnow())
    except NotFound:
        abort(404)
    return redirect(url_for("setup.called", call_id=call_id))
