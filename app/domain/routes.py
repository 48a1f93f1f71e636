"""The routes to customers: when a route has failed, how long it rests, and when it works again.

A route is an outbound context. A failure of it counts against nobody. Instead the route pauses, longer after each
failure in a row. After the pause one request tries it. Any result from the far end ends the trouble.
"""

from dataclasses import dataclass
from datetime import datetime

from app.domain.lifecycle import Outcome, Side, route_pause

# How these ended says nothing about the route.
_SAYS_NOTHING = frozenset(
    {
        Outcome.CUSTOMER_ABANDONED,
        Outcome.CUSTOMER_UNKNOWN,
        Outcome.CUSTOMER_EMERGENCY,
        Outcome.CUSTOMER_NOT_ALLOWED,
    }
)


@dataclass(frozen=True)
class RouteTrouble:
    """A route that fails: `failures` in a row, the first one at `since`, the last one at `failed_at` with `outcome`."""

    failures: int
    since: datetime
    failed_at: datetime
    outcome: Outcome

    @property
    def paused_until(self) -> datetime:
        return self.failed_at + route_pause(self.failures)


def after(
    trouble: RouteTrouble | None, outcome: Outcome, claimed_at: datetime, dialled_at: datetime, now: datetime
) -> RouteTrouble | None:
    """Return the trouble of a route after a call through it.

    `claimed_at` is when the call was decided on, `dialled_at` when the customer was dialled. Only a call that was
    decided on after the last failure tries the route again, so only its failure is one more in a row. Calls that were
    decided on before fail of the same trouble. A success of a call that was dialled before the last failure changes
    nothing either: a talk can have started long ago.
    """
    if outcome.side is Side.ROUTE:
        if trouble is None:
            return RouteTrouble(1, now, now, outcome)
        if claimed_at < trouble.failed_at:
            return trouble
        return RouteTrouble(trouble.failures + 1, trouble.since, now, outcome)
    if trouble is not None and dialled_at < trouble.failed_at:
        return trouble
    reached = outcome.side in (Side.REACHED, Side.CUSTOMER, Side.WISH) and outcome not in _SAYS_NOTHING
    reached = reached or outcome is Outcome.AGENT_MISSED_CUSTOMER
    return None if reached else trouble
