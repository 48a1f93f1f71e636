"""Tries of passwords and codes: where they come from, how long to wait for the next one, and what may be wrong."""

import math
from datetime import timedelta

from flask_babel import gettext as _
from flask_babel import ngettext
from wtforms import Field

from app.services.logins import Source
from app.web.accounts import known_browsers
from app.web.accounts.session import client
from app.web.context import utcnow
from app.web.formats import digits, exact


def source_for(name: str) -> Source:
    """Return where this request comes from, as it counts for the account with this name."""
    return Source(client().address, known_browsers.browser_id(name))


def retry_later(field: Field, wait: timedelta) -> dict[str, str]:
    """Say at a field how long to wait, because nothing was checked. Return the headers of the answer."""
    seconds = max(math.ceil(wait.total_seconds()), 1)
    text = ngettext(
        "Too many failed log-ins. Try again in %(num)s second.",
        "Too many failed log-ins. Try again in %(num)s seconds.",
        seconds,
    )
    field.errors = [digits(text)]
    return {"Retry-After": str(seconds)}


def clock_hint() -> str:
    """Return what may be the reason why a right code of a phone is refused."""
    return _(
        "The clock of this machine says %(time)s. If your phone says something else, correct the one that is wrong: "
        "codes depend on the time.",
        time=exact(utcnow()),
    )
