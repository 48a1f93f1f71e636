"""Whatever happens, and in whatever order, the promises hold.

A simulated office lives through random events: callers ask, phones ring and are put down, attempts succeed and fail,
news come late or twice, people press buttons. After each event the dispatcher looks, just as the worker's does, and
what it plans is held to the promises. The office keeps its own, much plainer notion of who may be rung, so the policy
is never checked against itself.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.domain.lifecycle import (
    ACTIVE,
    FINAL,
    IN_FLIGHT,
    CalledNow,
    Cancelled,
    Claimed,
    Decision,
    Ended,
    Event,
    MarkedDone,
    Outcome,
    Postponed,
    Prioritised,
    Progressed,
    Reached,
    Reassigned,
    Registered,
    Request,
    Rules,
    Side,
    Status,
    Step,
    TimePassed,
    transition,
)
from app.domain.numbers import NumberRefused, NumberRules, OutboundFormat, dialled, normalize
from app.domain.policy import (
    Facts,
    Line,
    LineState,
    Member,
    Plan,
    Queue,
    ReasonCode,
    decide,
    explain,
    freed_at,
)
from tests.support.factories import LONG_AGO, NOW, make_request

EXTENSIONS = ("101", "102", "103", "104")
QUEUES = ("sales", "support")
NUMBERS = ("+989121234567", "+989121234568", "+982188881234", "104")
# The whole run tries as many examples as are named below. The fast one tries a tenth of them: it is for those who wait.
SHARE = 10 if os.environ.get("FEWER_EXAMPLES") else 1
# The same examples at every run: a red test stays red until somebody mends it.
REPEATABLE = settings(database=None, derandomize=True, deadline=None, phases=[Phase.generate, Phase.shrink])

seconds = st.sampled_from([0, 1, 4, 5, 10, 30, 60, 300]).map(lambda value: timedelta(seconds=value))
extensions = st.sampled_from(EXTENSIONS)
rules_of_a_module = st.builds(
    Rules,
    automatic=st.sampled_from([True, True, True, False]),
    min_wait=seconds,
    rest=seconds,
    retries=st.integers(0, 3),
    retry_pause=seconds,
    agent_pause=seconds,
    expire_after=st.sampled_from([None, None, timedelta(minutes=10)]),
)
members = st.builds(
    Member,
    extension=extensions,
    paused=st.sampled_from([False, False, False, True]),
    penalty=st.integers(0, 2),
)


@dataclass(frozen=True)
class Target:
    """What a module calls for: a queue by its name, an extension, or ("") any of the extensions."""

    queue: bool
    name: str
    extensions: tuple[str, ...]


targets = st.one_of(
    st.sampled_from(QUEUES).map(lambda name: Target(True, name, ())),
    extensions.map(lambda name: Target(False, name, (name,))),
    st.lists(extensions, min_size=1, unique=True).map(lambda names: Target(False, "", tuple(names))),
)


@dataclass
class Flight:
    """An attempt as the exchange sees it: it flies until its end is known, whatever becomes of the request."""

    request: int
    agent: str
    number: str
    outcome: Outcome | None = None

    @property
    def flying(self) -> bool:
        return self.outcome is None


class Office(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.modules: list[tuple[Target, Rules]] = []
        self.lines: dict[str, Line] = {}
        self.queues: dict[str, Queue] = {}
        self.requests: dict[int, Request] = {}
        self.flights: dict[str, Flight] = {}
        self.agent_pauses: dict[str, datetime] = {}
        self.first_free: dict[int, datetime] = {}  # observed by the office itself
        self.counted: dict[int, dict[Side, int]] = {}
        self.heartbeat = NOW
        self.alive = self.connected = True
        self.all_paused = False

    @initialize(
        modules=st.lists(st.tuples(targets, rules_of_a_module), min_size=1, max_size=3),
        queues=st.fixed_dictionaries(
            {
                name: st.lists(members, min_size=1, max_size=3, unique_by=lambda member: member.extension)
                for name in QUEUES
            }
        ),
    )
    def open_the_office(self, modules: list[tuple[Target, Rules]], queues: dict[str, list[Member]]) -> None:
        self.modules = modules
        self.queues = {name: Queue(tuple(found)) for name, found in queues.items()}
        # One phone is not known to the exchange until it changes for the first time.
        self.lines = {extension: Line(extension, LineState.FREE, LONG_AGO) for extension in EXTENSIONS[:-1]}

    # What happens

    @rule(module=st.integers(0, 2), number=st.sampled_from(NUMBERS), ago=seconds, priority=st.sampled_from([0, 0, 1]))
    def a_caller_asks(self, module: int, number: str, ago: timedelta, priority: int) -> None:
        target, rules = self.modules[module % len(self.modules)]
        for known in self.requests.values():
            same = (known.queue, known.target, known.extensions) == (target.queue, target.name, target.extensions)
            if same and known.rules == rules and known.number == number and known.status in ACTIVE:
                self._happen(known.id, Registered())
                break
        else:
            request = Request(
                id=len(self.requests) + 1,
                number=number,
                registered_at=self.now,
                first_called_at=self.now - ago,
                queue=target.queue,
                target=target.name,
                extensions=target.extensions,
                priority=priority,
                rules=rules,
            )
            self.requests[request.id] = request
            self.counted[request.id] = dict.fromkeys(Side, 0)
            self._observe_free(request)
        self._look()

    @rule(extension=extensions, state=st.sampled_from([LineState.FREE, LineState.FREE, *LineState]))
    def a_line_changes(self, extension: str, state: LineState) -> None:
        known = self.lines.get(extension)
        if known is None or known.state is not state:
            self.lines[extension] = Line(extension, state, self.now)
        for request in self.requests.values():
            self._observe_free(request)
        self._look()

    @rule(
        name=st.sampled_from(QUEUES),
        changed=st.lists(members, max_size=3, unique_by=lambda member: member.extension),
        live_callers=st.sampled_from([0, 0, 1, 2]),
        wrapup=seconds,
    )
    def a_queue_changes(self, name: str, changed: list[Member], live_callers: int, wrapup: timedelta) -> None:
        until = self.now + wrapup if wrapup else None
        self.queues[name] = Queue(tuple(replace(member, wrapup_until=until) for member in changed), live_callers)
        self._look()

    @rule(delta=seconds)
    def time_passes(self, delta: timedelta) -> None:
        self.now += delta
        if self.alive:
            self.heartbeat = self.now
        for number in self.requests:
            self._happen(number, TimePassed())
        self._look()

    @rule(alive=st.sampled_from([True, True, False]), connected=st.sampled_from([True, True, False]))
    def the_service_changes(self, alive: bool, connected: bool) -> None:
        self.alive, self.connected = alive, connected
        if alive:
            self.heartbeat = self.now
        self._look()

    @rule(all_paused=st.sampled_from([False, False, True]))
    def all_calls_are_paused_or_not(self, all_paused: bool) -> None:
        self.all_paused = all_paused
        self._look()

    # News of attempts: of any attempt that ever was, as often and as late as it pleases

    @precondition(lambda self: self.flights)
    @rule(which=st.integers(0), step=st.sampled_from(Step))
    def an_attempt_progresses(self, which: int, step: Step) -> None:
        attempt = self._attempt(which)
        flight = self.flights[attempt]
        before = self.requests[flight.request]
        decision = self._happen(flight.request, Progressed(attempt, step))
        if not flight.flying or before.attempt != attempt:
            assert not decision.changed, "late progress changed something"
        self._look()

    @precondition(lambda self: self.flights)
    @rule(which=st.integers(0), outcome=st.sampled_from(Outcome), again=st.booleans())
    def an_attempt_ends(self, which: int, outcome: Outcome, again: bool) -> None:
        attempt = self._attempt(which)
        self._end(attempt, outcome)
        if again:
            self._end(attempt, outcome)
        self._look()

    @precondition(lambda self: any(flight.flying for flight in self.flights.values()))
    @rule(which=st.integers(0), outcome=st.sampled_from(Outcome))
    def an_attempt_under_way_ends(self, which: int, outcome: Outcome) -> None:
        flying = [attempt for attempt, flight in self.flights.items() if flight.flying]
        self._end(flying[which % len(flying)], outcome)
        self._look()

    # What people wish

    @precondition(lambda self: self.requests)
    @rule(which=st.integers(0), agent=st.one_of(st.none(), extensions))
    def somebody_calls_now(self, which: int, agent: str | None) -> None:
        self._wish(which, CalledNow(agent))

    @precondition(lambda self: self.requests)
    @rule(which=st.integers(0), delta=seconds)
    def somebody_postpones(self, which: int, delta: timedelta) -> None:
        self._wish(which, Postponed(self.now + delta))

    @precondition(lambda self: self.requests)
    @rule(which=st.integers(0), event=st.sampled_from([Cancelled(), MarkedDone(), Reached()]))
    def somebody_closes(self, which: int, event: Event) -> None:
        self._wish(which, event)

    @precondition(lambda self: self.requests)
    @rule(which=st.integers(0), queue=st.booleans(), whom=st.integers(0, 3))
    def somebody_reassigns(self, which: int, queue: bool, whom: int) -> None:
        number = list(self.requests)[which % len(self.requests)]
        names = QUEUES if queue else EXTENSIONS
        if self._happen(number, Reassigned(queue, names[whom % len(names)])).changed:
            self._count_anew(self.requests[number])
        self._look()

    @precondition(lambda self: self.requests)
    @rule(which=st.integers(0), priority=st.integers(-1, 1))
    def somebody_prefers(self, which: int, priority: int) -> None:
        self._wish(which, Prioritised(priority))

    # Nothing stays for ever

    @precondition(lambda self: self.requests)
    @rule()
    def everything_comes_to_an_end(self) -> None:
        """On a calm day, when every phone is free and nobody answers, each request ends after its last attempt."""
        self.alive = self.connected = True
        self.all_paused, self.heartbeat = False, self.now
        for extension in EXTENSIONS:
            known = self.lines.get(extension)
            if known is None or known.state is not LineState.FREE:
                self.lines[extension] = Line(extension, LineState.FREE, self.now)
        self.queues = {name: Queue((Member("101"), Member("102"))) for name in QUEUES}
        for request in self.requests.values():
            self._observe_free(request)
        rounds = sum(request.rules.retries + 1 for request in self.requests.values()) + 2
        for _ in range(10 * rounds):
            for number, request in self.requests.items():
                if request.status is Status.UNCERTAIN or not request.rules.automatic:
                    self._happen(number, CalledNow())
            plan = self._look()
            flying = [attempt for attempt, flight in self.flights.items() if flight.flying]
            for attempt in flying:
                self._end(attempt, Outcome.CUSTOMER_NO_ANSWER)
            if all(request.status in FINAL for request in self.requests.values()):
                return
            if not flying:
                assert plan.wake_at is not None, "a request waits, and nothing would ever wake the dispatcher"
                self.now = self.heartbeat = max(self.now, plan.wake_at)
        raise AssertionError(f"these never end: {[r for r in self.requests.values() if r.status in ACTIVE]}")

    # The office's own machinery

    def _attempt(self, which: int) -> str:
        return list(self.flights)[which % len(self.flights)]

    def _wish(self, which: int, event: Event) -> None:
        number = list(self.requests)[which % len(self.requests)]
        self._happen(number, event)
        self._look()

    def _happen(self, number: int, event: Event) -> Decision:
        before = self.requests[number]
        decision = transition(before, event, self.now)
        assert decision.changed or decision.request == before
        if before.status in FINAL:
            assert not decision.changed, "what has ended stays ended"
        if decision.hang_up is not None:
            assert self.flights[decision.hang_up].flying, "only a call that is under way is hung up"
        self.requests[number] = decision.request
        return decision

    def _end(self, attempt: str, outcome: Outcome) -> None:
        flight = self.flights[attempt]
        known = flight.outcome
        before = self.requests[flight.request]
        decision = self._happen(flight.request, Ended(attempt, outcome))
        if known is not None and known is not Outcome.UNCLEAR:
            assert not decision.changed, "an attempt ended twice"
        if before.attempt != attempt:
            assert not decision.changed, "the end of another attempt changed something"
        if known in (None, Outcome.UNCLEAR):
            flight.outcome = (decision.request.last_outcome if decision.changed else None) or outcome
        if decision.changed:
            assert flight.outcome is not None
            self.counted[flight.request][flight.outcome.side] += 1
            if decision.agent_pause_until is not None:
                self.agent_pauses[flight.agent] = decision.agent_pause_until

    def _observe_free(self, request: Request) -> None:
        lines = [self.lines.get(extension) for extension in request.wanted]
        if any(line is not None and line.state is LineState.FREE for line in lines):
            self.first_free.setdefault(request.id, self.now)

    def _count_anew(self, request: Request) -> None:
        """Whoever serves it now may have been free for long: since then it waited for nobody else."""
        self.first_free.pop(request.id, None)
        for line in filter(None, map(self.lines.get, request.wanted)):
            if line.state is LineState.FREE:
                self.first_free[request.id] = max(line.since, request.registered_at)

    def _facts(self) -> Facts:
        flying = [flight for flight in self.flights.values() if flight.flying]
        return Facts(
            lines=dict(self.lines),
            queues=dict(self.queues),
            connected=self.connected,
            heartbeat=self.heartbeat,
            all_paused=self.all_paused,
            numbers_in_flight=frozenset(flight.number for flight in flying),
            agents_in_flight=frozenset(flight.agent for flight in flying),
            agent_pauses=dict(self.agent_pauses),
        )

    def _look(self) -> Plan:
        """Look as the dispatcher does: note who is free, plan, check the plan, claim."""
        facts = self._facts()
        if not (self.alive and self.connected):  # nobody looks, and the page still has an answer for everybody
            self._check_explanations(decide(list(self.requests.values()), facts, self.now), facts)
            return Plan((), {}, None)
        for number, request in self.requests.items():
            if request.status is Status.WAITING and not request.queue and request.free_at is None:
                self.requests[number] = replace(request, free_at=freed_at(request, facts))
        plan = decide(list(self.requests.values()), facts, self.now)
        self._check_explanations(plan, facts)
        self._check_order(plan)
        for dial in plan.dials:
            self._check_dial(dial.request, dial.agent)
            attempt = f"attempt-{len(self.flights) + 1}"
            assert self._happen(dial.request.id, Claimed(attempt)).changed
            self.flights[attempt] = Flight(dial.request.id, dial.agent, dial.request.number)
        self._check_nobody_forgotten()
        self._check_wake(plan)
        return plan

    def _may_ring(self, request: Request, agent: str, numbers: Iterable[str], agents: Iterable[str]) -> bool:
        """The promises about who may be rung, in the plainest words there are."""
        line, rules = self.lines.get(agent), request.rules
        if request.number in numbers or agent in agents:
            return False
        if line is None or line.state is not LineState.FREE or self.now - line.since < rules.rest:
            return False
        if request.call_now and request.call_now_agent:
            return agent == request.call_now_agent
        if request.queue:
            found = [member for member in self.queues[request.target].members if member.extension == agent]
            if not found or found[0].paused or (found[0].wrapup_until or self.now) > self.now:
                return False
        elif agent not in (request.extensions if not request.target else (request.target,)):
            return False
        if request.call_now:
            return True
        held_until = [request.postponed_until, request.not_before, self.agent_pauses.get(agent)]
        if any(until is not None and until > self.now for until in held_until):
            return False
        counted_from = request.registered_at if request.queue else request.free_at
        waited = counted_from is not None and self.now - counted_from >= rules.min_wait
        live = self.queues[request.target].live_callers if request.queue else 0
        return rules.automatic and not self.all_paused and waited and not live

    def _flying(self) -> tuple[set[str], set[str]]:
        flying = [flight for flight in self.flights.values() if flight.flying]
        return {flight.number for flight in flying}, {flight.agent for flight in flying}

    def _check_dial(self, request: Request, agent: str) -> None:
        assert self._may_ring(request, agent, *self._flying()), f"{agent} must not be rung for {request}"
        if not request.call_now and not request.queue:
            # The count that the office kept by itself: never earlier than that.
            assert self.now >= self.first_free[request.id] + request.rules.min_wait

    def _check_explanations(self, plan: Plan, facts: Facts) -> None:
        dials = {dial.request.id: dial for dial in plan.dials}
        taken = replace(
            facts,
            numbers_in_flight=facts.numbers_in_flight | {dial.request.number for dial in plan.dials},
            agents_in_flight=facts.agents_in_flight | {dial.agent for dial in plan.dials},
        )
        for request in self.requests.values():
            alone = decide([request], facts, self.now)
            reason = explain(request, facts, self.now)
            if request.status is Status.WAITING:
                assert bool(alone.dials) is (reason is None)
                assert alone.reasons.get(request.id) == reason
                assert (request.id in dials) is (request.id not in plan.reasons)
                if request.id not in dials:
                    # Perhaps it only waits behind those of this very moment; once they ring, the page says so.
                    assert reason is None or plan.reasons[request.id] is not None
                    assert explain(request, taken, self.now) is not None
                if not plan.dials:
                    assert plan.reasons[request.id] == reason
            else:
                assert request.id not in dials and request.id not in plan.reasons
                assert (reason is not None and reason.code is ReasonCode.UNCERTAIN) is (
                    request.status is Status.UNCERTAIN
                )

    def _check_order(self, plan: Plan) -> None:
        """Nobody is overtaken by a later request on an agent who might have served the earlier one."""
        dials = {dial.request.id: dial.agent for dial in plan.dials}
        numbers, agents = self._flying()
        overtaken: list[Request] = []
        waiting = [request for request in self.requests.values() if request.status is Status.WAITING]
        for request in sorted(waiting, key=lambda r: (not r.call_now, -r.priority, r.first_called_at, r.id)):
            agent = dials.get(request.id)
            if agent is None:
                overtaken.append(request)
                continue
            for earlier in overtaken:
                assert not self._may_ring(earlier, agent, numbers, agents)
            numbers.add(request.number)
            agents.add(agent)

    def _check_nobody_forgotten(self) -> None:
        """A request that is due with a free agent has been dialled."""
        numbers, agents = self._flying()
        for request in self.requests.values():
            if request.status is Status.WAITING:
                for agent in EXTENSIONS:
                    assert not self._may_ring(request, agent, numbers, agents), f"{agent} is free for {request}"

    def _check_wake(self, plan: Plan) -> None:
        """While nothing else happens there is nothing to dial before the moment the dispatcher asked to be woken."""
        waiting = list(self.requests.values())
        if plan.wake_at is None:
            later = self.now + timedelta(days=365)
        else:
            assert plan.wake_at > self.now, "the dispatcher would look in a circle"
            later = plan.wake_at - timedelta(microseconds=1)
        asleep = replace(self._facts(), heartbeat=later)
        assert not decide(waiting, asleep, later).dials, "the dispatcher would sleep through this"

    # What always holds

    @invariant()
    def one_attempt_per_request_agent_and_number(self) -> None:
        flying = [flight for flight in self.flights.values() if flight.flying]
        for values in (
            [flight.request for flight in flying],
            [flight.agent for flight in flying],
            [flight.number for flight in flying],
        ):
            assert len(values) == len(set(values))

    @invariant()
    def a_request_in_flight_has_its_attempt_and_no_other_has(self) -> None:
        for request in self.requests.values():
            if request.status in IN_FLIGHT:
                assert request.attempt is not None and request.step is not None
                assert self.flights[request.attempt].flying
            elif request.status is Status.UNCERTAIN:
                assert request.attempt is not None and not self.flights[request.attempt].flying
            else:
                assert request.attempt is None and request.step is None

    @invariant()
    def a_call_under_way_belongs_to_its_request_until_that_ends(self) -> None:
        for attempt, flight in self.flights.items():
            request = self.requests[flight.request]
            if flight.flying and request.status not in FINAL:
                assert request.status in IN_FLIGHT and request.attempt == attempt

    @invariant()
    def each_side_is_counted_by_its_own_outcomes(self) -> None:
        for request in self.requests.values():
            counted = self.counted[request.id]
            assert request.customer_attempts == counted[Side.CUSTOMER] <= request.rules.retries + 1
            assert request.agent_misses == counted[Side.AGENT]
            assert (request.status is Status.FAILED) is (counted[Side.CUSTOMER] == request.rules.retries + 1)


TestOffice = Office.TestCase
TestOffice.settings = settings(REPEATABLE, max_examples=700 // SHARE, stateful_step_count=50)


# Transitions of requests that no order of events leads to

moments = st.one_of(st.none(), seconds.map(lambda delta: NOW + delta))
attempts = st.sampled_from(["a1", "a2"])
any_request = st.builds(
    make_request,
    status=st.sampled_from(Status),
    attempt=st.one_of(st.none(), attempts),
    step=st.one_of(st.none(), st.sampled_from(Step)),
    not_before=moments,
    postponed_until=moments,
    free_at=moments,
    call_now=st.booleans(),
    call_now_agent=st.one_of(st.none(), extensions),
    customer_attempts=st.integers(0, 4),
    rules=rules_of_a_module,
)
any_event = st.one_of(
    st.builds(Claimed, attempts),
    st.builds(Progressed, attempts, st.sampled_from(Step)),
    st.builds(Ended, attempts, st.sampled_from(Outcome)),
    st.builds(CalledNow, st.one_of(st.none(), extensions)),
    st.builds(Postponed, seconds.map(lambda delta: NOW + delta)),
    st.sampled_from([Reached(), Registered(), Cancelled(), MarkedDone(), TimePassed()]),
)


@settings(REPEATABLE, max_examples=1000 // SHARE)
@given(any_request, any_event, seconds)
def test_a_transition_answers_every_event_in_every_state(request: Request, event: Event, age: timedelta) -> None:
    decision = transition(request, event, NOW + age)
    assert isinstance(decision, Decision)
    if not decision.changed:
        assert decision == Decision(request, changed=False)
    if request.status in FINAL:
        assert not decision.changed
    if isinstance(event, Progressed | Ended) and event.attempt != request.attempt:
        assert not decision.changed
    if isinstance(event, Claimed):
        assert decision.changed is (request.status is Status.WAITING)
    if decision.hang_up is not None:
        assert decision.hang_up == request.attempt and decision.request.status in FINAL
    assert decision.request.id == request.id and decision.request.rules == request.rules


@settings(REPEATABLE, max_examples=1000 // SHARE)
@given(any_request, any_event, seconds)
def test_the_second_of_two_equal_events_changes_nothing(request: Request, event: Event, age: timedelta) -> None:
    once = transition(request, event, NOW + age).request
    assert not transition(once, event, NOW + age).changed


# Plans

offices = st.lists(
    st.builds(
        make_request,
        number=st.sampled_from(NUMBERS),
        target=st.sampled_from(["", "101", "102"]),
        extensions=st.just(EXTENSIONS),
        priority=st.integers(-1, 1),
        call_now=st.booleans(),
        first_called_at=moments,
        free_at=moments,
        rules=rules_of_a_module,
    ),
    max_size=6,
)


@settings(REPEATABLE, max_examples=300 // SHARE)
@given(offices, st.randoms(use_true_random=False), st.lists(extensions, unique=True))
def test_a_plan_does_not_depend_on_the_order_in_which_requests_are_read(
    requests: list[Request], random: object, free: list[str]
) -> None:
    numbered = [replace(request, id=number) for number, request in enumerate(requests, 1)]
    facts = Facts(lines={e: Line(e, LineState.FREE, LONG_AGO) for e in free}, heartbeat=NOW)
    shuffled = list(numbered)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert decide(shuffled, facts, NOW) == decide(numbered, facts, NOW)


# Numbers

as_people_write = st.text(alphabet="0123456789۰۱۲۳۹٠١٢٩+-(). #*,;&/w\nآ", max_size=24)
likely = st.tuples(st.sampled_from(["", "0", "00", "+", "+98", "0098", "09", "021"]), st.integers(0, 10**11)).map(
    lambda parts: parts[0] + str(parts[1])
)
number_rules = st.builds(
    NumberRules,
    region=st.sampled_from(["IR", "GB", "US", "DE"]),
    area_code=st.sampled_from(["", "021", "21"]),
    extensions=st.frozensets(st.sampled_from(["101", "102", "88881234"])),
)


@settings(REPEATABLE, max_examples=1500 // SHARE)
@given(
    st.one_of(as_people_write, likely, st.sampled_from(["101", "88881234", "110", "911"])),
    number_rules,
    st.booleans(),
    st.sampled_from(OutboundFormat),
)
def test_a_number_is_refused_or_dialled_as_digits_and_has_one_form(
    raw: str, rules: NumberRules, from_inside: bool, form: OutboundFormat
) -> None:
    try:
        number = normalize(raw, rules, from_inside=from_inside)
    except NumberRefused:
        return
    assert re.fullmatch(r"[0-9]{2,20}", dialled(number, form))
    assert normalize(number, rules, from_inside=from_inside) == number
    assert from_inside or number not in rules.extensions
