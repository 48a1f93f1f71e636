"""The life of a call request: one total function over every status and event.

A request is *waiting* until an attempt is claimed for it, *dialling* while the attempt's phones ring, *connected* while
the two talk, and ends as *done*, *failed*, *cancelled* or *expired*. *Uncertain* is an attempt of which nobody can say
how it ended: it is shown to a person and never dialled again by itself.

Events name the attempt they speak of. One that speaks of another attempt than the request's present one is late or a
duplicate, and changes nothing.
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
    """How far an attempt has come. The order of the members is the order of the steps."""

    CLAIMED = "claimed"
    AGENT_ANSWERED = "agent_answered"
    CUSTOMER_DIALLED = "customer_dialled"
    CONNECTED = "connected"

    @property
    def rank(self) -> int:
        return list(Step).index(self)


class Side(StrEnum):
    """Whom an outcome is counted against."""

    NOBODY = "nobody"
    AGENT = "agent"
    CUSTOMER = "customer"
    REACHED = "reached"
    UNCLEAR = "unclear"


class Outcome(StrEnum):
    """How an attempt ended."""

    NOT_STARTED = "not_started"  # nothing rang: the order to dial was refused or never arrived
    AGENT_TAKEN = "agent_taken"  # another call took the agent's line in the same instant; nothing rang
    WITHDRAWN = "withdrawn"  # we hung up ourselves: cancelled, or reached otherwise
    AGENT_BUSY = "agent_busy"
    AGENT_NO_ANSWER = "agent_no_answer"
    AGENT_REJECTED = "agent_rejected"
    AGENT_UNREACHABLE = "agent_unreachable"
    AGENT_REFUSED = "agent_refused"  # pressed 2: later
    AGENT_SILENT = "agent_silent"  # answered, and pressed no key
    AGENT_GONE = "agent_gone"  # answered, and hung up before the customer was dialled
    CUSTOMER_BUSY = "customer_busy"
    CUSTOMER_NO_ANSWER = "customer_no_answer"
    CUSTOMER_REJECTED = "customer_rejected"
    CUSTOMER_UNREACHABLE = "customer_unreachable"
    CUSTOMER_ABANDONED = "customer_abandoned"  # the agent hung up while the customer's phone rang
    CUSTOMER_UNKNOWN = "customer_unknown"  # dialled, and no result is on record
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

# After an attempt in which nothing rang the agent is left alone this long, so that a line which only looks free
# cannot make us dial in a circle.
RECOVERY_PAUSE = timedelta(seconds=5)


@dataclass(frozen=True)
class Rules:
    """What the module says about its requests."""

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

    `target` is the wanted extension, or "" for any of `extensions`; it is the queue's name where `queue` is true.
    `number` is E.164 ("+98…") or, for a caller from inside, an extension. All moments are aware datetimes in UTC.
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
        """The extensions that may serve it; empty for a queue, whose members are the exchange's to say."""
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
    """The office and the number talked in a call of their own."""


@dataclass(frozen=True)
class Registered:
    """The same caller asked again for the same thing."""


@dataclass(frozen=True)
class CalledNow:
    agent: str | None = None


@dataclass(frozen=True)
class Postponed:
    until: datetime


@dataclass(frozen=True)
class Reassigned:
    """Somebody else is to serve it: an extension, a queue, or ("") any of the module's extensions."""

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
    """The clock moved: the request may have outlived its time."""


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
    """What an event makes of a request.

    `changed` is false where the event was late, repeated or out of place: nothing is to be stored.
    `hang_up` names the attempt whose call must be ended; `agent_pause_until` is how long its agent is left alone.
    """

    request: Request
    changed: bool
    hang_up: str | None = None
    agent_pause_until: datetime | None = None


def transition(request: Request, event: Event, now: datetime) -> Decision:
    """Say what `event` makes of `request`. Total: every event is answered in every status."""
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
            return _awaken(request, not_before=None)
        case CalledNow(agent):
            return _awaken(request, call_now=True, call_now_agent=agent)
        case Reassigned(queue, target):
            return _reassign(request, queue, target)
        case Prioritised(priority):
            return Decision(replace(request, priority=priority), changed=priority != request.priority)
    return _awaken(request, postponed_until=event.until, call_now=False, call_now_agent=None)


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
    known = request.step
    if request.status not in IN_FLIGHT or request.attempt != attempt or known is None or step.rank <= known.rank:
        return _unchanged(request)
    status = Status.CONNECTED if step is Step.CONNECTED else request.status
    return Decision(replace(request, step=step, status=status), changed=True)


def _end(request: Request, attempt: str, outcome: Outcome, now: datetime) -> Decision:
    # An uncertain request keeps its attempt: should the truth arrive after all, it is taken.
    if request.status is Status.WAITING or request.attempt != attempt:
        return _unchanged(request)
    if request.status is Status.UNCERTAIN and outcome.side is Side.UNCLEAR:
        return _unchanged(request)
    if request.status is Status.CONNECTED:
        outcome = Outcome.CONNECTED  # they talked; nothing that comes later takes that back
    ended = replace(request, attempt=None, step=None, last_outcome=outcome, status=Status.WAITING)
    rules = request.rules
    match outcome.side:
        case Side.REACHED:
            return Decision(replace(ended, status=Status.DONE), changed=True)
        case Side.UNCLEAR:
            return Decision(replace(ended, status=Status.UNCERTAIN, attempt=attempt), changed=True)
        case Side.CUSTOMER:
            tried = request.customer_attempts + 1
            if tried > rules.retries:
                return Decision(replace(ended, status=Status.FAILED, customer_attempts=tried), changed=True)
            later = replace(ended, customer_attempts=tried, not_before=now + rules.retry_pause)
            return Decision(later, changed=True)
        case Side.AGENT:
            missed = replace(ended, agent_misses=request.agent_misses + 1)
            return Decision(missed, changed=True, agent_pause_until=now + rules.agent_pause)
    return Decision(ended, changed=True, agent_pause_until=now + RECOVERY_PAUSE)


def _finish(request: Request, status: Status) -> Decision:
    if request.status is Status.CONNECTED:
        return _unchanged(request)  # they are talking: the call's own end will close it
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
    # The wish to call now was for the one before, and so was the moment at which the line was free.
    return _awaken(request, queue=queue, target=target, free_at=None, call_now=False, call_now_agent=None)


def _awaken(request: Request, **changes: object) -> Decision:
    """Apply what a person wishes to a request that no phone rings for; an uncertain one waits again."""
    if request.status in IN_FLIGHT:
        return _unchanged(request)
    awake = replace(request, status=Status.WAITING, attempt=None, step=None, **changes)  # type: ignore[arg-type]
    return Decision(awake, changed=awake != request)
