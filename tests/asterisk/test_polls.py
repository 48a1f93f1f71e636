"""Polls of a real Asterisk: what comes at the same time, what an idle office writes, and an Asterisk that boots."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import event, text

from app.services.commands import open_commands
from app.services.notifications.keys import public_key
from app.telephony.ami import AmiClient
from app.telephony.snapshot import Snapshot
from app.worker.main import Worker
from script.office.asterisk import OfficeSetup, QueueSetup
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import MODULE, ONE_VERSION, Office, add_scenario

ROUNDS = 60
MEMBERS = {"101": 0, "102": 0}


# -- lists and events at the same time ----------------------------------------------------------------------------


@ONE_VERSION
async def test_pause_during_polls_is_seen_at_once_and_stays(open_office: OpenOffice) -> None:
    """A queue member is paused and unpaused by another AMI session while the queues are listed again and again.

    The list is long, so many changes come while Asterisk writes it. Its row of the member is older then.
    """
    queues = [QueueSetup("800", MEMBERS), *(QueueSetup(f"9{number:02}", MEMBERS) for number in range(60))]
    async with open_office(setup=OfficeSetup(queues=queues), work=False) as office:
        snapshot, seen = Snapshot(), [False]
        changed = asyncio.Event()

        def look() -> None:
            member = snapshot.queues["800"].members["PJSIP/101"] if "800" in snapshot.queues else None
            if member is not None and member.paused != seen[-1]:
                seen.append(member.paused)
                changed.set()

        def handle(message: Any) -> None:
            snapshot.handle(message, datetime.now(UTC))
            look()

        def apply(rows: Sequence[Any]) -> None:
            snapshot.poll_queues(rows, datetime.now(UTC))
            look()

        async def poll() -> None:
            while True:
                await watcher.apply_list("QueueStatus", apply)

        asterisk = office.bazang.asterisk
        login = ("127.0.0.1", asterisk.ami_port, asterisk.ami_username, asterisk.ami_secret)
        watcher, other = AmiClient(*login, on_event=handle), AmiClient(*login, on_event=lambda message: None)
        for client in (watcher, other):
            await client.start()
            await client.wait_connected(PATIENCE)
        await watcher.apply_list("QueueStatus", apply)
        polls = asyncio.create_task(poll())
        for number in range(ROUNDS):
            changed.clear()
            await asyncio.sleep(0.001 * (number % 8))  # at another moment of the list each time
            pause = {"Queue": "800", "Interface": "PJSIP/101", "Paused": str((number + 1) % 2)}
            await other.send("QueuePause", pause)
            async with asyncio.timeout(PATIENCE):
                await changed.wait()
        polls.cancel()
        await asyncio.gather(polls, return_exceptions=True)
        await watcher.apply_list("QueueStatus", apply)
        assert seen == [bool(number % 2) for number in range(ROUNDS + 1)], "each change is seen once and stays"
        for client in (watcher, other):
            await client.stop()


# -- an idle office -----------------------------------------------------------------------------------------------


class Writes:
    """The SQL that writes to the database, by poll: each heartbeat ends one."""

    def __init__(self, bazang: Bazang) -> None:
        self.polls: list[list[str]] = [[]]
        self.news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        event.listen(bazang.database.engine, "before_cursor_execute", self._note)

    def _note(self, *args: Any) -> None:
        statement = args[2]
        if statement.split(" ", 1)[0] in ("INSERT", "UPDATE", "DELETE"):
            self._loop.call_soon_threadsafe(self._add, statement)

    def _add(self, statement: str) -> None:
        self.polls[-1].append(statement)
        if statement.startswith("UPDATE worker_state"):
            self.polls.append([])
            self.news.set()

    async def next_poll(self) -> list[str]:
        """Return the statements of the next whole poll."""
        count = len(self.polls)
        async with asyncio.timeout(PATIENCE):
            while len(self.polls) <= count:
                self.news.clear()
                await self.news.wait()
        return self.polls[-2]


@asynccontextmanager
async def running_worker(bazang: Bazang) -> AsyncIterator[Worker]:
    """Run the worker in this process."""
    worker = Worker(bazang.settings, bazang.database)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await task


@ONE_VERSION
async def test_idle_office_writes_only_the_heartbeat(open_office: OpenOffice) -> None:
    setup = OfficeSetup(queues=[QueueSetup("800", MEMBERS), QueueSetup("801", {"101": 5}, wrapuptime=10)])

    def prepare(bazang: Bazang) -> None:
        bazang.module()
        add_scenario(bazang)
        bazang.queue("800", max_wait=5, wrapup=10, failed=MODULE)

    async with open_office(prepare, setup, work=False, POLL_SECONDS="0.3") as office:
        writes = Writes(office.bazang)
        async with running_worker(office.bazang):
            await office.bazang.until(lambda: office.line_state("102") == "free", PATIENCE, "the lines are known")
            await office.bazang.wait_for_dialplan()
            await office.bazang.until(
                lambda: public_key(office.bazang.database, office.bazang.settings), PATIENCE, "notifications have a key"
            )
            # The moment of the machine's start is computed from two clocks, so it differs by microseconds. The
            # figures for monitoring come with the heartbeat.
            heartbeats = [
                [f"UPDATE worker_state SET heartbeat=?{booted}{figures} WHERE worker_state.id = ?"]
                for booted in ("", ", booted_at=?")
                for figures in ("", ", figures=?")
            ]
            await office.bazang.until(
                lambda: not open_commands(office.bazang.database, datetime.now(UTC)), PATIENCE, "the commands are done"
            )
            async with asyncio.timeout(PATIENCE):
                while await writes.next_poll() not in heartbeats:
                    pass  # what is found at the start is stored, such as the names of the extensions
            polls = [await writes.next_poll() for _ in range(5)]
            assert [poll for poll in polls if poll not in heartbeats] == []


# -- an Asterisk that boots ---------------------------------------------------------------------------------------


def watch_deletions(bazang: Bazang) -> None:
    """Let the database note each row of an extension, a queue or a member that is deleted."""
    with bazang.database.write() as session:
        session.execute(text("CREATE TABLE deletions (name TEXT)"))
        for table in ("lines", "queues", "queue_members"):
            session.execute(
                text(
                    f"CREATE TRIGGER watch_{table} AFTER DELETE ON {table} "
                    f"BEGIN INSERT INTO deletions VALUES ('{table}'); END"
                )
            )


def deletions(bazang: Bazang) -> list[str]:
    with bazang.database.read() as session:
        return list(session.scalars(text("SELECT name FROM deletions")))


async def wait_for_polls(office: Office, count: int) -> None:
    """Wait until the worker has polled the PBX a number of times."""
    for _ in range(count):
        await office.wait_for_poll()


async def test_rows_stay_while_asterisk_restarts(open_office: OpenOffice, tmp_path: Path) -> None:
    """Asterisk answers while it still reads its dialplan: it has no hints, no queues and no device states then."""
    gate, script = tmp_path / "gate", tmp_path / "wait.sh"
    script.write_text(f'#!/bin/sh\nwhile [ -e {gate} ]; do sleep 0.05; done\necho ";"\n')
    script.chmod(0o755)
    setup = OfficeSetup(queues=[QueueSetup("800", MEMBERS)], extra_dialplan=f"#exec {script}\n")

    def prepare(bazang: Bazang) -> None:
        bazang.module()
        add_scenario(bazang)
        bazang.queue("800", failed=MODULE)

    async with open_office(prepare, setup, POLL_SECONDS="0.3") as office:
        bazang = office.bazang
        await bazang.until(lambda: office.line_state("101") == "free", PATIENCE, "the line is known")
        watch_deletions(bazang)
        dialplan = bazang.settings.dialplan_path.read_text()
        gate.touch()
        await bazang.asterisk.kill()
        bazang.asterisk.launch()
        await bazang.until(lambda: office.line_state("101") == "unknown", PATIENCE, "Asterisk answers without hints")
        await wait_for_polls(office, 2)
        assert office.line_state("101") == office.line_state("102") == "unknown"
        request = office.add_request()
        gate.unlink()
        await bazang.asterisk.wait_until_booted()
        for phone in office.phones.values():  # Asterisk was killed perhaps before it had stored their contacts
            await phone.register()
        await office.connect_customer(await office.answer_agent("101"), request)
        assert deletions(bazang) == []
        assert bazang.settings.dialplan_path.read_text() == dialplan
