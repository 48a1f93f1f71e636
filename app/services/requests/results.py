"""The result of an action on one request."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy.orm import Session

from app.domain.lifecycle import Status
from app.domain.number_policy import Verdict
from app.services.requests.history import HistoryEvent, last_event
from app.store.models import CallRequest


class ResultCode(StrEnum):
    """What an action did to a request. The worker answers commands with these codes, too."""

    DONE = "done"
    SAME = "same"  # it was so before, nothing changed
    SENT = "sent"  # a command was sent to the telephone service
    CHANGED = "changed"  # another user changed the request first
    DUPLICATE = "duplicate"  # the same request is active already
    NOT_FOUND = "not_found"  # it does not exist, or this user may not see it
    NUMBER_REFUSED = "number_refused"  # the number policy does not allow to call it
    BLOCKED = "blocked"  # its number is on the block list
    UNKNOWN_TARGET = "unknown_target"
    NOT_FREE = "not_free"  # the office is closed then, or has as many calls then as it allows
    NOT_YOURS = "not_yours"  # the agent is not an extension of this user
    NOT_ALLOWED = "not_allowed"  # for supervisors and administrators only
    TOO_LATE = "too_late"  # something has happened to the request since, so nothing is undone
    NO_ANSWER = "no_answer"  # the telephone service has not answered yet
    COMMAND_EXPIRED = "expired"  # the telephone service was too late and did nothing
    UNKNOWN = "unknown"  # an answer of the telephone service that this version does not know

    # The status of the request does not allow the action.
    IS_WAITING = "is_waiting"
    IS_DIALLING = "is_dialling"
    IS_CONNECTED = "is_connected"
    IS_DONE = "is_done"
    IS_FAILED = "is_failed"
    IS_CANCELLED = "is_cancelled"
    IS_EXPIRED = "is_expired"
    IS_UNCERTAIN = "is_uncertain"

    @classmethod
    def of_status(cls, status: Status) -> "ResultCode":
        """Return the code for a status that does not allow the action."""
        return cls(f"is_{status.value}")

    @classmethod
    def of_answer(cls, text: str) -> "ResultCode":
        """Return the code of a command's answer, UNKNOWN for any other text."""
        return cls(text) if text in set(cls) else cls.UNKNOWN

    @property
    def is_status(self) -> bool:
        return self.startswith("is_")


@dataclass(frozen=True)
class ActionResult:
    """`status` and `version` are those of the request now; None if it was not found.

    `by`: the event because of which nothing was done. `duplicate`: the id of the request that is active already.
    `verdict`: why its number may not be called. `command`: the id of the command that was sent. `free_at`: the next
    free time, if the wished one is not free. `undoable`: the change can be undone in this version of the request.
    """

    id: int
    code: ResultCode
    status: Status | None = None
    version: int | None = None
    by: HistoryEvent | None = None
    duplicate: int | None = None
    verdict: Verdict | None = None
    command: int | None = None
    free_at: datetime | None = None
    undoable: bool = False

    @property
    def ok(self) -> bool:
        return self.code in (ResultCode.DONE, ResultCode.SAME)


def result_for(row: CallRequest, code: ResultCode, **values: Any) -> ActionResult:
    """Return a result with the present status and version of the request."""
    return ActionResult(row.id, code, Status(row.status), row.version, **values)


def refusal_for(session: Session, row: CallRequest) -> ActionResult:
    """Return the result of an action that the status does not allow, with the event that led to this status."""
    status = Status(row.status)
    if status is Status.WAITING:
        return result_for(row, ResultCode.SAME)
    return result_for(row, ResultCode.of_status(status), by=last_event(session, row.id))
