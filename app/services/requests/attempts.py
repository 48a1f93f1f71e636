"""Claim, progress and end call attempts. Each function runs in its own transaction."""

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, update
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain import lifecycle, module_defaults, numbers, policy
from app.domain.dial_order import Confirmation, DialOrder
from app.domain.lifecycle import Decision, Ended, Failures, Outcome, Progressed, Side, Status, Step
from app.domain.policy import Facts
from app.domain.queue_hold import queues_to_hold
from app.services.requests.history import EventKind
from app.services.requests.lanes import Lanes, find_free
from app.services.requests.pause import is_paused
from app.services.requests.staged import Reads, Staged
from app.store import agent_failures, pbx_state, routes, waiting
from app.store import requests as store
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import Attempt, CallRequest, Module
from app.store.number_policy import make_policy
from app.store.settings import OfficeSettings
from app.store.turns import Urgency

log = logging.getLogger(__name__)
UNDIALLABLE_PAUSE = timedelta(minutes=15)
MAX_CAUSE_LENGTH = 80

# step -> the column with its time
_STEP_TIMES = {
    Step.AGENT_ANSWERED: "answered_at",
    Step.CUSTOMER_DIALLED: "dialled_at",
    Step.CUSTOMER_WAITS: "waited_at",
    Step.CONNECTED: "connected_at",
}


@dataclass(frozen=True)
class Dispatch:
    """The attempts to dial now, and when to look at the waiting requests again (None: when something changes)."""

    orders: tuple[DialOrder, ...]
    wake_at: datetime | None


def claim_due(
    database: Database, settings: Settings, facts: Facts, now: datetime, staged: Staged | None = None
) -> Dispatch:
    """Claim every request that may be dialled now. The claims are committed before the caller may dial them.

    Only the requests of agents whose lines are free are looked at, in their turn. If nobody waits for them, nothing is
    written. What is `staged` is not read again, if it still holds.
    """
    free = policy.served(facts)
    ready = staged.reads(database, settings, free, now) if staged is not None else None
    if ready is not None:
        glance = ready.look().judge(now)
    else:
        with database.read() as session:
            glance = Reads(database, settings, session, free, now).look().judge(now)
    if glance.finds_nobody:
        return Dispatch((), glance.next_due)
    with database.write(Urgency.ATTEMPT) as session:
        reads = Reads(database, settings, session, free, now)
        if ready is not None and not ready.proven(session):
            glance = reads.look().judge(now)
        elif ready is not None and not glance.releases:
            reads = ready
        glance = waiting.release(session, glance, reads.targets, now)
        freed = find_free(reads, glance.never_free, facts)
        orders: list[DialOrder] = []
        wakes = [glance.next_due]
        lost: set[int] = set()  # somebody else has changed them at the same time, or is doing so
        while True:
            found = len(lost)
            facts = _with_attempts(reads, facts)
            outside = policy.outside_reason(facts, now)
            lanes = Lanes(reads, freed, lost)
            opened = lanes.open(
                glance.targets,
                call_now=glance.call_now,
                inside=outside is not None,
                by_failures=outside is None and policy.by_failures(facts),
            )
            facts = replace(facts, openings=reads.hours.openings(lanes.modules.values(), now), rung=lanes.last_rings())
            plan = policy.decide_lanes(opened, facts, now)
            lanes.close(plan)
            rung = {*facts.agents_in_flight, *(dial.agent for dial in plan.dials)}
            for dial in plan.dials:
                row = lanes.rows[dial.request.id]
                held = queues_to_hold(dial.agent, facts, rung) if reads.office.hold_queues else ()
                try:
                    module = lanes.modules.get(row.module_id or 0)
                    order = _make_order(row, module, dial.agent, reads.office, facts.lines, held)
                except Exception:  # one bad request must not block the others
                    log.exception("request %s cannot be dialled, postponing it", row.id)
                    store.update_unchanged(session, row, {"not_before": now + UNDIALLABLE_PAUSE})
                    continue
                if _claim(session, row, dial, order, facts.route_of(dial.request), now, tells=reads.tells()):
                    orders.append(order)
                    freed.pop(row.id, None)  # the claim has stored it
                else:
                    lost.add(row.id)
            wakes += [plan.wake_at, outside.until if outside is not None else None]
            if len(lost) == found:
                waiting.set_free(session, freed)
                return Dispatch(tuple(orders), min((wake for wake in wakes if wake is not None), default=None))
            reads = Reads(database, settings, session, free, now)  # with what was just written


def _with_attempts(reads: Reads, facts: Facts) -> Facts:
    """Complete the facts with what the database knows of attempts, of the routes, of the rules and of a pause."""
    stored = reads.configuration.settings
    occupied, limits, daily = reads.occupied(), store_settings.call_limits(stored), reads.daily_calls()
    return replace(
        facts,
        numbers_in_flight=occupied.numbers,
        agents_in_flight=occupied.agents,
        agent_pauses=occupied.agent_pauses,
        request_pauses=occupied.request_pauses,
        wrapups=occupied.wrapups,
        all_paused=is_paused(stored),
        number_policy=make_policy(reads.office.region, stored, reads.configuration.number_rules),
        outbound_context=reads.office.outbound_context,
        routes=reads.failing_routes(),
        calls=occupied.calls,
        dialling=occupied.dialling,
        calls_limit=limits.calls,
        route_calls_limit=limits.route_calls,
        daily_calls=daily.count,
        daily_limit=daily.limit,
        daily_limit_until=daily.until,
    )


def _claim(
    session: Session, row: Row[Any], dial: policy.Dial, order: DialOrder, route: str, now: datetime, *, tells: bool
) -> bool:
    """Store that a request is dialled now. Return False if somebody else has changed it or is doing so."""
    decision = lifecycle.transition(dial.request, lifecycle.Claimed(order.attempt), now)
    assert decision.changed, "the policy picks waiting requests only"
    attempt = {
        "id": order.attempt,
        "agent": dial.agent,
        "number": row.number,
        "route": route,
        "manual": dial.request.call_now,
    }
    return store.claim(session, row, decision, now, event=EventKind.CLAIMED, attempt=attempt, tells=tells)


def _make_order(
    row: Row[Any],
    module: Module | None,
    agent: str,
    office: OfficeSettings,
    lines: Mapping[str, policy.Line],
    held_queues: tuple[str, ...],
) -> DialOrder:
    line, callee = lines[agent], lines.get(row.number)
    return DialOrder(
        attempt=str(uuid.uuid4()),
        request_id=row.id,
        agent=agent,
        devices=line.devices,
        hint=line.hint,
        number=row.number,
        dialled=numbers.dialled(row.number, office.region, office.outbound_format, office.outbound_prefix),
        internal_devices=callee.devices if callee is not None else "",
        language=module.language if module is not None else office.locale,
        caller_id=(module.caller_id if module is not None else "") or office.caller_id,
        outbound_context=office.outbound_context,
        agent_ring=module.agent_ring if module is not None else module_defaults.AGENT_RING,
        customer_ring=module.customer_ring if module is not None else module_defaults.CUSTOMER_RING,
        registered_at=row.registered_at,
        spoken=numbers.national(row.number, office.region),
        queue=row.target if row.queue else "",
        module=row.module_id,
        agent_confirms=Confirmation(module.agent_confirms) if module is not None else Confirmation.KEY,
        asks_customer=module is not None and module.asks_customer,
        customer_first=module is not None and module.customer_first and not row.agent_first,
        asks_name=module is not None and module.asks_name,
        announced_first=office.announced_first,
        held_queues=held_queues,
    )


def progress(database: Database, attempt_id: str, step: Step, now: datetime) -> None:
    """Record that an attempt has reached a step. Late and repeated steps change nothing."""
    with database.write(Urgency.ATTEMPT) as session:
        attempt = session.get(Attempt, attempt_id)
        if attempt is None or attempt.ended_at is not None:
            return
        column = _STEP_TIMES.get(step)
        if column is not None and getattr(attempt, column) is None:
            setattr(attempt, column, now)
        _apply(session, attempt.request_id, Progressed(attempt_id, step), now, event=step.value)
        if step is Step.CONNECTED:
            _apply_to_route(session, attempt, Outcome.CONNECTED, now)


def note_talk(database: Database, attempt_id: str, now: datetime) -> None:
    """Record that agent and customer have been connected for the shortest talk. So the attempt ends as connected."""
    with database.write() as session:
        attempt = session.get(Attempt, attempt_id)
        if attempt is not None and attempt.ended_at is None and attempt.talked_at is None:
            attempt.talked_at = now


def note_standstill(database: Database, attempt_id: str, now: datetime) -> None:
    """Record that the PBX has stood still in a talk. Its duration by the PBX's clock proves nothing then."""
    with database.write() as session:
        attempt = session.get(Attempt, attempt_id)
        if attempt is not None and attempt.ended_at is None and attempt.stood_still_at is None:
            attempt.stood_still_at = now


def end(
    database: Database, attempt_id: str, outcome: Outcome, now: datetime, cause: str = "", *, refused: bool = False
) -> None:
    """Record how an attempt ended. The first outcome counts, unless it is UNCLEAR: a later one corrects it once.

    `refused`: the PBX refused the dial order, so it knows nothing of the attempt.
    """
    with database.write(Urgency.ATTEMPT) as session:
        attempt = session.get(Attempt, attempt_id)
        if attempt is None:
            return
        corrects = attempt.outcome == Outcome.UNCLEAR.value and outcome is not Outcome.UNCLEAR
        if attempt.ended_at is not None and not corrects:
            return
        if attempt.talked_at is not None:
            outcome = Outcome.CONNECTED  # no later news changes that
        ended = Ended(attempt_id, outcome, _failures(session, attempt, outcome))
        decision = _apply(session, attempt.request_id, ended, now, event=EventKind.ENDED, detail=outcome.value)
        if corrects and decision is not None and not decision.changed and decision.request.attempt == attempt_id:
            return  # it says no more than before
        if decision is not None and decision.changed:
            outcome = decision.request.last_outcome or outcome
            attempt.agent_pause_until = decision.agent_pause_until
            attempt.request_pause_until = decision.request_pause_until
            row = session.get_one(CallRequest, attempt.request_id)
            if decision.request.status in (Status.DONE, Status.FAILED):
                row.done_by = attempt.agent
            if outcome is Outcome.TALK_TOO_SHORT and row.reached_at == attempt.connected_at:
                row.reached_at = None
            if outcome is Outcome.CONNECTED and row.queue:
                attempt.agent_pause_until = now + pbx_state.wrapup_of(session, row.target)
        elif decision is not None and _is_withdrawn(decision, outcome) and not corrects:
            outcome = Outcome.WITHDRAWN
        attempt.ended_at, attempt.outcome, attempt.cause = now, outcome.value, cause[:MAX_CAUSE_LENGTH]
        attempt.trace_cleared |= refused
        if not outcome.rang:
            agent_failures.merge_repeats(session, attempt)
        _apply_to_route(session, attempt, outcome, now)


def _failures(session: Session, attempt: Attempt, outcome: Outcome) -> Failures:
    row = session.get(CallRequest, attempt.request_id)
    if row is None or outcome.side not in (Side.AGENT, Side.NOBODY):
        return Failures()
    return agent_failures.failures_of(session, attempt, outcome, store.to_domain(row, None).opened_at)


def _apply_to_route(session: Session, attempt: Attempt, outcome: Outcome, now: datetime) -> None:
    if attempt.route:
        claimed_at = attempt.started_at
        dialled_at = attempt.dialled_at or claimed_at
        routes.apply_outcome(
            session, attempt.route, outcome, now, claimed_at=claimed_at, dialled_at=dialled_at, cause=attempt.cause
        )


def _is_withdrawn(decision: Decision, outcome: Outcome) -> bool:
    """Tell whether we hung up, because the request had ended before its attempt."""
    return decision.request.status in lifecycle.FINAL and outcome is not Outcome.CONNECTED


def _apply(
    session: Session, request_id: int, news: lifecycle.Event, now: datetime, *, event: str, detail: str = ""
) -> Decision | None:
    """Apply news of an attempt to its request. `event` and `detail` are for the history."""
    loaded = store.load(session, request_id, lock=True)
    if loaded is None:
        return None
    row, module = loaded
    decision = lifecycle.transition(store.to_domain(row, module), news, now)
    store.apply_decision(session, row, decision, now, event=event, detail=detail)
    return decision


@dataclass(frozen=True)
class AttemptInFlight:
    """An attempt that has not ended.

    `withdrawn`: its request has ended, so its call must be hung up. `talked`: agent and customer have been connected
    for the shortest talk. `stood_still`: the PBX has stood still meanwhile. `request` is the id of the request.
    """

    attempt: str
    step: Step
    started_at: datetime
    withdrawn: bool
    agent: str
    talked: bool = False
    stood_still: bool = False
    request: int = 0


def in_flight(database: Database) -> list[AttemptInFlight]:
    """Return the attempts that have not ended, oldest first."""
    with database.read() as session:
        return [_to_in_flight(session, attempt) for attempt in store.attempts_in_flight(session)]


def _to_in_flight(session: Session, attempt: Attempt) -> AttemptInFlight:
    if attempt.connected_at is not None:
        step = Step.CONNECTED
    elif attempt.waited_at is not None:
        step = Step.CUSTOMER_WAITS
    elif attempt.dialled_at is not None:
        step = Step.CUSTOMER_DIALLED
    else:
        step = Step.AGENT_ANSWERED if attempt.answered_at is not None else Step.CLAIMED
    request = session.get(CallRequest, attempt.request_id)
    withdrawn = request is None or request.attempt != attempt.id
    return AttemptInFlight(
        attempt.id,
        step,
        attempt.started_at,
        withdrawn,
        attempt.agent,
        talked=attempt.talked_at is not None,
        stood_still=attempt.stood_still_at is not None,
        request=attempt.request_id,
    )


def has_ended(database: Database, attempt_id: str) -> bool:
    """Tell whether this attempt exists in our database and has ended."""
    with database.read() as session:
        attempt = session.get(Attempt, attempt_id)
        return attempt is not None and attempt.ended_at is not None


def records_to_delete(database: Database, now: datetime, limit: int = 3) -> tuple[str, ...]:
    """Return some ended attempts whose records Asterisk still has in its own database."""
    with database.read() as session:
        return store.uncleared_traces(session, limit, now)


def mark_records_deleted(database: Database, attempt_ids: tuple[str, ...]) -> None:
    """Note that Asterisk has deleted its records of these attempts."""
    with database.write(Urgency.ATTEMPT) as session:
        session.execute(update(Attempt).where(Attempt.id.in_(attempt_ids)).values(trace_cleared=True))
