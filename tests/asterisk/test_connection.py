"""The AMI connection: the connection test, settings from the panel, and lookups on the PBX."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from app.domain.pbx_connection import ConnectionResult, DialplanState
from app.domain.routing import Destination
from app.services.pbx import connection_commands, lookup
from app.services.pbx.lookup import LookupResult
from app.store.models import Command, ExtensionRow, QueueMemberRow
from app.store.settings import write_setting
from script.office.asterisk import AsteriskOffice, OfficeSetup, QueueSetup
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.ports import free_port
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ONE_VERSION, OWN, Office, run_connection_test

# AMI users without some rights: events, originate and reports, reload.
USERS = """
[no-events]
secret=bazang-secret
read=agent
write=originate,call,agent,reporting,config
[weak]
secret=bazang-secret
read=call
write=call
[no-reload]
secret=bazang-secret
read=call,user,agent
write=originate,call,agent,reporting
"""


def add_module_and_store_connection(bazang: Bazang) -> None:
    """Add a module. Give the connection settings in the panel instead of in the environment."""
    bazang.module()
    for name in ("AMI_HOST", "AMI_PORT", "AMI_USERNAME", "AMI_SECRET"):
        bazang.environment.pop(f"BAZANG_{name}", None)
    store_connection(bazang)


def store_connection(bazang: Bazang, **values: str) -> None:
    """Store the connection settings of the running Asterisk, except for `values`."""
    asterisk = bazang.asterisk
    settings = {
        "ami_host": "127.0.0.1",
        "ami_port": str(asterisk.ami_port),
        "ami_username": asterisk.ami_username,
        "ami_secret": asterisk.ami_secret,
    }
    with bazang.database.write() as session:
        for name, value in (settings | values).items():
            write_setting(session, name, value)


def apply_connection(bazang: Bazang) -> None:
    """Ask the worker to apply the stored settings."""
    connection_commands.apply(bazang.database, actor="sara", now=datetime.now(UTC))


async def ask_worker(office: Office, ask: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function of `lookup` in a thread, because it waits for the worker."""
    return await asyncio.to_thread(ask, office.bazang.database, *arguments, actor="sara", now=datetime.now(UTC))


def ami_status(bazang: Bazang) -> str:
    state = bazang.worker_state()
    return state.ami_status if state is not None else ""


async def test_connection_test_distinguishes_all_problems(open_office: OpenOffice, asterisk_version: int) -> None:
    setup = OfficeSetup(queues=[QueueSetup("800", {"101": 0})])
    setup.ami_rights += USERS
    async with open_office(lambda b: b.module(), setup, phones=("101",)) as office:
        good = await run_connection_test(office)
        assert good.result is ConnectionResult.CONNECTED
        assert good.version.startswith(str(asterisk_version))
        assert (good.read_missing, good.write_missing, good.unchecked) == ((), (), ("agent",))
        assert (good.extensions, good.queues, good.dialplan, good.may_reload) == (3, 1, DialplanState.CURRENT, True)

        assert (
            await run_connection_test(office, host="no-such-machine.invalid")
        ).result is ConnectionResult.HOST_UNKNOWN
        assert (await run_connection_test(office, host="a b\r\n")).result is ConnectionResult.HOST_UNKNOWN
        assert (await run_connection_test(office, port=free_port())).result is ConnectionResult.NOTHING_LISTENS
        with closing(socket.create_server(("127.0.0.1", 0))) as silent:
            assert (
                await run_connection_test(office, port=silent.getsockname()[1])
            ).result is ConnectionResult.NOT_ASTERISK
        assert (await run_connection_test(office, secret="wrong")).result is ConnectionResult.REFUSED
        assert (await run_connection_test(office, username="nobody")).result is ConnectionResult.REFUSED

        weak = await run_connection_test(office, username="weak")
        assert weak.result is ConnectionResult.RIGHTS_MISSING
        assert (weak.read_missing, weak.write_missing) == ((), ("reporting", "originate"))
        assert weak.unchecked == ("call", "user", "agent"), "events are checked with a call, which this user can't make"
        no_events = await run_connection_test(office, username="no-events")
        assert (no_events.result, no_events.read_missing, no_events.write_missing) == (
            ConnectionResult.RIGHTS_MISSING,
            ("call", "user"),
            (),
        )
        no_reload = await run_connection_test(office, username="no-reload")
        assert (no_reload.result, no_reload.may_reload) == (ConnectionResult.CONNECTED, False)

        # The tests neither disturb the worker's connection nor leave a secret behind.
        assert office.bazang.worker_log().count("PBX: connected") == 1
        with office.bazang.database.read() as session:
            assert not [c.payload for c in session.scalars(select(Command)) if "secret" in c.payload]
        assert "bazang-secret" not in office.bazang.worker_log()


@ONE_VERSION
async def test_connection_test_reports_a_host_that_does_not_answer(open_office: OpenOffice) -> None:
    async with open_office(phones=()) as office:
        with closing(socket.create_server(("127.0.0.1", 0), backlog=0)) as full:
            address = full.getsockname()
            waiting = [socket.socket() for _ in range(4)]  # fill the backlog, so later connections get no answer
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(address)
            report = await run_connection_test(office, port=address[1])
            for one in waiting:
                one.close()
        assert report.result is ConnectionResult.NO_ANSWER


async def test_connection_test_reports_a_pbx_without_our_dialplan(open_office: OpenOffice) -> None:
    async with (
        open_office(phones=()) as office,
        AsteriskOffice(office.bazang.asterisk.version, office.bazang.folder / "other") as other,
    ):
        report = await run_connection_test(office, port=other.ami_port)
        assert (report.result, report.dialplan) == (ConnectionResult.CONNECTED, DialplanState.NONE)
        assert report.unchecked == ("user", "agent")


@ONE_VERSION
async def test_changed_connection_settings_apply_without_a_restart_during_a_call(open_office: OpenOffice) -> None:
    async with open_office(add_module_and_store_connection, phones=("101",)) as office:
        bazang = office.bazang
        request = office.add_request()
        agent_call = await office.phones["101"].next_call()
        store_connection(bazang, ami_secret="wrong")  # without `apply_connection`, so the next poll finds it
        await bazang.until(lambda: ami_status(bazang) == "refused", PATIENCE, "the wrong secret is refused")
        await office.answer_agent_call(agent_call)
        customer = await office.next_customer_call(OWN)
        await customer.answer()
        store_connection(bazang, ami_host="localhost")
        apply_connection(bazang)
        await bazang.until(lambda: ami_status(bazang) == "connected", PATIENCE, "the worker is connected again")
        await office.wait_for_status(request, "connected")
        await customer.hang_up()
        await office.wait_for_status(request, "done")
        assert len(office.phones["101"].invites) == len(office.calls_to(OWN)) == 1
        assert "bazang-secret" not in bazang.worker_log()
        second = office.add_request("09122222222")
        await office.connect_customer(await office.answer_agent("101"), second)


@ONE_VERSION
async def test_attempt_on_another_pbx_is_uncertain_and_not_repeated(open_office: OpenOffice) -> None:
    async with open_office(add_module_and_store_connection, phones=("101",)) as office:
        bazang = office.bazang
        setup = OfficeSetup(include=bazang.setup.include)
        async with AsteriskOffice(bazang.asterisk.version, bazang.folder / "other", setup) as other:
            phone = await other.phone("101")
            request = office.add_request()
            agent_call = await office.phones["101"].next_call()
            store_connection(bazang, ami_port=str(other.ami_port))
            apply_connection(bazang)
            await office.wait_for_status(request, "uncertain")
            assert phone.invites == []
            second = office.add_request("09122222222")
            (await phone.next_call()).reject(603)
            await office.wait_for_attempt(second)
            assert office.get_request(request).status == "uncertain"
            await agent_call.hang_up()


@ONE_VERSION
async def test_changed_contexts_are_written_into_the_dialplan(open_office: OpenOffice) -> None:
    async with open_office(lambda b: b.module(next=Destination("extension", "101")), phones=()) as office:
        bazang = office.bazang
        with bazang.database.write() as session:
            write_setting(session, "extension_context", "my-phones")
        apply_connection(bazang)
        await bazang.wait_for_dialplan()
        assert "Goto(my-phones,101,1)" in bazang.settings.dialplan_path.read_text()


async def test_lookup_finds_destinations_and_codes_of_the_pbx(open_office: OpenOffice) -> None:
    setup = OfficeSetup(
        phones={"101": "secret101", "102": "secret102"},
        queues=[QueueSetup("800", {"101": 0})],
        extra_dialplan="[outbound](+)\nexten => 7000,1,NoOp()\nexten => _71XX,1,NoOp()\n"
        "[ends]\nexten => _X.,5,NoOp()\n",
    )

    def prepare(bazang: Bazang) -> None:
        bazang.module(code="5050")
        bazang.scenario("103")

    async with open_office(prepare, setup, phones=()) as office:
        found = {
            Destination("extension", "101"): True,
            Destination("extension", "103"): False,  # only our dialplan has it
            Destination("extension", "999"): False,
            Destination("extension", "10 1"): False,
            Destination("queue", "800"): True,
            Destination("queue", "801"): False,
            Destination("custom", "ends,12,5"): True,
            Destination("custom", "ends,12,4"): False,
            Destination("custom", "nowhere,12,5"): False,
            Destination("custom", "ends,12,5)\r\nAction: Logoff"): False,
        }
        for destination, exists in found.items():
            result = await ask_worker(office, lookup.look_up, destination)
            assert result is (LookupResult.FOUND if exists else LookupResult.MISSING), destination

        contexts = {
            "7000": "outbound",
            "7155": "outbound",
            "0912": "outbound",
            "5050": "",
            "5051": "",
            "103": "bazang-extensions",
        }
        for code, context in contexts.items():
            assert await ask_worker(office, lookup.find_code, office.bazang.settings, code) == context, code
        await office.bazang.asterisk.kill()
        await office.bazang.until(lambda: ami_status(office.bazang) == "down", PATIENCE, "the PBX is down")
        assert await ask_worker(office, lookup.look_up, Destination("extension", "101")) is LookupResult.UNANSWERED
        assert await ask_worker(office, lookup.find_code, office.bazang.settings, "7000") is None


@ONE_VERSION
async def test_lookup_is_answered_before_the_next_poll(open_office: OpenOffice) -> None:
    """A page waits for the answer, so the worker must see the command at once."""
    async with open_office(phones=(), POLL_SECONDS="60") as office:
        for _ in range(5):
            answer = await ask_worker(office, lookup.look_up, Destination("queue", "801"))
            assert answer is LookupResult.MISSING


@pytest.mark.parametrize("profile", ["asterisk", "freepbx"])
async def test_extensions_and_queue_members_have_names(open_office: OpenOffice, profile: str) -> None:
    setup = OfficeSetup(queues=[QueueSetup("800", {"101": 0, "102": 0})])
    async with open_office(setup=setup, phones=("101",), work=False, PBX_PROFILE=profile) as office:
        bazang = office.bazang
        await bazang.asterisk.cli('database put AMPUSER/101 cidname "سارا رضایی"')
        bazang.launch_worker()
        expected = {"101": "سارا رضایی" if profile == "freepbx" else "Phone 101", "102": "Phone 102"}
        await bazang.until(
            lambda: expected.items() <= extension_names(bazang).items(), PATIENCE, "the names are stored"
        )
        busy_call = await office.occupy("101")
        await bazang.until(lambda: office.line_state("101") == "in_call", PATIENCE, "the line is busy")
        assert extension_names(bazang)["101"] == expected["101"]
        with bazang.database.read() as session:
            members = {row.extension: row.name for row in session.scalars(select(QueueMemberRow))}
        assert members == {"101": "Agent 101", "102": "Agent 102"}
        await bazang.stop_worker()
        await bazang.start_worker()
        await busy_call.end()
        await bazang.until(lambda: office.line_state("101") == "free", PATIENCE, "the line is free")
        assert extension_names(bazang)["101"] == expected["101"]


def extension_names(bazang: Bazang) -> dict[str, str]:
    with bazang.database.read() as session:
        return {row.extension: row.name for row in session.scalars(select(ExtensionRow))}
