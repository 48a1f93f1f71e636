"""Malformed lines of the PBX, and of what pretends to be it: no error gets out, and nothing stays in memory.

tests/telephony/test_bad_rows.py is about well-formed messages with bad values.
"""

import asyncio
import random
import string
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.telephony import ami
from app.telephony.agi import AgiBroken, AgiServer, AgiSession, CannotWrite, HungUp, Sound
from app.telephony.agi_connection import HEADER_BYTES, LONGEST_LINE, AgiConnection, HeadersTooLong, parse_headers
from app.telephony.ami import AmiUnsafe, _Protocol
from tests.support.fake_agi import SECRET, FakeCall, make_access

LINES = 10_000
SOUND = Sound("/prompts/intro", 1.0)
PIECES = (
    b": ",
    b":",
    b" ",
    b"\r",
    b"\n",
    b"\0",
    b"=",
    b"(",
    b")",
    b'"',
    b"-1",
    b"9" * 5000,
    b"\xff\xfe",
    b"\xd9",
    b"\xe2\x80\xae",
)


def mutations(seeds: tuple[bytes, ...], count: int) -> Iterator[bytes]:
    """Yield lines that begin as real ones: with bytes changed, cut off, doubled, and pieces with a meaning inserted."""
    generator = random.Random(12)
    for number in range(count):
        line = bytearray(seeds[number % len(seeds)])
        for _ in range(generator.randint(1, 4)):
            at = generator.randint(0, len(line))
            match generator.randint(0, 3):
                case 0:
                    line[at:at] = generator.choice(PIECES)
                case 1:
                    del line[at : at + generator.randint(1, 8)]
                case 2:
                    line[at:at] = line[: generator.randint(0, 20)]
                case _:
                    line[at : at + 1] = bytes([generator.randrange(256)])
        yield bytes(line)


# -- AMI --------------------------------------------------------------------------------------------------------------

AMI_LINES = (
    b"Event: QueueMember\r\nActionID: action/1/1\r\nQueue: sales\r\nPenalty: 0\r\nStatus: 1",
    b"Response: Success\r\nActionID: action/1/1\r\nEventList: start\r\nMessage: Queue status will follow",
    b"Response: Follows\r\nOutput: --END COMMAND--",
    b"Event: UserEvent\r\nUserEvent: Bazang\r\nAttempt: 11111111-2222-4333-8444-555555555555\r\nStep: agent_answered",
    b"Event: VarSet\r\nVariable: X\r\nValue: ${SHELL(id)}",
)


def make_protocol(seen: list[Any], **options: Any) -> _Protocol:
    protocol = _Protocol(seen.append, **options)
    protocol.connection_made(asyncio.Transport())
    protocol.data_received(b"Asterisk Call Manager/9.0.0\r\n")
    return protocol


@pytest.mark.parametrize("wanted", [None, {"QueueMember", "UserEvent"}], ids=["all", "some"])
async def test_malformed_ami_lines_are_read_to_the_end(wanted: set[str] | None) -> None:
    seen: list[Any] = []
    protocol = make_protocol(seen, wanted=wanted)
    pending = protocol.pending["action/1/1"] = ami._Pending(many=True)
    for line in mutations(AMI_LINES, LINES):
        protocol.data_received(line + b"\r\n\r\n")
    protocol.data_received(b"\r\n\r\nEvent: UserEvent\r\nUserEvent: good\r\n\r\n")
    assert seen[-1]["UserEvent"] == "good"
    assert len(protocol._buffer) == 0
    protocol.connection_lost(None)
    assert pending.future.done() and (pending.future.exception() or protocol.pending == {})


TEXTS = st.text(st.characters(codec=None), max_size=30) | st.sampled_from(
    ["\r\n", "a\r\nAction: Originate", "x\n", "\r", "\0", "\u2028Action: Logoff", "\x85", "a,B=c", "\ud800", "ض" * 600]
)
NAMES = st.sampled_from(["Channel", "Exten", "Action", "actionid", "Variable", "Channel: x\r\nA", "", "A B"]) | TEXTS


@given(
    TEXTS | st.just("Originate"), st.dictionaries(NAMES, TEXTS, max_size=4), st.dictionaries(NAMES, TEXTS, max_size=4)
)
async def test_no_value_adds_a_header_or_an_action(
    action: str, headers: dict[str, str], variables: dict[str, str]
) -> None:
    """What Asterisk reads is what was to be sent, line by line, or nothing is sent. It ends lines at CR, LF or both."""
    try:
        sent = str(ami._action(action, headers, variables)).encode()
    except AmiUnsafe:
        return
    text = sent.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert sent.endswith(b"\r\n\r\n") and text.count(b"\n\n") == 1 and b"\0" not in sent
    lines = [line.decode() for line in text.split(b"\n") if line]
    expected = [f"Action: {action}", *(f"{name}: {value}" for name, value in headers.items())]
    expected += [f"Variable: {name}={value}" for name, value in variables.items()]
    assert sorted(line for line in lines if not line.startswith("ActionID: action/")) == sorted(expected)
    assert len([line for line in lines if line.startswith("ActionID: ")]) == 1
    assert not any("," in value for value in variables.values())
    assert max(len(line.encode()) for line in lines) < 1024


# -- FastAGI ----------------------------------------------------------------------------------------------------------

REPLIES = (
    b"200 result=0 endpos=8000",
    b"200 result=1 (09121234567)",
    b"200 result=49",
    b"200 result=-1 (writefile)",
    b"520-Invalid command syntax.  Proper usage follows:",
    b"511 Command Not Permitted on a dead channel or intercept routine",
    b"100 result=0 Trying...",
    b"HANGUP",
)
HEADER_LINES = (
    b"agi_network: yes",
    b"agi_network_script: 5ec2e7/module/7",
    b"agi_callerid: 09121234567",
    b"agi_arg_1: ",
)


class Sink(asyncio.Transport):
    """The writing side of a connection, which sends nothing."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send nothing."""

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        """Go on: everything has come."""

    def resume_reading(self) -> None:
        """Go on."""


def connection_with(data: bytes) -> AgiConnection:
    """Return a connection on which Asterisk sends these bytes after the headers, and then no more."""
    connection = AgiConnection(lambda connection: None, lambda connection, data: None, lambda connection: None)
    connection.connection_made(Sink())
    connection.take_lines(b"")
    connection.data_received(data)
    connection.eof_received()
    return connection


def session_with(data: bytes) -> AgiSession:
    """Return a session in which Asterisk sends these bytes, and then no more."""
    return AgiSession({}, connection_with(data))


COMMANDS: dict[str, Any] = {
    "answer": lambda session: session.answer(),
    "get": lambda session: session.get_variable("CALLERID(name)"),
    "set": lambda session: session.set_variable("BAZANG_RESULT", "next"),
    "play": lambda session: session.play([SOUND, SOUND], "12"),
    "digit": lambda session: session.get_digit(5.0),
    "record": lambda session: session.record("/inbox/1", 5.0),
    "status": lambda session: session.is_on_the_line(),
}


@given(
    st.lists(st.binary(max_size=40) | st.sampled_from(REPLIES) | st.just(b"9" * 9000), max_size=6).map(b"\n".join),
    st.sampled_from(sorted(COMMANDS)),
)
async def test_no_reply_breaks_more_than_its_call(data: bytes, command: str) -> None:
    session = session_with(data)
    for _ in range(3):
        try:
            value = await COMMANDS[command](session)
        except (HungUp, AgiBroken, CannotWrite):
            continue
        assert value is None or isinstance(value, bool) or (isinstance(value, str) and len(value) <= LONGEST_LINE)


async def test_malformed_agi_replies_are_read_to_the_end() -> None:
    """A call ends with its first one. This goes on, so that each line is read."""
    connection = connection_with(b"\n".join(mutations(REPLIES, LINES)))
    session, refused, read = AgiSession({}, connection), 0, 0
    while connection.has_more:
        read += 1
        try:
            await session.is_on_the_line()
        except (HungUp, AgiBroken):
            refused += 1
    assert LINES * 0.8 < read < LINES * 2
    assert 0 < refused < read


@given(st.binary(max_size=200) | st.lists(st.sampled_from(HEADER_LINES), max_size=4).map(b"\n".join))
def test_headers_are_no_larger_than_the_limit(data: bytes) -> None:
    try:
        found = parse_headers(data)
    except HeadersTooLong:
        return
    if found is not None:
        headers, rest = found
        assert data.endswith(rest)
        assert sum(len(name) + len(value) for name, value in headers.items()) <= HEADER_BYTES


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", None),
        (b"a: b", None),
        (b"a: b\n", None),
        (b"a: b\n\n", ({"a": "b"}, b"")),
        (b"a: b\r\n\r\n", ({"a": "b"}, b"")),
        (b"a: b\nc: d: e \nf\n\n200 result=0\n", ({"a": "b", "c": "d: e ", "f": ""}, b"200 result=0\n")),
        (b"\nrest", ({}, b"rest")),
        (b"a: \xff\n \n", ({"a": "\ufffd"}, b"")),
    ],
)
def test_headers_end_with_an_empty_line(data: bytes, expected: object) -> None:
    assert parse_headers(data) == expected


async def test_malformed_agi_headers_leave_the_server_as_it_was() -> None:
    """Each connection gets past the first check of its lines only by chance, and none of them gets a session."""
    served = []

    async def serve(session: AgiSession) -> None:
        served.append(session.path)
        await session.answer()

    server = AgiServer("127.0.0.1", 0, serve, make_access(), header_seconds=60)
    await server.start()
    lines = list(mutations(tuple(line for line in HEADER_LINES if SECRET.encode() not in line), LINES))
    try:
        for start in range(0, LINES, 200):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"\n".join(lines[start : start + 200]) + b"\n\n")
            writer.write_eof()
            try:
                assert await reader.read() == b""
            except ConnectionError:
                pass  # closed before everything was read
            writer.close()
        call = FakeCall()
        await call.run(server.port)
        assert (call.log, served) == (["answer"], ["module/7"])
        assert (server.half_open, server.sessions) == (0, 0)
    finally:
        await server.stop()


def test_mutations_are_malformed_and_differ() -> None:
    found = list(mutations(REPLIES, 1000))
    assert len(set(found)) > 900
    assert any(set(line) - set(string.printable.encode()) for line in found)
