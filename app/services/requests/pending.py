"""The requests on the page "Pending requests", each with the reason why it is not being dialled."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, case, func, literal, literal_column, or_, select
from sqlalchemy.orm import Session

from app.domain import numbers, policy
from app.domain.lifecycle import ACTIVE, CALL_NOW_LASTS, REOPENABLE, Outcome, Request, Status, Step
from app.domain.policy import Facts, Reason
from app.domain.routing import CameBy
from app.domain.text import displayable
from app.services.requests.access import Scope, visibility_of
from app.services.requests.pause import Pause, load_pause
from app.store import pbx_state
from app.store import requests as store
from app.store.contacts import names_of
from app.store.database import Database
from app.store.models import Attempt, CallRequest, Module

RECENT = timedelta(minutes=30)  # for so long an ended request stays on the page
MAX_RECENT = 10
PAGE_SIZE = 50


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

    `number` is written as in the office's country, `stored_number` as the database has it: in international form, or an
    extension. `targets` are the queue, or the extensions that may serve it.
    `caller_name` is what the PBX reported, `contact_name` who has the number by the office's contacts or by another
    program, "" if nobody is known.
    `position` is its place in the line of its target, 1 for the next one, None if it does not wait. `after` is the
    number of the request before it in this line, "" if there is none.
    `fallback` is the target, as (queue, target), that may serve it, too, None if there is none now.
    `call_now_agent` rings first if somebody wants an urgent call, "" is the next free agent. The wish lasts until
    `call_now_until`.
    `agent` is that of the last attempt while this is in flight, and after the request has ended.
    """

    id: int
    version: int
    status: Status
    step: Step | None
    number: str
    stored_number: str
    caller_name: str
    contact_name: str
    caller_number: str
    created_by: str
    came_by: CameBy
    website: str
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
    call_now_agent: str
    call_now_until: datetime | None
    note: str
    done_by: str

    @property
    def shown_name(self) -> str:
        """Who calls: what a phone claims of itself counts only if the office does not know the number."""
        return self.contact_name or self.caller_name

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

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions on call_requests for the module and the target."""
        found: list[ColumnElement[bool]] = []
        if self.module_id is not None:
            found.append(CallRequest.module_id == self.module_id)
        if self.target:
            found += [CallRequest.queue.is_(self.queue), CallRequest.target == self.target]
        return found


NO_FILTER = PendingFilter()


@dataclass(frozen=True)
class Pending:
    """One page of the active requests, in the order of service, and what ended lately, the latest first.

    `matching` is the number of active requests that match the filter, `total` that without the filter. `pause` is that
    of all automatic calls.
    """

    active: Sequence[PendingRow]
    ended: Sequence[PendingRow]
    matching: int = 0
    total: int = 0
    page: int = 1
    pause: Pause | None = None

    @property
    def pages(self) -> int:
        return max(1, -(-self.matching // PAGE_SIZE))

    @property
    def following(self) -> int:
        """How many requests come after those of this page."""
        return self.matching - (self.page - 1) * PAGE_SIZE - len(self.active)


def load_pending(
    database: Database, scope: Scope, now: datetime, filters: PendingFilter = NO_FILTER, *, page: int = 1
) -> Pending:
    """Return the active and the recently ended requests that this user may see and that match the filter.

    A page that does not exist is replaced by the last one.
    """
    with database.read() as session:
        visibility = visibility_of(session, scope)
        seen = visibility.condition(use_index=False)
        matches = [store.has_status(filters.statuses or ACTIVE), seen, *filters.conditions()]
        total = _count(session, store.has_status(), seen)
        matching = _count(session, *matches) if filters != NO_FILTER else total
        page = min(page, max(1, -(-matching // PAGE_SIZE)))
        active = _load_page(session, matches, page, matching)
        places = _load_places(session, active)
        shown = [*active, *_recently_ended(session, seen, filters, now)]
        facts = pbx_state.stored_facts(session, now)
        marks = _load_marks(session, [row.id for row in shown])
        names = names_of(session, [row.number for row in shown])
        rows = [
            _to_row(row, store.to_domain(row, module), marks, names, facts, now, places.get(row.id, _NO_PLACE))
            for row, module in store.with_modules(session, shown)
        ]
        count = len(active)
        return Pending(rows[:count], rows[count:], matching, total, page, load_pause(session))


# The order of service, as in app/domain/policy.py.
_ORDER = (
    CallRequest.call_now.desc(),
    CallRequest.priority.desc(),
    CallRequest.first_called_at,
    CallRequest.id,
)
_BACKWARDS = (
    CallRequest.call_now,
    CallRequest.priority,
    CallRequest.first_called_at.desc(),
    CallRequest.id.desc(),
)
# The requests of a line have the same agents. With a parameter in it, SQLite would sort once for each window function.
_LINE = (
    CallRequest.queue,
    CallRequest.target,
    case((CallRequest.target == literal_column("''"), CallRequest.module_id)),
)


def _count(session: Session, *conditions: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).select_from(CallRequest).where(*conditions)) or 0


@dataclass(frozen=True)
class _Place:
    """The place of a request in the line of its target, and the number of the request before it."""

    position: int | None = None
    after: str = ""


_NO_PLACE = _Place()


def _load_page(
    session: Session, matches: Sequence[ColumnElement[bool]], page: int, matching: int
) -> Sequence[CallRequest]:
    """Return the requests of a page. The index of their order chooses them, and no other row is read.

    It is read from the end that is nearer, since what is passed over costs as much as what is returned. `matching` is
    the number of requests on all pages.
    """
    before = (page - 1) * PAGE_SIZE
    behind = max(0, matching - page * PAGE_SIZE)
    if behind < before:
        part = select(CallRequest.id).order_by(*_BACKWARDS).offset(behind).limit(matching - before - behind)
    else:
        part = select(CallRequest.id).order_by(*_ORDER).offset(before).limit(PAGE_SIZE)
    ids = part.where(*matches)
    found = session.scalars(ids).all()
    return session.scalars(select(CallRequest).where(CallRequest.id.in_(found)).order_by(*_ORDER)).all()


def _load_places(session: Session, shown: Sequence[CallRequest]) -> dict[int, _Place]:
    """Return the places of these requests, if they wait. Requests that the user may not see count as well.

    `shown` are in the order of service. Those behind the last one are not read, nor those for others.
    """
    if not shown:
        return {}
    position = func.row_number().over(partition_by=_LINE, order_by=_ORDER)
    before = func.lag(CallRequest.id).over(partition_by=_LINE, order_by=_ORDER)
    places = (
        select(CallRequest.id, position.label("position"), before.label("before"))
        .where(store.has_status(ACTIVE), CallRequest.status == Status.WAITING.value, _is_not_behind(shown[-1]))
        .where(CallRequest.target.concat("").in_(sorted({row.target for row in shown})))  # not by its index
        .subquery()
    )
    found = session.execute(select(places).where(places.c.id.in_([row.id for row in shown]))).all()
    numbers = {row.id: row.number for row in shown}
    missing = {row.before for row in found if row.before is not None} - numbers.keys()
    if missing:
        others = select(CallRequest.id, CallRequest.number).where(CallRequest.id.in_(missing))
        numbers |= {row.id: row.number for row in session.execute(others)}
    return {row.id: _Place(row.position, numbers.get(row.before, "")) for row in found}


def _is_not_behind(last: CallRequest) -> ColumnElement[bool]:
    """Return the condition for requests that are served before `last`, and for itself."""
    return or_(
        and_(CallRequest.call_now, literal(not last.call_now)),
        and_(
            CallRequest.call_now == last.call_now,
            or_(
                CallRequest.priority > last.priority,
                and_(
                    CallRequest.priority == last.priority,
                    or_(
                        CallRequest.first_called_at < last.first_called_at,
                        and_(CallRequest.first_called_at == last.first_called_at, CallRequest.id <= last.id),
                    ),
                ),
            ),
        ),
    )


def _recently_ended(
    session: Session, seen: ColumnElement[bool], filters: PendingFilter, now: datetime
) -> Sequence[CallRequest]:
    conditions = [CallRequest.done_at > now - RECENT, seen, *filters.conditions()]
    query = select(CallRequest).where(*conditions).order_by(CallRequest.done_at.desc()).limit(MAX_RECENT)
    return session.scalars(query).all()


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
    names: Mapping[str, str],
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
        stored_number=row.number,
        caller_name=row.caller_name,
        contact_name=names.get(row.number, ""),
        caller_number=row.caller_number,
        created_by=row.created_by,
        came_by=CameBy(row.came_by),
        website=row.website,
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
        call_now_agent=row.call_now_agent or "",
        call_now_until=row.call_now_at + CALL_NOW_LASTS if row.call_now and row.call_now_at is not None else None,
        note=row.note,
        done_by=row.done_by,
    )


def _fallback_of(request: Request) -> tuple[bool, str] | None:
    fallback = request.fallback if request.status is Status.WAITING else None
    return (fallback.queue, fallback.target) if fallback is not None else None


def load_row(session: Session, row: CallRequest, module: Module | None, now: datetime) -> PendingRow:
    """Return one request as a row, without its position."""
    facts = pbx_state.stored_facts(session, now)
    names = names_of(session, [row.number])
    return _to_row(row, store.to_domain(row, module), _load_marks(session, [row.id]), names, facts, now)


def load_rows(database: Database, scope: Scope, ids: Collection[int], now: datetime) -> list[PendingRow]:
    """Return those of these requests that this user may see, ordered by id and without their positions."""
    with database.read() as session:
        condition = visibility_of(session, scope).condition()
        query = select(CallRequest).where(CallRequest.id.in_(ids), condition).order_by(CallRequest.id)
        rows = store.with_modules(session, session.scalars(query).all())
        facts = pbx_state.stored_facts(session, now)
        marks = _load_marks(session, [row.id for row, _ in rows])
        names = names_of(session, [row.number for row, _ in rows])
        return [_to_row(row, store.to_domain(row, module), marks, names, facts, now) for row, module in rows]


@dataclass(frozen=True)
class FilterChoices:
    """What the active requests can be filtered by: modules as (id, name), and targets as (queue, target)."""

    modules: Sequence[tuple[int, str]]
    targets: Sequence[tuple[bool, str]]


def load_filter_choices(database: Database, scope: Scope) -> FilterChoices:
    """Return the modules and targets of the active requests that this user may see."""
    with database.read() as session:
        query = select(CallRequest.module_id, CallRequest.queue, CallRequest.target).where(
            store.has_status(), visibility_of(session, scope).condition(use_index=False)
        )
        found = session.execute(query.distinct()).all()
        named = {module for module, _, _ in found if module is not None}
        names = session.execute(select(Module.id, Module.name).where(Module.id.in_(named))).all()
    modules = {module: displayable(name) for module, name in names}
    targets = {(queue, target) for _, queue, target in found if target}
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
