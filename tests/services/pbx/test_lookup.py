"""Ask the PBX about destinations and codes, by a command to the worker."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from app.config import Settings
from app.domain.routing import Destination
from app.services.pbx import lookup
from app.services.pbx.lookup import LookupResult, find_code, look_up, look_up_unknown
from app.store.database import Database
from app.store.models import Command
from script.office.database import make_settings
from tests.services.pbx.test_connection_commands import worker
from tests.support.factories import NOW, create_running_service

QUEUE = Destination("queue", "800")
EXTENSION = Destination("extension", "101")


def payloads(database: Database) -> list[dict[str, Any]]:
    with database.read() as session:
        return [command.payload for command in session.scalars(select(Command))]


@pytest.mark.parametrize(("answer", "result"), [("yes", LookupResult.FOUND), ("no", LookupResult.MISSING)])
def test_worker_answers(database: Database, answer: str, result: LookupResult) -> None:
    create_running_service(database)
    with worker(database, ok=True, result=answer):
        assert look_up(database, QUEUE, actor="sara", now=datetime.now(UTC)) is result
    assert payloads(database) == [{"kind": "queue", "code": "800"}]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("extension", "10a"),
        ("extension", "101)\r\nAction: Logoff"),
        ("queue", "8,0"),
        ("queue", ""),
        ("custom", "ends,12"),
        ("custom", "ends,12,1,1"),
        ("custom", "ends,${SHELL(id)},1"),
    ],
)
def test_pbx_is_not_asked_about_malformed_codes(database: Database, kind: str, code: str) -> None:
    create_running_service(database)
    assert look_up(database, Destination(kind, code), actor="sara", now=NOW) is LookupResult.MISSING
    assert payloads(database) == []


def test_pbx_is_not_asked_without_connection(database: Database, office: Settings) -> None:
    assert look_up(database, EXTENSION, actor="sara", now=NOW) is LookupResult.UNANSWERED, "the worker does not run"
    create_running_service(database, ami_status="down")
    assert look_up(database, EXTENSION, actor="sara", now=NOW) is LookupResult.UNANSWERED
    assert find_code(database, office, "5050", actor="sara", now=NOW) is None
    assert payloads(database) == []


def test_command_without_answer_is_withdrawn(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "WAIT_SECONDS", 0.0)
    create_running_service(database)
    both = [EXTENSION, QUEUE]
    results = look_up_unknown(database, both, actor="sara", now=NOW)
    assert results == dict.fromkeys(both, LookupResult.UNANSWERED)
    with database.read() as session:
        (command,) = session.scalars(select(Command)).all()
    assert command.result == "withdrawn", "the second destination is not asked about"


@pytest.mark.parametrize(
    ("profile", "contexts"),
    [
        ("asterisk", ["outbound", "bazang-extensions", "bazang-queues"]),
        ("freepbx", ["outbound", "from-did-direct", "ext-queues", "from-internal"]),
    ],
)
def test_code_is_looked_up_in_the_contexts_in_force(
    database: Database, office: Settings, profile: str, contexts: list[str]
) -> None:
    settings = make_settings(office.data_dir, pbx_profile=profile, outbound_context="outbound")
    create_running_service(database)
    with worker(database, ok=True, result="outbound"):
        assert find_code(database, settings, "5050", actor="sara", now=datetime.now(UTC)) == "outbound"
    assert payloads(database) == [{"contexts": contexts, "code": "5050"}]


def test_malformed_code_is_not_looked_up(database: Database, office: Settings) -> None:
    create_running_service(database)
    assert find_code(database, office, "50 50", actor="sara", now=NOW) == ""
    assert payloads(database) == []
