"""Store what is told to other programs, in the transaction of the change itself.

So nothing is told that did not happen, and nothing that happened is lost, whichever process dies. Without a destination
that wants an event, this stores nothing and costs one statement.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    Integer,
    Row,
    String,
    and_,
    bindparam,
    func,
    insert,
    literal,
    or_,
    select,
)
from sqlalchemy.orm import Session

from app.domain.lifecycle import Outcome
from app.domain.webhooks import Channel, WebhookEvent
from app.store.models import Attempt, Base, CallRequest, UtcDateTime, Webhook, WebhookMessage


class MessageState(StrEnum):
    WAITING = "waiting"
    SENT = "sent"
    FAILED = "failed"
    SKIPPED = "skipped"  # it concerns nobody to whom this destination sends


_WEBHOOKS, _MESSAGES, _ATTEMPTS = (
    Base.metadata.tables[model.__tablename__] for model in (Webhook, WebhookMessage, Attempt)
)
_NOW = bindparam("now", type_=UtcDateTime)
_VALUES = {
    "webhook_id": _WEBHOOKS.c.id,
    "uid": bindparam("uid", type_=String),
    "event": bindparam("event", type_=String),
    "request_id": bindparam("request_id", type_=Integer),
    "at": _NOW,
    "data": bindparam("data", type_=JSON),
    "agent": func.coalesce(
        select(_ATTEMPTS.c.agent).where(_ATTEMPTS.c.id == bindparam("attempt", type_=String)).scalar_subquery(),
        "",
    ),
    "since": _NOW,
    "next_at": _NOW,
    "state": literal(MessageState.WAITING.value, String),
    "tries": literal(0, Integer),
    "took": literal(0, Integer),
    "result": literal("", String),
    "reply": literal("", String),
}
# Both lists have spaces around each entry. A trouble of all (module "") comes whatever modules are chosen.
_STORE = insert(_MESSAGES).from_select(
    list(_VALUES),
    select(*(value.label(name) for name, value in _VALUES.items())).where(
        _WEBHOOKS.c.active,
        _WEBHOOKS.c.events.like(bindparam("event_pattern", type_=String)),
        or_(
            _WEBHOOKS.c.modules == "",
            bindparam("module_pattern", type_=String) == "",
            _WEBHOOKS.c.modules.like(bindparam("module_pattern", type_=String)),
        ),
    ),
)


def tell(
    session: Session,
    event: WebhookEvent,
    now: datetime,
    data: Mapping[str, Any],
    *,
    request_id: int | None = None,
    module: int | None = None,
    attempt: str | None = None,
    of_all: bool = False,
) -> None:
    """Store an event for each destination that wants it. The session is not flushed.

    `data` is JSON. `module` is the id of the request's module, None if it is deleted: then only destinations without a
    choice of modules get it. `of_all`: it concerns all modules.
    """
    values = {
        "uid": new_uid(),
        "event": event.value,
        "request_id": request_id,
        "now": now,
        "data": dict(data),
        "attempt": attempt,
        "event_pattern": f"% {event.value} %",
        "module_pattern": "" if of_all else f"% {module or 0} %",
    }
    session.connection().execute(_STORE, values)


_WANTED = select(_WEBHOOKS.c.id).where(_WEBHOOKS.c.active, _WEBHOOKS.c.events.like(bindparam("event_pattern"))).limit(1)


def is_wanted(session: Session, event: WebhookEvent) -> bool:
    """Tell whether there is a destination that wants an event, of some modules at least."""
    return session.connection().scalar(_WANTED, {"event_pattern": f"% {event.value} %"}) is not None


def new_uid() -> str:
    """Return an id for a message, as receivers see it."""
    return f"msg_{secrets.token_hex(16)}"


def tell_request(
    session: Session,
    event: WebhookEvent,
    row: CallRequest | Row[Any],
    now: datetime,
    *,
    attempt: str | None = None,
    actor: str = "",
    **newer: Any,
) -> None:
    """Store an event of a request, as it is now. `newer` are columns whose values in `row` are from before."""
    values = {name: newer.get(name, getattr(row, name)) for name in _REQUEST}
    moments = {name: _text(getattr(row, name)) for name in ("registered_at", "first_called_at")}
    data = {
        "request": {
            "id": row.id,
            "status": values["status"],
            "module": {"id": row.module_id, "name": row.module_name},
            "target": {"kind": "queue" if values["queue"] else "extension", "code": values["target"]},
            "number": row.number,
            "name": row.caller_name,
            "website": row.website,
            "source": row.came_by or ("panel" if row.created_by else "phone"),
            "priority": values["priority"],
            **moments,
            "attempts": values["customer_attempts"],
            "last_outcome": values["last_outcome"],
            "done_by": values["done_by"],
        },
        "attempt": {"id": attempt, "agent": ""} if attempt else None,
        "by": actor,
    }
    tell(session, event, now, data, request_id=row.id, module=row.module_id, attempt=attempt)


_REQUEST = ("status", "queue", "target", "priority", "customer_attempts", "last_outcome", "done_by")


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment is not None else None


def tell_trouble(session: Session, context: str, outcome: Outcome, cause: str, now: datetime) -> None:
    """Store that a route to customers has begun to fail."""
    trunk = {"context": context, "outcome": outcome.value, "cause": cause}
    tell(session, WebhookEvent.TRUNK, now, {"trunk": trunk}, of_all=True)


# -- what is wrong with destinations ----------------------------------------------------------------------------------

TROUBLED_AFTER = 3  # failures in a row; one or two can happen to any receiver


@dataclass(frozen=True)
class DestinationTrouble:
    """A destination to which nothing is sent: it is paused, or what is sent there has failed since `failing_since`."""

    name: str
    channel: Channel
    is_paused: bool
    failing_since: datetime | None


def troubles(session: Session) -> list[DestinationTrouble]:
    """Return the active destinations that are paused or have failed lately, by name."""
    fails = and_(Webhook.failing_since.is_not(None), Webhook.failures >= TROUBLED_AFTER)
    query = select(Webhook.name, Webhook.channel, Webhook.paused_at, Webhook.failing_since)
    query = query.where(Webhook.active, or_(Webhook.paused_at.is_not(None), fails)).order_by(Webhook.name)
    return [
        DestinationTrouble(row.name, Channel(row.channel), row.paused_at is not None, row.failing_since)
        for row in session.execute(query)
    ]
