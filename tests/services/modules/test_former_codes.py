"""Former codes of modules: they lead on until they are removed."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from app.domain.routing import HANG_UP, Destination, FormerCodePlan
from app.services.errors import ErrorCode, Invalid, NotFound
from app.services.modules.former_codes import list_former_codes, plans, remove_former_code
from app.services.modules.list import load_module, suggest_code
from app.services.modules.save import delete_module, save_module
from app.store.database import Database
from app.store.models import AuditEntry
from tests.support.factories import make_module_input

NOW = datetime(2026, 11, 3, 8, 0, tzinfo=UTC)


def rename(database: Database, module_id: int, code: str) -> None:
    with database.read() as session:
        module = load_module(session, module_id)
    save_module(database, replace(module, code=code), NOW, module_id=module_id)


def kept(database: Database) -> list[FormerCodePlan]:
    with database.read() as session:
        return list(plans(session))


def test_former_code_leads_to_the_module_under_its_new_code(database: Database) -> None:
    module = save_module(database, make_module_input(code="*5001"), NOW)
    assert kept(database) == []
    rename(database, module, "*5002")
    rename(database, module, "*5003")
    to_module = Destination("module", "*5003")
    assert kept(database) == [FormerCodePlan("*5001", to_module), FormerCodePlan("*5002", to_module)]
    rename(database, module, "*5001")  # back
    assert kept(database) == [FormerCodePlan(code, Destination("module", "*5001")) for code in ("*5002", "*5003")]
    rename(database, module, "*5001")
    assert len(kept(database)) == 2


def test_codes_of_a_deleted_module_lead_to_its_error_destination(database: Database) -> None:
    error = Destination("extension", "100")
    module = save_module(database, make_module_input(name="Sales", code="*5001", error=error), NOW)
    rename(database, module, "*5002")
    delete_module(database, module, NOW)
    assert kept(database) == [FormerCodePlan("*5001", error), FormerCodePlan("*5002", error)]
    with database.read() as session:
        assert {(row.module_id, row.name) for row in list_former_codes(session)} == {(None, "Sales")}
        assert suggest_code(session) == "*5003"
    save_module(database, make_module_input(code="*5001", error=HANG_UP), NOW)  # somebody wants this code again
    assert kept(database) == [FormerCodePlan("*5002", error)]


def test_former_code_of_another_module_is_taken_until_it_is_remove_former_code(database: Database) -> None:
    module = save_module(database, make_module_input(code="*5001"), NOW)
    rename(database, module, "*5002")
    with pytest.raises(Invalid) as refused:
        save_module(database, make_module_input(code="*5001"), NOW)
    assert refused.value.errors == {"code": ErrorCode.FORMER}
    remove_former_code(database, "*5001", NOW, actor="sara")
    assert kept(database) == []
    save_module(database, make_module_input(code="*5001"), NOW)
    with pytest.raises(NotFound):
        remove_former_code(database, "*5001", NOW, actor="sara")
    with database.read() as session:
        entry = session.scalar(select(AuditEntry).where(AuditEntry.action == "former_code_removed"))
    assert entry is not None and (entry.actor, entry.subject) == ("sara", "*5001")
