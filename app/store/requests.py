"""Load call requests and attempts as domain objects, and store the domain's decisions."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Row,
    ScalarSelect,
    Select,
    Update,
    and_,
    bindparam,
    case,
    func,
    insert,
    or_,
    select,
    text,
    true,
    union,
    union_all,
    update,
)
from sqlalchemy.orm import Session

from app.domain.agent_order import AgentOrder
from app.domain.chosen_times import quarter_of
from app.domain.hours import AtClosing
from app.domain.lifecycle import (
    ACTIVE,
    CALL_NOW_LASTS,
    FINAL,
    IN_FLIGHT,
    Decision,
    Fallback,
    Outcome,
    Request,
    Rules,
    Status,
    Step,
)
from app.domain.limits import DAY, HOUR, LimitReason
from app.domain.number_policy import Source
from app.domain.place_in_line import Place, PlaceRule
from app.domain.policy import AgentPause
from app.domain.routing import CameBy, DestinationKind
from app.domain.webhooks import WebhookEvent, event_of
from app.store import last_talks, webhooks
from app.store.models import Attempt, Base, CallRequest, HistoryEntry, Module, SpokenName, UtcDateTime

# The columns that a transition may change. The others are fixed at the registration.
_MUTABLE = (
    "queue",
    "target",
    "free_at",
    "not_before",
    "postponed_until",
    "time_chosen",
    "call_now",
    "call_now_agent",
    "call_now_at",
    "priority",
    "customer_attempts",
    "agent_misses",
    "route_failures",
    "attempt",
    "registered_again_at",
    "again",
    "reopened_at",
    "preferred",
    "fell_back",
    "agent_first",
)


def rules_of(module: Module | None) -> Rules:
    """Return the rules of a module. Requests of a deleted module are called by hand only."""
    if module is None:
        return Rules(automatic=False)
    return Rules(
        automatic=module.automatic,
        min_wait=timedelta(seconds=module.min_wait),
        rest=timedelta(seconds=module.rest),
        retries=module.retries,
        retry_pauses=tuple(timedelta(seconds=pause) for pause in module.retry_pauses),
        busy_pause=timedelta(seconds=module.busy_pause) if module.busy_pause else None,
        agent_pause=timedelta(seconds=module.agent_pause),
        expire_after=timedelta(seconds=module.expire_after) if module.expire_after else None,
        at_closing=AtClosing(module.at_closing),
        agent_order=AgentOrder(module.agent_order),
        preferred_for=timedelta(seconds=module.preferred_for),
        fallback=fallback_of(module),
        place=PlaceRule(
            Place(module.place),
            timedelta(seconds=module.callers_lead) if module.callers_lead else None,
            module.callers_share,
        ),
    )


def fallback_of(module: Module) -> Fallback | None:
    """Return the fallback of a module, None if it has none."""
    if not module.fallback_after:
        return None
    is_queue = module.fallback_kind == DestinationKind.QUEUE
    return Fallback(is_queue, module.fallback_code, timedelta(seconds=module.fallback_after))


def to_domain(row: CallRequest | Row[Any], module: Module | None) -> Request:
    """Convert a row to a domain object. It may be a row of the table's columns."""
    return Request(
        id=row.id,
        number=row.number,
        source=Source(row.number_source),
        registered_at=row.registered_at,
        queue=row.queue,
        target=row.target,
        extensions=tuple(module.targets) if module is not None and module.target_kind == "extension" else (),
        status=Status(row.status),
        first_called_at=row.first_called_at,
        free_at=row.free_at,
        priority=row.priority,
        customer_attempts=row.customer_attempts,
        agent_misses=row.agent_misses,
        route_failures=row.route_failures,
        attempt=row.attempt,
        step=Step(row.step) if row.step else None,
        not_before=row.not_before,
        postponed_until=row.postponed_until,
        time_chosen=row.time_chosen,
        call_now=row.call_now,
        call_now_agent=row.call_now_agent,
        call_now_at=row.call_now_at,
        last_outcome=Outcome(row.last_outcome) if row.last_outcome else None,
        registered_again_at=row.registered_again_at,
        again=row.again,
        reopened_at=row.reopened_at,
        module=row.module_id,
        preferred=row.preferred,
        fell_back=row.fell_back,
        agent_first=row.agent_first,
        rules=rules_of(module),
    )


def add(
    session: Session, module: Module, queue: bool, target: str, number: str, now: datetime, **details: Any
) -> CallRequest:
    """Store a new waiting request and its first history entry. `details` are further columns."""
    row = CallRequest(
        module_id=module.id,
        module_name=module.name,
        queue=queue,
        target=target,
        number=number,
        status=Status.WAITING.value,
        registered_at=now,
        preferred=last_talks.find_preferred(session, module, queue, target, number),
        **{"first_called_at": now, **details},
    )
    session.add(row)
    session.flush()
    session.add(
        HistoryEntry(
            request_id=row.id,
            at=now,
            event="registered",
            old_status="",
            new_status=row.status,
            detail=number,
            actor=row.created_by,
            version=row.version,
        )
    )
    webhooks.tell_request(session, WebhookEvent.REGISTERED, row, now, actor=row.created_by)
    return row


def apply_decision(
    session: Session,
    row: CallRequest,
    decision: Decision,
    now: datetime,
    *,
    event: str,
    detail: str = "",
    actor: str = "",
    also: Mapping[str, Any] = MappingProxyType({}),
    undoable: bool = False,
) -> None:
    """Store a decision and add a history entry. Raises StaleDataError if the row has changed meanwhile.

    `also` are values of columns that no decision changes, or that differ from it. `undoable`: keep what was before.
    """
    request = decision.request
    if not decision.changed:
        return
    old_attempt, old_status = row.attempt, row.status
    columns = _columns(row, request, now) | dict(also)
    before = {name: old for name, value in columns.items() if (old := getattr(row, name)) != value}
    for name, value in columns.items():
        setattr(row, name, value)
    session.add(
        HistoryEntry(
            request_id=row.id,
            at=now,
            event=event,
            old_status=old_status,
            new_status=row.status,
            attempt=request.attempt or old_attempt,
            detail=detail[:200],
            actor=actor,
            version=row.version + session.is_modified(row),
            before=_to_json(before) if undoable else None,
        )
    )
    told = event_of(old_status, row.status)
    if told is not None:
        webhooks.tell_request(session, told, row, now, attempt=request.attempt or old_attempt, actor=actor)


def _to_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of columns as JSON has them, without `held_until`: the dispatcher finds it out again."""
    kept = {name: value for name, value in values.items() if name != "held_until"}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in kept.items()}


def values_before(entry: HistoryEntry) -> dict[str, Any]:
    """Return the values of the columns that a change changed, from before it; empty if it cannot be undone."""
    return {
        name: datetime.fromisoformat(value) if value and name in _MOMENTS else value
        for name, value in (entry.before or {}).items()
    }


def with_values(request: Request, values: Mapping[str, Any]) -> Request:
    """Return a request with these values of its columns. Columns that are no part of a request are left out."""
    parts = {name: value for name, value in values.items() if name in _MUTABLE}
    for name, kind in (("status", Status), ("step", Step), ("last_outcome", Outcome)):
        if name in values:
            parts[name] = kind(values[name]) if values[name] else None
    return replace(request, **parts)


def last_undoable(session: Session, row: CallRequest) -> HistoryEntry | None:
    """Return the last change of a request, None if it cannot be undone."""
    query = select(HistoryEntry).where(
        HistoryEntry.request_id == row.id, HistoryEntry.version == row.version, HistoryEntry.before.is_not(None)
    )
    return session.scalar(query.order_by(HistoryEntry.id.desc()).limit(1))


def _columns(row: CallRequest | Row[Any], request: Request, now: datetime) -> dict[str, Any]:
    """Return the columns that a decision may change, with their values after it."""
    is_reached = request.status in (Status.CONNECTED, Status.DONE)
    return {name: getattr(request, name) for name in _MUTABLE} | {
        "status": request.status.value,
        "step": request.step.value if request.step else None,
        "last_outcome": request.last_outcome.value if request.last_outcome else None,
        "done_at": now if request.status in FINAL else None,
        "held_until": None,  # its times may differ now
        "reached_at": now if is_reached and row.reached_at is None else row.reached_at,
    }


_MOMENTS = frozenset(column.name for column in CallRequest.__table__.columns if isinstance(column.type, UtcDateTime))
_REQUESTS, _ATTEMPTS, _HISTORY = (
    Base.metadata.tables[model.__tablename__] for model in (CallRequest, Attempt, HistoryEntry)
)
_UNCHANGED = (
    select(_REQUESTS.c.id)
    .where(_REQUESTS.c.id == bindparam("read_id"), _REQUESTS.c.version == bindparam("read_version"))
    .where(_REQUESTS.c.status == Status.WAITING.value)
    .with_for_update(skip_locked=True)
)
_ADD_ATTEMPT, _ADD_ENTRY = insert(_ATTEMPTS), insert(_HISTORY)
_UPDATE_UNCHANGED = update(_REQUESTS).where(_REQUESTS.c.id.in_(_UNCHANGED))


def claim(
    session: Session,
    row: Row[Any],
    decision: Decision,
    now: datetime,
    *,
    event: str,
    attempt: Mapping[str, Any],
    tells: bool = True,
) -> bool:
    """Store a claim as `apply_decision` does, and its attempt. `attempt` are the columns of `Attempt`.

    `tells` is false if no destination wants to hear of it.
    Return False if the request has changed since `row` was read, or if somebody else is changing it. This runs between
    a hang-up and the next ring, so it uses plain statements: the ORM takes longer.
    """
    changes = {k: v for k, v in _columns(row, decision.request, now).items() if v != getattr(row, k)}
    if not update_unchanged(session, row, changes):
        return False
    connection = session.connection()
    connection.execute(_ADD_ATTEMPT, {"request_id": row.id, "started_at": now, **attempt})
    entry = {
        "request_id": row.id,
        "at": now,
        "event": event,
        "old_status": row.status,
        "new_status": decision.request.status.value,
        "attempt": decision.request.attempt,
        "detail": attempt["agent"],
        "version": row.version + 1,
    }
    connection.execute(_ADD_ENTRY, entry)
    if tells:
        status, started = decision.request.status.value, decision.request.attempt
        webhooks.tell_request(session, WebhookEvent.STARTED, row, now, attempt=started, status=status)
    return True


def update_unchanged(session: Session, row: Row[Any], changes: Mapping[str, Any]) -> bool:
    """Change columns of a waiting request. Return False if it has changed since `row` was read, or is being changed."""
    values = {**changes, "version": row.version + 1, "read_id": row.id, "read_version": row.version}
    return session.connection().execute(_update_unchanged((*changes, "version")), values).rowcount == 1


@lru_cache(maxsize=64)
def _update_unchanged(columns: tuple[str, ...]) -> Update:
    return _UPDATE_UNCHANGED.values({name: bindparam(name) for name in columns})


def load(session: Session, request_id: int, *, lock: bool = False) -> tuple[CallRequest, Module | None] | None:
    """Return a request with its module, or None. `lock` locks the row in a write session."""
    query = select(CallRequest).where(CallRequest.id == request_id)
    row = session.scalar(query.with_for_update() if lock else query)
    if row is None:
        return None
    return row, session.get(Module, row.module_id) if row.module_id else None


def with_modules(session: Session, rows: Sequence[CallRequest]) -> list[tuple[CallRequest, Module | None]]:
    """Return each row with its module. Load all modules in one query."""
    ids = {row.module_id for row in rows if row.module_id is not None}
    modules = {module.id: module for module in session.scalars(select(Module).where(Module.id.in_(ids)))} if ids else {}
    return [(row, modules.get(row.module_id) if row.module_id else None) for row in rows]


def has_status(statuses: Iterable[Status] = ACTIVE) -> ColumnElement[bool]:
    """Return a condition for requests of these statuses.

    The statuses are literals in the statement, not parameters. With parameters, SQLite cannot see that the partial
    index of active requests covers them, and may read the whole table.
    """
    values = sorted(status.value for status in statuses)
    return CallRequest.status.in_(bindparam("statuses", values, unique=True, expanding=True, literal_execute=True))


def active(
    session: Session, statuses: Iterable[Status] = ACTIVE, *, lock: bool = False
) -> list[tuple[CallRequest, Module | None]]:
    """Return all requests of these statuses with their modules, earliest caller first."""
    query = (
        select(CallRequest, Module)
        .outerjoin(Module, CallRequest.module_id == Module.id)
        .where(has_status(statuses))
        .order_by(CallRequest.first_called_at, CallRequest.id)
    )
    if lock:
        query = query.with_for_update(of=CallRequest, skip_locked=True)
    return [(row, module) for row, module in session.execute(query)]


def active_of_number(session: Session, number: str) -> list[tuple[CallRequest, Module | None]]:
    """Return the active requests of a number with their modules, earliest caller first."""
    query = (
        select(CallRequest)
        .where(CallRequest.number == number, has_status())
        .order_by(CallRequest.first_called_at, CallRequest.id)
    )
    return with_modules(session, session.scalars(query).all())


_MAY_EXPIRE = (Status.WAITING, Status.UNCERTAIN)


def find_perhaps_over(
    session: Session, modules: Iterable[Module], closings: Mapping[int, datetime], now: datetime
) -> list[int]:
    """Return the ids of the requests that may have expired, or were called now for too long. This is one query.

    `closings` has the last closing of each module whose open requests expire or are given up then.
    """
    # A postponed request is wanted from its time on, and one that was registered again from then on. So none is wanted
    # before it was registered. By that they are found: otherwise all that wait would have to be looked at.
    registered_at = func.coalesce(CallRequest.registered_again_at, CallRequest.registered_at)
    wanted_at = case((CallRequest.postponed_until > registered_at, CallRequest.postponed_until), else_=registered_at)
    limits: dict[datetime, list[int]] = {}  # modules whose requests expire after the same time
    ends: dict[tuple[datetime, bool], list[int]] = {}
    for module in modules:
        if module.expire_after > 0:
            limits.setdefault(now - timedelta(seconds=module.expire_after), []).append(module.id)
        if module.id in closings:
            gives_up = module.at_closing == AtClosing.GIVE_UP
            ends.setdefault((closings[module.id], gives_up), []).append(module.id)
    called_now = CallRequest.call_now_at <= now - CALL_NOW_LASTS
    found = [
        select(CallRequest.id).where(text("status = 'waiting' AND call_now"), called_now),  # as its index has it
        select(CallRequest.id).where(has_status([Status.UNCERTAIN]), called_now),
    ]
    for limit, ids in limits.items():
        found.append(_may_expire(session, ids, CallRequest.registered_at <= limit, wanted_at <= limit))
    for (closed_at, gives_up), ids in ends.items():
        with_attempts = [CallRequest.customer_attempts > 0] if gives_up else []
        is_before = CallRequest.registered_at < closed_at, wanted_at < closed_at
        found.append(_may_expire(session, ids, *is_before, *with_attempts))
    return list(session.scalars(union(*found)))


def _may_expire(session: Session, modules: Sequence[int], *conditions: ColumnElement[bool]) -> Select[int]:
    """Select the requests of these modules that may expire and fulfil the conditions.

    PostgreSQL believes that most rows are old, since most have ended, so it would read all that wait. For each module
    by itself its index is the cheapest.
    """
    found = select(CallRequest.id).where(has_status(_MAY_EXPIRE), *conditions)
    if session.get_bind().dialect.name != "postgresql":
        return found.where(CallRequest.module_id.in_(modules))
    each = select(Module.id).where(Module.id.in_(modules)).subquery()
    of_each = found.where(CallRequest.module_id == each.c.id).offset(0).lateral()  # the offset keeps it by itself
    return select(of_each.c.id).select_from(each.join(of_each, true()))


def load_perhaps_over(session: Session, ids: Sequence[int]) -> list[tuple[CallRequest, Module | None]]:
    """Return those of these requests that may still expire, and lock them. Those that others change are left out."""
    query = select(CallRequest).where(CallRequest.id.in_(ids), has_status(_MAY_EXPIRE))
    return with_modules(session, session.scalars(query.with_for_update(skip_locked=True)).all())


def registrations(session: Session) -> list[tuple[int | None, datetime, str]]:
    """Return the module, the time of registration and the number of each waiting request, the oldest first."""
    columns = (CallRequest.module_id, CallRequest.registered_at, CallRequest.number)
    query = select(*columns).where(has_status([Status.WAITING])).order_by(CallRequest.registered_at)
    return [(module_id, registered_at, number) for module_id, registered_at, number in session.execute(query)]


def find_active(
    session: Session, module_id: int, queue: bool, target: str, number: str, *, lock: bool = True
) -> CallRequest | None:
    """Return the active request of this module, target and number, or None. `lock` locks it in a write session."""
    query = select(CallRequest).where(
        CallRequest.module_id == module_id,
        CallRequest.queue == queue,
        CallRequest.target == target,
        CallRequest.number == number,
        has_status(),
    )
    return session.scalar(query.with_for_update() if lock else query)


def trust_number(row: CallRequest, source: Source) -> None:
    """Note that the number of a request came once more, from `source`. The strictest rules hold no longer then."""
    if row.number_source == Source.TYPED and source is not Source.TYPED:
        row.number_source = source.value


def attempts_in_flight(session: Session) -> list[Attempt]:
    return list(session.scalars(select(Attempt).where(Attempt.ended_at.is_(None)).order_by(Attempt.started_at)))


@dataclass(frozen=True)
class Occupied:
    """Numbers, agents and routes that attempts occupy, and how long agents are left alone.

    `agent_pauses` are those for all requests, `request_pauses` those for one request, by its id and the agent.
    `wrapups` are the ends of wrap-up times after talks. `calls` are the attempts of each route; `dialling` are the
    routes of those that are not connected yet.
    """

    numbers: frozenset[str]
    agents: frozenset[str]
    agent_pauses: dict[str, datetime]
    request_pauses: dict[tuple[int, str], AgentPause]
    wrapups: dict[str, datetime]
    calls: dict[str, int]
    dialling: frozenset[str]


_LAST_RING = select(Attempt.started_at).where(Attempt.agent == bindparam("agent", type_=Attempt.agent.type))
_LAST_RING = _LAST_RING.order_by(Attempt.started_at.desc()).limit(1)


def last_rings(session: Session, agents: Collection[str]) -> dict[str, datetime]:
    """Return when Bazang last rang each of these agents. Those whom it never rang are left out."""
    found = {agent: session.scalar(_LAST_RING, {"agent": agent}) for agent in agents}
    return {agent: at for agent, at in found.items() if at is not None}


def _select_occupied() -> CompoundSelect[Any]:
    columns = select(
        Attempt.request_id,
        Attempt.number,
        Attempt.agent,
        Attempt.route,
        Attempt.connected_at,
        Attempt.ended_at,
        Attempt.outcome,
        Attempt.agent_pause_until,
        Attempt.request_pause_until,
    )
    # UNION instead of OR: with OR, SQLite reads all attempts.
    return union_all(
        columns.where(Attempt.ended_at.is_(None)),
        columns.where(Attempt.agent_pause_until > _NOW),
        columns.where(Attempt.request_pause_until > _NOW),
    )


# These run between a hang-up and the next ring, and to build them takes longer than to run them.
_NOW, _DAY_AGO = bindparam("now", type_=Attempt.started_at.type), bindparam("day_ago", type_=Attempt.started_at.type)
_OCCUPIED = _select_occupied()
_IS_AUTOMATIC_CALL = (
    (Attempt.started_at > _DAY_AGO)
    & ~Attempt.manual
    & (Attempt.route != "")
    & or_(Attempt.dialled_at.is_not(None), Attempt.ended_at.is_(None))
)
_COUNT_DAILY_CALLS = select(func.count()).select_from(Attempt).where(_IS_AUTOMATIC_CALL)
_FIRST_DAILY_CALL = select(func.min(Attempt.started_at)).where(_IS_AUTOMATIC_CALL)
_STARTS_OF_DAILY_CALLS = select(Attempt.started_at).where(_IS_AUTOMATIC_CALL).order_by(Attempt.started_at.desc())


def occupied(session: Session, now: datetime) -> Occupied:
    """Return what attempts occupy. This is one query, because it runs between a hang-up and the next ring."""
    return occupied_at(occupying(session, now), now)


def occupying(session: Session, now: datetime) -> Sequence[Row[Any]]:
    """Return the attempts that occupy something now or later. `occupied_at` says what, from then on."""
    return session.connection().execute(_OCCUPIED, {"now": now}).all()


def occupied_at(rows: Sequence[Row[Any]], now: datetime) -> Occupied:
    """Return what attempts occupy. `rows` are the result of `occupying`, at this time or before."""
    flying = [row for row in rows if row.ended_at is None]
    pauses: dict[str, datetime] = {}
    wrapups: dict[str, datetime] = {}
    of_requests: dict[tuple[int, str], AgentPause] = {}
    for row in rows:
        if row.agent_pause_until is not None and row.agent_pause_until > now:
            ends = wrapups if row.outcome == Outcome.CONNECTED.value else pauses
            ends[row.agent] = max(row.agent_pause_until, ends.get(row.agent, row.agent_pause_until))
        if row.request_pause_until is not None and row.request_pause_until > now:
            pause = AgentPause(row.ended_at, row.request_pause_until, Outcome(row.outcome))
            pair = row.request_id, row.agent
            of_requests[pair] = max(pause, of_requests.get(pair, pause), key=lambda pause: pause.until)
    return Occupied(
        frozenset(row.number for row in flying),
        frozenset(row.agent for row in flying),
        pauses,
        of_requests,
        wrapups,
        dict(Counter(row.route for row in flying)),
        frozenset(row.route for row in flying if row.connected_at is None),
    )


@dataclass(frozen=True)
class DailyCalls:
    """The automatic calls to customers outside in the last 24 hours. `until` is when there will be fewer than `limit`.

    Calls that did not get as far as the customer are not counted.
    """

    count: int = 0
    limit: int = 0
    until: datetime | None = None


def daily_calls(session: Session, limit: int, now: datetime) -> DailyCalls:
    """Count the automatic calls of the last 24 hours. Nothing is read if there is no limit."""
    if limit <= 0:
        return DailyCalls()
    since = {"day_ago": now - DAY}
    count = session.scalar(_COUNT_DAILY_CALLS, since) or 0
    if count < limit:
        return DailyCalls(count, limit)
    return DailyCalls(
        count, limit, session.scalars(_STARTS_OF_DAILY_CALLS.offset(limit - 1).limit(1), since).one() + DAY
    )


def daily_calls_until(session: Session, now: datetime) -> datetime | None:
    """Return until when `daily_calls` stays the same if nothing is stored, None if it does so for ever."""
    first = session.scalar(_FIRST_DAILY_CALL, {"day_ago": now - DAY})
    return None if first is None else first + DAY


def count_for_limits(
    session: Session, module_id: int, number: str, caller_number: str, now: datetime
) -> dict[LimitReason, int]:
    """Count what the limits of registrations compare. Requests that users typed are left out, except open ones."""
    of_number = CallRequest.number == number
    if caller_number:
        of_number = or_(of_number, CallRequest.caller_number == caller_number)
    by_phone = CallRequest.created_by == ""
    # Websites have limits of their own, so that a flood of theirs keeps no caller out.
    by_callers = and_(by_phone, CallRequest.came_by != CameBy.WEBSITE.value)

    def count(*conditions: ColumnElement[bool]) -> ScalarSelect[int]:
        return select(func.count()).select_from(CallRequest).where(*conditions).scalar_subquery()

    last_hour = CallRequest.registered_at > now - HOUR
    counts = {
        LimitReason.NUMBER_OPEN: count(has_status(), of_number),
        LimitReason.NUMBER_HOUR: count(of_number, by_phone, last_hour),
        LimitReason.NUMBER_DAY: count(of_number, by_phone, CallRequest.registered_at > now - DAY),
        LimitReason.MODULE_HOUR: count(CallRequest.module_id == module_id, by_callers, last_hour),
        LimitReason.TOTAL_HOUR: count(by_callers, last_hour),
        LimitReason.WAITING: count(has_status([Status.WAITING])),
    }
    return dict(zip(counts, session.execute(select(*counts.values())).one(), strict=True))


def count_times(session: Session, module_id: int, since: datetime, *, but: int | None = None) -> Counter[datetime]:
    """Count the active requests of a module by the quarter of an hour of their time, from that of `since` on.

    `but`: the request that is not counted.
    """
    query = select(CallRequest.postponed_until).where(
        CallRequest.module_id == module_id,
        CallRequest.postponed_until >= quarter_of(since),
        has_status(),
        *([CallRequest.id != but] if but is not None else []),
    )
    return Counter(quarter_of(moment) for moment in session.scalars(query) if moment is not None)


def in_flight_requests(session: Session) -> list[tuple[CallRequest, Module | None]]:
    return active(session, IN_FLIGHT)


def uncleared_traces(session: Session, limit: int, now: datetime) -> tuple[str, ...]:
    """Return ended attempts whose record Asterisk still has.

    One that was never dialled has none but that it may not begin any more. That stays for a day, as long as its order
    may come.
    """
    is_over = or_(Attempt.outcome.is_distinct_from(Outcome.NOT_STARTED.value), Attempt.ended_at < now - DAY)
    query = select(Attempt.id).where(~Attempt.trace_cleared, Attempt.ended_at.is_not(None), is_over).limit(limit)
    return tuple(session.scalars(query))


def load_module(session: Session, module_id: int) -> Module | None:
    return session.get(Module, module_id)


def all_modules(session: Session) -> list[Module]:
    return list(session.scalars(select(Module).order_by(Module.id)))


def spoken_name(session: Session, request_id: int) -> str:
    """Return the file of the name that the caller of a request has said, "" if there is none."""
    return session.scalar(select(SpokenName.file).where(SpokenName.request_id == request_id)) or ""
