"""The list of missed calls: what a user sees of it, and what they can do with an entry."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, exists, false, func, or_, select, true
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain import numbers
from app.domain.missed_calls import Outcome, Target
from app.domain.text import displayable
from app.services.errors import ErrorCode, Invalid, NotFound
from app.services.missed.automatic import next_due
from app.services.report.periods import Period
from app.services.requests.access import Scope, Visibility, visibility_of
from app.services.requests.create import NewRequest, create_request
from app.services.requests.results import ActionResult
from app.store import missed_calls as store
from app.store import pbx_state, requests
from app.store.contacts import names_of
from app.store.database import Database
from app.store.models import MissedCall, MissedCallRule
from app.store.settings import read_all

PER_PAGE = 50


@dataclass(frozen=True)
class Entry:
    """The calls of a number to one target that have the same outcome. `id` is that of the last of them.

    `number` is written as in the office's country, "" if it was withheld. `name` is that of the contact, or else what
    the phone claims. `by`: the extension, queue or user of the
    outcome. `due_at`: when a request is made by itself, None if none is. `can_request`: it is open, and a module serves
    the target.
    """

    id: int
    target: Target
    number: str
    name: str
    count: int
    first_at: datetime
    last_at: datetime
    outcome: Outcome
    outcome_at: datetime | None
    by: str
    request_id: int | None
    due_at: datetime | None
    can_request: bool


@dataclass(frozen=True)
class Figures:
    """How many calls were missed, and what became of them. `requested`: the caller left a request, or one was made."""

    missed: int = 0
    reached: int = 0
    requested: int = 0
    open: int = 0


@dataclass(frozen=True)
class MissedCalls:
    """One page of the list, and what stands around it. If a page after the last one was requested, this is the last.

    `total` entries are on all pages. `targets` are those of all calls that the user may see, `look_back` is in hours.
    """

    entries: Sequence[Entry]
    total: int
    page: int
    pages: int
    figures: Figures
    targets: Sequence[Target]
    look_back: int


def is_in_use(session: Session) -> bool:
    """Tell whether there is anything to list: a rule, or a call of the time in which there was one."""
    return session.scalar(select(or_(exists().select_from(MissedCallRule), exists().select_from(MissedCall)))) or False


def load(
    database: Database,
    scope: Scope,
    now: datetime,
    target: Target | None = None,
    *,
    page: int = 1,
    per_page: int = PER_PAGE,
) -> MissedCalls:
    """Return the missed calls of the look-back that this user may see, open ones first, then the last ones first."""
    with database.read() as session:
        since = store.looks_back_to(session, now)
        seen = and_(MissedCall.at >= since, visible(visibility_of(session, scope)))
        rules, modules = store.load_rules(session), requests.all_modules(session)
        region = pbx_state.office_region(session)
        pairs = session.execute(select(MissedCall.queue, MissedCall.target).where(seen).distinct())
        targets = sorted(Target(*pair) for pair in pairs)
        if target is not None:
            seen = and_(seen, MissedCall.queue == target.queue, MissedCall.target == target.code)
        found = _entries(seen)
        total = session.scalar(select(func.count()).select_from(found.order_by(None).subquery())) or 0
        pages = max(1, -(-total // per_page))
        page = min(max(page, 1), pages)
        rows = session.execute(found.limit(per_page).offset((page - 1) * per_page)).all()
        names = names_of(session, [row.number for row in rows])
        entries = []
        for row in rows:
            of = Target(row.queue, row.target)
            rule, outcome = rules.get(of), Outcome(row.outcome)
            module = store.module_for(rule, of, modules)
            is_open = outcome is Outcome.OPEN and row.number != "" and module is not None
            entries.append(
                Entry(
                    id=row.id,
                    target=of,
                    number=numbers.national(row.number, region) if row.number else "",
                    name=names.get(row.number) or displayable(row.name),
                    count=row.calls,
                    first_at=row.first_at,
                    last_at=row.last_at,
                    outcome=outcome,
                    outcome_at=row.outcome_at,
                    by=row.outcome_by,
                    request_id=row.request_id,
                    due_at=next_due(row.first_at, rule.minutes) if is_open and rule is not None else None,
                    can_request=is_open,
                )
            )
        look_back = store.missed_call_settings(read_all(session)).look_back
        return MissedCalls(entries, total, page, pages, _figures(session, seen), targets, look_back)


def load_figures(session: Session, visibility: Visibility, period: Period) -> Figures:
    """Return the figures of the calls of a period that somebody may see."""
    in_period = and_(MissedCall.at >= period.start, MissedCall.at < period.end)
    return _figures(session, and_(in_period, visible(visibility)))


def count_open(database: Database, scope: Scope, period: Period) -> int:
    """Return how many missed calls of a period are open, of those that this user may see."""
    with database.read() as session:
        return load_figures(session, visibility_of(session, scope), period).open


def visible(visibility: Visibility) -> ColumnElement[bool]:
    if visibility.everything:
        return true()
    kinds: list[ColumnElement[bool]] = []
    if visibility.extensions:
        kinds.append(and_(MissedCall.queue.is_(False), MissedCall.target.in_(visibility.extensions)))
    if visibility.queues:
        kinds.append(and_(MissedCall.queue.is_(True), MissedCall.target.in_(visibility.queues)))
    return or_(*kinds) if kinds else false()


def _entries(seen: ColumnElement[bool]):  # type: ignore[no-untyped-def]
    same = (
        MissedCall.queue,
        MissedCall.target,
        MissedCall.number,
        MissedCall.outcome,
        MissedCall.outcome_at,
        MissedCall.outcome_by,
        MissedCall.request_id,
    )
    return (
        select(
            *same,
            func.max(MissedCall.id).label("id"),
            func.max(MissedCall.caller_name).label("name"),
            func.count().label("calls"),
            func.min(MissedCall.at).label("first_at"),
            func.max(MissedCall.at).label("last_at"),
        )
        .where(seen)
        .group_by(*same)
        .order_by(
            (MissedCall.outcome == Outcome.OPEN.value).desc(),
            func.max(MissedCall.at).desc(),
            func.max(MissedCall.id).desc(),
        )
    )


def _figures(session: Session, seen: ColumnElement[bool]) -> Figures:
    rows = session.execute(select(MissedCall.outcome, func.count()).where(seen).group_by(MissedCall.outcome))
    counts = {row[0]: row[1] for row in rows}
    return Figures(
        missed=sum(counts.values()),
        reached=counts.get(Outcome.REACHED, 0),
        requested=counts.get(Outcome.LEFT, 0) + counts.get(Outcome.REQUESTED, 0),
        open=counts.get(Outcome.OPEN, 0),
    )


def request(database: Database, settings: Settings, scope: Scope, call_id: int, now: datetime) -> ActionResult:
    """Make a request of the open missed calls of a number. Raises NotFound and Invalid.

    If there is such a request already, return it with the code DUPLICATE.
    """
    with database.read() as session:
        call = _find(session, scope, call_id)
        target = Target(call.queue, call.target)
        module = store.module_for(store.load_rules(session).get(target), target, requests.all_modules(session))
        first_at = session.scalar(select(func.min(MissedCall.at)).where(_same(session, call, now)))
    if module is None:
        raise Invalid({"module_id": ErrorCode.NO_MODULE})
    given = NewRequest(
        number=call.number,
        module_id=module.id,
        target="" if call.queue else call.target,
        name=displayable(call.caller_name),
        missed_at=first_at or call.at,
    )
    return create_request(database, settings, scope, given, now)


def dismiss(database: Database, scope: Scope, call_id: int, now: datetime) -> None:
    """Take the open missed calls of a number off the list. Raises NotFound."""
    with database.write() as session:
        call = _find(session, scope, call_id)
        store.mark(session, _same(session, call, now), Outcome.DISMISSED, now, by=scope.name)


def _find(session: Session, scope: Scope, call_id: int) -> MissedCall:
    seen = visible(visibility_of(session, scope))
    call = session.scalar(select(MissedCall).where(MissedCall.id == call_id, seen))
    if call is None:
        raise NotFound(f"missed call {call_id}")
    return call


def _same(session: Session, call: MissedCall, now: datetime) -> ColumnElement[bool]:
    """Return the condition for the open calls of which this one is the last."""
    return and_(
        store.of_number(call.number, store.looks_back_to(session, now)),
        MissedCall.queue == call.queue,
        MissedCall.target == call.target,
        MissedCall.outcome == Outcome.OPEN.value,
        MissedCall.id <= call.id,
    )
