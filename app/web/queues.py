"""Queues as the exchange reports them, and where callers go whom nobody served."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from flask_wtf import FlaskForm
from sqlalchemy import select

from app.services import modules, scenarios
from app.services.errors import Invalid
from app.services.modules import TARGET
from app.services.scenarios import QueueInput
from app.store.models import QueueMemberRow, QueueRow, QueueScenario
from app.web import words
from app.web.fields import DigitsField, WholeNumberField, destination_field, has_errors, show_errors
from app.web.parts import administrator_required, database, exchange, utcnow

blueprint = Blueprint("queues", __name__, url_prefix="/queues")


class QueueForm(FlaskForm):
    max_wait = WholeNumberField(_l("Maximum wait in the queue"), default=60, description=_l("Seconds."))
    wrapup = WholeNumberField(
        _l("Wrap-up time"), default=0, description=_l("Seconds; the exchange does not tell it, so repeat it here.")
    )
    failed_kind = destination_field(optional=True)
    failed_code = DigitsField(_l("Failed-call destination"))


@blueprint.get("")
@administrator_required
def index():
    """List the queues with their members and waiting callers."""
    with database().read() as session:
        queues = {row.name: row for row in session.scalars(select(QueueRow))}
        stored = {row.queue: row for row in session.scalars(select(QueueScenario))}
        members: dict[str, list[QueueMemberRow]] = {}
        for row in session.scalars(select(QueueMemberRow).order_by(QueueMemberRow.penalty, QueueMemberRow.extension)):
            members.setdefault(row.queue, []).append(row)
    names = sorted({*queues, *stored})
    rows = [(name, queues.get(name), stored.get(name), members.get(name, [])) for name in names]
    return render_template("queues/index.html", rows=rows, words=words)


@blueprint.route("/<queue>", methods=["GET", "POST"])
@administrator_required
def edit(queue: str):
    """Change a queue's failed-call destination."""
    if not TARGET.fullmatch(queue):
        abort(404)
    with database().read() as session:
        all_modules = modules.codes(session)
        stored = session.get(QueueScenario, queue)
    if exchange().pbx_profile == "freepbx":
        return render_template("queues/freepbx.html", queue=queue, modules=all_modules)
    form = QueueForm()
    status = 200
    if request.method == "POST":
        form.validate()
        if not has_errors(form):
            try:
                way = (form.failed_kind.data or "", form.failed_code.data if form.failed_kind.data else "")
                given = QueueInput(queue, form.max_wait.data, form.wrapup.data, way)
                scenarios.save_queue(database(), given, now=utcnow(), actor=current_user.name)
            except Invalid as invalid:
                show_errors(form, invalid.errors)
            else:
                flash(_("The queue's destination is saved."), "success")
                return redirect(url_for("queues.index"))
        status = 422
    elif stored is not None:
        for name in ("max_wait", "wrapup", "failed_kind", "failed_code"):
            form._fields[name].data = getattr(stored, name)
    return render_template("queues/form.html", form=form, queue=queue, words=words, all_modules=all_modules), status
