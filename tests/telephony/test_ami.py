"""The AMI client against a fake server that is slow, silent, refuses, floods or disconnects."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from panoramisk.message import Message

from app.telephony import ami
from app.telephony.ami import (
    AmiClient,
    AmiDisconnected,
    AmiError,
    AmiRefused,
    AmiState,
    AmiTimeout,
    AmiTimes,
    AmiUnsafe,
    _parse_event,
)
from script.benchmarks.events import RECORDED
from script.office.patience import PATIENCE
from tests.support.fake_ami import (
    Action,
    Answer,
    Connection,
    FakeAmi,
    Received,
    drop,
    fake_ami,
    listing,
    no_reply,
    refuse,
)

TIMES = AmiTimes(
    action=2, login=2, booted=0.05, ping_every=0.05, silent_after=30, pauses=(0.01,), refused_pauses=(0.01,)
)
SECRET = "secret"


class Harness:
    """A client, and the events and states that it reported."""

    def __init__(self, fake: FakeAmi, times: AmiTimes, secret: str, wanted: set[str] | None = None) -> None:
        self.fake = fake
        self.events, self.states = Received[Any](), Received[AmiState]()
        self.on_event: Callable[[Any], None] = self.events.append
        self.client = AmiClient(
            fake.host,
            fake.port,
            "bazang",
            secret,
            on_event=lambda event: self.on_event(event),
            on_state=self.states.append,
            wanted=wanted,
            times=times,
        )

    async def status(self, status: str, count: int = 1) -> AmiState:
        """Wait for state number `count` with this status and return it."""
        found = await self.states.until(lambda states: [s for s in states if s.status == status][count - 1 : count])
        return found[0]

    async def event(self, name: str) -> Any:
        """Wait for the first event of this name and return it."""
        found = await self.events.until(lambda events: [e for e in events if e.event == name])
        return found[0]


@asynccontextmanager
async def harness(
    fake: FakeAmi,
    times: AmiTimes = TIMES,
    secret: str = SECRET,
    *,
    connected: bool = True,
    wanted: set[str] | None = None,
) -> AsyncIterator[Harness]:
    """Run a client, and wait until it is connected unless `connected` is false."""
    h = Harness(fake, times, secret, wanted)
    await h.client.start()
    try:
        if connected:
            await h.client.wait_connected(PATIENCE)
        yield h
    finally:
        async with asyncio.timeout(PATIENCE):
            await h.client.stop()


@pytest.fixture
async def fake() -> AsyncIterator[FakeAmi]:
    async with fake_ami() as server:
        yield server


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Received[float]:
    """The pauses between the client's attempts to connect. Each is recorded and shortened."""
    recorded = Received[float]()
    pause = ami._pause

    async def record(pauses: Any, failures: int) -> None:
        recorded.append(pauses[min(failures, len(pauses) - 1)])
        await pause((0.001,), 0)

    monkeypatch.setattr(ami, "_pause", record)
    return recorded


ORDER = {"Channel": "Local/s@bazang-agent/n", "Context": "bazang-customer", "Exten": "s", "Priority": "1"}


# -- connecting -----------------------------------------------------------------------------------------------


async def test_client_logs_in_and_reads_the_version(fake: FakeAmi) -> None:
    async with harness(fake) as h:
        login = fake.named("Login")[0]
        assert (login.get("Username"), login.get("AuthType"), login.get("Events")) == ("bazang", "MD5", "on")
        assert SECRET.encode() not in fake.received, "only the answer to the challenge is sent"
        assert [s.status for s in h.states] == ["connecting", "connected"]
        assert h.client.state.version == "22.10.1"
        assert h.client.connected


async def test_user_who_gets_no_fullybooted_event_connects() -> None:
    async with fake_ami(booted=False) as fake, harness(fake) as h:
        assert h.client.connected
        assert await h.client.send("Ping")


async def test_fullybooted_event_ends_the_wait(fake: FakeAmi) -> None:
    async with harness(fake, AmiTimes(booted=60)) as h:
        assert h.client.connected


async def test_user_without_the_right_to_read_the_version_connects(fake: FakeAmi) -> None:
    fake.answers["CoreSettings"] = refuse("Permission denied")
    async with harness(fake) as h:
        assert (h.client.state.status, h.client.state.version) == ("connected", "")


async def test_connection_lost_after_the_login_is_tried_again(fake: FakeAmi) -> None:
    fake.answers["CoreSettings"] = drop
    async with harness(fake, connected=False) as h:
        await h.status("down")
        assert not h.client.connected
        del fake.answers["CoreSettings"]
        await h.client.wait_connected(PATIENCE)


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\r\n\r\n"])
async def test_server_that_is_no_ami_is_disconnected(greeting: bytes) -> None:
    async with fake_ami() as fake:
        fake.greeting = greeting
        async with harness(fake, connected=False) as h:
            await h.status("down", 1)
            await fake.connections.count(2)
            assert fake.actions == []
            assert not any(s.status == "connected" for s in h.states)


async def test_server_without_a_greeting_is_disconnected() -> None:
    async with fake_ami() as fake:
        fake.mute = True
        async with harness(fake, AmiTimes(login=0.05, pauses=(0.01,)), connected=False) as h:
            assert (await h.status("down")).detail
            await fake.connections.count(2)


@pytest.mark.parametrize("refuses", [False, True])
async def test_silence_before_the_login_is_known(pauses: Received[float], refuses: bool) -> None:
    """A PBX that refuses does not stand still."""
    login = 0.3
    async with fake_ami() as fake:
        fake.answers["Login"] = no_reply
        began = asyncio.get_running_loop().time()
        async with harness(fake, AmiTimes(login=login, booted=0.01), connected=False) as h:
            await h.status("down", 2)
            if refuses:
                fake.answers["Login"] = refuse("no")
                await h.status("refused")
            del fake.answers["Login"]
            await h.client.wait_connected(PATIENCE)
            passed = asyncio.get_running_loop().time() - began
            if refuses:
                assert h.client.login_seconds <= passed - 2 * login
            else:
                assert 2 * login <= h.client.login_seconds <= passed


async def test_login_without_a_reply_times_out(fake: FakeAmi) -> None:
    fake.answers["Login"] = no_reply
    async with harness(fake, AmiTimes(login=0.05, pauses=(0.01,)), connected=False) as h:
        assert "Login" in (await h.status("down")).detail
        await fake.wait_for("Login", 2)


async def test_wrong_secret_is_reported_and_tried_again_with_long_pauses(
    fake: FakeAmi, pauses: Received[float]
) -> None:
    async with harness(fake, AmiTimes(refused_pauses=(1, 5, 30), pauses=(0.01,)), "wrong", connected=False) as h:
        state = await h.status("refused")
        assert "secret" in state.detail
        await pauses.count(5)
        assert pauses[:5] == [1, 5, 30, 30, 30]
        assert not any(s.status == "connected" for s in h.states)
        fake.secret = "wrong"
        await h.client.wait_connected(PATIENCE)


async def test_closed_port_is_tried_again_with_growing_pauses(fake: FakeAmi, pauses: Received[float]) -> None:
    await fake.stop()
    async with harness(fake, AmiTimes(pauses=(0.25, 0.5, 1, 2, 30)), connected=False) as h:
        await pauses.count(7)
        assert pauses[:7] == [0.25, 0.5, 1, 2, 30, 30, 30]
        assert (await h.status("down")).detail
        await fake.start()
        await h.client.wait_connected(PATIENCE)


async def test_pauses_start_again_after_a_stable_connection(fake: FakeAmi, pauses: Received[float]) -> None:
    await fake.stop()
    async with harness(fake, AmiTimes(pauses=(1, 2, 3, 4), stable=0), connected=False) as h:
        await pauses.count(3)
        await fake.start()
        await h.client.wait_connected(PATIENCE)
        before = len(pauses)
        fake.connection.drop()
        await h.status("connected", 2)
        assert pauses[before:] == [1]


async def test_pauses_grow_if_each_connection_is_lost_at_once(fake: FakeAmi, pauses: Received[float]) -> None:
    async with harness(fake, AmiTimes(pauses=(1, 2, 3, 4))) as h:
        for times in (2, 3, 4):
            fake.connection.drop()
            await h.status("connected", times)
        assert pauses[:3] == [1, 2, 3]


@pytest.mark.parametrize("pause", [0.1, 2.0, 30.0])
async def test_pauses_are_random_within_a_fifth(pause: float, monkeypatch: pytest.MonkeyPatch) -> None:
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    for failures in range(50):
        await ami._pause((99.0, pause), failures + 1)
    assert all(0.8 * pause <= seconds <= 1.2 * pause for seconds in slept)
    assert len(set(slept)) > 1


# -- messages -------------------------------------------------------------------------------------------------

NAME = "سارا مُحمدی ۱۲"


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 7, 64])
async def test_letter_split_between_two_chunks_is_decoded(
    fake: FakeAmi, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces: list[bytes] = []
    receive = ami._Protocol.data_received

    def note(protocol: ami._Protocol, data: bytes) -> None:
        pieces.append(data)
        receive(protocol, data)

    monkeypatch.setattr(ami._Protocol, "data_received", note)
    async with harness(fake) as h:
        pieces.clear()
        fake.chunk = chunk
        await fake.connection.send(
            [("Event", "Newchannel"), ("CallerIDName", NAME)], [("Event", "Hangup"), ("Cause-txt", NAME)]
        )
        assert (await h.event("Newchannel"))["CallerIDName"] == NAME
        assert (await h.event("Hangup"))["Cause-txt"] == NAME
        if chunk % 2:
            assert any(_is_broken(piece) for piece in pieces), "no letter was split, so nothing was tested"


def _is_broken(piece: bytes) -> bool:
    try:
        piece.decode()
    except UnicodeDecodeError:
        return True
    return False


async def test_login_byte_by_byte() -> None:
    async with fake_ami() as fake:
        fake.chunk = 1
        async with harness(fake, AmiTimes()) as h:
            assert h.client.state.version == "22.10.1"


async def test_invalid_utf8_is_replaced(fake: FakeAmi) -> None:
    async with harness(fake) as h:
        await fake.connection.write(b"Event: Newchannel\r\nCallerIDName: \xff\xd9\r\n\r\n")
        await fake.connection.send([("Event", "Hangup")])
        assert (await h.event("Newchannel"))["CallerIDName"].startswith("\ufffd")
        await h.event("Hangup")
        assert len(fake.connections) == 1


@pytest.mark.parametrize("noise", [b"\r\n\r\n\r\n\r\n", b"what is this\r\n\r\n", b": \r\n\r\n", b"\0\0\r\n\r\n"])
async def test_malformed_blocks_are_ignored(fake: FakeAmi, noise: bytes) -> None:
    async with harness(fake) as h:
        await fake.connection.write(noise)
        await fake.connection.send([("Event", "Hangup")])
        await h.event("Hangup")
        assert len(fake.connections) == 1


async def test_message_that_is_too_long_ends_the_connection(fake: FakeAmi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ami, "LONGEST_MESSAGE", 4096)
    async with harness(fake) as h:
        await fake.connection.write(b"Event: Newchannel\r\nCallerIDName: " + b"x" * 4000)
        await fake.connection.write(b"x" * 500)
        await h.status("down")
        await h.status("connected", 2)
        assert h.events == [] or all(e.event == "FullyBooted" for e in h.events)


async def test_flood_of_events_is_received_completely_and_in_order(fake: FakeAmi) -> None:
    async with harness(fake) as h:
        flood = b"".join(b"Event: VarSet\r\nNumber: %d\r\n\r\n" % number for number in range(20_000))
        await asyncio.gather(fake.connection.write(flood), h.client.send("Ping"))
        await h.events.until(lambda events: events[-1].get("Number") == "19999", 20)
        assert [int(e["Number"]) for e in h.events if e.event == "VarSet"] == list(range(20_000))


FLOOD = 100_000  # events, of which one in 100 is wanted


async def test_flood_of_unwanted_events_loses_nothing_and_keeps_nothing(
    fake: FakeAmi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """script/bench flood measures what it does to the time of a call."""
    rests: list[int] = []
    receive = ami._Protocol.data_received

    def record(protocol: ami._Protocol, data: bytes) -> None:
        receive(protocol, data)
        rests.append(len(protocol._buffer))

    monkeypatch.setattr(ami._Protocol, "data_received", record)
    useless = b"Event: VarSet\r\nVariable: A\r\n\r\n" * 99
    flood = b"".join(useless + b"Event: Newstate\r\nNumber: %d\r\n\r\n" % number for number in range(FLOOD // 100))
    async with harness(fake, wanted={"Newstate"}) as h:
        _, answer = await asyncio.gather(fake.connection.write(flood), h.client.send("Ping"))
        assert answer.response == "Success"
        await h.events.until(lambda events: events and events[-1].get("Number") == str(FLOOD // 100 - 1), 20)
        assert [int(e["Number"]) for e in h.events if e.event == "Newstate"] == list(range(FLOOD // 100))
        assert {e.event for e in h.events} == {"Newstate", "FullyBooted"}
        assert max(rests) < 100, "only a part of one event is ever left"
        assert await h.client.send("Ping")


async def test_rows_of_a_list_count_whatever_events_are_wanted(fake: FakeAmi) -> None:
    rows = [[("Event", "DeviceStateChange"), ("Device", f"PJSIP/{number}")] for number in (101, 102)]
    fake.answers["DeviceStateList"] = listing(rows, complete="DeviceStateListComplete")
    async with harness(fake, wanted={"Newstate"}) as h:
        found = await h.client.collect("DeviceStateList")
        assert [row["Device"] for row in found] == ["PJSIP/101", "PJSIP/102"]
        await fake.connection.send([("Event", "DeviceStateChange"), ("Device", "PJSIP/103")])
        await fake.connection.send([("Event", "Newstate"), ("Channel", "PJSIP/103-1")])
        await h.event("Newstate")
        assert [e.event for e in h.events if e.event != "FullyBooted"] == ["Newstate"]


async def test_event_that_comes_again_counts_again_and_is_parsed_once(fake: FakeAmi) -> None:
    async with harness(fake) as h:
        for state in ("INUSE", "NOT_INUSE", "INUSE"):
            await fake.connection.send([("Event", "DeviceStateChange"), ("Device", "PJSIP/501"), ("State", state)])
        await fake.connection.send([("Event", "Newstate"), ("Channel", "PJSIP/103-1")])
        await h.event("Newstate")
        found = [e for e in h.events if e.event == "DeviceStateChange"]
        assert [e["State"] for e in found] == ["INUSE", "NOT_INUSE", "INUSE"]
        assert found[0] is found[2]


@pytest.mark.parametrize(
    "block",
    [
        "Event: DialEnd\r\nChannel: PJSIP/101-1\r\nDialStatus: BUSY\r\nForward: x",
        "Event: DialEnd\r\nChannel: PJSIP/101-1",
        "Event: DialEnd\r\nDialStatus: BUSY\r\nChannel: PJSIP/101-1",
        "Event: DialEnd\r\nChannel: a: b\r\nDialStatus: : ",
        "Event: DialEnd\r\nChannel: \r\nDialStatus: ",
        "Event: DialEnd\r\nChannel: x\ny\r\nDialStatus: \rz\r",
        "Event: DialEnd\r\nChannel: x\r\nno header\r\nDialStatus: z",
        "Event: DialEnd\r\nChannel: x\r\nChannel: y\r\nDialStatus: z",
        "Event: DialEnd\r\nChannel: مریم\r\nDialStatus: \u2028\x85\r\nResult: a%20b",
    ],
)
async def test_event_is_parsed_alike_whatever_came_before(block: str) -> None:
    """An event is parsed by the headers of earlier ones of its name, if it has the same."""

    def parse(*blocks: str) -> dict[str, Any]:
        seen: list[Any] = []
        protocol = ami._Protocol(seen.append, {"DialEnd"})
        protocol.version = "1"
        for each in blocks:
            protocol.data_received(f"{each}\r\n\r\n".encode())
        return dict(seen[-1].items())

    usual = "Event: DialEnd\r\nChannel: PJSIP/101-1\r\nDialStatus: ANSWER"
    alone, later = (parse(*blocks) for blocks in ([block], [usual, usual, block, usual, block]))
    later.pop("content", None)
    alone.pop("content", None)
    assert {name.lower(): value for name, value in later.items()} == {n.lower(): v for n, v in alone.items()}


async def test_events_of_many_kinds_do_not_fill_the_memory() -> None:
    protocol = ami._Protocol(lambda event: None)
    protocol.version = "1"
    for number in range(10 * ami.MOST_ROWS):
        headers = "".join(f"H{number}x{each}: 1\r\n" for each in range(number))
        protocol.data_received(f"Event: Kind{number}\r\n{headers}\r\n".encode())
        protocol.data_received(f"Event: UserEvent\r\n{headers}\r\n".encode())
    assert len(protocol._row_parsers) == ami.MOST_ROWS
    parsers = (*protocol._row_parsers.values(), protocol._other_parser)
    assert max(len(parser._layouts) for parser in parsers) == ami.MOST_LAYOUTS
    assert max(len(names) for parser in parsers for _, names in parser._layouts) <= ami.MOST_HEADERS


async def test_event_with_the_number_of_a_customer_is_not_kept(fake: FakeAmi) -> None:
    """Its text does not come again, so it would only fill the memory."""
    async with harness(fake) as h:
        for _ in range(2):
            device = ("Device", "Local/09121234567@bazang-out")
            await fake.connection.send([("Event", "DeviceStateChange"), device, ("State", "INUSE")])
        await fake.connection.send([("Event", "Newstate"), ("Channel", "PJSIP/103-1")])
        await h.event("Newstate")
        found = [e for e in h.events if e.event == "DeviceStateChange"]
        assert len(found) == 2 and found[0] is not found[1]


@pytest.mark.parametrize("bad", ["\r\n", "\r", "\n", "\0", "a\r\nAction: Originate"])
@pytest.mark.parametrize("place", ["action", "value", "variable", "name", "collect"])
async def test_text_that_could_add_a_header_is_not_sent(fake: FakeAmi, bad: str, place: str) -> None:
    async with harness(fake, AmiTimes()) as h:
        before = fake.received
        with pytest.raises(AmiUnsafe):
            match place:
                case "action":
                    await h.client.send(f"Ping{bad}")
                case "value":
                    await h.client.send("Hangup", {"Channel": f"PJSIP/101{bad}"})
                case "variable":
                    await h.client.originate(ORDER, {"BAZANG_NUMBER": f"0912{bad}"})
                case "name":
                    await h.client.send("Hangup", [(f"Channel{bad}", "PJSIP/101")])
                case "collect":
                    await h.client.collect("DBGet", {"Key": bad})
        await h.client.send("Ping")
        sent = fake.received.removeprefix(before)
        assert sent.count(b"Action:") == 1
        assert b"Action: Ping" in sent


@pytest.mark.parametrize(("name", "value"), [("A", "1,B=2"), ("A", ","), ("A=1,B", "2"), ("A B", "1"), ("", "1")])
async def test_variable_cannot_set_another_variable(fake: FakeAmi, name: str, value: str) -> None:
    async with harness(fake) as h:
        with pytest.raises(AmiUnsafe):
            await h.client.originate(ORDER, {name: value})
        await h.client.send("Ping")
        assert fake.named("Originate") == []


async def test_line_that_is_too_long_for_asterisk_is_refused(fake: FakeAmi) -> None:
    """Asterisk would silently discard the whole message."""
    async with harness(fake) as h:
        for value in ("x" * 1100, "ض" * 550):  # Persian letters are two bytes
            with pytest.raises(AmiUnsafe, match="too long"):
                await h.client.originate(ORDER, {"A": value})
            with pytest.raises(AmiUnsafe, match="too long"):
                await h.client.send("Hangup", {"Channel": value})
        await h.client.originate(ORDER, {"A": "x" * 950, "B": "ض" * 475})
        (sent,) = fake.named("Originate")
        assert max(len(f"{key}: {value}\r\n".encode()) for key, value in sent.pairs) < 1024


async def test_value_must_be_text(fake: FakeAmi) -> None:
    async with harness(fake) as h:
        with pytest.raises(AmiUnsafe):
            await h.client.send("Originate", {"Timeout": 5000})  # type: ignore[dict-item]


# -- actions --------------------------------------------------------------------------------------------------


async def test_originate_is_asynchronous_and_has_one_line_per_variable(fake: FakeAmi) -> None:
    async with harness(fake) as h:
        await h.client.originate({**ORDER, "Async": "false"}, {"__A": "1", "__B": "سه = 3"})
        order = fake.named("Originate")[0]
        assert order.all("Async") == ["true"]
        assert order.all("Variable") == ["__A=1", "__B=سه = 3"]
        assert {key: order.get(key) for key in ORDER} == ORDER


async def test_refusal_contains_the_message_of_the_pbx(fake: FakeAmi) -> None:
    fake.answers["Originate"] = refuse("Extension does not exist.")
    async with harness(fake) as h:
        with pytest.raises(AmiRefused, match=r"Extension does not exist\."):
            await h.client.originate(ORDER, {})
        assert h.client.connected


@pytest.mark.parametrize(
    ("answer", "timeout", "error"), [(drop, PATIENCE, AmiDisconnected), (no_reply, 0.05, AmiTimeout)]
)
async def test_originate_without_a_reply_is_not_sent_again(
    fake: FakeAmi, answer: Answer, timeout: float, error: type[AmiError]
) -> None:
    fake.answers["Originate"] = answer
    async with harness(fake) as h:
        with pytest.raises(error):
            await h.client.originate(ORDER, {"__A": "1"}, timeout=timeout)
        if answer is no_reply:
            fake.connection.drop()
        await h.status("connected", 2)
        await h.client.send("Ping")  # anything that is sent after the reconnection comes before this
        assert len(fake.named("Originate")) == 1


@pytest.mark.parametrize("call", ["send", "collect", "originate"])
async def test_each_action_has_a_time_out(fake: FakeAmi, call: str) -> None:
    fake.answers |= {"Slow": no_reply, "Originate": no_reply}
    async with harness(fake, AmiTimes(action=0.05)) as h:
        with pytest.raises(AmiTimeout):
            async with asyncio.timeout(PATIENCE):
                if call == "originate":
                    await h.client.originate(ORDER, {})
                else:
                    await getattr(h.client, call)("Slow")
        assert await h.client.send("Ping")


async def test_reply_after_the_time_out_is_ignored(fake: FakeAmi) -> None:
    fake.answers["Slow"] = no_reply
    async with harness(fake) as h:
        with pytest.raises(AmiTimeout):
            await h.client.send("Slow", timeout=0.02)
        await fake.connection.respond(fake.named("Slow")[0], "Success", ("Message", "late"))
        reply = await h.client.send("Ping")
        assert reply.message == "Done"
        assert h.client._protocol is not None
        assert h.client._protocol.pending == {}


async def test_cancelled_action_leaves_nothing_pending(fake: FakeAmi) -> None:
    fake.answers["Slow"] = no_reply
    async with harness(fake) as h:
        task = asyncio.create_task(h.client.send("Slow"))
        await fake.wait_for("Slow")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert h.client._protocol is not None
        assert h.client._protocol.pending == {}


async def test_concurrent_actions_get_their_own_replies(fake: FakeAmi) -> None:
    waiting: list[tuple[Connection, Action]] = []

    async def answer_backwards(connection: Connection, action: Action) -> None:
        waiting.append((connection, action))
        if len(waiting) == 200:
            for peer, question in reversed(waiting):
                await peer.respond(question, "Success", ("Value", question.get("Variable")))

    fake.answers["Getvar"] = answer_backwards
    async with harness(fake) as h:
        replies = await asyncio.gather(*(h.client.send("Getvar", {"Variable": str(n)}) for n in range(200)))
        assert [reply["Value"] for reply in replies] == [str(n) for n in range(200)]


async def test_pending_actions_fail_when_the_connection_is_lost(fake: FakeAmi) -> None:
    fake.answers |= {"Slow": no_reply, "SlowList": no_reply}
    async with harness(fake, AmiTimes(action=60, pauses=(0.01,))) as h:
        waits = [asyncio.create_task(h.client.send("Slow")), asyncio.create_task(h.client.collect("SlowList"))]
        await fake.wait_for("Slow")
        await fake.wait_for("SlowList")
        fake.connection.drop()
        async with asyncio.timeout(PATIENCE):
            results = await asyncio.gather(*waits, return_exceptions=True)
        assert [type(result) for result in results] == [AmiDisconnected, AmiDisconnected]


@pytest.mark.parametrize("call", ["send", "collect", "originate"])
async def test_actions_without_a_connection_fail_and_are_not_sent_later(fake: FakeAmi, call: str) -> None:
    h = Harness(fake, TIMES, SECRET)
    with pytest.raises(AmiDisconnected):
        await _call(h.client, call)
    fake.answers["Login"] = no_reply
    await h.client.start()
    await fake.wait_for("Login")
    with pytest.raises(AmiDisconnected):
        await _call(h.client, call)  # connected, but not logged in
    await h.client.stop()
    with pytest.raises(AmiDisconnected):
        await _call(h.client, call)
    assert [action.name for action in fake.actions] == ["Challenge", "Login"]


async def _call(client: AmiClient, call: str) -> None:
    if call == "originate":
        await client.originate(ORDER, {})
    else:
        await getattr(client, call)("CoreShowChannels")


# -- events and lists -----------------------------------------------------------------------------------------


async def test_connection_survives_an_error_in_the_event_callback(
    fake: FakeAmi, caplog: pytest.LogCaptureFixture
) -> None:
    async with harness(fake) as h:

        def fail(event: Any) -> None:
            h.events.append(event)
            raise RuntimeError("a bug")

        h.on_event = fail
        await fake.connection.send([("Event", "Newchannel")], [("Event", "Hangup")])
        await h.event("Hangup")
        assert await h.client.send("Ping")
        assert len(fake.connections) == 1
        assert "a bug" in caplog.text


async def test_connection_survives_an_error_in_the_state_callback(fake: FakeAmi) -> None:
    def fail(state: AmiState) -> None:
        raise RuntimeError("a bug")

    client = AmiClient(fake.host, fake.port, "bazang", SECRET, on_event=lambda event: None, on_state=fail, times=TIMES)
    await client.start()
    await client.wait_connected(PATIENCE)
    await client.stop()


@pytest.mark.parametrize("when", ["before the reply", "with the reply", "after the time-out"])
async def test_originateresponse_is_an_event(fake: FakeAmi, when: str) -> None:
    """It has a header `Response`, but is no reply."""

    def originate_response(order: Action) -> list[tuple[str, str]]:
        return [
            ("Event", "OriginateResponse"),
            ("Privilege", "call,all"),
            ("ActionID", order.id),
            ("Response", "Failure"),
            ("Reason", "0"),
        ]

    async def answer(connection: Connection, action: Action) -> None:
        if when == "after the time-out":
            return
        reply = [("Response", "Success"), ("ActionID", action.id), ("Message", "Originate successfully queued")]
        messages = [reply, originate_response(action)]
        await connection.send(*(messages[::-1] if when == "before the reply" else messages))

    fake.answers["Originate"] = answer
    async with harness(fake) as h:
        if when == "after the time-out":
            with pytest.raises(AmiTimeout):
                await h.client.originate(ORDER, {}, timeout=0.02)
            await fake.connection.send(originate_response(fake.named("Originate")[0]))
        else:
            await h.client.originate(ORDER, {})
        await h.client.send("Ping")  # the event comes before the reply to this
        assert [e["Reason"] for e in h.events if e.event == "OriginateResponse"] == ["0"]


async def test_rows_of_a_list_are_separated_from_live_events(fake: FakeAmi) -> None:
    async def answer(connection: Connection, action: Action) -> None:
        def row(device: str) -> list[tuple[str, str]]:
            return [("Event", "DeviceStateChange"), ("Device", device), ("State", "NOT_INUSE")]

        action_id = ("ActionID", action.id)
        await connection.respond(action, "Success", ("EventList", "start"))
        await connection.send([*row("PJSIP/101"), action_id], row("PJSIP/live"), [*row("PJSIP/102"), action_id])
        await connection.send([("Event", "DeviceStateListComplete"), action_id, ("EventList", "Complete")])

    fake.answers["DeviceStateList"] = answer
    async with harness(fake) as h:
        rows = await h.client.collect("DeviceStateList")
        assert [row["Device"] for row in rows] == ["PJSIP/101", "PJSIP/102"]
        assert [e["Device"] for e in h.events if e.event == "DeviceStateChange"] == ["PJSIP/live"]


async def test_concurrent_lists_do_not_mix(fake: FakeAmi) -> None:
    waiting: list[tuple[Connection, Action]] = []

    async def answer(connection: Connection, action: Action) -> None:
        waiting.append((connection, action))
        if len(waiting) < 2:
            return
        for number in range(5):  # rows of both lists in turn
            for peer, query in waiting:
                await peer.send([("Event", "Row"), ("ActionID", query.id), ("Of", query.get("Which") + str(number))])
        for peer, query in waiting:
            await peer.send([("Event", "RowsComplete"), ("ActionID", query.id), ("EventList", "Complete")])

    fake.answers["Rows"] = answer
    async with harness(fake) as h:
        one, two = await asyncio.gather(
            h.client.collect("Rows", {"Which": "a"}), h.client.collect("Rows", {"Which": "b"})
        )
        assert [row["Of"] for row in one] == ["a0", "a1", "a2", "a3", "a4"]
        assert [row["Of"] for row in two] == ["b0", "b1", "b2", "b3", "b4"]


async def test_empty_list(fake: FakeAmi) -> None:
    fake.answers["QueueStatus"] = listing([], complete="QueueStatusComplete")
    async with harness(fake) as h:
        assert await h.client.collect("QueueStatus") == []


@pytest.mark.parametrize("word", ["cancelled", "Cancelled"])
async def test_cancelled_list_is_an_error(fake: FakeAmi, word: str) -> None:
    rows = [[("Event", "QueueMember"), ("Queue", "sales")]]
    fake.answers["QueueStatus"] = listing(rows, complete="QueueStatusComplete", end=word)
    async with harness(fake) as h:
        with pytest.raises(AmiError, match="cancelled the list"):
            await h.client.collect("QueueStatus")
        assert h.client.connected


async def test_refused_list_is_an_error(fake: FakeAmi) -> None:
    fake.answers["DBGet"] = refuse("Database entry not found")
    async with harness(fake) as h:
        with pytest.raises(AmiRefused, match="not found"):
            await h.client.collect("DBGet", {"Family": "bazang", "Key": "x"})


async def test_list_that_is_too_long_is_an_error(fake: FakeAmi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ami, "LARGEST_LIST", 10)
    fake.answers["QueueStatus"] = listing([[("Event", "QueueMember")]] * 20, complete="QueueStatusComplete")
    async with harness(fake) as h:
        with pytest.raises(AmiError, match="more than 10 rows"):
            await h.client.collect("QueueStatus")
        assert await h.client.send("Ping")


@pytest.mark.parametrize("repeated", ["ActionID", "Event", "EventList", "Response", "UserEvent"])
async def test_connection_survives_an_event_with_a_repeated_header(fake: FakeAmi, repeated: str) -> None:
    """A caller's name with a comma adds headers to a UserEvent of the office's own dialplan."""
    async with harness(fake) as h:
        await fake.connection.send(
            [("Event", "UserEvent"), ("UserEvent", "Other"), (repeated, "one"), (repeated, "two")],
            [("Event", "Hangup")],
        )
        assert await h.client.send("Ping")
        await h.event("Hangup")
        assert len(fake.connections) == 1


# -- lost connections -----------------------------------------------------------------------------------------


async def test_lost_connection_is_restored(fake: FakeAmi) -> None:
    async with harness(fake) as h:
        for times in (2, 3):
            fake.connection.drop()
            await h.status("connected", times)
            assert await h.client.send("Ping")
        assert [s.status for s in h.states] == ["connecting", "connected"] + ["down", "connecting", "connected"] * 2


async def test_silent_server_is_disconnected(fake: FakeAmi) -> None:
    times = AmiTimes(ping_every=0.02, silent_after=0.1, pauses=(0.01,))
    async with harness(fake, times) as h:
        fake.mute = True
        state = await h.status("down")
        assert "stopped responding" in state.detail
        fake.mute = False
        await h.status("connected", 2)


SILENT_AFTER = 1.0  # seconds; a busy machine takes some tenths of one


async def test_server_that_sends_only_events_stays_connected(fake: FakeAmi) -> None:
    fake.answers["Ping"] = no_reply
    async with harness(fake, AmiTimes(ping_every=0.05, silent_after=SILENT_AFTER, pauses=(0.01,))) as h:
        until = asyncio.get_running_loop().time() + 1.5 * SILENT_AFTER
        while asyncio.get_running_loop().time() < until:
            await fake.wait_for("Ping", len(fake.named("Ping")) + 1)
            await fake.connection.send([("Event", "VarSet")])
        assert len(fake.connections) == 1
        assert [s.status for s in h.states] == ["connecting", "connected"]


async def test_server_that_only_answers_pings_stays_connected(fake: FakeAmi) -> None:
    async with harness(fake, AmiTimes(ping_every=0.05, silent_after=SILENT_AFTER)) as h:
        until = asyncio.get_running_loop().time() + 1.5 * SILENT_AFTER
        while asyncio.get_running_loop().time() < until:
            await fake.wait_for("Ping", len(fake.named("Ping")) + 1)
        assert [s.status for s in h.states] == ["connecting", "connected"]


# -- stopping -------------------------------------------------------------------------------------------------


async def test_stop_logs_off(fake: FakeAmi) -> None:
    async with harness(fake) as h:
        pass
    assert len(fake.named("Logoff")) == 1
    await asyncio.wait_for(fake.connection.closed.wait(), PATIENCE)
    assert (h.client.state.status, h.client.state.detail) == ("down", "stopped")
    assert not h.client.connected


async def test_stop_does_not_wait_for_a_silent_server(fake: FakeAmi) -> None:
    async with harness(fake) as h:
        fake.mute = True
        async with asyncio.timeout(2):
            await h.client.stop()
    await asyncio.wait_for(fake.connection.closed.wait(), PATIENCE)


async def test_client_that_is_stopped_in_a_pause_stays_stopped(fake: FakeAmi) -> None:
    async with harness(fake, AmiTimes(pauses=(0.05,))) as h:
        fake.connection.drop()
        await h.status("down")
        await h.client.stop()
        with pytest.raises(TimeoutError):
            await fake.connections.count(2, timeout=0.2)  # four times the pause
        assert not h.client.connected


@pytest.mark.parametrize("step", ["greeting", "Challenge", "Login", "CoreSettings"])
async def test_client_can_be_stopped_while_it_connects(fake: FakeAmi, step: str) -> None:
    if step == "greeting":
        fake.mute = True
    else:
        fake.answers[step] = no_reply
    async with harness(fake, AmiTimes(action=60, login=60), connected=False) as h:
        if step == "greeting":
            await fake.connections.count(1)
        else:
            await fake.wait_for(step)
        async with asyncio.timeout(PATIENCE):
            await h.client.stop()
    await asyncio.wait_for(fake.connection.closed.wait(), PATIENCE)


@pytest.mark.parametrize("where", ["_log_in", "_watch"])
async def test_fault_of_the_client_itself_does_not_end_it(
    fake: FakeAmi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    """Without a connection nobody would be called back any more, and nothing but a start of the worker would help."""
    rightly, faults = getattr(AmiClient, where), [KeyError("a bug")]

    async def fail_once(client: AmiClient) -> None:
        if faults:
            raise faults.pop()
        await rightly(client)

    monkeypatch.setattr(AmiClient, where, fail_once)
    async with harness(fake, AmiTimes(pauses=(0.01,)), connected=False) as h:
        await fake.connections.count(2)
        await h.client.wait_connected(PATIENCE)
        assert await h.client.send("Ping")
    assert "a bug" in caplog.text


async def test_client_can_be_started_and_stopped_twice(fake: FakeAmi) -> None:
    async with harness(fake) as h:
        await h.client.start()
        await h.client.send("Ping")
        assert len(fake.connections) == 1
        await h.client.stop()
        await h.client.stop()
        await h.client.start()
        await h.client.wait_connected(PATIENCE)
        assert await h.client.send("Ping")


async def test_wait_for_a_connection_times_out(fake: FakeAmi) -> None:
    await fake.stop()
    async with harness(fake, connected=False) as h:
        with pytest.raises(TimeoutError):
            await h.client.wait_connected(0.05)


async def test_secret_is_not_logged(fake: FakeAmi, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with harness(fake, secret="hunter2", connected=False) as h:
        await h.status("refused")
    assert "hunter2" not in caplog.text


# -- other settings -------------------------------------------------------------------------------------------


async def test_only_changed_settings_cause_a_reconnection(fake: FakeAmi) -> None:
    async with fake_ami(secret="other", version="16.28.0") as second, harness(fake) as h:
        assert not await h.client.use(fake.host, fake.port, "bazang", SECRET)
        assert (h.client.connected, len(fake.connections)) == (True, 1)
        assert await h.client.use(second.host, second.port, "bazang2", "other")
        await h.client.wait_connected(PATIENCE)
        assert h.client.address == (second.host, second.port)
        assert (second.named("Login")[0].get("Username"), h.client.state.version) == ("bazang2", "16.28.0")
        assert fake.named("Logoff")
        assert [s.status for s in h.states] == ["connecting", "connected", "down", "connecting", "connected"]


async def test_changed_settings_of_a_stopped_client_are_used_at_its_start(fake: FakeAmi) -> None:
    client = Harness(fake, TIMES, "wrong").client
    assert await client.use(fake.host, fake.port, "bazang", SECRET)
    assert fake.connections == []
    await client.start()
    await client.wait_connected(PATIENCE)
    await client.stop()


@pytest.mark.parametrize("secret", ["hunter2\r\nAction: Reboot", "hunter2" * 300])
async def test_secret_that_cannot_be_sent_is_not_logged(
    fake: FakeAmi, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with harness(fake, secret=secret, connected=False) as h:
        await h.status("down")
        assert "Secret" in h.client.state.detail
        assert "hunter2" not in h.client.state.detail + caplog.text
    assert fake.named("Login") == []


# Ordinary events


@pytest.mark.parametrize("recorded", sorted(RECORDED.glob("*.txt")), ids=lambda path: path.stem)
def test_events_are_parsed_as_panoramisk_does(recorded: Path) -> None:
    blocks = [block for block in recorded.read_bytes().split(b"\r\n\r\n") if block]
    assert len(blocks) > 20
    for block in blocks:
        message = Message.from_line(block.decode())
        assert _parse_event(block) == {name: value for name, value in message.items() if name != "content"}


def test_row_of_a_list_is_parsed_as_an_event() -> None:
    assert _parse_event(b"Event: QueueMember\r\nActionID: 7\r\nPaused: 0") == {
        "Event": "QueueMember",
        "ActionID": "7",
        "Paused": "0",
    }


@pytest.mark.parametrize(
    "block",
    [
        b"Response: Success\r\nMessage: Originate successfully queued",
        b"Event: UserEvent\r\nStep: a\r\nStep: b",
        b"Event: Newchannel\r\nno header\r\nCallerIDName: a: b",
        b"Event: Newchannel\r\nCallerIDName: a: b",
        b"Event: Newchannel\r\nno header",
        b"Event: AsyncAGIExec\r\nResult: 200%20result%3D0",
    ],
)
def test_other_messages_are_left_to_panoramisk(block: bytes) -> None:
    assert _parse_event(block) is None
