"""Phone calls on a real Asterisk: record a prompt, test a phone, and everything that can go wrong."""

from __future__ import annotations

import asyncio
import math
import shutil
import wave
from array import array
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from app.domain.phone_calls import FINAL, CallFailure, CallState
from app.services.prompts import phone_calls
from app.services.prompts.phone_calls import PhoneCallView
from app.store.models import Recording
from script.office.asterisk import OfficeSetup
from script.office.patience import PATIENCE
from script.office.phone import Call
from script.office.sound import RATE, find, ulaw
from tests.asterisk.conftest import Stage
from tests.asterisk.scene import Scene

MINUTE = timedelta(minutes=1)
TEXT = "Our office is closed today."


def speech(seconds: float = 2.0) -> array[int]:
    """Return a sound that rises and falls like speech and is easily recognized."""
    count = int(seconds * RATE)
    return array(
        "h",
        (
            round(9000 * abs(math.sin(math.pi * i / RATE * 1.5)) * math.sin(2 * math.pi * (300 + i / 40) * i / RATE))
            for i in range(count)
        ),
    )


def envelope(samples: array[int], piece: int = 400) -> list[float]:
    """Return the loudness of each 50 ms."""
    return [
        math.sqrt(sum(s * s for s in samples[i : i + piece]) / piece) for i in range(0, len(samples) - piece + 1, piece)
    ]


def alike(heard: array[int], spoken: array[int]) -> float:
    """Return how well the envelopes of two sounds agree (1: exactly), wherever one begins in the other."""
    return max(
        correlation(envelope(heard[shift:]), envelope(spoken)) for shift in range(0, min(4000, len(heard) // 2), 100)
    )


def correlation(one: list[float], other: list[float]) -> float:
    length = min(len(one), len(other))
    one, other = one[:length], other[:length]
    mean, other_mean = sum(one) / length, sum(other) / length
    both = sum((a - mean) * (b - other_mean) for a, b in zip(one, other, strict=True))
    return both / math.sqrt(sum((a - mean) ** 2 for a in one) * sum((b - other_mean) ** 2 for b in other))


def read(path: Path) -> array[int]:
    with wave.open(str(path), "rb") as file:
        return array("h", file.readframes(file.getnframes()))


def create_call(scene: Scene, extension: str = "101", name: str = "Closed", language: str = "en") -> str:
    values = {"extension": extension, "language": language, "actor": "sara", "now": datetime.now(UTC)}
    return phone_calls.create_recording_call(scene.bazang.database, name=name, text=TEXT, **values)  # type: ignore[arg-type]


def create_test_call(scene: Scene, extension: str = "101", language: str = "en") -> str:
    return phone_calls.create_test_call(
        scene.bazang.database, extension=extension, language=language, actor="sara", now=datetime.now(UTC)
    )


async def becomes(scene: Scene, call: str, state: CallState, timeout: float = PATIENCE) -> PhoneCallView:
    def there() -> PhoneCallView | None:
        view = phone_calls.load(scene.bazang.database, call, datetime.now(UTC))
        assert view.state is state or view.state not in FINAL, f"{view}\n{scene.bazang.describe()}"
        return view if view.state is state else None

    return await scene.bazang.until(there, timeout, f"the phone call is {state}")


async def fails(scene: Scene, call: str, failure: CallFailure, timeout: float = PATIENCE) -> None:
    view = await becomes(scene, call, CallState.FAILED, timeout)
    assert view.detail == failure.value, scene.bazang.describe()
    assert recordings(scene) == []
    await nothing_left(scene)


async def nothing_left(scene: Scene) -> None:
    """Wait until the inbox is empty and the PBX has no call."""
    inbox = scene.bazang.settings.prompts_path / "inbox"
    await scene.bazang.until(lambda: not list(inbox.iterdir()), PATIENCE, "the inbox is empty")
    async with asyncio.timeout(PATIENCE):
        while "0 active channels" not in await scene.bazang.asterisk.cli("core show channels count"):
            pass


def recordings(scene: Scene) -> list[Recording]:
    with scene.bazang.database.read() as session:
        return list(session.scalars(select(Recording)))


async def say(scene: Scene, ring: Call, sound: array[int], call: str) -> None:
    """Wait for the tone, speak, and press hash."""
    await becomes(scene, call, CallState.RECORDING)
    heard = len(ring.rtp.received)
    await scene.hears(ring, "phone_call_instructions")
    tone = ulaw(read(scene.bazang.settings.prompts_path / "tone.wav"))[:1600]
    await scene.bazang.until(lambda: tone[400:1200] in bytes(ring.rtp.received[heard:]), PATIENCE, "the tone")
    await scene.bazang.until(lambda: len(list(inbox(scene).iterdir())) == 1, PATIENCE, "it is being recorded")
    ring.rtp.speak(ulaw(sound))
    await asyncio.sleep(len(sound) / RATE + 0.2)  # speaking takes its time
    await ring.press("#")


def inbox(scene: Scene) -> Path:
    return scene.bazang.settings.prompts_path / "inbox"


async def test_prompt_is_recorded_by_phone(stage: Stage) -> None:
    async with stage(phones=("101",)) as scene:
        call = create_call(scene)
        ring = await scene.phones["101"].next_call()
        assert ring.remote == "Bazang"
        await becomes(scene, call, CallState.RINGING)
        await ring.answer()
        await say(scene, ring, speech(), call)
        await becomes(scene, call, CallState.CHOOSING)
        await scene.hears(ring, "phone_call_choice")
        await ring.press("1")
        view = await becomes(scene, call, CallState.SAVED)
        await scene.hears(ring, "phone_call_saved")
        await ring.wait_ended()
        (row,) = recordings(scene)
        assert (row.file, row.name, row.origin, row.created_by) == (view.file, "Closed", "phone", "sara")
        kept = read(scene.bazang.settings.prompts_path / row.file)
        assert abs(len(kept) / RATE - 2.0) < 0.4
        assert alike(kept, speech()) > 0.95
        await nothing_left(scene)


async def test_key_2_records_again_and_key_3_plays(stage: Stage) -> None:
    async with stage(phones=("101",)) as scene:
        call = create_call(scene)
        ring = await scene.phones["101"].next_call()
        await ring.answer()
        await say(scene, ring, speech(1.0), call)
        await becomes(scene, call, CallState.CHOOSING)
        await scene.hears(ring, "phone_call_choice")
        before = len(ring.rtp.received)
        await ring.press("3")

        def is_played() -> bool:
            return find(bytes(ring.rtp.received[before:]), ulaw(speech(1.0))).share > 0.8

        await scene.bazang.until(is_played, PATIENCE, "the recording is played")
        await ring.press("2")
        await say(scene, ring, speech(3.0), call)
        await becomes(scene, call, CallState.CHOOSING)
        await ring.press("1")
        await becomes(scene, call, CallState.SAVED)
        (row,) = recordings(scene)
        assert row.seconds is not None and abs(row.seconds - 3.0) < 0.4
        await ring.hang_up()
        await nothing_left(scene)


async def test_hangup_before_key_1_saves_nothing(stage: Stage) -> None:
    async with stage(phones=("101", "102")) as scene:
        early, late = create_call(scene, "101"), create_call(scene, "102")
        first, second = [await scene.phones[number].next_call() for number in ("101", "102")]
        await first.answer()
        await second.answer()
        await becomes(scene, early, CallState.RECORDING)
        await first.hang_up()
        await say(scene, second, speech(1.0), late)
        await becomes(scene, late, CallState.CHOOSING)
        await second.hang_up()
        for call in (early, late):
            await fails(scene, call, CallFailure.HUNG_UP)


async def test_silence_is_not_saved(stage: Stage) -> None:
    async with stage(phones=("101",)) as scene:
        call = create_call(scene)
        ring = await scene.phones["101"].next_call()
        await ring.answer()
        for _ in range(3):
            heard = len(ring.rtp.received)
            await say(scene, ring, array("h", bytes(RATE)), call)
            del ring.rtp.received[:heard]
            await scene.hears(ring, "phone_call_silence")
        await fails(scene, call, CallFailure.SILENCE_ONLY)


async def test_phones_that_cannot_be_rung(stage: Stage) -> None:
    setup = OfficeSetup(own_hints=False)  # 101 to 103 are phones without a hint
    async with stage(setup=setup, phones=("101", "102")) as scene:
        phone = scene.phones["101"]
        await fails(scene, create_call(scene, "999"), CallFailure.UNKNOWN_EXTENSION)
        await fails(scene, create_call(scene, "103"), CallFailure.UNREACHABLE)
        refused = create_call(scene)
        (await phone.next_call()).reject(486)
        await fails(scene, refused, CallFailure.BUSY)
        refused = create_call(scene)
        (await phone.next_call()).reject(603)
        await fails(scene, refused, CallFailure.REJECTED)
        talk = await scene.occupy("101")
        await asyncio.gather(*(fail_while_busy(scene, create) for create in (create_call, create_test_call)))
        await talk.end()
        cancelled = create_call(scene)
        ring = await phone.next_call()
        phone_calls.cancel(scene.bazang.database, cancelled, "sara", datetime.now(UTC))
        await ring.wait_ended(5)
        assert phone_calls.load(scene.bazang.database, cancelled, datetime.now(UTC)).state is CallState.CANCELLED
        await nothing_left(scene)


async def fail_while_busy(scene: Scene, create: Callable[[Scene], str]) -> None:
    view = await becomes(scene, create(scene), CallState.FAILED)
    assert view.detail == CallFailure.BUSY.value, scene.bazang.describe()


async def test_unanswered_phone(stage: Stage) -> None:
    async with stage(phones=("101",)) as scene:
        call = create_call(scene)
        ring = await scene.phones["101"].next_call()
        await fails(scene, call, CallFailure.NO_ANSWER, 40)
        assert 20 < ring.ended_at - ring.began_at < 30


@pytest.mark.parametrize("language", ["en", "fa"])
async def test_test_call(stage: Stage, language: str) -> None:
    async with stage(phones=("101",)) as scene:
        call = create_test_call(scene, language=language)
        ring = await scene.phones["101"].next_call()
        await ring.answer()
        await scene.hears(ring, "phone_call_test", language)
        await becomes(scene, call, CallState.DONE)
        await ring.wait_ended()
        cut = create_test_call(scene, language=language)
        ring = await scene.phones["101"].next_call()
        await ring.answer()
        await scene.hears(ring, "phone_call_test", language)
        await ring.hang_up()
        await fails(scene, cut, CallFailure.HUNG_UP)


async def test_killed_worker_leaves_nothing_behind(stage: Stage) -> None:
    async with stage(phones=("101", "102")) as scene:
        recorded, rung = create_call(scene, "101"), create_call(scene, "102")
        ring = await scene.phones["101"].next_call()
        await ring.answer()
        await scene.phones["102"].next_call()
        await becomes(scene, recorded, CallState.RECORDING)
        await scene.bazang.until(lambda: list(inbox(scene).iterdir()), PATIENCE, "it is being recorded")
        await scene.bazang.kill_worker()
        for call in (recorded, rung):  # when the heartbeat is old
            assert phone_calls.load(scene.bazang.database, call, datetime.now(UTC) + MINUTE).state is CallState.FAILED
        await scene.bazang.start_worker()
        for call in (recorded, rung):
            await fails(scene, call, CallFailure.SERVICE_DOWN)


async def test_stopped_worker_ends_its_calls(stage: Stage) -> None:
    async with stage(phones=("101", "102")) as scene:
        recorded, rung = create_call(scene, "101"), create_call(scene, "102")
        ring = await scene.phones["101"].next_call()
        await ring.answer()
        await scene.phones["102"].next_call()
        await becomes(scene, recorded, CallState.RECORDING)
        await scene.bazang.stop_worker()
        for call in (recorded, rung):
            await fails(scene, call, CallFailure.SERVICE_DOWN)


async def test_killed_pbx_ends_the_calls(stage: Stage) -> None:
    async with stage(phones=("101", "102")) as scene:
        recorded, rung = create_call(scene, "101"), create_call(scene, "102")
        ring = await scene.phones["101"].next_call()
        await ring.answer()
        other = await scene.phones["102"].next_call()
        await becomes(scene, recorded, CallState.RECORDING)
        await scene.bazang.asterisk.kill()
        for call in (ring, other):
            call.end(0)
        for call_id, failure in ((recorded, CallFailure.BROKEN_OFF), (rung, CallFailure.NOT_CONNECTED)):
            view = await becomes(scene, call_id, CallState.FAILED)
            assert view.detail == failure.value, scene.bazang.describe()
        view = await becomes(scene, create_call(scene), CallState.FAILED)
        assert view.detail == CallFailure.NOT_CONNECTED.value
        await scene.bazang.asterisk.start()
        await nothing_left(scene)


async def test_pbx_that_cannot_reach_the_worker(stage: Stage) -> None:
    async with stage(phones=("101",), AGI_HOST="127.0.0.9", AGI_BIND="127.0.0.1") as scene:
        call = create_test_call(scene)
        ring = await scene.phones["101"].next_call()
        await ring.answer()
        await fails(scene, call, CallFailure.NO_DIALOGUE)
        await ring.wait_ended()


async def test_pbx_that_cannot_write_to_the_inbox(stage: Stage) -> None:
    async with stage(phones=("101",)) as scene:
        call = create_call(scene)
        ring = await scene.phones["101"].next_call()
        shutil.rmtree(inbox(scene))
        await ring.answer()
        await scene.hears(ring, "phone_call_failed")
        inbox(scene).mkdir()
        await fails(scene, call, CallFailure.CANNOT_WRITE)


async def test_pbx_that_cannot_read_the_sounds(stage: Stage) -> None:
    async with stage(phones=("101",), ASTERISK_PROMPTS_DIR="/nowhere") as scene:
        call = create_test_call(scene)
        ring = await scene.phones["101"].next_call()
        await ring.answer()
        await fails(scene, call, CallFailure.CANNOT_READ)
        await ring.wait_ended()


async def test_cancelled_calls_do_not_ring(stage: Stage) -> None:
    async with stage(phones=("101",)) as scene:
        calls = [create_test_call(scene), create_call(scene)]
        for call in calls:
            phone_calls.cancel(scene.bazang.database, call, "sara", datetime.now(UTC))
        await nothing_left(scene)
        await scene.is_idle("101")
        ring = await answer_call(scene, create_call(scene))
        await ring.hang_up()


async def answer_call(scene: Scene, call: str) -> Call:
    """Answer a call and return its phone."""
    while (ring := await scene.phones["101"].next_call()).ended.is_set():
        pass  # a cancelled call
    await ring.answer()
    await becomes(scene, call, CallState.RECORDING)
    return ring


async def test_request_and_phone_call_do_not_meet(stage: Stage) -> None:
    async with stage(lambda b: b.module(), phones=("101",)) as scene:
        request = scene.wish()
        agent = await scene.phones["101"].next_call()
        view = await becomes(scene, create_call(scene), CallState.FAILED)
        assert view.detail == CallFailure.BUSY.value
        await agent.answer()
        await scene.hears(agent, "agent_intro")
        await agent.press("1")
        customer = await scene.talk_to(agent, request)
        await customer.hang_up()
        await scene.becomes(request, "done")
        await agent.wait_ended()

        await scene.is_idle("101")
        test_call = create_test_call(scene)
        ring = await scene.phones["101"].next_call()
        request = scene.wish("09121111111")
        await ring.answer()
        await scene.hears(ring, "phone_call_test")
        assert scene.wished(request).status == "waiting", "an agent in a phone call is not free"
        await becomes(scene, test_call, CallState.DONE)
        await ring.wait_ended()
        agent = await scene.phones["101"].next_call()
        assert agent.remote.endswith("9121111111")
        assert len(scene.phones["101"].invites) == 3
