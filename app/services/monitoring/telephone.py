"""What the database says about the health of the telephone side. Every page needs it, so it is read at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from app.domain.limits import LimitReason
from app.services.requests.kept import count_refused
from app.store import number_lists, pbx_state, routes, webhooks
from app.store.models import RouteTroubleRow, WorkerState
from app.store.webhooks import DestinationTrouble


@dataclass(frozen=True)
class TelephoneState:
    """The stored state of the worker, the trouble of the route to customers, and what has gone wrong lately.

    `refusals` and `broken_promises` are requests of callers that were refused, by reason; the latter were registered by
    the dialplan alone. `destinations` are those of webhooks and e-mail to which nothing is sent.
    """

    worker: WorkerState
    route: RouteTroubleRow | None
    refusals: Mapping[LimitReason, int]
    broken_promises: Mapping[str, int]
    destinations: Sequence[DestinationTrouble]


def load_state(session: Session, outbound_context: str, since: datetime) -> TelephoneState:
    """Return the state. Refusals are counted since a full hour."""
    return TelephoneState(
        pbx_state.worker_state(session),
        routes.load(session, outbound_context),
        number_lists.refusals_since(session, since),
        count_refused(session, since),
        webhooks.troubles(session),
    )
