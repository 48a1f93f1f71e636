"""What is done with call requests: register, claim, record, and what people ask for. A function is a transaction."""

import logging
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain import lifecycle, numbers, policy
from app.domain.dial_order import DialOrder
from app.domain.lifecycle import Decision, Ended, Outcome, Progressed, Reached, Status, Step
from app.domain.policy import Facts
from app.services.errors import NotFound
from app.store import requests as store
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import Attempt, CallRequest, Module
from app.store.settings import OfficeSettings

log = logging.getLogger(__name__)
UNDIALLABLE_PAUSE = timedelta(minutes=15)


@dataclass(frozen=True)
class Registration:
    """A call request as the dialogue hands it over. `number` is canonical, `wanted` the extension that was reached."""

    module_id: int
    number: str
    caller_number: str = ""
    caller_name: str = ""
    wanted: str = ""
    uniqueid: str | None = None
    first_called_at: datetime | None = None
    created_by: str = ""


def register(database: Database, registration: Registration, now: datetime) -> int:
    """Store a request and return its id. The same call, or the same active wish, gives the request that there is.

    Raises NotFound when the module is gone meanwhile.
    """
    for _ in range(2):
        try:
            with database.write() as session:
                return _register(session, registration, now)
        except IntegrityError:
            # Two calls at the same instant wished the same: the second look finds the first one's row.
            log.info("registration met its twin: module %s number %s", registration.module_id, registration.number)
    raise RuntimeError("registration keeps meeting its twin")


def _register(session: Session, registration: Registration, now: datetime) -> int:
    if registration.uniqueid:
        known = session.scalar(
            select(CallRequest).where(
                CallRequest.call_uniqueid == registration.uniqueid, CallRequest.module_id == registration.module_id
            )
        )
        if known is not None:
            return known.id
    module = session.get(Module, registration.module_id)
    if module is None:
        raise NotFound(f"module {registration.module_id}")
    queue = module.target_kind == "queue"
    target = module.targets[0] if queue else registration.wanted if registration.wanted in module.targets else ""
    twin = store.find_active(session, module.id, queue, target, registration.number)
    if twin is not None:
        decision = lifecycle.transition(store.to_domain(twin, module), lifecycle.Registered(), now)
        store.apply_decision(session, twin, replace(decision, changed=True), now, event="registered_again")
        return twin.id
    row = store.add(
        session,
        module,
        queue,
        target,
        registration.number,
        now,
        caller_number=registration.caller_number[:40],
        caller_name=registration.caller_name[:80],
        call_uniqueid=registration.uniqueid,
        first_called_at=min(registration.first_called_at or now, now),
        created_by=registration.created_by,
    )
    return row.id


@dataclass(frozen=True)
class Dispatch:
    """What a look at the waiting requests gave: attempts to dial now, and when to look again."""

    orders: tuple[DialOrder, ...]
    wake_at: datetime | None


def claim_due(database: Database, settings: Settings, facts: Facts, now: datetime) -> Dispatch:
    """Claim every request that may be dialled now. When this returns, the claims are on disk and nothing has rung."""
    with database.write() as session:
        rows = {row.id: (row, module) for row, module in store.active(session, [Status.WAITING], lock=True)}
        if not rows:
            return Dispatch((), None)
        occupied = store.occupied(session, now)
        stored = store_settings.read_all(session)
        facts = replace(
            facts,
            numbers_in_flight=occupied.numbers,
            agents_in_flight=occupied.agents,
            agent_pauses=occupied.agent_pauses,
            all_paused=stored.get("all_paused") == "1",
        )
        _expire(session, rows.values(), now)  # after an outage nobody else may have done it yet
        requests = [_note_free(row, module, facts) for row, module in rows.values()]
        plan = policy.decide(requests, facts, now)
        office = store_settings.office(session, settings, stored)
        orders = []
        for dial in plan.dials:
            row, module = rows[dial.request.id]
            try:
                order = _order(row, module, dial.agent, office, facts.lines)
            except Exception:  # one request that nobody can dial must not keep all others from being dialled
                log.exception("request %s cannot be dialled; it is put off", row.id)
                row.not_before = now + UNDIALLABLE_PAUSE
                continue
            _claim(session, row, dial, order, now)
            orders.append(order)
        return Dispatch(tuple(orders), plan.wake_at)


def _note_free(row: CallRequest, module: Module | None, facts: Facts) -> lifecycle.Request:
    """Remember the first moment at which the wanted extension was free: the minimum waiting time counts from it."""
    request = store.to_domain(row, module)
    if not request.queue and request.free_at is None:
        row.free_at = policy.freed_at(request, facts)
    return replace(request, free_at=row.free_at)


def _claim(session: Session, row: CallRequest, dial: policy.Dial, order: DialOrder, now: datetime) -> None:
    decision = lifecycle.transition(dial.request, lifecycle.Claimed(order.attempt), now)
    assert decision.changed, "the policy picks waiting requests only"
    manual = dial.request.call_now
    session.add(
        Attempt(id=order.attempt, request_id=row.id, agent=dial.agent, number=row.number, manual=manual, started_at=now)
    )
    store.apply_decision(session, row, decision, now, event="claimed", detail=dial.agent)
    session.flush()  # the unique indexes have their say here, before anything is promised


def _order(
    row: CallRequest, module: Module | None, agent: str, office: OfficeSettings, lines: Mapping[str, policy.Line]
) -> DialOrder:
    line, callee = lines[agent], lines.get(row.number)
    return DialOrder(
        attempt=str(uuid.uuid4()),
        request_id=row.id,
        agent=agent,
        devices=line.devices,
        hint_context=line.context,
        number=row.number,
        dialled=numbers.dialled(row.number, office.outbound_format, office.outbound_prefix),
        internal_devices=callee.devices if callee is not None else "",
        language=module.language if module is not None else office.locale,
        caller_id=(module.caller_id if module is not None else "") or office.caller_id,
        outbound_context=office.outbound_context,
        agent_ring=module.agent_ring if module is not None else 20,
        customer_ring=module.customer_ring if module is not None else 40,
        registered_at=row.registered_at,
        spoken=numbers.national(row.number),
    )


def progress(database: Database, attempt: str, step: Step, now: datetime) -> None:
    """Record how far an attempt has come. Late and repeated news change nothing."""
    with database.write() as session:
        flight = session.get(Attempt, attempt)
        if flight is None or flight.ended_at is not None:
            return
        moments = {
            Step.AGENT_ANSWERED: "answered_at",
            Step.CUSTOMER_DIALLED: "dialled_at",
            Step.CONNECTED: "connected_at",
        }
        if step in moments and getattr(flight, moments[step]) is None:
            setattr(flight, moments[step], now)
        _apply(session, flight.request_id, Progressed(attempt, step), now, event=step.value)


def end(database: Database, attempt: str, outcome: Outcome, now: datetime, cause: str = "") -> None:
    """Record how an attempt ended. The first word counts; only an unclear one is corrected by a later word."""
    with database.write() as session:
        flight = session.get(Attempt, attempt)
        if flight is None:
            return
        corrects = flight.outcome == Outcome.UNCLEAR.value and outcome is not Outcome.UNCLEAR
        if flight.ended_at is not None and not corrects:
            return
        decision = _apply(session, flight.request_id, Ended(attempt, outcome), now, event="ended", detail=outcome.value)
        if decision is not None and decision.changed:
            outcome = decision.request.last_outcome or outcome
            flight.agent_pause_until = decision.agent_pause_until
        elif (
            decision is not None
            and decision.request.status in lifecycle.FINAL
            and outcome is not Outcome.CONNECTED
            and not corrects
        ):
            outcome = Outcome.WITHDRAWN  # the request had ended before, so the call was ours to end
        flight.ended_at, flight.outcome, flight.cause = now, outcome.value, cause[:80]
        if decision is not None and decision.changed and decision.request.status in (Status.DONE, Status.FAILED):
            session.get_one(CallRequest, flight.request_id).done_by = flight.agent


def _apply(
    session: Session,
    request_id: int,
    happened: lifecycle.Event,
    now: datetime,
    *,
    event: str,
    detail: str = "",
    actor: str = "",
) -> Decision | None:
    loaded = store.load(session, request_id, lock=True)
    if loaded is None:
        return None
    row, module = loaded
    decision = lifecycle.transition(store.to_domain(row, module), happened, now)
    store.apply_decision(session, row, decision, now, event=event, detail=detail, actor=actor)
    return decision


@dataclass(frozen=True)
class Talk:
    """An answered call between the office and a number: `extension` or `queue` is the office's side."""

    number: str
    extension: str = ""
    queue: str = ""
    queues_of_extension: tuple[str, ...] = ()


def close_reached(database: Database, talk: Talk, now: datetime) -> list[str]:
    """Close every active request that this talk answers; return the attempts to hang up."""
    hang_up = []
    with database.write() as session:
        for row, module in store.active(session, lifecycle.ACTIVE):
            request = store.to_domain(row, module)
            if row.number != talk.number or not _answers(request, talk):
                continue
            decision = lifecycle.transition(request, Reached(), now)
            if decision.changed:
                row.done_by = talk.extension
            store.apply_decision(session, row, decision, now, event="reached", detail=talk.extension or talk.queue)
            if decision.hang_up:
                hang_up.append(decision.hang_up)
    return hang_up


def _answers(request: lifecycle.Request, talk: Talk) -> bool:
    if request.queue:
        return request.target == talk.queue or request.target in talk.queues_of_extension
    return bool(talk.extension) and talk.extension in request.wanted


def expire(database: Database, now: datetime) -> None:
    """End the requests that have outlived their time."""
    with database.write() as session:
        _expire(session, store.active(session, [Status.WAITING, Status.UNCERTAIN]), now)


def _expire(session: Session, rows: Iterable[tuple[CallRequest, Module | None]], now: datetime) -> None:
    for row, module in rows:
        decision = lifecycle.transition(store.to_domain(row, module), lifecycle.TimePassed(), now)
        store.apply_decision(session, row, decision, now, event="expired")


def has_ended(database: Database, attempt: str) -> bool:
    """Tell whether this is an attempt of ours, and over."""
    with database.read() as session:
        row = session.get(Attempt, attempt)
        return row is not None and row.ended_at is not None


def pbx_records(database: Database, limit: int = 3) -> tuple[str, ...]:
    """Return some ended attempts of which Asterisk still keeps its own record."""
    with database.read() as session:
        return store.uncleared_traces(session, limit)


def mark_records_deleted(database: Database, attempts: tuple[str, ...]) -> None:
    """Note that Asterisk was told to delete its own record of these attempts."""
    with database.write() as session:
        session.execute(update(Attempt).where(Attempt.id.in_(attempts)).values(trace_cleared=True))


@dataclass(frozen=True)
class AttemptInFlight:
    """An attempt in flight. `withdrawn`: its request has ended meanwhile, so its call should end too."""

    attempt: str
    step: Step
    started_at: datetime
    withdrawn: bool


def in_flight(database: Database) -> list[AttemptInFlight]:
    """Return the attempts that are in flight as far as the database knows."""
    with database.read() as session:
        return [_flight(session, attempt) for attempt in store.attempts_in_flight(session)]


def _flight(session: Session, attempt: Attempt) -> AttemptInFlight:
    if attempt.connected_at is not None:
        step = Step.CONNECTED
    elif attempt.dialled_at is not None:
        step = Step.CUSTOMER_DIALLED
    else:
        step = Step.AGENT_ANSWERED if attempt.answered_at is not None else Step.CLAIMED
    request = session.get(CallRequest, attempt.request_id)
    return AttemptInFlight(attempt.id, step, attempt.started_at, request is None or request.attempt != attempt.id)
