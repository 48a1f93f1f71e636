"""The saved filters of the report."""

from urllib.parse import parse_qsl

from flask import Blueprint, abort, flash, redirect, request, url_for
from flask_babel import gettext as _
from flask_login import current_user, login_required
from werkzeug.datastructures import MultiDict

from app.domain.text import as_typed
from app.services.errors import Invalid, NotFound
from app.services.report import query, saved_filters
from app.web import wording
from app.web.context import cached, current_scope, database, utcnow
from app.web.formats import office_zone
from app.web.locale import choose_locale
from app.web.report import form

blueprint = Blueprint("filters", __name__, url_prefix="/report/filters")


@blueprint.post("")
@login_required
def save():
    """Save a search under a name."""
    scope, text = current_scope(), request.form.get("query", "")[: saved_filters.LONGEST_QUERY]
    available = cached(("choices", scope), lambda: query.choices(database(), scope))
    search = form.read(MultiDict(parse_qsl(text)), available, utcnow(), office_zone(), choose_locale())
    if not search.valid:
        abort(400)
    try:
        saved_filters.save(database(), current_user.id, _typed_name(), search.query(), utcnow())
    except Invalid as invalid:
        flash(wording.error(invalid.errors["name"]), "warning")
    else:
        flash(_("The filter is saved."), "success")
    return _back(search.query())


def _typed_name() -> str:
    return as_typed(request.form.get("name", ""))


@blueprint.post("/<row:filter_id>")
@login_required
def rename(filter_id: int):
    """Give a filter another name."""
    try:
        saved_filters.rename(database(), current_user.id, filter_id, _typed_name())
    except NotFound:
        abort(404)
    except Invalid as invalid:
        flash(wording.error(invalid.errors["name"]), "warning")
    return _back()


@blueprint.post("/<row:filter_id>/delete")
@login_required
def delete(filter_id: int):
    """Delete a filter."""
    try:
        saved_filters.delete(database(), current_user.id, filter_id)
    except NotFound:
        abort(404)
    flash(_("The filter is deleted."), "success")
    return _back()


def _back(arguments: str = ""):
    return redirect(f"{url_for('report.index')}?{arguments}" if arguments else url_for("report.index"))
