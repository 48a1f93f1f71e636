"""A whole office whose database is on a PostgreSQL server."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select

from app.store.models import Command
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.server_database import new_database
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import MODULE, ONE_VERSION, OWN, OWN_E164


@pytest.fixture
def url(postgres_url: str, postgres_template: str) -> Iterator[str]:
    with new_database(postgres_url, postgres_template) as url:
        yield url


@ONE_VERSION
async def test_a_whole_office_registers_and_calls_back(open_office: OpenOffice, url: str) -> None:
    def prepare(bazang: Bazang) -> None:
        assert bazang.database.engine.dialect.name == "postgresql"
        bazang.module()
        bazang.scenario("101", ring=5, busy=MODULE, no_answer=MODULE, unavailable=MODULE)

    async with open_office(prepare, phones=("101",), DATABASE_URL=url) as office:
        bazang = office.bazang
        await commands_are_done(bazang)
        await bazang.wait_for_dialplan()
        talk = await office.occupy("101")
        await office.leave_request()
        request = await bazang.request("waiting")
        assert (request.number, request.target, request.caller_number) == (OWN_E164, "101", OWN)
        freed = await talk.end()
        ring = await office.answer_agent("101")
        assert ring.began_at > freed
        customer = await office.connect_customer(ring)
        assert customer.dialled == OWN
        await customer.hang_up()
        await ring.wait_ended()
        assert (await bazang.request("done")).customer_attempts == 0


async def commands_are_done(bazang: Bazang) -> None:
    """Return when the worker has answered what the preparations asked of it."""

    def answered() -> bool:
        with bazang.database.read() as session:
            return all(done is not None for done in session.scalars(select(Command.done_at)))

    await bazang.until(answered, PATIENCE, "the commands are answered")
