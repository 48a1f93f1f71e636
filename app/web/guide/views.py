"""A short guide for each role, to be read or printed."""

from flask import Blueprint, render_template
from flask_login import current_user, login_required

from app.web.layout import ALL_ROLES

blueprint = Blueprint("guide", __name__)


@blueprint.get("/guide", defaults={"role": ""})
@blueprint.get("/guide/<any(operator, supervisor, administrator):role>")
@login_required
def index(role: str):
    """Show the guide for a role; without one, for that of the user."""
    return render_template("guide/index.html", role=role or current_user.role, roles=ALL_ROLES)
