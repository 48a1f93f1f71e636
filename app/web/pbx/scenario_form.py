"""What the forms of both kinds of scenario have in common: saving, and the values of the page around them."""

from collections.abc import Sequence

from flask import flash
from flask_babel import gettext as _
from flask_login import current_user

from app.domain.routing import NO_DESTINATION, Context, Destination, DestinationKind
from app.services.pbx import config_snippets
from app.services.pbx.dialplan_view import read_excerpt
from app.services.pbx.directory import ModuleName
from app.services.pbx.lookup import is_reachable
from app.services.pbx.scenarios import ScenarioInput, check_and_save_scenario, check_without_pbx
from app.web.context import database, directory, settings, utcnow
from app.web.fields import has_errors
from app.web.pbx.fields import DestinationsForm, confirmed_keys, flash_unanswered


class ScenarioForm(DestinationsForm):
    def save(self, given: ScenarioInput) -> bool:
        """Save what was typed if everything is valid and confirmed; otherwise show all errors and warnings."""
        if has_errors(self):
            result = check_without_pbx(database(), given, confirmed=confirmed_keys())
        else:
            result = check_and_save_scenario(
                database(), given, confirmed=confirmed_keys(), now=utcnow(), actor=current_user.name
            )
        self.show_result(result)
        if result.saved:
            flash(_("The scenario is saved."), "success")
            flash_unanswered(result)
        return result.saved


def propose_module(modules: Sequence[ModuleName]) -> Destination:
    """Return the destination of a new scenario: the first module for this target, or the first of all.

    Without an active module the calls end.
    """
    active = [module for module in (*modules, *directory().modules.values()) if module.active]
    return Destination(DestinationKind.MODULE, active[0].code) if active else NO_DESTINATION


def page_values(form: ScenarioForm, context: Context, code: str) -> dict[str, object]:
    """Return the template's values beside the row."""
    form.show_existing(directory())
    path = settings().dialplan_path
    return {
        "directory": directory(),
        "reachable": is_reachable(database(), utcnow()),
        "excerpt": read_excerpt(database(), path, context, code),
        "dialplan_path": path,
        "target": config_snippets.location(context, code),
        "include": config_snippets.include(context),
    }
