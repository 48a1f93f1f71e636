"""Two exchanges at once: two Asterisks and two workers on one PostgreSQL database."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.audio.library import LOCKS, SPEECH
from app.services import exchanges
from app.store import workers
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.server_database import new_database
from script.office.warm_worker import start_worker
from tests.asterisk.office import MODULE, ONE_VERSION, Office

SHARED_KEY = "a key of both machines, as long as it should be"
CUSTOMERS = {"main": "09121234567", "north": "09351112233"}
TAKES_OVER = 10.0  # seconds


@pytest.fixture
def url(postgres_url: str) -> Iterator[str]:
    with new_database(postgres_url) as url:
        yield url


@asynccontextmanager
async def opened(version: int, folder: Path, prompts: Path, **environment: Any) -> AsyncIterator[Office]:
    """Open an office with extension 101, whose worker runs, in a folder of its own as on a machine of its own."""
    if "EXCHANGE" in environment:
        share_speech(prompts, prompts / "exchanges" / environment["EXCHANGE"])
    bazang = Bazang(version, folder, prompts=prompts, warm_start=True, SECRET_KEY=SHARED_KEY, **environment)
    bazang.min_talk(0)
    bazang.module()
    bazang.scenario("101", ring=5, busy=MODULE, no_answer=MODULE, unavailable=MODULE)
    await bazang.prepare_prompts()
    async with bazang:
        office = Office(bazang, await bazang.asterisk.trunk(), {"101": await bazang.asterisk.phone("101")})
        await bazang.start_worker()
        try:
            yield office
        except BaseException:
            print(bazang.describe())
            raise
        finally:
            await bazang.abandon()


def share_speech(prompts: Path, folder: Path) -> None:
    """Let a folder of prompts have the speech of another one, which takes long to synthesize."""
    folder.mkdir(parents=True)
    for name in (SPEECH, LOCKS):
        (folder / name).symlink_to(prompts / name)


async def call_back(office: Office, customer: str, both: asyncio.Barrier) -> None:
    """Leave a request, and see it carried out on the exchange of this office."""
    bazang = office.bazang
    await bazang.wait_for_dialplan()
    talk = await office.occupy("101")
    await office.leave_request(caller=customer)
    assert (await bazang.request("waiting")).caller_number == customer
    await both.wait()  # both wait at the same time, with the same ids
    freed = await talk.end()
    ring = await office.answer_agent("101")
    assert ring.began_at > freed
    called = await office.connect_customer(ring)
    assert called.dialled == customer
    await called.hang_up()
    await ring.wait_ended()
    assert (await bazang.request("done")).customer_attempts == 0
    await both.wait()


@ONE_VERSION
async def test_two_exchanges_call_back_at_once(asterisk_version: int, tmp_path: Path, prompts: Path, url: str) -> None:
    async with opened(asterisk_version, tmp_path / "first", prompts, DATABASE_URL=url) as first:
        registry = first.bazang.app.extensions["bazang"]["exchanges"]
        await asyncio.to_thread(exchanges.create, registry, "north", "North", datetime.now(UTC), actor="sara")
        environment = {"DATABASE_URL": url, "EXCHANGE": "north"}
        async with opened(asterisk_version, tmp_path / "north", prompts, **environment) as north:
            both = asyncio.Barrier(2)
            offices = {"main": first, "north": north}
            await asyncio.gather(*(call_back(office, CUSTOMERS[code], both) for code, office in offices.items()))
            for code, office in offices.items():
                assert [call.dialled for call in office.calls_to(CUSTOMERS[code])] == [CUSTOMERS[code]]
                other = next(number for name, number in CUSTOMERS.items() if name != code)
                assert office.calls_to(other) == [], "its customers are called by the other exchange"
                (request,) = office.bazang.requests()
                assert (request.id, request.caller_number) == (1, CUSTOMERS[code])
            await replace_worker(north, goes_on=first)
            states = [office.bazang.worker_state() for office in offices.values()]
            assert all(state is not None and state.ami_status == "connected" for state in states)


async def replace_worker(branch: Office, *, goes_on: Office) -> None:
    """Kill the worker of an exchange. Its standby leads at once, and the worker of the other exchange goes on."""
    bazang, other = branch.bazang, goes_on.bazang
    before = holder(other), holder(bazang)
    standby = start_worker(bazang.folder / "standby.log", bazang.process_environment(), bazang.folder)
    try:
        await bazang.until(lambda: standbys(bazang), PATIENCE, "the second worker stands by")
        assert standbys(other) == [], "it is no standby of the other exchange"
        began, killed_at = datetime.now(UTC), time.monotonic()
        await bazang.kill_worker()
        await bazang.until(lambda: holder(bazang) != before[1], PATIENCE, "the standby leads")
        assert time.monotonic() - killed_at < TAKES_OVER
    finally:
        bazang.adopt_worker(standby)
    for each in (bazang, other):
        await each.until(partial(each.worker_runs, began), PATIENCE, "both workers run")
    assert holder(other) == before[0]


def holder(bazang: Bazang) -> str:
    state = bazang.worker_state()
    assert state is not None
    return state.holder


def standbys(bazang: Bazang) -> list[str]:
    with bazang.database.read() as session:
        return workers.standbys(session) or []
