"""The texts of missed calls."""

from collections.abc import Mapping

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l

from app.domain.missed_calls import Outcome, Target
from app.services.missed.list import Entry
from app.services.requests.targets import format_target

OUTCOME: Mapping[Outcome, object] = {
    Outcome.OPEN: _l("open"),
    Outcome.REACHED: _l("reached later"),
    Outcome.LEFT: _l("left a request"),
    Outcome.REQUESTED: _l("request made"),
    Outcome.DISMISSED: _l("dismissed"),
}


def value_of(target: Target) -> str:
    """Return a target as addresses have it."""
    return format_target(target.queue, target.code)


def why_no_request(entry: Entry) -> str:
    """Return why no request can be made of an open missed call."""
    return _("The number was withheld.") if not entry.number else _("No module serves it.")
