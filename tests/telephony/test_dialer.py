"""The AMI actions for an attempt, and how their replies are read."""

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from panoramisk.message import Message

from app.domain.dial_order import DialOrder
from app.domain.dialplan_numbers import NumberCheck
from app.domain.routing import Dialplan
from app.telephony.ami import (
    AmiClient,
    AmiDisconnected,
    AmiError,
    AmiRefused,
    AmiTimeout,
    AmiTimes,
    AmiUnsafe,
    _action,
)
from app.telephony.attempts import AttemptFollower
from app.telephony.dialer import CustomerSounds, Dialer, MayNotDial, held_members, variables
from app.telephony.dialplan import render
from app.telephony.variables import PROMPT_VARIABLES
from script.office.patience import PATIENCE
from tests.support.fake_ami import fake_ami, listing, refuse

A = "0b6f6d3e-94f5-4a3c-9d7e-2f1f7b1c8a90"
ORDER = DialOrder(
    attempt=A,
    request_id=5,
    agent="101",
    devices="PJSIP/101&SIP/201",
    hint="101@ext-local",
    number="+989121234567",
    dialled="09121234567",
    internal_devices="",
    language="fa",
    caller_id="02188880000",
    outbound_context="from-internal",
    agent_ring=20,
    customer_ring=40,
    registered_at=datetime(2026, 11, 3, 8, 0, tzinfo=UTC),
    spoken="09121234567",
    forget=("one", "two"),
)

CONTEXTS = ("bazang-extensions", "bazang-queues")
TEMPLATE = render(Dialplan((), (), (), "plain", "127.0.0.1", 4573, "5ec2e7", *CONTEXTS, NumberCheck())).text


class Ami:
    """A fake AMI client. It records the actions and returns `rows` or raises `failure`."""

    def __init__(self, *rows: Mapping[str, str], failure: Exception | None = None) -> None:
        self.rows, self.failure = [Message(row) for row in rows], failure
        self.sent: list[tuple[str, dict[str, str]]] = []
        self.variables: dict[str, str] = {}

    def _record(self, action: str, headers: Any) -> None:
        self.sent.append((action, dict(headers)))
        if self.failure is not None:
            raise self.failure

    async def send(self, action: str, headers: Any = (), *, variables: Mapping[str, str] | None = None) -> Any:
        self._record(action, headers)
        self.variables = dict(variables or {})

    async def collect(self, action: str, headers: Any = ()) -> list[Any]:
        self._record(action, headers)
        return self.rows

    async def originate(self, headers: Mapping[str, str], variables: Mapping[str, str]) -> None:
        self._record("Originate", headers)
        self.variables = dict(variables)


def make_dialer(ami: Ami) -> tuple[Dialer, AttemptFollower]:
    follower = AttemptFollower()
    return Dialer(ami, follower), follower


async def test_originate_action() -> None:
    ami = Ami()
    await make_dialer(ami)[0].originate(ORDER, ["bazang/fa/agent_intro", "bazang/fa/digits/0"])
    ((action, headers),) = ami.sent
    assert action == "Originate"
    assert headers == {
        "Channel": "Local/s@bazang-agent/n",
        "Context": "bazang-customer",
        "Exten": "s",
        "Priority": "1",
        "CallerID": '"Bazang" <09121234567>',
        "Timeout": "25000",  # longer than the dialplan's own 20 s
        "ChannelId": A,
        "OtherChannelId": f"{A}-2",
    }
    assert ami.variables == {
        "__BAZANG_ATTEMPT": A,
        "__BAZANG_AGENT": "101",
        "__BAZANG_DEVICES": "PJSIP/101&SIP/201",
        "__BAZANG_CHANNELS": "^(PJSIP/101|SIP/201)-[^-]*$",
        "__BAZANG_HINT": "101@ext-local",
        "__BAZANG_AGENT_RING": "20",
        "__BAZANG_CUSTOMER_RING": "40",
        "__BAZANG_NUMBER": "09121234567",
        "__BAZANG_INSIDE": "",
        "__BAZANG_OUTBOUND": "from-internal",
        "__BAZANG_CALLER_ID": "02188880000",
        "__BAZANG_FORGET": "one&two",
        "__BAZANG_CONFIRMATION": "key",
        "__BAZANG_ASK": "",
        "__BAZANG_RESERVED": "",
        "__BAZANG_GREETING": "",
        "__BAZANG_APOLOGY": "",
        "__BAZANG_HOLD": "",
        "__BAZANG_PROMPT_1": "bazang/fa/agent_intro&bazang/fa/digits/0",
    }


async def test_customer_who_is_rung_first_has_contexts_and_sounds_of_their_own() -> None:
    ami = Ami()
    order = replace(ORDER, customer_first=True)
    await make_dialer(ami)[0].originate(order, [], CustomerSounds("question", "greeting", "sorry"))
    ((_, headers),) = ami.sent
    assert (headers["Channel"], headers["Context"]) == ("Local/s@bazang-reserved/n", "bazang-customer-first")
    assert (headers["ChannelId"], headers["OtherChannelId"]) == (A, f"{A}-2")
    names = ("ASK", "RESERVED", "GREETING", "APOLOGY")
    assert [ami.variables[f"__BAZANG_{name}"] for name in names] == ["question", "1", "greeting", "sorry"]


async def test_all_legs_inherit_all_variables() -> None:
    assert all(name.startswith("__BAZANG_") for name in variables(ORDER, []))


HEADERS = {"Action", "ActionID", "Async", "CallerID", "Channel", "ChannelId", "Context", "Exten", "OtherChannelId"}
HEADERS |= {"Priority", "Timeout", "Variable"}
HOSTILE = st.text(st.characters(codec=None), max_size=20) | st.sampled_from(
    ["\r\nAction: Logoff\r\n\r\n", "1\nVariable: A=B", "x,__BAZANG_NUMBER=110", "\0", '" <110>', "\ud800", "${X}"]
)


class Wire(Ami):
    """What the real client would write for each action."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []

    async def send(self, action: str, headers: Any = (), *, variables: Mapping[str, str] | None = None) -> Any:
        self.written.append(str(_action(action, headers, {})))

    async def collect(self, action: str, headers: Any = ()) -> list[Any]:
        await self.send(action, headers)
        return []

    async def originate(self, headers: Mapping[str, str], variables: Mapping[str, str]) -> None:
        self.written.append(str(_action("Originate", {**headers, "Async": "true"}, variables)))


@given(st.fixed_dictionaries({field.name: HOSTILE for field in fields(DialOrder) if field.type is str}), HOSTILE)
async def test_no_value_of_an_order_adds_a_header_or_sets_another_variable(texts: dict[str, Any], file: str) -> None:
    order, wire = replace(ORDER, **{name: text for name, text in texts.items() if name != "number"}), Wire()
    dialer = make_dialer(wire)[0]
    calls: list[Any] = [
        dialer.originate(order, [file]),
        dialer.ring(order.attempt, order.agent, order.devices, order.hint, 20),
        dialer.record(order.attempt),
        dialer.hang_up(order.attempt),
    ]
    for call in calls:
        try:
            await call
        except AmiUnsafe:
            pass
    for action in wire.written:
        text = action.replace("\r\n", "\n").replace("\r", "\n")
        assert text.endswith("\n\n") and text.count("\n\n") == 1
        lines = [line.partition(": ") for line in text.strip("\n").split("\n")]
        names = [name for name, _, _ in lines]
        assert set(names) <= HEADERS | {"Family", "Key"}
        assert len([name for name in names if name != "Variable"]) == len(set(names) - {"Variable"})
        variables = [value for name, _, value in lines if name == "Variable"]
        assert all(re.match(r"__BAZANG_[A-Z_0-9]+=[^,]*$", value, re.DOTALL) for value in variables)
        assert len({value.partition("=")[0] for value in variables}) == len(variables)


FILE = "/var/lib/bazang/prompts/fa/speech/" + "0" * 64


@pytest.mark.parametrize("number", [0, 1, 2, 8, 9, 20, 40])
def test_long_announcement_is_split_into_short_lines(number: int) -> None:
    """Asterisk discards a message with a line of 1024 bytes."""
    prompt = [f"{FILE}{n:02}" for n in range(number)]
    parts = {name: value for name, value in variables(ORDER, prompt).items() if "PROMPT" in name}
    assert list(parts) == [f"__BAZANG_PROMPT_{n}" for n in range(1, len(parts) + 1)]
    assert all(len(f"Variable: {name}={value}") < 1024 for name, value in parts.items())
    assert "".join(parts.values()) == "&".join(prompt)  # as the dialplan joins them


def test_announcement_that_is_too_long_is_cut_after_a_file_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    prompt = [f"{FILE}{n:03}" for n in range(200)]
    parts = [value for name, value in variables(ORDER, prompt).items() if "PROMPT" in name]
    assert len(parts) == PROMPT_VARIABLES
    played = "".join(parts).split("&")
    assert played == prompt[: len(played)]
    assert "too long" in caplog.text


def test_dialplan_joins_all_parts_of_the_announcement() -> None:
    assert "".join(f"${{BAZANG_PROMPT_{n}}}" for n in range(1, PROMPT_VARIABLES + 1)) + ",1," in TEMPLATE
    assert f"BAZANG_PROMPT_{PROMPT_VARIABLES + 1}" not in TEMPLATE


async def test_attempt_is_followed_before_the_action_is_sent() -> None:
    """Its first event may come before the reply."""

    class Early(Ami):
        async def originate(self, headers: Mapping[str, str], variables: Mapping[str, str]) -> None:
            follower.handle(Message({"Event": "Newchannel", "Uniqueid": A, "Channel": "Local/s@bazang-agent-1;1"}))

    dialer, follower = make_dialer(Early())
    await dialer.originate(ORDER, [])
    assert follower.channel(A) == "Local/s@bazang-agent-1;1"


@pytest.mark.parametrize("failure", [AmiRefused("no"), AmiTimeout("no"), AmiDisconnected("no"), AmiUnsafe("no")])
async def test_failed_originate_raises(failure: AmiError) -> None:
    ami = Ami(failure=failure)
    with pytest.raises(type(failure)):
        await make_dialer(ami)[0].originate(ORDER, [])
    assert len(ami.sent) == 1


async def test_call_is_hung_up_by_its_channel() -> None:
    ami = Ami()
    dialer, follower = make_dialer(ami)
    follower.follow(A)
    follower.handle(Message({"Event": "Newchannel", "Uniqueid": A, "Channel": "Local/s@bazang-agent-1;1"}))
    await dialer.hang_up(A)
    assert ami.sent == [("Hangup", {"Channel": "Local/s@bazang-agent-1;1"})]


async def test_unknown_channel_is_looked_up() -> None:
    ami = Ami(
        {"Event": "CoreShowChannel", "Uniqueid": "1700000000.1", "Linkedid": A, "Channel": "PJSIP/101-1"},
        {"Event": "CoreShowChannel", "Uniqueid": A, "Linkedid": A, "Channel": "Local/s@bazang-agent-1;1"},
    )
    await make_dialer(ami)[0].hang_up(A)
    assert ami.sent == [("CoreShowChannels", {}), ("Hangup", {"Channel": "Local/s@bazang-agent-1;1"})]


async def test_attempt_without_a_channel_is_not_hung_up() -> None:
    ami = Ami({"Event": "CoreShowChannel", "Uniqueid": "1700000000.1", "Linkedid": A, "Channel": "PJSIP/101-1"})
    await make_dialer(ami)[0].hang_up(A)
    assert [action for action, _ in ami.sent] == ["CoreShowChannels"]


async def test_attempts_with_channels() -> None:
    ami = Ami(
        {"Linkedid": A, "Channel": "Local/s@bazang-agent-00000001;1"},
        {"Linkedid": A, "Channel": "PJSIP/sales-2-0000002a"},
        {"Linkedid": "1700000000.1", "Channel": "PJSIP/sales-00000001"},
    )
    assert await make_dialer(ami)[0].attempts_with_channels() == {
        A: {"Local/s@bazang-agent", "PJSIP/sales-2"},
        "1700000000.1": {"PJSIP/sales"},
    }


class Values(Ami):
    """An AMI client that knows variables of channels."""

    def __init__(self, *rows: Mapping[str, str], **values: str) -> None:
        super().__init__(*rows)
        self.values = values

    async def send(self, action: str, headers: Any = (), *, variables: Mapping[str, str] | None = None) -> Any:
        self._record(action, headers)
        return Message({"Response": "Success", "Value": self.values[dict(headers)["Variable"]]})


OUT_HALF = "Local/09121234567@bazang-out-0000001a;2"


@pytest.mark.parametrize(
    ("channel", "status", "peer", "answered"),
    [
        (OUT_HALF, "ANSWER", "PJSIP/trunk-00000001", True),
        (OUT_HALF, "ANSWER", "Local/1@trunks-00000002;1", False),  # maybe before its own leg
        (OUT_HALF, "", "", False),
        (OUT_HALF.replace(";2", ";1"), "ANSWER", "PJSIP/trunk-00000001", False),
        ("PJSIP/trunk-00000001", "ANSWER", "", False),
    ],
)
async def test_whether_the_customer_has_answered(channel: str, status: str, peer: str, answered: bool) -> None:
    others = {"Linkedid": "1700000000.1", "Channel": OUT_HALF.replace("1a", "2b")}
    ami = Values(others, {"Linkedid": A, "Channel": channel}, DIALSTATUS=status, DIALEDPEERNAME=peer)
    assert await make_dialer(ami)[0].customer_answered(A) is answered
    assert {headers["Channel"] for action, headers in ami.sent if action == "Getvar"} <= {OUT_HALF}


@pytest.mark.parametrize(
    ("rows", "record"),
    [
        ([{"Event": "DBGetResponse", "Family": "bazang", "Key": A, "Val": "customer_dialled"}], "customer_dialled"),
        ([{"Event": "DBGetResponse", "Val": "ended customer  16"}], "ended customer  16"),
        ([{"Event": "DBGetResponse"}], ""),
        ([], ""),
    ],
)
async def test_record_of_an_attempt(rows: list[dict[str, str]], record: str) -> None:
    ami = Ami(*rows)
    assert await make_dialer(ami)[0].record(A) == record
    assert ami.sent == [("DBGet", {"Family": "bazang", "Key": A})]


async def test_missing_record_is_empty() -> None:
    assert await make_dialer(Ami(failure=AmiRefused("Database entry not found")))[0].record(A) == ""


@pytest.mark.parametrize("failure", [AmiRefused("Permission denied"), AmiTimeout("no"), AmiDisconnected("no")])
async def test_unreadable_record_is_not_a_missing_record(failure: AmiError) -> None:
    """Otherwise a connected attempt would be dialled again."""
    with pytest.raises(type(failure)):
        await make_dialer(Ami(failure=failure))[0].record(A)


async def test_dialer_with_the_real_client() -> None:
    async with fake_ami() as fake:
        client = AmiClient(
            fake.host, fake.port, "bazang", "secret", on_event=lambda event: None, times=AmiTimes(booted=0.05)
        )
        await client.start()
        await client.wait_connected(PATIENCE)
        try:
            dialer = Dialer(client, AttemptFollower())
            await dialer.originate(ORDER, ["bazang/fa/agent_intro"])
            order = fake.named("Originate")[0]
            assert (order.get("Async"), order.get("ChannelId")) == ("true", A)
            assert "__BAZANG_DEVICES=PJSIP/101&SIP/201" in order.all("Variable")
            assert len(order.all("Variable")) == 19
            with pytest.raises(AmiUnsafe):
                await dialer.originate(ORDER, ["a,__BAZANG_NUMBER=1"])
            assert len(fake.named("Originate")) == 1
            rows = [[("Event", "DBGetResponse"), ("Family", "bazang"), ("Key", A), ("Val", "ended agent_gone  ")]]
            fake.answers["DBGet"] = listing(rows, complete="DBGetComplete")
            assert await dialer.record(A) == "ended agent_gone  "
            fake.answers["DBGet"] = refuse("Database entry not found")
            assert await dialer.record(A) == ""
        finally:
            await client.stop()


def test_an_extension_has_no_number_for_the_outbound_context() -> None:
    order = replace(ORDER, number="110", dialled="110", internal_devices="PJSIP/110")
    given = variables(order, [])
    assert (given["__BAZANG_NUMBER"], given["__BAZANG_INSIDE"]) == ("", "PJSIP/110")


# Who may dial


async def test_nothing_is_sent_by_a_worker_that_may_not_dial() -> None:
    ami, follower = Ami(), AttemptFollower()
    dialer = Dialer(ami, follower, may_dial=lambda: False)
    with pytest.raises(MayNotDial):
        await dialer.originate(ORDER, [])
    with pytest.raises(MayNotDial):
        await dialer.ring(A, "101", "PJSIP/101", "", 20)
    assert ami.sent == []
    assert not follower.follows(A)


async def test_attempt_is_forbidden_in_asterisks_database() -> None:
    ami = Ami()
    await make_dialer(ami)[0].forbid(A)
    ((action, headers),) = ami.sent
    assert (action, headers["Channel"]) == ("Originate", "Local/s@bazang-forbid/n")
    assert ami.variables == {"__BAZANG_ATTEMPT": A}
    assert "exten => s,1,Set(DB(bazang-over/${BAZANG_ATTEMPT})=1)" in TEMPLATE
    assert "${DB_EXISTS(bazang-over/${BAZANG_ATTEMPT})} = 1]?taken" in TEMPLATE


async def test_members_of_held_queues_are_sent_with_the_order() -> None:
    members = {"sales": ["PJSIP/101"], "support": ["Local/101@from-queue/n", "PJSIP/101"]}
    ami = Ami()
    dialer = Dialer(ami, AttemptFollower(), interfaces=lambda agent, queue: members.get(queue, ()))
    await dialer.originate(replace(ORDER, held_queues=("sales", "support", "gone")), [])
    assert ami.variables["__BAZANG_HOLD"] == "sales/PJSIP/101&support/Local/101@from-queue/n&support/PJSIP/101"


@pytest.mark.parametrize(
    ("queue", "interface"),
    [
        ("sales,x", "PJSIP/101"),
        ("sales&support", "PJSIP/101"),
        ("a/b", "PJSIP/101"),
        ("sales", "PJSIP/101&PJSIP/0044@trunk"),
        ("sales", "PJSIP/101,,x"),
        ("sales", "PJSIP/${X}"),
        ("sales", "101"),
        ("sales", "PJSIP/" + "1" * 200),
    ],
)
def test_members_that_the_dialplan_could_misread_are_left_out(queue: str, interface: str) -> None:
    assert held_members([(queue, interface), ("sales", "PJSIP/102")]) == "sales/PJSIP/102"


def test_many_members_fit_into_one_line() -> None:
    value = held_members((f"queue{number}", f"Local/{number}@from-queue/n") for number in range(100))
    assert 800 < len(value) <= 900 and value.startswith("queue0/Local/0@from-queue/n&queue1/")


async def test_pauses_that_a_crash_has_left_are_ended_by_the_dialplan() -> None:
    ami = Ami()
    await make_dialer(ami)[0].release("101", [("sales", "PJSIP/101")])
    ((action, headers),) = ami.sent
    assert (action, headers["Channel"]) == ("Originate", "Local/s@bazang-release/n")
    assert ami.variables == {"__BAZANG_AGENT": "101", "__BAZANG_HOLD": "sales/PJSIP/101"}
    assert "[bazang-release]\nexten => s,1,Gosub(bazang-release,members,1)" in TEMPLATE


async def test_a_pause_of_somebody_else_is_kept_by_a_global_variable() -> None:
    ami = Ami()
    await make_dialer(ami)[0].keep_paused("101")
    assert ami.sent == [("Setvar", {"Variable": "BAZANG_HELD_101", "Value": ""})]
