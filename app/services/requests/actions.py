"""What people can do with requests, and what may come of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain import lifecycle
from app.domain.lifecycle import Status
from app.domain.routing import EXTENSION_PATTERN
from app.domain.text import is_displayable

LONGEST_NOTE = 2000
LONGEST_DELAY = timedelta(days=90)
PRIORITIES = (-1, 0, 1)


@dataclass(frozen=True)
class Postpone:
    until: datetime


@dataclass(frozen=True)
class Reassign:
    """To a queue, an extension, or ("") to any extension of the module."""

    queue: bool
    target: str


@dataclass(frozen=True)
class Prioritise:
    priority: int  # one of PRIORITIES; 1 goes first


@dataclass(frozen=True)
class MarkDone:
    note: str = ""  # empty: the note that it has stays


@dataclass(frozen=True)
class Note:
    note: str


@dataclass(frozen=True)
class Cancel:
    pass


@dataclass(frozen=True)
class CallNow:
    """`agent`: the extension whose phone rings; None: the next agent who is free."""

    agent: str | None = None


Action = Postpone | Reassign | Prioritise | MarkDone | Note | Cancel | CallNow


@dataclass(frozen=True)
class ShownRequest:
    """A request as the page showed it."""

    id: int
    version: int


@dataclass(frozen=True)
class HistoryEvent:
    """Who did what with a request, and when; `actor` "" is the system or the caller. From the history."""

    actor: str
    event: str
    detail: str
    at: datetime


@dataclass(frozen=True)
class ActionResult:
    """What came of an act. `code` is one of

    done: it is so now; same: it was so already; asked: the telephone service was asked by `command` (see `settle`);
    changed: another person was quicker, see `by`; twin: the request `twin` is there already, so this one stays;
    not_found: it is not there, or not this user's to see; unknown_target: nobody there is called so;
    not_yours: this phone is not the user's; is_<status>: its status does not allow it, see `by`;
    and by `settle`: no_answer, expired: the telephone service was not there, so nothing was done.
    """

    id: int
    code: str
    status: Status | None = None
    version: int | None = None
    by: HistoryEvent | None = None
    twin: int | None = None
    command: int | None = None

    @property
    def ok(self) -> bool:
        return self.code in ("done", "same")


def validate(action: Action, now: datetime) -> dict[str, str]:
    """Return what is wrong with an act, whatever the request, by field."""
    match action:
        case Postpone(until):
            if until <= now:
                return {"until": "past"}
            return {"until": "range"} if until > now + LONGEST_DELAY else {}
        case Prioritise(priority):
            return {} if priority in PRIORITIES else {"priority": "range"}
        case MarkDone(note) | Note(note):
            if isinstance(action, Note) and not note.strip():
                return {"note": "required"}
            return validate_note(note)
        case CallNow(agent):
            return {} if agent is None or EXTENSION_PATTERN.fullmatch(agent) else {"agent": "code"}
    return {}


def validate_note(note: str) -> dict[str, str]:
    """Return what is wrong with a note. It may have several lines."""
    if len(note) > LONGEST_NOTE:
        return {"note": "too_long"}
    return {} if all(is_displayable(line) for line in note.splitlines()) else {"note": "characters"}


def event_of(action: Action) -> lifecycle.Event | None:
    """Return the lifecycle's event of an act; a note is none."""
    match action:
        case Postpone(until):
            return lifecycle.Postponed(until)
        case Reassign(queue, target):
            return lifecycle.Reassigned(queue, target)
        case Prioritise(priority):
            return lifecycle.Prioritised(priority)
        case MarkDone():
            return lifecycle.MarkedDone()
        case Cancel():
            return lifecycle.Cancelled()
        case CallNow(agent):
            return lifecycle.CalledNow(agent)
    return None
