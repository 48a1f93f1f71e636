"""The badges of the navigation: how many requests wait."""

from dataclasses import dataclass

from flask_login import current_user

from app.services.requests import pending
from app.services.requests.access import Scope
from app.services.requests.pending import Badge
from app.web.context import cached, current_scope, database


@dataclass(frozen=True)
class Badges:
    """`own` counts requests for the user's extensions, `visible` all requests that the user may see."""

    own: Badge
    visible: Badge

    @property
    def audible(self) -> Badge:
        """The badge whose new requests ring the browser's bell."""
        return self.own if current_user.extensions else self.visible

    @property
    def counts(self) -> dict[str, int]:
        """How many requests wait, by the endpoint of the page that lists them."""
        if current_user.role == "operator":
            return {"mine.index": self.own.waiting}
        counts = {"requests.index": self.visible.waiting}
        return counts | {"mine.index": self.own.waiting} if current_user.extensions else counts


def current_badges() -> Badges:
    """Return the badges of the user."""
    scope = current_scope()
    own = _badge(scope.own()) if scope.extensions else Badge(0, 0)
    return Badges(own, _badge(scope) if scope.everything else own)


def _badge(scope: Scope) -> Badge:
    return cached(("badge", scope), lambda: pending.load_badge(database(), scope))
