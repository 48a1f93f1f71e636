"""While an agent is rung for a request, their queues give them no caller."""

import asyncio
import re
import sqlite3
from pathlib import Path
from typing import Any

from script.office.asterisk import OfficeSetup, QueueSetup
from script.office.asterisk_config import render_queues
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ONE_VERSION, Office
from tests.asterisk.test_place_in_line import waiting

OTHER = "09125556677"


def two_members(**options: Any) -> OfficeSetup:
    return OfficeSetup(queues=[QueueSetup("800", {"101": 0, "102": 0}, **options)])


def prepare(bazang: Bazang, **fields: Any) -> None:
    """Requests are for 101. Whoever calls 800 waits in the queue."""
    bazang.module(**{"agent_ring": 60} | fields)
    bazang.queue("800", max_wait=600)


async def paused(office: Office) -> dict[str, str]:
    """Return why the members of the queue are paused, by extension."""
    shown = await office.bazang.asterisk.cli("queue show 800")
    return dict(re.findall(r"(?:PJSIP|Local)/([0-9]+).*\(paused:(\w+)", shown))


async def wait_until_paused(office: Office, expected: dict[str, str]) -> None:
    async with asyncio.timeout(PATIENCE):
        while await paused(office) != expected:
            pass


async def test_a_caller_does_not_ring_an_agent_who_is_rung_for_a_request(open_office: OpenOffice) -> None:
    """Though this queue rings its members in their calls as well."""
    async with open_office(prepare, two_members(ringinuse="yes")) as office:
        office.add_request()
        agent = await office.phones["101"].next_call()
        await wait_until_paused(office, {"101": "Bazang"})
        caller = await office.trunk.call("800", caller=OTHER)
        await office.phones["102"].next_call()
        assert len(office.phones["101"].invites) == 1
        await agent.answer()
        await wait_until_paused(office, {})
        await caller.hang_up()


@ONE_VERSION
async def test_an_agent_who_misses_the_call_is_free_for_callers_again(open_office: OpenOffice) -> None:
    def ring_briefly(bazang: Bazang) -> None:
        prepare(bazang, agent_ring=5, agent_pause=600)

    async with open_office(ring_briefly, two_members()) as office:
        request = office.add_request()
        await office.phones["101"].next_call()
        await wait_until_paused(office, {"101": "Bazang"})
        await office.wait_for_attempt(request)
        await wait_until_paused(office, {})


@ONE_VERSION
async def test_an_agent_is_kept_for_the_customer_who_is_rung_first(open_office: OpenOffice) -> None:
    def customer_first(bazang: Bazang) -> None:
        prepare(bazang, customer_first=True, office_name="Sepehr", customer_ring=60)

    async with open_office(customer_first, two_members(extra="retry=1")) as office:
        talk = await office.occupy("102")
        request = office.add_request()
        customer = await office.next_customer_call()
        await wait_until_paused(office, {"101": "Bazang"})
        caller = await office.trunk.call("800", caller=OTHER)
        await office.expect_no_call("101", 2.5)  # the queue has looked for a member twice
        await customer.answer()
        agent = await office.answer_agent("101")
        await office.wait_for_status(request, "connected")
        await wait_until_paused(office, {})
        await agent.hang_up()
        served = await office.phones["101"].next_call()
        assert served.remote == OTHER
        await caller.hang_up()
        await talk.end()


@ONE_VERSION
async def test_a_queue_with_no_other_member_is_not_held_off(open_office: OpenOffice) -> None:
    """It would send its callers away."""
    setup = two_members(leavewhenempty="paused,unavailable")
    async with open_office(prepare, setup, phones=("101",)) as office:
        office.add_request()
        agent = await office.phones["101"].next_call()
        caller = await office.call_in("800", caller=OTHER)
        await office.bazang.until(lambda: waiting(office) == 1, PATIENCE, "the caller waits in the queue")
        assert await paused(office) == {} and not agent.ended.is_set()
        await agent.hang_up()
        served = await office.phones["101"].next_call()
        assert served.remote == OTHER
        await caller.hang_up()


@ONE_VERSION
async def test_a_pause_that_somebody_begins_meanwhile_stays(open_office: OpenOffice) -> None:
    async with open_office(prepare, two_members()) as office:
        request = office.add_request()
        agent = await office.phones["101"].next_call()
        await wait_until_paused(office, {"101": "Bazang"})
        asterisk = office.bazang.asterisk
        await asterisk.cli("queue pause member PJSIP/101 queue 800 reason Lunch")
        await asterisk.wait_for_output("dialplan show globals", lambda shown: "BAZANG_HELD_101=\n" in f"{shown}\n")
        agent.reject()
        await office.wait_for_attempt(request)
        await office.wait_for_poll()
        assert await paused(office) == {"101": "Lunch"}


async def test_no_pause_of_ours_outlasts_a_crash(open_office: OpenOffice) -> None:
    """Asterisk remembers the members who logged in by their phones, with their pauses."""
    setup = OfficeSetup()
    conf = render_queues([QueueSetup("800", {"102": 0})]).replace("persistentmembers=no", "persistentmembers=yes")
    setup.extra_files = {"queues.conf": conf}
    async with open_office(prepare, setup) as office:
        asterisk = office.bazang.asterisk
        await asterisk.cli("queue add member PJSIP/101 to 800")
        await office.wait_for_poll()
        office.add_request()
        await office.phones["101"].next_call()
        await wait_until_paused(office, {"101": "Bazang"})
        await office.bazang.until(lambda: remembers_pause(asterisk.folder), PATIENCE, "it is on the disk")
        await office.bazang.kill_worker()
        await asterisk.kill()
        await asterisk.restart()
        assert await paused(office) == {"101": "Bazang"}
        await office.bazang.start_worker()
        await wait_until_paused(office, {})


def remembers_pause(folder: Path) -> bool:
    for file in folder.rglob("astdb.sqlite3"):
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
            rows = database.execute("SELECT value FROM astdb WHERE key LIKE '/Queue/%'").fetchall()
            return any("Bazang" in str(row) for row in rows)
    return False
