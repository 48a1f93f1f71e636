"""The page with the PBX settings: a connection test, and the lines to paste into the PBX's files."""

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user

from app.services.errors import Invalid
from app.services.pbx import config_snippets, connection_commands
from app.services.settings import pbx
from app.web import context, pbx_product
from app.web.context import administrator_required, database, settings, utcnow
from app.web.fields import show_errors
from app.web.http import is_fragment
from app.web.settings import connection_report
from app.web.settings.blueprint import blueprint
from app.web.settings.pbx_form import PbxForm


@blueprint.route("/exchange", methods=["GET", "POST"], endpoint="exchange")
@administrator_required
def edit():
    """Show and change the PBX settings. Saved settings are applied at once."""
    form = _form()
    if request.method == "GET":
        return _page(form)
    if not form.check() or not _save(form):
        return _page(form), 422
    flash(_("The PBX settings are saved and applied."), "success")
    return redirect(url_for("settings.exchange"))


def _save(form: PbxForm) -> bool:
    try:
        pbx.save(database(), settings(), form.to_input(), actor=current_user.name, now=utcnow())
    except Invalid as invalid:
        show_errors(form, invalid.errors)
        return False
    connection_commands.apply(database(), actor=current_user.name, now=utcnow())
    return True


@blueprint.post("/exchange/test", endpoint="exchange_test")
@administrator_required
def run_test():
    """Test the typed values without saving them."""
    form = _form()
    if not form.check():
        if is_fragment():
            return render_template("settings/_report.html", report=None, invalid_form=form), 422
        return _page(form), 422
    given = pbx.effective(database(), settings(), form.to_input())
    report = connection_report.run_test(given, current_user.name)
    values = {"report": report, "tested": True, **connection_report.differences(given, report)}
    if is_fragment():
        return render_template("settings/_report.html", **values, **_snippets(form))
    return _page(form, **values)


@blueprint.post("/exchange/profile")
@administrator_required
def use_profile():
    """Save the settings that the page proposes for the product that was found."""
    if pbx_product.use_proposed():
        flash(_("The PBX settings are saved and applied."), "success")
    return redirect(url_for("settings.exchange"))


def _form() -> PbxForm:
    return PbxForm(obj=pbx.load(database(), settings()))


def _page(form: PbxForm, **values: object) -> str:
    placeholder = _("the secret above")
    return render_template(
        "settings/pbx.html",
        form=form,
        current=pbx.load(database(), settings()),
        has_secret=bool(pbx.read_secret(database(), settings())),
        config_lines=config_snippets.make(
            context.pbx(), f"<{placeholder}>", settings().dialplan_path, tls=settings().ami_tls
        ),
        proposal=pbx_product.stored_proposal(),
        current_profile=context.pbx().pbx_profile,
        **pbx_product.template_values(),
        **_snippets(form),
        **values,
    )


def _snippets(form: PbxForm) -> dict[str, object]:
    return connection_report.snippets(pbx.effective(database(), settings(), form.to_input()).ami_username)
