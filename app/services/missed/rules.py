"""Whose missed calls are listed, how they become requests, and how long they count."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.missed_calls import DAYS_BOUNDS, HOURS_BOUNDS, MINUTES_BOUNDS, Target
from app.domain.text import displayable
from app.services import audit
from app.services.audit import AuditAction
from app.services.errors import ErrorCode, Invalid, NotFound
from app.services.requests.targets import format_target
from app.services.settings.save import save_values
from app.store import missed_calls as store
from app.store.database import Database
from app.store.missed_calls import MissedCallSettings, Rule
from app.store.models import MissedCallRule, Module
from app.store.settings import read_all


@dataclass(frozen=True)
class ListedRule:
    """A rule with the name of its module. `module` None: the first module that serves the target."""

    rule: Rule
    module: str | None


def load_settings(database: Database) -> MissedCallSettings:
    with database.read() as session:
        return store.missed_call_settings(read_all(session))


def save_settings(database: Database, given: MissedCallSettings, *, actor: str, now: datetime) -> None:
    """Store for how long missed calls count. Raises Invalid."""
    errors = _outside("look_back", given.look_back, HOURS_BOUNDS) | _outside("kept", given.kept, DAYS_BOUNDS)
    if not errors and given.kept * 24 < given.look_back:
        errors["kept"] = ErrorCode.RANGE
    if errors:
        raise Invalid(errors)
    with database.write() as session:
        values = {store.LOOK_BACK: str(given.look_back), store.KEPT: str(given.kept)}
        save_values(session, values, now, actor=actor)


def load_rules(database: Database) -> Sequence[ListedRule]:
    """Return the rules, extensions first."""
    with database.read() as session:
        names = dict(session.execute(select(Module.id, Module.name)).all())
        rules = store.load_rules(session).values()
    return [ListedRule(rule, displayable(names[rule.module_id]) if rule.module_id else None) for rule in rules]


def save_rule(
    database: Database, target: Target, module_id: int | None, minutes: int, *, actor: str, now: datetime
) -> None:
    """List the missed calls of an extension or a queue, or change how they become requests. Raises Invalid."""
    with database.write() as session:
        errors = _outside("minutes", minutes, MINUTES_BOUNDS)
        if not target.is_valid:
            wrong = ErrorCode.QUEUE_NAME if target.queue else ErrorCode.CODE
            errors["target"] = wrong if target.code else ErrorCode.REQUIRED
        module = session.get(Module, module_id) if module_id is not None else None
        if module_id is not None and (module is None or not store.targets_of(module).serves(target)):
            errors["module_id"] = ErrorCode.CHOICE
        if errors:
            raise Invalid(errors)
        row = session.scalar(
            select(MissedCallRule)
            .where(MissedCallRule.queue == target.queue, MissedCallRule.target == target.code)
            .with_for_update()
        )
        before = _audit_fields(session, row)
        if row is None:
            row = MissedCallRule(queue=target.queue, target=target.code)
            session.add(row)
        row.module_id, row.minutes = module_id, minutes
        changed = audit.changes(before, _audit_fields(session, row))
        if changed:
            audit.record(session, actor, AuditAction.MISSED_CALLS_LISTED, _subject(row), changed, now)


def remove_rule(database: Database, rule_id: int, *, actor: str, now: datetime) -> None:
    """List the missed calls of an extension or a queue no longer. Raises NotFound."""
    with database.write() as session:
        row = session.get(MissedCallRule, rule_id)
        if row is None:
            raise NotFound(f"rule for missed calls {rule_id}")
        changed = audit.changes(_audit_fields(session, row), {})
        audit.record(session, actor, AuditAction.MISSED_CALLS_UNLISTED, _subject(row), changed, now)
        session.delete(row)


def _outside(name: str, value: int, bounds: tuple[int, int]) -> dict[str, ErrorCode]:
    return {} if bounds[0] <= value <= bounds[1] else {name: ErrorCode.RANGE}


def _audit_fields(session: Session, row: MissedCallRule | None) -> dict[str, object]:
    if row is None:
        return {}
    module = session.get(Module, row.module_id) if row.module_id is not None else None
    return {
        "target": format_target(row.queue, row.target),
        "module": module.name if module is not None else "",
        "missed_minutes": row.minutes,
    }


def _subject(row: MissedCallRule) -> str:
    return row.target
