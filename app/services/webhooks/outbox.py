"""The outbox: hand out the messages that are due, one at a time for each destination, and store what became of them.

The messages are stored by `store/webhooks.py`. A message is handed out until it was taken or is too old; so it can
arrive twice if the worker dies between the answer and the commit. It has the same id then.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import and_, delete, exists, literal_column, or_, select, update
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain import numbers
from app.domain.mail import Letter, MailServer
from app.domain.number_kinds import NumberKind, region_and_kind
from app.domain.webhook_bodies import CONTENT_TYPE, WHAT, BadTemplate, BodyFormat, render
from app.domain.webhooks import Channel, Fate, WebhookEvent, is_paused_after, pause_after
from app.services import audit
from app.services.audit import AuditAction
from app.services.exchanges import ARE_SEVERAL
from app.services.webhooks import letters
from app.store import encryption, pbx_state
from app.store import settings as store_settings
from app.store.contacts import names_of
from app.store.database import Database
from app.store.exchanges import FIRST, ExchangeKey, exchange_of
from app.store.models import Exchange, Webhook, WebhookMessage
from app.store.webhooks import MessageState

log = logging.getLogger(__name__)
HANDED_OUT = timedelta(minutes=1)  # after this without a result, it is handed out again
KEPT = timedelta(days=14)
LONGEST_REPLY = 200
# Numbers of these kinds get no message that goes to the customer: it is meant for a mobile phone.
_NO_MESSAGES = frozenset({NumberKind.LANDLINE})


@dataclass(frozen=True)
class Delivery:
    """A message that is handed out once. `fault` is a code if it cannot be sent as the destination is set.

    An e-mail has `server` and `letter`, all others have the fields between.
    """

    message_id: int
    webhook_id: int
    uid: str
    url: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    inside: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    content_type: str = ""
    body: str = field(default="", repr=False)
    server: MailServer | None = None
    letter: Letter | None = None
    fault: str = ""


@dataclass(frozen=True)
class Result:
    """What became of a message. `result` is a code, see push/webhook.py and push/mail.py. `took` is in milliseconds."""

    fate: Fate
    result: str
    reply: str = ""
    took: int = 0
    retry_after: timedelta | None = None


# -- what is due ------------------------------------------------------------------------------------------------------

# Literals: with parameters, SQLite cannot see that the partial indexes cover the queries.
_IS_WAITING = WebhookMessage.state == literal_column(f"'{MessageState.WAITING.value}'")
_IS_TEST = WebhookMessage.event == literal_column(f"'{WebhookEvent.TEST.value}'")


def _takes(now: datetime) -> Any:
    """Return the condition for destinations to which messages are sent now; a test is sent to any."""
    rests = or_(Webhook.next_at.is_(None), Webhook.next_at <= now)
    return and_(Webhook.active, Webhook.paused_at.is_(None), rests)


def due(database: Database, now: datetime) -> list[int]:
    """Return the ids of the destinations for which a message is due."""
    is_due = and_(_IS_WAITING, WebhookMessage.next_at <= now)
    has_message = exists().where(WebhookMessage.webhook_id == Webhook.id, is_due)
    with_tests = select(WebhookMessage.webhook_id).where(is_due, _IS_TEST).distinct()
    with database.read() as session:
        found = {*session.scalars(select(Webhook.id).where(_takes(now), has_message)), *session.scalars(with_tests)}
    return sorted(found)


def claim(database: Database, settings: Settings, webhook_id: int, now: datetime) -> Delivery | None:
    """Hand out the oldest message to a destination that is due, None if there is none."""
    query = (
        select(WebhookMessage, Webhook)
        .join(Webhook, Webhook.id == WebhookMessage.webhook_id)
        .where(Webhook.id == webhook_id, _IS_WAITING, WebhookMessage.next_at <= now, or_(_IS_TEST, _takes(now)))
        .order_by(WebhookMessage.id)
        .limit(1)
        .with_for_update(of=WebhookMessage, skip_locked=True)
    )
    with database.write() as session:
        while (found := session.execute(query).first()) is not None:
            message, webhook = found
            if _concerns_nobody(message, webhook):
                message.state = MessageState.SKIPPED.value
                session.flush()
                continue
            message.tries += 1
            message.tried_at, message.next_at = now, now + HANDED_OUT
            try:
                return _make(session, settings, message, webhook)
            except Exception:  # it must not be handed out for ever, and hold up all others
                log.exception("webhook %s: message %s cannot be made", webhook.id, message.uid)
                return Delivery(message.id, webhook.id, message.uid, fault="error")
    return None


def _concerns_nobody(message: WebhookMessage, webhook: Webhook) -> bool:
    """Tell whether a message is for a customer who cannot get one: an extension, a landline, or nobody at all."""
    if not webhook.to_customer or message.event == WebhookEvent.TEST.value:
        return False
    number = str(message.data.get("request", {}).get("number", ""))
    return not numbers.is_outside(number) or region_and_kind(number, "")[1] in _NO_MESSAGES


def _make(session: Session, settings: Settings, message: WebhookMessage, webhook: Webhook) -> Delivery:
    ids = message.id, webhook.id, message.uid
    number = str((message.data.get("request") or {}).get("number", ""))
    contact_name = names_of(session, [number]).get(number, "")
    if webhook.channel == Channel.MAIL.value:
        return _make_letter(session, settings, message, webhook, contact_name)
    try:
        url, secret, value = (
            encryption.decrypt(settings, stored) for stored in (webhook.url, webhook.secret, webhook.header_value)
        )
    except encryption.CannotDecrypt:
        return Delivery(*ids, fault="key")
    body_format = BodyFormat(webhook.body_format)
    try:
        if body_format is BodyFormat.STANDARD:
            body = json.dumps(content(message, contact_name, exchange_of(session)), ensure_ascii=False)
        else:
            values = _values(session, settings, message, webhook)
            values["name"] = contact_name or values["name"]
            body = render(body_format, webhook.template, webhook.text, values)
    except BadTemplate:
        return Delivery(*ids, fault="template")
    return Delivery(
        *ids,
        url=url,
        secret=secret,
        inside=webhook.inside,
        headers={webhook.header_name: value} if webhook.header_name else {},
        content_type=CONTENT_TYPE[body_format],
        body=body,
    )


def _make_letter(
    session: Session, settings: Settings, message: WebhookMessage, webhook: Webhook, contact_name: str
) -> Delivery:
    ids = message.id, webhook.id, message.uid
    stored = store_settings.read_all(session)
    try:
        server = store_settings.mail_server(settings, stored)
    except encryption.CannotDecrypt:
        return Delivery(*ids, fault="mail_key")
    if server is None:
        return Delivery(*ids, fault="no_server")
    office = load_letter_office(session, settings, stored, server)
    return Delivery(*ids, server=server, letter=letters.write(message, webhook, office, contact_name))


def load_letter_office(
    session: Session, settings: Settings, stored: Mapping[str, str], server: MailServer
) -> letters.Office:
    """Return what letters need to know of the office. `stored`: all settings."""
    office = store_settings.office(session, settings, stored)
    region = pbx_state.office_region(session) or office.region
    url, exchange = stored.get(store_settings.PANEL_URL, ""), exchange_of(session)
    if url and not exchange.is_first:
        url = f"{url}x/{exchange.code}/"
    zone, name = ZoneInfo(office.timezone), _exchange_name(session)
    return letters.Office(zone, region, server.sender, url, name, exchange.suffix)


def _exchange_name(session: Session) -> str:
    """Return the name of the session's exchange, "" if there is one only or it has no name."""
    of_this = Exchange.id == exchange_of(session).id
    return session.scalar(select(Exchange.name).where(of_this, ARE_SEVERAL)) or ""


def content(message: WebhookMessage, contact_name: str, exchange: ExchangeKey = FIRST) -> dict[str, Any]:
    """Return the JSON of a message, see docs/webhooks.md. `contact_name`: who has the number, "" if nobody."""
    data = dict(message.data)
    if data.get("request"):
        data["request"] = {**data["request"], "contact_name": contact_name}
    if data.get("attempt"):
        data["attempt"] = {**data["attempt"], "agent": message.agent}
    of_exchange = {} if exchange.is_first else {"exchange": exchange.code}
    return {"type": message.event, "timestamp": message.at.isoformat(timespec="seconds"), **of_exchange, "data": data}


def _values(session: Session, settings: Settings, message: WebhookMessage, webhook: Webhook) -> dict[str, str]:
    """Return what fills the placeholders."""
    office = store_settings.office(session, settings)
    region = pbx_state.office_region(session) or office.region
    event, data = WebhookEvent(message.event), message.data
    request, trunk = data.get("request") or {}, data.get("trunk") or {}
    number = str(request.get("number", ""))
    to_customer = webhook.to_customer and event is not WebhookEvent.TEST
    return {
        "what": WHAT.get(office.locale, WHAT["en"])[event],
        "event": event.value,
        "time": message.at.astimezone(ZoneInfo(office.timezone)).strftime("%H:%M"),
        "id": str(request.get("id", "")),
        "number": numbers.national(number, region) if number else "",
        "number_e164": number,
        "name": str(request.get("name", "")),
        "module": str((request.get("module") or {}).get("name", "")),
        "target": str((request.get("target") or {}).get("code", "")),
        "agent": message.agent or str(request.get("done_by", "")),
        "attempts": str(request.get("attempts", "")),
        "trunk": str(trunk.get("context", "")),
        "recipient": numbers.national(number, region) if to_customer else webhook.recipient,
        "recipient_e164": number if to_customer else webhook.recipient,
        "exchange": _exchange_name(session),
    }


# -- what became of it ------------------------------------------------------------------------------------------------


def finish(database: Database, delivery: Delivery, result: Result, now: datetime) -> None:
    """Store what became of a message, and what that says about its destination."""
    with database.write() as session:
        webhook = session.get(Webhook, delivery.webhook_id, with_for_update=True)
        message = session.get(WebhookMessage, delivery.message_id, with_for_update=True)
        if webhook is None or message is None:
            return  # somebody has deleted it meanwhile
        message.result, message.reply, message.took = result.result, result.reply[:LONGEST_REPLY], result.took
        if result.fate is Fate.SENT:
            message.state = MessageState.SENT.value
            webhook.failures, webhook.failing_since, webhook.next_at, webhook.sent_at = 0, None, None, now
            return
        log.warning("webhook %s: message %s, try %s: %s", webhook.id, message.uid, message.tries, result.result)
        if message.event == WebhookEvent.TEST.value:  # somebody looks at it, and sends another one
            message.state = MessageState.FAILED.value
            return
        webhook.failures += 1
        webhook.failing_since = webhook.failing_since or now
        if result.fate is Fate.NEVER:
            message.state = MessageState.FAILED.value
        elif result.fate is Fate.REFUSED:
            message.next_at = now + pause_after(message.tries)
        else:  # it waits with all others that go there, and keeps its place before them
            message.next_at = now
            webhook.next_at = now + max(pause_after(webhook.failures), result.retry_after or timedelta(0))
        if result.fate is Fate.GONE or is_paused_after(webhook.failures, now - webhook.failing_since):
            _pause(session, webhook, now)


def _pause(session: Session, webhook: Webhook, now: datetime) -> None:
    if webhook.paused_at is not None:
        return
    webhook.paused_at = now
    audit.record(session, "", AuditAction.WEBHOOK_PAUSED, webhook.name, {}, now)
    log.error("webhook %s is paused: it has taken no message since %s", webhook.id, webhook.failing_since)


def give_up_old(database: Database, now: datetime) -> int:
    """Give up the messages that have waited for longer than their destination wants. Return how many."""
    with database.read() as session:
        webhooks = session.execute(select(Webhook.id, Webhook.lasts)).all()
        conditions = [
            and_(WebhookMessage.webhook_id == row.id, WebhookMessage.since < now - timedelta(seconds=row.lasts))
            for row in webhooks
        ]
        if not conditions:
            return 0
        is_old = and_(_IS_WAITING, or_(*conditions))
        old = session.scalars(select(WebhookMessage.id).where(is_old)).all()
    if not old:
        return 0
    with database.write() as session:
        given_up = update(WebhookMessage).where(is_old).values(state=MessageState.FAILED.value)
        session.execute(given_up, execution_options={"synchronize_session": False})
    log.warning("%s messages to webhooks are given up, because they are too old", len(old))
    return len(old)


def delete_old(session: Session, now: datetime) -> None:
    """Delete the messages of former days, and with them the log."""
    session.execute(delete(WebhookMessage).where(~_IS_WAITING, WebhookMessage.since < now - KEPT))
