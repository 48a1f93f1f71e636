"""The dialplan file follows the tables, and Asterisk is asked which revision runs."""

import asyncio
import re
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.config import Settings
from app.domain.pbx_connection import DialplanProblem
from app.services.modules.save import save_module
from app.store.database import Database
from app.store.settings import write_setting
from app.telephony.ami import AmiClient, AmiDisconnected, AmiTimes
from app.worker.dialplan_file import DialplanFile, render
from script.office.patience import PATIENCE
from tests.support.factories import NOW, make_module_input
from tests.support.fake_ami import Action, Connection, FakeAmi, drop, fake_ami, refuse, success

TIMES = AmiTimes(booted=0.05, pauses=(0.01,), refused_pauses=(0.01,))


class FakeAsterisk:
    """An Asterisk that runs our file as it was at the last reload, if it is included."""

    def __init__(self, fake: FakeAmi, file: Path) -> None:
        self.fake, self.file = fake, file
        self.included = True
        self.revision = self.number_check = ""
        fake.answers["Getvar"] = self._getvar
        fake.answers["Reload"] = self._reload

    @property
    def reloads(self) -> int:
        return len(self.fake.named("Reload"))

    def read(self) -> None:
        """Read the file, as `dialplan reload` does."""
        found = re.search(r"^exten => r([0-9a-f]+),1", self.file.read_text(), re.MULTILINE) if self.included else None
        self.revision = found[1] if found else ""
        check = re.search(r"^exten => n([0-9a-f]+),1", self.file.read_text(), re.MULTILINE) if self.included else None
        self.number_check = check[1] if check else ""

    async def _reload(self, connection: Connection, action: Action) -> None:
        self.read()
        await success(connection, action)

    async def _getvar(self, connection: Connection, action: Action) -> None:
        asked = re.fullmatch(r"DIALPLAN_EXISTS\(([^,]*),([^,]*),1\)", action.get("Variable"))
        assert asked is not None, action
        existing = {("bazang-revision", f"r{self.revision}"), ("bazang-agent", "s")} if self.revision else set()
        existing |= (
            {("bazang-numbers", f"n{self.number_check}"), ("bazang-numbers", "0")} if self.number_check else set()
        )
        value = str(int(asked.groups() in existing))
        await connection.respond(action, "Success", ("Variable", action.get("Variable")), ("Value", value))


@pytest.fixture
async def asterisk(office: Settings) -> AsyncIterator[FakeAsterisk]:
    async with fake_ami() as fake:
        yield FakeAsterisk(fake, office.dialplan_path)


@pytest.fixture
async def ami(asterisk: FakeAsterisk) -> AsyncIterator[AmiClient]:
    fake = asterisk.fake
    client = AmiClient(fake.host, fake.port, "bazang", fake.secret, on_event=lambda event: None, times=TIMES)
    await client.start()
    await client.wait_connected(PATIENCE)
    yield client
    async with asyncio.timeout(PATIENCE):
        await client.stop()


@pytest.fixture
def dialplan(office: Settings, database: Database, ami: AmiClient) -> DialplanFile:
    save_module(database, make_module_input(code="*5001"), NOW)
    return DialplanFile(office, database, ami)


def expected(office: Settings, database: Database) -> tuple[str, str]:
    """Return text and revision of the dialplan for the tables."""
    rendered = render(office, database, office.agi_port)
    return rendered.text, rendered.revision


async def test_file_is_written_and_loaded_once(
    dialplan: DialplanFile, asterisk: FakeAsterisk, office: Settings, database: Database
) -> None:
    text, revision = expected(office, database)
    await dialplan.update()
    assert office.dialplan_path.read_text() == text
    assert stat.S_IMODE(office.dialplan_path.stat().st_mode) == 0o644
    assert (dialplan.written, dialplan.running, dialplan.detail, dialplan.usable) == (
        revision,
        revision,
        "",
        True,
    )
    assert asterisk.fake.named("Reload")[0].get("Module") == "pbx_config.so"
    await dialplan.update()
    assert asterisk.reloads == 1, "this revision runs already"


async def test_a_new_module_is_written_when_its_sounds_are_made(
    office: Settings,
    database: Database,
    ami: AmiClient,
    asterisk: FakeAsterisk,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    made = {save_module(database, make_module_input(code="*5001"), NOW)}
    dialplan = DialplanFile(office, database, ami, has_sounds=made.issuperset)
    await dialplan.update()
    before = dialplan.written
    added = save_module(database, make_module_input(code="*5002"), NOW)
    await dialplan.update(force=True)
    await dialplan.update()
    assert caplog.text.count("when the sounds of the new modules are made") == 1, "each poll would say it again"
    assert "*5002" not in office.dialplan_path.read_text()
    waits = DialplanProblem.SOUNDS_MISSING
    assert (dialplan.written, dialplan.running, dialplan.detail, asterisk.reloads) == (before, before, waits, 1)
    made.add(added)
    await dialplan.update()
    assert "*5002" in office.dialplan_path.read_text() and dialplan.detail == ""
    assert dialplan.running == dialplan.written != before and asterisk.reloads == 2


async def test_the_first_file_waits_for_no_sounds(office: Settings, database: Database, ami: AmiClient) -> None:
    """It may be older than the address of our service, which callers need."""
    save_module(database, make_module_input(code="*5001"), NOW)
    dialplan = DialplanFile(office, database, ami, has_sounds=lambda _: False)
    await dialplan.update()
    assert "*5001" in office.dialplan_path.read_text()
    assert dialplan.detail == DialplanProblem.SOUNDS_MISSING, "callers who come now have to wait"


async def test_change_of_the_tables_is_written_and_loaded(
    dialplan: DialplanFile, asterisk: FakeAsterisk, database: Database
) -> None:
    await dialplan.update()
    before = dialplan.running
    save_module(database, make_module_input(code="*5002"), NOW)
    await dialplan.update()
    assert dialplan.running == dialplan.written == asterisk.revision != before
    assert asterisk.reloads == 2


async def test_file_has_the_agi_port(dialplan: DialplanFile, office: Settings) -> None:
    dialplan.agi_port = 4999
    await dialplan.update()
    assert "AGI(agi://${host}:4999/" in office.dialplan_path.read_text()


async def test_changed_file_is_restored_and_loaded(
    dialplan: DialplanFile, asterisk: FakeAsterisk, office: Settings, database: Database
) -> None:
    await dialplan.update()
    office.dialplan_path.write_text("; changed by hand\n")
    office.dialplan_path.chmod(0o600)
    await dialplan.update()
    assert office.dialplan_path.read_text() == expected(office, database)[0]
    assert stat.S_IMODE(office.dialplan_path.stat().st_mode) == 0o644
    assert asterisk.reloads == 2
    assert (dialplan.running, dialplan.detail) == (dialplan.written, "")


async def test_lost_dialplan_is_loaded_again(dialplan: DialplanFile, asterisk: FakeAsterisk) -> None:
    await dialplan.update()
    asterisk.revision = ""  # a reload while the file was away, or a restart of Asterisk
    await dialplan.update()
    assert dialplan.running == dialplan.written == asterisk.revision
    assert asterisk.reloads == 2


async def test_file_that_is_not_included_is_loaded_once(dialplan: DialplanFile, asterisk: FakeAsterisk) -> None:
    asterisk.included = False
    for _ in range(3):
        await dialplan.update()
        assert (dialplan.running, dialplan.usable, dialplan.detail) == (
            "",
            False,
            DialplanProblem.NOT_INCLUDED,
        )
    assert asterisk.reloads == 1
    await dialplan.update(force=True)  # an administrator asks for it
    assert asterisk.reloads == 2
    asterisk.included = True
    asterisk.read()  # someone has added the #tryinclude and typed `dialplan reload`
    await dialplan.update()
    assert (dialplan.running, dialplan.usable, dialplan.detail) == (dialplan.written, True, "")


async def test_refused_reload_must_be_done_by_hand(
    dialplan: DialplanFile, asterisk: FakeAsterisk, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await dialplan.update()
    before = dialplan.running
    asterisk.fake.answers["Reload"] = refuse("Permission denied")
    save_module(database, make_module_input(code="*5002"), NOW)
    for _ in range(2):
        await dialplan.update()
        assert (dialplan.running, dialplan.detail) == ("", DialplanProblem.RELOAD_BY_HAND)
        assert dialplan.usable, "calls use the older revision"
    assert dialplan.written != before
    assert "does not let us reload" in caplog.text
    assert asterisk.reloads == 2
    asterisk.read()  # typed by hand
    await dialplan.update()
    assert (dialplan.running, dialplan.detail) == (dialplan.written, "")


async def test_file_is_written_without_connection(office: Settings, database: Database, asterisk: FakeAsterisk) -> None:
    client = AmiClient("127.0.0.1", asterisk.fake.port, "bazang", "secret", on_event=lambda event: None)
    dialplan = DialplanFile(office, database, client)
    await dialplan.update()
    assert office.dialplan_path.read_text() == expected(office, database)[0]
    assert (dialplan.written, dialplan.running, dialplan.usable) == (
        expected(office, database)[1],
        "",
        False,
    )


async def test_connection_lost_during_the_reload(
    dialplan: DialplanFile, asterisk: FakeAsterisk, ami: AmiClient
) -> None:
    asterisk.fake.answers["Reload"] = drop
    with pytest.raises(AmiDisconnected):
        await dialplan.update()
    asterisk.read()  # Asterisk received the reload
    del asterisk.fake.answers["Reload"]
    await asterisk.fake.connections.count(2)
    await ami.wait_connected(PATIENCE)
    await dialplan.update()
    assert dialplan.running == dialplan.written == asterisk.revision


async def test_number_check_of_former_settings_is_noticed_until_the_reload(
    dialplan: DialplanFile, asterisk: FakeAsterisk, database: Database
) -> None:
    """Asterisk would refuse our numbers. It may not let us reload the dialplan."""
    await dialplan.update()
    asterisk.fake.answers["Reload"] = refuse("Permission denied")
    save_module(database, make_module_input(code="*5002"), NOW)
    await dialplan.update()
    assert (dialplan.running, dialplan.number_check_is_old) == ("", False), "only a module has changed"
    with database.write() as session:
        write_setting(session, "outbound_prefix", "9")
    await dialplan.update()
    assert (dialplan.running, dialplan.number_check_is_old) == ("", True)
    asterisk.read()  # typed by hand
    await dialplan.update()
    assert (dialplan.running, dialplan.number_check_is_old) == (dialplan.written, False)


async def test_older_version_that_does_not_check_numbers_is_used(
    dialplan: DialplanFile, asterisk: FakeAsterisk
) -> None:
    asterisk.fake.answers["Reload"] = refuse("Permission denied")
    asterisk.revision = "0123456789ab"
    await dialplan.update()
    assert (dialplan.usable, dialplan.running, dialplan.number_check_is_old) == (True, "", False)


def block_folder(office: Settings) -> None:
    """Replace the folder by a file, so that not even root can write there."""
    office.dialplan_path.unlink(missing_ok=True)
    office.dialplan_path.parent.rmdir()
    office.dialplan_path.parent.touch()


async def test_folder_without_write_access(
    dialplan: DialplanFile,
    asterisk: FakeAsterisk,
    office: Settings,
    database: Database,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await dialplan.update()
    running = dialplan.running
    block_folder(office)
    save_module(database, make_module_input(code="*5002"), NOW)
    await dialplan.update()
    assert str(office.dialplan_path.parent) in dialplan.detail
    assert (dialplan.written, dialplan.usable) == (running, True)
    assert "cannot write the dialplan" in caplog.text
    office.dialplan_path.parent.unlink()
    await dialplan.update()
    assert (dialplan.running, dialplan.detail) == (asterisk.revision, "")
    assert dialplan.running != running


async def test_start_without_write_access(
    dialplan: DialplanFile, asterisk: FakeAsterisk, office: Settings, database: Database, ami: AmiClient
) -> None:
    await dialplan.update()
    block_folder(office)
    fresh = DialplanFile(office, database, ami)
    await fresh.update()
    assert fresh.usable
    assert fresh.detail
    asterisk.revision = ""
    await fresh.update()
    assert not fresh.usable


async def test_unsafe_dialplan_is_not_written(
    office: Settings, database: Database, ami: AmiClient, asterisk: FakeAsterisk
) -> None:
    dialplan = DialplanFile(office.model_copy(update={"agi_host": "h;System(x)"}), database, ami)
    await dialplan.update()
    assert "not allowed in the dialplan" in dialplan.detail
    assert not office.dialplan_path.exists()
    assert asterisk.reloads == 0
