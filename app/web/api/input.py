"""Read what a call sends: the query and the body, checked by models. Each error names the field that is wrong."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any, TypeVar

from flask import g, request
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)

from app.services.errors import ErrorCode
from app.web import wording
from app.web.formats import office_zone
from app.web.http import LARGEST_ROW_NUMBER
from app.web.problems import FieldError, Problem

Model = TypeVar("Model", bound="BaseModel")

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_DAY = re.compile(r"20\d\d-\d\d-\d\d", re.ASCII)
_WHOLE = re.compile(r"[0-9]{1,10}")


class Body(BaseModel):
    """The JSON object of a call. What it does not know, and a number as a text, is an error and not ignored."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class Query(BaseModel):
    """The arguments of an address. An unknown one is an error: nobody should believe that it filters."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, populate_by_name=False)


def _to_moment(value: Any) -> Any:
    """Read a date and time of RFC 3339. Other ways to write one, such as a number of seconds, are refused."""
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        raise ValueError("not a date and time with an offset")
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except OverflowError:
        raise ValueError("not a date of this time") from None


def _check_day(value: Any) -> Any:
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise ValueError("not a day such as 2026-03-21")
    return value


def _check_whole(value: Any) -> Any:
    """Refuse the other ways to write a whole number that Python knows, such as 1_0."""
    if not isinstance(value, str) or not _WHOLE.fullmatch(value):
        raise ValueError("not a whole number")
    return value


def _to_whole(value: Any) -> Any:
    """Read 1.0 as 1. To JSON, which has no whole numbers, they are the same."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# A moment with its offset from UTC, of which UTC is kept.
Moment = Annotated[AwareDatetime, BeforeValidator(_to_moment)]
# A day in the office's time zone.
Day = Annotated[date, BeforeValidator(_check_day), WithJsonSchema({"type": "string", "format": "date"})]
RowNumber = Annotated[int, Field(ge=1, le=LARGEST_ROW_NUMBER), BeforeValidator(_to_whole)]
WholeArgument = BeforeValidator(_check_whole)


def read_query(model: type[Model]) -> Model:
    """Return the arguments of the address. Raises Problem."""
    several = {
        name
        for name, field in model.model_fields.items()
        if getattr(field.annotation, "__origin__", None) in (list, tuple)
    }
    given: dict[str, Any] = {}
    for name, values in request.args.lists():
        if len(values) > 1 and name not in several:
            raise _invalid([FieldError(name, ErrorCode.TWICE, "This argument may be given once.")])
        given[name] = values if name in several else values[0]
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise _invalid(_errors_of(error)) from None


def read_body(model: type[Model]) -> Model:
    """Return the body of the call. No body is an empty object. Raises Problem."""
    content = request.get_data(cache=False)  # empty for a form, which was read before
    if request.mimetype not in ("", "application/json") or (content and not request.mimetype):
        text = "Send the body as JSON, with the header Content-Type: application/json."
        raise Problem(415, "not_json", text)
    try:
        return model.model_validate_json(content or b"{}")
    except ValidationError as error:
        if any(found["type"] == "json_invalid" for found in error.errors(include_input=False, include_context=False)):
            raise Problem(400, "malformed_json", "The body is no valid JSON.") from None
        raise _invalid(_errors_of(error)) from None


def refuse(errors: Mapping[str, str], free_at: datetime | None = None) -> Problem:
    """Return the problem for the errors that a service found: {field: error code}. The sentences are the forms'.

    `free_at`: the next free time, if the wished one is not free.
    """
    g.locale = "en"
    found = [FieldError(name, str(code), _sentence(code, free_at)) for name, code in errors.items()]
    more = {} if free_at is None else {"free_at": free_at.astimezone(office_zone()).isoformat()}
    return _invalid(found, more=more)


def _sentence(code: str, free_at: datetime | None) -> str:
    if code == ErrorCode.NOT_FREE and free_at is not None:
        return "At that time the office is closed or has enough calls. The next free time is in free_at."
    return wording.error(code)


def _invalid(errors: Iterable[FieldError], *, more: Mapping[str, Any] | None = None) -> Problem:
    text = "Some values are missing or wrong. Nothing was changed."
    return Problem(422, "invalid", text, errors=tuple(errors), more=more or {})


# type of pydantic's error -> our code; the others are "wrong_value"
_CODES = {
    "missing": ErrorCode.REQUIRED,
    "string_too_short": ErrorCode.REQUIRED,
    "string_too_long": ErrorCode.TOO_LONG,
    "enum": ErrorCode.CHOICE,
    "literal_error": ErrorCode.CHOICE,
    "greater_than_equal": ErrorCode.RANGE,
    "less_than_equal": ErrorCode.RANGE,
}


# type of pydantic's error -> a plainer sentence than pydantic's
_SENTENCES = {
    "missing": "This is required.",
    "string_too_short": "This is required.",
    "extra_forbidden": "There is no such field.",
    "model_type": "Send a JSON object.",
}


def _errors_of(error: ValidationError) -> list[FieldError]:
    found = []
    for one in error.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(str(part) for part in one["loc"])[:80]
        code = "unknown_field" if one["type"] == "extra_forbidden" else str(_CODES.get(one["type"], "wrong_value"))
        stated = f"{one['msg'].removeprefix('Value error, ').capitalize()}."
        found.append(FieldError(name, code, _SENTENCES.get(one["type"], stated)))
    return found
