"""The page of the exchanges: which there are, and adding, naming and removing one."""

from flask import abort, flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from wtforms import StringField

from app.services import exchanges as service
from app.services.errors import Invalid, NotFound
from app.services.exchanges import InUse, MayNotCreate, WorkerRuns
from app.store.exchanges import UnknownExchange
from app.store.models import Exchange
from app.web.context import (
    administrator_required,
    current_exchange,
    exchanges,
    panel_database,
    panel_settings,
    utcnow,
)
from app.web.fields import PanelForm, has_errors, show_errors
from app.web.http import exchange_root, panel_url_for
from app.web.settings.blueprint import blueprint


class NameForm(PanelForm):
    name = StringField(_l("Name"), description=_l("As people call the branch."))


class ExchangeForm(NameForm):
    code = StringField(
        _l("Code"),
        description=_l("Small letters and digits, such as north. It stands in addresses and cannot be changed."),
    )


class RemovalForm(PanelForm):
    code = StringField(_l("Code of the exchange"), description=_l("Type it to confirm that you mean this exchange."))


@blueprint.get("/exchanges")
@administrator_required
def exchanges_page():
    """Show the exchanges."""
    return _page(ExchangeForm(formdata=None))


@blueprint.post("/exchanges")
@administrator_required
def add_exchange():
    """Add an exchange, and go to its settings."""
    form, code = ExchangeForm(), ""
    if not exchanges().can_be_several:
        abort(404)
    try:
        code = service.create(
            exchanges(), form.code.data or "", form.name.data or "", utcnow(), actor=current_user.name
        )
    except Invalid as invalid:
        show_errors(form, invalid.errors)
    except MayNotCreate as error:
        form.code.errors = [
            _("The database user may not create a schema. As its owner: GRANT CREATE ON DATABASE %(name)s", name=error)
        ]
    if has_errors(form):
        return _page(form), 422
    flash(_("The exchange is added. Start its worker with BAZANG_EXCHANGE=%(code)s.", code=code), "success")
    return redirect(f"{exchange_root(code)}{_path('settings.exchange')}")


def _path(endpoint: str) -> str:
    """Return the address of a page within an exchange."""
    return url_for(endpoint).removeprefix(exchange_root(current_exchange().code))


@blueprint.get("/exchanges/<row:exchange_id>")
@administrator_required
def exchange_name(exchange_id: int):
    """Show the name of an exchange in a form."""
    shown = _load(exchange_id)
    form = NameForm(formdata=None)
    form.name.data = shown.name
    return render_template("settings/exchange_name.html", form=form, shown=shown)


@blueprint.post("/exchanges/<row:exchange_id>")
@administrator_required
def rename_exchange(exchange_id: int):
    """Give an exchange another name."""
    shown, form = _load(exchange_id), NameForm()
    try:
        service.rename(panel_database(), exchange_id, form.name.data or "", utcnow(), actor=current_user.name)
    except NotFound:
        abort(404)
    except Invalid as invalid:
        show_errors(form, invalid.errors)
        return render_template("settings/exchange_name.html", form=form, shown=shown), 422
    flash(_("The name is saved."), "success")
    return redirect(url_for("settings.exchanges_page"))


@blueprint.get("/exchanges/<row:exchange_id>/remove")
@administrator_required
def exchange_removal(exchange_id: int):
    """Show what goes with an exchange."""
    return _removal_page(_load(exchange_id), RemovalForm(formdata=None))


@blueprint.post("/exchanges/<row:exchange_id>/remove")
@administrator_required
def remove_exchange(exchange_id: int):
    """Remove an exchange whose code was typed, and go to the exchanges of the panel."""
    shown, form = _load(exchange_id), RemovalForm()
    try:
        service.remove(
            exchanges(), panel_settings(), shown.code, form.code.data or "", utcnow(), actor=current_user.name
        )
    except UnknownExchange:
        abort(404)
    except WorkerRuns:
        form.code.errors = [_("Its worker runs. Stop it first.")]
    except InUse:
        form.code.errors = [_("The exchange is in use at the moment. Try again.")]
    except Invalid as invalid:
        show_errors(form, invalid.errors)
    if has_errors(form):
        return _removal_page(shown, form), 422
    flash(_("The exchange is removed."), "success")
    return redirect(panel_url_for("settings.exchanges_page"))


def _removal_page(shown: Exchange, form: RemovalForm) -> str:
    try:
        contents = service.count_contents(exchanges(), shown.code)
    except UnknownExchange:
        abort(404)
    return render_template("settings/exchange_remove.html", form=form, shown=shown, contents=contents)


def _load(exchange_id: int) -> Exchange:
    found = [row for row in service.list_exchanges(panel_database()) if row.id == exchange_id]
    return found[0] if found else abort(404)


def _page(form: ExchangeForm) -> str:
    return render_template(
        "settings/exchanges.html",
        form=form,
        found=service.list_exchanges(panel_database()),
        can_be_several=exchanges().can_be_several,
        root_of=exchange_root,
    )
