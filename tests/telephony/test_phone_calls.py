"""The studio's dialogue, path by path; only the desk that keeps what is recorded is a fake."""

import asyncio

import pytest

from app.audio.prompt_texts import PHONE_CALL_KEYS
from app.domain.phone_calls import CallFailure, CallKind, CallState
from app.telephony.agi import AgiServer, Sound
from app.telephony.phone_calls import MAX_RECORDING_SECONDS, TONE, CallScript, handle_phone_call
from tests.support.fake_agi import PATIENCE, FakeCall, HangUp, Press

CALL = "0b0f3b0e-8a1c-4b57-9a0e-0a4fdb0f2c11"
HEADERS = {"agi_network_script": f"studio/{CALL}"}
SCRIPT = {key: Sound(f"speech/{key}", 1.0) for key in (*PHONE_CALL_KEYS, TONE)}


class Desk:
    """A Studio. `judgements` and `keepings` are what it finds, one after the other; then all is well."""

    def __init__(self, kind: CallKind = CallKind.RECORD, *, known: bool = True) -> None:
        self.kind, self.known = kind, known
        self.judgements: list[CallFailure] = []
        self.keepings: list[CallFailure] = []
        self.cancelled_at: CallState | None = None
        self.told: list[CallState] = []
        self.takes = 0
        self.kept = 0
        self.closed: list[CallFailure | None] = []
        self.over = asyncio.Event()

    async def open(self, call: str) -> CallScript | None:
        return CallScript(self.kind, SCRIPT) if self.known and call == CALL else None

    async def tell(self, call: str, state: CallState) -> bool:
        self.told.append(state)
        return state is not self.cancelled_at

    def new_take(self, call: str) -> Sound:
        self.takes += 1
        return Sound(f"inbox/take{self.takes}", MAX_RECORDING_SECONDS)

    async def judge(self, call: str) -> CallFailure | None:
        return self.judgements.pop(0) if self.judgements else None

    async def keep(self, call: str) -> CallFailure | None:
        if self.keepings:
            return self.keepings.pop(0)
        self.kept = self.takes
        return None

    async def close(self, call: str, failure: CallFailure | None) -> None:
        self.closed.append(failure)
        self.over.set()


async def answer(desk: Desk, *presses: Press, hang_up: HangUp | None = None, **replies: bytes) -> FakeCall:
    """Play the whole call and return it."""
    call = FakeCall(*presses, headers=HEADERS, hang_up=hang_up, replies={k.upper(): v for k, v in replies.items()})
    server = AgiServer("127.0.0.1", 0, lambda session: handle_phone_call(session, desk))
    await server.start()
    try:
        await call.run(server.port)
        async with asyncio.timeout(PATIENCE):
            await desk.over.wait()
    finally:
        async with asyncio.timeout(PATIENCE):
            await server.stop()
    return call


async def test_1_keeps_what_was_recorded() -> None:
    desk = Desk()
    call = await answer(desk, Press("phone_call_choice", "1"))
    assert call.log == [
        "answer",
        "play phone_call_instructions",
        "play tone",
        "record take1.wav to # or 120.0",
        "play phone_call_choice",
        "wait 5.0",
        "play phone_call_saved",
    ]
    assert (desk.kept, desk.told, desk.closed) == (1, [CallState.RECORDING, CallState.CHOOSING], [None])


@pytest.mark.parametrize("early", [False, True])
async def test_2_records_again_and_the_last_is_kept(early: bool) -> None:
    desk = Desk()
    await answer(desk, Press("phone_call_choice", "2", early), Press("phone_call_choice", "1", early))
    assert (desk.takes, desk.kept, desk.closed) == (2, 2, [None])


async def test_3_plays_it_and_asks_again() -> None:
    desk = Desk()
    call = await answer(desk, Press("phone_call_choice", "3"), Press("phone_call_choice", "1"))
    assert call.played[2:] == ["phone_call_choice", "take1", "phone_call_choice", "phone_call_saved"]
    assert desk.kept == 1


@pytest.mark.parametrize(("key", "kept"), [("1", 1), ("2", 2)])
async def test_who_hears_it_may_decide_at_once(key: str, kept: int) -> None:
    desk = Desk()
    await answer(
        desk, Press("phone_call_choice", "3"), Press("take1", key, early=True), Press("phone_call_choice", "1")
    )
    assert desk.kept == kept


async def test_who_presses_nothing_keeps_nothing() -> None:
    desk = Desk()
    call = await answer(desk)
    assert call.played.count("phone_call_choice") == 3
    assert (desk.kept, desk.closed) == (0, [CallFailure.UNDECIDED])


@pytest.mark.parametrize("failure", [CallFailure.SILENCE_ONLY, CallFailure.NOTHING_RECORDED])
async def test_who_says_nothing_is_asked_again_and_at_last_given_up(failure: CallFailure) -> None:
    desk = Desk()
    desk.judgements = [failure]
    await answer(desk, Press("phone_call_choice", "1"))
    assert (desk.takes, desk.kept, desk.closed) == (2, 2, [None])
    desk = Desk()
    desk.judgements = [failure] * 3
    call = await answer(desk)
    assert call.played.count("phone_call_silence") == 3
    assert (desk.takes, desk.closed) == (3, [failure])


async def test_silence_that_shows_only_in_the_making_is_silence() -> None:
    desk = Desk()
    desk.keepings = [CallFailure.SILENCE_ONLY]
    await answer(desk, Press("phone_call_choice", "1"), Press("phone_call_choice", "1"))
    assert (desk.kept, desk.closed) == (2, [None])


async def test_exchange_that_cannot_write_is_told_at_once() -> None:
    desk = Desk()
    call = await answer(desk, **{"record file": b"200 result=-1 (writefile)\n"})
    assert call.played == ["phone_call_instructions", "tone", "phone_call_failed"]
    assert desk.closed == [CallFailure.CANNOT_WRITE]


@pytest.mark.parametrize("failure", [CallFailure.CANNOT_WRITE, CallFailure.BROKEN_OFF])
async def test_recording_that_cannot_be_kept_is_told(failure: CallFailure) -> None:
    desk = Desk()
    desk.keepings = [failure]
    call = await answer(desk, Press("phone_call_choice", "1"))
    assert call.played[-1] == "phone_call_failed"
    assert desk.closed == [failure]


@pytest.mark.parametrize("how", ["within", "between", "silent"])
@pytest.mark.parametrize("after", range(1, 7))
async def test_who_hangs_up_before_1_keeps_nothing(after: int, how: str) -> None:
    desk = Desk()
    await answer(desk, hang_up=HangUp(after, how))  # type: ignore[arg-type]
    assert (desk.kept, desk.closed) == (0, [CallFailure.HUNG_UP])


async def test_hang_up_as_asterisk_tells_it_of_a_recording() -> None:
    desk = Desk()
    dead = b"511 Command Not Permitted on a dead channel or intercept routine\n"
    await answer(desk, **{"record file": b"200 result=-1 (hangup) endpos=22240\n", "channel status": dead})
    assert desk.closed == [CallFailure.HUNG_UP]


async def test_who_hangs_up_after_1_has_kept_it() -> None:
    desk = Desk()
    await answer(desk, Press("phone_call_choice", "1"), hang_up=HangUp(7))
    assert (desk.kept, desk.closed) == (1, [None])


async def test_exchange_that_does_not_find_our_sounds_is_told_from_a_hang_up() -> None:
    desk = Desk(CallKind.TEST)
    call = await answer(desk, **{"stream file": b"200 result=-1 endpos=0\n"})
    assert call.log[-1] == "channel status"
    assert desk.closed == [CallFailure.CANNOT_READ]


async def test_exchange_that_goes_away_breaks_the_call_off() -> None:
    desk = Desk()
    await answer(desk, hang_up=HangUp(3, "gone"))
    assert desk.closed == [CallFailure.BROKEN_OFF]


async def test_test_call_is_done_when_it_was_heard() -> None:
    desk = Desk(CallKind.TEST)
    call = await answer(desk)
    assert call.log == ["answer", "play phone_call_test"]
    assert (desk.told, desk.closed) == ([CallState.DONE], [None])


@pytest.mark.parametrize("state", [CallState.RECORDING, CallState.CHOOSING])
async def test_call_that_a_page_has_cancelled_ends(state: CallState) -> None:
    desk = Desk()
    desk.cancelled_at = state
    await answer(desk, Press("phone_call_choice", "1"))
    assert (desk.told[-1], desk.kept, desk.closed) == (state, 0, [None])


async def test_call_of_nobody_is_not_answered() -> None:
    desk = Desk(known=False)
    desk.over.set()
    call = await answer(desk)
    assert (call.commands, desk.closed) == ([], [])


async def test_service_that_ends_closes_its_calls() -> None:
    desk = Desk()
    reached, goes_on = asyncio.Event(), asyncio.Event()

    async def stay(command: str) -> None:
        if command.startswith("RECORD"):
            reached.set()
            await goes_on.wait()

    call = FakeCall(headers=HEADERS, on_command=stay)
    server = AgiServer("127.0.0.1", 0, lambda session: handle_phone_call(session, desk))
    await server.start()
    playing = asyncio.ensure_future(call.run(server.port))
    async with asyncio.timeout(PATIENCE):
        await reached.wait()
        await server.stop()
        goes_on.set()
        await playing
    assert desk.closed == [CallFailure.SERVICE_DOWN]
