"""The number policy: which numbers may be called. An administrator changes it, and tries numbers."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import phonenumbers
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from app.config import Settings
from app.domain.number_policy import CHOICES, NumberPolicy, Source, Verdict, judge
from app.services import audit
from app.services.audit import AuditAction
from app.services.errors import ErrorCode, Invalid, NotFound, check_line
from app.services.requests.actions import MAX_LIST_NOTE_LENGTH
from app.services.requests.number_lists import NotARange, parse_prefix
from app.services.settings.save import save_values
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import NumberRule
from app.store.number_lists import load_lists
from app.store.number_policy import KINDS, TYPED_KINDS, RuleKind, load_policy

LONGEST_TRIED = 100  # characters of a number to try


@dataclass(frozen=True)
class RuleView:
    """A rule of the office. `value` is the country ("GB") or the prefix ("+4420")."""

    id: int
    kind: RuleKind
    value: str
    typed: bool
    note: str
    created_by: str
    created_at: datetime


@dataclass(frozen=True)
class Trial:
    """What would become of a number. `blocked`: it is on the block list, whatever the verdict is."""

    verdict: Verdict
    source: Source
    blocked: bool = False


def load(database: Database, settings: Settings) -> tuple[NumberPolicy, list[RuleView]]:
    """Return the policy, and the office's own rules in the order in which they were added."""
    with database.read() as session:
        stored = store_settings.read_all(session)
        region = store_settings.office(session, settings, stored).region
        policy = load_policy(session, region, stored)
        rows = session.scalars(select(NumberRule).order_by(NumberRule.id)).all()
    rules = [
        RuleView(row.id, RuleKind(row.kind), row.value, row.typed, row.note, row.created_by, row.created_at)
        for row in rows
    ]
    return policy, rules


def save_kinds(
    database: Database, kinds: Collection[str], typed_kinds: Collection[str], *, actor: str, now: datetime
) -> None:
    """Store which kinds may be called, and which of them callers may type. Raises Invalid."""
    if not {*kinds, *typed_kinds} <= set(CHOICES):
        raise Invalid({"kinds": ErrorCode.CHOICE})
    if not set(typed_kinds) <= set(kinds):
        raise Invalid({"typed_kinds": ErrorCode.STRICTER})
    values = {KINDS: _joined(kinds), TYPED_KINDS: _joined(typed_kinds)}
    with database.write() as session:
        save_values(session, values, now, actor=actor)


def _joined(kinds: Collection[str]) -> str:
    return ",".join(kind.value for kind in CHOICES if kind in kinds)


def add_rule(
    database: Database,
    settings: Settings,
    kind: str,
    value: str,
    *,
    typed: bool,
    note: str,
    actor: str,
    now: datetime,
) -> None:
    """Add a rule. `value` is a country, or a prefix as people write it. Raises Invalid."""
    note = note.strip()
    errors = check_line("note", note, MAX_LIST_NOTE_LENGTH)
    if kind not in set(RuleKind):
        errors["kind"] = ErrorCode.CHOICE
    try:
        with database.write() as session:
            if kind == RuleKind.COUNTRY:
                stored = store_settings.office(session, settings).region
                if value not in phonenumbers.SUPPORTED_REGIONS or value == stored:
                    errors["value"] = ErrorCode.CHOICE
            else:
                try:
                    value = parse_prefix(value, store_settings.number_plan(session, settings))
                except NotARange:
                    errors["value"] = ErrorCode.PREFIX if value.strip() else ErrorCode.REQUIRED
            if errors:
                raise Invalid(errors)
            typed = typed and kind != RuleKind.REFUSE
            row = NumberRule(kind=kind, value=value, typed=typed, note=note, created_by=actor, created_at=now)
            session.add(row)
            session.flush()
            changed = {"number_rule": ["", kind], "typed": ["", typed], "note": ["", note]}
            audit.record(session, actor, AuditAction.NUMBER_RULE_ADDED, value, changed, now)
    except IntegrityError:
        raise Invalid({"value": ErrorCode.TAKEN}) from None


def remove_rule(database: Database, rule_id: int, *, actor: str, now: datetime) -> None:
    """Remove a rule. Raises NotFound."""
    with database.write() as session:
        row = session.get(NumberRule, rule_id)
        if row is None:
            raise NotFound(f"number rule {rule_id}")
        changed = {"number_rule": [row.kind, ""], "typed": [row.typed, ""], "note": [row.note, ""]}
        session.delete(row)
        audit.record(session, actor, AuditAction.NUMBER_RULE_REMOVED, row.value, changed, now)


def try_number(database: Database, settings: Settings, text: str, source: Source) -> Trial:
    """Return what would become of a number. An extension is judged as if it came from inside."""
    with database.read() as session:
        stored = store_settings.read_all(session)
        plan = store_settings.number_plan(session, settings, stored)
        policy = load_policy(session, plan.region, stored)
        verdict = judge(text[:LONGEST_TRIED], plan, policy, source, from_inside=True)
        blocked = bool(verdict.number) and load_lists(session).is_blocked(verdict.number)
    return Trial(verdict, source, blocked)
