"""The log of what was sent to a destination, and sending it again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update

from app.domain.webhooks import WebhookEvent
from app.services import audit
from app.services.audit import AuditAction
from app.services.errors import NotFound
from app.store.database import Database
from app.store.models import Webhook, WebhookMessage
from app.store.webhooks import MessageState

PER_PAGE = 50


@dataclass(frozen=True)
class LogPage:
    """One page of the messages, the newest first. `page` is the last page if a later one was asked for."""

    messages: Sequence[WebhookMessage]
    total: int
    page: int
    pages: int


def read(database: Database, webhook_id: int, state: MessageState | None = None, page: int = 1) -> LogPage:
    """Return a page of the messages of a destination, of those in a state if one is given."""
    conditions = [WebhookMessage.webhook_id == webhook_id]
    if state is not None:
        conditions.append(WebhookMessage.state == state.value)
    with database.read() as session:
        total = session.scalar(select(func.count()).select_from(WebhookMessage).where(*conditions)) or 0
        pages = max(1, -(-total // PER_PAGE))
        page = min(max(page, 1), pages)
        query = select(WebhookMessage).where(*conditions).order_by(WebhookMessage.id.desc())
        messages = session.scalars(query.limit(PER_PAGE).offset((page - 1) * PER_PAGE)).all()
    return LogPage(messages, total, page, pages)


def send_again(database: Database, webhook_id: int, message_id: int, *, actor: str, now: datetime) -> None:
    """Send a message again, with the same id and content. Raises NotFound."""
    with database.write() as session:
        message = session.get(WebhookMessage, message_id, with_for_update=True)
        webhook = session.get(Webhook, webhook_id)
        if message is None or webhook is None or message.webhook_id != webhook_id:
            raise NotFound(f"message {message_id}")
        if message.state == MessageState.WAITING.value:
            message.next_at = now  # at once
            return
        message.state, message.tries = MessageState.WAITING.value, 0
        message.since = message.next_at = now
        audit.record(session, actor, AuditAction.WEBHOOK_REPLAYED, webhook.name, {"messages": ["", "1"]}, now)


def send_failed_again(database: Database, webhook_id: int, *, actor: str, now: datetime) -> int:
    """Send all messages again that were given up. Return how many. Raises NotFound."""
    failed = (
        update(WebhookMessage)
        .where(WebhookMessage.webhook_id == webhook_id, WebhookMessage.state == MessageState.FAILED.value)
        .where(WebhookMessage.event != WebhookEvent.TEST.value)
        .values(state=MessageState.WAITING.value, tries=0, since=now, next_at=now)
    )
    with database.write() as session:
        webhook = session.get(Webhook, webhook_id)
        if webhook is None:
            raise NotFound(f"webhook {webhook_id}")
        count = session.execute(failed, execution_options={"synchronize_session": False}).rowcount  # type: ignore[attr-defined]
        if count:
            audit.record(
                session, actor, AuditAction.WEBHOOK_REPLAYED, webhook.name, {"messages": ["", str(count)]}, now
            )
    return int(count)
