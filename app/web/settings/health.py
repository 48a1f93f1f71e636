"""The page that checks the whole installation, with what the command `doctor` says."""

from flask import render_template, request
from flask_babel import lazy_gettext as _l

from app.domain.findings import Level, Part
from app.services import examination
from app.web import health
from app.web.context import administrator_required, current_exchange, panel_settings
from app.web.settings.blueprint import blueprint

_PARTS = {
    Part.DATABASE: _l("Database"),
    Part.FILES: _l("Files and disk"),
    Part.SOUNDS: _l("Sounds"),
    Part.LOGINS: _l("Log-ins"),
    Part.MESSAGES: _l("Webhooks and e-mail"),
    Part.PBX: _l("PBX"),
    Part.WORKER: _l("Telephone service"),
}


@blueprint.route("/health", methods=["GET", "POST"])
@administrator_required
def health_page():
    """Show the state of the telephone side, and check everything when somebody asks for it."""
    values: dict[str, object] = {}
    if request.method == "POST":
        try:
            values["found"] = examination.examine(panel_settings(), current_exchange().code)
        except examination.Busy:
            values["is_busy"] = True
    return render_template("settings/health.html", **values, parts=_PARTS, levels=Level, components=health.components())
