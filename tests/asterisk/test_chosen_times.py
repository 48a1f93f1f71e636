"""Callers choose when they are called, and are called then: not before, and soon after."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from app.audio.prompt_texts import appointment_text, delay_text
from app.domain.policy import ReasonCode
from script.office.bazang import Bazang
from script.office.fake_clock import FakeClock
from script.office.patience import PATIENCE
from script.office.phone import Call
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ENDS, ERROR, NEXT, ONE_VERSION, Office

TEHRAN = ZoneInfo("Asia/Tehran")
pytestmark = pytest.mark.usefixtures("faketime")


def prepare(bazang: Bazang) -> None:
    # The requests would expire and wait for longer than until their times if these times made no difference.
    bazang.module(next=NEXT, error=ERROR, offers_times=True, min_wait=7200, expire_after=300)


async def start_worker(office: Office) -> FakeClock:
    office.bazang.wall_clock = clock = FakeClock(office.bazang.folder / "wall-clock")
    clock.move(timedelta(0))
    await office.bazang.start_worker()
    return clock


async def choose_time(office: Office, key: str, text: str) -> Call:
    """Call, choose a time, wait until it is said, and leave a request for the caller's own number."""
    call = await office.call_in("*5001")
    await office.wait_for_prompt(call, "time_offer")
    await call.press("3")
    await office.wait_for_prompt(call, "time_choice")
    await call.press(key)
    await office.wait_for_text(call, text)
    await office.wait_for_prompt(call, "time_next")
    await call.press("1")
    return call


@ONE_VERSION
async def test_caller_is_called_in_ten_minutes(open_office: OpenOffice) -> None:
    async with open_office(prepare, ENDS, phones=("101",), work=False) as office:
        clock = await start_worker(office)
        began = clock.now()
        call = await choose_time(office, "1", delay_text(10, "en"))
        request = await office.bazang.request("waiting")
        await office.wait_for_prompt(call, "after_success_time")
        await office.bazang.until(lambda: call.rtp.keys_heard == "1", PATIENCE, "the next destination")
        await call.hang_up()
        assert request.postponed_until is not None
        assert timedelta(minutes=10) <= request.postponed_until - began < timedelta(minutes=11)
        reason = office.pending(request.id, clock.now()).reason
        assert reason is not None
        assert (reason.code, reason.until) == (ReasonCode.CHOSEN_TIME, request.postponed_until)

        left = request.postponed_until - clock.now()
        clock.move(timedelta(seconds=int(left.total_seconds()) - 4))  # the clock moves by whole seconds
        agent_call = await office.phones["101"].next_call()
        assert clock.now() >= request.postponed_until
        assert clock.now() < request.postponed_until + timedelta(seconds=10), "it rings promptly"
        await office.answer_agent_call(agent_call)
        await office.connect_customer(agent_call, request.id)


@ONE_VERSION
async def test_caller_is_called_tomorrow_morning(open_office: OpenOffice) -> None:
    async with open_office(prepare, ENDS, phones=("101",), work=False) as office:
        clock = await start_worker(office)
        local = clock.now().astimezone(TEHRAN)
        morning = datetime.combine(local.date() + timedelta(days=1), time(8), TEHRAN)
        await choose_time(office, "*", appointment_text(morning, local, "en"))
        request = await office.bazang.request("waiting")
        assert request.postponed_until == morning.astimezone(UTC)

        clock.move(timedelta(seconds=int((morning - clock.now()).total_seconds()) - 3600))
        await office.expect_no_call("101", 3)
        assert office.get_request(request.id).status == "waiting", "it does not expire"
        clock.move(timedelta(hours=1))
        await office.connect_customer(await office.answer_agent("101"), request.id)
