"""Step 3: connect the PBX. The saved values are checked again and again until everything works."""

from dataclasses import replace

from flask import redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from wtforms import StringField

from app.services.errors import Invalid
from app.services.pbx import config_snippets, connection_test
from app.services.settings import office, pbx
from app.services.settings.office import OfficeInput
from app.services.setup import checks, progress
from app.services.setup.checks import Checks
from app.web import context
from app.web.context import administrator_required, database, settings, stored, utcnow
from app.web.fields import show_errors
from app.web.http import is_fragment
from app.web.settings import connection_report
from app.web.settings.pbx_form import PbxForm
from app.web.setup.steps import blueprint

_USUAL_CONTEXT = "from-internal"  # the usual context of phones


class SetupPbxForm(PbxForm):
    extension_context = None
    queue_context = None
    outbound_context = StringField(
        _l("Context for calls to customers"),
        description=_l("The context of the PBX in which your phones dial out, for example from-internal."),
    )

    def may_reuse_secret(self) -> bool:
        """During the setup the stored secret is the generated one, which the page shows anyway."""
        return progress.current_step(stored()) is not None


@blueprint.route("/exchange", methods=["GET", "POST"], endpoint="exchange_step")
@administrator_required
def edit():
    """Show and change the PBX settings."""
    form = _form(office.load(database(), settings()).outbound_context)
    if request.method == "GET":
        return _page(form)
    if not _save(form):
        return _page(form), 422
    connection_test.apply(database(), actor=current_user.name, now=utcnow())
    return redirect(url_for("setup.exchange_step", _anchor="checks"))


@blueprint.post("/exchange/check", endpoint="check")
@administrator_required
def run_checks():
    """Run the checks with the saved settings."""
    found = checks.run(database(), settings(), current_user.name, utcnow())
    if is_fragment():
        return render_template("setup/_checks.html", **_check_values(found))
    return _page(_form(found.outbound, formdata=None), found)


def _form(outbound_context: str, **options: object) -> SetupPbxForm:
    stored_values = pbx.load(database(), settings())
    return SetupPbxForm(obj=stored_values, data={"outbound_context": outbound_context or _USUAL_CONTEXT}, **options)


def _save(form: SetupPbxForm) -> bool:
    """Save the form if it is valid, else show its errors. Return whether it was saved."""
    is_valid = form.check()
    given = _office_input(form)
    errors = office.validate(given)
    if "outbound_context" in errors:
        show_errors(form, {"outbound_context": errors["outbound_context"]})
        is_valid = False
    if not is_valid:
        return False
    try:
        pbx.save(database(), settings(), form.to_input(), actor=current_user.name, now=utcnow())
        office.save(database(), settings(), given, actor=current_user.name, now=utcnow())
    except Invalid as invalid:
        show_errors(form, invalid.errors)
        return False
    return True


def _office_input(form: SetupPbxForm) -> OfficeInput:
    """Return the current office settings with the typed context for calls to customers."""
    current = office.load(database(), settings())
    if "outbound_context" in office.from_environment(settings()):
        return current
    return replace(current, outbound_context=(form.outbound_context.data or "").strip())


def _page(form: SetupPbxForm, found: Checks | None = None) -> str:
    current = context.pbx()
    secret = current.ami_secret
    if "ami_secret" in office.from_environment(settings()):
        secret = _("the value of BAZANG_AMI_SECRET")
    return render_template(
        "setup/pbx.html",
        form=form,
        current=pbx.load(database(), settings()),
        config_lines=config_snippets.make(current, secret, settings().dialplan_path),
        step_number=3,
        **_check_values(found or checks.not_run()),
    )


def _check_values(found: Checks) -> dict[str, object]:
    """Return what the template of the checks needs."""
    return {"checks": found, "report": found.report, **connection_report.snippets(context.pbx().ami_username)}
