"""The log: who changed what in the panel. Entries are added here, and changed or deleted nowhere."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from app.store.database import Database
from app.store.models import AuditEntry
from app.store.search import contains

HIDDEN = "***"
LONGEST_SUBJECT = 120
PER_PAGE = 50

Detail = dict[str, Any]  # {"name of the field": [old, new]}


def record(session: Session, actor: str, action: str, subject: str, detail: Mapping[str, Any], now: datetime) -> None:
    """Add an entry within the transaction that makes the change: neither is there without the other."""
    session.add(
        AuditEntry(at=now, actor=actor[:80], action=action, subject=subject[:LONGEST_SUBJECT], detail=dict(detail))
    )


def changes(old: Mapping[str, Any], new: Mapping[str, Any], *, secret: Collection[str] = ()) -> Detail:
    """Return the fields that differ as {name: [old, new]}. Of a secret one is said that it changed, and no more."""
    found: Detail = {}
    for name in dict.fromkeys([*old, *new]):
        before, after = old.get(name), new.get(name)
        if before != after:
            found[name] = [HIDDEN if before else "", HIDDEN if after else ""] if name in secret else [before, after]
    return found


@dataclass(frozen=True)
class AuditFilter:
    """What to show. `since` and `until` are moments, the latter not included; an empty value asks for nothing.

    `by_system`: only what nobody did.
    """

    actor: str = ""
    action: str = ""
    subject: str = ""  # a part of it
    since: datetime | None = None
    until: datetime | None = None
    by_system: bool = False


@dataclass(frozen=True)
class AuditPage:
    """`page` is the page that is shown, which is the last one where a later one was asked for."""

    entries: Sequence[AuditEntry]
    total: int
    page: int
    pages: int


def read(database: Database, wanted: AuditFilter | None = None, page: int = 1, per_page: int = PER_PAGE) -> AuditPage:
    """Return a page of the log, the latest first."""
    conditions = _conditions(wanted or AuditFilter())
    with database.read() as session:
        total = session.scalar(select(func.count()).select_from(AuditEntry).where(*conditions)) or 0
        pages = max(1, -(-total // per_page))
        page = min(max(page, 1), pages)
        query = select(AuditEntry).where(*conditions).order_by(AuditEntry.at.desc(), AuditEntry.id.desc())
        entries = session.scalars(query.limit(per_page).offset((page - 1) * per_page)).all()
    return AuditPage(entries, total, page, pages)


def _conditions(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.actor or wanted.by_system:
        conditions.append(AuditEntry.actor == ("" if wanted.by_system else wanted.actor))
    if wanted.action:
        conditions.append(AuditEntry.action == wanted.action)
    if wanted.subject:
        conditions.append(contains(AuditEntry.subject, wanted.subject))
    if wanted.since is not None:
        conditions.append(AuditEntry.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(AuditEntry.at < wanted.until)
    return conditions


def actors(database: Database) -> list[str]:
    """Return the names that stand in the log, for whoever filters it."""
    with database.read() as session:
        return list(session.scalars(select(AuditEntry.actor).distinct().order_by(AuditEntry.actor)))


def last_changes(database: Database) -> dict[str, datetime]:
    """Return when each one last changed something, by name."""
    with database.read() as session:
        query = select(AuditEntry.actor, func.max(AuditEntry.at)).group_by(AuditEntry.actor)
        return {row[0]: row[1] for row in session.execute(query)}


def actions(database: Database) -> list[str]:
    """Return the kinds of entries that stand in the log."""
    with database.read() as session:
        return list(session.scalars(select(AuditEntry.action).distinct().order_by(AuditEntry.action)))
