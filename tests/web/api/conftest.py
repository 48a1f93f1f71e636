"""Programs with tokens of several users."""

import pytest
from flask import Flask

from tests.web.api.caller import OPERATOR, Caller, make_token


@pytest.fixture
def crm(app: Flask) -> Caller:
    """A program of the administrator, with all scopes."""
    return Caller(app, make_token(app))


@pytest.fixture
def assistant(app: Flask) -> Caller:
    """A program of the operator, whose extension is 101, with all scopes."""
    return Caller(app, make_token(app, OPERATOR))


@pytest.fixture
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for an answer of the telephone service."""
    defaults = {"seconds": 0.0, "pause": lambda _seconds: None}
    monkeypatch.setattr("app.services.requests.command_results.wait_for_results.__kwdefaults__", defaults)
