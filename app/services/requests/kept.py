"""Register the requests that the dialplan kept while our service was down, each once."""

import logging
from datetime import datetime
from enum import StrEnum

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.domain.limits import DAY, LimitReason
from app.services.errors import NotFound
from app.services.requests.registration import Registration, RegistrationRefused, register_in
from app.store.database import Database
from app.store.models import KeptRegistration
from app.store.turns import Urgency

log = logging.getLogger(__name__)
REMEMBERED = 30 * DAY  # Asterisk may give us a record again for so long, if it cannot be deleted there


class KeptRefusal(StrEnum):
    """Why a kept registration was refused, besides a limit. The caller has heard a yes. The values are stored."""

    NUMBER = "number"  # it may not be called
    MALFORMED = "malformed"
    NO_MODULE = "no_module"  # it was deleted
    OLD = "old"


def register_kept(
    database: Database,
    key: str,
    registration: Registration | None,
    called_at: datetime,
    now: datetime,
    refused: KeptRefusal | None = None,
) -> int | KeptRefusal | LimitReason | None:
    """Register what the dialplan kept under `key`, for the time of the call, unless that is done already.

    The request and the key are stored together, so that nothing which comes between can register it twice. Return the
    id of the request, or why it was refused, or None if the key is known. `refused`: no request is registered, because
    of this. Raises SQLAlchemyError.
    """
    with database.write(Urgency.REGISTRATION) as session:
        if session.get(KeptRegistration, key) is not None:
            return None
        result = refused or _register(session, registration, called_at, now)
        reason = "" if isinstance(result, int) else result.value
        session.add(KeptRegistration(key=key, called_at=called_at, stored_at=now, refused=reason))
    return result


def _register(
    session: Session, registration: Registration | None, called_at: datetime, now: datetime
) -> int | KeptRefusal | LimitReason:
    if called_at < now - REMEMBERED:  # perhaps it was registered, and the key is forgotten
        return KeptRefusal.OLD
    if registration is None:
        return KeptRefusal.NUMBER
    try:
        return register_in(session, registration, called_at)
    except RegistrationRefused as refusal:
        return refusal.reason
    except NotFound:
        return KeptRefusal.NO_MODULE


def count_refused(session: Session, since: datetime) -> dict[str, int]:
    """Return how many kept registrations were refused since then, by reason: a KeptRefusal or a LimitReason."""
    query = (
        select(KeptRegistration.refused, func.count())
        .where(KeptRegistration.refused != "", KeptRegistration.stored_at >= since)
        .group_by(KeptRegistration.refused)
    )
    return {reason: int(count) for reason, count in session.execute(query)}


def forget_old(session: Session, now: datetime) -> None:
    """Forget keys that were stored longer than REMEMBERED ago. Their records count as old from then on."""
    session.execute(delete(KeptRegistration).where(KeptRegistration.stored_at < now - REMEMBERED))
