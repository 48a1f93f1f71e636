"""What is asked about the way to customers, and whose calls go there."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from app.domain.outbound import OutboundResult
from app.services.pbx import outbound
from app.services.pbx.outbound import OutboundQuestion, make_question
from app.store.database import Database
from app.store.models import Command
from script.office.database import make_settings
from tests.services.pbx.test_connection_commands import worker
from tests.support.factories import create_module, create_queue, create_running_service


def test_the_agents_of_all_modules_call(database: Database, tmp_path: Path) -> None:
    create_module(database, code="*5001", targets=["102", "101"])
    create_module(database, code="*5002", target_kind="queue", targets=["800"])
    create_queue(database, "800", "103")
    create_queue(database, "801", "104")
    office = make_settings(tmp_path, outbound_context="from-internal", default_region="IR")
    assert make_question(database, office) == OutboundQuestion("from-internal", "09123456789", ("101", "102", "103"))
    without = make_settings(tmp_path, outbound_context="", default_region="IR")
    assert make_question(database, without) is None


@pytest.mark.parametrize("result", list(OutboundResult))
def test_worker_answers(database: Database, result: OutboundResult) -> None:
    create_running_service(database)
    question = OutboundQuestion("from-internal", "0912", ("101",))
    with worker(database, ok=True, result=result):
        assert outbound.ask(database, question, actor="sara", now=datetime.now(UTC)) is result
    with database.read() as session:
        (command,) = session.scalars(select(Command)).all()
    assert command.payload == {"context": "from-internal", "number": "0912", "agents": ["101"]}


def test_no_answer(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "WAIT_SECONDS", 0.0)
    question = OutboundQuestion("from-internal", "0912", ())
    assert outbound.ask(database, question, actor="sara", now=datetime.now(UTC)) is None
