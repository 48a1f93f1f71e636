"""The connection test against servers that are not Asterisk, and against a fake AMI server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.domain.pbx_connection import Asked, ConnectionResult, DialplanState
from app.telephony import connection_check
from app.telephony.connection_check import ConnectionFailed, check_connection, connect
from script.office.patience import PATIENCE
from tests.support.fake_ami import Action, Answer, Connection, FakeAmi, fake_ami, listing

SECONDS = PATIENCE  # nothing here waits for so long


@asynccontextmanager
async def server_sending(data: bytes) -> AsyncIterator[int]:
    """Run a server that sends `data` and closes the connection. Yield its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.parametrize(
    "data",
    [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"\xff\xfe\x00" * 100_000, b"Asterisk"],
    ids=["ssh", "http", "nothing", "no line end", "almost"],
)
async def test_other_server_is_recognized_by_its_greeting(data: bytes) -> None:
    async with server_sending(data) as port:
        report = await check_connection("127.0.0.1", port, "bazang", "secret", seconds=SECONDS)
    assert report.result is ConnectionResult.NOT_ASTERISK
    assert len(report.detail) < 200


@pytest.mark.parametrize("host", ["", "a b", "pbx\r\n", "${host}", "x" * 300, "no-such-machine.invalid"])
async def test_unknown_host(host: str) -> None:
    report = await check_connection(host, 5038, "bazang", "secret", seconds=1.0)
    assert report.result is ConnectionResult.HOST_UNKNOWN


@pytest.mark.parametrize("port", [-1, 65536])
async def test_impossible_port_is_reported(port: int) -> None:
    report = await check_connection("127.0.0.1", port, "bazang", "secret", seconds=SECONDS)
    assert not report.connected


async def test_feature_codes_and_parking_are_no_extensions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_check, "EVENT_SECONDS", 0.05)  # no event comes
    hints = {
        ("101", "ext-local"): "SIP/101&Custom:DND101",
        ("102", "ext-local"): "SIP/102&Custom:DND102",
        ("102", "hints"): "SIP/102",
        ("*76101", "feature-codes"): "Custom:DND101",
        ("28", "feature-codes"): "Custom:DAYNIGHT8",
        ("71", "parkedcalls"): "park:71@parkedcalls",
    }
    rows = [
        [("Event", "ExtensionStatus"), ("Exten", number), ("Context", context), ("Hint", hint), ("Status", "0")]
        for (number, context), hint in hints.items()
    ]
    async with fake_ami() as fake:
        fake.answers["ExtensionStateList"] = listing(rows, complete="ExtensionStateListComplete")
        fake.answers["QueueStatus"] = listing([], complete="QueueStatusComplete")
        report = await check_connection(fake.host, fake.port, "bazang", "secret", seconds=SECONDS)
    assert report.extensions == 2


async def test_secret_with_line_breaks_is_not_sent() -> None:
    async with fake_ami() as fake:
        report = await check_connection(fake.host, fake.port, "bazang", "x\r\nAction: Reboot", seconds=0.2)
        assert report.result is ConnectionResult.NO_ANSWER
        assert "Reboot" not in report.detail
        assert fake.actions == []


async def test_missing_replies_after_the_login_end_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_check, "EXAMINE_SECONDS", 0.3)
    async with fake_ami() as fake:
        report = await check_connection(fake.host, fake.port, "bazang", "secret", seconds=SECONDS)
    assert report.result is ConnectionResult.NO_ANSWER
    assert "connected" in report.detail


async def test_refused_login_is_tried_once() -> None:
    async with fake_ami(secret="right") as fake:
        with pytest.raises(ConnectionFailed) as failed:
            async with connect(fake.host, fake.port, "bazang", "wrong", seconds=SECONDS):
                raise AssertionError("the login must not succeed")
        assert failed.value.report.result is ConnectionResult.REFUSED
        assert len(fake.named("Login")) == 1


async def test_all_rights_are_missing_for_a_user_without_rights() -> None:
    async def empty(connection: Connection, action: Action) -> None:
        await connection.respond(action, "Success")

    async def refuse(connection: Connection, action: Action) -> None:
        await connection.respond(action, "Error", ("Message", "Permission denied"))

    async with fake_ami() as fake:
        answer_all(fake, refuse)
        fake.answers["ListCommands"] = empty
        report = await check_connection(fake.host, fake.port, "bazang", "secret", seconds=SECONDS)
    assert report.result is ConnectionResult.RIGHTS_MISSING
    assert report.write_missing == ("reporting", "call", "originate")
    assert (report.extensions, report.queues, report.dialplan) == (None, None, DialplanState.UNKNOWN)
    assert report.unchecked == ("call", "user", "agent")


def answer_all(fake: FakeAmi, answer: Answer) -> None:
    for action in connection_check.ACTIONS:
        fake.answers[action] = answer


async def test_an_old_asterisk_is_named_with_what_it_lacks() -> None:
    async def without_lists(connection: Connection, action: Action) -> None:
        lacking = {"ExtensionStateList", "DeviceStateList"}
        headers = [(name, "x") for name in connection_check.ACTIONS if name not in lacking]
        await connection.respond(action, "Success", *headers)

    async with fake_ami() as fake:
        fake.version = "11.25.3"
        fake.answers["ListCommands"] = without_lists
        report = await check_connection(fake.host, fake.port, "bazang", "secret", seconds=SECONDS)
    assert (report.result, report.version, report.connected) == (ConnectionResult.TOO_OLD, "11.25.3", False)
    assert "ExtensionStateList, DeviceStateList" in report.detail


async def test_all_contexts_of_a_plain_asterisk_are_listed_if_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that dial customers come first. Ours are left out, and so are names that could not be used."""
    monkeypatch.setattr(connection_check, "EVENT_SECONDS", 0.05)  # no event comes
    rows = [
        [("Event", "ListDialplan"), ("Context", context), ("Extension", "_X.")]
        for context in ("trunks", "abroad", "abroad", "bazang-out", "a b")
    ]

    async def getvar(connection: Connection, action: Action) -> None:
        await connection.respond(action, "Success", ("Value", str(int("(trunks" in action.get("Variable")))))

    async with fake_ami() as fake:
        fake.answers["Getvar"] = getvar
        fake.answers["ShowDialPlan"] = listing(rows, complete="ShowDialPlanComplete")
        for action in ("QueueStatus", "ExtensionStateList"):
            fake.answers[action] = listing([], complete=f"{action}Complete")
        for everything, found in ((True, ("trunks", "abroad")), (False, ())):
            asked = Asked((), ("outbound",), "", everything)
            report = await check_connection(fake.host, fake.port, "bazang", "secret", seconds=SECONDS, asked=asked)
            assert report.all_contexts == found
