"""The dialplan's keeper: the file says what the tables say, and it is known whether Asterisk runs it."""

import asyncio
import re
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.config import Settings
from app.services.modules import save as modules
from app.store.database import Database
from app.telephony.ami import AmiClient, AmiDisconnected, AmiTimes
from app.worker.dialplan_file import NO_SUCH_CONTEXT, RELOAD_BY_HAND, DialplanFile, render
from tests.support.factories import NOW, make_module_input
from tests.support.fake_ami import PATIENCE, Action, Connection, FakeAmi, drop, fake_ami, refuse, success

TIMES = AmiTimes(booted=0.05, pauses=(0.01,), refused_pauses=(0.01,))


class Exchange:
    """What Asterisk runs: our file as it was at the last reload, if it is taken in at all."""

    def __init__(self, fake: FakeAmi, file: Path) -> None:
        self.fake, self.file = fake, file
        self.included = True
        self.revision = ""
        fake.answers["Getvar"] = self._getvar
        fake.answers["Reload"] = self._reload

    @property
    def reloads(self) -> int:
        return len(self.fake.named("Reload"))

    def read(self) -> None:
        """Read the file, as `dialplan reload` does."""
        found = re.search(r"^exten => r([0-9a-f]+),1", self.file.read_text(), re.MULTILINE) if self.included else None
        self.revision = found[1] if found else ""

    async def _reload(self, connection: Connection, action: Action) -> None:
        self.read()
        await success(connection, action)

    async def _getvar(self, connection: Connection, action: Action) -> None:
        asked = re.fullmatch(r"DIALPLAN_EXISTS\(([^,]*),([^,]*),1\)", action.get("Variable"))
        assert asked is not None, action
        known = {("bazang-revision", f"r{self.revision}"), ("bazang-agent", "s")} if self.revision else set()
        value = str(int(asked.groups() in known))
        await connection.respond(action, "Success", ("Variable", action.get("Variable")), ("Value", value))


@pytest.fixture
async def exchange(office: Settings) -> AsyncIterator[Exchange]:
    async with fake_ami() as fake:
        yield Exchange(fake, office.dialplan_path)


@pytest.fixture
async def ami(exchange: Exchange) -> AsyncIterator[AmiClient]:
    fake = exchange.fake
    client = AmiClient(fake.host, fake.port, "bazang", fake.secret, on_event=lambda event: None, times=TIMES)
    await client.start()
    await client.wait_connected(PATIENCE)
    yield client
    async with asyncio.timeout(PATIENCE):
        await client.stop()


@pytest.fixture
def keeper(office: Settings, database: Database, ami: AmiClient) -> DialplanFile:
    modules.save(database, make_module_input(code="*5001"), NOW)
    return DialplanFile(office, database, ami)


def wanted(office: Settings, database: Database) -> tuple[str, str]:
    """Return text and revision of the dialplan as it should be."""
    rendered = render(office, database, office.agi_port)
    return rendered.text, rendered.revision


async def test_the_file_is_written_loaded_and_its_revision_read_back(
    keeper: DialplanFile, exchange: Exchange, office: Settings, database: Database
) -> None:
    text, revision = wanted(office, database)
    await keeper.keep()
    assert office.dialplan_path.read_text() == text
    assert stat.S_IMODE(office.dialplan_path.stat().st_mode) == 0o644
    assert (keeper.written, keeper.running, keeper.detail, keeper.usable) == (revision, revision, "", True)
    assert exchange.fake.named("Reload")[0].get("Module") == "pbx_config.so"
    await keeper.keep()
    assert exchange.reloads == 1, "what runs already is not loaded again"


async def test_a_change_of_the_tables_is_written_and_loaded(
    keeper: DialplanFile, exchange: Exchange, database: Database
) -> None:
    await keeper.keep()
    before = keeper.running
    modules.save(database, make_module_input(code="*5002"), NOW)
    await keeper.keep()
    assert keeper.running == keeper.written == exchange.revision != before
    assert exchange.reloads == 2


async def test_the_port_that_was_given_stands_in_the_file(keeper: DialplanFile, office: Settings) -> None:
    keeper.agi_port = 4999
    await keeper.keep()
    assert "127.0.0.1:4999" in office.dialplan_path.read_text()


async def test_a_spoiled_file_is_mended_and_loaded_although_the_right_one_runs(
    keeper: DialplanFile, exchange: Exchange, office: Settings, database: Database
) -> None:
    await keeper.keep()
    office.dialplan_path.write_text("; somebody was here\n")
    office.dialplan_path.chmod(0o600)
    await keeper.keep()
    assert office.dialplan_path.read_text() == wanted(office, database)[0]
    assert stat.S_IMODE(office.dialplan_path.stat().st_mode) == 0o644
    assert exchange.reloads == 2
    assert (keeper.running, keeper.detail) == (keeper.written, "")


async def test_a_dialplan_that_somebody_else_threw_out_is_loaded_again(
    keeper: DialplanFile, exchange: Exchange
) -> None:
    await keeper.keep()
    exchange.revision = ""  # a reload while the file was away, or a restart of Asterisk
    await keeper.keep()
    assert keeper.running == keeper.written == exchange.revision
    assert exchange.reloads == 2


async def test_a_file_that_nothing_takes_in_is_told_and_not_loaded_for_ever(
    keeper: DialplanFile, exchange: Exchange
) -> None:
    exchange.included = False
    for _ in range(3):
        await keeper.keep()
        assert (keeper.running, keeper.usable, keeper.detail) == ("", False, NO_SUCH_CONTEXT)
    assert exchange.reloads == 1
    await keeper.keep(force=True)  # a person asks for it
    assert exchange.reloads == 2
    exchange.included = True
    exchange.read()  # that person has written the #tryinclude and typed `dialplan reload`
    await keeper.keep()
    assert (keeper.running, keeper.usable, keeper.detail) == (keeper.written, True, "")


async def test_a_reload_that_is_refused_is_to_be_done_by_hand(
    keeper: DialplanFile, exchange: Exchange, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await keeper.keep()
    before = keeper.running
    exchange.fake.answers["Reload"] = refuse("Permission denied")
    modules.save(database, make_module_input(code="*5002"), NOW)
    for _ in range(2):
        await keeper.keep()
        assert (keeper.running, keeper.detail) == ("", RELOAD_BY_HAND)
        assert keeper.usable, "calls go on by the older revision"
    assert keeper.written != before
    assert "does not let us reload" in caplog.text
    assert exchange.reloads == 2
    exchange.read()  # by hand
    await keeper.keep()
    assert (keeper.running, keeper.detail) == (keeper.written, "")


async def test_without_a_connection_the_file_is_written_all_the_same(
    office: Settings, database: Database, exchange: Exchange
) -> None:
    client = AmiClient("127.0.0.1", exchange.fake.port, "bazang", "secret", on_event=lambda event: None)
    keeper = DialplanFile(office, database, client)
    await keeper.keep()
    assert office.dialplan_path.read_text() == wanted(office, database)[0]
    assert (keeper.written, keeper.running, keeper.usable) == (wanted(office, database)[1], "", False)


async def test_a_connection_that_is_lost_meanwhile_is_told_and_made_up_for(
    keeper: DialplanFile, exchange: Exchange, ami: AmiClient
) -> None:
    exchange.fake.answers["Reload"] = drop
    with pytest.raises(AmiDisconnected):
        await keeper.keep()
    exchange.read()  # Asterisk had heard it all the same
    del exchange.fake.answers["Reload"]
    await exchange.fake.connections.count(2)
    await ami.wait_connected(PATIENCE)
    await keeper.keep()
    assert keeper.running == keeper.written == exchange.revision


def spoil_folder(office: Settings) -> None:
    """Put a file where the folder should be: not even root writes there."""
    office.dialplan_path.unlink(missing_ok=True)
    office.dialplan_path.parent.rmdir()
    office.dialplan_path.parent.touch()


async def test_a_folder_that_cannot_be_written_is_told_and_what_runs_is_used(
    keeper: DialplanFile, exchange: Exchange, office: Settings, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await keeper.keep()
    running = keeper.running
    spoil_folder(office)
    modules.save(database, make_module_input(code="*5002"), NOW)
    await keeper.keep()
    assert str(office.dialplan_path.parent) in keeper.detail
    assert (keeper.written, keeper.usable) == (running, True)
    assert "the dialplan cannot be written" in caplog.text
    office.dialplan_path.parent.unlink()
    await keeper.keep()
    assert (keeper.running, keeper.detail) == (exchange.revision, "")
    assert keeper.running != running


async def test_a_worker_that_starts_with_a_full_disk_uses_what_asterisk_has(
    keeper: DialplanFile, exchange: Exchange, office: Settings, database: Database, ami: AmiClient
) -> None:
    await keeper.keep()
    spoil_folder(office)
    fresh = DialplanFile(office, database, ami)
    await fresh.keep()
    assert fresh.usable
    assert fresh.detail
    exchange.revision = ""
    await fresh.keep()
    assert not fresh.usable


async def test_what_must_not_stand_in_a_dialplan_is_not_written(
    office: Settings, database: Database, ami: AmiClient, exchange: Exchange
) -> None:
    keeper = DialplanFile(office.model_copy(update={"agi_host": "h;System(x)"}), database, ami)
    await keeper.keep()
    assert "not for a dialplan" in keeper.detail
    assert not office.dialplan_path.exists()
    assert exchange.reloads == 0
