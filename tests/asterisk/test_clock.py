"""The wall clock jumps while phones ring, while the worker is stopped, and while an agent rests: nothing changes."""

from datetime import timedelta

import pytest

from app.store.models import CallRequest, WorkerState
from script.office.asterisk import OfficeSetup, QueueSetup
from script.office.bazang import Bazang
from script.office.fake_clock import FakeClock
from script.office.patience import PATIENCE
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ONE_VERSION, Office, customer_of

AGENT_PAUSE = 5  # seconds; the minimum of a module
WRAPUP = 3  # seconds
TOLERANCE = 2.5  # seconds that a due call may be late on a busy machine
JUMP = timedelta(hours=3.5)
BOTH_WAYS = pytest.mark.parametrize("by", [JUMP, -JUMP], ids=["forward", "back"])
OUR_CLOCK = pytest.mark.asterisk(22)  # only the worker's clock jumps, whatever the version of the PBX
pytestmark = pytest.mark.usefixtures("faketime")


def prepare(bazang: Bazang) -> None:
    """Store a module whose requests would expire by a jump forward."""
    bazang.module(targets=("101", "102"), expire_after=7200, agent_pause=AGENT_PAUSE)


async def start_worker(office: Office, by: timedelta = timedelta(0)) -> FakeClock:
    """Start the worker with a clock that can be moved and is moved already, and return the clock."""
    office.bazang.wall_clock = clock = FakeClock(office.bazang.folder / "wall-clock")
    clock.move(by)
    await office.bazang.start_worker()
    return clock


async def wait_for_jump(office: Office, by: timedelta) -> WorkerState:
    """Wait until the worker has noted a jump and polled again. Return its state."""

    def found() -> WorkerState | None:
        state = office.bazang.worker_state()
        if state is None or not state.jump_seconds or state.jumped_at is None or state.heartbeat is None:
            return None
        return state if state.heartbeat > state.jumped_at else None

    state = await office.bazang.until(found, PATIENCE, "the jump is noted")
    assert state.jump_seconds == pytest.approx(by.total_seconds(), abs=1)
    return state


async def reject_call(office: Office, extension: str) -> float:
    """Reject the next call to an agent. Return when the attempt had ended, in monotonic seconds."""
    call = await office.phones[extension].next_call()
    call.reject(486)
    await call.wait_ended()
    return office.bazang.now()


def assert_rested(again: float, since: float, pause: float) -> None:
    assert pause - 0.5 < again - since < pause + TOLERANCE


def assert_recent(row: CallRequest, clock: FakeClock) -> None:
    """Check that all moments of a request are those of a few seconds ago."""
    for moment in (row.first_called_at, row.registered_at, row.free_at):
        assert moment is not None and timedelta(0) <= clock.now() - moment < timedelta(minutes=1), moment


@BOTH_WAYS
@OUR_CLOCK
async def test_nothing_changes_when_the_clock_jumps(open_office: OpenOffice, by: timedelta) -> None:
    async with open_office(prepare, work=False) as office:
        clock = await start_worker(office)
        request = office.add_request(customer_of("101"), target="101")
        refused = office.add_request(customer_of("102"), target="102")
        agent_call = await office.phones["101"].next_call()
        since = await reject_call(office, "102")
        clock.move(by)
        await wait_for_jump(office, by)
        await office.answer_agent_call(agent_call)
        customer = await office.connect_customer(agent_call, request)
        again = await office.phones["102"].next_call()
        assert_rested(again.began_at, since, AGENT_PAUSE)
        assert_recent(office.get_request(refused), clock)
        await customer.hang_up()
        await office.wait_for_status(request, "done")
        attempt = await office.wait_for_attempt(request)
        moments = [attempt.started_at, attempt.answered_at, attempt.dialled_at, attempt.connected_at, attempt.ended_at]
        times = [moment for moment in moments if moment is not None]
        assert len(times) == len(moments)
        assert sorted(times) == times and times[-1] - times[0] < timedelta(minutes=1)
        assert len(office.phones["101"].invites) == 1 and len(office.phones["102"].invites) == 2
        assert "jumped by" in office.bazang.worker_log()


@BOTH_WAYS
@OUR_CLOCK
async def test_nothing_changes_when_the_clock_jumps_while_the_worker_is_stopped(
    open_office: OpenOffice, by: timedelta
) -> None:
    async with open_office(prepare, phones=("101",)) as office:
        request = office.add_request()
        since = await reject_call(office, "101")
        await office.wait_for_attempt(request)
        await office.bazang.kill_worker()
        clock = await start_worker(office, by)
        await wait_for_jump(office, by)
        again = await office.phones["101"].next_call()
        assert again.began_at > since + AGENT_PAUSE - 0.5
        assert_recent(office.get_request(request), clock)


@ONE_VERSION
async def test_queue_member_rests_although_the_clock_of_the_pbx_is_ahead(open_office: OpenOffice) -> None:
    """The PBX reports the end of the call by its own clock, which is hours ahead after ours was put back."""

    def prepare(bazang: Bazang) -> None:
        bazang.module(target_kind="queue", targets=("800",))
        bazang.queue("800", wrapup=WRAPUP)

    setup = OfficeSetup(queues=[QueueSetup("800", {"101": 0})])
    async with open_office(prepare, setup, work=False, phones=("101",)) as office:
        clock = await start_worker(office)
        caller = await office.trunk.call("800", caller="09120000008")
        live = await office.phones["101"].next_call()
        await live.answer()
        await caller.wait_answered()
        request = office.add_request(target="")
        clock.move(-JUMP)
        await wait_for_jump(office, -JUMP)
        since = await live.hang_up()
        again = await office.phones["101"].next_call()
        # A poll can begin the rest again, because the PBX does not say when the call has ended by our clock.
        assert WRAPUP - 0.5 < again.began_at - since < WRAPUP + 1 + TOLERANCE
        assert office.get_request(request).status == "dialling"
