"""Who may be dialled now, by which agent, in which order, and why each other request waits.

Everything here is a pure function of what is known (`Facts`) and the moment (`now`), so the worker that dials and the
page that explains can never disagree.
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
    """Why a request waits. The words for it are the panel's."""

    SERVICE_DOWN = "service_down"
    NOT_CONNECTED = "not_connected"
    NO_DIALPLAN = "no_dialplan"  # the exchange does not run our dialplan
    NO_OUTBOUND = "no_outbound"  # nobody said through which context customers are dialled
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
    """An extension's line; `since` is the moment at which it came into this state.

    `devices` are those that ring, as its hint names them ("PJSIP/101&PJSIP/201"), `context` is where that hint stands.
    """

    extension: str
    state: LineState
    since: datetime
    devices: str = ""
    context: str = ""


@dataclass(frozen=True)
class Member:
    """A member of a queue. `wrapup_until` is None where no wrap-up runs; `name` decides nothing."""

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
    """What is known of the exchange and of the attempts under way.

    `obstacle` is what keeps every call from being made though the exchange is there (NO_DIALPLAN, NO_OUTBOUND);
    `heartbeat` is the telephone service's last sign of life (None: never seen); it counts as dead `stale_after` later.
    `agent_pauses` tells until when an agent is left alone after a missed or refused call.
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

    def service_runs(self, now: datetime) -> bool:
        """Tell whether the telephone service gave a sign of life lately."""
        return self.heartbeat is not None and self.heartbeat + self.stale_after >= now


@dataclass(frozen=True)
class Reason:
    """`until`: the moment at which it ends by itself, where that is known; `subject`: the extension it is about."""

    why: ReasonCode
    until: datetime | None = None
    subject: str = ""
    outcome: Outcome | None = None


@dataclass(frozen=True)
class Dial:
    """An order to ring `agent` for the request."""

    request: Request
    agent: str


@dataclass(frozen=True)
class Plan:
    """What to dial now, why each other waiting request does not go, and the next moment that may change it."""

    dials: tuple[Dial, ...]
    reasons: Mapping[int, Reason]
    wake_at: datetime | None


_LINE_WHY = {
    LineState.RINGING: ReasonCode.LINE_RINGING,
    LineState.IN_CALL: ReasonCode.LINE_IN_CALL,
    LineState.DND: ReasonCode.LINE_DND,
    LineState.OFFLINE: ReasonCode.LINE_OFFLINE,
    LineState.UNKNOWN: ReasonCode.LINE_UNKNOWN,
}


def in_order(requests: Iterable[Request]) -> list[Request]:
    """Sort by priority, a person's wish to call now, then the moment at which each caller first called."""
    return sorted(requests, key=lambda r: (not r.call_now, -r.priority, r.first_called_at or r.registered_at, r.id))


def decide(requests: Sequence[Request], facts: Facts, now: datetime) -> Plan:
    """Plan the dials of this moment: at most one per request, agent and number."""
    numbers, agents = set(facts.numbers_in_flight), set(facts.agents_in_flight)
    dials: list[Dial] = []
    reasons: dict[int, Reason] = {}
    wakes: list[datetime] = []
    for request in in_order(r for r in requests if r.status is Status.WAITING):
        verdict = _choose_agent(request, facts, now, numbers, agents)
        wakes += verdict.wakes
        if verdict.agent is None:
            reasons[request.id] = verdict.reason
        else:
            dials.append(Dial(request, verdict.agent))
            numbers.add(request.number)
            agents.add(verdict.agent)
    return Plan(tuple(dials), reasons, min(wakes, default=None))


def explain(request: Request, facts: Facts, now: datetime) -> Reason | None:
    """Say why `request` is not being dialled; None where nothing holds it, or where it does not wait any more."""
    if request.status is Status.UNCERTAIN:
        return Reason(ReasonCode.UNCERTAIN)
    if request.status is not Status.WAITING:
        return None
    verdict = _choose_agent(request, facts, now, facts.numbers_in_flight, facts.agents_in_flight)
    return verdict.reason if verdict.agent is None else None


def min_wait_ends(request: Request) -> datetime | None:
    """Return when the minimum waiting time is over; None while its count has not begun.

    It counts from the registration for a queue, and for an extension from the first moment after the registration at
    which the extension was free.
    """
    start = request.registered_at if request.queue else request.free_at
    return None if start is None else max(start, request.registered_at) + request.rules.min_wait


def freed_at(request: Request, facts: Facts) -> datetime | None:
    """Return the first moment after the registration at which a wanted extension was free, as far as `facts` tell."""
    moments = [
        max(line.since, request.registered_at)
        for line in (facts.lines.get(extension) for extension in request.wanted)
        if line is not None and line.state is LineState.FREE
    ]
    return min(moments, default=None)


@dataclass(frozen=True)
class _Choice:
    agent: str | None
    reason: Reason
    wakes: tuple[datetime, ...] = ()


def _choose_agent(
    request: Request, facts: Facts, now: datetime, numbers: Iterable[str], agents: Iterable[str]
) -> _Choice:
    held = _request_reason(request, facts, now, frozenset(numbers))
    if held is not None:
        return _Choice(None, held, () if held.until is None else (held.until,))
    reasons: list[Reason] = []
    taken = frozenset(agents)
    for member in _candidates(request, facts, now):
        reason = _agent_reason(request, member, facts, now, taken)
        if reason is None:
            return _Choice(member.extension, Reason(ReasonCode.BEHIND_OTHERS))
        reasons.append(reason)
    wakes = tuple(reason.until for reason in reasons if reason.until is not None)
    if len(reasons) == 1:
        return _Choice(None, reasons[0], wakes)
    why = ReasonCode.NO_AGENT_FREE if reasons else ReasonCode.NO_MEMBERS
    return _Choice(None, Reason(why, until=min(wakes, default=None), subject=request.target), wakes)


def _request_reason(request: Request, facts: Facts, now: datetime, numbers: frozenset[str]) -> Reason | None:
    """What keeps the request from being dialled whoever is free."""
    if not facts.service_runs(now):
        return Reason(ReasonCode.SERVICE_DOWN)
    if not facts.connected:
        return Reason(ReasonCode.NOT_CONNECTED)
    if facts.obstacle is not None:
        return Reason(facts.obstacle)
    if not request.call_now:  # a person's wish skips waiting times and pauses, and nothing that follows them
        held = _not_due(request, facts, now)
        if held is not None:
            return held
    if request.number in numbers:
        return Reason(ReasonCode.NUMBER_BUSY)
    if request.queue and not request.call_now:
        queue = facts.queues.get(request.target)
        if queue is not None and queue.live_callers > 0:
            return Reason(ReasonCode.LIVE_CALLERS, subject=request.target)
    return None


def _not_due(request: Request, facts: Facts, now: datetime) -> Reason | None:
    if request.postponed_until is not None and request.postponed_until > now:
        return Reason(ReasonCode.POSTPONED, until=request.postponed_until)
    if not request.rules.automatic:
        return Reason(ReasonCode.MANUAL)
    if facts.all_paused:
        return Reason(ReasonCode.ALL_PAUSED)
    if request.not_before is not None and request.not_before > now:
        return Reason(ReasonCode.RETRY, until=request.not_before, outcome=request.last_outcome)
    ends = min_wait_ends(request)
    # Before its count has begun the line's own state is the better answer, and keeps the request waiting anyway.
    if ends is not None and ends > now:
        return Reason(ReasonCode.MIN_WAIT, until=ends)
    return None


def _candidates(request: Request, facts: Facts, now: datetime) -> list[Member]:
    """The agents who may serve the request, the best first: by penalty, then by who has been free the longest."""
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
    request: Request, member: Member, facts: Facts, now: datetime, taken: frozenset[str]
) -> Reason | None:
    extension = member.extension
    line = facts.lines.get(extension)
    if extension in taken:
        return Reason(ReasonCode.AGENT_IN_FLIGHT, subject=extension)
    if line is None:
        return Reason(ReasonCode.LINE_UNKNOWN, subject=extension)
    if line.state is not LineState.FREE:
        return Reason(_LINE_WHY[line.state], subject=extension)
    if not request.queue and not request.call_now and request.free_at is None and request.rules.min_wait > timedelta(0):
        # The line has only just become free: its moment starts the count of the minimum waiting time.
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
