"""Tries of passwords and codes: where they come from, how long to wait for the next one, and what may be wrong."""

import math
from datetime import timedelta

from flask_babel import gettext as _
from flask_babel import ngettext
from flask_login import current_user
from wtforms import Field

from app.domain import external_users
from app.identity.errors import Unreachable
from app.services import logins
from app.services.errors import Invalid
from app.services.logins import Source, TooManyFailures
from app.web.accounts import known_browsers, sources
from app.web.accounts.session import client
from app.web.context import panel_database, panel_settings, utcnow
from app.web.fields import show_errors
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


def check_again(form, page):
    """Check the password of a form, and its code if it has that field. Return the answer if one is wrong, else None.

    `page` renders the page with the form. It gets a hint if the code is wrong.
    """
    if current_user.left_to_provider:  # who has no password here; the page says to log in again
        return page(), 422
    code = form.code.data or "" if "code" in form else None
    try:
        logins.check_again(
            panel_database(),
            panel_settings(),
            current_user.id,
            source_for(current_user.name),
            utcnow(),
            password=form.password.data or "",
            code=code,
            directory=sources.ldap(),
        )
    except Unreachable:
        form.password.errors = [sources.unreachable_text(external_users.Source.LDAP)]
        return page(), 503
    except TooManyFailures as error:
        headers = retry_later(form.password, error.wait)
        return page(), 429, headers
    except Invalid as invalid:
        show_errors(form, invalid.errors)
        shown = page(clock_hint()) if "code" in invalid.errors else page()
        return shown, 422
    return None
