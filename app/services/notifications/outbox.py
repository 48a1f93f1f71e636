"""The outbox: find new notifications for browsers in the history, hand them out, and store the results.

Nothing of this stands in the way of those who register and call: the history of requests says what has happened. A
notification is stored once for each browser, and handed out again until it was sent or says nothing new any more.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, and_, delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain import numbers
from app.domain.lifecycle import ACTIVE, Status
from app.domain.notifications import LASTS, Kind, Preferences, due_at, next_try
from app.domain.sessions import has_ended
from app.services.exchanges import ARE_SEVERAL
from app.services.notifications import preferences
from app.services.requests.access import Visibility, scope_of, visibility_of
from app.services.requests.history import EventKind
from app.services.sessions import limits_of
from app.store import pbx_state
from app.store import requests as store
from app.store import settings as store_settings
from app.store.contacts import names_of
from app.store.database import Database
from app.store.exchanges import exchange_of
from app.store.models import (
    CallRequest,
    Exchange,
    HistoryEntry,
    Module,
    NotificationPreferences,
    PushMessage,
    PushSubscription,
    User,
    UserSession,
)
from app.store.user_exchanges import sees_this, show_extensions_here

LOOK_BACK = 2000  # history entries: on PostgreSQL, they may be committed in another order than that of their ids
AT_ONCE = 20
KEPT = timedelta(days=1)
LONGEST_FAILURE = 16  # characters of its code


@dataclass(frozen=True)
class Recipient:
    """A browser, and what its user wants: of `own` requests, or of all if nobody rings the user's phone (`audible`)."""

    subscription_id: int
    since: datetime
    name: str
    preferences: Preferences
    audible: Visibility
    own: Visibility


@dataclass(frozen=True)
class Delivery:
    """A notification that is handed out once. `payload` is None if it says nothing new any more."""

    message_id: int
    subscription_id: int
    endpoint: str
    p256dh: str
    auth: str
    contact: str
    key: str
    tries: int
    expires_at: datetime
    payload: bytes | None


@dataclass(frozen=True)
class Result:
    """What became of a notification: it is over, the browser is gone, or it failed (`failure`, see push/send.py)."""

    delivery: Delivery
    done: bool
    gone: bool = False
    failure: str = ""
    retry_after: timedelta | None = None


# -- what has happened ------------------------------------------------------------------------------------------------


def collect(database: Database, settings: Settings, now: datetime) -> int:
    """Store the notifications for what has happened. Return how many are new."""
    with database.read() as session:
        recipients = _recipients(session, settings, now)
        if not recipients:
            return 0
        zone = ZoneInfo(store_settings.office(session, settings).timezone)
        wall_time = now.astimezone(zone).time()
        messages = {
            (recipient.subscription_id, key): _message(recipient, row, kind, key, now)
            for kind, key, at, row in (*_arrived(session, now), *_failed(session, now), *_due(session, now))
            for recipient in recipients
            if _is_for(recipient, kind, row, at) and recipient.preferences.wants(kind, wall_time)
        }
        stored = select(PushMessage.subscription_id, PushMessage.key).where(PushMessage.created_at > now - KEPT)
        for known in session.execute(stored) if messages else ():
            messages.pop((known.subscription_id, known.key), None)
    if not messages:
        return 0
    with database.write() as session:
        dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
        there = select(PushSubscription.id).where(PushSubscription.id.in_({found for found, _key in messages}))
        browsers = set(session.scalars(there.order_by(PushSubscription.id).with_for_update(key_share=True)))
        new = [values for (browser, _key), values in messages.items() if browser in browsers]
        if new:
            session.execute(dialect.insert(PushMessage).on_conflict_do_nothing(), new)
    return len(new)


def _recipients(session: Session, settings: Settings, now: datetime) -> list[Recipient]:
    """Return the browsers whose users are logged in there."""
    query = (
        select(PushSubscription, User, UserSession, NotificationPreferences)
        .join(User, User.id == PushSubscription.user_id)
        .join(UserSession, UserSession.id == PushSubscription.session_id)
        .outerjoin(NotificationPreferences, NotificationPreferences.user_id == User.id)
        .where(User.active, User.generation == UserSession.generation, sees_this(session))
    )
    limits = limits_of(settings)
    found = []
    rows = session.execute(query).all()
    show_extensions_here(session, (user for _, user, _, _ in rows))
    for subscription, user, login, chosen in rows:
        if has_ended(login.started_at, login.used_at, now, limits):
            continue
        scope = scope_of(user)
        own = visibility_of(session, scope.own())
        found.append(
            Recipient(
                subscription.id,
                subscription.created_at,
                user.name,
                preferences.to_domain(chosen) if chosen is not None else Preferences(),
                own if user.extensions else visibility_of(session, scope),
                own,
            )
        )
    return found


_Happened = tuple[Kind, str, datetime, CallRequest]  # the kind, the key, when, and the request


def _arrived(session: Session, now: datetime) -> Iterable[_Happened]:
    """Return the requests that were registered, or that came to somebody else."""
    events = (EventKind.REGISTERED.value, EventKind.REASSIGNED.value, EventKind.FELL_BACK.value)
    for entry, row in _entries(session, HistoryEntry.event.in_(events), now):
        yield Kind.ARRIVED, f"arrived:{row.id}", entry.at, row


def _failed(session: Session, now: datetime) -> Iterable[_Happened]:
    """Return the requests whose last attempt has failed."""
    is_last = and_(HistoryEntry.new_status == Status.FAILED.value, HistoryEntry.old_status != Status.FAILED.value)
    for entry, row in _entries(session, is_last, now):
        yield Kind.FAILED, f"failed:{entry.id}", entry.at, row


def _entries(session: Session, condition: Any, now: datetime) -> Sequence[Row[HistoryEntry, CallRequest]]:
    first = session.scalar(select(HistoryEntry.id).order_by(HistoryEntry.id.desc()).limit(1).offset(LOOK_BACK)) or 0
    query = select(HistoryEntry, CallRequest).join(CallRequest, CallRequest.id == HistoryEntry.request_id)
    query = query.where(HistoryEntry.id > first, HistoryEntry.at > now - LASTS, condition)
    return session.execute(query.order_by(HistoryEntry.id)).all()


def _due(session: Session, now: datetime) -> Iterable[_Happened]:
    """Return the requests that can be called since a moment ago, after they had to wait for that."""
    since = now - LASTS
    may_be_due = [and_(CallRequest.postponed_until > since, CallRequest.postponed_until <= now)]
    for module in session.scalars(select(Module).where(~Module.automatic)):
        wait = timedelta(seconds=module.min_wait)
        waited = and_(CallRequest.registered_at > since - wait, CallRequest.registered_at <= now - wait)
        paused = and_(CallRequest.not_before > since, CallRequest.not_before <= now)
        may_be_due.append(and_(CallRequest.module_id == module.id, or_(waited, paused)))
    query = select(CallRequest).where(store.has_status([Status.WAITING]), or_(*may_be_due))
    for row, of in store.with_modules(session, session.scalars(query).all()):
        due = due_at(store.to_domain(row, of))
        if due is not None and since < due <= now:
            yield Kind.DUE, f"due:{row.id}:{int(due.timestamp())}", due, row


def _is_for(recipient: Recipient, kind: Kind, row: CallRequest, at: datetime) -> bool:
    """Tell whether it concerns this user and is newer than the subscription."""
    if at < recipient.since or (kind is Kind.ARRIVED and row.created_by == recipient.name):
        return False
    return (recipient.own if kind is Kind.DUE else recipient.audible).covers(row)


def _message(recipient: Recipient, row: CallRequest, kind: Kind, key: str, now: datetime) -> dict[str, Any]:
    return {
        "subscription_id": recipient.subscription_id,
        "request_id": row.id,
        "kind": kind.value,
        "key": key,
        "created_at": now,
        "next_at": now,
        "expires_at": now + LASTS,
        "tries": 0,
        "done": False,
    }


# -- what is sent -----------------------------------------------------------------------------------------------------


def claim(database: Database, settings: Settings, now: datetime) -> list[Delivery]:
    """Hand out the notifications that are due. A notification without a result is handed out again later."""
    is_due = and_(~PushMessage.done, PushMessage.next_at <= now, PushMessage.expires_at > now)
    with database.read() as session:
        if session.scalar(select(PushMessage.id).where(is_due).limit(1)) is None:
            return []
    with database.write() as session:
        locale = store_settings.office(session, settings).locale
        region = pbx_state.office_region(session)
        query = (
            select(PushMessage, PushSubscription, User)
            .join(PushSubscription, PushSubscription.id == PushMessage.subscription_id)
            .join(User, User.id == PushSubscription.user_id)
            .where(is_due, sees_this(session))
            .order_by(PushMessage.id)
            .limit(AT_ONCE)
            .with_for_update(of=PushMessage, skip_locked=True)
        )
        deliveries = []
        exchange = exchange_of(session)
        name = session.scalar(select(Exchange.name).where(Exchange.id == exchange.id, ARE_SEVERAL))
        rows = session.execute(query).all()
        show_extensions_here(session, (user for _, _, user in rows))
        for message, browser, user in rows:
            key = message.key if exchange.is_first else f"{exchange.code}:{message.key}"
            message.tries += 1
            message.next_at = next_try(message.tries, now)
            content = _content(session, message, user, region)
            message.done = content is None
            if content is not None:
                content |= {"locale": user.locale or locale, "key": key}
                content |= {} if exchange.is_first else {"exchange": exchange.code}
                content |= {"exchange_name": name} if name else {}
            deliveries.append(
                Delivery(
                    message.id,
                    browser.id,
                    browser.endpoint,
                    browser.p256dh,
                    browser.auth,
                    browser.contact,
                    key,
                    message.tries,
                    message.expires_at,
                    json.dumps(content).encode() if content is not None else None,
                )
            )
    return [delivery for delivery in deliveries if delivery.payload is not None]


def _content(session: Session, message: PushMessage, user: User, region: str) -> dict[str, Any] | None:
    """Return what the browser gets, None if it is out of date. The words come from the browser's service worker."""
    kind = Kind(message.kind)
    if kind is Kind.TEST:
        return {"kind": kind.value}
    row = session.get(CallRequest, message.request_id) if message.request_id is not None else None
    stands = {Kind.ARRIVED: ACTIVE, Kind.DUE: {Status.WAITING}, Kind.FAILED: {Status.FAILED}}[kind]
    if row is None or Status(row.status) not in stands or not visibility_of(session, scope_of(user)).covers(row):
        return None
    content = {
        "kind": kind.value,
        "request": row.id,
        "target": row.target,
        "queue": row.queue,
        "attempts": row.customer_attempts,
    }
    if preferences.load(session, user.id).shows_numbers:
        content["number"] = numbers.national(row.number, region)
        content["name"] = names_of(session, [row.number]).get(row.number, "")
    return content


def finish(database: Database, results: Sequence[Result], now: datetime) -> None:
    """Store what became of notifications. A browser that is gone is deleted, with all that was to be sent to it.

    Workers of several exchanges send to the same browsers. All lock them in the same order, so none waits in a circle.
    """
    if not results:
        return
    with database.write() as session:
        for result in sorted(results, key=lambda result: result.delivery.subscription_id):
            browser = session.get(PushSubscription, result.delivery.subscription_id, with_for_update=True)
            if browser is None:
                continue
            if result.gone:
                session.delete(browser)
                session.flush()
                continue
            if result.failure:
                browser.failed_at, browser.failure = now, result.failure[:LONGEST_FAILURE]
            else:
                browser.sent_at, browser.failed_at, browser.failure = now, None, ""
            message = session.get(PushMessage, result.delivery.message_id)
            if message is not None:
                message.done = result.done
                if result.retry_after is not None:
                    message.next_at = max(message.next_at, now + result.retry_after)


def delete_old(session: Session, now: datetime) -> None:
    """Delete the notifications of former days."""
    session.execute(delete(PushMessage).where(PushMessage.created_at < now - KEPT))
