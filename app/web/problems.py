"""Errors of the API as problem details (RFC 9457): a stable code for programs, and a plain sentence for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from flask import Response, current_app, json, request
from werkzeug.exceptions import HTTPException

API_PATH = "/api/"
MEDIA_TYPE = "application/problem+json"

# status -> the code and the sentence of an error that the API itself does not raise
_OF_STATUS = {
    400: ("bad_request", "The request is malformed."),
    404: ("not_found", "This address does not exist."),
    405: ("method_not_allowed", "This address does not accept this method."),
    413: ("body_too_large", "The body is too large. The limit is 64 KiB."),
    421: ("unknown_host", "The panel is not known by this name. Call it as people open it in their browsers."),
}
_OTHER = ("bad_request", "The request could not be completed.")


@dataclass(frozen=True)
class FieldError:
    """What is wrong with a value that was sent. `field` is a name in the body or in the query, or "" for the whole."""

    field: str
    code: str
    detail: str


@dataclass
class Problem(Exception):
    """Why the API refuses a request. `more` are further members of the answer."""

    status: int
    code: str
    detail: str
    errors: Sequence[FieldError] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)

    def to_response(self) -> Response:
        """Return the answer."""
        content: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.errors:
            content["errors"] = [vars(error) for error in self.errors]
        body = json.dumps({**content, **self.more})
        return Response(body, self.status, dict(self.headers), content_type=MEDIA_TYPE)


def is_api() -> bool:
    """Return whether a program calls the API, which knows no sessions and no pages."""
    return request.path.startswith(API_PATH)


def respond(error: Exception) -> Response:
    """Return the answer of the API to any error. One that nobody expects is logged."""
    if isinstance(error, Problem):
        return error.to_response()
    if isinstance(error, HTTPException) and error.code is not None and error.code < 500:
        code, detail = _OF_STATUS.get(error.code, _OTHER)
        allowed = {name: value for name, value in error.get_headers(request.environ) if name == "Allow"}
        return Problem(error.code, code, detail, headers=allowed).to_response()
    current_app.logger.exception("unhandled exception", exc_info=error)
    text = "This is an error in Bazang. Nothing was changed. The server log has the details."
    return Problem(500, "internal_error", text).to_response()
