"""The audit log: who changed what in the panel. Entries are never changed, and deleted by their age only."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from app.store.database import Database
from app.store.models import AuditEntry
from app.store.search import contains

HIDDEN = "***"
LONGEST_SUBJECT = 120
PER_PAGE = 50

# Actions that change nothing.
_NO_CHANGES = (
    *("logged_in", "login_failed", "unknown_login_failed", "code_failed"),
    *("logged_out", "session_ended", "report_exported", "contacts_exported", "api_token_refused"),
)

Detail = dict[str, Any]  # {field name: [old, new]}


class AuditAction(StrEnum):
    """What an entry is about. The texts are in app/web/audit/wording.py."""

    USER_CREATED = "user_created"
    USER_CHANGED = "user_changed"
    PASSWORD_RESET = "password_reset"  # noqa: S105 - the name of an action
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - the name of an action
    LOGGED_IN = "logged_in"
    LOGIN_FAILED = "login_failed"
    UNKNOWN_LOGIN_FAILED = "unknown_login_failed"  # with a name that no user has
    CODE_FAILED = "code_failed"  # after the right password
    LOGIN_REFUSED = "login_refused"  # the name and the password are right, but they give no access
    ACCOUNT_LINKED = "account_linked"
    ACCOUNT_UNLINKED = "account_unlinked"
    LOGGED_OUT = "logged_out"
    SESSION_ENDED = "session_ended"
    SECOND_FACTOR_ON = "second_factor_on"
    SECOND_FACTOR_OFF = "second_factor_off"  # by the user
    SECOND_FACTOR_RESET = "second_factor_reset"  # by an administrator
    RECOVERY_CODES_MADE = "recovery_codes_made"
    API_TOKEN_ADDED = "api_token_added"  # noqa: S105 - the name of an action
    API_TOKEN_REVOKED = "api_token_revoked"  # noqa: S105 - the name of an action
    API_TOKEN_REFUSED = "api_token_refused"  # noqa: S105 - the name of an action
    EXCHANGE_ADDED = "exchange_added"
    EXCHANGE_RENAMED = "exchange_renamed"
    EXCHANGE_REMOVED = "exchange_removed"
    BACKUP_RESTORED = "backup_restored"
    REPORT_EXPORTED = "report_exported"
    MODULE_SAVED = "module_saved"
    MODULE_DELETED = "module_deleted"
    FORMER_CODE_REMOVED = "former_code_removed"
    EXTENSION_SAVED = "extension_saved"
    QUEUE_SAVED = "queue_saved"
    SETTINGS_SAVED = "settings_saved"
    RECORDING_RENAMED = "recording_renamed"
    RECORDING_DELETED = "recording_deleted"
    DIGIT_CHANGED = "digit_changed"
    RECORDING_SET_CHANGED = "recording_set_changed"
    NUMBER_LISTED = "number_listed"
    NUMBER_UNLISTED = "number_unlisted"
    NUMBER_RULE_ADDED = "number_rule_added"
    NUMBER_RULE_REMOVED = "number_rule_removed"
    SPECIAL_DAY_SAVED = "special_day_saved"
    SPECIAL_DAY_REMOVED = "special_day_removed"
    SPECIAL_DAYS_IMPORTED = "special_days_imported"
    MISSED_CALLS_LISTED = "missed_calls_listed"
    MISSED_CALLS_UNLISTED = "missed_calls_unlisted"
    WEBSITE_FORM_SAVED = "website_form_saved"
    WEBSITE_FORM_REMOVED = "website_form_removed"
    WEBSITE_KEY_RENEWED = "website_key_renewed"
    WEBHOOK_SAVED = "webhook_saved"
    WEBHOOK_REMOVED = "webhook_removed"
    WEBHOOK_PAUSED = "webhook_paused"
    WEBHOOK_RESUMED = "webhook_resumed"
    WEBHOOK_REPLAYED = "webhook_replayed"
    CONTACT_SAVED = "contact_saved"
    CONTACT_DELETED = "contact_deleted"
    CONTACTS_IMPORTED = "contacts_imported"
    CONTACTS_EXPORTED = "contacts_exported"
    CALLS_PAUSED = "calls_paused"
    CALLS_RESUMED = "calls_resumed"
    REQUEST_ADDED = "request_added"
    REQUEST_NOTED = "request_noted"
    REQUEST_POSTPONED = "request_postponed"
    REQUEST_REASSIGNED = "request_reassigned"
    REQUEST_PRIORITISED = "request_prioritised"
    REQUEST_DONE = "request_done"
    REQUEST_CANCELLED = "request_cancelled"
    REQUEST_CALLED = "request_called"
    REQUEST_CALL_WITHDRAWN = "request_call_withdrawn"
    REQUEST_UNDONE = "request_undone"
    REQUEST_REOPENED = "request_reopened"
    DATA_DELETED = "data_deleted"  # because of its age
    REQUESTS_MADE_UP = "requests_made_up"


_api_token: ContextVar[str] = ContextVar("_api_token", default="")


@contextmanager
def from_api(token: str) -> Iterator[None]:
    """Let the entries that are added within name the API token by which a program acts for the user.

    `token` is its name, "" if a person acts.
    """
    before = _api_token.set(token)
    try:
        yield
    finally:
        _api_token.reset(before)


def api_token() -> str:
    """Return the name of the API token by which a program acts now, "" if a person acts."""
    return _api_token.get()


def record(session: Session, actor: str, action: str, subject: str, detail: Mapping[str, Any], now: datetime) -> None:
    """Add an entry in the current transaction, so that it is stored together with the change.

    `actor` is "" for the system. Raises ValueError if `action` is no AuditAction.
    """
    session.add(
        AuditEntry(
            at=now,
            actor=actor[:80],
            action=AuditAction(action).value,
            subject=subject[:LONGEST_SUBJECT],
            detail={**detail, "api_token": api_token()} if api_token() else dict(detail),
        )
    )


def add(database: Database, actor: str, action: str, detail: Mapping[str, Any], now: datetime) -> None:
    """Add an entry about something that changes nothing else, in a transaction of its own."""
    with database.write() as session:
        record(session, actor, action, "", detail, now)


def changes(old: Mapping[str, Any], new: Mapping[str, Any], *, secret: Collection[str] = ()) -> Detail:
    """Return the fields that differ as {name: [old, new]}. Values of secret fields are replaced by `***`."""
    found: Detail = {}
    for name in dict.fromkeys([*old, *new]):
        before, after = old.get(name), new.get(name)
        if before != after:
            found[name] = [HIDDEN if before else "", HIDDEN if after else ""] if name in secret else [before, after]
    return found


@dataclass(frozen=True)
class AuditFilter:
    """What to show; empty values do not filter. `until` itself is excluded. `by_system`: entries without an actor."""

    actor: str = ""
    action: str = ""
    subject: str = ""  # a part of the subject
    since: datetime | None = None
    until: datetime | None = None
    by_system: bool = False


@dataclass(frozen=True)
class AuditPage:
    """One page of entries. `page` is the last page if a later one was requested."""

    entries: Sequence[AuditEntry]
    total: int
    page: int
    pages: int


def read(database: Database, filters: AuditFilter | None = None, page: int = 1, per_page: int = PER_PAGE) -> AuditPage:
    """Return a page of the log, newest entries first."""
    conditions = _conditions(filters or AuditFilter())
    with database.read() as session:
        total = session.scalar(select(func.count()).select_from(AuditEntry).where(*conditions)) or 0
        pages = max(1, -(-total // per_page))
        page = min(max(page, 1), pages)
        query = select(AuditEntry).where(*conditions).order_by(AuditEntry.at.desc(), AuditEntry.id.desc())
        entries = session.scalars(query.limit(per_page).offset((page - 1) * per_page)).all()
    return AuditPage(entries, total, page, pages)


def _conditions(filters: AuditFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if filters.actor or filters.by_system:
        conditions.append(AuditEntry.actor == ("" if filters.by_system else filters.actor))
    if filters.action:
        conditions.append(AuditEntry.action == filters.action)
    if filters.subject:
        conditions.append(contains(AuditEntry.subject, filters.subject))
    if filters.since is not None:
        conditions.append(AuditEntry.at >= filters.since)
    if filters.until is not None:
        conditions.append(AuditEntry.at < filters.until)
    return conditions


def actors(database: Database) -> list[str]:
    """Return the names of all actors in the log."""
    with database.read() as session:
        return list(session.scalars(select(AuditEntry.actor).distinct().order_by(AuditEntry.actor)))


def last_changes(database: Database) -> dict[str, datetime]:
    """Return the time of each actor's newest change, by name."""
    with database.read() as session:
        query = select(AuditEntry.actor, func.max(AuditEntry.at)).where(AuditEntry.action.not_in(_NO_CHANGES))
        query = query.group_by(AuditEntry.actor)
        return {row[0]: row[1] for row in session.execute(query)}


def actions(database: Database) -> list[str]:
    """Return the kinds of entries in the log."""
    with database.read() as session:
        return list(session.scalars(select(AuditEntry.action).distinct().order_by(AuditEntry.action)))
