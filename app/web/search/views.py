"""One search for a number or a name, in all that the user may see."""

from flask import Blueprint, render_template, request
from flask_login import current_user, login_required

from app.services import search
from app.web.context import current_scope, database

blueprint = Blueprint("search", __name__)


@blueprint.get("/search")
@login_required
def index():
    """Show what was found."""
    text = request.args.get("find", "").strip()[: search.LONGEST]
    found = search.find(database(), current_scope(), text, sets_up=current_user.role == "administrator")
    return render_template("search/index.html", text=text, found=found)
