"""Who answers where an exchange should be: told apart as far as one can see from outside."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.domain.pbx_connection import ConnectionResult, DialplanState
from app.telephony import connection_test
from app.telephony.connection_test import Unreachable, check_connection, reach
from tests.support.fake_ami import FakeAmi, fake_ami

SECONDS = 1.0


@asynccontextmanager
async def speaker(says: bytes, *, closes: bool = True) -> AsyncIterator[int]:
    """Somebody who is no exchange; gives the port."""
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(says)
        if not closes:
            await over.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        over.set()
        server.close()


@pytest.mark.parametrize(
    ("says", "closes"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", True),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", True),
        (b"", True),
        (b"\xff\xfe\x00" * 100_000, True),
        (b"Asterisk", True),
    ],
)
async def test_who_is_no_exchange_is_told_no_name_and_no_secret(says: bytes, closes: bool) -> None:
    async with speaker(says, closes=closes) as port:
        report = await check_connection("127.0.0.1", port, "bazang", "secret", seconds=SECONDS)
    assert report.verdict is ConnectionResult.NOT_ASTERISK
    assert len(report.detail) < 200


@pytest.mark.parametrize("host", ["", "a b", "exchange\r\n", "${host}", "x" * 300, "no-such-machine.invalid"])
async def test_machine_that_nobody_knows(host: str) -> None:
    assert (
        await check_connection(host, 5038, "bazang", "secret", seconds=SECONDS)
    ).verdict is ConnectionResult.HOST_UNKNOWN


@pytest.mark.parametrize("port", [-1, 65536])
async def test_port_that_is_none_is_no_fault_of_ours(port: int) -> None:
    report = await check_connection("127.0.0.1", port, "bazang", "secret", seconds=SECONDS)
    assert not report.connected


async def test_secret_of_lines_is_not_sent() -> None:
    async with fake_ami() as fake:
        report = await check_connection(fake.host, fake.port, "bazang", "x\r\nAction: Reboot", seconds=SECONDS)
        assert report.verdict is ConnectionResult.NO_ANSWER
        assert "Reboot" not in report.detail
        assert fake.actions == []


async def test_exchange_that_falls_silent_after_the_login_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_test, "EXAMINED_WITHIN", 0.3)
    async with fake_ami() as fake:
        report = await check_connection(fake.host, fake.port, "bazang", "secret", seconds=SECONDS)
    assert report.verdict is ConnectionResult.NO_ANSWER
    assert "connected" in report.detail


async def test_refused_user_is_told_and_not_tried_for_ever() -> None:
    async with fake_ami(secret="right") as fake:
        with pytest.raises(Unreachable) as unreachable:
            async with reach(fake.host, fake.port, "bazang", "wrong", seconds=SECONDS):
                raise AssertionError("nobody is let in")
        assert unreachable.value.report.verdict is ConnectionResult.REFUSED
        assert len(fake.named("Login")) == 1


async def test_exchange_that_allows_nothing_lacks_every_right(monkeypatch: pytest.MonkeyPatch) -> None:
    async def empty(connection: object, action: object) -> None:
        await connection.respond(action, "Success")  # type: ignore[attr-defined]

    async def refuse(connection: object, action: object) -> None:
        await connection.respond(action, "Error", ("Message", "Permission denied"))  # type: ignore[attr-defined]

    async with fake_ami() as fake:
        answer_all(fake, refuse)
        fake.answers["ListCommands"] = empty
        report = await check_connection(fake.host, fake.port, "bazang", "secret", seconds=SECONDS)
    assert report.verdict is ConnectionResult.RIGHTS_MISSING
    assert report.write_missing == ("reporting", "call", "originate")
    assert (report.extensions, report.queues, report.dialplan) == (None, None, DialplanState.UNKNOWN)
    assert report.unchecked == ("call", "user", "agent")


def answer_all(fake: FakeAmi, answer: object) -> None:
    for action in connection_test.ACTIONS:
        fake.answers[action] = answer  # type: ignore[assignment]
