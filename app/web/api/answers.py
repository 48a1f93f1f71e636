"""What the API answers. Times have the offset of the office's time zone."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict

from app.domain.lifecycle import Outcome, Status
from app.domain.policy import LineState, ReasonCode
from app.domain.routing import CameBy
from app.services.report.overview import Overview, QueueNow
from app.services.report.statistics import Statistics
from app.services.requests.create import TargetChoice
from app.services.requests.detail import AttemptDetail, RequestDetail
from app.services.requests.history import HistoryEvent
from app.services.requests.newest import Newest
from app.services.requests.pending import PendingRow
from app.web.formats import office_zone


class Answer(BaseModel):
    """A part of an answer. Later versions may add members."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


def local(moment: datetime) -> datetime:
    """Return the same moment in the office's time zone."""
    return moment.astimezone(office_zone())


def _perhaps(moment: datetime | None) -> datetime | None:
    return local(moment) if moment is not None else None


def _seconds(duration: timedelta | None) -> float | None:
    return duration.total_seconds() if duration is not None else None


class RequestState(Answer):
    """What a call did to a request, and the state of the request after it."""

    result: str
    """`created`, `duplicate` (the same request is active already), `done`, `unchanged` (it was so before), or `sent`:
    the telephone service has not answered yet. It may still do it within seconds."""
    id: int
    version: int
    """It grows with each change. Send it with an action that should only happen if nobody changed the request since."""
    status: Status


class Request(Answer):
    """A request of a customer to be called back."""

    id: int
    version: int
    status: Status
    number: str
    """In international form, or an extension."""
    national_number: str
    """As it is written in the office's country."""
    caller_name: str
    """As the caller's phone or the PBX reported it."""
    contact_name: str
    """Who has the number by the office's contacts, "" if nobody. It is more trustworthy than `caller_name`."""
    created_by: str
    """The user who made it, "" for a caller."""
    came_by: CameBy
    website: str
    """The name of the form of a website, "" if the request came another way."""
    module_id: int | None
    """None if the module was deleted."""
    module_name: str
    is_for_queue: bool
    target: str
    """The queue or the extension, "" for any extension of the module."""
    registered_at: AwareDatetime
    ended_at: AwareDatetime | None
    done_by: str
    """The extension or the user who completed it, "" if nobody has."""
    priority: int
    """1 is served before 0, and 0 before -1."""
    customer_attempts: int
    customer_attempts_allowed: int
    agent_misses: int
    last_outcome: Outcome | None
    """How the last attempt ended."""
    waits_because: ReasonCode | None
    """Why no phone rings for it right now."""
    waits_until: AwareDatetime | None
    """When this reason ends by itself, if that is known."""
    postponed_until: AwareDatetime | None
    expires_at: AwareDatetime | None
    call_now: bool
    """Somebody wants it to be called now."""
    note: str

    @classmethod
    def of(cls, row: PendingRow) -> "Request":
        return cls(**_request_fields(row))


def _request_fields(row: PendingRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "version": row.version,
        "status": row.status,
        "number": row.stored_number,
        "national_number": row.number,
        "caller_name": row.caller_name,
        "contact_name": row.contact_name,
        "created_by": row.created_by,
        "came_by": row.came_by,
        "website": row.website,
        "module_id": row.module_id,
        "module_name": row.module,
        "is_for_queue": row.queue,
        "target": row.target,
        "registered_at": local(row.registered_at),
        "ended_at": _perhaps(row.done_at),
        "done_by": row.done_by,
        "priority": row.priority,
        "customer_attempts": row.customer_attempts,
        "customer_attempts_allowed": row.customer_attempts_allowed,
        "agent_misses": row.agent_misses,
        "last_outcome": row.last_outcome,
        "waits_because": row.reason.code if row.reason is not None else None,
        "waits_until": _perhaps(row.reason.until) if row.reason is not None else None,
        "postponed_until": _perhaps(row.postponed_until),
        "expires_at": _perhaps(row.expires_at),
        "call_now": row.call_now,
        "note": row.note,
    }


class Requests(Answer):
    """A part of the list of requests, newest first."""

    requests: Sequence[Request]
    next_cursor: str | None
    """Send it as `cursor` to get the next part. None: these are the last ones."""

    @classmethod
    def of(cls, found: Newest) -> "Requests":
        cursor = str(found.following) if found.following is not None else None
        return cls(requests=[Request.of(row) for row in found.rows], next_cursor=cursor)


class AttemptAnswer(Answer):
    """A call of agent and customer, or several in which nothing rang: `repeats` of them, the last one started then."""

    agent: str
    agent_name: str
    by_hand: bool
    repeats: int
    started_at: AwareDatetime
    agent_answered_at: AwareDatetime | None
    customer_dialled_at: AwareDatetime | None
    connected_at: AwareDatetime | None
    ended_at: AwareDatetime | None
    outcome: Outcome | None
    """None while the attempt goes on."""
    talked_seconds: float | None

    @classmethod
    def of(cls, attempt: AttemptDetail) -> "AttemptAnswer":
        return cls(
            agent=attempt.agent,
            agent_name=attempt.agent_name,
            by_hand=attempt.manual,
            repeats=attempt.repeats,
            started_at=local(attempt.started_at),
            agent_answered_at=_perhaps(attempt.answered_at),
            customer_dialled_at=_perhaps(attempt.dialled_at),
            connected_at=_perhaps(attempt.connected_at),
            ended_at=_perhaps(attempt.ended_at),
            outcome=attempt.outcome,
            talked_seconds=_seconds(attempt.talked),
        )


class EventAnswer(Answer):
    """A change of a request."""

    at: AwareDatetime
    event: str
    """Such as `registered`, `postponed` or `connected`. Later versions may add some."""
    actor: str
    """The user, "" for the caller, the PBX and the telephone service."""
    old_status: Status | None
    new_status: Status
    detail: str

    @classmethod
    def of(cls, event: HistoryEvent) -> "EventAnswer":
        return cls(
            at=local(event.at),
            event=event.kind,
            actor=event.actor,
            old_status=event.old_status,
            new_status=event.new_status,
            detail=event.detail,
        )


class RequestWithHistory(Request):
    """A request with each attempt and each change, oldest first."""

    reached_at: AwareDatetime | None
    """When customer and office talked."""
    attempts: Sequence[AttemptAnswer]
    history: Sequence[EventAnswer]

    @classmethod
    def of_detail(cls, detail: RequestDetail) -> "RequestWithHistory":
        return cls(
            **_request_fields(detail.request),
            reached_at=_perhaps(detail.reached_at),
            attempts=[AttemptAnswer.of(attempt) for attempt in detail.attempts],
            history=[EventAnswer.of(event) for event in detail.history],
        )


class TargetAnswer(Answer):
    is_queue: bool
    target: str
    """The queue or the extension, "" for any extension of the module. A new request for a queue needs no target."""


class ModuleAnswer(Answer):
    """A call request module, with the targets for which the user of the token may make requests."""

    id: int
    name: str
    targets: Sequence[TargetAnswer]


class Modules(Answer):
    modules: Sequence[ModuleAnswer]

    @classmethod
    def of(cls, choices: Sequence[TargetChoice]) -> "Modules":
        targets: dict[tuple[int, str], list[TargetAnswer]] = {}
        for choice in choices:
            target = TargetAnswer(is_queue=choice.queue, target=choice.target)
            targets.setdefault((choice.module_id, choice.module_name), []).append(target)
        return cls(modules=[ModuleAnswer(id=id_, name=name, targets=own) for (id_, name), own in targets.items()])


class MemberAnswer(Answer):
    extension: str
    name: str
    state: LineState
    paused: bool


class QueueAnswer(Answer):
    """A queue now."""

    name: str
    live_callers: int
    """Callers who wait in it on the line."""
    waiting_requests: int
    free_members: int
    members: Sequence[MemberAnswer]

    @classmethod
    def of(cls, queue: QueueNow) -> "QueueAnswer":
        members = [
            MemberAnswer(extension=member.extension, name=member.name, state=member.state, paused=member.paused)
            for member in queue.members
        ]
        return cls(
            name=queue.name,
            live_callers=queue.live_callers,
            waiting_requests=queue.waiting,
            free_members=queue.free,
            members=members,
        )


class Queues(Answer):
    queues: Sequence[QueueAnswer]


class Figures(Answer):
    """The requests that were registered in a period, and what has become of them so far."""

    first_day: date
    last_day: date
    registered: int
    by_status: dict[Status, int]
    reached: int
    """Customers who were reached."""
    median_wait_seconds: int | None
    """Half of these customers waited no longer. None if nobody was reached."""
    ninetieth_wait_seconds: int | None
    """90 % of these customers waited no longer."""

    @classmethod
    def of(cls, found: Statistics, first_day: date, last_day: date) -> "Figures":
        return cls(
            first_day=first_day,
            last_day=last_day,
            registered=found.total,
            by_status={status: found.outcomes.get(status, 0) for status in Status},
            reached=found.delay.count,
            median_wait_seconds=found.delay.median,
            ninetieth_wait_seconds=found.delay.ninetieth,
        )


class FiguresNow(Answer):
    """The requests at this moment, and those of today."""

    waiting: int
    dialling: int
    connected: int
    uncertain: int
    longest_wait_seconds: float | None
    """None if nobody waits."""
    registered_today: int
    served_today: int
    ended_today: int
    """Done, failed or expired. Cancelled ones do not count."""
    paused: bool
    """Somebody has paused all automatic calls."""
    telephone_service_runs: bool
    connected_to_pbx: bool

    @classmethod
    def of(cls, now: Overview) -> "FiguresNow":
        return cls(
            waiting=now.waiting,
            dialling=now.dialling,
            connected=now.talking,
            uncertain=now.uncertain,
            longest_wait_seconds=_seconds(now.longest_wait),
            registered_today=now.registered_today,
            served_today=now.served_today,
            ended_today=now.today.ended,
            paused=now.pause is not None,
            telephone_service_runs=now.service_runs,
            connected_to_pbx=now.connected,
        )
