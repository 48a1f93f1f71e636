"""A simulated office: the real dispatcher, dialer, follower and snapshot, a store, and a model exchange.

Everything happens in simulated time and in the same order each time. The schedule says when callers register and what
fails; the seed says how people behave.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any
from unittest import mock

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from app.config import Settings
from app.domain.dial_order import DialOrder
from app.domain.policy import Facts
from app.telephony.ami import AmiError
from app.telephony.attempts import AttemptFollower
from app.telephony.dialer import Dialer
from app.telephony.snapshot import Snapshot
from app.worker.background import BackgroundTasks
from app.worker.clock import CLOCK, utcnow
from app.worker.dispatcher import Dispatcher
from app.worker.write_queue import WriteQueue
from tests.simulation.connection import ModelAmi, Network
from tests.simulation.exchange import HINTS, Exchange, Row
from tests.simulation.judge import AFTERMATH, SHORTEST_TALK, START, Judge, Violation
from tests.simulation.loop import SimulatedLoop, settle
from tests.simulation.schedule import AGENTS, LASTS, Item
from tests.simulation.stores import MODULE, Store

log = logging.getLogger("app")
POLL = 5.0  # seconds
HOUSEKEEPING = 20.0
SETTLED_WITHIN = 7200.0  # seconds after the last fault
DRAIN = 5.0
RESTART = 2.0  # seconds after which systemd starts a worker again


class Worker:
    """The parts of `app.worker.main.Worker` that calls need, joined as there."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.tasks, self.writes = BackgroundTasks(), WriteQueue()
        self.snapshot, self.follower = Snapshot("bazang-extensions"), AttemptFollower()
        self.snapshot.use_context(HINTS, pbx_may_differ=True)
        self.ami = ModelAmi(world.network, self._on_event, self._on_state)
        self.dispatcher = Dispatcher(
            world.store.database,
            world.settings,
            Dialer(self.ami, self.follower),
            self.follower,
            writes=self.writes,
            tasks=self.tasks,
            facts=self.facts,
            prompt=lambda order, now: ("announcement",),
            rings=self._on_ring,
            shortest_talk=lambda: SHORTEST_TALK,
        )
        self.store = world.store
        self._poll_lock = asyncio.Lock()
        self._polled = False
        self._main: list[asyncio.Task[Any]] = []
        self.tasks.spawn(self._start())

    async def _start(self) -> None:
        try:
            await asyncio.to_thread(self.dispatcher.recall)
        except SQLAlchemyError:
            self._world.restart(self)  # the process ends, and systemd starts it again
            return
        for work in (self.writes.run(), self.dispatcher.run(), self.ami.run(), self._polls(), self._keep_house()):
            task = asyncio.get_running_loop().create_task(work)
            task.add_done_callback(self._on_done)
            self._main.append(task)

    def _on_done(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled():
            self._world.judge.blame("task ended", repr(task.exception()))

    def die(self) -> None:
        """Die at once: nothing that was begun is finished."""
        self.ami.drop()
        for task in [*self._main, *sorted(self.tasks._tasks, key=lambda task: int(task.get_name()[5:]))]:
            task.cancel()

    async def stop(self) -> None:
        """Stop as after SIGTERM."""
        self.ami.drop()
        for task in self._main[2:]:
            task.cancel()
        await self.writes.drain(DRAIN)
        self.die()

    def facts(self) -> Facts:
        return Facts(lines=self.snapshot.lines(), connected=self.ami.connected and self._polled, heartbeat=utcnow())

    def _on_state(self, connected: bool) -> None:
        if connected:
            self.tasks.spawn(self.poll())
        else:
            self._polled = False
            self.follower.connection_lost()
            self.dispatcher.connection_lost()

    def _on_event(self, event: Row) -> None:
        report = self.follower.handle(event)
        if report is not None:
            self.dispatcher.handle_report(report)
        if event["Event"] in Snapshot.handled and self.snapshot.handle(event, utcnow()):
            self.dispatcher.wake()

    def _on_ring(self, order: DialOrder) -> None:
        self.snapshot.note_ring(order.agent, utcnow())
        self._world.judge.on_claim(order, self.facts())

    async def _polls(self) -> None:
        while True:
            await self.poll()
            await asyncio.sleep(POLL)

    async def poll(self) -> None:
        async with self._poll_lock:
            try:
                if self.ami.connected:
                    await self._read_snapshot()
                    await self.dispatcher.reconcile()
            except AmiError:
                pass
            except SQLAlchemyError:
                pass
            self.dispatcher.wake()

    async def _read_snapshot(self) -> None:
        await self.ami.apply_list("DeviceStateList", lambda rows: self.snapshot.poll_devices(rows))
        await self.ami.apply_list("ExtensionStateList", lambda rows: self.snapshot.poll_extensions(rows, utcnow()))
        await self.ami.apply_list("CoreShowChannels", lambda rows: self.snapshot.poll_channels(rows, utcnow()))
        await self.writes.drain(DRAIN)
        if not self._polled:
            self._world.judge.ready_since = asyncio.get_running_loop().time()
        self._polled = True

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING)
            try:
                self.dispatcher.wake()
                async with CLOCK.hold() as now:
                    await asyncio.to_thread(self.store.expire, now)
            except SQLAlchemyError:
                pass

    # -- callers ---------------------------------------------------------------------------------------------------

    async def register(self, number: str) -> None:
        try:
            async with CLOCK.hold() as now:
                request = await asyncio.to_thread(self.store.register, number, now)
        except SQLAlchemyError:
            return  # the caller is told that it did not work
        self._world.judge.on_registered(request, number, told=True)
        self.dispatcher.wake()

    async def withdraw(self, number: str) -> None:
        try:
            async with CLOCK.hold() as now:
                attempt = await asyncio.to_thread(self.store.withdraw, number, now)
        except SQLAlchemyError:
            return
        if attempt is not None:
            self.tasks.spawn(self.dispatcher.hang_up(attempt))


@dataclass
class _Armed:
    """A fault that happens `left` awaits later."""

    item: Item
    left: int


class World:
    """One office and its schedule. Make it in a running `SimulatedLoop`."""

    def __init__(
        self, seed: str, schedule: Sequence[Item], store: Store, settings: Settings, lasts: float = LASTS
    ) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulatedLoop)
        self.loop, self._lasts = loop, lasts
        self.store, self.settings, self._schedule = store, settings, schedule
        self._phase = Random(f"{seed}/latency").random()
        self.judge = Judge(store, self.loop.time, MODULE["retries"], MODULE["rest"])
        self.exchange = Exchange(seed, AGENTS)
        self.network = Network(self.exchange, self.point, lambda: self._latency(0.001, 0.02))
        self.network.on_held_order = self._trouble
        self.judge.calls = self.exchange.calls
        self.exchange.on_agent_rings = self.judge.on_agent_rings
        self.exchange.on_customer_rings = self.judge.on_customer_rings
        self.exchange.on_end = self.judge.on_end
        self.note: Callable[[str], None] = lambda line: None
        self._armed: list[_Armed] = []
        self._database_fails_until = self._answers_lost_until = 0.0
        self._back_at = 0.0
        self.loop.in_thread = self._in_thread
        self.worker: Worker | None = Worker(self)

    def _latency(self, least: float, most: float) -> float:
        """Return a latency in seconds that depends on the time alone: one delay more changes no other one."""
        return least + (most - least) * ((self.loop.time() * 9973.7 + self._phase) % 1.0)

    def trace(self, note: Callable[[str], None]) -> None:
        """Call `note` with everything that happens."""
        self.note, emit = note, self.exchange.emit

        def traced_emit(event: Row, of_device: bool) -> None:
            words = (f"{name}={value}" for name, value in event.items() if name not in ("Event", "UserEvent", "Hint"))
            note(f"  exchange: {event['Event']} {' '.join(words)}")
            emit(event, of_device)

        self.exchange.emit = traced_emit

    async def run(self) -> None:
        """Let the schedule happen and wait until nothing happens any more. Raises Violation."""
        for item in self._schedule:
            await self._until(item.at)
            self._begin(item)
        await self._until(max(self._lasts, self.loop.time()))
        self._armed.clear()
        end = max(self.judge.troubled_until, self.loop.time()) + SETTLED_WITHIN
        while self.loop.time() < end and not (self.worker is not None and self.judge.is_settled()):
            await self._until(self.loop.time() + 10)
        self.judge.check_end()
        self._check()

    async def _until(self, moment: float) -> None:
        """Wait, and raise what the judge finds."""
        while (left := moment - self.loop.time()) > 0:
            await asyncio.sleep(min(left, 1.0))
            self._check()

    def _check(self) -> None:
        if self.judge.found is not None:
            raise self.judge.found

    # -- faults ----------------------------------------------------------------------------------------------------

    def _begin(self, item: Item) -> None:
        worker = self.worker
        self.note(f"{item.kind} {item.who} {item.seconds:.1f} +{item.skip}")
        match item.kind:
            case "caller registers" if worker is not None:
                worker.tasks.spawn(worker.register(item.who))
            case "caller withdraws" if worker is not None:
                self.judge.on_withdrawn(item.who)
                worker.tasks.spawn(worker.withdraw(item.who))
            case "agent is on the phone":
                self.loop.create_task(self.exchange.use_phone(item.who, item.seconds))
            case "caller registers" | "caller withdraws":
                pass
            case _:
                self._trouble(item.seconds)
                if item.skip:
                    self._armed.append(_Armed(item, item.skip))
                else:
                    self._happen(item)

    def _trouble(self, seconds: float) -> None:
        self.judge.troubled_until = max(self.judge.troubled_until, self.loop.time() + seconds + AFTERMATH)

    def point(self, _name: str) -> None:
        """Let the faults happen that were waiting for this await."""
        if not self._armed:
            return
        for armed in list(self._armed):
            armed.left -= 1
            if armed.left < 0:
                self._armed.remove(armed)
                self._happen(armed.item)

    def strike_at(self, step: int, item: Item) -> None:
        """Let a fault happen before the callback number `step` of the loop."""
        self.loop.strike_at(step, lambda: self._happen(item))

    def _happen(self, item: Item) -> None:
        now = self.loop.time()
        self.note(f"now: {item.kind} for {item.seconds:.1f} s")
        self._trouble(item.seconds)
        self.judge.counts[item.kind] += 1
        match item.kind:
            case "worker dies":
                self._end_worker(item.seconds)
            case "worker stops" if self.worker is not None:
                self.loop.create_task(self._stop_worker(self.worker, item.seconds))
            case "database fails":
                self._database_fails_until = now + item.seconds
            case "database answers are lost":
                self._answers_lost_until = now + item.seconds
            case "connection is cut":
                self.network.cut(item.seconds)
            case "connection is cut during a talk":
                self.exchange.aim = lambda: self._cut(item.seconds)
            case "answer is lost":
                self.network.lose_answers += 1
            case "order outlives its connection":
                self.network.hold_order = item.seconds
            case "answers are slow":
                self.network.slow_until = now + item.seconds
            case "events are late":
                self.network.late_until = now + item.seconds
            case "events are doubled":
                self.network.doubled_until = now + item.seconds
            case "exchange dies" if not self.exchange.is_dead:
                self.network.cut(0)
                self.exchange.die(1.0 if item.seconds < 20 else 0.0)
                self.loop.call_later(item.seconds, self.exchange.come_back)
            case "exchange freezes" if not self.exchange.is_dead:
                self.exchange.frozen_until = now + item.seconds

    def _cut(self, seconds: float) -> None:
        self._trouble(seconds)
        self.network.cut(seconds)

    def _end_worker(self, seconds: float) -> None:
        if self.worker is not None:
            self.worker.die()
            self.worker = None
            self.loop.call_later(seconds, self._start_worker)

    def restart(self, worker: Worker) -> None:
        """Start another worker in place of one that has ended by itself."""
        if self.worker is worker:
            self.worker = None
            self.loop.call_later(RESTART, self._start_worker)

    async def _stop_worker(self, worker: Worker, seconds: float) -> None:
        await worker.stop()
        if self.worker is worker:
            self.worker = None
            self._trouble(seconds)
            self.loop.call_later(seconds, self._start_worker)

    def _start_worker(self) -> None:
        if self.worker is None:
            self.worker = Worker(self)

    def _in_thread(self, call: Callable[[], Any], future: asyncio.Future[Any]) -> None:
        """Do the work of a thread. Do nothing if the worker that waits for it has died."""

        def begin() -> None:
            self.point("before a transaction")
            if future.done():
                return
            if self.loop.time() < self._database_fails_until:
                future.set_exception(OperationalError("", {}, Exception("database is locked")))
                return
            result = self.loop.create_future()
            settle(call, result)
            self.judge.check_store()
            self.point("after a transaction")
            if self.loop.time() < self._answers_lost_until and result.exception() is None:
                result = self.loop.create_future()
                result.set_exception(OperationalError("", {}, Exception("the connection was closed")))
            self.loop.call_later(self._latency(0.0005, 0.005), pass_on, result)

        def pass_on(result: asyncio.Future[Any]) -> None:
            if future.done():
                result.exception()
                return
            error = result.exception()
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result.result())

        self.loop.call_later(self._latency(0.0005, 0.005), begin)


class _Watch(logging.Handler):
    """Bazang logs an unexpected exception: that is a fault, too. `lines` are what it logged, with the time."""

    def __init__(self, loop: SimulatedLoop) -> None:
        super().__init__()
        self._loop = loop
        self.judge: Judge | None = None
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.note(record.getMessage())
        if record.exc_info and self.judge is not None:
            self.judge.blame("unexpected error", f"{record.getMessage()}: {record.exc_info[1]!r}")

    def note(self, line: str) -> None:
        self.lines.append(f"{self._loop.time():10.3f} s {line}")


@dataclass
class Result:
    """What became of a world. `trace` is what happened, if that was wanted."""

    steps: int
    violation: Violation | None
    counts: dict[str, int]
    seconds: float  # of simulated time
    trace: tuple[str, ...]


@contextlib.contextmanager
def _simulated(loop: SimulatedLoop, seed: str) -> Iterator[None]:
    random = Random(f"{seed}/uuid")
    uptime = CLOCK._uptime
    wall = CLOCK._wall
    CLOCK._uptime = lambda: timedelta(seconds=loop.time())
    CLOCK._wall = lambda: START + timedelta(seconds=loop.time())
    CLOCK.set_to_wall()
    CLOCK._holders = 0
    try:
        with mock.patch.object(uuid, "uuid4", lambda: uuid.UUID(int=random.getrandbits(128), version=4)):
            yield
    finally:
        CLOCK._uptime, CLOCK._wall = uptime, wall
        CLOCK.set_to_wall()


def simulate(
    seed: str,
    schedule: Sequence[Item],
    make_store: Callable[[], Store],
    settings: Settings,
    *,
    traced: bool = False,
    lasts: float = LASTS,
    strike: tuple[int, Item] | None = None,
) -> Result:
    """Run a world to its end. `traced`: keep what happens.

    `lasts`: the seconds for which its schedule lasts. `strike`: a fault, and before which callback it happens.
    """
    loop = SimulatedLoop()
    watch = _Watch(loop)
    propagate, log.propagate = log.propagate, False
    level = log.level
    log.setLevel(logging.INFO if traced else logging.ERROR)
    log.addHandler(watch)
    found: Violation | None = None
    worlds: list[World] = []

    async def run() -> None:
        store = make_store()
        with store.used():
            world = World(seed, schedule, store, settings, lasts)
            worlds.append(world)
            if strike is not None:
                world.strike_at(*strike)
            if traced:
                world.trace(watch.note)
            watch.judge = world.judge
            loop.set_exception_handler(world.judge.on_loop_error)
            await world.run()

    try:
        with _simulated(loop, seed):
            try:
                loop.run_until_complete(run())
            except Violation as violation:
                found = violation
            loop.in_thread = settle
            watch.judge = None
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    finally:
        loop.close()
        log.removeHandler(watch)
        log.setLevel(level)
        log.propagate = propagate
    return Result(loop.steps, found, dict(worlds[0].judge.counts), loop.time(), tuple(watch.lines))
