"""The blueprint of the setup, the order of its steps, and its end."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import lazy_gettext as _l
from flask_login import current_user

from app.services.settings import pbx
from app.services.setup import progress
from app.services.setup.progress import SetupStep
from app.web import context
from app.web.context import administrator_required, database, directory, stored
from app.web.http import is_fragment
from app.web.settings.blueprint import environment_values

blueprint = Blueprint("setup", __name__, url_prefix="/setup")

STEPS = (  # endpoint, label
    ("setup.index", _l("Administrator")),
    ("setup.place", _l("Office")),
    ("setup.exchange_step", _l("PBX")),
    ("setup.module", _l("First module")),
    ("setup.call", _l("Test call")),
)
ENDPOINTS = {
    SetupStep.OFFICE: "setup.place",
    SetupStep.PBX: "setup.exchange_step",
    SetupStep.MODULE: "setup.module",
    SetupStep.CALL: "setup.call",
}


@blueprint.app_context_processor
def _reminder():
    """Let the pages of administrators remind of an unfinished setup."""
    return {"unfinished_setup_url": unfinished_setup_url}


def unfinished_setup_url() -> str:
    """Return the address of the next step; "" if the setup is finished or the user is no administrator."""
    if not current_user.is_authenticated or current_user.role != "administrator" or request.blueprint == "setup":
        return ""
    step = progress.current_step(stored())
    return url_for(ENDPOINTS[step]) if step else ""


@blueprint.context_processor
def _template_values():
    return {"steps": STEPS, **environment_values()}


@blueprint.post("/<any(office,exchange,module,call):step>/done")
@administrator_required
def done(step: str):
    """Complete or skip a step and go to the next one."""
    return complete_step(SetupStep(step))


def complete_step(step: SetupStep):
    """Record that a step is complete, and redirect to the next one."""
    progress.complete(database(), step)
    following = progress.step_after(step)
    return redirect(url_for(ENDPOINTS[following] if following else "setup.end"))


@blueprint.get("/end")
@administrator_required
def end():
    """Show what is ready and what to do next."""
    modules = len(directory().modules)
    if is_fragment():
        return render_template("setup/_state.html", modules=modules)
    return render_template(
        "setup/end.html", modules=modules, profile=context.pbx().pbx_profile, step_number=len(STEPS) + 1
    )


@blueprint.post("/finish")
@administrator_required
def finish():
    """Finish the setup, so that no page reminds of it."""
    progress.finish(database())
    pbx.stop_showing(database())
    return redirect(url_for("requests.index"))
