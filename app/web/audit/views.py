"""The log: who changed what, and when. It is read here, and changed nowhere."""

from datetime import datetime, timedelta

from flask import Blueprint, render_template, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import SelectField, StringField

from app.services import audit
from app.services.audit import AuditFilter
from app.services.report.periods import day_start
from app.web.audit import wording
from app.web.context import database, supervisor_required
from app.web.fields import DateField, has_errors
from app.web.formats import office_zone
from app.web.http import parse_row_number

blueprint = Blueprint("log", __name__, url_prefix="/log")
SYSTEM = "-"  # what nobody did, as an address has it: no user's filter is empty and means it


class LogForm(FlaskForm):
    """What is looked for. It is sent by GET: it stands in the address."""

    class Meta:
        csrf = False

    actor = SelectField(_l("Who"), validate_choice=False)
    action = SelectField(_l("What was done"), validate_choice=False)
    subject = StringField(_l("To what"), description=_l("A part of a name or number."))
    since = DateField(_l("From"))
    until = DateField(_l("To"))


@blueprint.get("")
@supervisor_required
def index():
    """Show a page of the log, the latest first."""
    form = LogForm(request.args)
    form.actor.choices = [("", _("everybody")), *((name or SYSTEM, _label(name)) for name in audit.actors(database()))]
    kinds = sorted((wording.kind(action), action) for action in audit.actions(database()))
    form.action.choices = [("", _("everything")), *((action, label) for label, action in kinds)]
    form.validate()
    asked = {name: value for name, value in request.args.items() if name in form._fields and value}
    if has_errors(form):
        return render_template("audit/index.html", form=form, found=None, asked=asked), 422
    page = request.args.get("page", 1, type=parse_row_number)
    found = audit.read(database(), _filter(form), page)
    return render_template("audit/index.html", form=form, found=found, asked=asked)


def _label(actor: str) -> str:
    return actor or _("the system")


def _filter(form: LogForm) -> AuditFilter:
    until = form.until.data
    return AuditFilter(
        actor="" if form.actor.data in (None, SYSTEM) else form.actor.data,
        action=form.action.data or "",
        subject=(form.subject.data or "").strip(),
        since=_start(form.since.data),
        until=_start(until + timedelta(days=1)) if until else None,
        by_system=form.actor.data == SYSTEM,
    )


def _start(day) -> datetime | None:
    return day_start(day, office_zone()) if day else None
