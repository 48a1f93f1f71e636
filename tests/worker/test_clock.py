"""The worker's clock while the wall clock jumps, and the order of what is stored before and after."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.config import Settings
from app.domain.policy import LineState
from app.services.clock_jump import Jump
from app.services.requests.registration import Registration, register
from app.store.database import Database
from app.store.models import CallRequest, WorkerState
from app.worker import clock as clock_module
from app.worker import clock_watch
from app.worker.background import BackgroundTasks
from app.worker.clock import Clock
from app.worker.clock_watch import ClockWatch
from app.worker.main import Worker
from app.worker.metronome import Every, Metronome
from app.worker.write_queue import WriteQueue
from script.office.patience import PATIENCE
from tests.support.factories import NOW, create_module

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
JUMP = 3.5 * HOUR
both_ways = pytest.mark.parametrize("by", [JUMP, -JUMP], ids=["forward", "back"])


class Machine:
    """A machine whose time passes when a test says so. It was started ten hours before NOW."""

    def __init__(self) -> None:
        self.wall, self.uptime = NOW, 10 * HOUR

    def clock(self) -> Clock:
        return Clock(lambda: self.wall, lambda: self.uptime)

    def wait(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.uptime += timedelta(seconds=seconds)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@both_ways
def test_clock_goes_on_when_the_wall_clock_jumps(machine: Machine, by: timedelta) -> None:
    clock = machine.clock()
    machine.wait(5)
    assert not clock.has_jumped()
    machine.wait(1)
    machine.wall += by
    machine.wait(1)
    assert clock.now() == NOW + 7 * SECOND
    assert clock.has_jumped()
    assert clock.jump() == Jump(by, machine.wall, NOW + 5 * SECOND)
    assert clock.now() == machine.wall and not clock.has_jumped()


def test_small_corrections_are_followed(machine: Machine) -> None:
    clock = machine.clock()
    for _ in range(10):
        machine.wait(1)
        machine.wall += 2 * SECOND
        assert not clock.has_jumped()
        assert clock.now() == machine.wall


def test_suspended_machine_is_time_that_passes(machine: Machine) -> None:
    clock = machine.clock()
    machine.wait(36000)
    assert not clock.has_jumped() and clock.now() == NOW + 10 * HOUR


def test_interruption_between_the_two_clocks_is_no_jump(machine: Machine) -> None:
    clock = machine.clock()
    interruptions = [60.0]

    def wall() -> datetime:
        machine.wait(interruptions.pop() if interruptions else 0)
        return machine.wall

    clock._wall = wall
    assert not clock.has_jumped() and clock.now() == machine.wall


@pytest.mark.parametrize(
    ("by", "moment", "expected"),
    [
        (JUMP, NOW - SECOND, NOW - SECOND + JUMP),
        (JUMP, NOW + JUMP + SECOND, NOW + JUMP + SECOND),
        (JUMP, NOW + 2 * JUMP, NOW + JUMP + 2 * SECOND),
        (-JUMP, NOW - SECOND, NOW - JUMP + 2 * SECOND),  # the future by now
        (-JUMP, NOW - 2 * JUMP, NOW - 2 * JUMP),
    ],
)
def test_moments_that_others_took_from_the_wall_clock_are_translated(
    machine: Machine, by: timedelta, moment: datetime, expected: datetime
) -> None:
    clock = machine.clock()
    machine.wall += by
    clock.jump()
    machine.wait(2)
    assert clock.translate(moment) == expected


async def test_clock_is_set_when_nobody_holds_it(machine: Machine) -> None:
    clock = machine.clock()
    order: list[str] = []

    async def hold(name: str, release: asyncio.Event) -> None:
        async with clock.hold() as now:
            await release.wait()
            order.append(f"{name} {now == machine.wall}")

    first, second = asyncio.Event(), asyncio.Event()
    tasks = [asyncio.create_task(hold("first", first)), asyncio.create_task(hold("second", second))]
    await asyncio.sleep(0)
    machine.wall += JUMP
    clock.begin_setting()
    setting = asyncio.create_task(clock.wait_until_released())
    later = asyncio.create_task(hold("later", first))
    first.set()
    await tasks[0]
    await asyncio.sleep(0)
    assert not setting.done() and clock.is_being_set
    second.set()
    await setting
    clock.jump()
    order.append("set")
    clock.end_setting()
    await asyncio.gather(*tasks, later)
    assert order == ["first False", "second False", "set", "later True"]


# -- the watch ------------------------------------------------------------------------------------------------------


class Watch:
    """A watch of a database on `machine`, with the write queue."""

    def __init__(self, database: Database, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.database, self.machine, self.clock = database, machine, machine.clock()
        monkeypatch.setattr(clock_module, "CLOCK", self.clock)
        monkeypatch.setattr(clock_watch, "CLOCK", self.clock)
        self.writes, self.tasks = WriteQueue(), BackgroundTasks()
        self.moved: list[timedelta] = []
        self.has_moved, self.resumed = asyncio.Event(), asyncio.Event()
        self.watch = ClockWatch(
            database, writes=self.writes, tasks=self.tasks, move=self._move, resume=self.resumed.set
        )

    def _move(self, by: timedelta) -> None:
        self.moved.append(by)
        self.has_moved.set()

    def add_request(self, number: str) -> CallRequest:
        """Store a request now, by the worker's clock."""
        request = register(self.database, Registration(1, number), self.clock.now())
        with self.database.read() as session:
            return session.get_one(CallRequest, request)

    def ages(self) -> list[timedelta]:
        """Return how old the requests are by the worker's clock."""
        with self.database.read() as session:
            return [
                self.clock.now() - at
                for at in session.scalars(select(CallRequest.registered_at).order_by(CallRequest.id))
            ]


@both_ways
async def test_writes_from_before_a_jump_are_moved_and_those_after_it_are_not(
    database: Database, machine: Machine, monkeypatch: pytest.MonkeyPatch, by: timedelta
) -> None:
    create_module(database, expire_after=3600)
    watch = Watch(database, machine, monkeypatch)
    running = asyncio.create_task(watch.writes.run())
    watch.add_request("+989120000001")
    machine.wait(60)
    watch.watch.look()
    assert not watch.tasks._tasks
    busy = threading.Event()
    watch.writes.put(busy.wait)  # the database is busy
    before = watch.clock.now()
    watch.writes.put(lambda: register(database, Registration(1, "+989120000002"), before))
    machine.wall += by
    watch.watch.look()
    async with asyncio.timeout(PATIENCE):
        await watch.has_moved.wait()
        after = watch.clock.now()
        watch.writes.put(lambda: register(database, Registration(1, "+989120000003"), after))
        assert not watch.resumed.is_set()
        busy.set()
        await watch.resumed.wait()
        await watch.writes.drain(PATIENCE)
    assert watch.ages() == [timedelta(seconds=60), timedelta(0), timedelta(0)]
    assert watch.moved == [by]
    watch.watch.look()
    assert not watch.clock.is_being_set
    running.cancel()


async def test_clock_that_jumps_there_and_back_has_not_jumped(
    database: Database, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(database, machine, monkeypatch)
    machine.wall += JUMP
    watch.watch.look()
    machine.wall -= JUMP
    async with asyncio.timeout(PATIENCE):
        await watch.resumed.wait()
    assert watch.moved == [] and not watch.clock.is_being_set and watch.clock.now() == machine.wall


async def test_jump_while_no_worker_ran_is_found_at_the_start(
    database: Database, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_module(database, expire_after=3600)
    monkeypatch.setattr(clock_watch, "boot_id", lambda: "this")
    watch = Watch(database, machine, monkeypatch)
    watch.add_request("+989120000001")
    with database.write() as session:
        session.add(WorkerState(id=1, heartbeat=NOW, boot_id="this", booted_at=watch.clock.booted_at))
    machine.wait(60)
    machine.wall += JUMP
    await asyncio.to_thread(watch.watch.start)
    assert watch.ages() == [timedelta(seconds=60)]
    with database.read() as session:
        state = session.get_one(WorkerState, 1)
    assert (state.jumped_at, state.jump_seconds) == (machine.wall, JUMP.total_seconds())


async def test_moments_in_memory_move(office: Settings, database: Database) -> None:
    worker = Worker(office, database)
    hint: dict[str, Any] = {"Exten": "101", "Context": "hints", "Hint": "PJSIP/101", "Status": "0"}
    worker.snapshot.poll_devices([{"Device": "PJSIP/101", "State": "NOT_INUSE"}])
    worker.snapshot.poll_extensions([hint], NOW)
    member = {"Event": "QueueMember", "Queue": "800", "Location": "PJSIP/101", "Status": "1"}
    call = {"LastCall": str(int(NOW.timestamp()) - 5), "Wrapuptime": "30"}
    worker.snapshot.poll_queues([member | call], NOW)
    started_at = worker.state._started_at
    worker._move_times(-JUMP)
    line, queue = worker.snapshot.lines()["101"], worker.snapshot.queue_facts()["800"]
    assert (line.state, line.since) == (LineState.FREE, NOW - JUMP)
    assert queue.members[0].wrapup_until == NOW - JUMP + 26 * SECOND
    assert worker.state._started_at == started_at - JUMP
    # The PBX reports the same again, by its own clock, or by that of before the jump.
    worker.snapshot.poll_queues([member | call], NOW - JUMP + SECOND)
    assert worker.snapshot.queue_facts()["800"].members[0].wrapup_until == NOW - JUMP + 26 * SECOND


# -- the metronome --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("now", [NOW, NOW + 20000 * 24 * HOUR, NOW - JUMP])
def test_interval_counts_from_now_whatever_was_missed(now: datetime) -> None:
    assert Every(5).get_next_fire_time(NOW, now) == now + 5 * SECOND


async def test_work_goes_on_after_a_jump_back(monkeypatch: pytest.MonkeyPatch) -> None:
    metronome, done = Metronome(), asyncio.Event()

    async def work() -> None:
        done.set()

    metronome.add(work, 0.05)
    metronome.start()
    for job in metronome._scheduler.get_jobs():  # as after a jump back
        job.modify(next_run_time=datetime.now(UTC) + HOUR)
    metronome.restart_intervals()
    async with asyncio.timeout(PATIENCE):
        await done.wait()
    metronome.stop()
