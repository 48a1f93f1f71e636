"""How the exchange is reached: settled in the panel, tried out, taken up without a restart; and what is asked of it."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from app.domain.pbx_connection import ConnectionReport, ConnectionResult, DialplanState
from app.domain.routing import Destination
from app.services.pbx import connection_test, lookup
from app.services.pbx.lookup import LookupResult
from app.store.models import Command, ExtensionRow, QueueMemberRow
from app.store.settings import write_setting
from script.office.asterisk import AsteriskOffice, OfficeSetup, QueueSetup
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.ports import free_port
from tests.asterisk.conftest import Stage
from tests.asterisk.scene import OWN, Scene

USERS = """
[deaf]
secret=bazang-secret
read=agent
write=originate,call,agent,reporting,config
[weak]
secret=bazang-secret
read=call
write=call
[plain]
secret=bazang-secret
read=call,user,agent
write=originate,call,agent,reporting
"""


def from_the_panel(bazang: Bazang) -> None:
    """Have the page settle how the exchange is reached, instead of the environment."""
    for name in ("AMI_HOST", "AMI_PORT", "AMI_USERNAME", "AMI_SECRET"):
        bazang.environment.pop(f"BAZANG_{name}", None)
    settle(bazang)


def settle(bazang: Bazang, **values: str) -> None:
    asterisk = bazang.asterisk
    way = {
        "ami_host": "127.0.0.1",
        "ami_port": str(asterisk.ami_port),
        "ami_username": asterisk.ami_username,
        "ami_secret": asterisk.ami_secret,
    }
    with bazang.database.write() as session:
        for name, value in (way | values).items():
            write_setting(session, name, value)


async def try_out(scene: Scene, **changes: Any) -> ConnectionReport:
    asterisk = scene.bazang.asterisk
    values: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": asterisk.ami_port,
        "username": asterisk.ami_username,
        "secret": asterisk.ami_secret,
    }
    report = await asyncio.to_thread(
        connection_test.test, scene.bazang.database, **(values | changes), actor="sara", now=datetime.now(UTC)
    )
    assert report is not None, scene.bazang.describe()
    return report


async def ask(scene: Scene, question: Callable[..., Any], *arguments: Any) -> Any:
    return await asyncio.to_thread(question, scene.bazang.database, *arguments, actor="sara", now=datetime.now(UTC))


async def test_what_is_wrong_with_a_connection_is_told_apart(stage: Stage, asterisk_version: int) -> None:
    setup = OfficeSetup(queues=[QueueSetup("800", {"101": 0})])
    setup.ami_rights += USERS
    async with stage(lambda b: b.module(), setup, phones=("101",)) as scene:
        good = await try_out(scene)
        assert good.result is ConnectionResult.CONNECTED
        assert good.version.startswith(str(asterisk_version))
        assert (good.read_missing, good.write_missing, good.unchecked) == ((), (), ("agent",))
        assert (good.extensions, good.queues, good.dialplan, good.may_reload) == (3, 1, DialplanState.CURRENT, True)

        assert (await try_out(scene, host="no-such-machine.invalid")).result is ConnectionResult.HOST_UNKNOWN
        assert (await try_out(scene, host="a b\r\n")).result is ConnectionResult.HOST_UNKNOWN
        assert (await try_out(scene, port=free_port())).result is ConnectionResult.NOTHING_LISTENS
        with closing(socket.create_server(("127.0.0.1", 0))) as mute:
            assert (await try_out(scene, port=mute.getsockname()[1])).result is ConnectionResult.NOT_ASTERISK
        assert (await try_out(scene, secret="wrong")).result is ConnectionResult.REFUSED
        assert (await try_out(scene, username="nobody")).result is ConnectionResult.REFUSED

        weak = await try_out(scene, username="weak")
        assert weak.result is ConnectionResult.RIGHTS_MISSING
        assert (weak.read_missing, weak.write_missing) == ((), ("reporting", "originate"))
        assert weak.unchecked == ("call", "user", "agent"), "nobody was let make the call that would show it"
        deaf = await try_out(scene, username="deaf")
        assert (deaf.result, deaf.read_missing, deaf.write_missing) == (
            ConnectionResult.RIGHTS_MISSING,
            ("call", "user"),
            (),
        )
        plain = await try_out(scene, username="plain")
        assert (plain.result, plain.may_reload) == (ConnectionResult.CONNECTED, False)

        # Nothing of all that has disturbed the connection that serves, or is kept.
        assert scene.bazang.worker_log().count("PBX: connected") == 1
        with scene.bazang.database.read() as session:
            assert not [c.payload for c in session.scalars(select(Command)) if "secret" in c.payload]
        assert "bazang-secret" not in scene.bazang.worker_log()


async def test_exchange_that_does_not_answer_is_a_firewall(stage: Stage) -> None:
    async with stage(phones=()) as scene:
        with closing(socket.create_server(("127.0.0.1", 0), backlog=0)) as full:
            address = full.getsockname()
            waiting = [socket.socket() for _ in range(4)]  # nobody takes them, and nobody after them
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(address)
            report = await try_out(scene, port=address[1])
            for one in waiting:
                one.close()
        assert report.result is ConnectionResult.NO_ANSWER


async def test_exchange_without_our_dialplan_says_so(stage: Stage) -> None:
    async with (
        stage(phones=()) as scene,
        AsteriskOffice(scene.bazang.asterisk.version, scene.bazang.folder / "other") as other,
    ):
        report = await try_out(scene, port=other.ami_port)
        assert (report.result, report.dialplan) == (ConnectionResult.CONNECTED, DialplanState.NONE)
        assert report.unchecked == ("user", "agent")


async def test_connection_is_taken_from_the_panel_and_changed_without_a_restart(stage: Stage) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module()
        from_the_panel(bazang)

    async with stage(prepare, phones=("101",)) as scene:
        bazang = scene.bazang
        request = scene.wish()
        ring = await scene.phones["101"].next_call()
        settle(bazang, ami_secret="wrong")  # nobody asks for it to be taken up: the next poll sees it
        await bazang.until(lambda: status(bazang) == "refused", PATIENCE, "the wrong secret is refused")
        await ring.answer()
        await scene.hears(ring, "agent_intro")
        await ring.press("1")
        customer = await scene.customer(OWN)
        await customer.answer()
        settle(bazang, ami_host="localhost")
        connection_test.apply(bazang.database, actor="sara", now=datetime.now(UTC))
        await bazang.until(lambda: status(bazang) == "connected", PATIENCE, "it is connected again")
        await scene.becomes(request, "connected")
        await customer.hang_up()
        await scene.becomes(request, "done")
        assert len(scene.phones["101"].invites) == len(scene.calls_to(OWN)) == 1
        assert "bazang-secret" not in bazang.worker_log()
        await scene.talk_to(await dialled_anew(scene), bazang.requests()[-1].id)


async def dialled_anew(scene: Scene) -> Any:
    scene.wish("09122222222")
    return await scene.take("101")


async def test_attempt_that_another_exchange_may_still_make_is_not_made_twice(stage: Stage) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module()
        from_the_panel(bazang)

    async with stage(prepare, phones=("101",)) as scene:
        bazang = scene.bazang
        setup = OfficeSetup(include=bazang.setup.include)
        async with AsteriskOffice(bazang.asterisk.version, bazang.folder / "other", setup) as other:
            phone = await other.phone("101")
            request = scene.wish()
            ring = await scene.phones["101"].next_call()
            settle(bazang, ami_port=str(other.ami_port))
            connection_test.apply(bazang.database, actor="sara", now=datetime.now(UTC))
            await scene.becomes(request, "uncertain")
            assert phone.invites == []
            second = scene.wish("09122222222")
            (await phone.next_call()).reject(603)
            await scene.tried(second)
            assert scene.wished(request).status == "uncertain"
            await ring.hang_up()


def status(bazang: Bazang) -> str:
    state = bazang.worker_state()
    return state.ami_status if state is not None else ""


async def test_changed_contexts_are_written_into_the_dialplan(stage: Stage) -> None:
    async with stage(lambda b: b.module(next=Destination("extension", "101")), phones=()) as scene:
        bazang = scene.bazang
        with bazang.database.write() as session:
            write_setting(session, "extension_context", "my-phones")
        connection_test.apply(bazang.database, actor="sara", now=datetime.now(UTC))
        await bazang.wait_for_dialplan()
        assert "Goto(my-phones,101,1)" in bazang.settings.dialplan_path.read_text()


async def test_what_the_exchange_has_can_be_looked_up(stage: Stage) -> None:
    setup = OfficeSetup(
        phones={"101": "secret101", "102": "secret102"},
        queues=[QueueSetup("800", {"101": 0})],
        extra_dialplan="[outbound](+)\nexten => 7000,1,NoOp()\nexten => _71XX,1,NoOp()\n"
        "[ends]\nexten => _X.,5,NoOp()\n",
    )

    async with stage(lambda b: (b.module(code="5050"), b.scenario("103")), setup, phones=()) as scene:
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
            result = await ask(scene, lookup.look_up, destination)
            assert result is (LookupResult.FOUND if exists else LookupResult.MISSING), destination

        taken = {"7000": "outbound", "7155": "outbound", "0912": "outbound", "5050": "", "5051": "", "103": True}
        for code, where in taken.items():
            answer = await ask(scene, lookup.find_code, scene.bazang.settings, code)
            assert answer == ("bazang-extensions" if where is True else where), code
        await scene.bazang.asterisk.kill()
        await scene.bazang.until(lambda: status(scene.bazang) == "down", PATIENCE, "the exchange is gone")
        assert await ask(scene, lookup.look_up, Destination("extension", "101")) is LookupResult.UNANSWERED
        assert await ask(scene, lookup.find_code, scene.bazang.settings, "7000") is None


@pytest.mark.parametrize("profile", ["asterisk", "freepbx"])
async def test_extensions_and_members_have_their_names(stage: Stage, profile: str) -> None:
    setup = OfficeSetup(queues=[QueueSetup("800", {"101": 0, "102": 0})])
    async with stage(setup=setup, phones=("101",), work=False, PBX_PROFILE=profile) as scene:
        bazang = scene.bazang
        await bazang.asterisk.cli('database put AMPUSER/101 cidname "سارا رضایی"')
        bazang.launch_worker()
        wanted = {"101": "سارا رضایی" if profile == "freepbx" else "Phone 101", "102": "Phone 102"}
        await bazang.until(lambda: wanted.items() <= names(bazang).items(), PATIENCE, "the names are known")
        talk = await scene.occupy("101")
        await bazang.until(lambda: scene.line("101") == "in_call", PATIENCE, "the line is busy")
        assert names(bazang)["101"] == wanted["101"]
        with bazang.database.read() as session:
            members = {row.extension: row.name for row in session.scalars(select(QueueMemberRow))}
        assert members == {"101": "Agent 101", "102": "Agent 102"}
        await bazang.stop_worker()
        await bazang.start_worker()
        await talk.end()
        await bazang.until(lambda: scene.line("101") == "free", PATIENCE, "the line is free")
        assert names(bazang)["101"] == wanted["101"]


def names(bazang: Bazang) -> dict[str, str]:
    with bazang.database.read() as session:
        return {row.extension: row.name for row in session.scalars(select(ExtensionRow))}
