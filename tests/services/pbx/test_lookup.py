"""Looking things up: nothing is asked that cannot be answered, nor in a form that the exchange must not see."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from app.config import Settings
from app.services.pbx import lookup
from app.store.database import Database
from app.store.models import Command
from script.office.database import make_settings
from tests.services.pbx.test_connection_test import worker
from tests.support.factories import NOW, create_running_service


def asked(database: Database) -> list[dict[str, Any]]:
    with database.read() as session:
        return [command.payload for command in session.scalars(select(Command))]


@pytest.mark.parametrize(("result", "found"), [("yes", True), ("no", False)])
def test_exchange_tells_whether_it_has_it(database: Database, result: str, found: bool) -> None:
    create_running_service(database)
    with worker(database, ok=True, result=result):
        assert lookup.exists(database, "queue", "800", "sara", datetime.now(UTC)) is found
    assert asked(database) == [{"kind": "queue", "code": "800"}]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("extension", "10a"),
        ("extension", "101)\r\nAction: Logoff"),
        ("queue", "8 0"),
        ("queue", ""),
        ("custom", "ends,12"),
        ("custom", "ends,12,1,1"),
        ("custom", "ends,${SHELL(id)},1"),
    ],
)
def test_what_has_no_such_form_is_nowhere_and_not_asked(database: Database, kind: str, code: str) -> None:
    create_running_service(database)
    assert lookup.exists(database, kind, code, "sara", NOW) is False
    assert asked(database) == []


def test_nothing_is_asked_where_nobody_can_answer(database: Database, office: Settings) -> None:
    assert lookup.exists(database, "extension", "101", "sara", NOW) is None, "the service never ran"
    create_running_service(database, ami_status="down")
    assert lookup.exists(database, "extension", "101", "sara", NOW) is None
    assert lookup.code_taken(database, office, "5050", "sara", NOW) is None
    assert asked(database) == []


def test_answer_that_does_not_come_is_none(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "WAIT", 0.0)
    create_running_service(database)
    assert lookup.exists(database, "extension", "101", "sara", NOW) is None
    with database.read() as session:
        assert session.scalars(select(Command)).one().result == "withdrawn before a phone rang"


@pytest.mark.parametrize(
    ("profile", "contexts"),
    [
        ("asterisk", ["outbound", "bazang-extensions", "bazang-queues"]),
        ("freepbx", ["outbound", "from-did-direct", "ext-queues", "from-internal"]),
    ],
)
def test_code_is_looked_for_in_the_contexts_in_force(
    database: Database, office: Settings, profile: str, contexts: list[str]
) -> None:
    settings = make_settings(office.data_dir, pbx_profile=profile, outbound_context="outbound")
    create_running_service(database)
    with worker(database, ok=True, result="outbound"):
        assert lookup.code_taken(database, settings, "5050", "sara", datetime.now(UTC)) == "outbound"
    assert asked(database) == [{"contexts": contexts, "code": "5050"}]


def test_code_of_no_form_is_not_looked_for(database: Database, office: Settings) -> None:
    create_running_service(database)
    assert lookup.code_taken(database, office, "50 50", "sara", NOW) == ""
    assert asked(database) == []
