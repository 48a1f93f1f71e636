"""The page of pending requests: live, each with the reason why it waits."""

from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_login import current_user, login_required

from app.services import commands
from app.services.pending import pending
from app.web import is_fragment, words
from app.web.parts import database, utcnow

blueprint = Blueprint("requests", __name__)


@blueprint.get("/")
@login_required
def home():
    return redirect(url_for("requests.index"))


@blueprint.get("/requests")
@login_required
def index():
    """Show every active request, and those that ended lately."""
    return _page()


@blueprint.get("/requests/rows")
@login_required
def rows():
    """Return the tables alone, for the page that asks again and again."""
    return _page("requests/_tables.html")


def _page(template: str = "requests/index.html", **values):
    now = utcnow()
    return render_template(template, pending=pending(database(), now), now=now, words=words, **values)


@blueprint.post("/requests/<row:request_id>/call")
@login_required
def call(request_id: int):
    """Have the next free agent rung for it, now."""
    return _do(commands.CALL_NOW, request_id, _("It is called as soon as an agent is free."))


@blueprint.post("/requests/<row:request_id>/cancel")
@login_required
def cancel(request_id: int):
    """End the request without a call."""
    return _do(commands.CANCEL, request_id, _("The request is cancelled."))


def _do(kind: str, request_id: int, done: str):
    """Ask the telephone service, wait a moment for its answer, and show it."""
    number = commands.ask(database(), kind, {"request": request_id}, actor=current_user.name, now=utcnow())
    answer = commands.wait_for(database(), number)
    if answer is None:
        message, level = _("The telephone service does not answer; it has 30 seconds to do it."), "warning"
    elif answer.ok:
        message, level = done, "success"
    elif answer.result == "not_found":
        abort(404)
    else:
        message, level = str(words.ANSWER.get(answer.result, _("This cannot be done any more."))), "warning"
    if is_fragment():
        return _page("requests/_answer.html", message=message, level=level)
    flash(message, level)
    return redirect(url_for("requests.index"))
