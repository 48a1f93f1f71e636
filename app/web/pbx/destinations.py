"""The findings that HTMX loads beside a field while someone types a destination or a module's code."""

from flask import Blueprint, render_template, request
from flask_babel import gettext as _
from flask_login import current_user
from markupsafe import escape

from app.domain.numbers import ascii_digits
from app.domain.routing import CODE_PATTERN, Destination, DestinationKind
from app.services.pbx import lookup
from app.services.pbx.destinations import PbxWarning, warning_key
from app.web.context import administrator_required, database, directory, settings, utcnow
from app.web.fields import split_list, typed_text
from app.web.formats import fill_in, name, number
from app.web.http import parse_row_number
from app.web.pbx.fields import confirmed_keys, parse_destination
from app.web.pbx.findings import (
    Finding,
    Level,
    describe_existing,
    describe_lookup,
    describe_missing_module,
    describe_warning,
)

blueprint = Blueprint("places", __name__, url_prefix="/places")
MOST_EXTENSIONS = 20  # of a field with several; each can cost a question to the PBX


@blueprint.get("/said", endpoint="said")
@administrator_required
def describe_field():
    """Show what the destinations are that are typed into a field."""
    destinations = _typed_destinations(request.args.get("field", ""))
    return _render([_describe(destination) for destination in destinations])


def _typed_destinations(field: str) -> list[Destination]:
    """Return the destinations in a form's field, without those that are not well-formed."""
    typed = {key: typed_text([value]) for key, value in request.args.items()}
    if field == "targets":
        extensions = split_list(typed.get("targets", ""))[:MOST_EXTENSIONS]
        destinations = [Destination(DestinationKind.EXTENSION, extension) for extension in extensions]
    elif field == "queue":
        destinations = [Destination(DestinationKind.QUEUE, typed.get("queue", ""))]
    else:
        destinations = [parse_destination(typed.get(f"{field}_kind", ""), typed.get(f"{field}_code", ""))]
    return [destination for destination in destinations if destination.is_well_formed]


def _describe(destination: Destination) -> Finding:
    existing = describe_existing(directory(), destination)
    if existing is not None:
        return existing
    if destination.kind == DestinationKind.MODULE:
        return describe_missing_module()
    result = lookup.look_up(database(), destination, actor=current_user.name, now=utcnow())
    return describe_lookup(destination, result, confirmed_keys())


@blueprint.get("/code", endpoint="code")
@administrator_required
def describe_code():
    """Show whether a module can have this code. `module` is the id of the module that is edited."""
    code = ascii_digits(request.args.get("code", "")).strip()
    own_id = request.args.get("module", 0, type=parse_row_number)
    return _render([_describe_code(code, own_id)] if CODE_PATTERN.fullmatch(code) else [])


def _describe_code(code: str, own_id: int) -> Finding:
    module = directory().modules.get(code)
    if module is not None and module.id != own_id:
        return Finding(Level.FAULT, fill_in(_("The module “%(name)s” already has this code."), name=name(module.name)))
    context = lookup.find_code(database(), settings(), code, actor=current_user.name, now=utcnow())
    if context is None:
        text = _("No other module has this code. The PBX cannot be asked now whether it uses the code.")
        return Finding(Level.WARNING, escape(text))
    if not context:
        return Finding(Level.OK, fill_in(_("%(code)s is free."), code=number(code)))
    destination = Destination(DestinationKind.MODULE, code)
    confirmed = warning_key(destination, code_taken=True) in confirmed_keys()
    return describe_warning(PbxWarning(destination, confirmed, code_taken=True, context=context))


def _render(findings: list[Finding]) -> str:
    return render_template("pbx/_findings.html", findings=findings)
