"""A PBX that is still booting: it answers before its hints and queues are loaded. And one that is not set up yet."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy import select

from app.config import Settings
from app.services.pbx.dialplan import gather_dialplan
from app.services.settings import pbx as pbx_settings
from app.store.database import Database
from app.store.models import ExtensionRow, QueueMemberRow, QueueRow
from app.store.pbx_state import PBX_NOT_GIVEN, worker_state
from app.worker import main
from app.worker.main import Worker
from script.office.patience import PATIENCE
from tests.support.factories import NOW, create_line, create_queue
from tests.support.fake_ami import Action, Connection, FakeAmi, fake_ami, listing, refuse

HINT = [("Event", "ExtensionStatus"), ("Exten", "101"), ("Context", "hints"), ("Hint", "PJSIP/101"), ("Status", "0")]
DEVICE = [("Event", "DeviceStateChange"), ("Device", "PJSIP/101"), ("State", "NOT_INUSE")]
QUEUE = [
    [("Event", "QueueParams"), ("Queue", "800"), ("Calls", "0")],
    [("Event", "QueueMember"), ("Queue", "800"), ("Location", "PJSIP/101"), ("StateInterface", "PJSIP/101")],
]
LISTS = ("CoreShowChannels", "BridgeList", "DBGet", "ExtensionStateList", "DeviceStateList", "QueueStatus")
UNKNOWN = refuse("Invalid/unknown command: QueueStatus. Use Action: ListCommands to show available commands.")


class Pbx:
    """A scripted PBX, and the worker that polls it."""

    def __init__(self, fake: FakeAmi, worker: Worker) -> None:
        self.fake, self.worker, self.has_dialplan = fake, worker, False
        fake.answers["Getvar"] = self._getvar
        for action in ("CoreShowChannels", "BridgeList", "DBGet"):
            fake.answers[action] = listing([], complete=f"{action}Complete")
        fake.answers["DeviceStateList"] = fake.answers["QueueStatus"] = UNKNOWN
        self.load_hints(hints=False)

    async def _getvar(self, connection: Connection, action: Action) -> None:
        exists = self.has_dialplan and action.get("Variable").startswith("DIALPLAN_EXISTS(")
        await connection.respond(action, "Success", ("Value", str(int(exists))))

    def load_hints(self, *, hints: bool = True) -> None:
        self.fake.answers["ExtensionStateList"] = listing(
            [HINT] if hints else [], complete="ExtensionStateListComplete"
        )

    def load_queues(self, *, queues: bool = True) -> None:
        self.fake.answers["DeviceStateList"] = listing([DEVICE], complete="DeviceStateListComplete")
        self.fake.answers["QueueStatus"] = listing(QUEUE if queues else [], complete="QueueStatusComplete")

    async def poll(self) -> None:
        await self.worker.poll()
        await self.worker.writes.drain(PATIENCE)


@pytest.fixture
async def pbx(office: Settings, database: Database) -> AsyncIterator[Pbx]:
    create_line(database)
    create_queue(database, "800", "101")
    async with fake_ami(booted=False) as fake:
        settings = office.model_copy(update={"ami_host": fake.host, "ami_port": fake.port, "ami_secret": fake.secret})
        worker = Worker(settings, database)
        pbx = Pbx(fake, worker)
        worker.tasks.spawn(worker.writes.run())
        await worker.ami.start()
        await worker.ami.wait_connected(PATIENCE)
        yield pbx
        await worker.ami.stop()
        await worker.tasks.cancel()


def rows(database: Database) -> tuple[dict[str, str], list[str], list[str]]:
    """Return the stored lines with their states, the queues and their members."""
    with database.read() as session:
        lines = {row.extension: row.state for row in session.scalars(select(ExtensionRow))}
        members = [row.extension for row in session.scalars(select(QueueMemberRow))]
        return lines, list(session.scalars(select(QueueRow.name))), members


async def test_rows_stay_while_the_pbx_boots(pbx: Pbx, database: Database, office: Settings) -> None:
    plan = gather_dialplan(database, office, 4573, NOW)
    for _ in range(2):
        await pbx.poll()
        assert rows(database) == ({"101": "unknown"}, ["800"], ["101"])
        assert not pbx.worker.facts().lines
    pbx.worker.state.store_changes_soon()
    pbx.has_dialplan = True
    pbx.load_hints()
    await pbx.poll()
    assert rows(database) == ({"101": "free"}, ["800"], ["101"]), "app_queue is loaded after the dialplan"
    pbx.load_queues()
    await pbx.poll()
    assert rows(database) == ({"101": "free"}, ["800"], ["101"])
    assert gather_dialplan(database, office, 4573, NOW) == plan


@pytest.mark.parametrize("proof", ["our dialplan", "FullyBooted", "time"])
async def test_rows_go_when_the_booted_pbx_has_none(
    pbx: Pbx, database: Database, monkeypatch: pytest.MonkeyPatch, proof: str
) -> None:
    await pbx.poll()
    assert rows(database) == ({"101": "unknown"}, ["800"], ["101"])
    match proof:
        case "our dialplan":
            pbx.has_dialplan = True
            await pbx.poll()
            assert rows(database)[0] == {"101": "unknown"}, "app_queue may still be loading"
            pbx.load_queues(queues=False)
        case "FullyBooted":
            await pbx.fake.connection.send([("Event", "FullyBooted")])
            await pbx.worker.ami.send("Ping")  # its response comes behind the event
        case "time":
            monkeypatch.setattr(main, "BOOT_SECONDS", 0.0)
    await pbx.poll()
    assert rows(database) == ({}, [], [])


async def test_rows_stay_when_a_running_pbx_restarts(pbx: Pbx, database: Database) -> None:
    pbx.has_dialplan = True
    pbx.load_hints()
    pbx.load_queues()
    await pbx.poll()
    assert rows(database) == ({"101": "free"}, ["800"], ["101"])
    pbx.has_dialplan = False
    pbx.load_hints(hints=False)
    pbx.fake.answers["QueueStatus"] = UNKNOWN
    pbx.fake.connection.drop()
    await pbx.fake.connections.count(2)
    await pbx.worker.ami.wait_connected(PATIENCE)
    await pbx.poll()
    assert rows(database) == ({"101": "unknown"}, ["800"], ["101"])


async def test_extension_that_is_removed_on_a_running_pbx_goes(pbx: Pbx, database: Database) -> None:
    pbx.has_dialplan = True
    pbx.load_hints()
    pbx.load_queues(queues=False)
    await pbx.poll()
    assert rows(database) == ({"101": "free"}, [], [])
    pbx.load_hints(hints=False)
    await pbx.poll()
    assert rows(database) == ({}, [], [])


async def test_pbx_is_not_asked_before_somebody_has_given_its_settings(
    office: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setup generates a secret. Until it is saved, the PBX cannot know it, and would count refused log-ins."""

    def status() -> str:
        with database.read() as session:
            return worker_state(session).ami_status

    async def nothing() -> None:
        """No prompt is spoken, which could go on after the end."""

    monkeypatch.setattr(Worker, "_keep_house", lambda _: nothing())
    async with fake_ami() as fake:
        for action in LISTS:
            fake.answers[action] = UNKNOWN
        settings = office.model_copy(update={"ami_host": fake.host, "ami_port": fake.port, "agi_port": 0})
        worker, ready = Worker(settings, database), asyncio.Event()
        running = asyncio.create_task(worker.run(ready.set))
        async with asyncio.timeout(PATIENCE):
            await ready.wait()
        await worker.poll()
        assert status() == PBX_NOT_GIVEN, "there is no secret at all"
        with database.write() as session:
            pbx_settings.ensure_secret(session, settings, 1, NOW)
        await worker.poll()
        await worker.poll()
        assert (status(), fake.connections) == (PBX_NOT_GIVEN, [])
        given = replace(pbx_settings.load(database, settings), ami_secret=fake.secret)
        pbx_settings.save(database, settings, given, actor="sara", now=NOW)
        await worker.poll()
        await worker.ami.wait_connected(PATIENCE)
        assert len(fake.named("Login")) == 1
        worker.stop()
        await running
