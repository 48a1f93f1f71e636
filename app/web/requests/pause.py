"""Pause and resume all automatic calls."""

from flask import Blueprint, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from wtforms import StringField

from app.services.errors import Invalid
from app.services.requests import pause as services
from app.web.context import current_scope, database, supervisor_required, utcnow
from app.web.fields import PanelForm, show_errors
from app.web.http import is_fragment, previous_page
from app.web.requests.actions import respond_done

blueprint = Blueprint("calls", __name__, url_prefix="/calls")


class PauseForm(PanelForm):
    reason = StringField(_l("Reason"), description=_l("Shown to everyone during the pause. Optional."))


@blueprint.route("/pause", methods=["GET", "POST"])
@supervisor_required
def pause():
    """Show the form (GET), and pause all automatic calls (POST)."""
    form = PauseForm()
    if form.validate_on_submit():
        try:
            present = services.pause(database(), current_scope(), form.reason.data or "", now := utcnow())
        except Invalid as invalid:
            show_errors(form, invalid.errors)
        else:
            if present.at == now:
                return respond_done(_("All automatic calls are paused."), "success", url_for("requests.index"))
            message = _("%(who)s has already paused the calls.", who=present.by)
            return respond_done(message, "warning", url_for("requests.index"))
    template = "requests/_pause_form.html" if is_fragment() else "requests/pause.html"
    status = 422 if request.method == "POST" else 200
    return render_template(template, form=form, max_reason_length=services.MAX_REASON_LENGTH), status


@blueprint.post("/resume")
@supervisor_required
def resume():
    """Resume automatic calls."""
    if services.resume(database(), current_scope(), utcnow()) is None:
        return respond_done(_("Automatic calls are not paused."), "warning", previous_page())
    return respond_done(_("Automatic calls are resumed."), "success", previous_page())
