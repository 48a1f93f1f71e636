"""Click-to-call: ring an extension of the user, then the number."""

from pydantic import Field

from app.domain.api_scopes import ApiScope
from app.domain.numbers import ascii_digits
from app.services.api.tokens import ApiAccess
from app.services.errors import Invalid
from app.services.requests.click_to_call import call_number
from app.services.requests.command_results import wait_for_results
from app.services.requests.create import MAX_NAME_LENGTH
from app.services.requests.results import ResultCode
from app.web.api import answers
from app.web.api.input import Body, RowNumber, refuse
from app.web.api.operation import Reply, operation
from app.web.api.requests import LONGEST_NUMBER, LONGEST_TARGET, refusal_of, state_of
from app.web.context import database, settings, utcnow


class CallNumberBody(Body):
    number: str = Field(min_length=1, max_length=LONGEST_NUMBER)
    """As people dial it, such as 09121234567, or in international form."""
    extension: str = Field(min_length=1, max_length=LONGEST_TARGET)
    """The phone that rings first. It must be one that the user of the token may ring."""
    module_id: RowNumber | None = None
    """With which module the request is registered. None: the first one that the extension serves."""
    name: str = Field("", max_length=MAX_NAME_LENGTH)


@operation(
    "POST",
    "/calls",
    scope=ApiScope.CALLS_WRITE,
    body=CallNumberBody,
    answers={200: answers.RequestState, 202: answers.RequestState},
    problems=(409, 422, 503),
)
def call(access: ApiAccess, body: CallNumberBody) -> Reply:
    """Call a number: the extension rings, and when it is answered, the number is called.

    A request is created for it, unless the number has an active one for this extension already.
    """
    try:
        result = call_number(
            database(),
            settings(),
            access.user,
            ascii_digits(body.number).strip(),
            body.extension,
            utcnow(),
            name=body.name,
            module_id=body.module_id,
        )
    except Invalid as invalid:
        raise refuse(invalid.errors) from None
    (result,) = wait_for_results(database(), [result])
    if result.code is ResultCode.NO_ANSWER:
        return Reply(state_of(result, "sent"), 202)
    if result.ok:
        return Reply(state_of(result, "done" if result.code is ResultCode.DONE else "unchanged"))
    raise refusal_of(result)
