"""Property tests: the rules hold after any events in any order.

A simulated office gets random events: callers register, lines change, attempts progress and end, reports come late or
twice, people use the panel. After each event the office dispatches as the worker does and checks the plan. It has its
own, simpler rules for who may be rung, so the policy is not checked against itself.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.domain.agent_order import AgentOrder
from app.domain.backoff import LONGEST_PAUSE
from app.domain.hours import Hours, opening, parse_spans
from app.domain.lifecycle import (
    ACTIVE,
    FINAL,
    IN_FLIGHT,
    RECOVERY_PAUSE,
    REOPENABLE,
    CalledNow,
    CallNowWithdrawn,
    Cancelled,
    Claimed,
    Decision,
    Ended,
    Event,
    Failures,
    Fallback,
    FellBack,
    MarkedDone,
    Outcome,
    Postponed,
    Prioritised,
    Progressed,
    Reached,
    Reassigned,
    Registered,
    Reopened,
    Request,
    Rules,
    Side,
    Status,
    Step,
    TimePassed,
    transition,
)
from app.domain.number_kinds import NumberKind
from app.domain.number_policy import NumberPolicy, PrefixRule, Source, judge, judge_number
from app.domain.numbers import NumberPlan, OutboundFormat, dialled
from app.domain.place_in_line import Place, PlaceRule, WaitingCallers
from app.domain.policy import (
    AgentPause,
    Facts,
    Line,
    LineState,
    Member,
    Plan,
    Queue,
    ReasonCode,
    SortedLane,
    decide,
    decide_lanes,
    explain,
    freed_at,
    in_order,
)
from tests.support.factories import LONG_AGO, NOW, make_request

EXTENSIONS = ("101", "102", "103", "104")
QUEUES = ("sales", "support")
NUMBERS = ("+989121234567", "+989121234568", "+982188881234", "104")
SPREAD = timedelta(minutes=1)
# The fast run tries a small part of the examples.
DIVISOR = 24 if os.environ.get("FEWER_EXAMPLES") else 1
# Each run tries the same examples, so a failure can be reproduced.
REPEATABLE = settings(database=None, derandomize=True, deadline=None, phases=[Phase.generate, Phase.shrink])

seconds = st.sampled_from([0, 1, 4, 5, 10, 30, 60, 300]).map(lambda value: timedelta(seconds=value))
extensions = st.sampled_from(EXTENSIONS)
module_rules = st.builds(
    Rules,
    automatic=st.sampled_from([True, True, True, False]),
    min_wait=seconds,
    rest=seconds,
    retries=st.integers(0, 3),
    retry_pauses=st.lists(seconds, min_size=1, max_size=3).map(tuple),
    busy_pause=st.one_of(st.none(), seconds),
    agent_pause=seconds,
    preferred_for=st.sampled_from([timedelta(0), timedelta(minutes=1), timedelta(minutes=10)]),
    agent_order=st.sampled_from(AgentOrder),
    fallback=st.one_of(
        st.none(),
        st.sampled_from([(True, QUEUES[0]), (True, QUEUES[1]), (False, "101"), (False, "104")]).map(
            lambda target: Fallback(*target, timedelta(minutes=1))
        ),
    ),
    expire_after=st.sampled_from([None, None, timedelta(minutes=10)]),
    place=st.builds(PlaceRule, st.sampled_from(Place), lead=st.one_of(st.none(), seconds), share=st.integers(1, 3)),
)
members = st.builds(
    Member,
    extension=extensions,
    paused=st.sampled_from([False, False, False, True]),
    penalty=st.integers(0, 2),
)


@dataclass(frozen=True)
class Target:
    """The target of a module's requests: a queue, an extension, or any of `extensions` ("")."""

    queue: bool
    name: str
    extensions: tuple[str, ...]


targets = st.one_of(
    st.sampled_from(QUEUES).map(lambda name: Target(True, name, ())),
    extensions.map(lambda name: Target(False, name, (name,))),
    st.lists(extensions, min_size=1, unique=True).map(lambda names: Target(False, "", tuple(names))),
)


@dataclass
class Attempt:
    """An attempt on the PBX. It is in flight until its outcome is known, even if its request has ended."""

    request: int
    agent: str
    number: str
    outcome: Outcome | None = None

    @property
    def in_flight(self) -> bool:
        return self.outcome is None


def line(extension: str, state: LineState, since: datetime) -> Line:
    return Line(extension, state, since, f"PJSIP/{extension}", "hints")


class Office(RuleBasedStateMachine):
    """A simulated office."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.modules: list[tuple[Target, Rules]] = []
        self.lines: dict[str, Line] = {}
        self.queues: dict[str, Queue] = {}
        self.requests: dict[int, Request] = {}
        self.attempts: dict[str, Attempt] = {}
        self.agent_pauses: dict[str, datetime] = {}
        self.request_pauses: dict[tuple[int, str], AgentPause] = {}
        # how often the agent has failed in a row for the request, with a ring and without one
        self.failures: dict[tuple[int, str], dict[bool, int]] = {}
        self.on_line: set[str] = set()
        self.first_free: dict[int, datetime] = {}  # by request, as the office observed it
        self.outcome_counts: dict[int, dict[Side, int]] = {}
        self.again: set[int] = set()  # registered again since the attempt in flight was claimed, and not answered
        self.heartbeat = NOW
        self.worker_runs = self.connected = True
        self.all_paused = False
        self.hours = Hours(UTC)  # of the first module; the others are always open

    @initialize(
        modules=st.lists(st.tuples(targets, module_rules), min_size=1, max_size=3),
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
        # The PBX reports the last line only after its first change.
        self.lines = {extension: line(extension, LineState.FREE, LONG_AGO) for extension in EXTENSIONS[:-1]}

    # Events of the office

    @rule(
        module=st.integers(0, 2),
        number=st.sampled_from(NUMBERS),
        ago=seconds,
        priority=st.sampled_from([0, 0, 1]),
        preferred=st.sampled_from(["", "", *EXTENSIONS]),
    )
    def caller_registers(self, module: int, number: str, ago: timedelta, priority: int, preferred: str) -> None:
        target, rules = self.modules[module % len(self.modules)]
        for known in self.requests.values():
            same = (known.queue, known.target, known.extensions) == (target.queue, target.name, target.extensions)
            if same and known.rules == rules and known.number == number and known.status in ACTIVE:
                self._happen(known.id, Registered())
                self._forget_failures(known.id)
                if known.status in IN_FLIGHT:
                    self.again.add(known.id)
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
                module=module % len(self.modules),
                preferred=preferred,
                rules=rules,
            )
            self.requests[request.id] = request
            self.outcome_counts[request.id] = dict.fromkeys(Side, 0)
            self._observe_free(request)
        self._dispatch()

    @rule(extension=extensions, state=st.sampled_from([LineState.FREE, LineState.FREE, *LineState]))
    def line_changes(self, extension: str, state: LineState) -> None:
        known = self.lines.get(extension)
        if known is None or known.state is not state:
            self.lines[extension] = line(extension, state, self.now)
        for request in self.requests.values():
            self._observe_free(request)
        self._dispatch()

    @rule(
        name=st.sampled_from(QUEUES),
        changed=st.lists(members, max_size=3, unique_by=lambda member: member.extension),
        waited=st.lists(seconds, max_size=2),
        answered=st.integers(0, 3),
        wrapup=seconds,
    )
    def queue_changes(
        self, name: str, changed: list[Member], waited: list[timedelta], answered: int, wrapup: timedelta
    ) -> None:
        until = self.now + wrapup if wrapup else None
        callers = WaitingCallers(len(waited), tuple(self.now - each for each in waited), answered)
        self.queues[name] = Queue(tuple(replace(member, wrapup_until=until) for member in changed), callers)
        self._dispatch()

    @precondition(lambda self: self.requests)
    @rule(which=st.integers(0))
    def a_request_falls_back(self, which: int) -> None:
        self._act(which, FellBack())

    @rule(number=st.sampled_from(NUMBERS))
    def a_customer_calls_in_or_hangs_up(self, number: str) -> None:
        self.on_line ^= {number}
        self._dispatch()

    @rule(delta=seconds)
    def time_passes(self, delta: timedelta) -> None:
        self.now += delta
        if self.worker_runs:
            self.heartbeat = self.now
        for number in self.requests:
            self._happen(number, TimePassed())
        self._dispatch()

    @rule(worker_runs=st.sampled_from([True, True, False]), connected=st.sampled_from([True, True, False]))
    def worker_or_connection_changes(self, worker_runs: bool, connected: bool) -> None:
        self.worker_runs, self.connected = worker_runs, connected
        if worker_runs:
            self.heartbeat = self.now
        self._dispatch()

    @rule(all_paused=st.sampled_from([False, False, True]))
    def pause_changes(self, all_paused: bool) -> None:
        self.all_paused = all_paused
        self._dispatch()

    @rule(day=st.sampled_from(["00:00-24:00", "", "07:00-08:02, 08:04-08:20", "08:01-08:03, 08:10-12:00"]))
    def hours_change(self, day: str) -> None:
        self.hours = Hours(UTC, (parse_spans(day),) * 7)
        self._dispatch()

    # Reports on attempts, also on ended ones: they may be late or repeated

    @precondition(lambda self: self.attempts)
    @rule(which=st.integers(0), step=st.sampled_from(Step))
    def attempt_progresses(self, which: int, step: Step) -> None:
        name = self._attempt_name(which)
        attempt = self.attempts[name]
        before = self.requests[attempt.request]
        decision = self._happen(attempt.request, Progressed(name, step))
        if not attempt.in_flight or before.attempt != name:
            assert not decision.changed, "late progress changed something"
        if decision.changed and step is Step.CONNECTED:
            self.again.discard(attempt.request)
        self._dispatch()

    @precondition(lambda self: self.attempts)
    @rule(which=st.integers(0), outcome=st.sampled_from(Outcome), again=st.booleans())
    def attempt_ends(self, which: int, outcome: Outcome, again: bool) -> None:
        name = self._attempt_name(which)
        self._end(name, outcome)
        if again:
            self._end(name, outcome)
        self._dispatch()

    @precondition(lambda self: any(attempt.in_flight for attempt in self.attempts.values()))
    @rule(which=st.integers(0), outcome=st.sampled_from(Outcome))
    def attempt_in_flight_ends(self, which: int, outcome: Outcome) -> None:
        in_flight = self._names_in_flight()
        self._end(in_flight[which % len(in_flight)], outcome)
        self._dispatch()

    # Actions of people

    @precondition(lambda self: self.requests)
    @rule(which=st.integers(0), agent=st.one_of(st.none(), extensions))
    def person_calls_now(self, which: int, agent: str | None) -> None:
        self._act(which, CalledNow(agent))

    @precondition(lambda self: self.requests)
    @rule(which=st.integers(0), delta=seconds)
    def person_postpones(self, which: int, delta: timedelta) -> None:
        self._act(which, Postponed(self.now + delta))

    @precondition(lambda self: self.requests)
    @rule(which=st.integers(0), event=st.sampled_from([Cancelled(), MarkedDone(), Reached()]))
    def person_closes(self, which: int, event: Event) -> None:
        self._act(which, event)

    @precondition(lambda self: any(request.status in REOPENABLE for request in self.requests.values()))
    @rule(which=st.integers(0))
    def person_reopens(self, which: int) -> None:
        ended = [number for number, request in self.requests.items() if request.status in REOPENABLE]
        number = ended[which % len(ended)]
        assert self._happen(number, Reopened()).changed
        self.outcome_counts[number] = dict.fromkeys(Side, 0)
        self._forget_failures(number)
        self._dispatch()

    @precondition(lambda self: self.requests)
    @rule(which=st.integers(0), queue=st.booleans(), index=st.integers(0, 3))
    def person_reassigns(self, which: int, queue: bool, index: int) -> None:
        number = list(self.requests)[which % len(self.requests)]
        names = QUEUES if queue else EXTENSIONS
        if self._happen(number, Reassigned(queue, names[index % len(names)])).changed:
            self._observe_new_target(self.requests[number])
        self._dispatch()

    @precondition(lambda self: self.requests)
    @rule(which=st.integers(0), priority=st.integers(-1, 1))
    def person_changes_the_priority(self, which: int, priority: int) -> None:
        self._act(which, Prioritised(priority))

    # Every request ends

    @precondition(lambda self: self.requests)
    @rule(misses=st.sampled_from([0, 0, 3, 20]), missed=st.sampled_from([Outcome.AGENT_NO_ANSWER, Outcome.NOT_STARTED]))
    def every_request_ends(self, misses: int, missed: Outcome) -> None:
        """If all lines are free and no customer calls in or answers, each request ends after its last attempt.

        Before that the agents fail `misses` times. However often they did, they are rung again.
        """
        self.worker_runs = self.connected = True
        self.all_paused, self.heartbeat, self.on_line, self.hours = False, self.now, set(), Hours(UTC)
        for extension in EXTENSIONS:
            known = self.lines.get(extension)
            if known is None or known.state is not LineState.FREE:
                self.lines[extension] = line(extension, LineState.FREE, self.now)
        self.queues = {name: Queue((Member("101"), Member("102"))) for name in QUEUES}
        for request in self.requests.values():
            self._observe_free(request)
        rounds = sum(request.rules.retries + 1 for request in self.requests.values()) + 2
        for _ in range(10 * rounds + 3 * misses):
            for number, request in self.requests.items():
                if request.status is Status.UNCERTAIN or not request.rules.automatic:
                    self._happen(number, CalledNow())
                reason = explain(self.requests[number], self._facts(), self.now)
                if reason is not None and reason.code is ReasonCode.AGENT_IS_CUSTOMER:
                    self._happen(number, Cancelled())  # only a person can end it
            plan = self._dispatch()
            in_flight = self._names_in_flight()
            for name in in_flight:
                self._end(name, Outcome.CUSTOMER_NO_ANSWER if misses <= 0 else missed)
                misses -= 1
            if all(request.status in FINAL for request in self.requests.values()):
                return
            if not in_flight:
                assert plan.wake_at is not None, "a request waits, but nothing would wake the dispatcher"
                assert plan.wake_at <= self.now + LONGEST_PAUSE, "a pause, or the wait for somebody, has no limit"
                self.now = self.heartbeat = max(self.now, plan.wake_at)
        raise AssertionError(f"these never end: {[r for r in self.requests.values() if r.status in ACTIVE]}")

    # Helpers

    def _attempt_name(self, which: int) -> str:
        return list(self.attempts)[which % len(self.attempts)]

    def _in_flight(self) -> list[Attempt]:
        return [attempt for attempt in self.attempts.values() if attempt.in_flight]

    def _names_in_flight(self) -> list[str]:
        return [name for name, attempt in self.attempts.items() if attempt.in_flight]

    def _act(self, which: int, event: Event) -> None:
        number = list(self.requests)[which % len(self.requests)]
        self._happen(number, event)
        self._dispatch()

    def _happen(self, number: int, event: Event) -> Decision:
        before = self.requests[number]
        decision = transition(before, event, self.now)
        assert decision.changed or decision.request == before
        if before.status in FINAL and not isinstance(event, Reopened):
            assert not decision.changed, "a request that had ended changed"
        if decision.hang_up is not None:
            assert self.attempts[decision.hang_up].in_flight, "an attempt that had ended was hung up"
        self.requests[number] = decision.request
        return decision

    def _end(self, name: str, outcome: Outcome) -> None:
        attempt = self.attempts[name]
        known = attempt.outcome
        before = self.requests[attempt.request]
        pair = attempt.request, attempt.agent
        if before.agent_first and outcome is Outcome.AGENT_MISSED_CUSTOMER:
            outcome = Outcome.AGENT_NO_ANSWER  # the customer is not rung before the agent again
        failures = self.failures.get(pair, {}).get(outcome.rang, 0) + 1
        decision = self._happen(attempt.request, Ended(name, outcome, Failures(failures)))
        if known is not None and known is not Outcome.UNCLEAR:
            assert not decision.changed, "an attempt ended twice"
        if before.attempt != name:
            assert not decision.changed, "the end of another attempt changed something"
        says_no_more = known is Outcome.UNCLEAR and before.attempt == name and not decision.changed
        if known in (None, Outcome.UNCLEAR) and not says_no_more:
            attempt.outcome = (decision.request.last_outcome if decision.changed else None) or outcome
        if decision.changed:
            assert attempt.outcome is not None
            self.outcome_counts[attempt.request][attempt.outcome.side] += 1
            if attempt.outcome is Outcome.AGENT_MISSED_CUSTOMER:  # it counts against both
                self.outcome_counts[attempt.request][Side.CUSTOMER] += 1
            answered = before.status is not Status.CONNECTED and attempt.outcome is Outcome.CONNECTED
            if attempt.request in self.again and not answered:
                assert decision.request.status is Status.WAITING, "a registration during the attempt was lost"
                self.outcome_counts[attempt.request] = dict.fromkeys(Side, 0)
            self.again.discard(attempt.request)
            if decision.agent_pause_until is not None:
                self.agent_pauses[attempt.agent] = decision.agent_pause_until
            if decision.request_pause_until is None:
                self.failures.pop(pair, None)
            else:
                self._check_pause(before.rules, attempt.outcome, failures, decision.request_pause_until - self.now)
                self.failures.setdefault(pair, {})[attempt.outcome.rang] = failures
                self.request_pauses[pair] = AgentPause(self.now, decision.request_pause_until, attempt.outcome)

    def _check_pause(self, rules: Rules, outcome: Outcome, failures: int, pause: timedelta) -> None:
        """Check that an agent who failed for a request is left alone for longer each time, but never for too long."""
        first = max(RECOVERY_PAUSE, rules.agent_pause if outcome.side is Side.AGENT else RECOVERY_PAUSE)
        assert first <= pause <= max(first, LONGEST_PAUSE)
        assert pause == first * 2 ** (failures - 1) or pause == LONGEST_PAUSE

    def _forget_failures(self, request: int) -> None:
        self.failures = {pair: counts for pair, counts in self.failures.items() if pair[0] != request}

    def _observe_free(self, request: Request) -> None:
        lines = [self.lines.get(extension) for extension in request.wanted]
        if any(line is not None and line.state is LineState.FREE for line in lines):
            self.first_free.setdefault(request.id, self.now)

    def _observe_new_target(self, request: Request) -> None:
        """Observe the lines of a new target. They may have been free for some time already."""
        self.first_free.pop(request.id, None)
        for line in filter(None, map(self.lines.get, request.wanted)):
            if line.state is LineState.FREE:
                self.first_free[request.id] = max(line.since, request.registered_at)

    def _facts(self) -> Facts:
        numbers, agents = self._occupied()
        return Facts(
            lines=dict(self.lines),
            queues=dict(self.queues),
            connected=self.connected,
            heartbeat=self.heartbeat,
            all_paused=self.all_paused,
            numbers_in_flight=frozenset(numbers),
            numbers_on_line=frozenset(self.on_line),
            agents_in_flight=frozenset(agents),
            agent_pauses=dict(self.agent_pauses),
            request_pauses=dict(self.request_pauses),
            openings={0: opening(self.hours, self.now, SPREAD)},
        )

    def _is_held_by_hours(self, request: Request) -> bool:
        """Tell whether the office is closed, or has just opened and the request has waited for it."""
        if request.module != 0:
            return False
        if not self.hours.is_open(self.now):
            return True
        turn = opening(self.hours, self.now, SPREAD).turn_of(request.id, request.wanted_since)
        return turn is not None and turn > self.now

    def _dispatch(self) -> Plan:
        """Dispatch as the worker does: observe free lines, plan, check the plan, claim."""
        facts = self._facts()
        if not (self.worker_runs and self.connected):
            # The worker does nothing, but the page still explains each request.
            self._check_explanations(decide(list(self.requests.values()), facts, self.now), facts)
            return Plan((), {}, None)
        for number, request in self.requests.items():
            if request.status is Status.WAITING and not request.queue and request.free_at is None:
                self.requests[number] = replace(request, free_at=freed_at(request, facts))
        plan = decide(list(self.requests.values()), facts, self.now)
        self._check_explanations(plan, facts)
        self._check_order(plan)
        self._check_lanes(plan, facts)
        for dial in plan.dials:
            self._check_dial(dial.request, dial.agent)
            name = f"attempt-{len(self.attempts) + 1}"
            assert self._happen(dial.request.id, Claimed(name)).changed
            self.attempts[name] = Attempt(dial.request.id, dial.agent, dial.request.number)
        self._check_all_dialled()
        self._check_wake(plan)
        return plan

    def _check_lanes(self, plan: Plan, facts: Facts) -> None:
        """Check that requests in lanes, of which few are looked at, make the same calls."""
        lanes: dict[object, list[Request]] = {}
        for request in in_order(self.requests.values()):
            if request.status is Status.WAITING:
                lane = (request.queue, request.target, request.extensions, request.rules)
                lanes.setdefault(request.id if request.call_now else lane, []).append(request)
                if request.fallback is not None and not request.call_now:
                    lanes.setdefault((request.extensions, request.rules), []).append(request)
        assert decide_lanes([SortedLane(lane) for lane in lanes.values()], facts, self.now).dials == plan.dials

    def _may_ring(self, request: Request, agent: str, numbers: Iterable[str], agents: Iterable[str]) -> bool:
        """Tell whether the agent may be rung for the request, by the office's own rules."""
        line, rules = self.lines.get(agent), request.rules
        if request.number in numbers or request.number in self.on_line:
            return False
        if agent in agents or agent == request.number:
            return False
        if not request.number.startswith("+"):
            customer = self.lines.get(request.number)
            if customer is None or customer.state is LineState.OFFLINE:
                return False
        if line is None or line.state is not LineState.FREE or self.now - line.since < rules.rest:
            return False
        pause = self.request_pauses.get((request.id, agent))
        if pause is not None and pause.until > self.now:
            skipped = request.call_now and request.call_now_at is not None and pause.since < request.call_now_at
            if not skipped:
                return False
        if request.call_now and request.call_now_agent:
            return agent == request.call_now_agent
        memberships = [
            member for queue in self.queues.values() for member in queue.members if member.extension == agent
        ]
        targets = [(request.queue, request.target)]
        if request.fell_back and rules.fallback is not None:
            targets.append((rules.fallback.queue, rules.fallback.target))
        serving = [is_queue for is_queue, target in targets if self._serves(agent, is_queue, target, request)]
        if not serving:
            return False
        wraps_up = any((member.wrapup_until or self.now) > self.now for member in memberships)
        if wraps_up and (all(serving) or not request.call_now):
            return False
        if request.call_now:
            return True
        held_until = [request.postponed_until, request.not_before, self.agent_pauses.get(agent)]
        if any(until is not None and until > self.now for until in held_until):
            return False
        if self._is_held_by_hours(request):
            return False
        if request.preferred not in ("", agent) and self.now < self._preferred_until(request):
            return False
        start = request.registered_at if request.queue or len(targets) > 1 else request.free_at
        waited = start is not None and self.now - start >= request.min_wait
        left = any(
            self._serves(agent, *target, request) and self._is_left(request, *target, agent, agents)
            for target in targets
        )
        return rules.automatic and not self.all_paused and waited and left

    def _serves(self, agent: str, queue: bool, target: str, request: Request) -> bool:
        """Tell whether an agent may serve a request for one of its targets."""
        memberships = [found for queue in self.queues.values() for found in queue.members if found.extension == agent]
        if not queue:
            is_paused = bool(memberships) and all(member.paused for member in memberships) and not request.call_now
            return agent in ((target,) if target else request.extensions) and not is_paused
        return any(member.extension == agent and not member.paused for member in self.queues[target].members)

    def _preferred_until(self, request: Request) -> datetime:
        """Return until when nobody but the preferred agent may be rung."""
        rules, from_registration = request.rules, request.queue or (request.fell_back and request.rules.fallback)
        first_free = None if from_registration else self.first_free.get(request.id)
        times = [(first_free or request.registered_at) + request.min_wait, request.reopened_at, request.postponed_until]
        if request.module == 0:
            times.append(opening(self.hours, self.now, SPREAD).turn_of(request.id, request.wanted_since))
        return max(filter(None, times)) + rules.preferred_for

    def _is_left(self, request: Request, is_queue: bool, target: str, agent: str, agents: Iterable[str]) -> bool:
        """Tell whether the callers before a request leave it the agent, in all queues that ring the agent."""
        if not is_queue:
            return True
        for name, queue in self.queues.items():
            free = {
                member.extension
                for member in queue.members
                if not member.paused
                and (member.wrapup_until or self.now) <= self.now
                and member.extension not in agents
                if member.extension in self.lines and self.lines[member.extension].state is LineState.FREE
            }
            ahead = self._callers_ahead(request, queue)
            if (name == target or agent in free) and 0 < ahead >= len(free):
                return False
        return True

    def _callers_ahead(self, request: Request, queue: Queue) -> int:
        rule, callers = request.rules.place, queue.callers
        if request.priority:
            return callers.count if request.priority < 0 else 0
        if rule.place is Place.SHARE:
            return sorted([0, rule.share - callers.answered, callers.count])[1]
        if rule.place is Place.CALLERS_FIRST and rule.lead is None:
            return callers.count
        lead = (rule.lead if rule.place is Place.CALLERS_FIRST else None) or timedelta()
        called_at = request.first_called_at or request.registered_at
        return len([joined for joined in callers.joined if joined < called_at + lead])

    def _occupied(self) -> tuple[set[str], set[str]]:
        """Return the numbers and the agents of the attempts in flight."""
        in_flight = self._in_flight()
        return {attempt.number for attempt in in_flight}, {attempt.agent for attempt in in_flight}

    def _check_dial(self, request: Request, agent: str) -> None:
        assert self._may_ring(request, agent, *self._occupied()), f"{agent} must not be rung for {request}"
        if not request.call_now and not request.queue and not (request.fell_back and request.rules.fallback):
            assert self.now >= self.first_free[request.id] + request.min_wait

    def _check_explanations(self, plan: Plan, facts: Facts) -> None:
        dials = {dial.request.id: dial for dial in plan.dials}
        facts_after = replace(
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
                    # Without a reason of its own, it waits for the calls of this plan. The page says so once they ring.
                    assert reason is None or plan.reasons[request.id] is not None
                    assert explain(request, facts_after, self.now) is not None
                if not plan.dials:
                    assert plan.reasons[request.id] == reason
            else:
                assert request.id not in dials and request.id not in plan.reasons
                assert (reason is not None and reason.code is ReasonCode.UNCERTAIN) is (
                    request.status is Status.UNCERTAIN
                )

    def _check_order(self, plan: Plan) -> None:
        """Check that no request gets an agent who could have served an earlier one."""
        dials = {dial.request.id: dial.agent for dial in plan.dials}
        numbers, agents = self._occupied()
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

    def _check_all_dialled(self) -> None:
        """Check that each due request with a free agent has been dialled."""
        numbers, agents = self._occupied()
        for request in self.requests.values():
            if request.status is Status.WAITING:
                for agent in EXTENSIONS:
                    assert not self._may_ring(request, agent, numbers, agents), f"{agent} is free for {request}"

    def _check_wake(self, plan: Plan) -> None:
        """Check that without further events nothing can be dialled before the plan's wake time."""
        requests = list(self.requests.values())
        if plan.wake_at is None:
            later = self.now + timedelta(days=365)
        else:
            assert plan.wake_at > self.now, "the dispatcher would run in a tight loop"
            later = plan.wake_at - timedelta(microseconds=1)
        facts = replace(self._facts(), heartbeat=later)
        assert not decide(requests, facts, later).dials, "the dispatcher would wake too late"

    # Invariants

    @invariant()
    def one_attempt_per_request_agent_and_number(self) -> None:
        in_flight = self._in_flight()
        for values in (
            [attempt.request for attempt in in_flight],
            [attempt.agent for attempt in in_flight],
            [attempt.number for attempt in in_flight],
        ):
            assert len(values) == len(set(values))

    @invariant()
    def only_requests_in_flight_have_an_attempt_in_flight(self) -> None:
        for request in self.requests.values():
            if request.status in IN_FLIGHT:
                assert request.attempt is not None and request.step is not None
                assert self.attempts[request.attempt].in_flight
            elif request.status is Status.UNCERTAIN:
                assert request.attempt is not None and not self.attempts[request.attempt].in_flight
            else:
                assert request.attempt is None and request.step is None

    @invariant()
    def attempt_in_flight_is_the_attempt_of_its_active_request(self) -> None:
        for name, attempt in self.attempts.items():
            request = self.requests[attempt.request]
            if attempt.in_flight and request.status not in FINAL:
                assert request.status in IN_FLIGHT and request.attempt == name

    @invariant()
    def each_outcome_counts_against_its_side(self) -> None:
        for request in self.requests.values():
            counts = self.outcome_counts[request.id]
            most = request.rules.retries + 1
            # One more call was promised to a customer who waited in vain at the last one.
            assert request.customer_attempts == counts[Side.CUSTOMER] <= most + request.agent_first
            assert request.agent_misses == counts[Side.AGENT]
            if request.status is Status.FAILED or not request.agent_first:
                assert (request.status is Status.FAILED) is (counts[Side.CUSTOMER] >= most)


TestOffice = Office.TestCase
TestOffice.settings = settings(REPEATABLE, max_examples=700 // DIVISOR, stateful_step_count=50)


# Transitions of requests in any state, also in states that no events lead to

times = st.one_of(st.none(), seconds.map(lambda delta: NOW + delta))
attempt_names = st.sampled_from(["a1", "a2"])
any_request = st.builds(
    make_request,
    status=st.sampled_from(Status),
    registered_again_at=times,
    again=st.booleans(),
    attempt=st.one_of(st.none(), attempt_names),
    step=st.one_of(st.none(), st.sampled_from(Step)),
    not_before=times,
    postponed_until=times,
    time_chosen=st.booleans(),
    free_at=times,
    call_now=st.booleans(),
    call_now_agent=st.one_of(st.none(), extensions),
    customer_attempts=st.integers(0, 4),
    rules=module_rules,
)
any_event = st.one_of(
    st.builds(Claimed, attempt_names),
    st.builds(Progressed, attempt_names, st.sampled_from(Step)),
    st.builds(Ended, attempt_names, st.sampled_from(Outcome)),
    st.builds(CalledNow, st.one_of(st.none(), extensions)),
    st.builds(Postponed, seconds.map(lambda delta: NOW + delta)),
    st.builds(Registered, times),
    st.builds(CallNowWithdrawn, st.booleans()),
    st.sampled_from([Reached(), Cancelled(), MarkedDone(), Reopened(), FellBack(), TimePassed()]),
)


@settings(REPEATABLE, max_examples=1000 // DIVISOR)
@given(any_request, any_event, seconds)
def test_each_event_in_each_state_has_a_valid_result(request: Request, event: Event, age: timedelta) -> None:
    decision = transition(request, event, NOW + age)
    assert isinstance(decision, Decision)
    if not decision.changed:
        assert decision == Decision(request, changed=False)
    if request.status in FINAL:
        assert decision.changed is (isinstance(event, Reopened) and request.status in REOPENABLE)
    if isinstance(event, Progressed | Ended) and event.attempt != request.attempt:
        assert not decision.changed
    if isinstance(event, Claimed):
        assert decision.changed is (request.status is Status.WAITING)
    if decision.hang_up is not None:
        assert decision.hang_up == request.attempt and decision.request.status in FINAL
    assert decision.request.id == request.id and decision.request.rules == request.rules


@settings(REPEATABLE, max_examples=1000 // DIVISOR)
@given(any_request, any_event, seconds)
def test_repeated_event_changes_nothing(request: Request, event: Event, age: timedelta) -> None:
    once = transition(request, event, NOW + age).request
    assert not transition(once, event, NOW + age).changed


# Plans

request_lists = st.lists(
    st.builds(
        make_request,
        number=st.sampled_from(NUMBERS),
        target=st.sampled_from(["", "101", "102"]),
        extensions=st.just(EXTENSIONS),
        priority=st.integers(-1, 1),
        call_now=st.booleans(),
        first_called_at=times,
        free_at=times,
        rules=module_rules,
    ),
    max_size=6,
)


@settings(REPEATABLE, max_examples=300 // DIVISOR)
@given(request_lists, st.randoms(use_true_random=False), st.lists(extensions, unique=True))
def test_plan_does_not_depend_on_the_order_of_the_requests(
    requests: list[Request], random: Random, free: list[str]
) -> None:
    numbered = [replace(request, id=number) for number, request in enumerate(requests, 1)]
    facts = Facts(lines={e: Line(e, LineState.FREE, LONG_AGO) for e in free}, heartbeat=NOW)
    shuffled = list(numbered)
    random.shuffle(shuffled)
    assert decide(shuffled, facts, NOW) == decide(numbered, facts, NOW)


# The choice of the agent

_idle_times = st.one_of(st.none(), seconds.map(lambda ago: NOW - ago))


@settings(REPEATABLE, max_examples=500 // DIVISOR)
@given(
    st.dictionaries(extensions, st.tuples(st.integers(0, 2), st.booleans(), _idle_times), min_size=1),
    st.sets(extensions),
    st.dictionaries(extensions, seconds, max_size=2),
)
def test_chosen_agent_has_the_lowest_penalty_and_then_has_been_idle_longest(
    offered: dict[str, tuple[int, bool, datetime | None]], busy: set[str], pauses: dict[str, timedelta]
) -> None:
    """`offered` are the members with penalty, pause in the queue and idle time."""
    queue = Queue(tuple(Member(name, paused, penalty) for name, (penalty, paused, _) in offered.items()))
    lines = {
        name: Line(name, LineState.IN_CALL if name in busy else LineState.FREE, LONG_AGO, idle_since=idle)
        for name, (_, _, idle) in offered.items()
    }
    until = {name: NOW + pause for name, pause in pauses.items()}
    facts = Facts(lines, {"sales": queue}, heartbeat=NOW, agent_pauses=until)
    plan = decide([make_request(queue=True, target="sales")], facts, NOW)
    free = {
        name: (penalty, idle or datetime.min.replace(tzinfo=UTC))
        for name, (penalty, paused, idle) in offered.items()
        if name not in busy and not paused and until.get(name, NOW) <= NOW
    }
    chosen = [dial.agent for dial in plan.dials]
    assert bool(chosen) is bool(free)
    assert all(free[agent] == min(free.values()) for agent in chosen)


# Numbers

arbitrary_numbers = st.text(alphabet="0123456789۰۱۲۳۹٠١٢٩+-(). #*,;&/w\nآ", max_size=24)
likely_numbers = st.tuples(
    st.sampled_from(["", "0", "00", "+", "+98", "0098", "09", "021"]), st.integers(0, 10**11)
).map(lambda parts: parts[0] + str(parts[1]))
number_plans = st.builds(
    NumberPlan,
    region=st.sampled_from(["IR", "GB", "US", "DE"]),
    area_code=st.sampled_from(["", "021", "21"]),
    extensions=st.frozensets(st.sampled_from(["101", "102", "88881234"])),
)
number_policies = st.builds(
    NumberPolicy,
    kinds=st.frozensets(st.sampled_from(NumberKind)),
    typed_kinds=st.frozensets(st.sampled_from(NumberKind)),
    countries=st.frozensets(st.sampled_from(["IR", "GB", "US", "JM"])),
    typed_countries=st.frozensets(st.sampled_from(["IR", "GB", "US", "JM"])),
    prefixes=st.lists(
        st.builds(PrefixRule, st.sampled_from(["+98", "+9891", "+44", "+1212", "+1"]), st.booleans(), st.booleans()),
        max_size=3,
    ).map(tuple),
)


@settings(REPEATABLE, max_examples=1500 // DIVISOR)
@given(
    st.one_of(arbitrary_numbers, likely_numbers, st.sampled_from(["101", "88881234", "110", "911"])),
    number_plans,
    number_policies,
    st.sampled_from(Source),
    st.booleans(),
    st.sampled_from(OutboundFormat),
)
def test_number_is_refused_or_has_one_form_and_is_dialled_as_digits(
    raw: str, plan: NumberPlan, policy: NumberPolicy, source: Source, from_inside: bool, form: OutboundFormat
) -> None:
    policy = replace(policy, region=plan.region)
    verdict = judge(raw, plan, policy, source, from_inside=from_inside)
    if not verdict.allows:
        return
    number = verdict.number
    assert re.fullmatch(r"[0-9]{2,20}", dialled(number, plan.region, form))
    assert judge(number, plan, policy, source, from_inside=from_inside) == verdict
    assert judge_number(number, policy, source).allows, "also before it is dialled"
    assert from_inside or number not in plan.extensions
    if source is Source.TYPED:
        assert judge_number(number, policy, Source.CALLER_ID).allows, "typed numbers have the stricter rules"
