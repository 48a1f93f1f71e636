"""The badges of the navigation: how many requests wait, and how many missed calls of today are open."""

from dataclasses import dataclass

from flask_login import current_user

from app.services.missed import list as missed
from app.services.report import periods
from app.services.requests import pending
from app.services.requests.access import Scope
from app.services.requests.pending import Badge
from app.web.context import cached, cached_query, current_scope, database, utcnow
from app.web.formats import office_zone


@dataclass(frozen=True)
class Badges:
    """`own` counts requests for the user's extensions, `visible` all requests that the user may see.

    `missed` counts the open missed calls of today, None if the office lists none.
    """

    own: Badge
    visible: Badge
    missed: int | None

    @property
    def audible(self) -> Badge:
        """The badge whose new requests ring the browser's bell."""
        return self.own if current_user.extensions else self.visible

    @property
    def counts(self) -> dict[str, int]:
        """How many requests wait or calls were missed, by the endpoint of the page that lists them."""
        counts = {} if current_user.role == "operator" else {"requests.index": self.visible.waiting}
        if current_user.extensions or current_user.role == "operator":
            counts["mine.index"] = self.own.waiting
        return counts if self.missed is None else counts | {"missed.index": self.missed}


def current_badges() -> Badges:
    """Return the badges of the user."""
    scope = current_scope()
    own = _badge(scope.own()) if scope.extensions else Badge(0, 0)
    return Badges(own, _badge(scope) if scope.everything else own, _count_missed(scope))


def lists_missed_calls() -> bool:
    """Tell whether the page with missed calls is in use. Most offices begin without it."""
    return cached_query("missed_calls_in_use", missed.is_in_use)


def _count_missed(scope: Scope) -> int | None:
    if not lists_missed_calls():
        return None
    today = periods.today(utcnow(), office_zone())
    return cached(("missed", scope, today), lambda: missed.count_open(database(), scope, today))


def _badge(scope: Scope) -> Badge:
    return cached(("badge", scope), lambda: pending.load_badge(database(), scope))
