"""The proxy of script/chaos between the worker and AMI."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from script.chaos_run.ami_proxy import AmiProxy, Cut
from script.office.ports import free_port

ORDER = b"Action: Originate\r\nActionID: 7/1\r\n\r\n"
PING = b"Action: Ping\r\nActionID: 6\r\n\r\n"
REPLY = b"Response: Success\r\nActionID: 7/1\r\n\r\n"
SECONDS = 30  # to wait for what must come


@dataclass
class Exchange:
    """An AMI that keeps what it gets, and replies to each order to dial."""

    proxy: AmiProxy
    port: int
    logins: list[bool]
    got: bytearray = field(default_factory=bytearray)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        writer.write(b"Asterisk Call Manager/9\r\nMessage: Authentication accepted\r\n\r\n")
        while data := await reader.read(1000):
            self.got += data
            self.news.set()
            if ORDER in self.got:
                writer.write(REPLY)

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(writer)
        return reader, writer

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await self.open()
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SECONDS)
        return reader, writer

    async def wait_for(self, message: bytes) -> None:
        async with asyncio.timeout(SECONDS):
            while message not in self.got:
                await self.news.wait()
                self.news.clear()


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    port, ami_port, logins = free_port(), free_port(), list[bool]()
    proxy = AmiProxy(port, ami_port, lambda: logins.append(True))
    exchange = Exchange(proxy, port, logins)
    server = await asyncio.start_server(exchange.serve, "127.0.0.1", ami_port)
    await proxy.start()
    yield exchange
    await proxy.stop()
    server.close()
    for writer in exchange.writers:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def read_rest(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(SECONDS):
        return await reader.read()


async def test_forwards_both_ways_and_notes_the_log_in(exchange: Exchange) -> None:
    reader, writer = await exchange.connect()
    writer.write(PING + ORDER)
    assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SECONDS) == REPLY
    assert bytes(exchange.got) == PING + ORDER
    assert exchange.logins == [True]


@pytest.mark.parametrize(
    "cut, order_arrives, rest",
    [(Cut.BEFORE_ORDER, False, b""), (Cut.AFTER_ORDER, True, b""), (Cut.BEHIND_REPLY, True, REPLY)],
)
async def test_cuts_at_the_order(exchange: Exchange, cut: Cut, order_arrives: bool, rest: bytes) -> None:
    reader, writer = await exchange.connect()
    exchange.proxy.arm(cut)
    writer.write(PING)
    await exchange.wait_for(PING)
    assert not exchange.proxy.struck.is_set()
    writer.write(ORDER)
    assert await read_rest(reader) == rest
    assert exchange.proxy.struck.is_set() and exchange.proxy.armed is None
    if order_arrives:
        await exchange.wait_for(ORDER)
    else:
        assert bytes(exchange.got) == PING
    await exchange.connect()  # only that one connection is cut


async def test_mute_holds_everything_back(exchange: Exchange) -> None:
    reader, writer = await exchange.connect()
    exchange.proxy.mute()
    writer.write(ORDER)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await exchange.wait_for(ORDER)
    exchange.proxy.unmute()
    assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SECONDS) == REPLY


async def test_refuses_connections_while_it_is_down(exchange: Exchange) -> None:
    reader, _ = await exchange.connect()
    exchange.proxy.go_down()
    assert await read_rest(reader) == b""
    reader, _ = await exchange.open()
    assert await read_rest(reader) == b""
    exchange.proxy.come_back()
    await exchange.connect()
