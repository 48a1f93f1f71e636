"""Step 3: connect the PBX. The saved values are checked again and again until everything works."""

from dataclasses import replace

from flask import abort, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from wtforms import StringField

from app.services.errors import Invalid
from app.services.pbx import config_snippets, connection_commands
from app.services.settings import office, pbx
from app.services.settings.office import OfficeInput
from app.services.setup import checks, progress
from app.services.setup.checks import Check, CheckResult, Checks
from app.store import settings as store_settings
from app.web import context, pbx_product
from app.web.context import administrator_required, database, settings, stored, utcnow
from app.web.fields import show_errors
from app.web.http import is_fragment
from app.web.settings import connection_report
from app.web.settings.pbx_form import PbxForm
from app.web.setup.steps import blueprint


class SetupPbxForm(PbxForm):
    extension_context = None
    queue_context = None
    outbound_context = StringField(
        _l("Context for calls to customers"),
        description=_l(
            "The context of the PBX in which your phones dial out. When the PBX is connected, choose one that it has."
        ),
    )

    def may_reuse_secret(self) -> bool:
        """A generated secret that no PBX has accepted yet belongs to no other host."""
        return pbx.is_new(stored())


@blueprint.route("/exchange", methods=["GET", "POST"], endpoint="exchange_step")
@administrator_required
def edit():
    """Show and change the PBX settings."""
    form = _form(office.load(database(), settings()).outbound_context)
    if request.method == "GET":
        return _page(form)
    if not _save(form):
        return _page(form), 422
    connection_commands.apply(database(), actor=current_user.name, now=utcnow())
    return redirect(url_for("setup.exchange_step", _anchor="checks"))


@blueprint.post("/exchange/check", endpoint="check")
@administrator_required
def run_checks():
    """Run the checks with the saved settings."""
    found = checks.run(database(), settings(), current_user.name, utcnow(), everything="everything" in request.form)
    if found.results[Check.ACCEPTED] is CheckResult.OK:
        pbx.stop_showing(database())
    if is_fragment():
        return render_template("setup/_checks.html", **_check_values(found))
    return _page(_form(found.outbound, formdata=None), found)


@blueprint.post("/exchange/profile", endpoint="use_profile")
@administrator_required
def use_profile():
    """Save the settings that the step proposes for the product that was found."""
    pbx_product.use_proposed()
    return redirect(url_for("setup.exchange_step", _anchor="checks"))


@blueprint.post("/exchange/outbound", endpoint="use_outbound")
@administrator_required
def use_outbound():
    """Save a context for calls to customers that a check has found."""
    given = replace(office.load(database(), settings()), outbound_context=request.args.get("context", ""))
    try:
        office.save(database(), settings(), given, actor=current_user.name, now=utcnow())
    except Invalid:
        abort(400)
    connection_commands.apply(database(), actor=current_user.name, now=utcnow())
    return redirect(url_for("setup.exchange_step", _anchor="checks"))


@blueprint.post("/exchange/secret", endpoint="new_secret")
@administrator_required
def make_secret():
    """Generate another secret and show it to the user who asked for it."""
    if "ami_secret" not in office.from_environment(settings()):
        pbx.replace_secret(database(), settings(), current_user.id, utcnow(), actor=current_user.name)
        connection_commands.apply(database(), actor=current_user.name, now=utcnow())
    return redirect(url_for("setup.exchange_step", _anchor="lines"))


def _form(outbound_context: str, **options: object) -> SetupPbxForm:
    stored_values = pbx.load(database(), settings())
    return SetupPbxForm(obj=stored_values, data={"outbound_context": outbound_context}, **options)


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
    from_environment = "ami_secret" in office.from_environment(settings())
    shown = "" if from_environment else pbx.secret_to_show(database(), settings(), current_user.id, utcnow())
    placeholder = _("the value of BAZANG_AMI_SECRET") if from_environment else _("the secret that you have noted")
    return render_template(
        "setup/pbx.html",
        form=form,
        current=pbx.load(database(), settings()),
        config_lines=config_snippets.make(
            current, shown or f"<{placeholder}>", settings().dialplan_path, tls=settings().ami_tls
        ),
        secret_is_shown=bool(shown),
        may_replace_secret=not from_environment and not shown and progress.current_step(stored()) is not None,
        step_number=3,
        **pbx_product.template_values(),
        **_check_values(found or checks.not_run(pbx_product.stored_proposal(), entered=_is_given())),
    )


def _is_given() -> bool:
    return store_settings.pbx_is_given(settings(), stored())


def _check_values(found: Checks) -> dict[str, object]:
    """Return what the template of the checks needs."""
    current = context.pbx()
    return {
        "checks": found,
        "report": found.report,
        "proposal": found.proposal,
        "current_profile": current.pbx_profile,
        **connection_report.snippets(current.ami_username),
    }
