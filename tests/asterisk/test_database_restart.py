"""A PostgreSQL server that is restarted while phones ring and people talk: nobody notices."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from app.services import commands
from app.worker.main import Worker
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.postgres import PostgresServer
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ENDS, ERROR, NEXT, ONE_VERSION, OWN_E164, add_scenario

OTHER, OTHER_E164 = "09121230000", "+989121230000"


@pytest.fixture
def server(postgres_url: str) -> Iterator[PostgresServer]:
    """A server of its own: that of the other tests must go on."""
    with PostgresServer() as server:
        yield server


@asynccontextmanager
async def running_worker(bazang: Bazang) -> AsyncIterator[None]:
    """Run the worker in this process."""
    worker = Worker(bazang.settings, bazang.database)
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await task


@ONE_VERSION
async def test_restart_of_the_server_during_calls(
    open_office: OpenOffice, server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    """The talk goes on and its end is stored; a caller who presses 1 meanwhile is registered; the next call is made."""

    def prepare(bazang: Bazang) -> None:
        bazang.module(rest=0, next=NEXT, error=ERROR)
        add_scenario(bazang)

    async with open_office(prepare, ENDS, work=False, DATABASE_URL=server.url) as office:
        request = office.add_request()
        async with running_worker(office.bazang):
            agent = await office.answer_agent("101")
            customer = await office.connect_customer(agent, request)
            await office.wait_for_step(request, "connected")
            caller = await office.call_in("101", caller=OTHER)
            await office.wait_for_prompt(caller, "intro")

            await asyncio.to_thread(server.halt)
            await caller.press("1")
            await customer.hang_up()
            await agent.wait_ended()
            await office.bazang.until(
                lambda: "retrying in" in caplog.text and "not stored yet" in caplog.text, PATIENCE, "both are refused"
            )
            await asyncio.to_thread(server.launch)

            await office.wait_for_status(request, "done")
            await office.wait_for_prompt(caller, "after_success")
            await office.wait_for_key(caller, "1")
            await caller.hang_up()
            assert [row.number for row in office.bazang.requests()] == [OWN_E164, OTHER_E164]
            agent = await office.answer_agent("101")
            await office.connect_customer(agent, request + 1, OTHER)
            await agent.hang_up()
            await office.wait_for_status(request + 1, "done")
            assert [attempt.outcome for attempt in office.bazang.attempts()] == ["connected"] * 2
            answered = await office.send_command(commands.WRITE_DIALPLAN)
            assert answered.ok
