"""The FastAGI server: malformed input, time limits, hang-ups, and independent sessions."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from app.telephony import agi, agi_connection
from app.telephony.agi import AgiBroken, AgiServer, AgiSession, HungUp, Sound
from app.telephony.agi_access import AgiAccess, LimitedLog, Upgrade
from app.telephony.variables import GRACE
from script.office.freepbx import OtherFastAgi
from script.office.patience import PATIENCE
from tests.support.fake_agi import DEAD, SECRET, FakeCall, HangUp, Press, make_access

Dialogue = Callable[[AgiSession], Awaitable[Any]]


@asynccontextmanager
async def serving(
    handler: Dialogue,
    *,
    header_seconds: float = 5.0,
    access: AgiAccess | None = None,
    on_refused: Callable[[str], None] = lambda address: None,
    serves: Callable[[], bool] = lambda: True,
) -> AsyncIterator[AgiServer]:
    server = AgiServer(
        "127.0.0.1",
        0,
        handler,
        access or make_access(),
        header_seconds=header_seconds,
        on_refused=on_refused,
        serves=serves,
    )
    await server.start()
    try:
        yield server
    finally:
        async with asyncio.timeout(PATIENCE):
            await server.stop()


async def run(call: FakeCall, dialogue: Dialogue, timeout: float = PATIENCE) -> Any:
    """Run a dialogue with the call. Return its result or raise its error."""
    outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def handler(session: AgiSession) -> None:
        try:
            outcome.set_result(await dialogue(session))
        except Exception as error:
            outcome.set_exception(error)
            raise

    async with serving(handler) as server:
        await call.run(server.port, timeout)
        async with asyncio.timeout(timeout):
            return await outcome


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """Wait until the other side closes. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE):
        try:
            return await reader.read() == b""
        except ConnectionResetError:
            return True


@dataclass(frozen=True)
class Answering:
    """A server whose handler answers each call and records its Uniqueid."""

    server: AgiServer
    served: list[str]

    async def send(self, data: bytes) -> None:
        """Send data and wait until the server closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        writer.write(data)
        assert await is_closed(reader)
        writer.close()

    async def check(self) -> None:
        """Check that a valid call is served, and that no other was."""
        call = FakeCall(headers={"agi_uniqueid": "valid"})
        await call.run(self.server.port)
        assert call.log == ["answer"]
        assert self.served == ["valid"]


@asynccontextmanager
async def answering(header_seconds: float) -> AsyncIterator[Answering]:
    served: list[str] = []

    async def handler(session: AgiSession) -> None:
        served.append(session.env.get("agi_uniqueid", "unknown"))
        await session.answer()

    async with serving(handler, header_seconds=header_seconds) as server:
        yield Answering(server, served)


@pytest.fixture
async def impatient() -> AsyncIterator[Answering]:
    """A server that waits for headers for a short time only."""
    async with answering(header_seconds=0.1) as server:
        yield server


# -- connections and headers ----------------------------------------------------------------------------------


async def test_server_takes_a_free_port(impatient: Answering) -> None:
    assert impatient.server.port > 0


async def test_headers_are_passed_to_the_handler() -> None:
    async def dialogue(session: AgiSession) -> tuple[str, str, str]:
        return session.path, session.env["agi_calleridname"], session.env["agi_callerid"]

    call = FakeCall(headers={"agi_calleridname": "سارا: مُحمدی ", "agi_callerid": ""})
    assert await run(call, dialogue) == ("module/7", "سارا: مُحمدی ", "")


async def test_port_scans_are_harmless(impatient: Answering) -> None:
    for _ in range(50):
        _, writer = await asyncio.open_connection("127.0.0.1", impatient.server.port)
        writer.close()
    for _ in range(50):  # with a reset
        _, writer = await asyncio.open_connection("127.0.0.1", impatient.server.port)
        writer.transport.abort()
    await impatient.check()


@pytest.mark.parametrize("data", [b"", b"agi_network: yes\n", b"agi_network: y", b"\xff\xfe"])
async def test_incomplete_headers_time_out(impatient: Answering, data: bytes) -> None:
    await impatient.send(data)
    await impatient.check()


async def test_slow_headers_time_out(impatient: Answering) -> None:
    """A further header does not extend the time limit."""
    reader, writer = await asyncio.open_connection("127.0.0.1", impatient.server.port)
    closed = asyncio.create_task(is_closed(reader))
    lines = 0
    while not closed.done():
        assert lines < agi_connection.HEADER_LINES - 10, "the time limit must end it, not the limit of lines"
        writer.write(b"agi_slow: yes\n")
        lines += 1
        await asyncio.sleep(0.01)
    assert await closed
    writer.close()
    await impatient.check()


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(b"agi_network: " + b"x" * (agi_connection.LONGEST_LINE + 1000) + b"\n\n", id="a long line"),
        pytest.param(b"x" * 1_000_000, id="no line at all"),
        pytest.param(b"agi_network: yes\n" + b"a: b\n" * agi_connection.HEADER_LINES + b"\n", id="many lines"),
        pytest.param(b"agi_network: yes\n" + (b"a: " + b"b" * 4000 + b"\n") * 9 + b"\n", id="many bytes"),
    ],
)
async def test_too_many_headers_are_refused_at_once(flood: bytes) -> None:
    async with answering(header_seconds=60) as server:
        await server.send(flood)
        await server.check()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\n",
        b"\n\n\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n",
        b"agi_request: agi://127.0.0.1/module/7\n\n",  # no agi_network
        b"OPTIONS sip:101@127.0.0.1 SIP/2.0\r\n\r\n",
        bytes(range(256)) + b"\n\n",
    ],
)
async def test_other_protocols_get_no_session(impatient: Answering, garbage: bytes) -> None:
    await impatient.send(garbage)
    await impatient.check()


async def test_headers_byte_by_byte() -> None:
    names: list[str] = []

    async def handler(session: AgiSession) -> None:
        names.append(session.env["agi_calleridname"])

    async with serving(handler) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for byte in FakeCall().header_bytes():
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert await is_closed(reader)
        writer.close()
    assert names == ["سارا"]


# -- concurrent sessions --------------------------------------------------------------------------------------


async def test_two_hundred_concurrent_calls_are_served() -> None:
    together = asyncio.Barrier(200)  # each call waits for all others
    most = 0

    async def handler(session: AgiSession) -> None:
        nonlocal most
        most = max(most, server.sessions)
        await together.wait()
        number = await session.get_variable("NUMBER")
        await session.play([Sound("bazang/intro", 1)])
        await session.set_variable("ECHO", number)

    async with serving(handler) as server:
        calls = [FakeCall(variables={"NUMBER": str(number)}) for number in range(200)]
        await asyncio.gather(*(call.run(server.port) for call in calls))
        assert [call.variables["ECHO"] for call in calls] == [str(number) for number in range(200)]
        assert most == 200


async def test_call_beyond_the_limit_is_refused(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(agi, "MOST_SESSIONS", 2)
    started, may_end = asyncio.Semaphore(0), asyncio.Event()

    async def handler(session: AgiSession) -> None:
        started.release()
        await may_end.wait()
        await session.answer()

    async with serving(handler) as server:
        calls = [FakeCall(), FakeCall()]
        running = [asyncio.create_task(call.run(server.port)) for call in calls]
        for _ in calls:
            await asyncio.wait_for(started.acquire(), PATIENCE)
        third = FakeCall()
        await third.run(server.port)  # it ends while the others are still running
        assert third.commands == []
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        may_end.set()
        await asyncio.gather(*running)
        assert [call.log for call in calls] == [["answer"], ["answer"]]


# -- strangers ------------------------------------------------------------------------------------------------


async def answer(session: AgiSession) -> None:
    await session.answer()


async def is_answered(server: AgiServer, call: FakeCall) -> bool:
    await call.run(server.port)
    return call.log == ["answer"]


@pytest.mark.parametrize("secret", ["", "/", "5ec2e8/", "5ec2e/", "5EC2E7/", "سرّ/", f"{SECRET}", f"x/{SECRET}/"])
async def test_call_without_our_secret_is_refused(secret: str) -> None:
    async with serving(answer) as server:
        assert not await is_answered(server, FakeCall(secret=secret))
        assert await is_answered(server, FakeCall())


async def test_worker_that_does_not_lead_closes_each_connection_at_once() -> None:
    leads = True
    async with serving(answer, serves=lambda: leads) as server:
        assert await is_answered(server, FakeCall())
        leads = False
        assert not await is_answered(server, FakeCall())
        leads = True
        assert await is_answered(server, FakeCall())


async def test_path_has_no_secret() -> None:
    async def dialogue(session: AgiSession) -> str:
        return session.path

    assert await run(FakeCall(), dialogue) == "module/7"


async def test_old_dialplan_is_accepted_until_the_new_one_runs() -> None:
    access = AgiAccess(SECRET, upgrade=Upgrade.OLD_DIALPLAN)
    async with serving(answer, access=access) as server:
        assert await is_answered(server, FakeCall(secret=""))
        access.dialplan_runs()
        assert not await is_answered(server, FakeCall(secret=""))
        assert await is_answered(server, FakeCall())


async def test_address_that_is_not_the_pbx_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    access, refused = make_access(), list[str]()
    async with serving(answer, access=access, on_refused=refused.append) as server:
        monkeypatch.setattr(access, "is_known", lambda peer, own: False)
        assert not await is_answered(server, FakeCall())
        assert refused == ["127.0.0.1"]
        access.upgrade = Upgrade.ANY_ADDRESS
        assert await is_answered(server, FakeCall())
        assert not await is_answered(server, FakeCall(secret=""))


async def test_half_open_connections_give_way_to_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have the address of the PBX, and there are more of them than there may be."""
    monkeypatch.setattr(agi, "MOST_HALF_OPEN_OF_PEER", 20)
    async with serving(answer, header_seconds=60) as server:
        hostile = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(50)]
        for _, writer in hostile[::2]:
            writer.write(b"agi_network: yes\n")
        for _ in range(6):
            assert await is_answered(server, FakeCall())
        assert server.half_open <= 20
        assert await is_closed(hostile[0][0]), "the oldest is closed"
        for _, writer in hostile:
            writer.transport.abort()


async def test_peer_with_too_many_calls_leaves_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agi, "MOST_SESSIONS_OF_PEER", 1)
    started, may_end = asyncio.Event(), asyncio.Event()

    async def handler(session: AgiSession) -> None:
        started.set()
        await may_end.wait()
        await session.answer()

    async with serving(handler) as server:
        first, second = FakeCall(), FakeCall()
        running = asyncio.create_task(first.run(server.port))
        await asyncio.wait_for(started.wait(), PATIENCE)
        await second.run(server.port)
        may_end.set()
        await running
        assert (first.log, second.log) == (["answer"], [])


async def test_flood_writes_few_log_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with answering(header_seconds=0.05) as server:
        for _ in range(10):
            wrong = [b"agi_network: yes\nagi_network_script: module/7\n\n", b"GET / HTTP/1.1\r\n"] * 5
            await asyncio.gather(*map(server.send, wrong))
        await server.check()
    assert len(caplog.records) == 2, "one of each kind"


def test_log_says_how_many_lines_were_left_out(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    limited = LimitedLog(lambda: now)
    for _ in range(5):
        limited.write(logging.WARNING, "refused %s", "a peer")
    limited.write(logging.WARNING, "too long")
    now = 61.0
    limited.write(logging.WARNING, "refused %s", "another")
    assert caplog.messages == ["refused a peer", "too long", "refused another (4 more before this)"]


async def test_failed_handler_does_not_affect_other_calls(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(session: AgiSession) -> None:
        if session.env["agi_uniqueid"] == "bad":
            raise RuntimeError("a bug")
        await session.answer()

    async with serving(handler) as server:
        bad, good = FakeCall(headers={"agi_uniqueid": "bad"}), FakeCall()
        await asyncio.gather(bad.run(server.port), good.run(server.port))
        assert (bad.log, good.log) == ([], ["answer"])
        assert "a bug" in caplog.text
        assert server.sessions == 0


# -- stopping -------------------------------------------------------------------------------------------------


async def test_stop_ends_the_sessions_and_waits_for_them() -> None:
    started, ended = asyncio.Semaphore(0), []

    async def handler(session: AgiSession) -> None:
        started.release()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # stop() must wait for this
            ended.append(session)

    async with serving(handler) as server:
        calls = [asyncio.create_task(FakeCall().run(server.port)) for _ in range(20)]
        for _ in calls:
            await asyncio.wait_for(started.acquire(), PATIENCE)
        await server.stop()
        assert len(ended) == 20
        assert server.sessions == 0
        await asyncio.gather(*calls)
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", server.port)


async def test_stop_ends_connections_without_complete_headers() -> None:
    async with serving(lambda session: session.answer(), header_seconds=60) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"agi_network: yes\n")
        while not server.half_open:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0)
        await server.stop()
        assert await is_closed(reader)
        writer.close()


async def test_stop_without_a_start_is_no_error() -> None:
    await AgiServer("127.0.0.1", 0, lambda session: session.answer(), make_access()).stop()


# -- hang-up --------------------------------------------------------------------------------------------------

COMMANDS: dict[str, Dialogue] = {
    "answer": lambda session: session.answer(),
    "play": lambda session: session.play([Sound("bazang/intro", 1)]),
    "digit": lambda session: session.get_digit(1),
}


@pytest.mark.parametrize("how", ["within", "silent"])
@pytest.mark.parametrize("command", COMMANDS)
async def test_hangup_during_a_command_is_noticed_by_it(command: str, how: Any) -> None:
    with pytest.raises(HungUp):
        await run(FakeCall(hang_up=HangUp(1, how)), COMMANDS[command])


@pytest.mark.parametrize("command", COMMANDS)
async def test_hangup_between_two_commands_is_noticed_by_the_second(command: str) -> None:
    async def dialogue(session: AgiSession) -> None:
        await session.get_variable("X")  # its reply is followed by the HANGUP line
        await COMMANDS[command](session)

    with pytest.raises(HungUp):
        await run(FakeCall(hang_up=HangUp(1, "between")), dialogue)


@pytest.mark.parametrize("command", COMMANDS)
async def test_reply_of_a_dead_channel_is_a_hangup(command: str) -> None:
    replies = {name: f"{DEAD}\n".encode() for name in ("ANSWER", "STREAM", "WAIT")}
    with pytest.raises(HungUp):
        await run(FakeCall(replies=replies), COMMANDS[command])


@pytest.mark.parametrize("command", COMMANDS)
async def test_reply_that_mentions_a_hangup_is_a_hangup(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    replies = dict.fromkeys(("ANSWER", "STREAM", "WAIT"), b"200 result=-1 (hangup)\n")
    monkeypatch.setattr(agi, "REPLY_SECONDS", 0.1)

    async def dialogue(session: AgiSession) -> None:
        async with asyncio.timeout(0.5):  # without waiting for a second reply
            await COMMANDS[command](session)

    with pytest.raises(HungUp):
        await run(FakeCall(replies=replies), dialogue)


@pytest.mark.parametrize("how", ["within", "between", "silent"])
async def test_variables_can_be_set_and_read_after_a_hangup(how: Any) -> None:
    async def dialogue(session: AgiSession) -> str:
        with pytest.raises(HungUp):
            for _ in range(3):
                await session.answer()
        await session.set_variable("BAZANG_RESULT", "error")
        return await session.get_variable("BAZANG_QUEUE")

    call = FakeCall(hang_up=HangUp(1, how), variables={"BAZANG_QUEUE": "sales"})
    assert await run(call, dialogue) == "sales"
    assert call.variables["BAZANG_RESULT"] == "error"


@pytest.mark.parametrize("how", ["within", "between", "silent"])
async def test_nothing_is_played_after_a_hangup(how: Any) -> None:
    async def dialogue(session: AgiSession) -> None:
        for _ in range(3):
            with pytest.raises(HungUp):
                await session.answer()
                await session.answer()

    call = FakeCall(hang_up=HangUp(1, how))
    await run(call, dialogue)
    assert len(call.log) <= 2


async def test_hangup_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(HungUp):
        await run(FakeCall(hang_up=HangUp(1)), COMMANDS["answer"])
    assert caplog.text == ""


# -- malformed and missing replies ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        b"\n",
        b"garbage\n",
        b"200\n",
        b"200 result=\n",
        b"200 result=abc\n",
        b"200 result=12345\n",
        b"200 OK\n",
        b"510 Invalid or unknown command\n",
        b"520-Invalid command syntax.  Proper usage follows:\nUsage: ...\n520 End of proper usage.\n",
        b"999 what\n",
        b"\xff\xfe\n",
        b"200 result=" + b"1" * (agi_connection.LONGEST_LINE + 1000) + b"\n",
        b"x" * 100_000,
    ],
    ids=lambda reply: repr(reply[:30]),
)
@pytest.mark.parametrize("command", ["play", "digit"])
async def test_malformed_reply_breaks_the_session(command: str, reply: bytes) -> None:
    with pytest.raises(AgiBroken):
        await run(FakeCall(replies={"STREAM": reply, "WAIT": reply}), COMMANDS[command])


async def test_closed_connection_breaks_the_session() -> None:
    with pytest.raises(AgiBroken):
        await run(FakeCall(hang_up=HangUp(1, "gone")), COMMANDS["answer"])


async def test_missing_reply_breaks_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agi, "REPLY_SECONDS", 0.05)

    async def hold(command: str) -> None:
        await asyncio.wait({broken})

    broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def dialogue(session: AgiSession) -> None:
        try:
            await session.answer()
        finally:
            broken.set_result(None)

    with pytest.raises(AgiBroken, match="ANSWER"):
        await run(FakeCall(on_command=hold), dialogue)


async def test_reply_may_take_as_long_as_its_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agi, "REPLY_SECONDS", 0.05)

    async def slow(command: str) -> None:
        if command.startswith("STREAM"):
            await asyncio.sleep(0.2)

    async def dialogue(session: AgiSession) -> str:
        return await session.play([Sound("bazang/intro", 30)], "1")

    assert await run(FakeCall(Press("intro", "1", early=True), on_command=slow), dialogue) == "1"


async def test_provisional_reply_is_followed_by_the_final_one() -> None:
    call = FakeCall(replies={"WAIT": b"100 result=0 Trying...\n200 result=49\n"})
    assert await run(call, COMMANDS["digit"]) == "1"


async def test_broken_session_is_logged_as_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(AgiBroken):
        await run(FakeCall(replies={"ANSWER": b"garbage\n"}), COMMANDS["answer"])
    assert [record.levelname for record in caplog.records] == ["WARNING"]


# -- commands -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        (b"200 result=0\n", ""),
        (b"200 result=1 ()\n", ""),
        (b"200 result=1 (101)\n", "101"),
        (b"200 result=1 (a b (c) d)\n", "a b (c) d"),
        (b"200 result=1 (result=-1)\n", "result=-1"),
        ("200 result=1 (سارا)\n".encode(), "سارا"),
        (b"200 result=1 (hangup)\n", "hangup"),  # a queue may have this name
    ],
)
async def test_variable_is_read(reply: bytes, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agi, "REPLY_SECONDS", 0.2)

    async def dialogue(session: AgiSession) -> str:
        return await session.get_variable("BAZANG_QUEUE")

    call = FakeCall(replies={"GET VARIABLE": reply})
    assert await run(call, dialogue) == value
    assert call.commands == ["GET VARIABLE BAZANG_QUEUE"]


@pytest.mark.parametrize(
    ("number", "name"),
    [("0912", "سارا"), ("", ""), ("", "hangup"), ("0912", "a,b (c) ${HASH(x)} -1"), ("0912", f"a{agi.SEPARATOR}b")],
)
async def test_several_variables_are_read_by_one_command(number: str, name: str) -> None:
    async def dialogue(session: AgiSession) -> list[str]:
        return await session.get_variables("BAZANG_FIRST", "CHANNEL", "CALLERID(num)", "CALLERID(name)")

    call = FakeCall(variables={"CHANNEL": "PJSIP/trunk-1", "CALLERID(num)": number, "CALLERID(name)": name})
    assert await run(call, dialogue) == ["", "PJSIP/trunk-1", number, name]
    assert len(call.commands) == 1


async def test_value_with_the_separator_does_not_reach_the_variables_before_it() -> None:
    async def dialogue(session: AgiSession) -> list[str]:
        return await session.get_variables("CHANNEL", "CALLERID(num)", "CALLERID(name)")

    forged = f"0912{agi.SEPARATOR}PJSIP/other"
    call = FakeCall(variables={"CHANNEL": "PJSIP/trunk-1", "CALLERID(num)": forged, "CALLERID(name)": "x"})
    assert (await run(call, dialogue))[:2] == ["PJSIP/trunk-1", "0912"]


@pytest.mark.parametrize("reply", [b"200 result=0\n", b"200 result=1 ()\n"])
async def test_variables_that_are_not_set_are_empty(reply: bytes) -> None:
    async def dialogue(session: AgiSession) -> list[str]:
        return await session.get_variables("BAZANG_FIRST", "BAZANG_HOPS")

    assert await run(FakeCall(replies={"GET FULL VARIABLE": reply}), dialogue) == ["", ""]


@pytest.mark.parametrize("value", ["next", "", "two words", 'with "quotes"', "back\\slash", '\\"', "سارا", "a,b;c$(d)"])
async def test_variable_is_set_to_exactly_the_value(value: str) -> None:
    async def dialogue(session: AgiSession) -> None:
        await session.set_variable("BAZANG_WHY", value)

    call = FakeCall()
    await run(call, dialogue)
    assert call.variables["BAZANG_WHY"] == value
    assert len(call.commands) == 1


async def test_several_variables_are_set_by_one_command() -> None:
    call, values = FakeCall(), {"BAZANG_WHY": "registered", "BAZANG_RESULT": "next", "BAZANG_PLACE": ""}
    await run(call, lambda session: session.set_variables(values, ahead=2.0))
    assert {name: call.variables[name] for name in values} == values
    assert (len(call.commands), call.watchdog) == (1, [2.0 + GRACE])


@pytest.mark.parametrize("reply", [b"200 result=0\n", b"200 result=1 ()\n", b"200 result=1 (next)\n"])
async def test_variables_that_asterisk_does_not_set_break_the_session(reply: bytes) -> None:
    call = FakeCall(replies={"GET FULL VARIABLE": reply})
    with pytest.raises(AgiBroken, match="BAZANG_WHY and BAZANG_RESULT"):
        await run(call, lambda session: session.set_variables({"BAZANG_WHY": "registered", "BAZANG_RESULT": "next"}))


@pytest.mark.parametrize("value", ["a)", "${A}", "a,b", "a b", 'a"', "سارا", "a\nHANGUP"])
async def test_value_that_could_be_syntax_is_not_set_by_an_expression(value: str) -> None:
    call = FakeCall()
    with pytest.raises(AgiBroken):
        await run(call, lambda session: session.set_variables({"BAZANG_WHY": value}))
    assert call.commands == []


async def test_watchdog_that_could_not_be_set_with_variables_is_set_before_the_command() -> None:
    async def dialogue(session: AgiSession) -> None:
        await session.get_variables("CHANNEL", ahead=20)
        await session.play([Sound("bazang/intro", 20)])

    call = FakeCall(replies={"GET FULL VARIABLE": b"200 result=0\n"})
    await run(call, dialogue)
    assert call.watchdog == [20 + GRACE]


@pytest.mark.parametrize("value", ["a\nHANGUP", "a\r", "a\0b"])
async def test_value_with_a_line_break_is_not_sent(value: str) -> None:
    call = FakeCall()
    with pytest.raises(AgiBroken):
        await run(call, lambda session: session.set_variable("X", value))
    assert call.commands == []


@pytest.mark.parametrize("name", ["", "A B", "A\nB", "A=B", "${A}", 'A"', "A,B"])
@pytest.mark.parametrize("what", ["get", "set"])
async def test_malformed_variable_name_is_not_sent(what: str, name: str) -> None:
    async def dialogue(session: AgiSession) -> None:
        if what == "get":
            await session.get_variable(name)
        else:
            await session.set_variable(name, "1")

    call = FakeCall()
    with pytest.raises(AgiBroken):
        await run(call, dialogue)
    assert call.commands == []


@pytest.mark.parametrize("path", ["a\nHANGUP", "a\rHANGUP", "a\0"])
async def test_malformed_path_is_not_sent(path: str) -> None:
    call = FakeCall()
    with pytest.raises(AgiBroken):
        await run(call, lambda session: session.play([Sound(path, 1)]))
    assert call.commands == []


async def test_sounds_are_played_in_order() -> None:
    call = FakeCall()
    key = await run(call, lambda session: session.play([Sound(f"bazang/fa/{n}", 1) for n in "abc"], "12#"))
    assert key == ""
    assert [c for c in call.commands if c.startswith("STREAM")] == [
        'STREAM FILE "bazang/fa/a" "12#"',
        'STREAM FILE "bazang/fa/b" "12#"',
        'STREAM FILE "bazang/fa/c" "12#"',
    ]


@pytest.mark.parametrize("key", "0123456789*#")
async def test_key_interrupts_the_sounds(key: str) -> None:
    call = FakeCall(Press("b", key, early=True))
    sounds = [Sound(f"bazang/fa/{n}", 1) for n in "abc"]
    assert await run(call, lambda session: session.play(sounds, "0123456789*#")) == key
    assert call.played == ["a", "b"]


@pytest.mark.parametrize("code", [1, 32, 65, 68, 127, 999])
async def test_code_that_is_no_key_is_ignored(code: int) -> None:
    call = FakeCall(replies={"WAIT": f"200 result={code}\n".encode()})
    assert await run(call, COMMANDS["digit"]) == ""


async def test_wait_for_a_key_is_sent_in_milliseconds() -> None:
    call = FakeCall()
    assert await run(call, lambda session: session.get_digit(2.5)) == ""
    assert call.commands[-1] == "WAIT FOR DIGIT 2500"


# -- the watchdog ---------------------------------------------------------------------------------------------


async def test_watchdog_is_set_before_each_sound_and_wait() -> None:
    async def dialogue(session: AgiSession) -> None:
        await session.play([Sound("a", 10), Sound("b", 20)])
        await session.get_digit(5)

    call = FakeCall()
    await run(call, dialogue)
    assert call.commands == [
        f"SET VARIABLE TIMEOUT(absolute) {10 + GRACE:.1f}",
        'STREAM FILE "a" ""',
        f"SET VARIABLE TIMEOUT(absolute) {20 + GRACE:.1f}",
        'STREAM FILE "b" ""',
        f"SET VARIABLE TIMEOUT(absolute) {5 + GRACE:.1f}",
        "WAIT FOR DIGIT 5000",
    ]


async def test_watchdog_is_not_set_again_while_it_is_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    passed, clock = 0.0, loop.time
    monkeypatch.setattr(loop, "time", lambda: clock() + passed)

    async def dialogue(session: AgiSession) -> None:
        nonlocal passed
        await session.play([Sound("a", 0.5), Sound("b", 0.5), Sound("c", 0.5)])
        passed += 1.5
        await session.play([Sound("d", 0.5), Sound("e", 0.5)])

    call = FakeCall()
    await run(call, dialogue)
    assert call.watchdog == [0.5 + GRACE] * 2
    assert call.played == ["a", "b", "c", "d", "e"]


async def test_watchdog_ends_shortly_after_each_sound_and_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it ended much later, a stopped worker would hold callers."""
    loop = asyncio.get_running_loop()
    passed, clock = 0.0, loop.time
    monkeypatch.setattr(loop, "time", lambda: clock() + passed)
    limit = 0.0
    margins: list[float] = []

    async def tick(command: str) -> None:
        nonlocal passed, limit
        words = command.split(" ")
        if words[0] == "SET":
            limit = loop.time() + float(words[-1])
            return
        seconds = float(words[2].strip('"')) if words[0] == "STREAM" else int(words[-1]) / 1000
        margins.append(limit - (loop.time() + seconds))
        passed += seconds

    lengths = [0.3, 0.4, 7.0, 0.3, 0.3, 12.0, 1.0, 0.9, 0.8, 0.1]

    async def dialogue(session: AgiSession) -> None:
        for seconds in lengths:
            await session.play([Sound(str(seconds), seconds)])
            await session.get_digit(seconds)

    await run(FakeCall(on_command=tick), dialogue, timeout=3600)  # in seconds of the simulated clock
    assert len(margins) == 2 * len(lengths)
    assert min(margins) > GRACE - 2
    assert max(margins) <= GRACE + 0.1


# -- long work ------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the waits between two watchdog commands to a hundredth."""
    wait = asyncio.wait

    async def hurry(tasks: Any, *, timeout: float | None = None) -> Any:
        return await wait(tasks, timeout=None if timeout is None else timeout / 100)

    monkeypatch.setattr(asyncio, "wait", hurry)


async def test_work_that_is_done_at_once_sends_no_command() -> None:
    async def work() -> str:
        return "done"

    call = FakeCall()
    assert await run(call, lambda session: session.keep_waiting(work(), 10)) == "done"
    assert call.commands == []


async def test_watchdog_is_set_during_long_work(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    passed, clock = 0.0, loop.time
    monkeypatch.setattr(loop, "time", lambda: clock() + passed)
    finished = asyncio.Event()
    call = FakeCall()

    async def tick(command: str) -> None:
        nonlocal passed
        passed += 2.0
        if len(call.watchdog) >= 4:
            finished.set()

    call.on_command = tick
    await run(call, lambda session: session.keep_waiting(finished.wait(), 1000), timeout=3600)
    assert len(call.watchdog) >= 4
    assert set(call.watchdog) == {1.0 + GRACE}


async def test_work_that_takes_too_long_continues_in_the_background(quick: None) -> None:
    finished, done = asyncio.Event(), []

    async def work() -> None:
        await finished.wait()
        done.append(True)

    with pytest.raises(TimeoutError):
        await run(FakeCall(), lambda session: session.keep_waiting(work(), 0.05))
    assert done == []
    finished.set()
    async with asyncio.timeout(PATIENCE):
        while not done:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0)


async def test_error_of_the_work_is_raised() -> None:
    async def work() -> None:
        raise RuntimeError("no voice")

    with pytest.raises(RuntimeError, match="no voice"):
        await run(FakeCall(), lambda session: session.keep_waiting(work(), 10))


# -- which port, and whose it is --------------------------------------------------------------------------------------


async def test_server_moves_to_another_port_while_calls_go_on() -> None:
    begun, moved = asyncio.Event(), asyncio.Event()

    async def answer_late(session: AgiSession) -> None:
        begun.set()
        await moved.wait()
        await session.answer()

    async with serving(answer_late) as server:
        call = FakeCall()
        running = asyncio.create_task(call.run(server.port, PATIENCE))
        await begun.wait()
        old = server.port
        await server.move(0)
        assert server.port != old
        moved.set()
        await running
        assert "ANSWER" in call.commands
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", old)
        assert await is_answered(server, FakeCall())


async def test_server_stays_where_it_is_if_the_other_port_is_taken() -> None:
    async with serving(answer) as other, serving(answer) as server:
        before = server.port
        with pytest.raises(OSError):
            await server.move(other.port)
        assert server.port == before
        assert await is_answered(server, FakeCall())


async def test_doctor_recognizes_our_server_without_being_a_call() -> None:
    upgrades: list[Upgrade] = []
    access = AgiAccess(SECRET, upgrade=Upgrade.ANY_ADDRESS, on_upgrade=upgrades.append)
    async with serving(answer, access=access) as server:
        assert await asyncio.to_thread(agi.is_bazang, "127.0.0.1", server.port, SECRET, PATIENCE)
        assert not await asyncio.to_thread(agi.is_bazang, "127.0.0.1", server.port, "wrong", PATIENCE)
    assert upgrades == []


async def test_doctor_recognizes_another_fast_agi_service() -> None:
    other = OtherFastAgi()
    port = await other.start(0)
    assert not await asyncio.to_thread(agi.is_bazang, "127.0.0.1", port, SECRET, PATIENCE)
    await other.stop()
    with pytest.raises(OSError):
        await asyncio.to_thread(agi.is_bazang, "127.0.0.1", port, SECRET, PATIENCE)
