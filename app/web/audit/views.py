"""The page of the audit log."""

from datetime import date, datetime, timedelta

from flask import Blueprint, render_template, request
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import SelectField, StringField

from app.services import audit
from app.services.audit import AuditFilter
from app.services.report.periods import day_start
from app.web.audit import wording
from app.web.context import database, supervisor_required
from app.web.date_fields import DateField
from app.web.fields import PanelForm, has_errors
from app.web.formats import office_zone
from app.web.http import parse_row_number

blueprint = Blueprint("log", __name__, url_prefix="/log")
SYSTEM = "-"  # selects entries without an actor; an empty value selects all


class FilterForm(PanelForm):
    """The filters. They are part of the address."""

    class Meta:
        csrf = False

    actor = SelectField(_l("Who"), validate_choice=False)
    action = SelectField(_l("Action"), validate_choice=False)
    subject = StringField(_l("Subject"), description=_l("A part of a name or number."))
    since = DateField(_l("From"))
    until = DateField(_l("To"))

    def set_choices(self) -> None:
        """Fill the lists with the actors and actions in the log."""
        actors = [(name or SYSTEM, name or _("the system")) for name in audit.actors(database())]
        self.actor.choices = [("", _("all users")), *actors]
        actions = sorted((wording.action_label(action), action) for action in audit.actions(database()))
        self.action.choices = [("", _("all actions")), *((action, label) for label, action in actions)]

    def to_filter(self) -> AuditFilter:
        """Return the values of the form."""
        until = self.until.data
        return AuditFilter(
            actor="" if self.actor.data in (None, SYSTEM) else self.actor.data,
            action=self.action.data or "",
            subject=(self.subject.data or "").strip(),
            since=_start_of(self.since.data),
            until=_start_of(until + timedelta(days=1)) if until else None,
            by_system=self.actor.data == SYSTEM,
        )


@blueprint.get("")
@supervisor_required
def index():
    """Show a page of the log, newest entries first."""
    form = FilterForm(request.args)
    form.set_choices()
    form.validate()
    query = {name: value for name, value in request.args.items() if name in form._fields and value}
    if has_errors(form):
        return _page(form, None, query), 422
    page = request.args.get("page", 1, type=parse_row_number)
    return _page(form, audit.read(database(), form.to_filter(), page), query)


def _page(form: FilterForm, found: audit.AuditPage | None, query: dict[str, str]) -> str:
    return render_template("audit/index.html", form=form, found=found, query=query)


def _start_of(day: date | None) -> datetime | None:
    return day_start(day, office_zone()) if day else None
