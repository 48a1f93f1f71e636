"""The page of the exchanges: which there are, and adding and naming one."""

from flask import abort, flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from flask_wtf import FlaskForm
from wtforms import StringField

from app.services import exchanges as service
from app.services.errors import Invalid, NotFound
from app.services.exchanges import MayNotCreate
from app.store.models import Exchange
from app.web.context import administrator_required, current_exchange, exchanges, panel_database, utcnow
from app.web.fields import has_errors, show_errors
from app.web.http import exchange_root
from app.web.settings.blueprint import blueprint


class NameForm(FlaskForm):
    name = StringField(_l("Name"), description=_l("As people call the branch."))


class ExchangeForm(NameForm):
    code = StringField(
        _l("Code"),
        description=_l("Small letters and digits, such as north. It stands in addresses and cannot be changed."),
    )


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
