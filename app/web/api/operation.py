"""Declare the operations of the API: one declaration checks a call and describes it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar

from flask import Blueprint, Response
from pydantic import BaseModel

from app.domain.api_scopes import ApiScope
from app.extensions import csrf
from app.services import audit
from app.web.api.access import authenticate
from app.web.api.input import Body, Query, read_body, read_query

VERSION = "v1"
blueprint = Blueprint("api", __name__, url_prefix=f"/api/{VERSION}")
csrf.exempt(blueprint)  # a browser sends no token of the API by itself, so no page can forge a call

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Reply:
    """An answer that needs more than the usual status and headers."""

    content: BaseModel
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """One operation. `answers` are the models of its answers by status, `problems` the statuses of its own errors."""

    name: str
    method: str
    path: str
    about: str
    scope: ApiScope | None
    query: type[Query]
    body: type[Body] | None
    answers: Mapping[int, type[BaseModel]]
    problems: Sequence[int]
    idempotent_by_key: bool

    @property
    def changes(self) -> bool:
        return self.method != "GET"


OPERATIONS: dict[str, Operation] = {}


def operation(
    method: str,
    path: str,
    *,
    scope: ApiScope | None,
    answers: Mapping[int, type[BaseModel]],
    query: type[Query] = Query,
    body: type[Body] | None = None,
    problems: Sequence[int] = (),
    idempotent_by_key: bool = False,
) -> Callable[[View], View]:
    """Serve a view as an operation of the API.

    The view gets an `ApiAccess`, the arguments of the path, and `query` and `body` if they have models of their own. It
    returns a model or a `Reply`, and raises `Problem`.
    """

    def declare(view: View) -> View:
        declared = Operation(
            name=view.__name__,
            method=method,
            path=path,
            about=view.__doc__ or "",
            scope=scope,
            query=query,
            body=body,
            answers=answers,
            problems=problems,
            idempotent_by_key=idempotent_by_key,
        )

        @wraps(view)
        def serve(**arguments: Any) -> Response:
            access = authenticate(scope, changes=declared.changes)
            given = read_query(query)
            if query is not Query:
                arguments["query"] = given
            if body is not None:
                arguments["body"] = read_body(body)
            with audit.from_api(access.token_name):
                answer = view(access, **arguments)
            reply = answer if isinstance(answer, Reply) else Reply(answer)
            assert type(reply.content) is answers[reply.status], "an answer that the description does not have"
            content = reply.content.model_dump_json(by_alias=True)
            return Response(content, reply.status, dict(reply.headers), content_type="application/json")

        OPERATIONS[declared.name] = declared
        blueprint.add_url_rule(path, declared.name, serve, methods=[method])
        return view

    return declare
