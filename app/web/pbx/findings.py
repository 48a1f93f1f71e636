"""What the panel shows beside a field with a destination: what it is, or that the PBX does not know it."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from flask_babel import gettext as _
from flask_babel import ngettext
from markupsafe import Markup, escape

from app.domain.routing import Destination, DestinationKind
from app.services.pbx.destinations import PbxWarning, warning_key
from app.services.pbx.directory import Directory
from app.services.pbx.lookup import LookupResult
from app.web import wording
from app.web.formats import digits, fill_in, name, number


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True)
class Finding:
    """`confirmation`: the value of the tick that confirms it, "" if it has none; `confirmed`: it is ticked."""

    level: Level
    text: Markup
    confirmation: str = ""
    confirmed: bool = False


def format_code(destination: Destination) -> Markup:
    """Format the code of a destination: numbers with the reader's digits, dialplan locations as they are."""
    if destination.kind == DestinationKind.CUSTOM:
        return fill_in('<bdi dir="ltr">%(code)s</bdi>', code=destination.code)
    return number(destination.code)


def describe_existing(directory: Directory, destination: Destination) -> Finding | None:
    """Return what the directory has for a destination, None if it has nothing."""
    if not directory.has(destination):
        return None
    code = destination.code
    match destination.kind:
        case DestinationKind.EXTENSION:
            extension = directory.extensions[code]
            state = wording.LINE_STATE[extension.state]
            text = _("%(number)s %(name)s, %(state)s") if extension.name else _("extension %(number)s, %(state)s")
            return Finding(Level.OK, fill_in(text, number=number(code), name=name(extension.name), state=state))
        case DestinationKind.QUEUE:
            count = directory.queues[code]
            members = digits(ngettext("%(num)s member", "%(num)s members", count))
            return Finding(Level.OK, fill_in(_("queue %(name)s, %(members)s"), name=number(code), members=members))
    module = directory.modules[code]
    if module.active:
        level, text = Level.OK, _("module “%(name)s”, %(code)s")
    else:
        level, text = Level.WARNING, _("module “%(name)s”, %(code)s, inactive")
    return Finding(level, fill_in(text, name=name(module.name), code=number(code)))


def describe_lookup(destination: Destination, result: LookupResult, confirmed: Collection[str]) -> Finding:
    """Return what the PBX answers about a destination. `confirmed`: the keys of the warnings that are confirmed."""
    if result is LookupResult.MISSING:
        return describe_warning(PbxWarning(destination, warning_key(destination) in confirmed))
    if result is LookupResult.UNANSWERED:
        text = _("The PBX cannot be asked now whether it has %(code)s.")
        return Finding(Level.WARNING, fill_in(text, code=format_code(destination)))
    texts: dict[str, str] = {
        DestinationKind.EXTENSION: _("The PBX has extension %(code)s."),
        DestinationKind.QUEUE: _("The PBX has queue %(code)s."),
        DestinationKind.CUSTOM: _("The PBX has this location in its dialplan."),
    }
    return Finding(Level.OK, fill_in(texts[destination.kind], code=number(destination.code)))


def describe_missing_module() -> Finding:
    return Finding(Level.FAULT, escape(wording.error("no_module")))


def describe_warning(warning: PbxWarning) -> Finding:
    """Return a warning with the tick that confirms it."""
    code = format_code(warning.destination)
    if not warning.code_taken:
        text = fill_in(_("The PBX does not have %(code)s."), code=code)
    elif warning.context:
        context = fill_in('<code dir="ltr">%(context)s</code>', context=warning.context)
        text = fill_in(_("The PBX already uses %(code)s in its context %(context)s."), code=code, context=context)
    else:
        text = fill_in(_("The PBX already uses %(code)s."), code=code)
    return Finding(Level.FAULT, text, warning.key, warning.confirmed)
