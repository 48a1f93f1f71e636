"""The blueprint of the settings pages, and the values that their templates share."""

from flask import Blueprint
from flask_babel import lazy_gettext as _l

from app.config import PREFIX
from app.services.settings import office
from app.store.settings import ENVIRONMENT_NAMES
from app.web import pbx_product
from app.web.context import settings

blueprint = Blueprint("settings", __name__, url_prefix="/settings")

TABS = (  # endpoint, label, icon
    ("settings.index", _l("Office and calls"), "building"),
    ("settings.hours_page", _l("Office hours"), "clock"),
    ("settings.numbers_page", _l("Numbers"), "dialpad"),
    ("settings.callers", _l("Lists of numbers"), "list-details"),
    ("settings.missed_page", _l("Missed calls"), "phone-off"),
    ("settings.exchange", _l("PBX"), "plug-connected"),
    ("settings.webhooks", _l("Webhooks"), "transfer"),
    ("settings.mail", _l("E-mail"), "mail"),
    ("settings.contacts_page", _l("Customer program"), "user-circle"),
    ("settings.website_forms", _l("Websites"), "world"),
    ("settings.voices", _l("Voices"), "volume"),
    ("settings.stored_page", _l("Stored data"), "history"),
    ("settings.exchanges_page", _l("Exchanges"), "route"),
    ("settings.health_page", _l("Health"), "shield-check"),
    ("settings.machine", _l("This machine"), "info-circle"),
)


@blueprint.context_processor
def _template_values():
    return {"tabs": TABS, **environment_values()}


def environment_values() -> dict[str, object]:
    """Return what templates need to show settings from the environment read-only."""
    return {
        "from_environment": office.from_environment(settings()),
        "environment_variable": environment_variable,
        "pbx_contexts": pbx_product.contexts,
    }


def environment_variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return f"{PREFIX}{ENVIRONMENT_NAMES[name].upper()}"
