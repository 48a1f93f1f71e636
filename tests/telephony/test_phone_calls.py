"""The dialogue of phone calls, path by path, with a fake handler."""

import asyncio
from collections.abc import Mapping
from typing import Literal

import pytest

from app.audio.prompt_texts import PHONE_CALL_KEYS
from app.domain.phone_calls import CallFailure, CallKind, CallState
from app.telephony.agi import AgiServer, Sound
from app.telephony.phone_calls import MAX_RECORDING_SECONDS, TONE, CallScript, handle_phone_call
from script.office.patience import PATIENCE
from tests.support.fake_agi import FakeCall, HangUp, Press, make_access

CALL_ID = "0b0f3b0e-8a1c-4b57-9a0e-0a4fdb0f2c11"
HEADERS = {"agi_network_script": f"studio/{CALL_ID}"}
SOUNDS = {key: Sound(f"speech/{key}", 1.0) for key in (*PHONE_CALL_KEYS, TONE)}
CHOICE = "phone_call_choice"


class FakeHandler:
    """A PhoneCallHandler. `check_failures`, `save_failures`: the results of the first calls, then all succeed."""

    def __init__(self, kind: CallKind = CallKind.RECORD, *, is_known: bool = True) -> None:
        self.kind, self.is_known = kind, is_known
        self.check_failures: list[CallFailure] = []
        self.save_failures: list[CallFailure] = []
        self.cancelled_at: CallState | None = None
        self.states: list[CallState] = []
        self.recordings = 0
        self.saved = 0  # the number of the recording that was saved
        self.failures: list[CallFailure | None] = []  # how the call was closed
        self.closed = asyncio.Event()

    async def open_call(self, call_id: str) -> CallScript | None:
        return CallScript(self.kind, SOUNDS) if self.is_known and call_id == CALL_ID else None

    async def update_state(self, call_id: str, state: CallState) -> bool:
        self.states.append(state)
        return state is not self.cancelled_at

    def new_recording(self, call_id: str) -> Sound:
        self.recordings += 1
        return Sound(f"inbox/recording{self.recordings}", MAX_RECORDING_SECONDS)

    async def check_recording(self, call_id: str) -> CallFailure | None:
        return self.check_failures.pop(0) if self.check_failures else None

    async def save_recording(self, call_id: str) -> CallFailure | None:
        if self.save_failures:
            return self.save_failures.pop(0)
        self.saved = self.recordings
        return None

    async def close_call(self, call_id: str, failure: CallFailure | None) -> None:
        self.failures.append(failure)
        self.closed.set()


async def answer(
    handler: FakeHandler, *presses: Press, hang_up: HangUp | None = None, replies: Mapping[str, bytes] | None = None
) -> FakeCall:
    """Run a whole call and return it. `replies`: of commands, instead of the usual ones."""
    call = FakeCall(
        *presses, headers=HEADERS, hang_up=hang_up, replies={k.upper(): v for k, v in (replies or {}).items()}
    )
    server = AgiServer("127.0.0.1", 0, lambda session: handle_phone_call(session, handler), make_access())
    await server.start()
    try:
        await call.run(server.port)
        async with asyncio.timeout(PATIENCE):
            await handler.closed.wait()
    finally:
        async with asyncio.timeout(PATIENCE):
            await server.stop()
    return call


# -- recording ------------------------------------------------------------------------------------------------------


async def test_key_1_saves_the_recording() -> None:
    handler = FakeHandler()
    call = await answer(handler, Press(CHOICE, "1"))
    assert call.log == [
        "answer",
        "play phone_call_instructions",
        "play tone",
        "record recording1.wav to # or 120.0",
        f"play {CHOICE}",
        "wait 5.0",
        "play phone_call_saved",
    ]
    assert (handler.saved, handler.states, handler.failures) == (1, [CallState.RECORDING, CallState.CHOOSING], [None])


async def test_recording_is_used_when_asterisk_has_closed_its_file() -> None:
    """Asterisk replies before it closes the file. Its reply to the next command comes afterwards."""
    call = await answer(FakeHandler(), hang_up=HangUp(4))
    assert [command.split()[0] for command in call.commands[-3:]] == ["RECORD", "SET", "CHANNEL"]


@pytest.mark.parametrize("early", [False, True])
async def test_key_2_records_again(early: bool) -> None:
    handler = FakeHandler()
    await answer(handler, Press(CHOICE, "2", early), Press(CHOICE, "1", early))
    assert (handler.recordings, handler.saved, handler.failures) == (2, 2, [None])


async def test_key_3_plays_the_recording_and_asks_again() -> None:
    handler = FakeHandler()
    call = await answer(handler, Press(CHOICE, "3"), Press(CHOICE, "1"))
    assert call.played[2:] == [CHOICE, "recording1", CHOICE, "phone_call_saved"]
    assert handler.saved == 1


@pytest.mark.parametrize(("key", "saved"), [("1", 1), ("2", 2)])
async def test_key_interrupts_the_recording(key: str, saved: int) -> None:
    handler = FakeHandler()
    await answer(handler, Press(CHOICE, "3"), Press("recording1", key, early=True), Press(CHOICE, "1"))
    assert handler.saved == saved


async def test_nothing_is_saved_without_a_key() -> None:
    handler = FakeHandler()
    call = await answer(handler)
    assert call.played.count(CHOICE) == 3
    assert (handler.saved, handler.failures) == (0, [CallFailure.UNDECIDED])


@pytest.mark.parametrize("failure", [CallFailure.SILENCE_ONLY, CallFailure.NOTHING_RECORDED])
async def test_bad_recording_is_repeated_three_times_at_most(failure: CallFailure) -> None:
    handler = FakeHandler()
    handler.check_failures = [failure]
    await answer(handler, Press(CHOICE, "1"))
    assert (handler.recordings, handler.saved, handler.failures) == (2, 2, [None])
    handler = FakeHandler()
    handler.check_failures = [failure] * 3
    call = await answer(handler)
    assert call.played.count("phone_call_silence") == 3
    assert (handler.recordings, handler.failures) == (3, [failure])


async def test_recording_that_turns_out_silent_is_repeated() -> None:
    handler = FakeHandler()
    handler.save_failures = [CallFailure.SILENCE_ONLY]
    await answer(handler, Press(CHOICE, "1"), Press(CHOICE, "1"))
    assert (handler.saved, handler.failures) == (2, [None])


@pytest.mark.parametrize("failure", [CallFailure.CANNOT_WRITE, CallFailure.BROKEN_OFF])
async def test_recording_that_cannot_be_saved_ends_the_call(failure: CallFailure) -> None:
    handler = FakeHandler()
    handler.save_failures = [failure]
    call = await answer(handler, Press(CHOICE, "1"))
    assert call.played[-1] == "phone_call_failed"
    assert handler.failures == [failure]


async def test_pbx_that_cannot_write_ends_the_call() -> None:
    handler = FakeHandler()
    call = await answer(handler, replies={"record file": b"200 result=-1 (writefile)\n"})
    assert call.played == ["phone_call_instructions", "tone", "phone_call_failed"]
    assert handler.failures == [CallFailure.CANNOT_WRITE]


# -- the end of a call ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["within", "between", "silent"])
@pytest.mark.parametrize("after", range(1, 7))
async def test_hangup_before_key_1_saves_nothing(after: int, how: Literal["within", "between", "silent"]) -> None:
    handler = FakeHandler()
    await answer(handler, hang_up=HangUp(after, how))
    assert (handler.saved, handler.failures) == (0, [CallFailure.HUNG_UP])


async def test_hangup_during_a_recording_as_asterisk_reports_it() -> None:
    handler = FakeHandler()
    dead = b"511 Command Not Permitted on a dead channel or intercept routine\n"
    await answer(handler, replies={"record file": b"200 result=-1 (hangup) endpos=22240\n", "channel status": dead})
    assert handler.failures == [CallFailure.HUNG_UP]


async def test_hangup_after_key_1_saves_the_recording() -> None:
    handler = FakeHandler()
    await answer(handler, Press(CHOICE, "1"), hang_up=HangUp(7))
    assert (handler.saved, handler.failures) == (1, [None])


async def test_missing_sounds_are_told_from_a_hangup() -> None:
    handler = FakeHandler(CallKind.TEST)
    call = await answer(handler, replies={"stream file": b"200 result=-1 endpos=0\n"})
    assert call.log[-1] == "channel status"
    assert handler.failures == [CallFailure.CANNOT_READ]


async def test_lost_connection_ends_the_call() -> None:
    handler = FakeHandler()
    await answer(handler, hang_up=HangUp(3, "gone"))
    assert handler.failures == [CallFailure.BROKEN_OFF]


async def test_test_call_is_done_after_its_text() -> None:
    handler = FakeHandler(CallKind.TEST)
    call = await answer(handler)
    assert call.log == ["answer", "play phone_call_test"]
    assert (handler.states, handler.failures) == ([CallState.DONE], [None])


@pytest.mark.parametrize("state", [CallState.RECORDING, CallState.CHOOSING])
async def test_cancelled_call_ends_at_its_next_state(state: CallState) -> None:
    handler = FakeHandler()
    handler.cancelled_at = state
    await answer(handler, Press(CHOICE, "1"))
    assert (handler.states[-1], handler.saved, handler.failures) == (state, 0, [None])


async def test_unknown_call_is_not_answered() -> None:
    handler = FakeHandler(is_known=False)
    handler.closed.set()
    call = await answer(handler)
    assert (call.commands, handler.failures) == ([], [])


async def test_stopped_service_closes_its_calls() -> None:
    handler = FakeHandler()
    recording, go_on = asyncio.Event(), asyncio.Event()

    async def block(command: str) -> None:
        if command.startswith("RECORD"):
            recording.set()
            await go_on.wait()

    call = FakeCall(headers=HEADERS, on_command=block)
    server = AgiServer("127.0.0.1", 0, lambda session: handle_phone_call(session, handler), make_access())
    await server.start()
    running = asyncio.ensure_future(call.run(server.port))
    async with asyncio.timeout(PATIENCE):
        await recording.wait()
        await server.stop()
        go_on.set()
        await running
    assert handler.failures == [CallFailure.SERVICE_DOWN]
