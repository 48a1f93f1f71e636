"""The settings of the exchange: how it is reached, tried out before it is saved, and what is pasted into its files."""

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user

from app.services.errors import Invalid
from app.services.pbx import config_snippets, connection_test
from app.services.settings import pbx as service
from app.web import context
from app.web.context import administrator_required, database, settings, utcnow
from app.web.fields import show_errors
from app.web.http import is_fragment
from app.web.settings.pbx_form import ExchangeForm, try_out
from app.web.settings.views import blueprint


@blueprint.route("/exchange", methods=["GET", "POST"])
@administrator_required
def exchange():
    """Show how the exchange is reached, and change it."""
    form = ExchangeForm(obj=service.load(database(), settings()))
    if request.method == "POST":
        if form.fits():
            try:
                service.save(database(), settings(), form.given(), actor=current_user.name, now=utcnow())
            except Invalid as invalid:
                show_errors(form, invalid.errors)
            else:
                connection_test.apply(database(), actor=current_user.name, now=utcnow())
                flash(_("The settings of the exchange are saved, and applied at once."), "success")
                return redirect(url_for("settings.exchange"))
        return _page(form), 422
    return _page(form)


@blueprint.post("/exchange/test")
@administrator_required
def exchange_test():
    """Try out what is typed, and save nothing."""
    form = ExchangeForm(obj=service.load(database(), settings()))
    if not form.fits():
        if is_fragment():
            return render_template("settings/_report.html", report=None, wrong=form), 422
        return _page(form), 422
    report = try_out(form.given(), current_user.name, utcnow())
    if is_fragment():
        return render_template("settings/_report.html", report=report, tested=True, **report_parts(form))
    return _page(form, report=report, tested=True)


def _page(form: ExchangeForm, **values):
    secret = _("the secret above")
    return render_template(
        "settings/exchange.html",
        form=form,
        now=service.load(database(), settings()),
        has_secret=bool(service.secret(database(), settings())),
        pasted=config_snippets.make(context.exchange(), f"<{secret}>", settings().dialplan_path),
        **report_parts(form),
        **values,
    )


def report_parts(form: ExchangeForm) -> dict[str, object]:
    """Return what a report names beside its verdict: the lines that the file needs, for the user who was tried out."""
    given = service.in_force(database(), settings(), form.given())
    rights = f"read = {','.join(config_snippets.READ)}\nwrite = {','.join(config_snippets.WRITE)}"
    return {"rights": f"[{given.ami_username}]\n{rights}", "take_in": f"#tryinclude {settings().dialplan_path}"}
