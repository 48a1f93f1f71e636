"""The destinations of webhooks, which administrators add and change.

Those of e-mail are added and changed by `mail_destinations.py`. What can be done with both is here.
"""

import base64
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, literal_column, or_, select
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain.summaries import Schedule
from app.domain.text import is_displayable
from app.domain.webhook_bodies import (
    LONGEST_TEMPLATE,
    LONGEST_TEXT,
    BadTemplate,
    BodyFormat,
    check_template,
    check_text,
)
from app.domain.webhooks import EVENTS, LASTS, BadUrl, Channel, InsideUrl, WebhookEvent, parse_url
from app.services import audit
from app.services.audit import AuditAction
from app.services.errors import ErrorCode, Invalid, NotFound, check_line
from app.store import encryption
from app.store.database import Database
from app.store.models import Module, Webhook, WebhookMessage
from app.store.webhooks import MessageState, new_uid

MOST = 20
LONGEST_NAME = 80
LONGEST_HEADER = 500
LONGEST_RECIPIENT = 120
MOST_HOURS = 72
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,59}")
# Headers that are ours, or by which a request could be smuggled into another one.
_OURS = frozenset({"host", "content-length", "content-type", "connection", "transfer-encoding", "expect", "upgrade"})
_SECRET = ("url", "header_value")  # they are not in the audit log
_SECRET_BYTES = 24


@dataclass(frozen=True)
class WebhookInput:
    """The values of the form. An empty `url` or `header_value` keeps the stored one. `hours`: how long it is tried."""

    name: str = ""
    url: str = ""
    active: bool = True
    inside: bool = False
    events: Sequence[str] = ()
    modules: Sequence[int] = ()  # none: all
    body_format: str = BodyFormat.STANDARD.value
    template: str = ""
    text: str = ""
    to_customer: bool = False
    recipient: str = ""
    header_name: str = ""
    header_value: str = ""
    hours: int = int(LASTS.total_seconds()) // 3600


@dataclass(frozen=True)
class Destination:
    """A destination in the list. `host` is what can be shown of its URL. `waiting`, `failed`: so many messages."""

    id: int
    name: str
    channel: Channel
    host: str
    active: bool
    events: Sequence[WebhookEvent]
    to_customer: bool
    summary: Schedule
    failing_since: datetime | None
    next_at: datetime | None
    paused_at: datetime | None
    sent_at: datetime | None
    waiting: int
    failed: int
    last_result: str = field(default="")  # of the last try, if it was in vain


# -- reading ----------------------------------------------------------------------------------------------------------


def list_destinations(database: Database, settings: Settings, channel: Channel = Channel.HTTP) -> list[Destination]:
    """Return the destinations of a channel by name."""
    query = select(Webhook).where(Webhook.channel == channel.value)
    with database.read() as session:
        rows = session.scalars(query.order_by(func.lower(Webhook.name), Webhook.id)).all()
        return [_to_destination(session, settings, row) for row in rows]


def load(database: Database, settings: Settings, webhook_id: int) -> Destination:
    """Return a destination. Raises NotFound."""
    with database.read() as session:
        return _to_destination(session, settings, get(session, webhook_id))


def load_input(database: Database, webhook_id: int) -> WebhookInput:
    """Return the values of a destination without what is secret. Raises NotFound."""
    with database.read() as session:
        return _to_input(get(session, webhook_id, Channel.HTTP))


def list_inputs(database: Database) -> list[WebhookInput]:
    """Return the values of all destinations without what is secret, by name."""
    query = select(Webhook).where(Webhook.channel == Channel.HTTP.value).order_by(Webhook.name)
    with database.read() as session:
        return [_to_input(row) for row in session.scalars(query)]


def _to_input(row: Webhook) -> WebhookInput:
    return WebhookInput(
        name=row.name,
        active=row.active,
        inside=row.inside,
        events=row.events.split(),
        modules=[int(module) for module in row.modules.split()],
        body_format=row.body_format,
        template=row.template,
        text=row.text,
        to_customer=row.to_customer,
        recipient=row.recipient,
        header_name=row.header_name,
        hours=row.lasts // 3600,
    )


def _to_destination(session: Session, settings: Settings, row: Webhook) -> Destination:
    of_it, counts = WebhookMessage.webhook_id == row.id, {}
    for state in (MessageState.WAITING, MessageState.FAILED):
        query = select(func.count()).select_from(WebhookMessage).where(of_it, _has_state(state))
        counts[state] = session.scalar(query) or 0
    in_vain = or_(_has_state(MessageState.WAITING), _has_state(MessageState.FAILED))
    last = select(WebhookMessage.result).where(of_it, in_vain, WebhookMessage.tries > 0)
    last = last.where(WebhookMessage.event != WebhookEvent.TEST.value).order_by(WebhookMessage.tried_at.desc())
    result = session.scalar(last.limit(1)) if row.failing_since else ""
    return Destination(
        id=row.id,
        name=row.name,
        channel=Channel(row.channel),
        host=_shown(_stored_url(settings, row)),
        active=row.active,
        events=[event for event in EVENTS if event.value in row.events.split()],
        to_customer=row.to_customer,
        summary=Schedule(row.summary),
        failing_since=row.failing_since,
        next_at=row.next_at,
        paused_at=row.paused_at,
        sent_at=row.sent_at,
        waiting=counts[MessageState.WAITING],
        failed=counts[MessageState.FAILED],
        last_result=result or "",
    )


def _has_state(state: MessageState) -> ColumnElement[bool]:
    """Return a condition as the partial indexes have it. With a parameter, SQLite would read the whole log."""
    return WebhookMessage.state == literal_column(f"'{state.value}'")


def _stored_url(settings: Settings, row: Webhook) -> str:
    try:
        return encryption.decrypt(settings, row.url)
    except encryption.CannotDecrypt:
        return ""


def _shown(url: str) -> str:
    """Return what can be shown of a URL: the path often has a key."""
    try:
        target = parse_url(url, inside=True)
    except BadUrl:
        return ""
    return f"{target.scheme}://{_origin(url)[1]}"


def _origin(url: str) -> tuple[str, str]:
    target = parse_url(url, inside=True)
    host = f"[{target.host}]" if ":" in target.host else target.host
    is_usual = target.port == (443 if target.scheme == "https" else 80)
    return target.scheme, host if is_usual else f"{host}:{target.port}"


def get(session: Session, webhook_id: int, channel: Channel | None = None, *, lock: bool = False) -> Webhook:
    """Return the row of a destination, of a channel if one is given. Raises NotFound."""
    row = session.get(Webhook, webhook_id, with_for_update=lock or None)
    if row is None or (channel is not None and row.channel != channel.value):
        raise NotFound(f"webhook {webhook_id}")
    return row


# -- changing ---------------------------------------------------------------------------------------------------------


def add(database: Database, settings: Settings, given: WebhookInput, *, actor: str, now: datetime) -> tuple[int, str]:
    """Add a destination. Return its id, and the secret that signs its messages. Raises Invalid."""
    secret = _make_secret()
    with database.write() as session:
        errors = _validate(session, given, "", "", has_value=False)
        if not given.url:
            errors["url"] = ErrorCode.REQUIRED
        if count(session, Channel.HTTP) >= MOST:
            errors.setdefault("name", ErrorCode.TOO_MANY)
        if is_taken(session, given.name):
            errors.setdefault("name", ErrorCode.TAKEN)
        if errors:
            raise Invalid(errors)
        row = Webhook(created_by=actor, created_at=now, secret=encryption.encrypt(settings, secret))
        _apply(settings, row, given)
        session.add(row)
        session.flush()
        changes = audit.changes({}, _audited(given, given.url), secret=_SECRET)
        audit.record(session, actor, AuditAction.WEBHOOK_SAVED, row.name, changes, now)
        return row.id, secret


def save(
    database: Database, settings: Settings, webhook_id: int, given: WebhookInput, *, actor: str, now: datetime
) -> None:
    """Change a destination. Raises Invalid and NotFound. What waits for it goes by the new values."""
    before = load_input(database, webhook_id)
    with database.write() as session:
        row = get(session, webhook_id, Channel.HTTP, lock=True)
        url = _stored_url(settings, row)
        errors = _validate(session, given, url, row.header_name, has_value=bool(row.header_value))
        if not given.url and not url:
            errors["url"] = ErrorCode.REQUIRED
        if is_taken(session, given.name, webhook_id):
            errors.setdefault("name", ErrorCode.TAKEN)
        if errors:
            raise Invalid(errors)
        changes = audit.changes(_audited(before, url), _audited(given, given.url or url), secret=_SECRET)
        if given.header_value:
            changes["header_value"] = [audit.HIDDEN, audit.HIDDEN]
        _apply(settings, row, given)
        row.next_at = None  # perhaps that was what was wrong
        if changes:
            audit.record(session, actor, AuditAction.WEBHOOK_SAVED, row.name, changes, now)


def restore(database: Database, settings: Settings, given: WebhookInput, *, actor: str, now: datetime) -> None:
    """Store a destination from a file, which has neither its URL nor other secrets. Raises Invalid.

    One that is new or changed is paused: its URL may be missing, and where the file comes from, the same messages may
    go to the same people. One with the same name keeps its URL and its secret.
    """
    with database.write() as session:
        row = session.scalar(select(Webhook).where(Webhook.name == given.name.strip()).with_for_update())
        errors = _validate(session, given, "", given.header_name, has_value=True)
        if row is not None and row.channel != Channel.HTTP.value:
            errors["name"] = ErrorCode.TAKEN
        if row is None and count(session, Channel.HTTP) >= MOST:
            errors["name"] = ErrorCode.TOO_MANY
        if errors:
            raise Invalid(errors)
        before: dict[str, Any] = {}
        if row is not None:
            before = _audited(_to_input(row), "")
        else:
            secret = encryption.encrypt(settings, _make_secret())
            row = Webhook(created_by=actor, created_at=now, url="", secret=secret, header_name="", header_value="")
        changes = audit.changes(before, _audited(given, ""), secret=_SECRET)
        if not changes:
            return
        value = row.header_value if row.header_name == given.header_name else ""
        _apply(settings, row, given)
        row.header_value, row.paused_at = value, row.paused_at or now
        session.add(row)
        audit.record(session, actor, AuditAction.WEBHOOK_SAVED, row.name, changes, now)


def _apply(settings: Settings, row: Webhook, given: WebhookInput) -> None:
    row.name, row.active, row.inside = given.name.strip(), given.active, given.inside
    if given.url:
        row.url = encryption.encrypt(settings, given.url)
    row.header_name = given.header_name
    if given.header_value or not given.header_name:
        row.header_value = encryption.encrypt(settings, given.header_value)
    row.events, row.modules = listed_events(given.events), listed_modules(given.modules)
    row.body_format, row.template, row.text = given.body_format, given.template, given.text
    row.to_customer, row.recipient = given.to_customer, given.recipient.strip()
    row.lasts = given.hours * 3600


def listed_events(events: Sequence[str]) -> str:
    """Return events as a row has them."""
    return _listed([event.value for event in EVENTS if event.value in events])


def listed_modules(modules: Sequence[int]) -> str:
    """Return the ids of modules as a row has them."""
    return _listed([str(module) for module in sorted(set(modules))])


def _listed(values: Sequence[str]) -> str:
    return f" {' '.join(values)} " if values else ""


def _audited(given: WebhookInput, url: str) -> dict[str, Any]:
    return {
        "name": given.name.strip(),
        "webhook_host": _shown(url),
        "url": url,
        "active": given.active,
        "webhook_inside": given.inside,
        "webhook_events": sorted(given.events),
        "webhook_modules": sorted(given.modules),
        "webhook_format": given.body_format,
        "webhook_template": given.template,
        "webhook_text": given.text,
        "to_customer": given.to_customer,
        "recipient": given.recipient.strip(),
        "header_name": given.header_name,
        "webhook_hours": given.hours,
    }


def remove(database: Database, webhook_id: int, *, actor: str, now: datetime) -> None:
    """Remove a destination with all its messages. Raises NotFound."""
    with database.write() as session:
        row = get(session, webhook_id, lock=True)
        audit.record(session, actor, AuditAction.WEBHOOK_REMOVED, row.name, {}, now)
        session.delete(row)


def resume(database: Database, webhook_id: int, *, actor: str, now: datetime) -> None:
    """Send messages to a paused destination again, those that wait first. Raises NotFound."""
    with database.write() as session:
        row = get(session, webhook_id, lock=True)
        if row.paused_at is None:
            return
        row.paused_at = row.next_at = row.failing_since = None
        row.failures = 0
        audit.record(session, actor, AuditAction.WEBHOOK_RESUMED, row.name, {}, now)


def pause(database: Database, webhook_id: int, *, actor: str, now: datetime) -> None:
    """Send nothing to a destination until it is resumed; what happens meanwhile is kept for it. Raises NotFound."""
    with database.write() as session:
        row = get(session, webhook_id, lock=True)
        if row.paused_at is None:
            row.paused_at = now
            audit.record(session, actor, AuditAction.WEBHOOK_PAUSED, row.name, {}, now)


def renew_secret(database: Database, settings: Settings, webhook_id: int, *, actor: str, now: datetime) -> str:
    """Sign the messages of a destination with another secret, and return it. Raises NotFound."""
    secret = _make_secret()
    with database.write() as session:
        row = get(session, webhook_id, Channel.HTTP, lock=True)
        row.secret = encryption.encrypt(settings, secret)
        hidden = {"secret": [audit.HIDDEN, audit.HIDDEN]}
        audit.record(session, actor, AuditAction.WEBHOOK_SAVED, row.name, hidden, now)
    return secret


def _make_secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"


# -- tests ------------------------------------------------------------------------------------------------------------


def ask_for_test(database: Database, webhook_id: int, *, actor: str, now: datetime) -> None:
    """Let a test be sent to a destination, unless one is on its way. Raises NotFound, and Invalid if nobody gets it.

    A destination whose messages go to customers gets the test for the number that it has as recipient.
    """
    with database.write() as session:
        row = get(session, webhook_id, lock=True)
        if row.to_customer and not row.recipient:
            raise Invalid({"recipient": ErrorCode.REQUIRED})
        is_open = select(WebhookMessage.id).where(
            WebhookMessage.webhook_id == row.id,
            WebhookMessage.event == WebhookEvent.TEST.value,
            WebhookMessage.state == MessageState.WAITING.value,
        )
        if session.scalar(is_open.limit(1)) is not None:
            return
        message = WebhookMessage(webhook_id=row.id, uid=new_uid(), event=WebhookEvent.TEST.value, data={"by": actor})
        message.at = message.since = message.next_at = now
        message.state = MessageState.WAITING.value
        session.add(message)


# -- checks -----------------------------------------------------------------------------------------------------------


def count(session: Session, channel: Channel) -> int:
    """Return how many destinations of a channel there are."""
    return session.scalar(select(func.count()).select_from(Webhook).where(Webhook.channel == channel.value)) or 0


def is_taken(session: Session, name: str, own: int | None = None) -> bool:
    """Tell whether another destination than `own` has a name."""
    same = select(Webhook.id).where(Webhook.name == name.strip(), Webhook.id != (own or 0))
    return session.scalar(same) is not None


def check_choices(session: Session, events: Sequence[str], modules: Sequence[int], hours: int) -> dict[str, ErrorCode]:
    """Return the validation errors of what every destination has."""
    errors = {}
    if set(events) - {event.value for event in EVENTS}:
        errors["events"] = ErrorCode.CHOICE
    if set(modules) - set(session.scalars(select(Module.id))):
        errors["modules"] = ErrorCode.CHOICE
    if not 1 <= hours <= MOST_HOURS:
        errors["hours"] = ErrorCode.RANGE
    return errors


def _validate(
    session: Session, given: WebhookInput, stored_url: str, stored_header: str, *, has_value: bool
) -> dict[str, ErrorCode]:
    """Return validation errors by field name."""
    errors = check_line("name", given.name, LONGEST_NAME, required=True)
    errors |= check_line("recipient", given.recipient, LONGEST_RECIPIENT)
    errors |= _check_url(given.url or stored_url, inside=given.inside)
    errors |= check_choices(session, given.events, given.modules, given.hours)
    if not given.events:
        errors["events"] = ErrorCode.REQUIRED
    errors |= _check_body(given)
    errors |= _check_header(given, stored_url, stored_header, has_value=has_value)
    return errors


def _check_url(url: str, *, inside: bool) -> dict[str, ErrorCode]:
    if not url:
        return {}  # said elsewhere
    try:
        parse_url(url, inside=inside)
    except InsideUrl:
        return {"url": ErrorCode.INSIDE}
    except BadUrl:
        return {"url": ErrorCode.URL}
    return {}


def _check_body(given: WebhookInput) -> dict[str, ErrorCode]:
    if given.body_format not in set(BodyFormat):
        return {"body_format": ErrorCode.CHOICE}
    errors: dict[str, ErrorCode] = {}
    if len(given.text) > LONGEST_TEXT:
        errors["text"] = ErrorCode.TOO_LONG
    elif not all(map(is_displayable, given.text.splitlines())):
        errors["text"] = ErrorCode.CHARACTERS
    body_format = BodyFormat(given.body_format)
    if len(given.template) > LONGEST_TEMPLATE:
        return errors | {"template": ErrorCode.TOO_LONG}
    checks: Mapping[str, Any] = {"text": lambda: check_text(given.text)}
    if body_format is not BodyFormat.STANDARD:
        checks = {**checks, "template": lambda: check_template(body_format, given.template)}
    for name, check in checks.items():
        try:
            check()
        except BadTemplate as error:
            errors.setdefault(name, ErrorCode.PLACEHOLDER if error.placeholder else ErrorCode.TEMPLATE)
    return errors


def _check_header(given: WebhookInput, stored_url: str, stored_name: str, *, has_value: bool) -> dict[str, ErrorCode]:
    """Check the further header. Its value is only for the host that it was entered for."""
    name, value = given.header_name, given.header_value
    if not name:
        return {"header_name": ErrorCode.REQUIRED} if value else {}
    if not _HEADER.fullmatch(name) or name.lower() in _OURS or name.lower().startswith("webhook-"):
        return {"header_name": ErrorCode.HEADER}
    if len(value) > LONGEST_HEADER:
        return {"header_value": ErrorCode.TOO_LONG}
    if not all(" " <= char <= "~" for char in value) or value != value.strip():
        return {"header_value": ErrorCode.SECRET}
    if value:
        return {}
    if not has_value or name != stored_name:
        return {"header_value": ErrorCode.REQUIRED}
    return {"header_value": ErrorCode.HEADER_AGAIN} if given.url and _differs(given.url, stored_url) else {}


def _differs(url: str, stored_url: str) -> bool:
    try:
        return _origin(url) != _origin(stored_url)
    except BadUrl:
        return True
