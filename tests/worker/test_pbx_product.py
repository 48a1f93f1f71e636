"""The worker finds out which product manages the PBX, and its FastAGI server stands beside that of FreePBX."""

import asyncio
import socket
from contextlib import closing
from typing import Any

import pytest

from app.config import Settings
from app.domain.pbx_product import Product
from app.services.pbx.product import load_product
from app.store.database import Database
from app.store.settings import read_all
from app.telephony.ami import AmiDisconnected
from app.worker import main
from app.worker.main import Worker
from app.worker.pbx_product import ProductFinder
from app.worker.write_queue import WriteQueue
from script.office.database import make_settings
from script.office.patience import PATIENCE
from script.office.ports import free_port


class FakePbx:
    """A fake AMI client of a plain Asterisk, or of IssabelPBX."""

    def __init__(self) -> None:
        self.questions, self.connected, self.issabel = 0, True, False

    async def send(self, action: str, headers: Any = ()) -> Any:
        self.questions += 1
        if not self.connected:
            raise AmiDisconnected("gone")
        return {"Value": "1" if self.issabel and "DIALPLAN_EXISTS" in headers["Variable"] else ""}

    async def collect(self, action: str, headers: Any = ()) -> list[Any]:
        return []


@pytest.fixture
def pbx() -> FakePbx:
    return FakePbx()


async def refresh(finder: ProductFinder, writes: WriteQueue, database: Database) -> Product | None:
    """Ask the PBX, and return the stored product."""
    await finder.refresh()
    await writes.drain(PATIENCE)
    with database.read() as session:
        return load_product(read_all(session))


async def test_product_is_asked_for_at_each_connection_and_stays_while_there_is_none(
    database: Database, pbx: FakePbx
) -> None:
    writes = WriteQueue()
    writing = asyncio.create_task(writes.run())
    finder = ProductFinder(pbx, database, writes)  # type: ignore[arg-type]
    assert await refresh(finder, writes, database) is Product.ASTERISK
    pbx.issabel, asked = True, pbx.questions
    assert await refresh(finder, writes, database) is Product.ASTERISK
    assert pbx.questions == asked, "it is asked seldom"
    finder.mark_outdated()
    assert await refresh(finder, writes, database) is Product.ISSABEL
    finder.mark_outdated()
    pbx.connected = False
    assert await refresh(finder, writes, database) is Product.ISSABEL
    finder.forget()
    assert await refresh(finder, writes, database) is None, "nothing is known of another PBX"
    pbx.connected = True
    assert await refresh(finder, writes, database) is Product.ISSABEL
    writing.cancel()


@pytest.mark.parametrize("given", [False, True])
async def test_server_listens_beside_another_one_unless_the_port_was_given(
    office: Settings, database: Database, monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    ports = {"asterisk": free_port(), "freepbx": free_port()}
    monkeypatch.setattr(main, "AGI_PORTS", ports)
    settings = make_settings(office.data_dir, **({"agi_port": ports["asterisk"]} if given else {}))
    worker = Worker(settings, database)
    worker.agi.port = ports["asterisk"]
    with closing(socket.create_server(("127.0.0.1", ports["asterisk"]))):
        if given:
            with pytest.raises(OSError):
                await worker._listen()
            return
        await worker._listen()
    assert worker.agi.port == ports["freepbx"]
    await worker.agi.stop()
