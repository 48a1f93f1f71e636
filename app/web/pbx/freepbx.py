"""What the pages for FreePBX and Issabel have in common: the steps by which callers get to a module."""

from flask import request

from app.domain.routing import Context
from app.services.modules.list import list_names
from app.services.pbx.config_snippets import location
from app.web import pbx_product
from app.web.context import database, pbx


def is_freepbx() -> bool:
    """Tell whether the PBX has its own pages for extensions and queues."""
    return pbx().pbx_profile == "freepbx"


def step_values() -> dict[str, object]:
    """Return the template's values: all modules by code and name, and the chosen one with its location in the dialplan.

    `module` in the request is the code of the chosen module. The menus of the product are added.
    """
    with database().read() as session:
        modules = list_names(session)
    wanted = request.values.get("module", "")
    chosen = next((module for module in modules if module[0] == wanted), modules[0] if modules else None)
    target = location(Context.MODULES, chosen[0]) if chosen else ""
    return {"modules": modules, "chosen": chosen, "target": target, **pbx_product.template_values()}
