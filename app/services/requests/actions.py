"""The actions that users perform on requests, and their validation."""

from dataclasses import dataclass
from datetime import datetime

from app.domain import lifecycle
from app.domain.chosen_times import LATEST
from app.domain.routing import EXTENSION_PATTERN
from app.domain.text import is_displayable
from app.services.errors import ErrorCode, check_line

MAX_NOTE_LENGTH = 2000
MAX_LIST_NOTE_LENGTH = 200
PRIORITIES = (-1, 0, 1)
HIGH = 1


@dataclass(frozen=True)
class Postpone:
    """`may_move`: if `until` is not free, the next free time will do. It was not typed, but chosen as "tomorrow"."""

    until: datetime
    may_move: bool = False


@dataclass(frozen=True)
class Reassign:
    """`target` is a queue, an extension, or "" for any extension of the module."""

    queue: bool
    target: str


@dataclass(frozen=True)
class Prioritise:
    priority: int  # one of PRIORITIES; 1 is served first


@dataclass(frozen=True)
class MarkDone:
    note: str = ""  # empty: the request keeps its note


@dataclass(frozen=True)
class WriteNote:
    note: str


@dataclass(frozen=True)
class Cancel:
    pass


@dataclass(frozen=True)
class Reopen:
    """A request that failed or expired waits again."""


@dataclass(frozen=True)
class WithdrawCallNow:
    """Nobody wants the request to be called now any more. It waits as before."""


@dataclass(frozen=True)
class Undo:
    """Undo the change that led to this version of the request, if nothing has happened to the request since."""


@dataclass(frozen=True)
class Block:
    """Put the number on the block list, and cancel the request if it has not ended."""

    note: str = ""  # of the list


@dataclass(frozen=True)
class CallNow:
    agent: str | None = None  # the extension that rings first; None: the next free agent


Action = (
    Postpone | Reassign | Prioritise | MarkDone | WriteNote | Cancel | Reopen | Block | CallNow | WithdrawCallNow | Undo
)


@dataclass(frozen=True)
class ShownRequest:
    """A request in the version that the user saw."""

    id: int
    version: int


def validate(action: Action, now: datetime) -> dict[str, ErrorCode]:
    """Return validation errors by field name; empty if the action is valid."""
    match action:
        case Postpone(until):
            return validate_time("until", until, now)
        case Prioritise(priority):
            return {} if priority in PRIORITIES else {"priority": ErrorCode.RANGE}
        case WriteNote(note):
            return validate_note(note) if note.strip() else {"note": ErrorCode.REQUIRED}
        case MarkDone(note):
            return validate_note(note)
        case Block(note):
            return check_line("note", note, MAX_LIST_NOTE_LENGTH)
        case CallNow(agent):
            return {} if agent is None or EXTENSION_PATTERN.fullmatch(agent) else {"agent": ErrorCode.CODE}
    return {}


def validate_time(field: str, moment: datetime, now: datetime) -> dict[str, ErrorCode]:
    """Return the validation error of a time for a call, by the name of its field."""
    if moment <= now:
        return {field: ErrorCode.PAST}
    return {field: ErrorCode.RANGE} if moment > now + LATEST else {}


def validate_note(note: str) -> dict[str, ErrorCode]:
    """Return validation errors of a note, which may have several lines."""
    if len(note) > MAX_NOTE_LENGTH:
        return {"note": ErrorCode.TOO_LONG}
    return {} if all(is_displayable(line) for line in note.splitlines()) else {"note": ErrorCode.CHARACTERS}


def lifecycle_event(action: Action) -> lifecycle.Event:
    """Return the lifecycle event of an action.

    Raises ValueError for a note, which changes no status, and for what depends on the request's history.
    """
    match action:
        case Postpone(until):
            return lifecycle.Postponed(until)
        case Reassign(queue, target):
            return lifecycle.Reassigned(queue, target)
        case Prioritise(priority):
            return lifecycle.Prioritised(priority)
        case MarkDone():
            return lifecycle.MarkedDone()
        case Cancel() | Block():
            return lifecycle.Cancelled()
        case Reopen():
            return lifecycle.Reopened()
        case CallNow(agent):
            return lifecycle.CalledNow(agent)
    raise ValueError(action)
