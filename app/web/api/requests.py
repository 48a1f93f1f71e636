"""The operations on requests. The rules are those of the pages: the same services decide."""

from collections.abc import Callable
from typing import Annotated

from flask import request, url_for
from pydantic import Field

from app.domain.api_scopes import ApiScope
from app.domain.lifecycle import Status
from app.domain.numbers import ascii_digits
from app.services.api import idempotency
from app.services.api.idempotency import KeyReused
from app.services.api.tokens import ApiAccess
from app.services.errors import ErrorCode, Invalid, NotFound
from app.services.report.query import Filter
from app.services.requests import actions, create
from app.services.requests.actions import MAX_NOTE_LENGTH, Action, ShownRequest
from app.services.requests.command_results import wait_for_results
from app.services.requests.create import MAX_NAME_LENGTH, NewRequest
from app.services.requests.detail import load_detail
from app.services.requests.newest import load_newest
from app.services.requests.pending import load_rows
from app.services.requests.perform import perform
from app.services.requests.results import ActionResult, ResultCode
from app.store.database import Database
from app.web.api import answers
from app.web.api.input import Body, Moment, Query, RowNumber, WholeArgument, refuse
from app.web.api.operation import Reply, View, operation
from app.web.context import database, settings, utcnow
from app.web.problems import Problem

LONGEST_NUMBER, LONGEST_TARGET = 40, 80
MOST = 100  # requests in one part of the list
READ, WRITE = ApiScope.REQUESTS_READ, ApiScope.REQUESTS_WRITE


# -- reading ----------------------------------------------------------------------------------------------------------


class ListQuery(Query):
    status: list[Status] = Field(default_factory=list)
    """Only requests in one of these states."""
    module: Annotated[RowNumber, WholeArgument] | None = None
    """Only requests of the module with this id."""
    number: str = Field("", max_length=LONGEST_NUMBER)
    """Only requests whose number contains these digits."""
    cursor: Annotated[RowNumber, WholeArgument] | None = None
    """`next_cursor` of the part before."""
    limit: Annotated[int, Field(ge=1, le=MOST), WholeArgument] = 50
    """How many requests to return at most."""


@operation("GET", "/requests", scope=READ, query=ListQuery, answers={200: answers.Requests})
def list_requests(access: ApiAccess, query: ListQuery) -> answers.Requests:
    """List requests, newest first.

    The list has the requests that the user of the token sees in the panel. A part stays right while requests arrive.
    """
    digits = ascii_digits(query.number)
    if query.number and not any(letter in "0123456789" for letter in digits):
        raise refuse({"number": ErrorCode.NUMBER})
    wanted = Filter(module_id=query.module, statuses=frozenset(query.status), number=digits)
    found = load_newest(database(), access.user, wanted, utcnow(), before=query.cursor, limit=query.limit)
    return answers.Requests.of(found)


@operation("GET", "/requests/<row:request_id>", scope=READ, answers={200: answers.RequestWithHistory}, problems=(404,))
def show_request(access: ApiAccess, request_id: int) -> answers.RequestWithHistory:
    """Show a request with its attempts and its history."""
    try:
        detail = load_detail(database(), access.user, request_id, utcnow())
    except NotFound:
        raise _not_found() from None
    return answers.RequestWithHistory.of_detail(detail)


def _not_found() -> Problem:
    return Problem(404, "not_found", "There is no such request, or the user of the token does not see it.")


# -- creating ---------------------------------------------------------------------------------------------------------


class NewRequestBody(Body):
    number: str = Field(min_length=1, max_length=LONGEST_NUMBER)
    """As people dial it, such as 09121234567, or in international form."""
    module_id: RowNumber
    """See the list of modules."""
    target: str = Field("", max_length=LONGEST_TARGET)
    """An extension of the module. "" is any extension, and the queue of a module for a queue."""
    name: str = Field("", max_length=MAX_NAME_LENGTH)
    note: str = Field("", max_length=MAX_NOTE_LENGTH)
    call_at: Moment | None = None
    """The time to call the customer. None: as soon as possible."""


@operation(
    "POST",
    "/requests",
    scope=WRITE,
    body=NewRequestBody,
    answers={201: answers.RequestState, 200: answers.RequestState},
    problems=(422,),
    idempotent_by_key=True,
)
def create_request(access: ApiAccess, body: NewRequestBody) -> Reply:
    """Create a request.

    If the same number waits for the same target already, the answer is that request, with the status 200.
    """
    given = NewRequest(
        number=ascii_digits(body.number).strip(),
        module_id=body.module_id,
        target=body.target,
        name=body.name,
        note=body.note,
        call_at=body.call_at,
    )

    def work(target: Database) -> idempotency.Answer:
        try:
            result = create.create_request(target, settings(), access.user, given, utcnow())
        except Invalid as invalid:
            raise refuse(invalid.errors, invalid.free_at) from None
        is_new = result.code is ResultCode.DONE
        state = state_of(result, "created" if is_new else "duplicate")
        return idempotency.Answer(201 if is_new else 200, state.model_dump(mode="json"))

    key = _idempotency_key()
    if key is None:
        answer = work(database())
    else:
        sent = f"create {body.model_dump_json()}"
        try:
            answer = idempotency.answer_once(database(), access.token_id, key, sent, utcnow(), work)
        except KeyReused:
            text = "This Idempotency-Key came with another request before. Use a new key for each new request."
            raise Problem(422, "idempotency_key_reused", text) from None
    headers = {"Location": url_for("api.show_request", request_id=answer.body["id"])}
    if answer.repeated:
        headers["Idempotent-Replayed"] = "true"
    return Reply(answers.RequestState.model_validate(answer.body), answer.status, headers)


def _idempotency_key() -> str | None:
    """Return the key of this call. Raises Problem if it cannot be one."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 0 < len(key) <= idempotency.LONGEST_KEY or not all("!" <= letter <= "~" for letter in key):
        text = f"An Idempotency-Key has 1 to {idempotency.LONGEST_KEY} letters, digits or other signs, and no space."
        raise Problem(400, "bad_idempotency_key", text)
    return key


# -- actions ----------------------------------------------------------------------------------------------------------


class ActionBody(Body):
    version: RowNumber | None = None
    """The version of the request that your program has read. If another user has changed the request since, nothing
    is done. None: do it anyway."""


class CallBody(ActionBody):
    agent: str | None = Field(None, max_length=LONGEST_TARGET)
    """The extension that rings first. None: the next free agent."""


class PostponeBody(ActionBody):
    until: Moment
    """In the office hours of the module, and not in the past."""


class NoteBody(ActionBody):
    note: str = Field(min_length=1, max_length=MAX_NOTE_LENGTH)
    """It replaces the note that the request has."""


def _action(name: str, body: type[ActionBody]) -> Callable[[View], View]:
    """Declare an operation that performs an action on a request."""
    return operation(
        "POST",
        f"/requests/<row:request_id>/{name}",
        scope=WRITE,
        body=body,
        answers={200: answers.RequestState, 202: answers.RequestState},
        problems=(404, 409, 422, 503),
    )


@_action("cancel", ActionBody)
def cancel_request(access: ApiAccess, request_id: int, body: ActionBody) -> Reply:
    """Cancel a request. If a phone rings for it, the call ends."""
    return _perform(access, request_id, actions.Cancel(), body)


@_action("call", CallBody)
def call_request(access: ApiAccess, request_id: int, body: CallBody) -> Reply:
    """Call the customer now.

    It rings as soon as the agent is free, before all other requests, and also outside the office hours.
    """
    return _perform(access, request_id, actions.CallNow(body.agent), body)


@_action("postpone", PostponeBody)
def postpone_request(access: ApiAccess, request_id: int, body: PostponeBody) -> Reply:
    """Let a request wait until a time."""
    return _perform(access, request_id, actions.Postpone(body.until), body)


@_action("note", NoteBody)
def write_note(access: ApiAccess, request_id: int, body: NoteBody) -> Reply:
    """Write the note of a request."""
    return _perform(access, request_id, actions.WriteNote(body.note), body)


def _perform(access: ApiAccess, request_id: int, action: Action, body: ActionBody) -> Reply:
    """Perform an action on the version that the program has read, or on the present one."""
    rows = load_rows(database(), access.user, [request_id], utcnow())
    if not rows:
        raise _not_found()
    shown = ShownRequest(request_id, rows[0].version if body.version is None else body.version)
    try:
        results = perform(database(), access.user, action, [shown], utcnow())
    except Invalid as invalid:
        raise refuse(invalid.errors) from None
    (result,) = wait_for_results(database(), results)
    if result.code is ResultCode.NO_ANSWER:
        return Reply(state_of(result, "sent"), 202)
    if result.ok:
        return Reply(state_of(result, "done" if result.code is ResultCode.DONE else "unchanged"))
    raise refusal_of(result)


def state_of(result: ActionResult, text: str) -> answers.RequestState:
    assert result.status is not None and result.version is not None
    return answers.RequestState(result=text, id=result.id, version=result.version, status=result.status)


# What an action can be refused for -> the status and the sentence
_REFUSALS: dict[ResultCode, tuple[int, str]] = {
    ResultCode.CHANGED: (409, "Another user has changed the request since your program read it. Nothing was done."),
    ResultCode.DUPLICATE: (409, "The same request is active already."),
    ResultCode.NUMBER_REFUSED: (409, "The rules of the office do not allow to call this number."),
    ResultCode.BLOCKED: (409, "The number is on the list of blocked numbers."),
    ResultCode.NOT_FREE: (409, "The office is closed then, or has as many calls then as it allows."),
    ResultCode.UNKNOWN_TARGET: (409, "The request cannot have this target."),
    ResultCode.TOO_LATE: (409, "Something has happened to the request since. Nothing was done."),
    ResultCode.NOT_YOURS: (403, "The user of the token may not choose this extension."),
    ResultCode.NOT_ALLOWED: (403, "Only supervisors and administrators may do this."),
    ResultCode.COMMAND_EXPIRED: (503, "The telephone service does not answer. Nothing was done."),
    ResultCode.UNKNOWN: (503, "The telephone service gave an answer that this version does not know."),
}


def refusal_of(result: ActionResult) -> Problem:
    """Return the problem for an action that was not done."""
    if result.code is ResultCode.NOT_FOUND:
        return _not_found()
    if result.code.is_status:
        status, text = 409, f"The request is {result.status}, which does not allow this."
    else:
        status, text = _REFUSALS[result.code]
    more: dict[str, object] = {}
    if result.status is not None:
        more |= {"request": {"id": result.id, "version": result.version, "status": result.status}}
    if result.free_at is not None:
        more["free_at"] = answers.local(result.free_at).isoformat()
    return Problem(status, str(result.code), text, more=more)
