"""What must hold in a simulated office, whatever fails. It is judged by what rang in the exchange."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from app.domain.dial_order import DialOrder
from app.domain.lifecycle import IN_FLIGHT, Outcome, Request, Status
from app.domain.policy import Facts
from tests.simulation.exchange import Call
from tests.simulation.stores import Store, StoredAttempt

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)  # a Sunday
CLOSED = (START + timedelta(minutes=20), START + timedelta(minutes=25))
PROMPT = 1.0  # seconds within which a request is dialled that may be
SHORTEST_TALK = 2.0  # seconds for which agent and customer must be connected, or the customer is called again
ON_DISK = 1.0  # seconds after which the exchange's records have outlived any death
AFTERMATH = 8.0  # seconds for which a fault is felt: the write queue pauses for 5 s


class Violation(Exception):
    """Something happened that must not. `kind` says what."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


@dataclass
class _Known:
    """What really happened to a request. Times are seconds of the loop."""

    number: str
    registered: float = -1.0  # for the last time
    rings: list[float] = field(default_factory=list)  # when the calls began in which the customer was rung
    talks: list[tuple[float, float]] = field(default_factory=list)
    cut_off: list[float] = field(default_factory=list)  # when calls were claimed that died while the customer was rung
    withdrawn: bool = False


class Judge:
    """`now` is the time of the loop. A violation is kept until `check` raises it."""

    def __init__(self, store: Store, now: Callable[[], float], retries: int, rest: float) -> None:
        self._store, self._now, self._retries, self._rest = store, now, retries, timedelta(seconds=rest)
        self.known: dict[int, _Known] = {}
        self._of_attempt: dict[str, int] = {}
        self._claimed: dict[str, float] = {}  # attempts, and when
        self.calls: dict[str, Call] = {}
        self.found: Violation | None = None
        self.troubled_until = 0.0  # by a fault
        self.ready_since = 0.0  # since when the worker may dial
        self._has_trouble, self._route_works_since = False, 0.0
        self._ended: dict[str, float] = {}  # when agents and numbers were last free again
        self._flying: dict[str, StoredAttempt] = {}
        self.lost_seconds = 0.0
        self.counts: Counter[str] = Counter()

    def at(self) -> datetime:
        return START + timedelta(seconds=self._now())

    def blame(self, kind: str, text: str) -> None:
        if self.found is None:
            self.found = Violation(kind, f"at {self._now():.3f} s: {text}")

    def on_loop_error(self, _loop: asyncio.AbstractEventLoop, what: dict[str, Any]) -> None:
        """Note an error in a callback. Errors of tasks are noted where they are waited for."""
        if "handle" in what:
            self.blame("unexpected error", repr(what.get("exception")))

    # -- what callers were told ------------------------------------------------------------------------------------

    def on_registered(self, request: int, number: str, told: bool) -> None:
        """Note that a caller has registered. `told`: they were told so."""
        known = self.known.setdefault(request, _Known(number))
        known.registered = self._now()
        known.withdrawn = False

    def on_withdrawn(self, number: str) -> None:
        for known in self.known.values():
            if known.number == number:
                known.withdrawn = True

    # -- what the dispatcher does ----------------------------------------------------------------------------------

    def on_claim(self, order: DialOrder, facts: Facts) -> None:
        """Check a claim whose order is dialled now."""
        self.counts["claims"] += 1
        now = self.at()
        if CLOSED[0] + timedelta(seconds=1) < now < CLOSED[1]:
            self.blame("outside hours", f"attempt {order.attempt} was claimed at {now:%T}")
        late = self._lateness(order, facts, now)
        if late > PROMPT and self._now() > self.troubled_until:
            self.blame("lost wake-up", f"request {order.request_id} was dialled {late:.2f} s after it could be")

    def _lateness(self, order: DialOrder, facts: Facts, now: datetime) -> float:
        """Return the seconds for which this request could have been dialled to this agent."""
        if self._has_trouble:
            return 0.0  # one request at a time tries the route
        request = self._store.requests(all_of_them=True)[order.request_id]
        line = facts.lines[order.agent]
        moments = [request.registered_at, request.registered_again_at, request.not_before, line.since + self._rest]
        moments += [START + timedelta(seconds=max(self.ready_since, self.troubled_until, self._route_works_since))]
        moments += [START + timedelta(seconds=self._ended.get(key, 0.0)) for key in (order.agent, order.number)]
        if request.free_at is not None:
            moments.append(max(request.free_at, request.registered_at) + request.min_wait)
        if now >= CLOSED[1]:
            moments.append(CLOSED[1] + timedelta(minutes=5))  # the requests that waited are spread over this time
        for attempt in self._store.attempts(agent=order.agent):
            moments.append(attempt.agent_pause_until)
            if attempt.request == order.request_id:
                moments.append(attempt.request_pause_until)
        return max(0.0, (now - max(moment for moment in moments if moment is not None)).total_seconds())

    # -- what is stored --------------------------------------------------------------------------------------------

    def check_store(self) -> None:
        """Check what is stored, after something may have been written."""
        attempts = self._store.attempts()
        for key, what in (("agent", "agents"), ("number", "numbers"), ("request", "requests")):
            values = [getattr(attempt, key) for attempt in attempts]
            if len(set(values)) < len(values):
                self.blame("two in flight", f"{what} of the attempts in flight: {values}")
        flying = {attempt.id: attempt for attempt in attempts}
        for attempt_id, attempt in self._flying.items():
            if attempt_id not in flying:
                self._ended[attempt.agent] = self._ended[attempt.number] = self._now()
        self._flying = flying
        had_trouble, self._has_trouble = self._has_trouble, self._store.has_trouble()
        if had_trouble and not self._has_trouble:
            self._route_works_since = self._now()
        self._of_attempt |= {attempt.id: attempt.request for attempt in attempts}
        self._claimed |= {attempt.id: (attempt.started_at - START).total_seconds() for attempt in attempts}
        requests = self._store.requests()
        for request in requests.values():
            if request.status in IN_FLIGHT and request.attempt not in flying:
                self.blame("lost", f"request {request.id} is {request.status}, but its attempt has ended")
            if request.status is Status.WAITING and request.attempt is not None:
                self.blame("wrong state", f"request {request.id} waits with an attempt")
        for attempt in attempts:
            active = requests.get(attempt.request)
            if active is not None and active.attempt != attempt.id:
                self.blame("wrong state", f"attempt {attempt.id} is in flight, request {active.id} {active.status}")

    # -- what rings ------------------------------------------------------------------------------------------------

    def _request_of(self, call: Call) -> int:
        request = self._of_attempt.get(call.attempt) or self._store.request_of(call.attempt)
        if request is None:
            self.blame("not claimed", f"{call.attempt} rings {call.agent}, but is not stored")
            return 0
        self._of_attempt[call.attempt] = request
        return request

    def on_agent_rings(self, call: Call) -> None:
        self.counts["rings"] += 1
        request = self._request_of(call)
        self.known.setdefault(request, _Known(call.number))
        if all(attempt.id != call.attempt for attempt in self._store.attempts()):
            self.blame("rung after its end", f"{call.agent} is rung for {call.attempt}, which was given up")
        now = self.at()
        if CLOSED[0] + timedelta(seconds=AFTERMATH) < now < CLOSED[1] and self._now() > self.troubled_until:
            self.blame("outside hours", f"{call.agent} is rung at {now:%T}")

    def on_customer_rings(self, call: Call) -> None:
        self.counts["customers"] += 1
        request = self._request_of(call)
        known = self.known.setdefault(request, _Known(call.number))
        for since, until in known.talks:
            if until - since >= SHORTEST_TALK and since > known.registered:
                self.blame("rung after a talk", f"request {request}, which talked from {since:.1f} to {until:.1f}")
        stored = self._store.requests(all_of_them=True).get(request)
        registered = (stored.opened_at - START).total_seconds() if stored is not None else 0.0
        if any(claimed > max(known.registered, registered) for claimed in known.cut_off):
            self.blame("rung after a death", f"request {request}: perhaps the customer had answered")
        others = [
            other
            for other in self.calls.values()
            if other is not call and other.number == call.number and other.customer
        ]
        if others:
            self.blame("rung twice at once", f"number {call.number}, by {call.attempt} and {others[0].attempt}")
        known.rings.append(call.started)
        rings = [started for started in known.rings if started > known.registered]
        if len(rings) > self._retries + 1:
            self.blame("rung too often", f"request {request}: {len(rings)} times")

    def on_end(self, call: Call) -> None:
        """Note that a call has ended, or died with the exchange."""
        if call.customer:
            known = self.known.setdefault(self._request_of(call), _Known(call.number))
            if self._now() - call.rang_from > ON_DISK:
                known.cut_off.append(self._claimed.get(call.attempt, call.started))
            else:
                known.rings.remove(call.started)  # perhaps nobody can know that the customer was dialled
        if call.talked_from:
            self.counts["talks"] += 1
            known = self.known.setdefault(self._request_of(call), _Known(call.number))
            known.talks.append((call.talked_from, self._now()))

    # -- the end ---------------------------------------------------------------------------------------------------

    def is_settled(self) -> bool:
        return not self.calls and all(r.status is Status.UNCERTAIN for r in self._store.requests().values())

    def check_end(self) -> None:
        """Check what has become of all requests, when nothing fails any more."""
        requests = self._store.requests(all_of_them=True)
        for request_id, known in self.known.items():
            request = requests.get(request_id)
            if request is None:
                self.blame("lost", f"request {request_id} was registered, but is not stored")
            else:
                self._check_end_of(request, known)

    def _check_end_of(self, request: Request, known: _Known) -> None:
        self.counts[request.status] += 1
        talks = [until - since for since, until in known.talks if since > known.registered]
        match request.status:
            case Status.DONE if max((until - since for since, until in known.talks), default=0) < SHORTEST_TALK:
                self.blame("done without a talk", f"request {request.id}")
            case Status.CANCELLED if not known.withdrawn:
                self.blame("wrong end", f"request {request.id} was cancelled by nobody")
            case Status.FAILED if max(talks, default=0) >= SHORTEST_TALK:
                self.blame("failed after a talk", f"request {request.id}")
            case Status.FAILED if len(known.rings) <= self._retries:
                self.blame("failed too early", f"request {request.id} rang {len(known.rings)} times")
            case Status.UNCERTAIN if request.last_outcome is not Outcome.UNCLEAR:
                self.blame("wrong end", f"request {request.id} is uncertain after {request.last_outcome}")
            case status if status not in (Status.DONE, Status.CANCELLED, Status.FAILED, Status.UNCERTAIN):
                self.blame("stuck", f"request {request.id} is {status}: {request.last_outcome}")
