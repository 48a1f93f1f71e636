"""The requests on the page "Pending requests", each with the reason why it is not being dialled."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from app.domain import numbers, policy
from app.domain.lifecycle import ACTIVE, REOPENABLE, Outcome, Request, Status, Step
from app.domain.policy import Facts, Reason
from app.domain.routing import CameBy
from app.domain.text import displayable
from app.services.requests.access import Scope, Visibility, visibility_of
from app.services.requests.pause import Pause, load_pause
from app.store import pbx_state
from app.store import requests as store
from app.store.database import Database
from app.store.models import Attempt, CallRequest, Module

RECENT = timedelta(minutes=30)  # for so long an ended request stays on the page
MAX_RECENT = 10


@dataclass(frozen=True)
class AttemptMark:
    """An attempt in the row of its request. `outcome` is None while the attempt is in flight."""

    agent: str
    started_at: datetime
    ended_at: datetime | None
    outcome: Outcome | None
    manual: bool


@dataclass(frozen=True)
class PendingRow:
    """A request as a row of the page.

    `number` is written as in the office's country. `targets` are the queue, or the extensions that may serve it.
    `position` is its place in the line of its target, 1 for the next one, None if it does not wait. `after` is the
    number of the request before it in this line, "" if there is none.
    `fallback` is the target, as (queue, target), that may serve it, too, None if there is none now.
    `agent` is that of the last attempt while this is in flight, and after the request has ended.
    """

    id: int
    version: int
    status: Status
    step: Step | None
    number: str
    caller_name: str
    caller_number: str
    created_by: str
    came_by: CameBy
    module: str
    module_id: int | None
    queue: bool
    target: str
    targets: tuple[str, ...]
    first_called_at: datetime
    registered_at: datetime
    done_at: datetime | None
    priority: int
    position: int | None
    after: str
    customer_attempts: int
    customer_attempts_allowed: int
    agent_misses: int
    attempts: tuple[AttemptMark, ...]
    agent: str
    reason: Reason | None
    fallback: tuple[bool, str] | None
    last_outcome: Outcome | None
    postponed_until: datetime | None
    time_chosen: bool
    expires_at: datetime | None
    call_now: bool
    note: str
    done_by: str

    @property
    def may_call(self) -> bool:
        """Whether it can be called now, postponed or reassigned."""
        return self.status in (Status.WAITING, Status.UNCERTAIN)

    @property
    def may_cancel(self) -> bool:
        """Whether it can be cancelled, marked as done or get another priority."""
        return self.status in ACTIVE and self.status is not Status.CONNECTED

    @property
    def may_reopen(self) -> bool:
        return self.status in REOPENABLE


@dataclass(frozen=True)
class PendingFilter:
    """Which requests to show. An empty value does not filter. `target` goes with `queue`."""

    module_id: int | None = None
    queue: bool = False
    target: str = ""
    statuses: Collection[Status] = ()

    def matches(self, row: CallRequest) -> bool:
        return (
            (self.module_id is None or row.module_id == self.module_id)
            and (not self.target or (row.queue, row.target) == (self.queue, self.target))
            and (not self.statuses or Status(row.status) in self.statuses)
        )


NO_FILTER = PendingFilter()


@dataclass(frozen=True)
class Pending:
    """`active` is in the order of service, `ended` has the latest first.

    `total` is the number of active requests without the filter. `pause` is that of all automatic calls.
    """

    active: Sequence[PendingRow]
    ended: Sequence[PendingRow]
    total: int = 0
    pause: Pause | None = None


def load_pending(database: Database, scope: Scope, now: datetime, filters: PendingFilter = NO_FILTER) -> Pending:
    """Return the active and the recently ended requests that this user may see and that match the filter."""
    with database.read() as session:
        visibility = visibility_of(session, scope)
        facts = pbx_state.stored_facts(session, now)
        rows = {row.id: (row, module) for row, module in store.active(session)}
        order = policy.in_order(store.to_domain(row, module) for row, module in rows.values())
        places = _places(order, rows)
        visible = [request for request in order if visibility.covers(rows[request.id][0])]
        shown = [request for request in visible if filters.matches(rows[request.id][0])]
        ended = _recently_ended(session, visibility, filters, now)
        marks = _load_marks(session, [request.id for request in shown] + [row.id for row, _ in ended])
        return Pending(
            [_to_row(rows[r.id][0], r, marks, facts, now, places.get(r.id, _NO_PLACE)) for r in shown],
            [_to_row(row, store.to_domain(row, module), marks, facts, now) for row, module in ended],
            len(visible),
            load_pause(session),
        )


@dataclass(frozen=True)
class _Place:
    """The place of a request in the line of its target, and the number of the request before it."""

    position: int | None = None
    after: str = ""


_NO_PLACE = _Place()


def _places(order: Sequence[Request], rows: Mapping[int, tuple[CallRequest, Module | None]]) -> dict[int, _Place]:
    """Number the waiting requests of each target in the order of service."""
    counts: Counter[tuple[int | None, bool, str]] = Counter()
    last: dict[tuple[int | None, bool, str], str] = {}
    places = {}
    for request in order:
        if request.status is Status.WAITING:
            line = (None if request.target else rows[request.id][0].module_id, request.queue, request.target)
            counts[line] += 1
            places[request.id] = _Place(counts[line], last.get(line, ""))
            last[line] = request.number
    return places


def _recently_ended(
    session: Session, visibility: Visibility, filters: PendingFilter, now: datetime
) -> list[tuple[CallRequest, Module | None]]:
    conditions: list[ColumnElement[bool]] = [CallRequest.done_at > now - RECENT, visibility.condition(use_index=False)]
    if filters.module_id is not None:
        conditions.append(CallRequest.module_id == filters.module_id)
    if filters.target:
        conditions += [CallRequest.queue.is_(filters.queue), CallRequest.target == filters.target]
    query = select(CallRequest).where(*conditions).order_by(CallRequest.done_at.desc()).limit(MAX_RECENT)
    return store.with_modules(session, session.scalars(query).all())


def _load_marks(session: Session, ids: Sequence[int]) -> dict[int, tuple[AttemptMark, ...]]:
    """Return the attempts of these requests by request, oldest first."""
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


def _to_row(
    row: CallRequest,
    request: Request,
    marks: Mapping[int, tuple[AttemptMark, ...]],
    facts: Facts,
    now: datetime,
    place: _Place = _NO_PLACE,
) -> PendingRow:
    attempts = marks.get(row.id, ())
    in_flight = bool(attempts) and attempts[-1].ended_at is None
    return PendingRow(
        id=row.id,
        version=row.version,
        status=request.status,
        step=request.step,
        number=numbers.national(row.number, facts.region),
        caller_name=row.caller_name,
        caller_number=row.caller_number,
        created_by=row.created_by,
        came_by=CameBy(row.came_by),
        module=row.module_name,
        module_id=row.module_id,
        queue=row.queue,
        target=row.target,
        targets=(row.target,) if row.target else request.extensions,
        first_called_at=row.first_called_at,
        registered_at=row.registered_at,
        done_at=row.done_at,
        priority=row.priority,
        position=place.position,
        after=numbers.national(place.after, facts.region) if place.after else "",
        customer_attempts=row.customer_attempts,
        customer_attempts_allowed=request.rules.retries + 1,
        agent_misses=row.agent_misses,
        attempts=attempts,
        agent=attempts[-1].agent if attempts and (in_flight or request.status not in ACTIVE) else "",
        reason=policy.explain(request, facts, now),
        fallback=_fallback_of(request),
        last_outcome=request.last_outcome,
        postponed_until=row.postponed_until,
        time_chosen=row.time_chosen,
        expires_at=request.expires_at if request.status in ACTIVE else None,
        call_now=row.call_now,
        note=row.note,
        done_by=row.done_by,
    )


def _fallback_of(request: Request) -> tuple[bool, str] | None:
    fallback = request.fallback if request.status is Status.WAITING else None
    return (fallback.queue, fallback.target) if fallback is not None else None


def load_row(session: Session, row: CallRequest, module: Module | None, now: datetime) -> PendingRow:
    """Return one request as a row, without its position."""
    facts = pbx_state.stored_facts(session, now)
    return _to_row(row, store.to_domain(row, module), _load_marks(session, [row.id]), facts, now)


def load_rows(database: Database, scope: Scope, ids: Collection[int], now: datetime) -> list[PendingRow]:
    """Return those of these requests that this user may see, ordered by id and without their positions."""
    with database.read() as session:
        condition = visibility_of(session, scope).condition()
        query = select(CallRequest).where(CallRequest.id.in_(ids), condition).order_by(CallRequest.id)
        rows = store.with_modules(session, session.scalars(query).all())
        facts = pbx_state.stored_facts(session, now)
        marks = _load_marks(session, [row.id for row, _ in rows])
        return [_to_row(row, store.to_domain(row, module), marks, facts, now) for row, module in rows]


@dataclass(frozen=True)
class FilterChoices:
    """What the active requests can be filtered by: modules as (id, name), and targets as (queue, target)."""

    modules: Sequence[tuple[int, str]]
    targets: Sequence[tuple[bool, str]]


def load_filter_choices(database: Database, scope: Scope) -> FilterChoices:
    """Return the modules and targets of the active requests that this user may see."""
    with database.read() as session:
        query = select(CallRequest.module_id, CallRequest.module_name, CallRequest.queue, CallRequest.target).where(
            store.has_status(), visibility_of(session, scope).condition(use_index=False)
        )
        found = session.execute(query.distinct()).all()
    modules = {module: displayable(name) for module, name, _, _ in found if module is not None}
    targets = {(queue, target) for _, _, queue, target in found if target}
    return FilterChoices(
        sorted(modules.items(), key=lambda module: (module[1], module[0])),
        sorted(targets, key=lambda target: (target[0], len(target[1]), target[1])),
    )


@dataclass(frozen=True)
class Badge:
    """How many requests are active, and the id of the newest one: it grows when a request arrives."""

    waiting: int
    newest: int


def load_badge(database: Database, scope: Scope) -> Badge:
    """Return the badge for the requests that this user may see."""
    with database.read() as session:
        query = select(func.count(), func.max(CallRequest.id)).where(
            store.has_status(), visibility_of(session, scope).condition(use_index=False)
        )
        waiting, newest = session.execute(query).one()
    return Badge(waiting, newest or 0)
