"""Two workers on one PostgreSQL: the standby takes over when the leader is killed, frozen or cut off.

Whatever the leader was doing, no request is lost and nobody is rung twice, also when the leader comes back.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from app.server.process import Process, kill, spawn, terminate
from app.store import workers
from script.office.asterisk import OfficeSetup
from script.office.bazang import WORKER_COMMAND, Bazang
from script.office.fake_clock import ShiftedClock
from script.office.patience import PATIENCE
from script.office.phone import Call
from script.office.server_database import new_database
from script.office.warm_worker import start_worker
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ONE_VERSION, OWN, Office, phone_secrets
from tests.support.ami_proxy import AmiProxy, ami_proxy
from tests.support.database_proxy import DatabaseProxy, database_proxy

FAILURES = ("killed", "frozen", "cut off")
HELD = b"Action: Originate"
CLOCKS_APART = timedelta(minutes=2)


@dataclass
class Machine:
    """One of the two machines with a worker. Each is reached at an address of its own."""

    office: Office
    name: str
    environment: dict[str, str]
    clock: ShiftedClock | None = None
    process: Process | None = None

    @property
    def log(self) -> Path:
        return self.office.bazang.folder / f"{self.name}.log"

    def start(self) -> None:
        bazang = self.office.bazang
        environment = bazang.process_environment() | self.environment
        if self.clock is None:
            self.process = start_worker(self.log, environment, bazang.folder)
        else:  # a library is preloaded only at a start
            environment |= self.clock.environment
            self.process = spawn(WORKER_COMMAND, self.log, environment=environment, folder=bazang.folder)

    def has_ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    async def stop(self) -> None:
        if self.process is not None:
            await asyncio.to_thread(terminate, self.process, 10)


@dataclass
class TwoMachines:
    """The machines with the leader and the standby, and what is between the leader and the others."""

    office: Office
    leader: Machine
    standby: Machine
    database: DatabaseProxy
    pbx: AmiProxy
    failed_at: float = 0.0  # monotonic seconds
    seconds: float = 0.0  # until the take-over

    def holder(self) -> str:
        state = self.office.bazang.worker_state()
        return state.holder if state is not None else ""

    def works(self, began: datetime, before: str) -> bool:
        """Tell whether another worker than `before` leads and may dial since `began`, by its own clock.

        The last heartbeat of a former leader whose clock was ahead is far after `began`.
        """
        state = self.office.bazang.worker_state()
        return bool(
            state is not None
            and state.holder not in ("", before)
            and state.heartbeat is not None
            and timedelta(0) < state.heartbeat - began < CLOCKS_APART / 2
            and state.ami_status == "connected"
            and state.dialplan_running == state.dialplan_written != ""
            and not state.obstacle
        )

    async def start(self) -> None:
        bazang = self.office.bazang
        began = datetime.now(UTC)
        self.leader.start()
        await bazang.until(lambda: self.works(began, ""), PATIENCE, "the first worker leads")
        self.standby.start()
        await bazang.until(self.standbys, PATIENCE, "the second worker stands by")

    def standbys(self) -> list[str]:
        with self.office.bazang.database.read() as session:
            return workers.standbys(session) or []

    async def fail(self, failure: str) -> None:
        """Let the leader be killed, frozen or cut off from the database."""
        self.failed_at = time.monotonic()
        assert self.leader.process is not None
        if failure == "killed":
            await asyncio.to_thread(kill, self.leader.process)
        elif failure == "frozen":
            self.leader.process.send_signal(signal.SIGSTOP)
        else:
            self.database.cut()

    async def wait_for_take_over(self) -> None:
        """Wait until the standby leads and may dial. Note the seconds since `fail`."""
        before, clock = self.holder(), self.standby.clock
        began = clock.now() if clock is not None else datetime.now(UTC)
        await self.office.bazang.until(lambda: self.works(began, before), PATIENCE, "the standby leads")
        self.seconds = time.monotonic() - self.failed_at
        print(f"take-over: {self.seconds:.1f} s")

    async def bring_back(self, failure: str) -> None:
        """Let the former leader go on, and wait until it has ended by itself."""
        if failure == "frozen":
            assert self.leader.process is not None
            self.leader.process.send_signal(signal.SIGCONT)
        self.database.mend()
        await self.office.bazang.until(self.leader.has_ended, PATIENCE, "the former leader ends")


OpenMachines = Callable[..., AbstractAsyncContextManager[TwoMachines]]


@pytest.fixture
def database_url(postgres_url: str, postgres_template: str) -> Iterator[str]:
    with new_database(postgres_url, postgres_template) as url:
        yield url


@pytest.fixture
def two_machines(
    open_office: OpenOffice, database_url: str, record_property: Callable[[str, object], None]
) -> OpenMachines:
    """Open an office with two workers: `async with two_machines() as both`."""

    @asynccontextmanager
    async def opened(
        prepare: Callable[[Bazang], object] = lambda bazang: bazang.module(agent_ring=60),
        *,
        drift: timedelta = timedelta(0),
        **options: Any,
    ) -> AsyncIterator[TwoMachines]:
        addresses = ("127.0.0.1", "127.0.0.2")
        async with open_office(
            prepare, work=False, DATABASE_URL=database_url, AGI_HOST=",".join(addresses), **options
        ) as office:
            ami_port = office.bazang.asterisk.ami_port
            async with database_proxy(database_url) as database, ami_proxy(ami_port) as pbx:
                environments = [{"BAZANG_AGI_BIND": address} for address in addresses]
                environments[0] |= {"BAZANG_DATABASE_URL": database.url, "BAZANG_AMI_PORT": str(pbx.port)}
                leader, standby = (
                    Machine(office, name, own) for name, own in zip(("leader", "standby"), environments, strict=True)
                )
                if drift:
                    standby.clock = ShiftedClock(drift)
                both = TwoMachines(office, leader, standby, database, pbx)
                try:
                    await both.start()
                    yield both
                except BaseException:
                    for machine in (leader, standby):
                        print(f"--- {machine.name}", *machine.log.read_text().splitlines()[-40:], sep="\n")
                    raise
                finally:
                    await leader.stop()
                    await standby.stop()
                    if both.seconds:
                        record_property("take_over_seconds", round(both.seconds, 1))

    return opened


@contextmanager
def locked(url: str, table: str, mode: str) -> Iterator[None]:
    """Hold a lock of a table, upon which a worker waits."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(f"LOCK TABLE {table} IN {mode} MODE"))
        yield
        connection.rollback()


def is_waiting(both: TwoMachines) -> bool:
    """Tell whether a session of a worker waits for a lock."""
    with both.office.bazang.database.read() as session:
        ours = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        return bool(session.scalar(text(f"{ours} AND wait_event_type = 'Lock'")))


async def serve(office: Office, agent_call: Call, request: int) -> None:
    """Take the request as the agent, talk with the customer, and hang up."""
    await office.answer_agent_call(agent_call)
    customer = await office.connect_customer(agent_call, request)
    await customer.hang_up()
    await agent_call.wait_ended()
    await office.wait_for_status(request, "done")


def assert_rung_once(office: Office) -> None:
    assert len(office.phones["101"].invites) == len(office.calls_to(OWN)) == 1, office.bazang.describe()


# -- before anything rings ----------------------------------------------------------------------------------------


@ONE_VERSION
@pytest.mark.parametrize("failure", FAILURES)
async def test_leader_fails_in_the_middle_of_a_claim(
    two_machines: OpenMachines, database_url: str, failure: str
) -> None:
    async with two_machines() as both:
        office = both.office
        with locked(database_url, "attempts", "SHARE"):
            request = await asyncio.to_thread(office.add_request)
            await office.bazang.until(lambda: is_waiting(both), PATIENCE, "the claim waits")
            await both.fail(failure)
        await both.wait_for_take_over()
        await serve(office, await office.phones["101"].next_call(), request)
        if failure != "killed":
            await both.bring_back(failure)
        await office.expect_no_call("101", 2)
        assert_rung_once(office)


@ONE_VERSION
@pytest.mark.parametrize(
    ("failure", "drift"),
    [("killed", 0), ("frozen", 0), ("cut off", 0), ("frozen", 1), ("frozen", -1)],
    ids=["killed", "frozen", "cut off", "clock ahead", "clock behind"],
)
@pytest.mark.usefixtures("faketime")
async def test_leader_fails_between_claim_and_order(
    two_machines: OpenMachines, database_url: str, failure: str, drift: int
) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module(agent_ring=60, asks_name=True)

    async with two_machines(prepare, drift=drift * CLOCKS_APART) as both:
        office = both.office
        with locked(database_url, "spoken_names", "ACCESS EXCLUSIVE"):
            request = await asyncio.to_thread(office.add_request)
            await office.bazang.until(office.bazang.attempts, PATIENCE, "the request is claimed")
            await both.fail(failure)
        await both.wait_for_take_over()
        await serve(office, await office.phones["101"].next_call(), request)
        if failure != "killed":
            await both.bring_back(failure)
        await office.expect_no_call("101", 2)
        assert_rung_once(office)
        assert [attempt.outcome for attempt in office.bazang.attempts()] == ["not_started", "connected"]


@ONE_VERSION
@pytest.mark.parametrize("failure", FAILURES)
async def test_order_that_arrives_after_the_next_worker_has_served_the_request_rings_nobody(
    two_machines: OpenMachines, failure: str
) -> None:
    """It was handed to the network. No deadline of the worker's reaches it any more."""
    async with two_machines() as both:
        office = both.office
        both.pbx.hold(HELD)
        request = await asyncio.to_thread(office.add_request)
        await office.bazang.until(lambda: both.pbx.held, PATIENCE, "the order is on its way")
        await both.fail(failure)
        await both.wait_for_take_over()
        await serve(office, await office.phones["101"].next_call(), request)
        await office.wait_until_no_call()
        both.pbx.let_go()
        await office.expect_no_call("101", 3)
        if failure != "killed":
            await both.bring_back(failure)
        await office.expect_no_call("101", 2)
        assert_rung_once(office)


# -- while it rings, and while they talk --------------------------------------------------------------------------


@ONE_VERSION
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("moment", ["ringing", "talking"])
async def test_leader_fails_during_a_call(two_machines: OpenMachines, failure: str, moment: str) -> None:
    async with two_machines() as both:
        office = both.office
        request = await asyncio.to_thread(office.add_request)
        agent_call = await office.phones["101"].next_call()
        if moment == "ringing":
            await office.wait_for_step(request, "claimed")
            await both.fail(failure)
            await both.wait_for_take_over()
            await serve(office, agent_call, request)
        else:
            await office.answer_agent_call(agent_call)
            customer = await office.connect_customer(agent_call, request)
            await both.fail(failure)
            await both.wait_for_take_over()
            await office.check_audio_both_ways(agent_call, customer)
            await customer.hang_up()
            await office.wait_for_status(request, "done")
        if failure != "killed":
            await both.bring_back(failure)
        await office.expect_no_call("101", 2)
        assert_rung_once(office)
        assert [attempt.outcome for attempt in office.bazang.attempts()] == ["connected"]


# -- callers ------------------------------------------------------------------------------------------------------


@ONE_VERSION
@pytest.mark.parametrize("failure", FAILURES)
async def test_callers_leave_requests_after_a_take_over(two_machines: OpenMachines, failure: str) -> None:
    """The former leader is still frozen, or cut off from the database, when they call."""

    def prepare(bazang: Bazang) -> None:
        bazang.module(targets=("102",))

    setup = OfficeSetup(phones=phone_secrets(("101", "102")))
    async with two_machines(prepare, setup=setup, phones=("101",)) as both:
        office = both.office
        await office.leave_request("*5001", caller="09120000001")
        await both.fail(failure)
        await both.wait_for_take_over()
        for caller in ("09120000002", "09120000003"):
            await office.leave_request("*5001", caller=caller)
        assert len(office.bazang.requests()) == 3
