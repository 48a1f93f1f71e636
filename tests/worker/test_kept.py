"""The worker registers what the dialplan kept, and a fault costs no other record."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from app.services.requests import kept as service
from app.store.database import Database
from app.store.models import CallRequest, KeptRegistration
from app.telephony.ami import AmiRefused, AmiTimeout
from app.worker import registrar as registrar_module
from app.worker.clock import utcnow
from app.worker.kept import KeptRegistrations
from app.worker.registrar import Registrar
from tests.support.factories import create_module
from tests.telephony.test_kept import FakeAsterisk
from tests.worker.test_registrar import refused, registered, registrar

__all__ = ["refused", "registered", "registrar"]
MINUTE = timedelta(minutes=1)


def record(number: str = "09121234567", *, minutes: float = -5, module: int = 1, dialogue: str = "1.1") -> str:
    return f"{int((utcnow() + minutes * MINUTE).timestamp())}/{number}/{module}/101//1///{dialogue}"


def asterisk(records: Mapping[str, Any]) -> FakeAsterisk:
    return FakeAsterisk(",".join(records), records)


def requests_of(database: Database) -> list[CallRequest]:
    with database.read() as session:
        return list(session.scalars(select(CallRequest).order_by(CallRequest.id)))


def refusals(database: Database) -> dict[str, str]:
    with database.read() as session:
        return {row.key: row.refused for row in session.scalars(select(KeptRegistration))}


async def test_records_are_registered_and_deleted(
    database: Database, registrar: Registrar, registered: list[str]
) -> None:
    create_module(database)
    pbx = asterisk(
        {"a": record(), "b": record("101"), "c": "junk", "d": record("+989120000001", minutes=60, dialogue="4.1")}
    )
    before = utcnow()
    await KeptRegistrations(pbx, registrar).register()
    first, future = requests_of(database)
    assert (first.number, first.call_uniqueid) == ("+989121234567", "1.1")
    assert before - 6 * MINUTE < first.registered_at < before - 4 * MINUTE
    assert before <= future.registered_at <= utcnow()
    assert refusals(database) == {"a": "", "b": "number", "c": "malformed", "d": ""}
    assert pbx.deleted == ["a&b&c&d"]
    assert len(registered) == 2
    await KeptRegistrations(pbx, registrar).register()
    assert len(requests_of(database)) == 2 and pbx.deleted == ["a&b&c&d"] * 2


@pytest.mark.parametrize("error", [OperationalError("insert", {}, Exception("locked")), RuntimeError("a bug")])
async def test_record_that_cannot_be_stored_stays_and_stops_no_other(
    database: Database, registrar: Registrar, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    create_module(database)

    def fail(database: Database, key: str, *values: Any) -> Any:
        if key == "a":
            raise error
        return service.register_kept(database, key, *values)

    monkeypatch.setattr(registrar_module, "register_kept", fail)
    pbx = asterisk({"a": record(), "b": record("09120000001", dialogue="2.1")})
    await KeptRegistrations(pbx, registrar).register()
    assert pbx.deleted == ["b"] and [row.number for row in requests_of(database)] == ["+989120000001"]
    monkeypatch.undo()
    await KeptRegistrations(pbx, registrar).register()
    assert pbx.deleted == ["b", "a&b"] and len(requests_of(database)) == 2


async def test_record_that_is_gone_meanwhile_is_nothing(database: Database, registrar: Registrar) -> None:
    pbx = FakeAsterisk("a")
    await KeptRegistrations(pbx, registrar).register()
    assert pbx.deleted == [] and refusals(database) == {}


async def test_refusal_of_the_pbx_stops_no_poll(database: Database, registrar: Registrar) -> None:
    create_module(database)
    await KeptRegistrations(asterisk({"a": AmiRefused("Permission denied")}), registrar).register()
    with pytest.raises(AmiTimeout):
        await KeptRegistrations(asterisk({"a": AmiTimeout("no answer")}), registrar).register()
    assert requests_of(database) == []


async def test_very_old_record_and_deleted_module(database: Database, registrar: Registrar) -> None:
    create_module(database)
    pbx = asterisk({"a": "1/09121234567/1///1///1.1", "b": record(module=7), "c": record(minutes=-60 * 24 * 40)})
    await KeptRegistrations(pbx, registrar).register()
    assert refusals(database) == {"a": "old", "b": "no_module", "c": "old"}
