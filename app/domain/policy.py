"""Decide which requests to dial now, by which agent, and explain why each other request waits.

Everything here is a pure function of `Facts` and `now`. The worker that dials and the page that explains use the same
functions, so they always agree.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, StrEnum
from functools import cached_property
from typing import Protocol

from app.domain import numbers as phone_numbers
from app.domain.agent_order import AgentOrder
from app.domain.hours import Opening
from app.domain.lifecycle import Outcome, Request, Status
from app.domain.number_policy import NumberPolicy, Verdict, judge_number
from app.domain.place_in_line import WaitingCallers, callers_ahead
from app.domain.routes import RouteTrouble


class LineState(StrEnum):
    FREE = "free"
    RINGING = "ringing"
    IN_CALL = "in_call"
    DND = "dnd"
    OFFLINE = "offline"
    UNKNOWN = "unknown"


class ReasonCode(StrEnum):
    """Why a request waits. The panel holds the wording."""

    SERVICE_DOWN = "service_down"
    NOT_CONNECTED = "not_connected"
    TOO_OLD = "too_old"  # the Asterisk of the PBX
    NO_DIALPLAN = "no_dialplan"  # the PBX does not run our dialplan
    OLD_NUMBER_CHECK = "old_number_check"  # the PBX's dialplan checks numbers by former settings
    NO_OUTBOUND = "no_outbound"  # the outbound context for customers is not set
    UNCERTAIN = "uncertain"
    POSTPONED = "postponed"
    CHOSEN_TIME = "chosen_time"  # the time for the call was chosen when the request was registered
    RETRY = "retry"
    ALL_PAUSED = "all_paused"
    OFFICE_CLOSED = "office_closed"
    OPENING = "opening"  # the office has just opened: requests that waited for it are called one after the other
    DAILY_LIMIT = "daily_limit"  # as many automatic calls as the office allows in 24 hours
    NUMBER_REFUSED = "number_refused"  # the number policy does not allow to call it
    MANUAL = "manual"
    MIN_WAIT = "min_wait"
    ROUTE_PAUSED = "route_paused"  # calls through the outbound context fail
    CALLS_LIMIT = "calls_limit"  # as many calls as the office allows at once
    ROUTE_CALLS_LIMIT = "route_calls_limit"  # the same for the outbound context
    CUSTOMER_GONE = "customer_gone"  # the customer is an extension whose phone is gone
    NUMBER_BUSY = "number_busy"
    NUMBER_ON_LINE = "number_on_line"  # the customer is in a call with the office
    LIVE_CALLERS = "live_callers"
    LINE_RINGING = "line_ringing"
    LINE_IN_CALL = "line_in_call"
    LINE_DND = "line_dnd"
    LINE_OFFLINE = "line_offline"
    LINE_UNKNOWN = "line_unknown"
    REST = "rest"
    AGENT_PAUSE = "agent_pause"
    NOTHING_RANG = "nothing_rang"  # the agent's phone did not ring at the last attempts
    AGENT_IN_FLIGHT = "agent_in_flight"
    AGENT_IS_CUSTOMER = "agent_is_customer"  # the only agent is the extension that asked to be called back
    MEMBER_PAUSED = "member_paused"
    WRAPUP = "wrapup"
    PREFERRED = "preferred"  # the agent who talked with the customer last comes first
    NO_MEMBERS = "no_members"
    NOBODY_THERE = "nobody_there"  # each agent is offline, paused, or set to "do not disturb"
    NO_AGENT_FREE = "no_agent_free"
    BEHIND_OTHERS = "behind_others"


@dataclass(frozen=True)
class Line:
    """The line of an extension, in `state` since `since`.

    `idle_since` is the end of its last call, of any kind, or when Bazang last rang it; None if no call is known.
    `devices` are the devices that ring, in the form of a hint ("PJSIP/101&PJSIP/201"). `context` is the hint's context,
    `hint` the hint itself ("101@context"), "" if there is none.
    """

    extension: str
    state: LineState
    since: datetime
    devices: str = ""
    context: str = ""
    hint: str = field(default="", compare=False)
    idle_since: datetime | None = None


@dataclass(frozen=True)
class Member:
    """A member of a queue. `wrapup_until` is None if there is no wrap-up time. `name` is for display only."""

    extension: str
    paused: bool = False
    penalty: int = 0
    wrapup_until: datetime | None = None
    name: str = field(default="", compare=False)


@dataclass(frozen=True)
class Queue:
    members: tuple[Member, ...] = ()
    callers: WaitingCallers = field(default_factory=WaitingCallers)

    @property
    def live_callers(self) -> int:
        """The number of callers who wait in the queue."""
        return self.callers.count

    @cached_property
    def by_extension(self) -> Mapping[str, tuple[Member, ...]]:
        """The members by their extension."""
        found: dict[str, tuple[Member, ...]] = {}
        for member in self.members:
            found[member.extension] = (*found.get(member.extension, ()), member)
        return found


@dataclass(frozen=True)
class AgentPause:
    """An agent is not rung again for a request until `until`, because of an attempt that ended at `since`."""

    since: datetime
    until: datetime
    outcome: Outcome


@dataclass(frozen=True)
class Facts:
    """The state of the PBX, and the attempts in flight.

    `obstacle` blocks every call although the PBX is connected (TOO_OLD, NO_DIALPLAN, OLD_NUMBER_CHECK, NO_OUTBOUND).
    `heartbeat` is the last heartbeat of the worker, None if there was none. The worker counts as stopped `stale_after`
    later. `agent_pauses` gives the time until which an agent is not rung again, `request_pauses` the same for one
    request, by its id and the agent. `wrapups` are the ends of the wrap-up times after Bazang's own calls of a queue,
    by agent: the queue does not know these calls. `rung` says when Bazang last rang the agents who take turns.
    `numbers_on_line` are the numbers that are in a call with the office, ringing and waiting included.

    `number_policy` decides which numbers may be called, None if it is not known yet; the worker knows it whenever it
    dials.

    `openings` say by module whether its office is open. A module without one is always open.

    `outbound_context` is the route to customers outside. `routes` are the routes that fail. `calls` are the attempts in
    flight by route, "" for those inside; `dialling` are the routes of those that are not connected yet. A limit of 0
    means no limit. `daily_calls` are the automatic calls to customers outside in the last 24 hours, and
    `daily_limit_until` is when there will be fewer than the limit.
    """

    lines: Mapping[str, Line] = field(default_factory=dict)
    queues: Mapping[str, Queue] = field(default_factory=dict)
    connected: bool = True
    obstacle: ReasonCode | None = None
    heartbeat: datetime | None = None
    stale_after: timedelta = timedelta(seconds=15)
    all_paused: bool = False
    numbers_in_flight: frozenset[str] = frozenset()
    numbers_on_line: frozenset[str] = frozenset()
    agents_in_flight: frozenset[str] = frozenset()
    agent_pauses: Mapping[str, datetime] = field(default_factory=dict)
    request_pauses: Mapping[tuple[int, str], AgentPause] = field(default_factory=dict)
    wrapups: Mapping[str, datetime] = field(default_factory=dict)
    rung: Mapping[str, datetime] = field(default_factory=dict)
    number_policy: NumberPolicy | None = None
    openings: Mapping[int, Opening] = field(default_factory=dict)
    outbound_context: str = ""
    routes: Mapping[str, RouteTrouble] = field(default_factory=dict)
    calls: Mapping[str, int] = field(default_factory=dict)
    dialling: frozenset[str] = frozenset()
    calls_limit: int = 0
    route_calls_limit: int = 0
    daily_calls: int = 0
    daily_limit: int = 0
    daily_limit_until: datetime | None = None

    @property
    def region(self) -> str:
        """The office's country, "" if it is not known yet."""
        return self.number_policy.region if self.number_policy is not None else ""

    def route_of(self, request: Request) -> str:
        """Return the route to a customer, "" for one inside."""
        return "" if phone_numbers.is_internal(request.number) else self.outbound_context

    def with_call(self, request: Request) -> "Facts":
        """Return the facts with one more attempt."""
        route = self.route_of(request)
        calls = {**self.calls, route: self.calls.get(route, 0) + 1}
        daily = self.daily_calls + (bool(route) and not request.call_now)
        after = replace(self, calls=calls, dialling=self.dialling | {route}, daily_calls=daily)
        for name in ("phone_sharers", "_members_in_order"):  # an attempt changes neither lines nor queues
            if name in self.__dict__:
                after.__dict__[name] = self.__dict__[name]
        return after

    @cached_property
    def phone_sharers(self) -> Mapping[str, frozenset[str]]:
        """The other extensions that ring a phone of this one. Extensions that share no phone are left out."""
        devices = [line.devices for line in self.lines.values() if line.devices]
        if len(set(devices)) == len(devices) and "&" not in "".join(devices):
            return {}  # the usual case, and a large office has many lines
        owner: dict[str, str] = {}
        shared: dict[str, set[str]] = {}
        for line in self.lines.values():
            for device in line.devices.split("&") if line.devices else ():
                first = owner.setdefault(device, line.extension)
                if first != line.extension:
                    shared.setdefault(device, {first}).add(line.extension)
        sharers: dict[str, frozenset[str]] = {}
        for extensions in shared.values():
            for extension in extensions:
                sharers[extension] = sharers.get(extension, frozenset()) | extensions - {extension}
        return sharers

    def memberships(self, extension: str) -> tuple[Member, ...]:
        """Return the memberships of an extension in all queues."""
        return tuple(member for queue in self.queues.values() for member in queue.by_extension.get(extension, ()))

    def members_in_order(self, queue: str) -> Sequence[Member]:
        """Return the members of a queue, best first. Each queue is judged once."""
        known = self._members_in_order
        if queue not in known:
            found = self.queues.get(queue)
            known[queue] = self.in_order_of_choice(found.members if found is not None else ())
        return known[queue]

    @cached_property
    def _members_in_order(self) -> dict[str, Sequence[Member]]:
        return {}

    def in_order_of_choice(self, members: Iterable[Member]) -> Sequence[Member]:
        """Sort by penalty, then by the longest idle time. Who has no line comes last.

        Those of whom no call is known have been idle longest; of these, the one whose line has been free longest.
        """

        def idle(member: Member) -> tuple[datetime, datetime]:
            line = self.lines.get(member.extension)
            return (line.idle_since or _FIRST, line.since) if line is not None else (_LAST, _LAST)

        return sorted(members, key=lambda member: (member.penalty, *idle(member)))

    def worker_runs(self, now: datetime) -> bool:
        """Tell whether the worker's heartbeat is recent."""
        return self.heartbeat is not None and self.heartbeat + self.stale_after >= now


@dataclass(frozen=True)
class Reason:
    """Why a request waits. `until` is when the reason ends by itself, if known. `subject` is the extension.

    `devices` are those of an extension whose state is unknown, in the form of a hint. `verdict` is that on a number
    that may not be called.
    """

    code: ReasonCode
    until: datetime | None = None
    subject: str = ""
    outcome: Outcome | None = None
    devices: str = ""
    verdict: Verdict | None = None


@dataclass(frozen=True)
class Dial:
    """Ring `agent` for the request."""

    request: Request
    agent: str


@dataclass(frozen=True)
class Plan:
    """What to dial now, why each other waiting request waits, and the next time at which that may change."""

    dials: tuple[Dial, ...]
    reasons: Mapping[int, Reason]
    wake_at: datetime | None


_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_NOBODY: frozenset[str] = frozenset()
# No call has to end before these agents can be rung: a person must do something.
_AWAY = frozenset({ReasonCode.LINE_OFFLINE, ReasonCode.LINE_DND, ReasonCode.MEMBER_PAUSED})
_LINE_REASONS = {
    LineState.RINGING: ReasonCode.LINE_RINGING,
    LineState.IN_CALL: ReasonCode.LINE_IN_CALL,
    LineState.DND: ReasonCode.LINE_DND,
    LineState.OFFLINE: ReasonCode.LINE_OFFLINE,
}


def in_order(requests: Iterable[Request]) -> list[Request]:
    """Sort by "call now", then priority, then the time of the caller's first call."""
    return sorted(requests, key=_order)


def _order(request: Request) -> tuple[bool, int, datetime, int]:
    first_called_at = request.first_called_at or request.registered_at
    return (not request.call_now, -request.priority, first_called_at, request.id)


class Lane(Protocol):
    """Waiting requests of one module and one target, in their turn: they have the same rules and the same agents.

    With `agent`, they are those of one module that wait for this preferred agent.
    """

    agent: str

    def next(self, *, inside: bool = False) -> Request | None:
        """Return the next request, None if there is none. `inside`: the next one whose customer is an extension."""


class SortedLane:
    """A lane of known requests, which are in their turn."""

    def __init__(self, requests: Iterable[Request], agent: str = "") -> None:
        self._requests, self.agent = iter(requests), agent

    def next(self, *, inside: bool = False) -> Request | None:
        """Return the next request; see `Lane`."""
        for request in self._requests:
            if not inside or phone_numbers.is_internal(request.number):
                return request
        return None


def decide(requests: Iterable[Request], facts: Facts, now: datetime) -> Plan:
    """Plan the calls to make now: at most one per request, agent and number. Each waiting request gets its reason."""
    return decide_lanes([SortedLane([r]) for r in requests if r.status is Status.WAITING], facts, now)


def decide_lanes(lanes: Iterable[Lane], facts: Facts, now: datetime) -> Plan:
    """Plan the same calls as `decide` does of all requests of the lanes, but look at as few of them as possible.

    Requests behind one that waits for something that they wait for, too, are not read and have no reason in the plan.
    """
    numbers, agents = set(facts.numbers_in_flight), set(facts.agents_in_flight)
    dials: list[Dial] = []
    reasons: dict[int, Reason] = {}
    wakes: list[datetime] = []
    heads: list[tuple[_Turn, int, Request, Lane]] = []
    dialled: set[int] = set()  # a request can be in two lanes: that of its target and that of its fallback

    def line_up(lane: Lane, number: int, *, inside: bool = False) -> None:
        request = lane.next(inside=inside)
        if request is not None:
            heapq.heappush(heads, (turn_of(request, facts), number, request, lane))

    for number, lane in enumerate(lanes):
        line_up(lane, number)
    while heads:
        _, number, request, lane = heapq.heappop(heads)
        if request.id in dialled:
            line_up(lane, number)
            continue
        choice = _choose_agent(request, facts, now, numbers, agents)
        wakes += choice.wakes
        if choice.agent is None:
            reasons[request.id] = choice.reason
        else:
            dials.append(Dial(request, choice.agent))
            dialled.add(request.id)
            reasons.pop(request.id, None)
            numbers.add(request.number)
            agents.add(choice.agent)
            facts = facts.with_call(request)
        is_last = choice.agent is not None and not _has_free_agent(request, facts, agents, lane.agent)
        is_over = choice.holds_for is _HoldsFor.LANE or (bool(lane.agent) and choice.holds_for is _HoldsFor.AGENT)
        if not is_over and not is_last:
            line_up(lane, number, inside=choice.holds_for is _HoldsFor.OUTSIDE)
    return Plan(tuple(dials), reasons, min(wakes, default=None))


def _has_free_agent(request: Request, facts: Facts, agents: AbstractSet[str], preferred: str) -> bool:
    """Tell whether a free line is left for a lane, of whose agents `agents` have no time any more."""
    if preferred:
        return preferred not in agents
    members = (member for view in _views(request) for member in _candidates(view, facts))
    lines = (facts.lines.get(member.extension) for member in members)
    return any(line is not None and line.state is LineState.FREE and line.extension not in agents for line in lines)


_Turn = tuple[bool, int, int, datetime, int]


def turn_of(request: Request, facts: Facts) -> _Turn:
    """Return the sort key of the waiting requests: as `in_order` sorts, but the requests try a failing route in turn.

    So one number that never works does not keep the route paused.
    """
    failures = request.route_failures if facts.routes and facts.route_of(request) in facts.routes else 0
    _, *order = _order(request)
    return (not request.call_now, failures, *order)  # type: ignore[return-value]


def by_failures(facts: Facts) -> bool:
    """Tell whether the route to customers outside fails, so that its requests take turns by their failures."""
    return facts.outbound_context in facts.routes


@dataclass(frozen=True)
class Served:
    """The extensions and queues that have an agent whose line is free. Nobody else's requests can be dialled now.

    A request that somebody calls now can be dialled by any agent.
    """

    extensions: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()


_FREE = frozenset({LineState.FREE})


def served(facts: Facts, states: AbstractSet[LineState] = _FREE) -> Served:
    """Return what the agents with free lines serve, or those whose lines have one of these states."""
    free = frozenset([line.extension for line in facts.lines.values() if line.state in states])
    queues = (name for name, queue in facts.queues.items() if _has_any(queue, free))
    return Served(free, frozenset(queues)) if free else Served()


def _has_any(queue: Queue, free: frozenset[str]) -> bool:
    return not queue.by_extension.keys().isdisjoint(free)


def outside_reason(facts: Facts, now: datetime) -> Reason | None:
    """Return why no customer outside can be called automatically now, None if nothing blocks them all."""
    route = facts.outbound_context
    return _daily_reason(route, facts) or _route_reason(route, facts, now) or _route_limit_reason(route, facts)


def explain(request: Request, facts: Facts, now: datetime) -> Reason | None:
    """Return why `request` is not being dialled. None if nothing blocks it, or if it does not wait any more."""
    if request.status is Status.UNCERTAIN:
        return Reason(ReasonCode.UNCERTAIN)
    if request.status is not Status.WAITING:
        return None
    choice = _choose_agent(request, facts, now, facts.numbers_in_flight, facts.agents_in_flight)
    return choice.reason if choice.agent is None else None


def min_wait_ends(request: Request) -> datetime | None:
    """Return when the minimum waiting time ends, None if it has not started yet.

    For a queue it starts at the registration. For an extension it starts when the extension is first free after the
    registration, or at the registration if the fallback may serve the request: the extension may never be free.
    """
    start = request.registered_at if request.queue or request.fallback is not None else request.free_at
    return None if start is None else max(start, request.registered_at) + request.min_wait


def preferred_ends(request: Request, facts: Facts) -> datetime | None:
    """Return until when nobody but the preferred agent is rung, None if anybody may be.

    The time begins when the request can be called: after the minimum waiting time, and not before the office opens.
    """
    if not request.preferred or not request.rules.preferred_for or request.call_now:
        return None
    waited = max(filter(None, (request.registered_at, request.reopened_at, request.postponed_until)))
    opening = facts.openings.get(request.module) if request.module is not None else None
    turn = opening.turn_of(request.id, request.wanted_since) if opening is not None else None
    start = min_wait_ends(request) or request.registered_at + request.min_wait
    return max(filter(None, (start, waited, turn))) + request.rules.preferred_for


def freed_at(request: Request, facts: Facts) -> datetime | None:
    """Return when a wanted extension was first free after the registration, None if none is free now."""
    times = [
        max(line.since, request.registered_at)
        for line in (facts.lines.get(extension) for extension in request.wanted)
        if line is not None and line.state is LineState.FREE
    ]
    return min(times, default=None)


class _HoldsFor(Enum):
    """For which requests of the same lane a reason holds.

    For this one, for all with numbers outside, for all that wait for the same preferred agent, or for all.
    """

    REQUEST = 1
    OUTSIDE = 2
    AGENT = 3
    LANE = 4


# What all requests of a lane wait for, or all of them with numbers outside. Any other reason is the request's own.
_OF_LANE = frozenset(
    {
        ReasonCode.SERVICE_DOWN,
        ReasonCode.NOT_CONNECTED,
        ReasonCode.TOO_OLD,
        ReasonCode.NO_DIALPLAN,
        ReasonCode.OLD_NUMBER_CHECK,
        ReasonCode.NO_OUTBOUND,
        ReasonCode.ALL_PAUSED,
        ReasonCode.MANUAL,
        ReasonCode.OFFICE_CLOSED,
        ReasonCode.CALLS_LIMIT,
    }
)
_OF_OUTSIDE = frozenset({ReasonCode.DAILY_LIMIT, ReasonCode.ROUTE_PAUSED, ReasonCode.ROUTE_CALLS_LIMIT})
_OF_AGENT = frozenset(
    {
        ReasonCode.LINE_RINGING,
        ReasonCode.LINE_IN_CALL,
        ReasonCode.LINE_DND,
        ReasonCode.LINE_OFFLINE,
        ReasonCode.LINE_UNKNOWN,
        ReasonCode.REST,
        ReasonCode.AGENT_IN_FLIGHT,
        ReasonCode.MEMBER_PAUSED,
        ReasonCode.WRAPUP,
    }
)


@dataclass(frozen=True)
class _Choice:
    agent: str | None
    reason: Reason
    wakes: tuple[datetime, ...] = ()
    holds_for: _HoldsFor = _HoldsFor.REQUEST


def _choose_agent(
    request: Request, facts: Facts, now: datetime, numbers: AbstractSet[str], agents: AbstractSet[str]
) -> _Choice:
    blocked = _request_reason(request, facts, now, numbers)
    if blocked is not None:
        holds_for = _HoldsFor.LANE if _is_of_lane(blocked, facts) else _HoldsFor.REQUEST
        holds_for = _HoldsFor.OUTSIDE if blocked.code in _OF_OUTSIDE else holds_for
        return _Choice(None, blocked, () if blocked.until is None else (blocked.until,), holds_for)
    preferred_until = preferred_ends(request, facts)
    if preferred_until is not None and preferred_until > now:
        return _await_preferred(request, preferred_until, facts, now, agents)
    reasons: list[Reason] = []
    candidates: list[tuple[Request, Member]] = []
    for view in _views(request):
        taken = _callers_reason(view, facts, now, agents)
        if taken is not None:
            reasons.append(taken)
        else:
            candidates += [(view, member) for member in _candidates(view, facts)]
    others = [(view, member) for view, member in candidates if not _is_customer(member.extension, request, facts)]
    if candidates and not others and not reasons:
        return _Choice(None, Reason(ReasonCode.AGENT_IS_CUSTOMER, subject=candidates[0][1].extension))
    for view, member in others:
        reason = _agent_reason(view, member, facts, now, agents)
        if reason is None:
            return _Choice(member.extension, Reason(ReasonCode.BEHIND_OTHERS))
        reasons.append(reason)
    wakes = tuple(_ends(reasons, facts, now))
    is_shared = len(others) == len(candidates) and all(_is_of_agent(reason, facts) for reason in reasons)
    reason = _sum_up(reasons, wakes, request.target, now)
    return _Choice(None, reason, wakes, _HoldsFor.LANE if is_shared else _HoldsFor.REQUEST)


def _await_preferred(
    request: Request, until: datetime, facts: Facts, now: datetime, agents: AbstractSet[str]
) -> _Choice:
    """Choose the preferred agent, or nobody until their time is over."""
    waiting = Reason(ReasonCode.PREFERRED, until=until, subject=request.preferred)
    reasons: list[Reason] = []
    for view in _views(request):
        members = [member for member in _candidates(view, facts) if member.extension == request.preferred]
        if not members or _is_customer(request.preferred, request, facts):
            continue
        reason = _callers_reason(view, facts, now, agents) or _agent_reason(view, members[0], facts, now, agents)
        if reason is None:
            return _Choice(request.preferred, Reason(ReasonCode.BEHIND_OTHERS))
        reasons.append(reason)
    wakes = (until, *_ends(reasons, facts, now))
    is_shared = all(_is_of_agent(reason, facts) for reason in reasons)
    return _Choice(None, waiting, wakes, _HoldsFor.AGENT if is_shared else _HoldsFor.REQUEST)


def _is_of_lane(reason: Reason, facts: Facts) -> bool:
    """Tell whether all requests of a lane wait for this. While its route fails, a lane is not in the order of calls."""
    return reason.code in _OF_LANE or (reason.code is ReasonCode.LIVE_CALLERS and not by_failures(facts))


def _is_of_agent(reason: Reason, facts: Facts) -> bool:
    """Tell whether an agent cannot serve any request of the lane. A pause for one request has an outcome."""
    if reason.code is ReasonCode.LIVE_CALLERS:
        return _is_of_lane(reason, facts)
    return reason.code in _OF_AGENT or (reason.code is ReasonCode.AGENT_PAUSE and reason.outcome is None)


def _ends(reasons: Iterable[Reason], facts: Facts, now: datetime) -> Iterator[datetime]:
    """Yield when one of the reasons may end although nothing happens."""
    for reason in reasons:
        if reason.until is not None:
            yield reason.until
        if reason.code is ReasonCode.LIVE_CALLERS:  # one more member for them may leave one for the request
            ends = (member.wrapup_until for member in facts.queues[reason.subject].members)
            yield from (until for until in ends if until is not None and until > now)


def _sum_up(reasons: Sequence[Reason], wakes: Sequence[datetime], target: str, now: datetime) -> Reason:
    """Return one reason for all agents of a target."""
    codes = {reason.code for reason in reasons}
    if len(reasons) == 1 or codes == {ReasonCode.LINE_UNKNOWN}:
        return reasons[0]
    if codes == {ReasonCode.NOTHING_RANG}:
        return min(reasons, key=lambda reason: reason.until or now)
    code = ReasonCode.NO_AGENT_FREE if reasons else ReasonCode.NO_MEMBERS
    if codes and codes <= _AWAY:
        code = ReasonCode.NOBODY_THERE
    return Reason(code, until=min(wakes, default=None), subject=target)


def _request_reason(request: Request, facts: Facts, now: datetime, numbers: AbstractSet[str]) -> Reason | None:
    """Return what blocks the request regardless of who is free."""
    if not facts.worker_runs(now):
        return Reason(ReasonCode.SERVICE_DOWN)
    if not facts.connected:
        return Reason(ReasonCode.NOT_CONNECTED)
    if facts.obstacle is not None:
        return Reason(facts.obstacle)
    if facts.number_policy is not None:
        verdict = judge_number(request.number, facts.number_policy, request.source)
        if not verdict.allows:
            return Reason(ReasonCode.NUMBER_REFUSED, verdict=verdict)
    if not request.call_now:  # "call now" skips waiting times, pauses and office hours only
        reason = _not_due_reason(request, facts, now)
        if reason is not None:
            return reason
    if is_customer_gone(request.number, facts):
        return Reason(ReasonCode.CUSTOMER_GONE, subject=request.number)
    if request.number in numbers:
        return Reason(ReasonCode.NUMBER_BUSY)
    if request.number in facts.numbers_on_line:
        return Reason(ReasonCode.NUMBER_ON_LINE)
    return _limit_reason(request, facts)


def _callers_reason(request: Request, facts: Facts, now: datetime, busy_agents: AbstractSet[str]) -> Reason | None:
    """Return whether the callers in the request's queue leave it no agent."""
    if request.call_now or not request.queue or not _is_taken(request, request.target, facts, now, busy_agents):
        return None
    return Reason(ReasonCode.LIVE_CALLERS, subject=request.target)


def _is_taken(request: Request, queue: str, facts: Facts, now: datetime, busy_agents: AbstractSet[str]) -> bool:
    """Tell whether the callers of a queue who come before the request need all members that are free."""
    found = facts.queues.get(queue)
    if found is None or found.live_callers == 0:
        return False
    first_called_at = request.first_called_at or request.registered_at
    ahead = callers_ahead(first_called_at, request.priority, request.rules.place, found.callers)
    return ahead > 0 and ahead >= _count_free(found, facts, now, busy_agents)


def _count_free(queue: Queue, facts: Facts, now: datetime, busy_agents: AbstractSet[str]) -> int:
    """Return how many members the PBX can ring for a caller of the queue."""
    free = 0
    for extension, members in queue.by_extension.items():
        line = facts.lines.get(extension)
        is_free = line is not None and line.state is LineState.FREE and extension not in busy_agents
        free += is_free and any(_takes_callers(member, now) for member in members)
    return free


def _takes_callers(member: Member, now: datetime) -> bool:
    return not member.paused and (member.wrapup_until is None or member.wrapup_until <= now)


def _limit_reason(request: Request, facts: Facts) -> Reason | None:
    if 0 < facts.calls_limit <= sum(facts.calls.values()):
        return Reason(ReasonCode.CALLS_LIMIT)
    return _route_limit_reason(facts.route_of(request), facts)


def _route_limit_reason(route: str, facts: Facts) -> Reason | None:
    if route and 0 < facts.route_calls_limit <= facts.calls.get(route, 0):
        return Reason(ReasonCode.ROUTE_CALLS_LIMIT, subject=route)
    return None


def _daily_reason(route: str, facts: Facts) -> Reason | None:
    if route and 0 < facts.daily_limit <= facts.daily_calls:
        return Reason(ReasonCode.DAILY_LIMIT, until=facts.daily_limit_until)
    return None


def _route_reason(route: str, facts: Facts, now: datetime) -> Reason | None:
    trouble = facts.routes.get(route)
    if trouble is None:
        return None
    if trouble.paused_until > now:
        return Reason(ReasonCode.ROUTE_PAUSED, until=trouble.paused_until, subject=route, outcome=trouble.outcome)
    if route in facts.dialling:  # another request tries it
        return Reason(ReasonCode.ROUTE_PAUSED, subject=route, outcome=trouble.outcome)
    return None


def is_customer_gone(number: str, facts: Facts) -> bool:
    """Tell whether the number is an extension without a phone that can ring now.

    It must not be dialled in the outbound context, where the same digits may be somebody else, such as the police.
    """
    if not phone_numbers.is_internal(number):
        return False
    line = facts.lines.get(number)
    return line is None or not line.devices or line.state is LineState.OFFLINE


def _not_due_reason(request: Request, facts: Facts, now: datetime) -> Reason | None:
    if request.postponed_until is not None and request.postponed_until > now:
        code = ReasonCode.CHOSEN_TIME if request.time_chosen else ReasonCode.POSTPONED
        return Reason(code, until=request.postponed_until)
    if not request.rules.automatic:
        return Reason(ReasonCode.MANUAL)
    if facts.all_paused:
        return Reason(ReasonCode.ALL_PAUSED)
    closed = _closed_reason(request, facts, now)
    if closed is not None:
        return closed
    route = facts.route_of(request)
    blocked = _daily_reason(route, facts) or _route_reason(route, facts, now)
    if blocked is not None:
        return blocked
    if request.not_before is not None and request.not_before > now:
        return Reason(ReasonCode.RETRY, until=request.not_before, outcome=request.last_outcome)
    ends = min_wait_ends(request)
    # Before the waiting time starts, the line is not free: its state is the better reason.
    if ends is not None and ends > now:
        return Reason(ReasonCode.MIN_WAIT, until=ends)
    return None


def _closed_reason(request: Request, facts: Facts, now: datetime) -> Reason | None:
    opening = facts.openings.get(request.module) if request.module is not None else None
    if opening is None:
        return None
    if not opening.is_open:
        return Reason(ReasonCode.OFFICE_CLOSED, until=opening.until)
    turn = opening.turn_of(request.id, request.wanted_since)
    return Reason(ReasonCode.OPENING, until=turn) if turn is not None and turn > now else None


def _views(request: Request) -> Sequence[Request]:
    """Return the request as its target sees it, and then as its fallback does, if this may serve it, too."""
    fallback = request.fallback
    if fallback is None or (request.call_now and request.call_now_agent):
        return [request]
    return [request, replace(request, queue=fallback.queue, target=fallback.target)]


def _candidates(request: Request, facts: Facts) -> Sequence[Member]:
    """Return the agents of the request's target who may serve it, best first."""
    if request.call_now and request.call_now_agent:
        return [Member(request.call_now_agent)]
    if request.queue:
        return facts.members_in_order(request.target)
    wanted = [_as_wanted(extension, request, facts) for extension in request.wanted]
    match request.rules.agent_order:
        case AgentOrder.LISTED:
            return wanted
        case AgentOrder.IN_TURN:
            return sorted(wanted, key=lambda member: facts.rung.get(member.extension, _FIRST))
    return facts.in_order_of_choice(wanted) if len(wanted) > 1 else wanted


def _as_wanted(extension: str, request: Request, facts: Facts) -> Member:
    """Return a wanted extension with its pause: it is paused if it is in all of its queues."""
    memberships = () if request.call_now else facts.memberships(extension)
    return Member(extension, bool(memberships) and all(member.paused for member in memberships))


def _wrapup_until(request: Request, extension: str, facts: Facts) -> datetime | None:
    """Return the last of an agent's wrap-up times: after a call of one queue, a member rests in all.

    Somebody who calls now skips those of an extension, but not those of a queue.
    """
    if request.call_now and (request.call_now_agent or not request.queue):
        return None
    ends = [member.wrapup_until for member in facts.memberships(extension)]
    return max((until for until in (*ends, facts.wrapups.get(extension)) if until is not None), default=None)


def _is_customer(extension: str, request: Request, facts: Facts) -> bool:
    """Tell whether an agent is the one to call back, or would be rung on the same phone."""
    return extension == request.number or request.number in facts.phone_sharers.get(extension, ())


def _agent_reason(
    request: Request, member: Member, facts: Facts, now: datetime, busy_agents: AbstractSet[str]
) -> Reason | None:
    extension = member.extension
    line = facts.lines.get(extension)
    if extension in busy_agents or not facts.phone_sharers.get(extension, _NOBODY).isdisjoint(busy_agents):
        return Reason(ReasonCode.AGENT_IN_FLIGHT, subject=extension)
    if line is None or line.state is LineState.UNKNOWN:
        return Reason(ReasonCode.LINE_UNKNOWN, subject=extension, devices=line.devices if line is not None else "")
    if line.state is not LineState.FREE:
        return Reason(_LINE_REASONS[line.state], subject=extension)
    starts_now = not request.queue and request.fallback is None and request.free_at is None
    if starts_now and not request.call_now and request.min_wait > timedelta(0):
        # The line has only just become free: the minimum waiting time starts now.
        return Reason(
            ReasonCode.MIN_WAIT,
            until=max(line.since, request.registered_at) + request.min_wait,
            subject=extension,
        )
    if member.paused:
        return Reason(ReasonCode.MEMBER_PAUSED, subject=extension)
    rested = line.since + request.rules.rest
    if rested > now:
        return Reason(ReasonCode.REST, until=rested, subject=extension)
    wrapup_until = _wrapup_until(request, extension, facts)
    if wrapup_until is not None and wrapup_until > now:
        return Reason(ReasonCode.WRAPUP, until=wrapup_until, subject=extension)
    if request.queue and not request.call_now:
        for name, queue in facts.queues.items():
            memberships = queue.by_extension.get(extension, ()) if queue.live_callers else ()
            takes = any(_takes_callers(each, now) for each in memberships)
            if takes and _is_taken(request, name, facts, now, busy_agents):
                return Reason(ReasonCode.LIVE_CALLERS, subject=name)
    return _pause_reason(request, extension, facts, now)


def _pause_reason(request: Request, extension: str, facts: Facts, now: datetime) -> Reason | None:
    """Return why an agent is left alone after an attempt. "Call now" skips the pauses that began before it."""
    pause = facts.request_pauses.get((request.id, extension))
    if pause is not None and pause.until > now and not _is_skipped(pause, request):
        code = ReasonCode.AGENT_PAUSE if pause.outcome.rang else ReasonCode.NOTHING_RANG
        return Reason(code, until=pause.until, subject=extension, outcome=pause.outcome)
    until = facts.agent_pauses.get(extension)
    if until is not None and until > now and not request.call_now:
        return Reason(ReasonCode.AGENT_PAUSE, until=until, subject=extension)
    return None


def _is_skipped(pause: AgentPause, request: Request) -> bool:
    return request.call_now and request.call_now_at is not None and pause.since < request.call_now_at
