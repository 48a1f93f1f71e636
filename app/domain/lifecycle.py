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
from typing import Any

from app.domain import module_defaults
from app.domain.agent_order import AgentOrder
from app.domain.backoff import growing_pause
from app.domain.hours import AtClosing
from app.domain.number_policy import Source
from app.domain.place_in_line import PlaceRule


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
REOPENABLE = frozenset({Status.FAILED, Status.EXPIRED})  # nobody decided that these end
IN_FLIGHT = frozenset({Status.DIALLING, Status.CONNECTED})
UNDOABLE = ACTIVE - IN_FLIGHT  # a change that begins here can be undone


class Step(StrEnum):
    """The progress of an attempt. Members are in the order in which the steps happen.

    If the customer is rung first, the agent answers between `CUSTOMER_WAITS` and `CONNECTED`. That is no progress.
    """

    CLAIMED = "claimed"
    AGENT_ANSWERED = "agent_answered"
    CUSTOMER_DIALLED = "customer_dialled"
    CUSTOMER_WAITS = "customer_waits"  # rung first: has answered, and waits for the agent
    CONNECTED = "connected"

    @property
    def rank(self) -> int:
        return list(Step).index(self)


class Side(StrEnum):
    """Who an outcome counts against."""

    NOBODY = "nobody"
    AGENT = "agent"
    CUSTOMER = "customer"
    WISH = "wish"  # nobody: the customer answered and said what becomes of the request
    ROUTE = "route"
    REACHED = "reached"
    UNCLEAR = "unclear"


class Outcome(StrEnum):
    """How an attempt ended."""

    NOT_STARTED = "not_started"  # nothing rang: the PBX refused the dial order or never got it
    AGENT_TAKEN = "agent_taken"  # another call took the agent's line at the same moment; nothing rang
    WITHDRAWN = "withdrawn"  # we hung up: the request was cancelled or closed meanwhile
    INTERRUPTED = "interrupted"  # the PBX died while the agent's phone rang
    AGENT_BUSY = "agent_busy"
    AGENT_NO_ANSWER = "agent_no_answer"
    AGENT_REJECTED = "agent_rejected"
    AGENT_UNREACHABLE = "agent_unreachable"
    AGENT_REFUSED = "agent_refused"  # pressed 2: later
    AGENT_SILENT = "agent_silent"  # answered, but pressed no key
    AGENT_GONE = "agent_gone"  # answered, but hung up before the customer was dialled
    AGENT_MISSED_CUSTOMER = "agent_missed_customer"  # the customer was rung first and waited, but no agent came
    CUSTOMER_BUSY = "customer_busy"
    CUSTOMER_NO_ANSWER = "customer_no_answer"
    CUSTOMER_REJECTED = "customer_rejected"
    CUSTOMER_UNREACHABLE = "customer_unreachable"
    CUSTOMER_ABANDONED = "customer_abandoned"  # the agent hung up before the customer was connected
    CUSTOMER_SILENT = "customer_silent"  # answered and was asked, but pressed no key: a mailbox, for example
    CUSTOMER_GONE = "customer_gone"  # answered, but hung up while being asked, or while waiting for the agent
    CUSTOMER_LATER = "customer_later"  # pressed 2: later
    CUSTOMER_DECLINED = "customer_declined"  # pressed 9: no longer wanted
    CUSTOMER_UNKNOWN = "customer_unknown"  # dialled, but no result is known
    CUSTOMER_EMERGENCY = "customer_emergency"  # our dialplan refused to dial an emergency number
    CUSTOMER_NOT_ALLOWED = "customer_not_allowed"  # our dialplan refused to dial any other number
    ROUTE_MISSING = "route_missing"  # the outbound context has no way to this number, or dialled nothing
    ROUTE_UNAVAILABLE = "route_unavailable"  # the trunk could not be reached
    ROUTE_CONGESTED = "route_congested"  # no free line
    ROUTE_FORBIDDEN = "route_forbidden"  # the provider refuses our calls
    ROUTE_FAILED = "route_failed"  # any other failure before the customer's phone
    TALK_TOO_SHORT = "talk_too_short"  # agent and customer were connected, but shorter than the shortest talk
    CONNECTED = "connected"
    UNCLEAR = "unclear"

    @property
    def side(self) -> Side:
        return _SIDES[self]

    @property
    def rang(self) -> bool:
        """Whether a phone rang, or may have rung, long enough for somebody to answer."""
        return self not in _NOTHING_RANG


_NOTHING_RANG = frozenset(
    {
        Outcome.NOT_STARTED,
        Outcome.AGENT_TAKEN,
        Outcome.WITHDRAWN,
        Outcome.INTERRUPTED,  # something did, but nobody could answer
        Outcome.AGENT_UNREACHABLE,
    }
)

_SIDES: dict[Outcome, Side] = {
    outcome: side
    for outcome in Outcome
    for prefix, side in (("agent_", Side.AGENT), ("customer_", Side.CUSTOMER), ("route_", Side.ROUTE))
    if outcome.value.startswith(prefix)
} | {
    Outcome.NOT_STARTED: Side.NOBODY,
    Outcome.AGENT_TAKEN: Side.NOBODY,
    Outcome.WITHDRAWN: Side.NOBODY,
    Outcome.INTERRUPTED: Side.NOBODY,
    Outcome.TALK_TOO_SHORT: Side.CUSTOMER,  # the customer's phone rang, so this uses up a retry
    Outcome.CUSTOMER_LATER: Side.WISH,
    Outcome.CUSTOMER_DECLINED: Side.WISH,
    Outcome.CONNECTED: Side.REACHED,
    Outcome.UNCLEAR: Side.UNCLEAR,
}

# How an attempt ends in which a customer who was rung first perhaps waited in vain.
_LEFT_ALONE = frozenset(
    {Outcome.AGENT_MISSED_CUSTOMER, Outcome.CUSTOMER_GONE, Outcome.CUSTOMER_UNKNOWN, Outcome.UNCLEAR}
)

# How an attempt can end once agent and customer were connected.
_AFTER_CONNECTION = frozenset({Outcome.TALK_TOO_SHORT, Outcome.CONNECTED, Outcome.UNCLEAR})

# The first pause of an agent after an attempt in which nothing rang. Without it, a line that only looks free would be
# dialled in a tight loop.
RECOVERY_PAUSE = timedelta(seconds=5)
# The first pause of a request after the route failed. Often the route itself pauses longer; a number that the provider
# refuses only waits alone.
ROUTE_PAUSE = timedelta(seconds=30)
CALL_NOW_LASTS = timedelta(hours=1)


@dataclass(frozen=True)
class Fallback:
    """An extension or a queue that may serve a request, too, when it has waited for so long."""

    queue: bool
    target: str
    after: timedelta


@dataclass(frozen=True)
class Rules:
    """The module's rules for its requests.

    `retry_pauses` are the pauses after the first, the second, … attempt of the customer. The last one is used again for
    all further attempts. `busy_pause` is used instead of it after an attempt at which the customer was busy, None if
    this makes no difference.
    """

    automatic: bool = True
    min_wait: timedelta = timedelta(seconds=module_defaults.MIN_WAIT)
    rest: timedelta = timedelta(seconds=module_defaults.REST)
    retries: int = module_defaults.RETRIES
    retry_pauses: tuple[timedelta, ...] = tuple(timedelta(seconds=pause) for pause in module_defaults.RETRY_PAUSES)
    busy_pause: timedelta | None = timedelta(seconds=module_defaults.BUSY_PAUSE)
    agent_pause: timedelta = timedelta(seconds=module_defaults.AGENT_PAUSE)
    expire_after: timedelta | None = None
    place: PlaceRule = field(default_factory=PlaceRule)
    at_closing: AtClosing = AtClosing.CARRY_OVER
    agent_order: AgentOrder = AgentOrder.LONGEST_IDLE  # of several extensions; a queue has its penalties
    preferred_for: timedelta = timedelta(0)  # how long a request waits for its preferred agent alone
    fallback: Fallback | None = None

    def retry_pause(self, attempts: int, outcome: Outcome) -> timedelta:
        """Return the pause after this many attempts of the customer, the last of which ended with this outcome."""
        if outcome is Outcome.CUSTOMER_BUSY and self.busy_pause is not None:
            return self.busy_pause
        return self.retry_pauses[min(attempts, len(self.retry_pauses)) - 1]

    @property
    def longest_retry_pause(self) -> timedelta:
        return max(*self.retry_pauses, self.busy_pause or timedelta(0))


@dataclass(frozen=True)
class Request:
    """A call request as the rules see it.

    `target` is the wanted extension, or "" for any of `extensions`. If `queue` is true, it is the name of the queue.
    `number` is E.164 ("+98…"), or an extension if the caller is internal; it came from `source`. All times are aware
    datetimes in UTC. `call_now_at` is when a person asked for "call now". It is wanted until a phone rang or
    CALL_NOW_LASTS has passed. `registered_again_at` is the last time at which the caller registered it again. `again`
    is true if that was during the attempt in flight, and the attempt has not answered it. `reopened_at` is when a
    person last reopened it. `module` is None if it is deleted. `time_chosen` is true if `postponed_until` is the time
    that was chosen when the request was registered. `preferred` is the agent who talked with the number last, "" if
    none of those who may serve the request did, or if they have missed or refused it. `fell_back` is true when the
    request has waited so long that the fallback of its module may serve it, too. `agent_first` is true once the
    customer was rung first and perhaps waited in vain.
    """

    id: int
    number: str
    registered_at: datetime
    source: Source = Source.CALLER_ID
    queue: bool = False
    target: str = ""
    extensions: tuple[str, ...] = ()
    status: Status = Status.WAITING
    first_called_at: datetime | None = None
    free_at: datetime | None = None
    priority: int = 0
    customer_attempts: int = 0
    agent_misses: int = 0
    route_failures: int = 0
    attempt: str | None = None
    step: Step | None = None
    not_before: datetime | None = None
    postponed_until: datetime | None = None
    time_chosen: bool = False
    call_now: bool = False
    call_now_agent: str | None = None
    call_now_at: datetime | None = None
    last_outcome: Outcome | None = None
    registered_again_at: datetime | None = None
    again: bool = False
    reopened_at: datetime | None = None
    module: int | None = None
    preferred: str = ""
    fell_back: bool = False
    agent_first: bool = False
    rules: Rules = field(default_factory=Rules)

    @property
    def opened_at(self) -> datetime:
        """When the request was last registered or reopened: the misses in a row count from there."""
        return max(filter(None, (self.registered_at, self.registered_again_at, self.reopened_at)))

    @property
    def wanted_since(self) -> datetime:
        """When somebody last wanted it to be called: the expiry counts from there, and the turn after an opening."""
        return max(filter(None, (self.opened_at, self.postponed_until)))

    @property
    def min_wait(self) -> timedelta:
        """The minimum waiting time. Somebody who chose a time expects the call then."""
        return timedelta(0) if self.time_chosen else self.rules.min_wait

    @property
    def expires_at(self) -> datetime | None:
        """When the request is given up, None if never."""
        return None if self.rules.expire_after is None else self.wanted_since + self.rules.expire_after

    @property
    def fallback(self) -> Fallback | None:
        """The fallback that may serve the request, too, None if there is none or it has not waited long enough."""
        return self.rules.fallback if self.fell_back else None

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
class Failures:
    """How often an agent has failed in a row, this attempt included.

    `for_request` counts the attempts for this request. `in_all` counts those in which no phone of the agent rang, for
    any request. Of these, the request with the most attempts counts once: it may itself be the reason.
    """

    for_request: int = 1
    in_all: int = 1


@dataclass(frozen=True)
class Ended:
    attempt: str
    outcome: Outcome
    failures: Failures = Failures()


@dataclass(frozen=True)
class Reached:
    """The office and the number talked in a call that Bazang did not make."""


@dataclass(frozen=True)
class Registered:
    """The same caller registered the same request again, for the time `at`, None: as soon as possible."""

    at: datetime | None = None


@dataclass(frozen=True)
class CalledNow:
    agent: str | None = None


@dataclass(frozen=True)
class CallNowWithdrawn:
    """Nobody wants the request to be called now any more.

    `uncertain`: it was uncertain before somebody wanted it, and nothing has rung since.
    """

    uncertain: bool = False


@dataclass(frozen=True)
class Postponed:
    until: datetime


@dataclass(frozen=True)
class Reassigned:
    """The request gets another target: an extension, a queue, or "" for any of the module's extensions."""

    queue: bool
    target: str


@dataclass(frozen=True)
class FellBack:
    """The request has waited so long that its fallback may serve it, too."""


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
class Reopened:
    """A request that failed or expired waits again."""


@dataclass(frozen=True)
class Undone:
    """A person undoes the last change of the request. `before` is the request as it was before that change."""

    before: Request


@dataclass(frozen=True)
class TimePassed:
    """Time passed, so the request may have expired, or be given up.

    `closed_at` is when the office last closed, None if never.
    """

    closed_at: datetime | None = None


Event = (
    Claimed
    | Progressed
    | Ended
    | Reached
    | Registered
    | CalledNow
    | CallNowWithdrawn
    | Postponed
    | Reassigned
    | FellBack
    | Prioritised
    | Cancelled
    | MarkedDone
    | Reopened
    | Undone
    | TimePassed
)


@dataclass(frozen=True)
class Decision:
    """The effect of an event on a request.

    `changed` is false if the event was late, repeated or not allowed: there is nothing to store. `hang_up` is the
    attempt whose call must be ended. `agent_pause_until` is the time until which its agent is not rung again, and
    `request_pause_until` the time until which this agent is not rung again for this request.
    """

    request: Request
    changed: bool
    hang_up: str | None = None
    agent_pause_until: datetime | None = None
    request_pause_until: datetime | None = None


def talk_outcome(at_least: float, at_most: float | None, shortest: float) -> Outcome:
    """Return the outcome of an attempt whose agent and customer were connected for a time between these seconds.

    `at_most` is None if nobody knows. A talk that may have lasted `shortest` seconds is never repeated.
    """
    if at_least >= shortest:
        return Outcome.CONNECTED
    return Outcome.UNCLEAR if at_most is None or at_most >= shortest else Outcome.TALK_TOO_SHORT


def transition(request: Request, event: Event, now: datetime) -> Decision:
    """Apply an event to a request. Total: every event has a result in every status."""
    if isinstance(event, Reopened):
        return _reopen(request, now)
    if isinstance(event, Undone):
        return _undo(request, event.before, now)
    if request.status in FINAL:
        return _unchanged(request)
    match event:
        case Claimed(attempt):
            return _claim(request, attempt)
        case Progressed(attempt, step):
            return _progress(request, attempt, step, now)
        case Ended(attempt, outcome, failures):
            return _end(request, attempt, outcome, failures, now)
        case Reached() | MarkedDone():
            return _finish(request, Status.DONE)
        case Cancelled():
            return _finish(request, Status.CANCELLED)
        case TimePassed(closed_at):
            return _expire(request, closed_at, now)
        case Registered(at):
            return _register_again(request, at, now)
        case CalledNow(agent):
            if _is_called_now(request, agent):  # what was tried since then does not start again
                return _unchanged(request)
            return _reschedule(request, call_now=True, call_now_agent=agent, call_now_at=now)
        case CallNowWithdrawn(uncertain):
            return _withdraw_call_now(request, uncertain)
        case Reassigned(queue, target):
            return _reassign(request, queue, target)
        case FellBack():
            may_fall_back = request.status is Status.WAITING and not request.fell_back and bool(request.rules.fallback)
            return Decision(replace(request, fell_back=True), changed=True) if may_fall_back else _unchanged(request)
        case Prioritised(priority):
            return Decision(replace(request, priority=priority), changed=priority != request.priority)
    return _reschedule(request, postponed_until=event.until, time_chosen=False, call_now=False)


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
        again=False,
    )
    return Decision(claimed, changed=True)


def _progress(request: Request, attempt: str, step: Step, now: datetime) -> Decision:
    current = request.step
    if request.status not in IN_FLIGHT or request.attempt != attempt or current is None or step.rank <= current.rank:
        return _unchanged(request)
    progressed = replace(_without_call_now(request), step=step)
    if step is Step.CONNECTED:  # the talk answers whatever was registered before it
        progressed = replace(progressed, status=Status.CONNECTED, again=_registered_after(request, now))
    return Decision(progressed, changed=True)


def _end(request: Request, attempt: str, outcome: Outcome, failures: Failures, now: datetime) -> Decision:
    # An uncertain request keeps its attempt and its step, so that a late result can still decide it.
    if request.status is Status.WAITING or request.attempt != attempt:
        return _unchanged(request)
    if request.step is Step.CONNECTED and outcome not in _AFTER_CONNECTION:
        outcome = Outcome.UNCLEAR  # somebody answered, so nobody is called again without knowing more
    if request.status is Status.UNCERTAIN and outcome.side is Side.UNCLEAR:
        return _unchanged(request)
    ended = replace(request, attempt=None, step=None, last_outcome=outcome, status=Status.WAITING, again=False)
    if outcome in _LEFT_ALONE:
        ended = replace(ended, agent_first=True)
    if outcome.rang or _is_call_now_over(request, now):
        ended = _without_call_now(ended)
    decision = _after_outcome(request, ended, outcome, now)
    if outcome.side not in (Side.AGENT, Side.NOBODY):
        return decision
    of_agent, of_request = _agent_pauses(outcome, failures, request.rules)
    return replace(decision, agent_pause_until=now + of_agent, request_pause_until=now + of_request)


def _after_outcome(request: Request, ended: Request, outcome: Outcome, now: datetime) -> Decision:
    """Return what becomes of a request. `ended` is the request without its attempt."""
    is_answered = outcome is Outcome.CONNECTED and request.status is not Status.CONNECTED
    if request.again and (not is_answered or _registered_after(request, now)):
        return Decision(_begin_again(ended), changed=True)
    rules = request.rules
    match outcome.side:
        case Side.REACHED:
            return Decision(replace(ended, status=Status.DONE), changed=True)
        case Side.UNCLEAR:
            uncertain = replace(ended, status=Status.UNCERTAIN, attempt=request.attempt, step=request.step)
            return Decision(uncertain, changed=True)
        case Side.CUSTOMER:
            attempts = request.customer_attempts + 1
            if attempts > rules.retries:
                return Decision(replace(ended, status=Status.FAILED, customer_attempts=attempts), changed=True)
            not_before = now + rules.retry_pause(attempts, outcome)
            later = replace(ended, customer_attempts=attempts, not_before=not_before, route_failures=0)
            return Decision(later, changed=True)
        case Side.WISH if outcome is Outcome.CUSTOMER_DECLINED:
            return Decision(replace(ended, status=Status.CANCELLED), changed=True)
        case Side.WISH:  # a call was promised, so it takes place even if no retry is left
            not_before = now + rules.retry_pause(request.customer_attempts + 1, outcome)
            return Decision(replace(ended, not_before=not_before, route_failures=0), changed=True)
        case Side.AGENT:
            preferred = request.preferred if request.call_now else ""
            missed = replace(ended, agent_misses=request.agent_misses + 1, preferred=preferred)
            if outcome is not Outcome.AGENT_MISSED_CUSTOMER:
                return Decision(missed, changed=True)
            # The customer was rung, which counts. They were told that we call again, so that happens in any case. It
            # cannot end so again, because from now on the agent is rung first.
            attempts = request.customer_attempts + 1
            not_before = now + rules.retry_pause(attempts, outcome)
            missed = replace(missed, customer_attempts=attempts, not_before=not_before, route_failures=0)
            return Decision(missed, changed=True)
        case Side.ROUTE:
            failures = request.route_failures + 1
            later = replace(ended, route_failures=failures, not_before=now + route_pause(failures))
            return Decision(later, changed=True)
    return Decision(ended, changed=True)


def _registered_after(request: Request, moment: datetime) -> bool:
    """Tell whether the caller registered again after a moment: news of a call are often stored later than they come."""
    at = request.registered_again_at
    return request.again and at is not None and at > moment


def _agent_pauses(outcome: Outcome, failures: Failures, rules: Rules) -> tuple[timedelta, timedelta]:
    """Return how long the agent is left alone by all requests, and by this one."""
    missed = rules.agent_pause if outcome.side is Side.AGENT else timedelta(0)
    of_request = growing_pause(max(missed, RECOVERY_PAUSE), failures.for_request)
    if outcome.rang:
        return missed, of_request
    return max(missed, growing_pause(RECOVERY_PAUSE, failures.in_all)), of_request


def route_pause(failures: int) -> timedelta:
    """Return the pause after this many failures of the route in a row."""
    return growing_pause(ROUTE_PAUSE, failures)


def _begin_again(ended: Request) -> Request:
    """Let a request wait as if no attempt had been made.

    If the caller registered it again during an attempt, they were on the phone with us, so the attempt says nothing
    about them. The time that they chose meanwhile stays.
    """
    postponed_until = ended.postponed_until if ended.time_chosen else None
    return replace(ended, customer_attempts=0, agent_misses=0, not_before=None, postponed_until=postponed_until)


def _reopen(request: Request, now: datetime) -> Decision:
    """Let a request that failed or expired wait as a new one does. It keeps its place in line."""
    if request.status not in REOPENABLE:
        return _unchanged(request)
    fresh = replace(
        _begin_again(replace(request, time_chosen=False, fell_back=False)),
        status=Status.WAITING,
        route_failures=0,
        last_outcome=None,
        reopened_at=now,
    )
    return Decision(fresh, changed=True)


def _undo(request: Request, before: Request, now: datetime) -> Decision:
    """Let a request be as it was before its last change. What hung up a phone cannot be undone."""
    if request.status in IN_FLIGHT or before.status not in UNDOABLE:
        return _unchanged(request)
    before = _without_call_now(before) if _is_call_now_over(before, now) else before
    return Decision(before, changed=before != request)


def _finish(request: Request, status: Status) -> Decision:
    if request.status is Status.CONNECTED:
        return _unchanged(request)  # they are talking: the end of the call closes the request
    in_flight = request.attempt if request.status is Status.DIALLING else None
    finished = replace(_without_call_now(request), status=status, attempt=None, step=None, again=False)
    return Decision(finished, changed=True, hang_up=in_flight)


def _expire(request: Request, closed_at: datetime | None, now: datetime) -> Decision:
    if request.status in IN_FLIGHT:
        return _unchanged(request)
    if request.expires_at is not None and now >= request.expires_at:
        return _finish(request, Status.EXPIRED)
    if closed_at is not None and _was_open_at(closed_at, request):
        if request.rules.at_closing is AtClosing.EXPIRE:
            return _finish(request, Status.EXPIRED)
        if request.rules.at_closing is AtClosing.GIVE_UP and request.customer_attempts:
            return _finish(request, Status.FAILED)
    if _is_call_now_over(request, now):
        return Decision(_without_call_now(request), changed=True)
    return _unchanged(request)


def _was_open_at(closed_at: datetime, request: Request) -> bool:
    """Tell whether a request waited when the office closed, and nobody has asked for a call since."""
    return request.status is Status.WAITING and not request.call_now and request.wanted_since < closed_at


def _without_call_now(request: Request) -> Request:
    return replace(request, call_now=False, call_now_agent=None, call_now_at=None)


def _is_called_now(request: Request, agent: str | None) -> bool:
    return request.status is Status.WAITING and request.call_now and request.call_now_agent == agent


def _withdraw_call_now(request: Request, uncertain: bool) -> Decision:
    if request.status is not Status.WAITING or not request.call_now:
        return _unchanged(request)
    status = Status.UNCERTAIN if uncertain else Status.WAITING
    return Decision(replace(_without_call_now(request), status=status), changed=True)


def _is_call_now_over(request: Request, now: datetime) -> bool:
    return request.call_now_at is not None and now >= request.call_now_at + CALL_NOW_LASTS


def _register_again(request: Request, at: datetime | None, now: datetime) -> Decision:
    """Refresh the expiry. A waiting request waits no longer for a retry; one in flight starts again after it.

    The caller's last wish counts: the time that they chose now replaces any other. If they chose none, it replaces the
    time that they chose before, but not the one to which a person in the office postponed the request.
    """
    wish: dict[str, Any] = {}
    if at is not None or request.time_chosen:
        wish = {"postponed_until": at, "time_chosen": at is not None}
    if request.status in IN_FLIGHT:
        registered = replace(request, registered_again_at=now, again=True, **wish)
        return Decision(registered, changed=registered != request)
    return _reschedule(request, not_before=None, registered_again_at=now, **wish)


def _reassign(request: Request, queue: bool, target: str) -> Decision:
    if (queue, target) == (request.queue, request.target):
        return _unchanged(request)
    # "Call now" and the time at which the line became free belonged to the old target.
    return _reschedule(request, queue=queue, target=target, free_at=None, preferred="", fell_back=False, call_now=False)


def _reschedule(request: Request, **changes: object) -> Decision:
    """Apply a person's change to a request that is not in flight. An uncertain request waits again."""
    if request.status in IN_FLIGHT:
        return _unchanged(request)
    changed = replace(request, status=Status.WAITING, attempt=None, step=None, **changes)  # type: ignore[arg-type]
    if not changed.call_now:
        changed = _without_call_now(changed)
    return Decision(changed, changed=changed != request)
