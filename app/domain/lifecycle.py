"""The life cycle of a call request: one total function over every status and event.

A request is *waiting* until an attempt is claimed for it, *dialling* while the attempt's phones ring, and *connected*
while agent and customer talk. It ends as *done*, *failed*, *cancelled* or *expired*. It is *uncertain* if nobody can
say how its attempt ended. An uncertain request is shown to a person and is never dialled again automatically.

Events name their attempt. An event of any other attempt than the current one is late or a duplicate, so it changes
nothing.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum


class Status(StrEnum):
    WAITING = "waiting"
    DIALLING = "dialling"
    CONNECTED = "connected"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    UNCERTAIN = "uncertain"


FINAL = frozenset({Status.DONE, Status.FAILED, Status.CANCELLED, Status.EXPIRED})
ACTIVE = frozenset(Status) - FINAL
IN_FLIGHT = frozenset({Status.DIALLING, Status.CONNECTED})


class Step(StrEnum):
    """The progress of an attempt. Members are in the order in which the steps happen."""

    CLAIMED = "claimed"
    AGENT_ANSWERED = "agent_answered"
    CUSTOMER_DIALLED = "customer_dialled"
    CONNECTED = "connected"

    @property
    def rank(self) -> int:
        return list(Step).index(self)


class Side(StrEnum):
    """Who an outcome counts against."""

    NOBODY = "nobody"
    AGENT = "agent"
    CUSTOMER = "customer"
    REACHED = "reached"
    UNCLEAR = "unclear"


class Outcome(StrEnum):
    """How an attempt ended."""

    NOT_STARTED = "not_started"  # nothing rang: the PBX refused the dial order or never got it
    AGENT_TAKEN = "agent_taken"  # another call took the agent's line at the same moment; nothing rang
    WITHDRAWN = "withdrawn"  # we hung up: the request was cancelled or closed meanwhile
    AGENT_BUSY = "agent_busy"
    AGENT_NO_ANSWER = "agent_no_answer"
    AGENT_REJECTED = "agent_rejected"
    AGENT_UNREACHABLE = "agent_unreachable"
    AGENT_REFUSED = "agent_refused"  # pressed 2: later
    AGENT_SILENT = "agent_silent"  # answered, but pressed no key
    AGENT_GONE = "agent_gone"  # answered, but hung up before the customer was dialled
    CUSTOMER_BUSY = "customer_busy"
    CUSTOMER_NO_ANSWER = "customer_no_answer"
    CUSTOMER_REJECTED = "customer_rejected"
    CUSTOMER_UNREACHABLE = "customer_unreachable"
    CUSTOMER_ABANDONED = "customer_abandoned"  # the agent hung up while the customer's phone rang
    CUSTOMER_UNKNOWN = "customer_unknown"  # dialled, but no result is known
    CONNECTED = "connected"
    UNCLEAR = "unclear"

    @property
    def side(self) -> Side:
        return _SIDES[self]


_SIDES: dict[Outcome, Side] = {
    Outcome.NOT_STARTED: Side.NOBODY,
    Outcome.AGENT_TAKEN: Side.NOBODY,
    Outcome.WITHDRAWN: Side.NOBODY,
    Outcome.CONNECTED: Side.REACHED,
    Outcome.UNCLEAR: Side.UNCLEAR,
} | {
    outcome: Side.AGENT if outcome.value.startswith("agent_") else Side.CUSTOMER
    for outcome in Outcome
    if outcome.value.startswith(("agent_", "customer_")) and outcome is not Outcome.AGENT_TAKEN
}

# The pause of an agent after an attempt in which nothing rang. Without it, a line that only looks free would be dialled
# in a tight loop.
RECOVERY_PAUSE = timedelta(seconds=5)


@dataclass(frozen=True)
class Rules:
    """The module's rules for its requests."""

    automatic: bool = True
    min_wait: timedelta = timedelta(0)
    rest: timedelta = timedelta(seconds=10)
    retries: int = 2
    retry_pause: timedelta = timedelta(minutes=5)
    agent_pause: timedelta = timedelta(seconds=60)
    expire_after: timedelta | None = None


@dataclass(frozen=True)
class Request:
    """A call request as the rules see it.

    `target` is the wanted extension, or "" for any of `extensions`. If `queue` is true, it is the name of the queue.
    `number` is E.164 ("+98…"), or an extension if the caller is internal. All times are aware datetimes in UTC.
    """

    id: int
    number: str
    registered_at: datetime
    queue: bool = False
    target: str = ""
    extensions: tuple[str, ...] = ()
    status: Status = Status.WAITING
    first_called_at: datetime | None = None
    free_at: datetime | None = None
    priority: int = 0
    customer_attempts: int = 0
    agent_misses: int = 0
    attempt: str | None = None
    step: Step | None = None
    not_before: datetime | None = None
    postponed_until: datetime | None = None
    call_now: bool = False
    call_now_agent: str | None = None
    last_outcome: Outcome | None = None
    rules: Rules = field(default_factory=Rules)

    @property
    def wanted(self) -> tuple[str, ...]:
        """The extensions that may serve the request. Empty for a queue: the PBX knows its members."""
        if self.queue:
            return ()
        return (self.target,) if self.target else self.extensions


@dataclass(frozen=True)
class Claimed:
    attempt: str


@dataclass(frozen=True)
class Progressed:
    attempt: str
    step: Step


@dataclass(frozen=True)
class Ended:
    attempt: str
    outcome: Outcome


@dataclass(frozen=True)
class Reached:
    """The office and the number talked in a call that Bazang did not make."""


@dataclass(frozen=True)
class Registered:
    """The same caller registered the same request again."""


@dataclass(frozen=True)
class CalledNow:
    agent: str | None = None


@dataclass(frozen=True)
class Postponed:
    until: datetime


@dataclass(frozen=True)
class Reassigned:
    """The request gets another target: an extension, a queue, or "" for any of the module's extensions."""

    queue: bool
    target: str


@dataclass(frozen=True)
class Prioritised:
    priority: int


@dataclass(frozen=True)
class Cancelled:
    pass


@dataclass(frozen=True)
class MarkedDone:
    pass


@dataclass(frozen=True)
class TimePassed:
    """Time passed, so the request may have expired."""


Event = (
    Claimed
    | Progressed
    | Ended
    | Reached
    | Registered
    | CalledNow
    | Postponed
    | Reassigned
    | Prioritised
    | Cancelled
    | MarkedDone
    | TimePassed
)


@dataclass(frozen=True)
class Decision:
    """The effect of an event on a request.

    `changed` is false if the event was late, repeated or not allowed: there is nothing to store. `hang_up` is the
    attempt whose call must be ended. `agent_pause_until` is the time until which its agent is not rung again.
    """

    request: Request
    changed: bool
    hang_up: str | None = None
    agent_pause_until: datetime | None = None


def transition(request: Request, event: Event, now: datetime) -> Decision:
    """Apply an event to a request. Total: every event has a result in every status."""
    if request.status in FINAL:
        return Decision(request, changed=False)
    match event:
        case Claimed(attempt):
            return _claim(request, attempt)
        case Progressed(attempt, step):
            return _progress(request, attempt, step)
        case Ended(attempt, outcome):
            return _end(request, attempt, outcome, now)
        case Reached() | MarkedDone():
            return _finish(request, Status.DONE)
        case Cancelled():
            return _finish(request, Status.CANCELLED)
        case TimePassed():
            return _expire(request, now)
        case Registered():
            return _reschedule(request, not_before=None)
        case CalledNow(agent):
            return _reschedule(request, call_now=True, call_now_agent=agent)
        case Reassigned(queue, target):
            return _reassign(request, queue, target)
        case Prioritised(priority):
            return Decision(replace(request, priority=priority), changed=priority != request.priority)
    return _reschedule(request, postponed_until=event.until, call_now=False, call_now_agent=None)


def _unchanged(request: Request) -> Decision:
    return Decision(request, changed=False)


def _claim(request: Request, attempt: str) -> Decision:
    if request.status is not Status.WAITING:
        return _unchanged(request)
    claimed = replace(
        request,
        status=Status.DIALLING,
        attempt=attempt,
        step=Step.CLAIMED,
        call_now=False,
        call_now_agent=None,
    )
    return Decision(claimed, changed=True)


def _progress(request: Request, attempt: str, step: Step) -> Decision:
    current = request.step
    if request.status not in IN_FLIGHT or request.attempt != attempt or current is None or step.rank <= current.rank:
        return _unchanged(request)
    status = Status.CONNECTED if step is Step.CONNECTED else request.status
    return Decision(replace(request, step=step, status=status), changed=True)


def _end(request: Request, attempt: str, outcome: Outcome, now: datetime) -> Decision:
    # An uncertain request keeps its attempt, so that a late result can still decide it.
    if request.status is Status.WAITING or request.attempt != attempt:
        return _unchanged(request)
    if request.status is Status.UNCERTAIN and outcome.side is Side.UNCLEAR:
        return _unchanged(request)
    if request.status is Status.CONNECTED:
        outcome = Outcome.CONNECTED  # they talked; no later event changes that
    ended = replace(request, attempt=None, step=None, last_outcome=outcome, status=Status.WAITING)
    rules = request.rules
    match outcome.side:
        case Side.REACHED:
            return Decision(replace(ended, status=Status.DONE), changed=True)
        case Side.UNCLEAR:
            return Decision(replace(ended, status=Status.UNCERTAIN, attempt=attempt), changed=True)
        case Side.CUSTOMER:
            attempts = request.customer_attempts + 1
            if attempts > rules.retries:
                return Decision(replace(ended, status=Status.FAILED, customer_attempts=attempts), changed=True)
            later = replace(ended, customer_attempts=attempts, not_before=now + rules.retry_pause)
            return Decision(later, changed=True)
        case Side.AGENT:
            missed = replace(ended, agent_misses=request.agent_misses + 1)
            return Decision(missed, changed=True, agent_pause_until=now + rules.agent_pause)
    return Decision(ended, changed=True, agent_pause_until=now + RECOVERY_PAUSE)


def _finish(request: Request, status: Status) -> Decision:
    if request.status is Status.CONNECTED:
        return _unchanged(request)  # they are talking: the end of the call closes the request
    in_flight = request.attempt if request.status is Status.DIALLING else None
    finished = replace(request, status=status, attempt=None, step=None, call_now=False, call_now_agent=None)
    return Decision(finished, changed=True, hang_up=in_flight)


def _expire(request: Request, now: datetime) -> Decision:
    limit = request.rules.expire_after
    if limit is None or request.status in IN_FLIGHT or now < request.registered_at + limit:
        return _unchanged(request)
    return _finish(request, Status.EXPIRED)


def _reassign(request: Request, queue: bool, target: str) -> Decision:
    if (queue, target) == (request.queue, request.target):
        return _unchanged(request)
    # "Call now" and the time at which the line became free belonged to the old target.
    return _reschedule(request, queue=queue, target=target, free_at=None, call_now=False, call_now_agent=None)


def _reschedule(request: Request, **changes: object) -> Decision:
    """Apply a person's change to a request that is not in flight. An uncertain request waits again."""
    if request.status in IN_FLIGHT:
        return _unchanged(request)
    changed = replace(request, status=Status.WAITING, attempt=None, step=None, **changes)  # type: ignore[arg-type]
    return Decision(changed, changed=changed != request)
