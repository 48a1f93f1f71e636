"""What the page of pending requests shows: each request with the reason why it is not being dialled."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from app.domain import numbers, policy
from app.domain.lifecycle import ACTIVE, Outcome, Request, Status, Step
from app.domain.policy import Facts, Reason
from app.domain.text import displayable
from app.services.requests import pause as pausing
from app.services.requests.access import Scope, Visibility, visibility_of
from app.services.requests.pause import Pause
from app.store import pbx_state
from app.store import requests as store
from app.store.database import Database
from app.store.models import Attempt, CallRequest, Module

JUST_DONE = timedelta(minutes=30)
MOST_DONE = 10
EVERYTHING = Scope("", everything=True)


@dataclass(frozen=True)
class AttemptMark:
    """A try, as a mark on the timeline of a request; `outcome` is None while it is under way."""

    agent: str
    started_at: datetime
    ended_at: datetime | None
    outcome: Outcome | None
    manual: bool


@dataclass(frozen=True)
class PendingRow:
    """A request as it is shown. `number` is as people of the country write it; `wanted` whom the caller wanted.

    `place` is its place in the line of its target, 1 for the next; None where it does not wait.
    """

    id: int
    version: int
    status: Status
    step: Step | None
    number: str
    caller_name: str
    caller_number: str
    created_by: str
    module: str
    module_id: int | None
    queue: bool
    target: str
    wanted: tuple[str, ...]
    first_called_at: datetime
    registered_at: datetime
    done_at: datetime | None
    priority: int
    place: int | None
    customer_attempts: int
    customer_attempts_allowed: int
    agent_misses: int
    attempts: tuple[AttemptMark, ...]
    agent: str
    reason: Reason | None
    last_outcome: Outcome | None
    postponed_until: datetime | None
    call_now: bool
    note: str
    done_by: str

    @property
    def may_call(self) -> bool:
        return self.status in (Status.WAITING, Status.UNCERTAIN)

    @property
    def may_change(self) -> bool:
        """Postpone it, or give it to another."""
        return self.may_call

    @property
    def may_cancel(self) -> bool:
        return self.status in ACTIVE and self.status is not Status.CONNECTED


@dataclass(frozen=True)
class PendingFilter:
    """Which of the active requests to show; an empty value asks for nothing. `target` goes with `queue`."""

    module_id: int | None = None
    queue: bool = False
    target: str = ""
    statuses: Collection[Status] = ()

    def takes(self, row: CallRequest) -> bool:
        return (
            (self.module_id is None or row.module_id == self.module_id)
            and (not self.target or (row.queue, row.target) == (self.queue, self.target))
            and (not self.statuses or Status(row.status) in self.statuses)
        )


@dataclass(frozen=True)
class Pending:
    """`active` in the order in which they are served; `done` are those that ended lately, the latest first.

    `total` is how many active ones there are without the filter; `pause` is set while all automatic calls rest.
    """

    active: Sequence[PendingRow]
    done: Sequence[PendingRow]
    total: int = 0
    pause: Pause | None = None


def pending(
    database: Database, now: datetime, scope: Scope = EVERYTHING, wanted: PendingFilter | None = None
) -> Pending:
    """Return the active requests and the ones that ended lately, as far as they may be seen and are asked for."""
    wanted = wanted or PendingFilter()
    with database.read() as session:
        seen = visibility_of(session, scope)
        facts = pbx_state.stored_facts(session, now)
        rows = {row.id: (row, module) for row, module in store.active(session)}
        order = policy.in_order(store.to_domain(row, module) for row, module in rows.values())
        places = _places(order, rows)
        mine = [request for request in order if seen.covers(rows[request.id][0])]
        shown = [request for request in mine if wanted.takes(rows[request.id][0])]
        ended = _ended_lately(session, seen, wanted, now)
        marks = _marks(session, [request.id for request in shown] + [row.id for row, _ in ended])
        return Pending(
            [_row(rows[r.id][0], r, marks, facts, now, places.get(r.id)) for r in shown],
            [_row(row, store.to_domain(row, module), marks, facts, now) for row, module in ended],
            len(mine),
            pausing.current(session),
        )


def _places(order: Sequence[Request], rows: Mapping[int, tuple[CallRequest, Module | None]]) -> dict[int, int]:
    """Number those who wait for the same target, in the order in which they are served."""
    counts: Counter[tuple[int | None, bool, str]] = Counter()
    places = {}
    for request in order:
        if request.status is Status.WAITING:
            line = (None if request.target else rows[request.id][0].module_id, request.queue, request.target)
            counts[line] += 1
            places[request.id] = counts[line]
    return places


def _ended_lately(
    session: Session, seen: Visibility, wanted: PendingFilter, now: datetime
) -> list[tuple[CallRequest, Module | None]]:
    conditions: list[ColumnElement[bool]] = [CallRequest.done_at > now - JUST_DONE, seen.condition(leads=False)]
    if wanted.module_id is not None:
        conditions.append(CallRequest.module_id == wanted.module_id)
    if wanted.target:
        conditions += [CallRequest.queue.is_(wanted.queue), CallRequest.target == wanted.target]
    query = select(CallRequest).where(*conditions).order_by(CallRequest.done_at.desc()).limit(MOST_DONE)
    return store.with_modules(session, session.scalars(query).all())


def _marks(session: Session, ids: Sequence[int]) -> dict[int, tuple[AttemptMark, ...]]:
    query = (
        select(Attempt.request_id, Attempt.agent, Attempt.started_at, Attempt.ended_at, Attempt.outcome, Attempt.manual)
        .where(Attempt.request_id.in_(ids))
        .order_by(Attempt.started_at)
    )
    marks: dict[int, tuple[AttemptMark, ...]] = {}
    for request, agent, started, ended, outcome, manual in session.execute(query):
        mark = AttemptMark(agent, started, ended, Outcome(outcome) if outcome else None, manual)
        marks[request] = (*marks.get(request, ()), mark)
    return marks


def _row(
    row: CallRequest,
    request: Request,
    marks: Mapping[int, tuple[AttemptMark, ...]],
    facts: Facts,
    now: datetime,
    place: int | None = None,
) -> PendingRow:
    attempts = marks.get(row.id, ())
    under_way = bool(attempts) and attempts[-1].ended_at is None
    return PendingRow(
        id=row.id,
        version=row.version,
        status=request.status,
        step=request.step,
        number=numbers.national(row.number),
        caller_name=row.caller_name,
        caller_number=row.caller_number,
        created_by=row.created_by,
        module=row.module_name,
        module_id=row.module_id,
        queue=row.queue,
        target=row.target,
        wanted=(row.target,) if row.target else request.extensions,
        first_called_at=row.first_called_at,
        registered_at=row.registered_at,
        done_at=row.done_at,
        priority=row.priority,
        place=place,
        customer_attempts=row.customer_attempts,
        customer_attempts_allowed=request.rules.retries + 1,
        agent_misses=row.agent_misses,
        attempts=attempts,
        agent=attempts[-1].agent if attempts and (under_way or request.status not in ACTIVE) else "",
        reason=policy.explain(request, facts, now),
        last_outcome=request.last_outcome,
        postponed_until=row.postponed_until,
        call_now=row.call_now,
        note=row.note,
        done_by=row.done_by,
    )


def one(session: Session, row: CallRequest, module: Module | None, now: datetime) -> PendingRow:
    """Return one request as the table of pending ones shows it, but for its place."""
    facts = pbx_state.stored_facts(session, now)
    return _row(row, store.to_domain(row, module), _marks(session, [row.id]), facts, now)


def some(database: Database, scope: Scope, ids: Collection[int], now: datetime) -> list[PendingRow]:
    """Return those of these requests that may be seen, in the order of their numbers."""
    with database.read() as session:
        seen = visibility_of(session, scope)
        query = select(CallRequest).where(CallRequest.id.in_(ids), seen.condition()).order_by(CallRequest.id)
        rows = store.with_modules(session, session.scalars(query).all())
        facts = pbx_state.stored_facts(session, now)
        marks = _marks(session, [row.id for row, _ in rows])
        return [_row(row, store.to_domain(row, module), marks, facts, now) for row, module in rows]


@dataclass(frozen=True)
class Choices:
    """What the active requests can be filtered by: modules with their names, and (queue, target)."""

    modules: Sequence[tuple[int, str]]
    targets: Sequence[tuple[bool, str]]


def choices(database: Database, scope: Scope) -> Choices:
    """Return what there is to filter by, of what may be seen."""
    with database.read() as session:
        query = select(CallRequest.module_id, CallRequest.module_name, CallRequest.queue, CallRequest.target).where(
            store.has_status(), visibility_of(session, scope).condition(leads=False)
        )
        found = session.execute(query.distinct()).all()
    modules = {module: displayable(name) for module, name, _, _ in found if module is not None}
    targets = {(queue, target) for _, _, queue, target in found if target}
    return Choices(
        sorted(modules.items(), key=lambda module: (module[1], module[0])),
        sorted(targets, key=lambda target: (target[0], len(target[1]), target[1])),
    )


@dataclass(frozen=True)
class Badge:
    """How many requests wait for somebody, and the newest of them: when it grows, one has arrived."""

    waiting: int
    newest: int


def badge(database: Database, scope: Scope) -> Badge:
    """Return what the badge of the page shows."""
    with database.read() as session:
        query = select(func.count(), func.max(CallRequest.id)).where(
            store.has_status(), visibility_of(session, scope).condition(leads=False)
        )
        waiting, newest = session.execute(query).one()
    return Badge(waiting, newest or 0)
