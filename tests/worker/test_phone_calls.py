"""Phone calls in the worker: after any error, the row says how the call ended."""

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
from app.worker.recording_inbox import RecordingInbox
from tests.support.sounds import quick_conversion, quick_sounds

__all__ = ["quick_conversion", "quick_sounds"]


class FakePbx:
    """A PBX with our dialplan. `error`: raised instead of the state of a device; originate() always fails."""

    connected = True

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.rung: list[str] = []
        self.hang_ups = 0

    async def send(self, action: str, headers: Any = ()) -> Any:
        if headers["Variable"].startswith("DIALPLAN_EXISTS"):
            return {"Value": "1"}
        if self.error is not None:
            raise self.error
        return {"Value": "NOT_INUSE"}

    async def collect(self, action: str, headers: Any = ()) -> list[Any]:
        self.hang_ups += 1
        return []

    async def originate(self, headers: Any, variables: Any) -> None:
        self.rung.append(headers["ChannelId"])
        raise RuntimeError("unexpected")


@pytest.fixture
def pbx() -> FakePbx:
    return FakePbx()


@pytest.fixture
def snapshot() -> Snapshot:
    return Snapshot()


@pytest.fixture
def calls(office: Settings, database: Database, pbx: FakePbx, snapshot: Snapshot, quick_sounds: None) -> PhoneCalls:
    sounds, inbox = PromptStore(office, database), RecordingInbox(office)
    return PhoneCalls(database, pbx, sounds, snapshot, inbox)  # type: ignore[arg-type]


async def make_call(calls: PhoneCalls, database: Database) -> tuple[CallState, str]:
    """Make a test call to extension 701 and return the state and the failure in its row."""
    now = datetime.now(UTC)
    call_id = phone_calls.create_test_call(database, extension="701", language="en", actor="sara", now=now)
    await calls.make_call(call_id)
    view = phone_calls.load(database, call_id, now)
    return view.state, view.detail


@pytest.mark.parametrize("device", ["park:701@parkedcalls", "PJSIP/7 01"])
async def test_hint_without_a_phone_is_unreachable(
    calls: PhoneCalls, database: Database, pbx: FakePbx, snapshot: Snapshot, device: str
) -> None:
    hint = Extension("701", (device,), None, LineState.FREE, datetime.now(UTC))
    snapshot.extensions["701"] = hint
    assert await make_call(calls, database) == (CallState.FAILED, CallFailure.UNREACHABLE)
    assert pbx.rung == []


async def test_error_before_ringing(
    calls: PhoneCalls, database: Database, pbx: FakePbx, caplog: pytest.LogCaptureFixture
) -> None:
    pbx.error = RuntimeError("unexpected")
    assert await make_call(calls, database) == (CallState.FAILED, CallFailure.BROKEN_OFF)
    assert "unexpected" in caplog.text


async def test_call_is_hung_up_after_an_error_while_it_rings(
    calls: PhoneCalls, database: Database, pbx: FakePbx
) -> None:
    assert await make_call(calls, database) == (CallState.FAILED, CallFailure.BROKEN_OFF)
    assert len(pbx.rung) == 1
    assert pbx.hang_ups
