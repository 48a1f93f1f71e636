"""The FastAGI server: what comes over the wire may be anything, and no session may harm another."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.telephony import agi
from app.telephony.agi import AgiBroken, AgiServer, AgiSession, HungUp, Sound
from tests.support.fake_agi import DEAD, PATIENCE, FakeCall, HangUp, Press

Steps = Callable[[AgiSession], Awaitable[Any]]


@asynccontextmanager
async def serving(handler: Steps, *, header_seconds: float = 5.0) -> AsyncIterator[AgiServer]:
    server = AgiServer("127.0.0.1", 0, handler, header_seconds=header_seconds)
    await server.start()
    try:
        yield server
    finally:
        async with asyncio.timeout(PATIENCE):
            await server.stop()


async def lead(call: FakeCall, steps: Steps, timeout: float = PATIENCE) -> Any:
    """Let `call` in, take the steps, and return what they returned; raise what they raised."""
    outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def handler(session: AgiSession) -> None:
        try:
            outcome.set_result(await steps(session))
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


@pytest.fixture
async def greeter() -> AsyncIterator[tuple[AgiServer, list[str]]]:
    """A server whose handler notes who called, with little patience for headers."""
    seen: list[str] = []

    async def handler(session: AgiSession) -> None:
        seen.append(session.env.get("agi_uniqueid", "whoever"))
        await session.answer()

    async with serving(handler, header_seconds=0.1) as server:
        yield server, seen


Greeter = tuple[AgiServer, list[str]]


async def still_serves(server: AgiServer, seen: list[str]) -> None:
    """An honest caller is served, and nobody else ever was."""
    call = FakeCall(headers={"agi_uniqueid": "honest"})
    await call.run(server.port)
    assert call.log == ["answer"]
    assert seen == ["honest"]


# -- who connects ---------------------------------------------------------------------------------------------


async def test_it_takes_the_port_that_is_free(greeter: Greeter) -> None:
    assert greeter[0].port > 0


async def test_the_headers_reach_the_handler() -> None:
    async def steps(session: AgiSession) -> tuple[str, str, str]:
        return session.path, session.env["agi_calleridname"], session.env["agi_callerid"]

    call = FakeCall(headers={"agi_calleridname": "سارا: مُحمدی ", "agi_callerid": ""})
    assert await lead(call, steps) == ("module/7", "سارا: مُحمدی ", "")


async def test_who_connects_and_closes_harms_nobody(greeter: Greeter) -> None:
    server, seen = greeter
    for _ in range(50):  # a port scan
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.close()
    for _ in range(50):  # one that resets
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.transport.abort()
    await still_serves(server, seen)


@pytest.mark.parametrize("said", [b"", b"agi_network: yes\n", b"agi_network: y", b"\xff\xfe"])
async def test_who_connects_and_says_no_more_is_closed(greeter: Greeter, said: bytes) -> None:
    server, seen = greeter
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(said)
    assert await is_closed(reader)
    writer.close()
    await still_serves(server, seen)


async def test_who_speaks_for_ever_without_an_end_is_closed(greeter: Greeter) -> None:
    """A header every now and then keeps no session open."""
    server, seen = greeter
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    closed = asyncio.create_task(is_closed(reader))
    lines = 0
    while not closed.done():
        assert lines < agi.HEADER_LINES - 10, "ended by the number of lines, not by the clock"
        writer.write(b"agi_slow: yes\n")
        lines += 1
        await asyncio.sleep(0.01)
    assert await closed
    writer.close()
    await still_serves(server, seen)


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(b"agi_network: " + b"x" * (agi.LONGEST_LINE + 1000) + b"\n\n", id="a long line"),
        pytest.param(b"x" * 1_000_000, id="no line at all"),
        pytest.param(b"agi_network: yes\n" + b"a: b\n" * agi.HEADER_LINES + b"\n", id="many lines"),
        pytest.param(b"agi_network: yes\n" + (b"a: " + b"b" * 4000 + b"\n") * 9 + b"\n", id="many bytes"),
    ],
)
async def test_headers_without_measure_are_refused(flood: bytes) -> None:
    """At once, not after the patience for headers is over."""
    seen: list[str] = []

    async def handler(session: AgiSession) -> None:
        seen.append(session.env.get("agi_uniqueid", "whoever"))
        await session.answer()

    async with serving(handler, header_seconds=60) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(flood)
        assert await is_closed(reader)
        writer.close()
        await still_serves(server, seen)


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
async def test_who_speaks_no_agi_gets_no_session(greeter: Greeter, garbage: bytes) -> None:
    server, seen = greeter
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(garbage)
    assert await is_closed(reader)
    writer.close()
    await still_serves(server, seen)


async def test_headers_that_come_byte_by_byte_are_headers() -> None:
    seen: list[str] = []

    async def handler(session: AgiSession) -> None:
        seen.append(session.env["agi_calleridname"])

    async with serving(handler) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for byte in FakeCall().header_bytes():
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert await is_closed(reader)
        writer.close()
    assert seen == ["سارا"]


# -- many -----------------------------------------------------------------------------------------------------


async def test_two_hundred_callers_at_once_are_all_served() -> None:
    together = asyncio.Barrier(200)  # nobody goes on before all of them are in
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


async def test_one_caller_too_many_is_turned_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(agi, "MOST_SESSIONS", 2)
    inside, leave = asyncio.Semaphore(0), asyncio.Event()

    async def handler(session: AgiSession) -> None:
        inside.release()
        await leave.wait()
        await session.answer()

    async with serving(handler) as server:
        calls = [FakeCall(), FakeCall()]
        running = [asyncio.create_task(call.run(server.port)) for call in calls]
        for _ in calls:
            await asyncio.wait_for(inside.acquire(), PATIENCE)
        third = FakeCall()
        await third.run(server.port)  # over at once, while the others are still in
        assert third.commands == []
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        leave.set()
        await asyncio.gather(*running)
        assert [call.log for call in calls] == [["answer"], ["answer"]]


async def test_a_handler_that_fails_harms_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(session: AgiSession) -> None:
        if session.env["agi_uniqueid"] == "bad":
            raise RuntimeError("a fault of ours")
        await session.answer()

    async with serving(handler) as server:
        bad, good = FakeCall(headers={"agi_uniqueid": "bad"}), FakeCall()
        await asyncio.gather(bad.run(server.port), good.run(server.port))
        assert (bad.log, good.log) == ([], ["answer"])
        assert "a fault of ours" in caplog.text
        assert server.sessions == 0


# -- the end --------------------------------------------------------------------------------------------------


async def test_stopping_ends_the_open_sessions_and_waits_for_them() -> None:
    inside, ended = asyncio.Semaphore(0), []

    async def handler(session: AgiSession) -> None:
        inside.release()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # what is yet to be done is waited for
            ended.append(session)

    async with serving(handler) as server:
        calls = [asyncio.create_task(FakeCall().run(server.port)) for _ in range(20)]
        for _ in calls:
            await asyncio.wait_for(inside.acquire(), PATIENCE)
        await server.stop()
        assert len(ended) == 20
        assert server.sessions == 0
        await asyncio.gather(*calls)
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", server.port)


async def test_stopping_ends_whoever_is_still_sending_headers() -> None:
    async with serving(lambda session: session.answer(), header_seconds=60) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"agi_network: yes\n")
        while not server.sessions:  # noqa: ASYNC110 - the server tells nobody of it
            await asyncio.sleep(0)
        await server.stop()
        assert await is_closed(reader)
        writer.close()


async def test_stopping_what_never_started_is_no_error() -> None:
    await AgiServer("127.0.0.1", 0, lambda session: session.answer()).stop()


# -- hang-up --------------------------------------------------------------------------------------------------

COMMANDS: dict[str, Steps] = {
    "answer": lambda session: session.answer(),
    "play": lambda session: session.play([Sound("bazang/intro", 1)]),
    "digit": lambda session: session.get_digit(1),
}


@pytest.mark.parametrize("how", ["within", "silent"])
@pytest.mark.parametrize("command", COMMANDS)
async def test_a_hang_up_within_a_command_is_noticed_by_it(command: str, how: Any) -> None:
    with pytest.raises(HungUp):
        await lead(FakeCall(hang_up=HangUp(1, how)), COMMANDS[command])


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_hang_up_between_two_commands_is_noticed_by_the_second(command: str) -> None:
    async def steps(session: AgiSession) -> None:
        await session.get_variable("X")  # its reply is followed by the HANGUP line
        await COMMANDS[command](session)

    with pytest.raises(HungUp):
        await lead(FakeCall(hang_up=HangUp(1, "between")), steps)


@pytest.mark.parametrize("command", COMMANDS)
async def test_the_dead_channels_reply_alone_is_a_hang_up(command: str) -> None:
    replies = {name: f"{DEAD}\n".encode() for name in ("ANSWER", "STREAM", "WAIT")}
    with pytest.raises(HungUp):
        await lead(FakeCall(replies=replies), COMMANDS[command])


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_hang_up_that_a_reply_mentions_is_one(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    replies = dict.fromkeys(("ANSWER", "STREAM", "WAIT"), b"200 result=-1 (hangup)\n")
    monkeypatch.setattr(agi, "REPLY_SECONDS", 0.1)

    async def steps(session: AgiSession) -> None:
        async with asyncio.timeout(0.5):  # at once, not when a second reply has not come
            await COMMANDS[command](session)

    with pytest.raises(HungUp):
        await lead(FakeCall(replies=replies), steps)


@pytest.mark.parametrize("how", ["within", "between", "silent"])
async def test_variables_can_be_set_and_read_after_a_hang_up(how: Any) -> None:
    async def steps(session: AgiSession) -> str:
        with pytest.raises(HungUp):
            for _ in range(3):
                await session.answer()
        await session.set_variable("BAZANG_RESULT", "error")
        return await session.get_variable("BAZANG_QUEUE")

    call = FakeCall(hang_up=HangUp(1, how), variables={"BAZANG_QUEUE": "sales"})
    assert await lead(call, steps) == "sales"
    assert call.variables["BAZANG_RESULT"] == "error"


@pytest.mark.parametrize("how", ["within", "between", "silent"])
async def test_nothing_is_played_after_a_hang_up(how: Any) -> None:
    async def steps(session: AgiSession) -> None:
        for _ in range(3):
            with pytest.raises(HungUp):
                await session.answer()
                await session.answer()

    call = FakeCall(hang_up=HangUp(1, how))
    await lead(call, steps)
    assert len(call.log) <= 2


async def test_a_caller_who_hangs_up_is_no_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(HungUp):
        await lead(FakeCall(hang_up=HangUp(1)), COMMANDS["answer"])
    assert caplog.text == ""


# -- strange replies ------------------------------------------------------------------------------------------


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
        b"200 result=" + b"1" * (agi.LONGEST_LINE + 1000) + b"\n",
        b"x" * 100_000,
    ],
    ids=lambda reply: repr(reply[:30]),
)
@pytest.mark.parametrize("command", ["play", "digit"])
async def test_what_no_asterisk_says_breaks_the_session(command: str, reply: bytes) -> None:
    with pytest.raises(AgiBroken):
        await lead(FakeCall(replies={"STREAM": reply, "WAIT": reply}), COMMANDS[command])


async def test_an_exchange_that_goes_away_breaks_the_session() -> None:
    with pytest.raises(AgiBroken):
        await lead(FakeCall(hang_up=HangUp(1, "gone")), COMMANDS["answer"])


async def test_an_exchange_that_never_replies_breaks_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agi, "REPLY_SECONDS", 0.05)

    async def hold(command: str) -> None:
        await asyncio.wait({broken})

    broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def steps(session: AgiSession) -> None:
        try:
            await session.answer()
        finally:
            broken.set_result(None)

    with pytest.raises(AgiBroken, match="ANSWER"):
        await lead(FakeCall(on_command=hold), steps)


async def test_a_reply_may_take_as_long_as_its_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agi, "REPLY_SECONDS", 0.05)

    async def slow(command: str) -> None:
        if command.startswith("STREAM"):
            await asyncio.sleep(0.2)

    async def steps(session: AgiSession) -> str:
        return await session.play([Sound("bazang/intro", 30)], "1")

    assert await lead(FakeCall(Press("intro", "1", early=True), on_command=slow), steps) == "1"


async def test_a_reply_that_is_announced_is_waited_for() -> None:
    call = FakeCall(replies={"WAIT": b"100 result=0 Trying...\n200 result=49\n"})
    assert await lead(call, COMMANDS["digit"]) == "1"


async def test_a_broken_session_is_a_line_in_the_log_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(AgiBroken):
        await lead(FakeCall(replies={"ANSWER": b"garbage\n"}), COMMANDS["answer"])
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
        (b"200 result=1 (hangup)\n", "hangup"),  # which a queue may be named
    ],
)
async def test_a_variable_is_read(reply: bytes, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agi, "REPLY_SECONDS", 0.2)

    async def steps(session: AgiSession) -> str:
        return await session.get_variable("BAZANG_QUEUE")

    call = FakeCall(replies={"GET VARIABLE": reply})
    assert await lead(call, steps) == value
    assert call.commands == ["GET VARIABLE BAZANG_QUEUE"]


@pytest.mark.parametrize("value", ["next", "", "two words", 'with "quotes"', "back\\slash", '\\"', "سارا", "a,b;c$(d)"])
async def test_a_variable_is_set_to_exactly_the_value(value: str) -> None:
    async def steps(session: AgiSession) -> None:
        await session.set_variable("BAZANG_WHY", value)

    call = FakeCall()
    await lead(call, steps)
    assert call.variables["BAZANG_WHY"] == value
    assert len(call.commands) == 1


@pytest.mark.parametrize("value", ["a\nHANGUP", "a\r", "a\0b"])
async def test_a_value_that_would_be_a_command_is_refused(value: str) -> None:
    call = FakeCall()
    with pytest.raises(AgiBroken):
        await lead(call, lambda session: session.set_variable("X", value))
    assert call.commands == []


@pytest.mark.parametrize("name", ["", "A B", "A\nB", "A=B", "${A}", 'A"', "A,B"])
@pytest.mark.parametrize("what", ["get", "set"])
async def test_a_name_that_is_none_is_refused(what: str, name: str) -> None:
    async def steps(session: AgiSession) -> None:
        if what == "get":
            await session.get_variable(name)
        else:
            await session.set_variable(name, "1")

    call = FakeCall()
    with pytest.raises(AgiBroken):
        await lead(call, steps)
    assert call.commands == []


@pytest.mark.parametrize("path", ["", "a b", 'a" "123', "a\nHANGUP", "a\0", "${SHELL(id)}", "a&b", "a,b", "سلام"])
async def test_a_path_that_is_none_is_refused(path: str) -> None:
    call = FakeCall()
    with pytest.raises(AgiBroken):
        await lead(call, lambda session: session.play([Sound(path, 1)]))
    assert call.commands == []


async def test_sounds_are_played_one_after_the_other() -> None:
    call = FakeCall()
    key = await lead(call, lambda session: session.play([Sound(f"bazang/fa/{n}", 1) for n in "abc"], "12#"))
    assert key == ""
    assert [c for c in call.commands if c.startswith("STREAM")] == [
        'STREAM FILE bazang/fa/a "12#"',
        'STREAM FILE bazang/fa/b "12#"',
        'STREAM FILE bazang/fa/c "12#"',
    ]


@pytest.mark.parametrize("key", "0123456789*#")
async def test_a_key_interrupts_the_sounds(key: str) -> None:
    call = FakeCall(Press("b", key, early=True))
    sounds = [Sound(f"bazang/fa/{n}", 1) for n in "abc"]
    assert await lead(call, lambda session: session.play(sounds, "0123456789*#")) == key
    assert call.played == ["a", "b"]


@pytest.mark.parametrize("code", [1, 32, 65, 68, 127, 999])
async def test_a_code_that_is_no_key_is_no_key(code: int) -> None:
    call = FakeCall(replies={"WAIT": f"200 result={code}\n".encode()})
    assert await lead(call, COMMANDS["digit"]) == ""


async def test_a_key_is_waited_for_in_milliseconds() -> None:
    call = FakeCall()
    assert await lead(call, lambda session: session.get_digit(2.5)) == ""
    assert call.commands[-1] == "WAIT FOR DIGIT 2500"


# -- the watchdog ---------------------------------------------------------------------------------------------


async def test_the_watchdog_is_pushed_forward_before_each_sound_and_wait() -> None:
    async def steps(session: AgiSession) -> None:
        await session.play([Sound("a", 10), Sound("b", 20)])
        await session.get_digit(5)

    call = FakeCall()
    await lead(call, steps)
    assert call.commands == [
        f"SET VARIABLE TIMEOUT(absolute) {10 + agi.GRACE:.1f}",
        'STREAM FILE a ""',
        f"SET VARIABLE TIMEOUT(absolute) {20 + agi.GRACE:.1f}",
        'STREAM FILE b ""',
        f"SET VARIABLE TIMEOUT(absolute) {5 + agi.GRACE:.1f}",
        "WAIT FOR DIGIT 5000",
    ]


async def test_an_ample_watchdog_is_left_alone_until_time_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    passed, clock = 0.0, loop.time
    monkeypatch.setattr(loop, "time", lambda: clock() + passed)

    async def steps(session: AgiSession) -> None:
        nonlocal passed
        await session.play([Sound("a", 0.5), Sound("b", 0.5), Sound("c", 0.5)])
        passed += 1.5
        await session.play([Sound("d", 0.5), Sound("e", 0.5)])

    call = FakeCall()
    await lead(call, steps)
    assert call.watchdog == [0.5 + agi.GRACE] * 2
    assert call.played == ["a", "b", "c", "d", "e"]


async def test_whatever_is_about_to_happen_ends_before_the_watchdog_bites(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is always beyond the end of what goes on, and not much beyond, or a dead service would keep callers."""
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
        seconds = float(words[2]) if words[0] == "STREAM" else int(words[-1]) / 1000
        margins.append(limit - (loop.time() + seconds))
        passed += seconds

    lengths = [0.3, 0.4, 7.0, 0.3, 0.3, 12.0, 1.0, 0.9, 0.8, 0.1]

    async def steps(session: AgiSession) -> None:
        for seconds in lengths:
            await session.play([Sound(str(seconds), seconds)])
            await session.get_digit(seconds)

    await lead(FakeCall(on_command=tick), steps, timeout=3600)  # by the clock that jumps
    assert len(margins) == 2 * len(lengths)
    assert min(margins) > agi.GRACE - 2
    assert max(margins) <= agi.GRACE + 0.1


# -- work that takes a while ----------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second between two signs of life, in a hundredth of it."""
    wait = asyncio.wait

    async def hurry(tasks: Any, *, timeout: float | None = None) -> Any:
        return await wait(tasks, timeout=None if timeout is None else timeout / 100)

    monkeypatch.setattr(agi.asyncio, "wait", hurry)


async def test_work_that_is_done_at_once_costs_no_command() -> None:
    async def work() -> str:
        return "done"

    call = FakeCall()
    assert await lead(call, lambda session: session.keep_waiting(work(), 10)) == "done"
    assert call.commands == []


async def test_who_waits_for_our_work_is_kept(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
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
    await lead(call, lambda session: session.keep_waiting(finished.wait(), 1000), timeout=3600)
    assert len(call.watchdog) >= 4
    assert set(call.watchdog) == {1.0 + agi.GRACE}


async def test_work_that_takes_too_long_is_not_waited_for_and_goes_on(quick: None) -> None:
    finished, done = asyncio.Event(), []

    async def work() -> None:
        await finished.wait()
        done.append(True)

    with pytest.raises(TimeoutError):
        await lead(FakeCall(), lambda session: session.keep_waiting(work(), 0.05))
    assert done == []
    finished.set()
    async with asyncio.timeout(PATIENCE):
        while not done:  # noqa: ASYNC110 - only a time-out here would be the failure
            await asyncio.sleep(0)


async def test_work_that_fails_says_so() -> None:
    async def work() -> None:
        raise RuntimeError("no voice")

    with pytest.raises(RuntimeError, match="no voice"):
        await lead(FakeCall(), lambda session: session.keep_waiting(work(), 10))
