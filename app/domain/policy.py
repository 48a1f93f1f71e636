"""Decide which requests to dial now, by which agent, and explain why each other request waits.

Everything here is a pure function of `Facts` and `now`. The worker that dials and the page that explains use the same
functions, so they always agree.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain.lifecycle import Outcome, Request, Status


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
    NO_DIALPLAN = "no_dialplan"  # the PBX does not run our dialplan
    NO_OUTBOUND = "no_outbound"  # the outbound context for customers is not set
    UNCERTAIN = "uncertain"
    POSTPONED = "postponed"
    RETRY = "retry"
    ALL_PAUSED = "all_paused"
    MANUAL = "manual"
    MIN_WAIT = "min_wait"
    NUMBER_BUSY = "number_busy"
    LIVE_CALLERS = "live_callers"
    LINE_RINGING = "line_ringing"
    LINE_IN_CALL = "line_in_call"
    LINE_DND = "line_dnd"
    LINE_OFFLINE = "line_offline"
    LINE_UNKNOWN = "line_unknown"
    REST = "rest"
    AGENT_PAUSE = "agent_pause"
    AGENT_IN_FLIGHT = "agent_in_flight"
    MEMBER_PAUSED = "member_paused"
    WRAPUP = "wrapup"
    NO_MEMBERS = "no_members"
    NO_AGENT_FREE = "no_agent_free"
    BEHIND_OTHERS = "behind_others"


@dataclass(frozen=True)
class Line:
    """The line of an extension, in `state` since `since`.

    `devices` are the devices that ring, in the form of a hint ("PJSIP/101&PJSIP/201"). `context` is the hint's context.
    """

    extension: str
    state: LineState
    since: datetime
    devices: str = ""
    context: str = ""


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
    live_callers: int = 0


@dataclass(frozen=True)
class Facts:
    """The state of the PBX, and the attempts in flight.

    `obstacle` blocks every call although the PBX is connected (NO_DIALPLAN, NO_OUTBOUND). `heartbeat` is the last
    heartbeat of the worker, None if there was none. The worker counts as stopped `stale_after` later. `agent_pauses`
    gives the time until which an agent is not rung again after a missed or refused call.
    """

    lines: Mapping[str, Line] = field(default_factory=dict)
    queues: Mapping[str, Queue] = field(default_factory=dict)
    connected: bool = True
    obstacle: ReasonCode | None = None
    heartbeat: datetime | None = None
    stale_after: timedelta = timedelta(seconds=15)
    all_paused: bool = False
    numbers_in_flight: frozenset[str] = frozenset()
    agents_in_flight: frozenset[str] = frozenset()
    agent_pauses: Mapping[str, datetime] = field(default_factory=dict)

    def worker_runs(self, now: datetime) -> bool:
        """Tell whether the worker's heartbeat is recent."""
        return self.heartbeat is not None and self.heartbeat + self.stale_after >= now


@dataclass(frozen=True)
class Reason:
    """Why a request waits. `until` is when the reason ends by itself, if known. `subject` is the extension."""

    code: ReasonCode
    until: datetime | None = None
    subject: str = ""
    outcome: Outcome | None = None


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


_LINE_REASONS = {
    LineState.RINGING: ReasonCode.LINE_RINGING,
    LineState.IN_CALL: ReasonCode.LINE_IN_CALL,
    LineState.DND: ReasonCode.LINE_DND,
    LineState.OFFLINE: ReasonCode.LINE_OFFLINE,
    LineState.UNKNOWN: ReasonCode.LINE_UNKNOWN,
}


def in_order(requests: Iterable[Request]) -> list[Request]:
    """Sort by "call now", then priority, then the time of the caller's first call."""
    return sorted(requests, key=lambda r: (not r.call_now, -r.priority, r.first_called_at or r.registered_at, r.id))


def decide(requests: Sequence[Request], facts: Facts, now: datetime) -> Plan:
    """Plan the calls to make now: at most one per request, agent and number."""
    numbers, agents = set(facts.numbers_in_flight), set(facts.agents_in_flight)
    dials: list[Dial] = []
    reasons: dict[int, Reason] = {}
    wakes: list[datetime] = []
    for request in in_order(r for r in requests if r.status is Status.WAITING):
        choice = _choose_agent(request, facts, now, numbers, agents)
        wakes += choice.wakes
        if choice.agent is None:
            reasons[request.id] = choice.reason
        else:
            dials.append(Dial(request, choice.agent))
            numbers.add(request.number)
            agents.add(choice.agent)
    return Plan(tuple(dials), reasons, min(wakes, default=None))


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
    registration.
    """
    start = request.registered_at if request.queue else request.free_at
    return None if start is None else max(start, request.registered_at) + request.rules.min_wait


def freed_at(request: Request, facts: Facts) -> datetime | None:
    """Return when a wanted extension was first free after the registration, None if none is free now."""
    times = [
        max(line.since, request.registered_at)
        for line in (facts.lines.get(extension) for extension in request.wanted)
        if line is not None and line.state is LineState.FREE
    ]
    return min(times, default=None)


@dataclass(frozen=True)
class _Choice:
    agent: str | None
    reason: Reason
    wakes: tuple[datetime, ...] = ()


def _choose_agent(
    request: Request, facts: Facts, now: datetime, numbers: Iterable[str], agents: Iterable[str]
) -> _Choice:
    blocked = _request_reason(request, facts, now, frozenset(numbers))
    if blocked is not None:
        return _Choice(None, blocked, () if blocked.until is None else (blocked.until,))
    reasons: list[Reason] = []
    busy_agents = frozenset(agents)
    for member in _candidates(request, facts, now):
        reason = _agent_reason(request, member, facts, now, busy_agents)
        if reason is None:
            return _Choice(member.extension, Reason(ReasonCode.BEHIND_OTHERS))
        reasons.append(reason)
    wakes = tuple(reason.until for reason in reasons if reason.until is not None)
    if len(reasons) == 1:
        return _Choice(None, reasons[0], wakes)
    code = ReasonCode.NO_AGENT_FREE if reasons else ReasonCode.NO_MEMBERS
    return _Choice(None, Reason(code, until=min(wakes, default=None), subject=request.target), wakes)


def _request_reason(request: Request, facts: Facts, now: datetime, numbers: frozenset[str]) -> Reason | None:
    """Return what blocks the request regardless of who is free."""
    if not facts.worker_runs(now):
        return Reason(ReasonCode.SERVICE_DOWN)
    if not facts.connected:
        return Reason(ReasonCode.NOT_CONNECTED)
    if facts.obstacle is not None:
        return Reason(facts.obstacle)
    if not request.call_now:  # "call now" skips waiting times and pauses only
        reason = _not_due_reason(request, facts, now)
        if reason is not None:
            return reason
    if request.number in numbers:
        return Reason(ReasonCode.NUMBER_BUSY)
    if request.queue and not request.call_now:
        queue = facts.queues.get(request.target)
        if queue is not None and queue.live_callers > 0:
            return Reason(ReasonCode.LIVE_CALLERS, subject=request.target)
    return None


def _not_due_reason(request: Request, facts: Facts, now: datetime) -> Reason | None:
    if request.postponed_until is not None and request.postponed_until > now:
        return Reason(ReasonCode.POSTPONED, until=request.postponed_until)
    if not request.rules.automatic:
        return Reason(ReasonCode.MANUAL)
    if facts.all_paused:
        return Reason(ReasonCode.ALL_PAUSED)
    if request.not_before is not None and request.not_before > now:
        return Reason(ReasonCode.RETRY, until=request.not_before, outcome=request.last_outcome)
    ends = min_wait_ends(request)
    # Before the waiting time starts, the line is not free: its state is the better reason.
    if ends is not None and ends > now:
        return Reason(ReasonCode.MIN_WAIT, until=ends)
    return None


def _candidates(request: Request, facts: Facts, now: datetime) -> list[Member]:
    """Return the agents who may serve the request, best first: by penalty, then by the longest free time."""
    if request.call_now and request.call_now_agent:
        return [Member(request.call_now_agent)]
    if request.queue:
        queue = facts.queues.get(request.target)
        members = list(queue.members) if queue is not None else []
    else:
        members = [Member(extension) for extension in request.wanted]

    def since(member: Member) -> datetime:
        line = facts.lines.get(member.extension)
        return line.since if line is not None else now

    return sorted(members, key=lambda member: (member.penalty, since(member)))


def _agent_reason(
    request: Request, member: Member, facts: Facts, now: datetime, busy_agents: frozenset[str]
) -> Reason | None:
    extension = member.extension
    line = facts.lines.get(extension)
    if extension in busy_agents:
        return Reason(ReasonCode.AGENT_IN_FLIGHT, subject=extension)
    if line is None:
        return Reason(ReasonCode.LINE_UNKNOWN, subject=extension)
    if line.state is not LineState.FREE:
        return Reason(_LINE_REASONS[line.state], subject=extension)
    if not request.queue and not request.call_now and request.free_at is None and request.rules.min_wait > timedelta(0):
        # The line has only just become free: the minimum waiting time starts now.
        return Reason(
            ReasonCode.MIN_WAIT,
            until=max(line.since, request.registered_at) + request.rules.min_wait,
            subject=extension,
        )
    if member.paused:
        return Reason(ReasonCode.MEMBER_PAUSED, subject=extension)
    rested = line.since + request.rules.rest
    if rested > now:
        return Reason(ReasonCode.REST, until=rested, subject=extension)
    if member.wrapup_until is not None and member.wrapup_until > now:
        return Reason(ReasonCode.WRAPUP, until=member.wrapup_until, subject=extension)
    pause = facts.agent_pauses.get(extension)
    if pause is not None and pause > now and not request.call_now:
        return Reason(ReasonCode.AGENT_PAUSE, until=pause, subject=extension)
    return None
