"""Wait for the telephone service to answer the commands of an action."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy.orm import Session

from app.services import commands
from app.services.requests.history import EventKind, last_change_since, last_event
from app.services.requests.results import ActionResult, ResultCode, refusal_for, result_for
from app.store.database import Database
from app.store.models import CallRequest

MAX_WAIT = 2.0  # seconds


def wait_for_results(
    database: Database,
    results: Sequence[ActionResult],
    *,
    seconds: float = MAX_WAIT,
    pause: Callable[[float], None] = time.sleep,
) -> list[ActionResult]:
    """Replace the results that sent a command by those of its answer; wait `seconds` at most for all of them.

    A command without an answer has the result NO_ANSWER. It may still be executed until it expires.
    """
    deadline = time.monotonic() + seconds
    return [
        result if result.command is None else _wait(database, result, deadline - time.monotonic(), pause)
        for result in results
    ]


def _wait(database: Database, sent: ActionResult, seconds: float, pause: Callable[[float], None]) -> ActionResult:
    assert sent.command is not None
    answered = commands.wait_for_answer(database, sent.command, seconds=seconds, pause=pause)
    if answered is None:
        return replace(sent, code=ResultCode.NO_ANSWER)
    with database.read() as session:
        row = session.get(CallRequest, sent.id)
        if row is None:
            return replace(sent, code=ResultCode.NOT_FOUND, status=None, version=None)
        return _answered(session, row, sent, ResultCode.of_answer(answered.result))


def _answered(session: Session, row: CallRequest, sent: ActionResult, code: ResultCode) -> ActionResult:
    by = None
    if code is ResultCode.CHANGED and sent.version is not None:
        by = last_change_since(session, row.id, sent.version)
    elif code is ResultCode.SAME:  # somebody was faster with the same urgent call
        by = last_event(session, row.id, EventKind.CALL_NOW)
    elif code.is_status:
        by = refusal_for(session, row).by
    return result_for(row, code, by=by, command=sent.command)
