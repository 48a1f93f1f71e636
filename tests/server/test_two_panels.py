"""Two panels with one database: a limit of the API holds for both together."""

import asyncio
from contextlib import ExitStack
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path

import pytest

from app.server.panel import panel_answers, start_panel
from app.server.process import terminate
from app.services import users
from app.services.api import tokens
from app.store.database import Database
from app.web.api.access import CALLS
from script.office.database import build_database, open_database
from script.office.patience import PATIENCE
from tests.server.proxies import unused_port


def call(port: int, token: str) -> tuple[int, str]:
    """Return the status of a call, and its Retry-After."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", "/api/v1/queues", headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        response.read()
        return response.status, response.getheader("Retry-After", "")
    finally:
        connection.close()


def make_token(database: Database) -> str:
    user = users.create(database, "sara", "correct horse", "administrator", datetime.now(UTC))
    return tokens.create(database, user, "CRM", ["office:read"], datetime.now(UTC), address="")


@pytest.mark.slow
def test_calls_are_counted_across_processes(tmp_path: Path) -> None:
    """The calls of a token go to two processes in turn. Each alone would have allowed twice as many."""
    database = open_database(build_database(tmp_path / "data"))
    token = make_token(database)
    database.engine.dispose()
    environment = {"BAZANG_DATA_DIR": str(tmp_path / "data"), "PATH": "/usr/bin:/bin", "FLASK_SKIP_DOTENV": "1"}
    with ExitStack() as stack:
        ports = [unused_port() for _ in range(2)]
        for number, port in enumerate(ports):
            process = start_panel("127.0.0.1", port, environment, tmp_path, tmp_path / f"log{number}")
            stack.callback(terminate, process, 5)
            assert asyncio.run(panel_answers(process, "127.0.0.1", port)), (tmp_path / f"log{number}").read_text()
        allowed: dict[int, int] = {}  # by minute
        for number in range(6 * CALLS.most):
            status, wait = call(ports[number % 2], token)
            minute = int(datetime.now(UTC).timestamp() // 60)
            if status == 429:
                assert 0 < int(wait) <= 60
                assert call(ports[(number + 1) % 2], token)[0] == 429, "the other process refuses it, too"
                break
            assert status == 200
            allowed[minute] = allowed.get(minute, 0) + 1
    assert status == 429, "the limit was never reached"
    assert max(allowed.values()) <= CALLS.most + 1  # an answer may be counted here in the minute after its own
