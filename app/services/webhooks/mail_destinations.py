"""Who gets e-mail: an address, the events and the summary that it gets, and the language.

A destination has one address, so each address has its own retries, and nobody sees the others. What else can be done
with a destination, such as to pause it, is in `destinations.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audio.prompt_texts import LANGUAGES
from app.domain.mail import MOST_RECIPIENTS, is_address
from app.domain.summaries import Schedule
from app.domain.webhooks import LASTS, Channel
from app.services import audit
from app.services.audit import AuditAction
from app.services.errors import ErrorCode, Invalid
from app.services.webhooks.destinations import check_choices, count, get, is_taken, listed_events, listed_modules
from app.store.database import Database
from app.store.models import Webhook

MOST = 50  # destinations


@dataclass(frozen=True)
class MailDestinationInput:
    """The values of the form. `summary_hour` is in the office's time zone. `hours`: how long a message is tried."""

    address: str = ""
    active: bool = True
    language: str = "fa"
    events: Sequence[str] = ()
    modules: Sequence[int] = ()  # none: all
    summary: str = Schedule.NONE.value
    summary_hour: int = 8
    hours: int = int(LASTS.total_seconds()) // 3600


def load_input(database: Database, webhook_id: int) -> MailDestinationInput:
    """Return the values of a destination. Raises NotFound."""
    with database.read() as session:
        return from_row(get(session, webhook_id, Channel.MAIL))


def list_inputs(database: Database) -> list[MailDestinationInput]:
    """Return the values of all destinations, by address."""
    query = select(Webhook).where(Webhook.channel == Channel.MAIL.value).order_by(Webhook.name)
    with database.read() as session:
        return [from_row(row) for row in session.scalars(query)]


def from_row(row: Webhook) -> MailDestinationInput:
    """Return the values of a stored destination."""
    return MailDestinationInput(
        address=row.recipient,
        active=row.active,
        language=row.language,
        events=row.events.split(),
        modules=[int(module) for module in row.modules.split()],
        summary=row.summary,
        summary_hour=row.summary_hour,
        hours=row.lasts // 3600,
    )


def add(
    database: Database, given: MailDestinationInput, addresses: Sequence[str], *, actor: str, now: datetime
) -> None:
    """Add a destination for each address, with the same values. Raises Invalid; then none is added."""
    wanted = list(dict.fromkeys(addresses))
    with database.write() as session:
        errors: dict[str, ErrorCode] = {}
        if len(wanted) > MOST_RECIPIENTS or count(session, Channel.MAIL) + len(wanted) > MOST:
            errors["address"] = ErrorCode.TOO_MANY
        elif not wanted:
            errors["address"] = ErrorCode.REQUIRED
        for address in wanted:
            errors |= _validate(session, replace(given, address=address), None)
        if errors:
            raise Invalid(errors)
        for address in wanted:
            row = Webhook(channel=Channel.MAIL.value, url="", secret="", created_by=actor, created_at=now)
            _apply(row, replace(given, address=address))
            session.add(row)
            changes = audit.changes({}, _audited(replace(given, address=address)))
            audit.record(session, actor, AuditAction.WEBHOOK_SAVED, address, changes, now)


def save(database: Database, webhook_id: int, given: MailDestinationInput, *, actor: str, now: datetime) -> None:
    """Change a destination. Raises Invalid and NotFound. What waits for it goes by the new values."""
    with database.write() as session:
        row = get(session, webhook_id, Channel.MAIL, lock=True)
        errors = _validate(session, given, webhook_id)
        if errors:
            raise Invalid(errors)
        before = from_row(row)
        _apply(row, given)
        row.next_at = None  # perhaps that was what was wrong
        if changes := audit.changes(_audited(before), _audited(given)):
            audit.record(session, actor, AuditAction.WEBHOOK_SAVED, row.name, changes, now)


def restore(database: Database, given: MailDestinationInput, *, actor: str, now: datetime) -> None:
    """Store a destination from a file. Raises Invalid. One that is new or changed is paused, as by `destinations`."""
    with database.write() as session:
        row = session.scalar(select(Webhook).where(Webhook.name == given.address).with_for_update())
        if row is not None and row.channel != Channel.MAIL.value:
            raise Invalid({"address": ErrorCode.TAKEN})
        errors = _validate(session, given, row.id if row is not None else None)
        if row is None and count(session, Channel.MAIL) >= MOST:
            errors["address"] = ErrorCode.TOO_MANY
        if errors:
            raise Invalid(errors)
        before = _audited(from_row(row)) if row is not None else {}
        changes = audit.changes(before, _audited(given))
        if not changes:
            return
        row = row or Webhook(channel=Channel.MAIL.value, url="", secret="", created_by=actor, created_at=now)
        _apply(row, given)
        row.paused_at = row.paused_at or now
        session.add(row)
        audit.record(session, actor, AuditAction.WEBHOOK_SAVED, row.name, changes, now)


def _apply(row: Webhook, given: MailDestinationInput) -> None:
    if (row.summary, row.summary_hour) != (given.summary, given.summary_hour):
        row.summary_day = None  # the next one comes when it is due by the new values
    row.name = row.recipient = given.address
    row.active, row.language = given.active, given.language
    row.events, row.modules = listed_events(given.events), listed_modules(given.modules)
    row.summary, row.summary_hour, row.lasts = given.summary, given.summary_hour, given.hours * 3600


def _audited(given: MailDestinationInput) -> Mapping[str, Any]:
    return {
        "recipient": given.address,
        "active": given.active,
        "language": given.language,
        "webhook_events": sorted(given.events),
        "webhook_modules": sorted(given.modules),
        "summary": given.summary,
        "summary_hour": given.summary_hour,
        "webhook_hours": given.hours,
    }


def _validate(session: Session, given: MailDestinationInput, own: int | None) -> dict[str, ErrorCode]:
    """Return validation errors by field name."""
    errors = check_choices(session, given.events, given.modules, given.hours)
    if not is_address(given.address):
        errors["address"] = ErrorCode.ADDRESS if given.address else ErrorCode.REQUIRED
    elif is_taken(session, given.address, own):
        errors["address"] = ErrorCode.TAKEN
    if given.language not in LANGUAGES:
        errors["language"] = ErrorCode.CHOICE
    if given.summary not in set(Schedule):
        errors["summary"] = ErrorCode.CHOICE
    if not 0 <= given.summary_hour <= 23:
        errors["summary_hour"] = ErrorCode.RANGE
    if not given.events and given.summary == Schedule.NONE.value:
        errors["events"] = ErrorCode.SOMETHING
    return errors
