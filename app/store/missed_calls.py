"""Missed calls: whose are listed, and what becomes of them when somebody talks or leaves a request."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, exists, select, update
from sqlalchemy.orm import Session

from app.domain.missed_calls import ModuleTargets, Outcome, Target
from app.store.models import MissedCall, MissedCallRule, Module
from app.store.settings import read_all

LOOK_BACK, KEPT = "missed_look_back", "missed_kept"  # the names of the settings, in hours and in days


@dataclass(frozen=True)
class MissedCallSettings:
    """`look_back`: hours within which calls of a number belong together. `kept`: days for which calls are kept."""

    look_back: int = 24
    kept: int = 90


@dataclass(frozen=True)
class Rule:
    """`module_id` None: the first module that serves the target. `minutes` 0: no request is made by itself."""

    id: int
    target: Target
    module_id: int | None
    minutes: int


def missed_call_settings(stored: Mapping[str, str]) -> MissedCallSettings:
    """Return the settings. `stored` is the result of `read_all`."""
    defaults = MissedCallSettings()
    return MissedCallSettings(int(stored.get(LOOK_BACK, defaults.look_back)), int(stored.get(KEPT, defaults.kept)))


def looks_back_to(session: Session, now: datetime) -> datetime:
    """Return since when missed calls count."""
    return now - timedelta(hours=missed_call_settings(read_all(session)).look_back)


def load_rules(session: Session) -> dict[Target, Rule]:
    """Return the rules by extension and queue, extensions first."""
    rows = session.scalars(select(MissedCallRule))
    rules = [Rule(row.id, Target(row.queue, row.target), row.module_id, row.minutes) for row in rows]
    return {rule.target: rule for rule in sorted(rules, key=lambda rule: rule.target)}


def targets_of(module: Module) -> ModuleTargets:
    return ModuleTargets(module.target_kind == "queue", tuple(module.targets))


def module_for(rule: Rule | None, target: Target, modules: Collection[Module]) -> Module | None:
    """Return the active module through which a missed call becomes a request, None if there is none."""
    serving = [module for module in modules if module.active and targets_of(module).serves(target)]
    if rule is not None and rule.module_id is not None:
        serving = [module for module in serving if module.id == rule.module_id]
    return serving[0] if serving else None


def of_number(number: str, since: datetime) -> ColumnElement[bool]:
    """Return the condition for the missed calls of a number, which is not withheld."""
    return (MissedCall.number == number) & (MissedCall.at >= since)


def mark(
    session: Session,
    condition: ColumnElement[bool],
    outcome: Outcome,
    at: datetime,
    *,
    by: str = "",
    request_id: int | None = None,
) -> None:
    """Set the outcome of the missed calls to which the condition applies, unless they have one that stays."""
    before = [each.value for each in Outcome if outcome.follows(each)]
    rows = session.scalars(select(MissedCall.id).where(condition, MissedCall.outcome.in_(before))).all()
    if not rows:
        return
    values: dict[str, object] = {"outcome": outcome.value, "outcome_at": at, "outcome_by": by[:80]}
    if request_id is not None:
        values["request_id"] = request_id
    # The outcome is compared again, because on PostgreSQL somebody else may have changed it since.
    session.execute(
        update(MissedCall)
        .where(MissedCall.id.in_(rows), MissedCall.outcome.in_(before))
        .values(values)
        .execution_options(synchronize_session=False)
    )


def are_listed(session: Session, number: str, now: datetime) -> bool:
    """Tell whether there are missed calls of a number that count."""
    return bool(number) and bool(session.scalar(select(exists().where(of_number(number, looks_back_to(session, now))))))


def mark_reached(session: Session, number: str, since: datetime, *, by: str, now: datetime) -> None:
    """Note that the office talks with a number since `since`."""
    if number:
        mark(session, of_number(number, looks_back_to(session, now)), Outcome.REACHED, since, by=by)


def mark_requested(
    session: Session, numbers: Collection[str], request_id: int, outcome: Outcome, now: datetime, *, by: str = ""
) -> None:
    """Note that there is a request for these numbers of one caller."""
    since = looks_back_to(session, now)
    for number in set(numbers) - {""}:
        mark(session, of_number(number, since), outcome, now, by=by, request_id=request_id)
