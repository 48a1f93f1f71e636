"""Describe the API in OpenAPI 3.1, from the declarations that also check the calls."""

import inspect
import re
from functools import cache
from http import HTTPStatus
from typing import Any

from apispec import APISpec
from flask import Response, json, url_for
from pydantic import BaseModel

from app.services.api import idempotency
from app.web.api.access import authenticate
from app.web.api.operation import OPERATIONS, VERSION, Operation, blueprint
from app.web.http import LARGEST_ROW_NUMBER
from app.web.problems import MEDIA_TYPE

_REFERENCE = "#/components/schemas/{model}"
_FOR_ALL = (400, 401, 403, 421, 422, 429)  # statuses of errors that every operation may have
_ABOUT = (
    'The JSON API of Bazang. Make a token on the page "My account" of the panel and send it in the header '
    "`Authorization`, after the word `Bearer`. A program sees and may do what its user may, within the scopes of the "
    "token. Errors are problem details (RFC 9457) with a stable `code`. Times have an offset from UTC. If the "
    "panel has several exchanges, `/x/CODE` before `/api` says which one is meant. Without it, that is the first one "
    "that the user may see."
)
_PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "For programs. It stays the same in later versions."},
        "detail": {"type": "string", "description": "For people."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "code", "detail"],
                "properties": {
                    "field": {"type": "string"},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}


@blueprint.get("/openapi.json")
def describe() -> Response:
    """Send the description. Any token may read it."""
    authenticate(None, changes=False)
    server = {"url": url_for("api.describe").removesuffix("/openapi.json")}
    return Response(json.dumps({**build(), "servers": [server]}), content_type="application/json")


@cache
def build() -> dict[str, Any]:
    """Return the description without the address of the server."""
    spec = APISpec(title="Bazang", version=VERSION, openapi_version="3.1.0", info={"description": _ABOUT})
    spec.components.security_scheme("token", {"type": "http", "scheme": "bearer"})
    spec.components.schema("Problem", _PROBLEM)
    for operation in OPERATIONS.values():
        path = re.sub(r"<[^:>]*:?([a-z_]+)>", r"{\1}", operation.path)
        spec.path(path, operations={operation.method.lower(): _describe(spec, operation)})
    return {**spec.to_dict(), "security": [{"token": []}]}


def _describe(spec: APISpec, operation: Operation) -> dict[str, Any]:
    summary, _gap, about = inspect.cleandoc(operation.about).partition("\n\n")
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": summary,
        "description": f"{about}\n\nNeeds the scope `{operation.scope}`.".strip(),
        "parameters": [*_path_parameters(operation), *_query_parameters(spec, operation), *_headers(operation)],
        "responses": {
            **{str(status): _answer(spec, model, status) for status, model in operation.answers.items()},
            **{str(status): _problem(status) for status in _problem_statuses(operation)},
        },
    }
    if operation.body is not None:
        schema = _schema(spec, operation.body, "validation")
        required = any(field.is_required() for field in operation.body.model_fields.values())
        described["requestBody"] = {"required": required, "content": {"application/json": {"schema": schema}}}
    return described


def _problem_statuses(operation: Operation) -> list[int]:
    with_body = (413, 415) if operation.body is not None else ()
    return sorted({*_FOR_ALL, *with_body, *operation.problems})


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    number = {"type": "integer", "minimum": 1, "maximum": LARGEST_ROW_NUMBER}
    names = re.findall(r"<row:([a-z_]+)>", operation.path)
    return [{"name": name, "in": "path", "required": True, "schema": number} for name in names]


def _query_parameters(spec: APISpec, operation: Operation) -> list[dict[str, Any]]:
    schema = _lifted(spec, operation.query.model_json_schema(ref_template=_REFERENCE))
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "description": own.pop("description", ""),
            "schema": _without_null(own),
        }
        for name, own in schema.get("properties", {}).items()
    ]


def _headers(operation: Operation) -> list[dict[str, Any]]:
    if not operation.idempotent_by_key:
        return []
    about = (
        "A new text for each new request, such as a UUID. If the call is repeated with the same key within "
        f"{idempotency.KEPT.total_seconds() / 3600:.0f} hours, it is done once, and gets the same answer."
    )
    schema = {"type": "string", "pattern": f"^[!-~]{{1,{idempotency.LONGEST_KEY}}}$"}
    return [{"name": "Idempotency-Key", "in": "header", "required": False, "description": about, "schema": schema}]


def _answer(spec: APISpec, model: type[BaseModel], status: int) -> dict[str, Any]:
    schema = _schema(spec, model, "serialization")
    return {"description": HTTPStatus(status).phrase, "content": {"application/json": {"schema": schema}}}


def _problem(status: int) -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": {"$ref": _REFERENCE.format(model="Problem")}}}
    return {"description": HTTPStatus(status).phrase, "content": content}


def _schema(spec: APISpec, model: type[BaseModel], mode: Any) -> dict[str, str]:
    """Add the schema of a model, once, and return a reference to it."""
    if model.__name__ not in spec.components.schemas:
        schema = _lifted(spec, model.model_json_schema(ref_template=_REFERENCE, mode=mode))
        spec.components.schema(model.__name__, schema)
    return {"$ref": _REFERENCE.format(model=model.__name__)}


def _lifted(spec: APISpec, schema: dict[str, Any]) -> dict[str, Any]:
    """Add the definitions within a schema to the description, and return the schema without them."""
    for name, definition in schema.pop("$defs", {}).items():
        if name not in spec.components.schemas:
            spec.components.schema(name, definition)
    return schema


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an argument, which is either there or not, but never null."""
    kept = [choice for choice in schema.pop("anyOf", ()) if choice != {"type": "null"}]
    if schema.get("default", 0) is None:
        del schema["default"]
    return {**schema, **(kept[0] if len(kept) == 1 else {})}
