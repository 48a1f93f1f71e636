"""Phone calls on a real Asterisk: record a prompt, test a phone, and each way in which they fail."""

from __future__ import annotations

import asyncio
import math
import shutil
from array import array
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

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
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ONE_VERSION, Office
from tests.audio.sounds import read_samples

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


def compare_envelopes(heard: array[int], spoken: array[int]) -> float:
    """Return the best correlation of the envelopes of two sounds over all offsets. 1 means that they are equal."""
    return max(
        correlation(envelope(heard[shift:]), envelope(spoken)) for shift in range(0, min(4000, len(heard) // 2), 100)
    )


def correlation(one: list[float], other: list[float]) -> float:
    length = min(len(one), len(other))
    one, other = one[:length], other[:length]
    mean, other_mean = sum(one) / length, sum(other) / length
    both = sum((a - mean) * (b - other_mean) for a, b in zip(one, other, strict=True))
    return both / math.sqrt(sum((a - mean) ** 2 for a in one) * sum((b - other_mean) ** 2 for b in other))


def create_call(office: Office, extension: str = "101", name: str = "Closed", language: str = "en") -> str:
    values: dict[str, Any] = {"extension": extension, "language": language, "actor": "sara", "now": datetime.now(UTC)}
    return phone_calls.create_recording_call(office.bazang.database, name=name, text=TEXT, **values)


def create_test_call(office: Office, extension: str = "101", language: str = "en") -> str:
    return phone_calls.create_test_call(
        office.bazang.database, extension=extension, language=language, actor="sara", now=datetime.now(UTC)
    )


async def answer_next_call(office: Office, extension: str = "101") -> Call:
    """Wait until a phone rings and answer it. Return its call."""
    sip_call = await office.phones[extension].next_call()
    await sip_call.answer()
    return sip_call


async def wait_for_state(office: Office, call_id: str, state: CallState, timeout: float = PATIENCE) -> PhoneCallView:
    """Wait until a phone call has this state and return it. Fail if it ends in another state."""

    def find_state() -> PhoneCallView | None:
        view = phone_calls.load(office.bazang.database, call_id, datetime.now(UTC))
        assert view.state is state or view.state not in FINAL, f"{view}\n{office.bazang.describe()}"
        return view if view.state is state else None

    return await office.bazang.until(find_state, timeout, f"the phone call is {state}")


async def wait_for_failure(office: Office, call_id: str, failure: CallFailure, timeout: float = PATIENCE) -> None:
    """Wait until a phone call has failed. Check its failure, and that nothing is left of it."""
    view = await wait_for_state(office, call_id, CallState.FAILED, timeout)
    assert view.detail == failure.value, office.bazang.describe()
    assert load_recordings(office) == []
    await wait_for_clean_up(office)


async def wait_for_clean_up(office: Office) -> None:
    """Wait until the inbox is empty and the PBX has no call."""
    await office.bazang.until(lambda: not list(inbox(office).iterdir()), PATIENCE, "the inbox is empty")
    await office.wait_until_no_call()


def load_recordings(office: Office) -> list[Recording]:
    with office.bazang.database.read() as session:
        return list(session.scalars(select(Recording)))


async def record_sound(office: Office, sip_call: Call, sound: array[int], call_id: str) -> None:
    """Wait for the tone, play `sound` into the call, and press hash."""
    await wait_for_state(office, call_id, CallState.RECORDING)
    heard = len(sip_call.rtp.received)
    await office.wait_for_prompt(sip_call, "phone_call_instructions")
    tone = ulaw(read_samples(office.bazang.settings.prompts_path / "tone.wav"))[:1600]
    await office.bazang.until(
        lambda: tone[400:1200] in bytes(sip_call.rtp.received[heard:]), PATIENCE, "the tone is heard"
    )
    await office.bazang.until(lambda: len(list(inbox(office).iterdir())) == 1, PATIENCE, "the recording has started")
    sip_call.rtp.speak(ulaw(sound))
    await asyncio.sleep(len(sound) / RATE + 0.2)  # until the sound is sent
    await sip_call.press("#")


def inbox(office: Office) -> Path:
    return office.bazang.settings.prompts_path / "inbox"


async def test_prompt_is_recorded_by_phone(open_office: OpenOffice) -> None:
    async with open_office(phones=("101",)) as office:
        call_id = create_call(office)
        sip_call = await office.phones["101"].next_call()
        assert sip_call.remote == "Bazang"
        await wait_for_state(office, call_id, CallState.RINGING)
        await sip_call.answer()
        await record_sound(office, sip_call, speech(), call_id)
        await wait_for_state(office, call_id, CallState.CHOOSING)
        await office.wait_for_prompt(sip_call, "phone_call_choice")
        await sip_call.press("1")
        view = await wait_for_state(office, call_id, CallState.SAVED)
        await office.wait_for_prompt(sip_call, "phone_call_saved")
        await sip_call.wait_ended()
        (row,) = load_recordings(office)
        assert (row.file, row.name, row.origin, row.created_by) == (view.file, "Closed", "phone", "sara")
        saved = read_samples(office.bazang.settings.prompts_path / row.file)
        assert abs(len(saved) / RATE - 2.0) < 0.4
        assert compare_envelopes(saved, speech()) > 0.95
        await wait_for_clean_up(office)


@ONE_VERSION
async def test_key_2_records_again_and_key_3_plays(open_office: OpenOffice) -> None:
    async with open_office(phones=("101",)) as office:
        call_id = create_call(office)
        sip_call = await answer_next_call(office)
        await record_sound(office, sip_call, speech(1.0), call_id)
        await wait_for_state(office, call_id, CallState.CHOOSING)
        await office.wait_for_prompt(sip_call, "phone_call_choice")
        before = len(sip_call.rtp.received)
        await sip_call.press("3")

        def is_played() -> bool:
            return find(bytes(sip_call.rtp.received[before:]), ulaw(speech(1.0))).share > 0.8

        await office.bazang.until(is_played, PATIENCE, "the recording is played")
        await sip_call.press("2")
        await record_sound(office, sip_call, speech(3.0), call_id)
        await wait_for_state(office, call_id, CallState.CHOOSING)
        await sip_call.press("1")
        await wait_for_state(office, call_id, CallState.SAVED)
        (row,) = load_recordings(office)
        assert row.seconds is not None and abs(row.seconds - 3.0) < 0.4
        await sip_call.hang_up()
        await wait_for_clean_up(office)


@ONE_VERSION
async def test_hang_up_before_key_1_saves_nothing(open_office: OpenOffice) -> None:
    async with open_office(phones=("101", "102")) as office:
        early, late = create_call(office, "101"), create_call(office, "102")
        first, second = [await office.phones[number].next_call() for number in ("101", "102")]
        await first.answer()
        await second.answer()
        await wait_for_state(office, early, CallState.RECORDING)
        await first.hang_up()
        await record_sound(office, second, speech(1.0), late)
        await wait_for_state(office, late, CallState.CHOOSING)
        await second.hang_up()
        for call_id in (early, late):
            await wait_for_failure(office, call_id, CallFailure.HUNG_UP)


@ONE_VERSION
async def test_silence_is_not_saved(open_office: OpenOffice) -> None:
    async with open_office(phones=("101",)) as office:
        call_id = create_call(office)
        sip_call = await answer_next_call(office)
        for _ in range(3):
            heard = len(sip_call.rtp.received)
            await record_sound(office, sip_call, array("h", bytes(RATE)), call_id)
            del sip_call.rtp.received[:heard]
            await office.wait_for_prompt(sip_call, "phone_call_silence")
        await wait_for_failure(office, call_id, CallFailure.SILENCE_ONLY)


async def test_call_to_an_unavailable_phone_fails_with_its_reason(open_office: OpenOffice) -> None:
    setup = OfficeSetup(own_hints=False)  # phones without hints
    async with open_office(setup=setup, phones=("101", "102")) as office:
        phone = office.phones["101"]
        await wait_for_failure(office, create_call(office, "999"), CallFailure.UNKNOWN_EXTENSION)
        await wait_for_failure(office, create_call(office, "103"), CallFailure.UNREACHABLE)
        refused = create_call(office)
        (await phone.next_call()).reject(486)
        await wait_for_failure(office, refused, CallFailure.BUSY)
        refused = create_call(office)
        (await phone.next_call()).reject(603)
        await wait_for_failure(office, refused, CallFailure.REJECTED)
        busy_call = await office.occupy("101")
        await asyncio.gather(*(fail_while_busy(office, create) for create in (create_call, create_test_call)))
        await busy_call.end()
        await office.wait_until_no_call()
        cancelled = create_call(office)
        sip_call = await phone.next_call()
        phone_calls.cancel(office.bazang.database, cancelled, "sara", datetime.now(UTC))
        await sip_call.wait_ended(5)
        assert phone_calls.load(office.bazang.database, cancelled, datetime.now(UTC)).state is CallState.CANCELLED
        await wait_for_clean_up(office)


async def fail_while_busy(office: Office, create: Callable[[Office], str]) -> None:
    view = await wait_for_state(office, create(office), CallState.FAILED)
    assert view.detail == CallFailure.BUSY.value, office.bazang.describe()


@ONE_VERSION
async def test_unanswered_call_fails_after_the_ring_time(open_office: OpenOffice) -> None:
    async with open_office(phones=("101",)) as office:
        call_id = create_call(office)
        sip_call = await office.phones["101"].next_call()
        await wait_for_failure(office, call_id, CallFailure.NO_ANSWER, 40)
        assert 20 < sip_call.ended_at - sip_call.began_at < 30


@pytest.mark.parametrize("language", ["en", pytest.param("fa", marks=ONE_VERSION)])
async def test_test_call_plays_its_text(open_office: OpenOffice, language: str) -> None:
    async with open_office(phones=("101",)) as office:
        call_id = create_test_call(office, language=language)
        sip_call = await answer_next_call(office)
        await office.wait_for_prompt(sip_call, "phone_call_test", language)
        await wait_for_state(office, call_id, CallState.DONE)
        await sip_call.wait_ended()
        cut = create_test_call(office, language=language)
        sip_call = await answer_next_call(office)
        await office.wait_for_prompt(sip_call, "phone_call_test", language)
        await sip_call.hang_up()
        await wait_for_failure(office, cut, CallFailure.HUNG_UP)


async def start_two_calls(office: Office) -> tuple[str, str, Call, Call]:
    """Start a call that is being recorded at 101, and one that rings at 102. Return their ids and their SIP calls."""
    recorded, rung = create_call(office, "101"), create_call(office, "102")
    sip_call = await answer_next_call(office)
    ringing = await office.phones["102"].next_call()
    await wait_for_state(office, recorded, CallState.RECORDING)
    return recorded, rung, sip_call, ringing


@ONE_VERSION
async def test_calls_fail_when_the_worker_is_killed(open_office: OpenOffice) -> None:
    async with open_office(phones=("101", "102")) as office:
        recorded, rung, _, _ = await start_two_calls(office)
        await office.bazang.until(lambda: list(inbox(office).iterdir()), PATIENCE, "the recording has started")
        await office.bazang.kill_worker()
        for call_id in (recorded, rung):

            def has_failed(call_id: str = call_id) -> bool:
                call = phone_calls.load(office.bazang.database, call_id, datetime.now(UTC))
                return call.state is CallState.FAILED

            await office.bazang.until(has_failed, PATIENCE, "the heartbeat has expired")
        await office.bazang.start_worker()
        for call_id in (recorded, rung):
            await wait_for_failure(office, call_id, CallFailure.SERVICE_DOWN)


@ONE_VERSION
async def test_calls_fail_when_the_worker_stops(open_office: OpenOffice) -> None:
    async with open_office(phones=("101", "102")) as office:
        recorded, rung, _, _ = await start_two_calls(office)
        await office.bazang.stop_worker()
        for call_id in (recorded, rung):
            await wait_for_failure(office, call_id, CallFailure.SERVICE_DOWN)


@ONE_VERSION
async def test_calls_fail_when_the_pbx_is_killed(open_office: OpenOffice) -> None:
    async with open_office(phones=("101", "102")) as office:
        recorded, rung, *sip_calls = await start_two_calls(office)
        await office.bazang.asterisk.kill()
        for sip_call in sip_calls:
            sip_call.end(0)
        for call_id, failure in ((recorded, CallFailure.BROKEN_OFF), (rung, CallFailure.NOT_CONNECTED)):
            view = await wait_for_state(office, call_id, CallState.FAILED)
            assert view.detail == failure.value, office.bazang.describe()
        view = await wait_for_state(office, create_call(office), CallState.FAILED)
        assert view.detail == CallFailure.NOT_CONNECTED.value
        await office.bazang.asterisk.start()
        await wait_for_clean_up(office)


async def test_call_fails_if_the_pbx_cannot_reach_the_worker(open_office: OpenOffice) -> None:
    async with open_office(phones=("101",), AGI_HOST="127.0.0.9", AGI_BIND="127.0.0.1") as office:
        call_id = create_test_call(office)
        sip_call = await answer_next_call(office)
        await wait_for_failure(office, call_id, CallFailure.NO_DIALOGUE)
        await sip_call.wait_ended()


async def test_call_fails_if_the_pbx_cannot_write_to_the_inbox(open_office: OpenOffice) -> None:
    async with open_office(phones=("101",)) as office:
        call_id = create_call(office)
        sip_call = await office.phones["101"].next_call()
        shutil.rmtree(inbox(office))
        await sip_call.answer()
        await office.wait_for_prompt(sip_call, "phone_call_failed")
        inbox(office).mkdir()
        await wait_for_failure(office, call_id, CallFailure.CANNOT_WRITE)


async def test_call_fails_if_the_pbx_cannot_read_the_sounds(open_office: OpenOffice) -> None:
    async with open_office(phones=("101",), ASTERISK_PROMPTS_DIR="/nowhere") as office:
        call_id = create_test_call(office)
        sip_call = await answer_next_call(office)
        await wait_for_failure(office, call_id, CallFailure.CANNOT_READ)
        await sip_call.wait_ended()


@ONE_VERSION
async def test_cancelled_calls_do_not_ring(open_office: OpenOffice) -> None:
    async with open_office(phones=("101",)) as office:
        calls = [create_test_call(office), create_call(office)]
        for call_id in calls:
            phone_calls.cancel(office.bazang.database, call_id, "sara", datetime.now(UTC))
        await wait_for_clean_up(office)
        await office.wait_until_idle("101")
        call_id = create_call(office)
        while (sip_call := await office.phones["101"].next_call()).ended.is_set():
            pass  # a cancelled call
        await sip_call.answer()
        await wait_for_state(office, call_id, CallState.RECORDING)
        await sip_call.hang_up()


@ONE_VERSION
async def test_request_and_phone_call_never_use_a_line_at_the_same_time(open_office: OpenOffice) -> None:
    async with open_office(lambda b: b.module(), phones=("101",)) as office:
        request = office.add_request()
        agent = await office.phones["101"].next_call()
        view = await wait_for_state(office, create_call(office), CallState.FAILED)
        assert view.detail == CallFailure.BUSY.value
        await office.answer_agent_call(agent)
        customer = await office.connect_customer(agent, request)
        await customer.hang_up()
        await office.wait_for_status(request, "done")
        await agent.wait_ended()

        await office.wait_until_idle("101")
        test_call = create_test_call(office)
        sip_call = await office.phones["101"].next_call()
        request = office.add_request("09121111111")
        await sip_call.answer()
        await office.wait_for_prompt(sip_call, "phone_call_test")
        assert office.get_request(request).status == "waiting", "an extension in a phone call is not free"
        await wait_for_state(office, test_call, CallState.DONE)
        await sip_call.wait_ended()
        agent = await office.phones["101"].next_call()
        assert agent.remote.endswith("9121111111")
        assert len(office.phones["101"].invites) == 3
