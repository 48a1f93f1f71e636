"""The studio's desk: whatever stands in the way of a call, its row says so, and no page waits for ever."""

import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from app.config import Settings
from app.domain.phone_calls import CallFailure, CallState
from app.domain.policy import LineState
from app.services.prompts import phone_calls
from app.store.database import Database
from app.telephony.snapshot import Extension, Snapshot
from app.worker.phone_calls import PhoneCalls
from app.worker.prompts import PromptStore


class Exchange:
    """It has our dialplan. `breaks`: what comes of asking for the state of a device, "" for a free one."""

    connected = True

    def __init__(self) -> None:
        self.breaks: Exception | None = None
        self.rung: list[str] = []
        self.hung_up = 0

    async def send(self, action: str, headers: Any = ()) -> Any:
        if headers["Variable"].startswith("DIALPLAN_EXISTS"):
            return {"Value": "1"}
        if self.breaks is not None:
            raise self.breaks
        return {"Value": "NOT_INUSE"}

    async def collect(self, action: str, headers: Any = ()) -> list[Any]:
        self.hung_up += 1
        return []

    async def originate(self, headers: Any, variables: Any) -> None:
        self.rung.append(headers["ChannelId"])
        raise RuntimeError("nobody has thought of this")


@pytest.fixture
def exchange() -> Exchange:
    return Exchange()


@pytest.fixture
def snapshot() -> Snapshot:
    return Snapshot()


@pytest.fixture
def desk(office: Settings, database: Database, exchange: Exchange, snapshot: Snapshot) -> PhoneCalls:
    sounds = PromptStore(office, database)
    return PhoneCalls(office, database, exchange, sounds, snapshot)  # type: ignore[arg-type]


async def ring(desk: PhoneCalls, database: Database) -> tuple[CallState, str]:
    """Ask for a call of extension 701, have it made, and return what its row says."""
    now = datetime.now(UTC)
    call = phone_calls.create_test_call(database, extension="701", language="en", actor="sara", now=now)
    await desk.call(call)
    view = phone_calls.load(database, call, now)
    return view.state, view.detail


@pytest.mark.parametrize("device", ["park:701@parkedcalls", "Local/701@office/n", "MeetMe:701"])
async def test_a_hint_that_is_no_phone_cannot_be_rung(
    desk: PhoneCalls, database: Database, exchange: Exchange, snapshot: Snapshot, device: str
) -> None:
    hint = Extension("701", "hints", (device,), False, 0, LineState.FREE, datetime.now(UTC))
    snapshot.extensions["701"] = hint
    assert await ring(desk, database) == (CallState.FAILED, CallFailure.UNREACHABLE)
    assert exchange.rung == []


async def test_a_call_that_breaks_before_it_rings_has_failed(
    desk: PhoneCalls, database: Database, exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    exchange.breaks = RuntimeError("nobody has thought of this")
    with caplog.at_level(logging.ERROR):
        assert await ring(desk, database) == (CallState.FAILED, CallFailure.BROKEN_OFF)
    assert "nobody has thought of this" in caplog.text


async def test_a_call_that_breaks_while_it_rings_is_hung_up(
    desk: PhoneCalls, database: Database, exchange: Exchange
) -> None:
    assert await ring(desk, database) == (CallState.FAILED, CallFailure.BROKEN_OFF)
    assert len(exchange.rung) == 1
    assert exchange.hung_up
