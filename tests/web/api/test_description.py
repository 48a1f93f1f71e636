"""The description of the API, and the API held against it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import hypothesis
import pytest
import schemathesis
from flask import Flask
from hypothesis.strategies import SearchStrategy
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from app.services import logins
from app.store.database import Database
from app.web.api import access
from app.web.api.description import build
from app.web.api.views import OPERATIONS
from tests.support.factories import create_attempt, create_line, create_module, create_queue, create_request
from tests.web.api.caller import Caller, make_token


def test_description_is_served(crm: Caller) -> None:
    described = crm.get("/openapi.json")
    assert described["openapi"] == "3.1.0" and described["servers"] == [{"url": "/api/v1"}]
    assert described["security"] == [{"token": []}]
    names = {one["operationId"] for methods in described["paths"].values() for one in methods.values()}
    assert names == OPERATIONS.keys()


def test_each_operation_and_argument_is_explained(app: Flask) -> None:
    for methods in build()["paths"].values():
        for operation in methods.values():
            assert operation["summary"].endswith("."), operation["operationId"]
            for argument in operation["parameters"]:
                assert argument.get("description") or argument["in"] == "path", argument["name"]


def test_arguments_are_never_null(app: Flask) -> None:
    described = str([one["parameters"] for methods in build()["paths"].values() for one in methods.values()])
    assert "null" not in described and "None" not in described.replace("None:", "")


@pytest.fixture
def furnished(app: Flask, database: Database, without_waiting: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """An office with one of everything, and calls without a limit."""
    monkeypatch.setattr(access, "CALLS", replace(access.CALLS, most=10**9))
    monkeypatch.setattr(access, "CHANGES", replace(access.CHANGES, most=10**9))
    monkeypatch.setattr(logins, "count_wrong_token", lambda *_: None)
    create_line(database, "101")
    create_queue(database, "800", "101")
    module = create_module(database, targets=["101", "102"])
    create_module(database, target_kind="queue", targets=["800"])
    now = datetime.now(UTC)
    for number in range(1, 4):
        request = create_request(database, module, number=f"+98912000000{number}", target="101", registered_at=now)
        create_attempt(database, request, started_at=now, ended_at=now + timedelta(seconds=9), outcome="agent_busy")


EXAMPLES = 8  # of each operation
# These refuse by the rules of the office, such as those about numbers, what the description allows.
BY_RULES = {"create_request", "call", "call_request", "postpone_request", "write_note", "list_requests", "show_figures"}


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_api_keeps_to_its_description(
    app: Flask, furnished: None, mode: GenerationMode, subtests: pytest.Subtests
) -> None:
    """Calls that the description allows, and calls that it does not, get an answer that it has."""
    headers = {"Authorization": f"Bearer {make_token(app)}", "Accept-Encoding": "identity"}
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app, headers=headers)
    statuses: set[int] = set()
    for name, operation in OPERATIONS.items():
        existing = {"request_id": 1} if mode is GenerationMode.POSITIVE and "request_id" in operation.path else None
        cases = schema.find_operation_by_id(name).as_strategy(mode, path_parameters=existing)
        with subtests.test(name):
            statuses |= call_and_check(cases, headers, [positive_data_acceptance] if name in BY_RULES else [])
    assert 429 not in statuses
    assert statuses >= ({200, 409} if mode is GenerationMode.POSITIVE else {404, 422})


def call_and_check(cases: SearchStrategy[Any], headers: dict[str, str], without: list[Any]) -> set[int]:
    """Make calls, check the answers with all checks but some, and return their statuses."""
    statuses: set[int] = set()

    @hypothesis.given(case=cases)
    @hypothesis.settings(max_examples=EXAMPLES)
    def hold(case: Any) -> None:
        # An argument with an empty list is not sent, so what would be wrong with the call is not in it.
        hypothesis.assume([] not in (case.query or {}).values())
        response = case.call(headers=headers)
        case.validate_response(response, headers=headers, excluded_checks=without)
        statuses.add(response.status_code)

    hold()
    return statuses
