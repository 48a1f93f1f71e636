"""A program that calls the API."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from app.domain.api_scopes import ApiScope
from app.services.api import tokens
from tests.web.pages import check_headers

ADMINISTRATOR, OPERATOR, SUPERVISOR = 1, 2, 4


def make_token(
    app: Flask, user_id: int = ADMINISTRATOR, scopes: Collection[str] = tuple(ApiScope), name: str = "CRM"
) -> str:
    """Make a token of a user, by default with all scopes."""
    database = app.extensions["bazang"]["database"]
    return tokens.create(database, user_id, name, scopes, datetime.now(UTC), address="127.0.0.1")


class Caller:
    """Calls the API with a token, and checks what must hold for every answer."""

    def __init__(self, app: Flask, token: str | None) -> None:
        self.client = app.test_client()
        self.headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def get(self, path: str, status: int = 200, /, **query: Any) -> Any:
        return self.call("GET", path, status, query_string=query or None)[0]

    def post(self, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        sent = {} if body is None else {"json": body}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.call("POST", path, status, headers=named, **sent)[0]

    def call(
        self, method: str, path: str, status: int, *, headers: dict[str, str] | None = None, **sent: Any
    ) -> tuple[Any, TestResponse]:
        """Return the JSON of the answer, and the answer."""
        response = self.client.open(
            f"/api/v1{path}", method=method, headers={**self.headers, **(headers or {})}, buffered=True, **sent
        )
        assert response.status_code == status, response.text
        check_headers(response)
        assert "Set-Cookie" not in response.headers
        answer: Any = response.json
        if status >= 400:
            assert response.content_type == "application/problem+json"
            assert answer["status"] == status and answer["type"] == "about:blank"
            assert answer["code"] and answer["detail"].endswith(".")
        else:
            assert response.content_type == "application/json"
        return answer, response


def code_of(response: TestResponse) -> str:
    """Return the code of a problem."""
    problem: Any = response.json
    return str(problem["code"])
