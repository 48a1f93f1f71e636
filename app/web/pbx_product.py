"""The product that manages the PBX (FreePBX, Issabel or none): its menus, and taking over the settings for it."""

from dataclasses import dataclass

from flask import request
from flask_login import current_user

from app.domain.pbx_product import Product
from app.services.errors import Invalid
from app.services.pbx import connection_commands
from app.services.pbx.product import Proposal, load_contexts, load_product, propose
from app.services.settings import pbx
from app.web import context
from app.web.context import database, settings, stored, utcnow


@dataclass(frozen=True)
class Menus:
    """Where things are in a product's own menus, in its own words, which it shows in English."""

    custom_destinations: str
    extensions: str
    queues: str
    ivrs: str
    recordings: str
    manager_users: str
    file_editor: str
    console: str


_FREEPBX = Menus(
    "Admin → Custom Destinations",
    "Applications → Extensions",
    "Applications → Queues",
    "Applications → IVR",
    "Admin → System Recordings",
    "Settings → Asterisk Manager Users",
    "Admin → Config Edit",
    "Admin → Asterisk CLI",
)
MENUS = {
    Product.FREEPBX_16: _FREEPBX,
    Product.FREEPBX_17: Menus(**vars(_FREEPBX) | {"extensions": "Connectivity → Extensions"}),
    Product.ISSABEL: Menus(
        "PBX → PBX Configuration → Custom Destinations",
        "PBX → PBX Configuration → Extensions",
        "PBX → PBX Configuration → Queues",
        "PBX → PBX Configuration → IVR",
        "PBX → PBX Configuration → System Recordings",
        "PBX → PBX Configuration → Asterisk Manager Users",
        "PBX → Tools → Asterisk File Editor",
        "PBX → Tools → Asterisk-Cli",
    ),
}


def template_values() -> dict[str, object]:
    """Return what templates need to show steps in the words of the product: whether it is Issabel, and its menus.

    `menus` is None if the PBX has none, or it is not known whose they are.
    """
    product = load_product(stored())
    if product is None or context.pbx().pbx_profile != product.profile:
        return {"issabel": False, "menus": None}
    return {"issabel": product is Product.ISSABEL, "menus": MENUS.get(product)}


def contexts() -> tuple[str, ...]:
    """Return the contexts of the PBX that a connection test has found, for choosing."""
    return load_contexts(stored())


def stored_proposal() -> Proposal | None:
    """Return settings for the product that was last seen, if those in force are for another one."""
    return propose(settings(), context.pbx(), load_product(stored()))


def use_proposed() -> bool:
    """Save the profile and the context for calls to customers of the request. Return False if they are invalid."""
    values = (request.args.get(name, "") for name in ("profile", "outbound_context"))
    try:
        pbx.use_profile(database(), settings(), *values, actor=current_user.name, now=utcnow())
    except Invalid:
        return False
    connection_commands.apply(database(), actor=current_user.name, now=utcnow())
    return True
