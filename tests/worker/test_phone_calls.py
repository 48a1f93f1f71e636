"""Phone calls in the worker: after any error, the row says how the call ended."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from app.audio.library import SoundLibrary
from app.config import Settings
from app.domain.phone_calls import CallFailure, CallState
from app.domain.policy import LineState
from app.services.prompts import phone_calls, recordings
from app.store.database import Database
from app.telephony.snapshot import Extension, Snapshot
from app.worker import phone_calls as worker_calls
from app.worker.phone_calls import PhoneCalls
from app.worker.prompts import PromptStore
from app.worker.recording_inbox import RecordingInbox
from tests.audio.sounds import tone, write_sound
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


async def test_recording_is_stored_when_the_database_is_back(
    calls: PhoneCalls, database: Database, office: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = [OperationalError("INSERT", {}, Exception("the server closed the connection"))] * 2
    add, now = recordings.add, datetime.now(UTC)

    def add_if_there(*arguments: Any, **options: Any) -> str:
        if away:
            raise away.pop()
        return add(*arguments, **options)

    monkeypatch.setattr(recordings, "add", add_if_there)
    monkeypatch.setattr(worker_calls, "STORE_PAUSES", (0.0, 0.0))
    values: dict[str, Any] = {"extension": "701", "language": "en", "text": "", "actor": "sara", "now": now}
    call_id = phone_calls.create_recording_call(database, name="Closed", **values)
    view = phone_calls.claim(database, call_id, now)
    assert view is not None
    clip = SoundLibrary(office.prompts_path).convert(write_sound(tmp_path / "said.wav", tone(1.0)))
    for _ in range(2):  # the answer of a try that has saved it can be lost
        await calls._store_patiently(view, clip)
        assert phone_calls.load(database, call_id, now).file == f"uploads/{clip.path.name}"


async def test_call_is_hung_up_after_an_error_while_it_rings(
    calls: PhoneCalls, database: Database, pbx: FakePbx
) -> None:
    assert await make_call(calls, database) == (CallState.FAILED, CallFailure.BROKEN_OFF)
    assert len(pbx.rung) == 1
    assert pbx.hang_ups
