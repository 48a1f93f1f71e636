"""The screen pop on the pages of the agents who are talking."""

from collections.abc import Sequence

from flask_login import current_user

from app.services.contacts.screen_pop import ScreenPop, load_screen_pops
from app.web.context import cached_query, stored


def current_screen_pops() -> Sequence[ScreenPop]:
    """Return the calls that the user has taken on one of their extensions, and that go on."""
    template, extensions = stored().get("screen_pop_url", ""), tuple(current_user.extensions)
    if not template or not extensions:
        return ()
    key = "screen_pops", template, extensions
    return cached_query(key, lambda session: load_screen_pops(session, template, extensions))
