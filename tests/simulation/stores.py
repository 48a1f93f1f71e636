"""What the dispatcher stores: in a real database by the real services, or in memory for many more steps.

`MemoryStore` uses the same rules of the domain, but no SQL. A test compares both, event by event.
"""

import uuid
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from unittest import mock

from sqlalchemy import select

from app.domain import lifecycle, policy, routes
from app.domain.dial_order import DialOrder
from app.domain.lifecycle import (
    ACTIVE,
    Cancelled,
    Claimed,
    Ended,
    Failures,
    Outcome,
    Progressed,
    Registered,
    Request,
    Side,
    Status,
    Step,
    TimePassed,
)
from app.domain.limits import DAY
from app.domain.policy import AgentPause, Facts
from app.domain.routes import RouteTrouble
from app.services.requests import attempts as attempt_services
from app.services.requests import registration
from app.services.requests.attempts import AttemptInFlight, Dispatch
from app.services.requests.expiry import expire
from app.store import requests as requests_store
from app.store import routes as routes_store
from app.store.agent_failures import MAX_FAILURES
from app.store.database import Database
from app.store.hours import WEEK, make_hours
from app.store.models import Attempt, CallRequest, Module
from app.store.settings import REGISTRATION_LIMITS, write_setting
from app.worker import dispatcher as dispatcher_module
from tests.support.factories import create_module

OUTBOUND = "outbound"
AGENTS = ("101", "102", "103")
HOURS = "sun 00:00-08:20, 08:25-24:00; mon 00:00-08:20, 08:25-24:00"
MODULE: dict[str, Any] = {
    "targets": list(AGENTS),
    "min_wait": 3,
    "rest": 5,
    "retries": 2,
    "retry_pauses": [40, 90],
    "busy_pause": 20,
    "agent_pause": 15,
    "agent_ring": 12,
    "customer_ring": 25,
    "expire_after": 0,
}


@dataclass
class StoredAttempt:
    """An attempt, as the checks see it."""

    id: str
    request: int
    agent: str
    number: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: Outcome | None = None
    agent_pause_until: datetime | None = None
    request_pause_until: datetime | None = None


class Store(ABC):
    """A store of one world. `services` are those that the dispatcher calls."""

    services: Any
    database: Any = None

    @abstractmethod
    def register(self, number: str, now: datetime) -> int:
        """Register a number and return the id of its request."""

    @abstractmethod
    def withdraw(self, number: str, now: datetime) -> str | None:
        """Cancel the request of a number. Return its attempt that must be hung up, if any."""

    @abstractmethod
    def expire(self, now: datetime) -> None: ...

    @abstractmethod
    def requests(self, *, all_of_them: bool = False) -> dict[int, Request]:
        """Return the requests that have not ended, or all of them."""

    @abstractmethod
    def attempts(self, *, agent: str | None = None) -> list[StoredAttempt]:
        """Return the attempts in flight, or all of an agent, oldest first."""

    @abstractmethod
    def request_of(self, attempt: str) -> int | None: ...

    @abstractmethod
    def has_trouble(self) -> bool:
        """Tell whether the route to customers fails."""

    @contextmanager
    def used(self) -> Iterator[None]:
        """Let the dispatcher use this store."""
        with mock.patch.object(dispatcher_module, "attempts", self.services):
            yield


def registered(number: str) -> registration.Registration:
    return registration.Registration(module_id=1, number=number)


class SqlStore(Store):
    """The real services on SQLite."""

    def __init__(self, database: Database, hours: str = HOURS, **module: Any) -> None:
        self.database, self.services = database, attempt_services
        create_module(database, **MODULE | module)
        with database.write() as session:
            write_setting(session, WEEK, hours)
            for limit in REGISTRATION_LIMITS:
                write_setting(session, f"{limit}_limit", "0")

    def register(self, number: str, now: datetime) -> int:
        return registration.register(self.database, registered(number), now)

    def withdraw(self, number: str, now: datetime) -> str | None:
        return registration.withdraw(self.database, registered(number), now)

    def expire(self, now: datetime) -> None:
        expire(self.database, now)

    def requests(self, *, all_of_them: bool = False) -> dict[int, Request]:
        with self.database.read() as session:
            module = session.get_one(Module, 1)
            query = select(CallRequest).order_by(CallRequest.id)
            if not all_of_them:
                query = query.where(requests_store.has_status())
            return {row.id: requests_store.to_domain(row, module) for row in session.scalars(query)}

    def attempts(self, *, agent: str | None = None) -> list[StoredAttempt]:
        query = select(Attempt).order_by(Attempt.started_at)
        query = query.where(Attempt.ended_at.is_(None) if agent is None else Attempt.agent == agent)
        with self.database.read() as session:
            return [
                StoredAttempt(
                    row.id,
                    row.request_id,
                    row.agent,
                    row.number,
                    row.started_at,
                    row.ended_at,
                    Outcome(row.outcome) if row.outcome else None,
                    row.agent_pause_until,
                    row.request_pause_until,
                )
                for row in session.scalars(query)
            ]

    def request_of(self, attempt: str) -> int | None:
        with self.database.read() as session:
            row = session.get(Attempt, attempt)
            return row.request_id if row is not None else None

    def has_trouble(self) -> bool:
        with self.database.read() as session:
            return bool(routes_store.failing(session))


@dataclass
class _Attempt(StoredAttempt):
    step: Step = Step.CLAIMED
    talked: bool = False
    stood_still: bool = False
    dialled_at: datetime | None = None
    cleared: bool = False


class MemoryStore(Store):
    """The rules of `services.requests.attempts` without a database."""

    def __init__(self, hours: str = HOURS, **module: Any) -> None:
        values = MODULE | module
        self.services = self
        self._values, self._hours = values, {WEEK: hours}
        self._rules = requests_store.rules_of(
            SimpleNamespace(  # type: ignore[arg-type]
                **{column.key: column.default.arg for column in Module.__table__.columns if column.default is not None}
                | values
            )
        )
        self._module: Any = SimpleNamespace(id=1, hours="", holidays=True)
        self._requests: dict[int, Request] = {}
        self._attempts: dict[str, _Attempt] = {}
        self._trouble: RouteTrouble | None = None

    # -- the callers -----------------------------------------------------------------------------------------------

    def register(self, number: str, now: datetime) -> int:
        known = self._find(number)
        if known is not None:
            self._requests[known.id] = lifecycle.transition(known, Registered(), now).request
            return known.id
        request = Request(
            len(self._requests) + 1,
            number,
            now,
            extensions=AGENTS,
            first_called_at=now,
            module=1,
            rules=self._rules,
        )
        self._requests[request.id] = request
        return request.id

    def withdraw(self, number: str, now: datetime) -> str | None:
        known = self._find(number)
        if known is None or known.status is Status.CONNECTED:
            return None
        attempt = known.attempt if known.status is Status.DIALLING else None
        self._requests[known.id] = lifecycle.transition(known, Cancelled(), now).request
        return attempt

    def _find(self, number: str) -> Request | None:
        return next((r for r in self._requests.values() if r.number == number and r.status in ACTIVE), None)

    def expire(self, now: datetime) -> None:
        for request in list(self._requests.values()):
            self._requests[request.id] = lifecycle.transition(request, TimePassed(), now).request

    # -- the checks ------------------------------------------------------------------------------------------------

    def requests(self, *, all_of_them: bool = False) -> dict[int, Request]:
        return {r.id: r for r in self._requests.values() if all_of_them or r.status in ACTIVE}

    def attempts(self, *, agent: str | None = None) -> list[StoredAttempt]:
        if agent is None:
            return [attempt for attempt in self._attempts.values() if attempt.ended_at is None]
        return [attempt for attempt in self._attempts.values() if attempt.agent == agent]

    def request_of(self, attempt: str) -> int | None:
        found = self._attempts.get(attempt)
        return found.request if found is not None else None

    def has_trouble(self) -> bool:
        return self._trouble is not None

    @contextmanager
    def used(self) -> Iterator[None]:
        with super().used(), mock.patch.object(dispatcher_module, "stage", lambda *_: None):
            yield

    # -- what the dispatcher calls ---------------------------------------------------------------------------------

    def claim_due(
        self, _database: Any, _settings: Any, facts: Facts, now: datetime, _staged: object = None
    ) -> Dispatch:
        waiting = [request for request in self._requests.values() if request.status is Status.WAITING]
        for index, request in enumerate(waiting):
            if request.free_at is None and request.rules.min_wait:
                free_at = policy.freed_at(request, facts)
                waiting[index] = self._requests[request.id] = replace(request, free_at=free_at)
        hours = make_hours("UTC", "", self._hours, (), now)
        facts = replace(self._with_attempts(facts, now), openings=hours.openings([self._module], now))
        plan = policy.decide(waiting, facts, now)
        outside = policy.outside_reason(facts, now)
        orders = []
        for dial in plan.dials:
            order = self._order(dial.request, facts.lines[dial.agent])
            self._attempts[order.attempt] = _Attempt(
                order.attempt, dial.request.id, dial.agent, dial.request.number, now
            )
            claimed = lifecycle.transition(dial.request, Claimed(order.attempt), now)
            self._requests[dial.request.id] = claimed.request
            orders.append(order)
        wakes = [plan.wake_at, outside.until if outside is not None else None]
        return Dispatch(tuple(orders), min((wake for wake in wakes if wake is not None), default=None))

    def _with_attempts(self, facts: Facts, now: datetime) -> Facts:
        flying = [attempt for attempt in self._attempts.values() if attempt.ended_at is None]
        agent_pauses: dict[str, datetime] = {}
        request_pauses: dict[tuple[int, str], AgentPause] = {}
        for attempt in self._attempts.values():
            if attempt.agent_pause_until is not None and attempt.agent_pause_until > now:
                until = agent_pauses.get(attempt.agent, attempt.agent_pause_until)
                agent_pauses[attempt.agent] = max(until, attempt.agent_pause_until)
            if attempt.request_pause_until is not None and attempt.request_pause_until > now:
                assert attempt.ended_at is not None and attempt.outcome is not None
                pause = AgentPause(attempt.ended_at, attempt.request_pause_until, attempt.outcome)
                pair = attempt.request, attempt.agent
                request_pauses[pair] = max(pause, request_pauses.get(pair, pause), key=lambda each: each.until)
        return replace(
            facts,
            numbers_in_flight=frozenset(attempt.number for attempt in flying),
            agents_in_flight=frozenset(attempt.agent for attempt in flying),
            agent_pauses=agent_pauses,
            request_pauses=request_pauses,
            outbound_context=OUTBOUND,
            routes={OUTBOUND: self._trouble} if self._trouble is not None else {},
            calls=dict(Counter(OUTBOUND for _ in flying)),
            dialling=frozenset({OUTBOUND} if any(each.step is not Step.CONNECTED for each in flying) else ()),
        )

    def _order(self, request: Request, line: policy.Line) -> DialOrder:
        return DialOrder(
            attempt=str(uuid.uuid4()),
            request_id=request.id,
            agent=line.extension,
            devices=line.devices,
            hint=line.hint,
            number=request.number,
            dialled=f"0{request.number[3:]}",
            internal_devices="",
            language="fa",
            caller_id="",
            outbound_context=OUTBOUND,
            agent_ring=self._values["agent_ring"],
            customer_ring=self._values["customer_ring"],
            registered_at=request.registered_at,
            spoken=request.number,
            module=1,
        )

    def progress(self, _database: Any, attempt_id: str, step: Step, now: datetime) -> None:
        attempt = self._attempts.get(attempt_id)
        if attempt is None or attempt.ended_at is not None:
            return
        if step.rank > attempt.step.rank:
            attempt.step = step
        if step is Step.CUSTOMER_DIALLED:
            attempt.dialled_at = attempt.dialled_at or now
        self._apply(attempt.request, Progressed(attempt_id, step), now)
        if step is Step.CONNECTED:
            self._apply_to_route(attempt, Outcome.CONNECTED, now)

    def note_talk(self, _database: Any, attempt_id: str, _now: datetime) -> None:
        attempt = self._attempts.get(attempt_id)
        if attempt is not None and attempt.ended_at is None:
            attempt.talked = True

    def note_standstill(self, _database: Any, attempt_id: str, _now: datetime) -> None:
        attempt = self._attempts.get(attempt_id)
        if attempt is not None and attempt.ended_at is None:
            attempt.stood_still = True

    def end(
        self,
        _database: Any,
        attempt_id: str,
        outcome: Outcome,
        now: datetime,
        cause: str = "",
        *,
        refused: bool = False,
    ) -> None:
        attempt = self._attempts.get(attempt_id)
        if attempt is None:
            return
        corrects = attempt.outcome is Outcome.UNCLEAR and outcome is not Outcome.UNCLEAR
        if attempt.ended_at is not None and not corrects:
            return
        if attempt.talked:
            outcome = Outcome.CONNECTED
        ended = Ended(attempt_id, outcome, self._failures(attempt, outcome))
        decision = self._apply(attempt.request, ended, now)
        if corrects and not decision.changed and decision.request.attempt == attempt_id:
            return
        if decision.changed:
            outcome = decision.request.last_outcome or outcome
            attempt.agent_pause_until = decision.agent_pause_until
            attempt.request_pause_until = decision.request_pause_until
        elif decision.request.status in lifecycle.FINAL and outcome is not Outcome.CONNECTED and not corrects:
            outcome = Outcome.WITHDRAWN
        attempt.ended_at, attempt.outcome = now, outcome
        attempt.cleared |= refused
        self._apply_to_route(attempt, outcome, now)

    def _failures(self, attempt: _Attempt, outcome: Outcome) -> Failures:
        if outcome.side not in (Side.AGENT, Side.NOBODY):
            return Failures()
        since = self._requests[attempt.request].opened_at
        others = [a for a in self._attempts.values() if a.agent == attempt.agent and a.ended_at and a is not attempt]
        others.sort(key=lambda each: each.started_at, reverse=True)
        repeats = 1
        for each in [a for a in others if a.request == attempt.request and a.started_at >= since][:MAX_FAILURES]:
            assert each.outcome is not None
            if each.outcome.side not in (Side.AGENT, Side.NOBODY):
                break
            repeats += each.outcome.rang == outcome.rang
        without_ring = Counter({attempt.request: 1})
        for each in others[:MAX_FAILURES]:
            assert each.outcome is not None
            if each.outcome.rang:
                break
            without_ring[each.request] += 1
        return Failures(repeats, 1 + without_ring.total() - max(without_ring.values()))

    def _apply(self, request_id: int, event: lifecycle.Event, now: datetime) -> lifecycle.Decision:
        decision = lifecycle.transition(self._requests[request_id], event, now)
        self._requests[request_id] = decision.request
        return decision

    def _apply_to_route(self, attempt: _Attempt, outcome: Outcome, now: datetime) -> None:
        dialled_at = attempt.dialled_at or attempt.started_at
        self._trouble = routes.after(self._trouble, outcome, attempt.started_at, dialled_at, now)

    def in_flight(self, _database: Any) -> list[AttemptInFlight]:
        return [
            AttemptInFlight(
                each.id,
                each.step,
                each.started_at,
                self._requests[each.request].attempt != each.id,
                each.agent,
                each.talked,
                each.stood_still,
            )
            for each in self._attempts.values()
            if each.ended_at is None
        ]

    def has_ended(self, _database: Any, attempt_id: str) -> bool:
        attempt = self._attempts.get(attempt_id)
        return attempt is not None and attempt.ended_at is not None

    def records_to_delete(self, _database: Any, now: datetime, limit: int = 3) -> tuple[str, ...]:
        found = sorted(
            each.id
            for each in self._attempts.values()
            if each.ended_at is not None and not each.cleared
            if each.outcome is not Outcome.NOT_STARTED or each.ended_at < now - DAY
        )
        return tuple(found[:limit])

    def mark_records_deleted(self, _database: Any, attempt_ids: tuple[str, ...]) -> None:
        for attempt in attempt_ids:
            self._attempts[attempt].cleared = True
