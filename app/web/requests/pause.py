"""Pausing all automatic calls, and letting them go on."""

from flask import Blueprint, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import StringField

from app.services.errors import Invalid
from app.services.requests import pause as pausing
from app.web.context import current_scope, database, supervisor_required, utcnow
from app.web.fields import show_errors
from app.web.http import is_fragment, previous_page
from app.web.requests.actions import say_acted

blueprint = Blueprint("calls", __name__, url_prefix="/calls")


class PauseForm(FlaskForm):
    reason = StringField(_l("Reason"), description=_l("Everybody reads it while calls are paused; it may stay empty."))


@blueprint.route("/pause", methods=["GET", "POST"])
@supervisor_required
def pause():
    """Ask why, and pause all automatic calls."""
    form = PauseForm()
    status = 200
    if form.validate_on_submit():
        try:
            there = pausing.pause(database(), current_scope(), form.reason.data or "", now := utcnow())
        except Invalid as invalid:
            show_errors(form, invalid.errors)
        else:
            if there.at == now:
                return say_acted(_("All automatic calls are paused."), "success", url_for("requests.index"))
            message = _("%(who)s has paused them already.", who=there.by)
            return say_acted(message, "warning", url_for("requests.index"))
    if request.method == "POST":
        status = 422
    template = "requests/_pause_form.html" if is_fragment() else "requests/pause.html"
    return render_template(template, form=form, longest=pausing.MAX_REASON_LENGTH), status


@blueprint.post("/resume")
@supervisor_required
def resume():
    """Let automatic calls go on."""
    there = pausing.resume(database(), current_scope(), utcnow())
    if there is None:
        return say_acted(_("They are not paused any more."), "warning", previous_page())
    return say_acted(_("Automatic calls go on."), "success", previous_page())
