"""The AMI client against a manager interface with every vice: each test is a way in which others lose calls."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

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
)
from tests.support.fake_ami import (
    PATIENCE,
    Action,
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


class Office:
    """A client and what it said of itself."""

    def __init__(self, fake: FakeAmi, times: AmiTimes, secret: str) -> None:
        self.fake = fake
        self.events, self.states = Received(), Received()
        self.on_event: Callable[[Any], None] = self.events.append
        self.client = AmiClient(
            fake.host,
            fake.port,
            "bazang",
            secret,
            on_event=lambda event: self.on_event(event),
            on_state=self.states.append,
            times=times,
        )

    async def status(self, status: str, count: int = 1) -> AmiState:
        """Return the `count`-th state of this status, when it came."""
        found = await self.states.until(lambda heard: [s for s in heard if s.status == status][count - 1 : count])
        return found[0]

    async def event(self, name: str) -> Any:
        found = await self.events.until(lambda heard: [e for e in heard if e.event == name])
        return found[0]


@asynccontextmanager
async def office(
    fake: FakeAmi, times: AmiTimes = TIMES, secret: str = SECRET, *, connected: bool = True
) -> AsyncIterator[Office]:
    made = Office(fake, times, secret)
    await made.client.start()
    try:
        if connected:
            await made.client.wait_connected(PATIENCE)
        yield made
    finally:
        async with asyncio.timeout(PATIENCE):
            await made.client.stop()


@pytest.fixture
async def fake() -> AsyncIterator[FakeAmi]:
    async with fake_ami() as server:
        yield server


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> Received:
    """The pauses that the client means to make, taken without their length."""
    wished = Received()
    pause = ami._pause

    async def record(pauses: Any, failures: int) -> None:
        wished.append(pauses[min(failures, len(pauses) - 1)])
        await pause((0.001,), 0)

    monkeypatch.setattr(ami, "_pause", record)
    return wished


ORDER = {"Channel": "Local/s@bazang-agent/n", "Context": "bazang-customer", "Exten": "s", "Priority": "1"}


# -- the way in -----------------------------------------------------------------------------------------------


async def test_it_logs_in_and_tells_the_version(fake: FakeAmi) -> None:
    async with office(fake) as o:
        login = fake.named("Login")[0]
        assert (login.get("Username"), login.get("Secret"), login.get("Events")) == ("bazang", SECRET, "on")
        assert [s.status for s in o.states] == ["connecting", "connected"]
        assert o.client.state.version == "22.10.1"
        assert o.client.connected


async def test_a_user_who_is_not_told_of_the_boot_connects_all_the_same() -> None:
    async with fake_ami(booted=False) as fake, office(fake) as o:
        assert o.client.connected
        assert await o.client.send("Ping")


async def test_who_is_told_of_the_boot_does_not_wait_for_longer(fake: FakeAmi) -> None:
    async with office(fake, AmiTimes(booted=60)) as o:
        assert o.client.connected


async def test_a_user_who_may_not_ask_for_the_version_connects_all_the_same(fake: FakeAmi) -> None:
    fake.answers["CoreSettings"] = refuse("Permission denied")
    async with office(fake) as o:
        assert (o.client.state.status, o.client.state.version) == ("connected", "")


async def test_the_connection_is_dropped_between_login_and_connected(fake: FakeAmi) -> None:
    fake.answers["CoreSettings"] = drop
    async with office(fake, connected=False) as o:
        await o.status("down")
        assert not o.client.connected
        del fake.answers["CoreSettings"]
        await o.client.wait_connected(PATIENCE)


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\r\n\r\n"])
async def test_what_answers_and_is_no_ami_is_left(greeting: bytes) -> None:
    async with fake_ami() as fake:
        fake.greeting = greeting
        async with office(fake, connected=False) as o:
            await o.status("down", 1)
            await fake.connections.count(2)
            assert fake.actions == []
            assert not any(s.status == "connected" for s in o.states)


async def test_what_accepts_and_never_greets_is_left() -> None:
    async with fake_ami() as fake:
        fake.mute = True
        async with office(fake, AmiTimes(login=0.05, pauses=(0.01,)), connected=False) as o:
            assert (await o.status("down")).detail
            await fake.connections.count(2)


async def test_a_login_without_a_reply_is_given_up(fake: FakeAmi) -> None:
    fake.answers["Login"] = no_reply
    async with office(fake, AmiTimes(login=0.05, pauses=(0.01,)), connected=False) as o:
        assert "Login" in (await o.status("down")).detail
        await fake.wait_for("Login", 2)


async def test_a_wrong_secret_is_told_and_tried_again_slowly(fake: FakeAmi, pauses: Received) -> None:
    async with office(fake, AmiTimes(refused_pauses=(1, 5, 30), pauses=(0.01,)), "wrong", connected=False) as o:
        state = await o.status("refused")
        assert "secret" in state.detail
        await pauses.count(5)
        assert pauses[:5] == [1, 5, 30, 30, 30]
        assert not any(s.status == "connected" for s in o.states)
        fake.secret = "wrong"
        await o.client.wait_connected(PATIENCE)


async def test_nobody_listening_is_tried_again_with_growing_pauses(fake: FakeAmi, pauses: Received) -> None:
    await fake.stop()
    async with office(fake, AmiTimes(pauses=(0.25, 0.5, 1, 2, 30)), connected=False) as o:
        await pauses.count(7)
        assert pauses[:7] == [0.25, 0.5, 1, 2, 30, 30, 30]
        assert (await o.status("down")).detail
        await fake.start()
        await o.client.wait_connected(PATIENCE)


async def test_the_pauses_begin_anew_after_a_success(fake: FakeAmi, pauses: Received) -> None:
    await fake.stop()
    async with office(fake, AmiTimes(pauses=(1, 2, 3, 4), stable=0), connected=False) as o:
        await pauses.count(3)
        await fake.start()
        await o.client.wait_connected(PATIENCE)
        made = len(pauses)
        fake.connection.drop()
        await o.status("connected", 2)
        assert pauses[made:] == [1]


async def test_a_peer_that_drops_us_at_once_is_knocked_at_ever_more_slowly(fake: FakeAmi, pauses: Received) -> None:
    async with office(fake, AmiTimes(pauses=(1, 2, 3, 4))) as o:
        for times in (2, 3, 4):
            fake.connection.drop()
            await o.status("connected", times)
        assert pauses[:3] == [1, 2, 3]


@pytest.mark.parametrize("pause", [0.1, 2.0, 30.0])
async def test_a_pause_is_spread_so_that_not_all_come_back_at_once(
    pause: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(ami.asyncio, "sleep", sleep)
    for failures in range(50):
        await ami._pause((99.0, pause), failures + 1)
    assert all(0.8 * pause <= seconds <= 1.2 * pause for seconds in slept)
    assert len(set(slept)) > 1


# -- bytes ----------------------------------------------------------------------------------------------------

NAME = "سارا مُحمدی ۱۲"


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 7, 64])
async def test_a_letter_split_over_two_chunks_survives(
    fake: FakeAmi, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces: list[bytes] = []
    receive = ami._Protocol.data_received
    monkeypatch.setattr(
        ami._Protocol, "data_received", lambda self, data: (pieces.append(data), receive(self, data))[1]
    )
    async with office(fake) as o:
        pieces.clear()
        fake.chunk = chunk
        await fake.connection.send(
            [("Event", "Newchannel"), ("CallerIDName", NAME)], [("Event", "Hangup"), ("Cause-txt", NAME)]
        )
        assert (await o.event("Newchannel"))["CallerIDName"] == NAME
        assert (await o.event("Hangup"))["Cause-txt"] == NAME
        if chunk % 2:
            assert any(_is_broken(piece) for piece in pieces), "no letter was ever split: the test proves nothing"


def _is_broken(piece: bytes) -> bool:
    try:
        piece.decode()
    except UnicodeDecodeError:
        return True
    return False


async def test_the_login_survives_single_bytes() -> None:
    async with fake_ami() as fake:
        fake.chunk = 1
        async with office(fake, AmiTimes()) as o:
            assert o.client.state.version == "22.10.1"


async def test_bytes_that_are_no_utf8_harm_nobody(fake: FakeAmi) -> None:
    async with office(fake) as o:
        await fake.connection.write(b"Event: Newchannel\r\nCallerIDName: \xff\xd9\r\n\r\n")
        await fake.connection.send([("Event", "Hangup")])
        assert (await o.event("Newchannel"))["CallerIDName"].startswith("\ufffd")
        await o.event("Hangup")
        assert len(fake.connections) == 1


@pytest.mark.parametrize("noise", [b"\r\n\r\n\r\n\r\n", b"what is this\r\n\r\n", b": \r\n\r\n", b"\0\0\r\n\r\n"])
async def test_blocks_that_are_no_message_are_passed_over(fake: FakeAmi, noise: bytes) -> None:
    async with office(fake) as o:
        await fake.connection.write(noise)
        await fake.connection.send([("Event", "Hangup")])
        await o.event("Hangup")
        assert len(fake.connections) == 1


async def test_a_message_without_end_ends_the_connection(fake: FakeAmi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ami, "LONGEST_MESSAGE", 4096)
    async with office(fake) as o:
        await fake.connection.write(b"Event: Newchannel\r\nCallerIDName: " + b"x" * 4000)
        await fake.connection.write(b"x" * 500)
        await o.status("down")
        await o.status("connected", 2)
        assert o.events == [] or all(e.event == "FullyBooted" for e in o.events)


async def test_a_flood_of_events_is_taken_whole_and_in_order(fake: FakeAmi) -> None:
    async with office(fake) as o:
        flood = b"".join(b"Event: VarSet\r\nNumber: %d\r\n\r\n" % number for number in range(20_000))
        await asyncio.gather(fake.connection.write(flood), o.client.send("Ping"))
        await o.events.until(lambda heard: heard[-1].get("Number") == "19999", 20)
        assert [int(e["Number"]) for e in o.events if e.event == "VarSet"] == list(range(20_000))


@pytest.mark.parametrize("bad", ["\r\n", "\r", "\n", "\0", "a\r\nAction: Originate"])
@pytest.mark.parametrize("place", ["action", "value", "variable", "name", "collect"])
async def test_what_could_add_a_header_is_refused_and_nothing_is_sent(fake: FakeAmi, bad: str, place: str) -> None:
    async with office(fake, AmiTimes()) as o:
        before = fake.received
        with pytest.raises(AmiUnsafe):
            match place:
                case "action":
                    await o.client.send(f"Ping{bad}")
                case "value":
                    await o.client.send("Hangup", {"Channel": f"PJSIP/101{bad}"})
                case "variable":
                    await o.client.originate(ORDER, {"BAZANG_NUMBER": f"0912{bad}"})
                case "name":
                    await o.client.send("Hangup", [(f"Channel{bad}", "PJSIP/101")])
                case "collect":
                    await o.client.collect("DBGet", {"Key": bad})
        await o.client.send("Ping")
        sent = fake.received.removeprefix(before)
        assert sent.count(b"Action:") == 1
        assert b"Action: Ping" in sent


@pytest.mark.parametrize(("name", "value"), [("A", "1,B=2"), ("A", ","), ("A=1,B", "2"), ("A B", "1"), ("", "1")])
async def test_a_variable_sets_no_other_variable(fake: FakeAmi, name: str, value: str) -> None:
    async with office(fake) as o:
        with pytest.raises(AmiUnsafe):
            await o.client.originate(ORDER, {name: value})
        await o.client.send("Ping")
        assert fake.named("Originate") == []


async def test_a_line_that_asterisk_would_throw_away_is_refused(fake: FakeAmi) -> None:
    """It throws the whole message away, and never says so: a caller in doubt is worse than one refused."""
    async with office(fake) as o:
        for value in ("x" * 1100, "ض" * 550):  # Persian letters are two bytes
            with pytest.raises(AmiUnsafe, match="too long"):
                await o.client.originate(ORDER, {"A": value})
            with pytest.raises(AmiUnsafe, match="too long"):
                await o.client.send("Hangup", {"Channel": value})
        await o.client.originate(ORDER, {"A": "x" * 950, "B": "ض" * 475})
        (sent,) = fake.named("Originate")
        assert max(len(f"{key}: {value}\r\n".encode()) for key, value in sent.pairs) < 1024


async def test_a_value_must_be_text(fake: FakeAmi) -> None:
    async with office(fake) as o:
        with pytest.raises(AmiUnsafe):
            await o.client.send("Originate", {"Timeout": 5000})  # type: ignore[dict-item]


# -- actions --------------------------------------------------------------------------------------------------


async def test_an_originate_is_asynchronous_and_has_a_line_per_variable(fake: FakeAmi) -> None:
    async with office(fake) as o:
        await o.client.originate({**ORDER, "Async": "false"}, {"__A": "1", "__B": "سه = 3"})
        order = fake.named("Originate")[0]
        assert order.all("Async") == ["true"]
        assert order.all("Variable") == ["__A=1", "__B=سه = 3"]
        assert {key: order.get(key) for key in ORDER} == ORDER


async def test_a_refusal_is_told_with_the_exchanges_words(fake: FakeAmi) -> None:
    fake.answers["Originate"] = refuse("Extension does not exist.")
    async with office(fake) as o:
        with pytest.raises(AmiRefused, match=r"Extension does not exist\."):
            await o.client.originate(ORDER, {})
        assert o.client.connected


async def test_an_order_whose_reply_was_lost_is_not_sent_again(fake: FakeAmi) -> None:
    fake.answers["Originate"] = drop
    async with office(fake) as o:
        with pytest.raises(AmiDisconnected):
            await o.client.originate(ORDER, {"__A": "1"})
        await o.status("connected", 2)
        # Everything that would be sent at the reconnect goes before this, for the bytes keep their order.
        await o.client.send("Ping")
        assert len(fake.named("Originate")) == 1


async def test_an_order_that_timed_out_is_not_sent_again(fake: FakeAmi) -> None:
    fake.answers["Originate"] = no_reply
    async with office(fake) as o:
        with pytest.raises(AmiTimeout):
            await o.client.originate(ORDER, {}, timeout=0.05)
        fake.connection.drop()
        await o.status("connected", 2)
        await o.client.send("Ping")
        assert len(fake.named("Originate")) == 1


@pytest.mark.parametrize("call", ["send", "collect", "originate"])
async def test_every_action_has_a_time_out(fake: FakeAmi, call: str) -> None:
    fake.answers |= {"Slow": no_reply, "Originate": no_reply}
    async with office(fake, AmiTimes(action=0.05)) as o:
        with pytest.raises(AmiTimeout):
            async with asyncio.timeout(PATIENCE):
                if call == "originate":
                    await o.client.originate(ORDER, {})
                else:
                    await getattr(o.client, call)("Slow")
        assert await o.client.send("Ping")


async def test_a_reply_after_the_time_out_is_nobodys(fake: FakeAmi) -> None:
    fake.answers["Slow"] = no_reply
    async with office(fake) as o:
        with pytest.raises(AmiTimeout):
            await o.client.send("Slow", timeout=0.02)
        await fake.connection.respond(fake.named("Slow")[0], "Success", ("Message", "late"))
        reply = await o.client.send("Ping")
        assert reply.message == "Done"
        assert o.client._protocol is not None
        assert o.client._protocol.pending == {}


async def test_an_abandoned_action_leaves_nothing_behind(fake: FakeAmi) -> None:
    fake.answers["Slow"] = no_reply
    async with office(fake) as o:
        task = asyncio.create_task(o.client.send("Slow"))
        await fake.wait_for("Slow")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert o.client._protocol is not None
        assert o.client._protocol.pending == {}


async def test_two_hundred_actions_at_once_get_each_their_own_answer(fake: FakeAmi) -> None:
    waiting: list[tuple[Connection, Action]] = []

    async def answer_backwards(connection: Connection, action: Action) -> None:
        waiting.append((connection, action))
        if len(waiting) == 200:
            for peer, asked in reversed(waiting):
                await peer.respond(asked, "Success", ("Value", asked.get("Variable")))

    fake.answers["Getvar"] = answer_backwards
    async with office(fake) as o:
        replies = await asyncio.gather(*(o.client.send("Getvar", {"Variable": str(n)}) for n in range(200)))
        assert [reply["Value"] for reply in replies] == [str(n) for n in range(200)]


async def test_pending_actions_fail_when_the_connection_is_lost(fake: FakeAmi) -> None:
    fake.answers |= {"Slow": no_reply, "SlowList": no_reply}
    async with office(fake, AmiTimes(action=60, pauses=(0.01,))) as o:
        waits = [asyncio.create_task(o.client.send("Slow")), asyncio.create_task(o.client.collect("SlowList"))]
        await fake.wait_for("Slow")
        await fake.wait_for("SlowList")
        fake.connection.drop()
        async with asyncio.timeout(PATIENCE):
            results = await asyncio.gather(*waits, return_exceptions=True)
        assert [type(result) for result in results] == [AmiDisconnected, AmiDisconnected]


@pytest.mark.parametrize("call", ["send", "collect", "originate"])
async def test_without_a_connection_nothing_is_kept_for_later(fake: FakeAmi, call: str) -> None:
    o = Office(fake, TIMES, SECRET)
    with pytest.raises(AmiDisconnected):
        await _call(o.client, call)
    fake.answers["Login"] = no_reply
    await o.client.start()
    await fake.wait_for("Login")
    with pytest.raises(AmiDisconnected):
        await _call(o.client, call)  # there is a socket, but nobody is logged in
    await o.client.stop()
    with pytest.raises(AmiDisconnected):
        await _call(o.client, call)
    assert [action.name for action in fake.actions] == ["Login"]


async def _call(client: AmiClient, call: str) -> None:
    if call == "originate":
        await client.originate(ORDER, {})
    else:
        await getattr(client, call)("CoreShowChannels")


# -- events and lists -----------------------------------------------------------------------------------------


async def test_a_callback_that_raises_does_not_cost_the_connection(
    fake: FakeAmi, caplog: pytest.LogCaptureFixture
) -> None:
    async with office(fake) as o:

        def fail(event: Any) -> None:
            o.events.append(event)
            raise RuntimeError("a fault of ours")

        o.on_event = fail
        await fake.connection.send([("Event", "Newchannel")], [("Event", "Hangup")])
        await o.event("Hangup")
        assert await o.client.send("Ping")
        assert len(fake.connections) == 1
        assert "a fault of ours" in caplog.text


async def test_a_state_callback_that_raises_does_not_cost_the_connection(fake: FakeAmi) -> None:
    def fail(state: AmiState) -> None:
        raise RuntimeError("a fault of ours")

    client = AmiClient(fake.host, fake.port, "bazang", SECRET, on_event=lambda event: None, on_state=fail, times=TIMES)
    await client.start()
    await client.wait_connected(PATIENCE)
    await client.stop()


@pytest.mark.parametrize(
    "when",
    [
        "before the reply",
        "with the reply",
        "after the time-out",
    ],
)
async def test_the_news_of_an_order_reaches_everybody(fake: FakeAmi, when: str) -> None:
    """An OriginateResponse has a header `Response`, as replies have, and must not be taken for one."""

    def news(order: Action) -> list[tuple[str, str]]:
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
        first, second = (news(action), reply) if when == "before the reply" else (reply, news(action))
        await connection.send(first, second)

    fake.answers["Originate"] = answer
    async with office(fake) as o:
        if when == "after the time-out":
            with pytest.raises(AmiTimeout):
                await o.client.originate(ORDER, {}, timeout=0.02)
            await fake.connection.send(news(fake.named("Originate")[0]))
        else:
            await o.client.originate(ORDER, {})
        await o.client.send("Ping")  # whatever comes of the order came before this reply
        assert [e["Reason"] for e in o.events if e.event == "OriginateResponse"] == ["0"]


async def test_rows_of_a_list_are_told_from_live_events(fake: FakeAmi) -> None:
    async def answer(connection: Connection, action: Action) -> None:
        def row(device: str) -> list[tuple[str, str]]:
            return [("Event", "DeviceStateChange"), ("Device", device), ("State", "NOT_INUSE")]

        mine = ("ActionID", action.id)
        await connection.respond(action, "Success", ("EventList", "start"))
        await connection.send([*row("PJSIP/101"), mine], row("PJSIP/live"), [*row("PJSIP/102"), mine])
        await connection.send([("Event", "DeviceStateListComplete"), mine, ("EventList", "Complete")])

    fake.answers["DeviceStateList"] = answer
    async with office(fake) as o:
        rows = await o.client.collect("DeviceStateList")
        assert [row["Device"] for row in rows] == ["PJSIP/101", "PJSIP/102"]
        assert [e["Device"] for e in o.events if e.event == "DeviceStateChange"] == ["PJSIP/live"]


async def test_two_lists_at_once_do_not_mix(fake: FakeAmi) -> None:
    held: list[tuple[Connection, Action]] = []

    async def answer(connection: Connection, action: Action) -> None:
        held.append((connection, action))
        if len(held) < 2:
            return
        for number in range(5):  # the rows of both, taking turns
            for peer, asked in held:
                await peer.send([("Event", "Row"), ("ActionID", asked.id), ("Of", asked.get("Which") + str(number))])
        for peer, asked in held:
            await peer.send([("Event", "RowsComplete"), ("ActionID", asked.id), ("EventList", "Complete")])

    fake.answers["Rows"] = answer
    async with office(fake) as o:
        one, two = await asyncio.gather(
            o.client.collect("Rows", {"Which": "a"}), o.client.collect("Rows", {"Which": "b"})
        )
        assert [row["Of"] for row in one] == ["a0", "a1", "a2", "a3", "a4"]
        assert [row["Of"] for row in two] == ["b0", "b1", "b2", "b3", "b4"]


async def test_an_empty_list_is_a_list(fake: FakeAmi) -> None:
    fake.answers["QueueStatus"] = listing([], complete="QueueStatusComplete")
    async with office(fake) as o:
        assert await o.client.collect("QueueStatus") == []


@pytest.mark.parametrize("word", ["cancelled", "Cancelled"])
async def test_a_list_that_is_broken_off_is_no_list(fake: FakeAmi, word: str) -> None:
    rows = [[("Event", "QueueMember"), ("Queue", "sales")]]
    fake.answers["QueueStatus"] = listing(rows, complete="QueueStatusComplete", end=word)
    async with office(fake) as o:
        with pytest.raises(AmiError, match="cancelled the list"):
            await o.client.collect("QueueStatus")
        assert o.client.connected


async def test_a_list_may_be_refused(fake: FakeAmi) -> None:
    fake.answers["DBGet"] = refuse("Database entry not found")
    async with office(fake) as o:
        with pytest.raises(AmiRefused, match="not found"):
            await o.client.collect("DBGet", {"Family": "bazang", "Key": "x"})


async def test_a_list_that_never_ends_is_given_up(fake: FakeAmi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ami, "LARGEST_LIST", 10)
    fake.answers["QueueStatus"] = listing([[("Event", "QueueMember")]] * 20, complete="QueueStatusComplete")
    async with office(fake) as o:
        with pytest.raises(AmiError, match="more than 10 rows"):
            await o.client.collect("QueueStatus")
        assert await o.client.send("Ping")


@pytest.mark.parametrize("doubled", ["ActionID", "Event", "EventList", "Response", "UserEvent"])
async def test_an_event_with_a_doubled_header_does_not_cost_the_connection(fake: FakeAmi, doubled: str) -> None:
    """A caller's name with a comma adds headers to a UserEvent of the office's own dialplan."""
    async with office(fake) as o:
        await fake.connection.send(
            [("Event", "UserEvent"), ("UserEvent", "Other"), (doubled, "one"), (doubled, "two")],
            [("Event", "Hangup")],
        )
        assert await o.client.send("Ping")
        await o.event("Hangup")
        assert len(fake.connections) == 1


# -- losses ---------------------------------------------------------------------------------------------------


async def test_it_comes_back_by_itself(fake: FakeAmi) -> None:
    async with office(fake) as o:
        for times in (2, 3):
            fake.connection.drop()
            await o.status("connected", times)
            assert await o.client.send("Ping")
        assert [s.status for s in o.states] == ["connecting", "connected"] + ["down", "connecting", "connected"] * 2


async def test_a_mute_peer_is_noticed(fake: FakeAmi) -> None:
    times = AmiTimes(ping_every=0.02, silent_after=0.1, pauses=(0.01,))
    async with office(fake, times) as o:
        fake.mute = True
        state = await o.status("down")
        assert state.detail
        fake.mute = False
        await o.status("connected", 2)


async def test_events_alone_are_life_enough(fake: FakeAmi) -> None:
    """Whoever never answers a ping but tells of events is alive."""
    fake.answers["Ping"] = no_reply
    async with office(fake, AmiTimes(ping_every=0.02, silent_after=0.2, pauses=(0.01,))) as o:
        for _ in range(20):
            await fake.wait_for("Ping", len(fake.named("Ping")) + 1)
            await fake.connection.send([("Event", "VarSet")])
        assert len(fake.connections) == 1
        assert [s.status for s in o.states] == ["connecting", "connected"]


async def test_a_quiet_exchange_that_answers_pings_is_alive(fake: FakeAmi) -> None:
    async with office(fake, AmiTimes(ping_every=0.02, silent_after=0.2)) as o:
        await fake.wait_for("Ping", 15)
        assert [s.status for s in o.states] == ["connecting", "connected"]


# -- the end --------------------------------------------------------------------------------------------------


async def test_stopping_logs_off(fake: FakeAmi) -> None:
    async with office(fake) as o:
        pass
    assert len(fake.named("Logoff")) == 1
    await asyncio.wait_for(fake.connection.closed.wait(), PATIENCE)
    assert (o.client.state.status, o.client.state.detail) == ("down", "stopped")
    assert not o.client.connected


async def test_stopping_does_not_wait_for_a_peer_that_is_mute(fake: FakeAmi) -> None:
    async with office(fake) as o:
        fake.mute = True
        async with asyncio.timeout(2):
            await o.client.stop()
    await asyncio.wait_for(fake.connection.closed.wait(), PATIENCE)


async def test_stopped_in_the_pause_it_stays_stopped(fake: FakeAmi) -> None:
    async with office(fake, AmiTimes(pauses=(0.05,))) as o:
        fake.connection.drop()
        await o.status("down")
        await o.client.stop()
        with pytest.raises(TimeoutError):
            await fake.connections.count(2, timeout=0.2)  # four times the pause
        assert not o.client.connected


@pytest.mark.parametrize("stage", ["greeting", "Login", "CoreSettings"])
async def test_it_can_be_stopped_while_it_connects(fake: FakeAmi, stage: str) -> None:
    if stage == "greeting":
        fake.mute = True
    else:
        fake.answers[stage] = no_reply
    async with office(fake, AmiTimes(action=60, login=60), connected=False) as o:
        if stage == "greeting":
            await fake.connections.count(1)
        else:
            await fake.wait_for(stage)
        async with asyncio.timeout(PATIENCE):
            await o.client.stop()
    await asyncio.wait_for(fake.connection.closed.wait(), PATIENCE)


async def test_it_can_be_started_and_stopped_twice(fake: FakeAmi) -> None:
    async with office(fake) as o:
        await o.client.start()
        await o.client.send("Ping")
        assert len(fake.connections) == 1
        await o.client.stop()
        await o.client.stop()
        await o.client.start()
        await o.client.wait_connected(PATIENCE)
        assert await o.client.send("Ping")


async def test_waiting_for_a_connection_has_an_end(fake: FakeAmi) -> None:
    await fake.stop()
    async with office(fake, connected=False) as o:
        with pytest.raises(TimeoutError):
            await o.client.wait_connected(0.05)


async def test_the_secret_is_never_logged(fake: FakeAmi, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with office(fake, secret="geheim", connected=False) as o:
        await o.status("refused")
    assert "geheim" not in caplog.text


# -- another exchange -----------------------------------------------------------------------------------------


async def test_other_values_connect_anew_and_the_same_do_nothing(fake: FakeAmi) -> None:
    async with fake_ami(secret="other", version="16.28.0") as second, office(fake) as o:
        assert not await o.client.use(fake.host, fake.port, "bazang", SECRET)
        assert (o.client.connected, len(fake.connections)) == (True, 1)
        assert await o.client.use(second.host, second.port, "bazang2", "other")
        await o.client.wait_connected(PATIENCE)
        assert o.client.address == (second.host, second.port)
        assert (second.named("Login")[0].get("Username"), o.client.state.version) == ("bazang2", "16.28.0")
        assert fake.named("Logoff")
        assert [s.status for s in o.states] == ["connecting", "connected", "down", "connecting", "connected"]


async def test_other_values_are_kept_for_the_start_where_it_does_not_run(fake: FakeAmi) -> None:
    made = Office(fake, TIMES, "wrong")
    assert await made.client.use(fake.host, fake.port, "bazang", SECRET)
    assert fake.connections == []
    await made.client.start()
    await made.client.wait_connected(PATIENCE)
    await made.client.stop()


@pytest.mark.parametrize("secret", ["geheim\r\nAction: Reboot", "geheim" * 300])
async def test_secret_that_cannot_be_sent_is_not_repeated(
    fake: FakeAmi, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with office(fake, secret=secret, connected=False) as o:
        await o.status("down")
        assert "Secret" in o.client.state.detail
        assert "geheim" not in o.client.state.detail + caplog.text
    assert fake.named("Login") == []
