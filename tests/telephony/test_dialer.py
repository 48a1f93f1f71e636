"""What is said to Asterisk for an attempt, and how its answers are read."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from panoramisk.message import Message

from app.domain.dial_order import DialOrder
from app.domain.routing import Dialplan
from app.telephony.ami import AmiClient, AmiDisconnected, AmiError, AmiRefused, AmiTimeout, AmiTimes, AmiUnsafe
from app.telephony.attempts import AttemptFollower
from app.telephony.dialer import PROMPT_VARIABLES, Dialer, variables
from app.telephony.dialplan import render
from tests.support.fake_ami import PATIENCE, fake_ami, listing, refuse

A = "0b6f6d3e-94f5-4a3c-9d7e-2f1f7b1c8a90"
ORDER = DialOrder(
    attempt=A,
    request_id=5,
    agent="101",
    devices="PJSIP/101&SIP/201",
    hint_context="ext-local",
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

TEMPLATE = render(Dialplan((), (), (), "plain", "127.0.0.1", 4573, "bazang-extensions", "bazang-queues")).text


class Ami:
    """An AMI client that keeps what it is told and answers as it is bid."""

    def __init__(self, *rows: Mapping[str, str], failure: Exception | None = None) -> None:
        self.rows, self.failure = [Message(row) for row in rows], failure
        self.sent: list[tuple[str, dict[str, str]]] = []
        self.set: dict[str, str] = {}

    def _take(self, action: str, headers: Any) -> None:
        self.sent.append((action, dict(headers)))
        if self.failure is not None:
            raise self.failure

    async def send(self, action: str, headers: Any = ()) -> Any:
        self._take(action, headers)

    async def collect(self, action: str, headers: Any = ()) -> list[Any]:
        self._take(action, headers)
        return self.rows

    async def originate(self, headers: Mapping[str, str], variables: Mapping[str, str]) -> None:
        self._take("Originate", headers)
        self.set = dict(variables)


def dialer(ami: Ami) -> tuple[Dialer, AttemptFollower]:
    follower = AttemptFollower()
    return Dialer(ami, follower), follower


async def test_the_order_to_ring_the_agent() -> None:
    ami = Ami()
    await dialer(ami)[0].originate(ORDER, ["bazang/fa/agent_intro", "bazang/fa/digits/0"])
    ((action, headers),) = ami.sent
    assert action == "Originate"
    assert headers == {
        "Channel": "Local/s@bazang-agent/n",
        "Context": "bazang-customer",
        "Exten": "s",
        "Priority": "1",
        "CallerID": '"Bazang" <09121234567>',
        "Timeout": "25000",  # the dialplan's own 20 s are over before
        "ChannelId": A,
        "OtherChannelId": f"{A}-2",
    }
    assert ami.set == {
        "__BAZANG_ATTEMPT": A,
        "__BAZANG_AGENT": "101",
        "__BAZANG_DEVICES": "PJSIP/101&SIP/201",
        "__BAZANG_HINT": "ext-local",
        "__BAZANG_AGENT_RING": "20",
        "__BAZANG_CUSTOMER_RING": "40",
        "__BAZANG_NUMBER": "09121234567",
        "__BAZANG_INSIDE": "",
        "__BAZANG_OUTBOUND": "from-internal",
        "__BAZANG_CALLER_ID": "02188880000",
        "__BAZANG_FORGET": "one&two",
        "__BAZANG_PROMPT_1": "bazang/fa/agent_intro&bazang/fa/digits/0",
    }


async def test_every_leg_inherits_every_variable() -> None:
    assert all(name.startswith("__BAZANG_") for name in variables(ORDER, []))


FILE = "/var/lib/bazang/prompts/fa/speech/" + "0" * 64


@pytest.mark.parametrize("number", [0, 1, 2, 8, 9, 20, 40])
def test_a_long_announcement_is_spread_over_lines_that_asterisk_takes(number: int) -> None:
    """A message with a line of 1024 bytes is thrown away, and the order with it."""
    prompt = [f"{FILE}{n:02}" for n in range(number)]
    spread = {name: value for name, value in variables(ORDER, prompt).items() if "PROMPT" in name}
    assert list(spread) == [f"__BAZANG_PROMPT_{n}" for n in range(1, len(spread) + 1)]
    assert all(len(f"Variable: {name}={value}") < 1024 for name, value in spread.items())
    assert "".join(spread.values()) == "&".join(prompt)  # as the dialplan puts it together


def test_an_announcement_beyond_measure_loses_its_end_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    prompt = [f"{FILE}{n:03}" for n in range(200)]
    spread = [value for name, value in variables(ORDER, prompt).items() if "PROMPT" in name]
    assert len(spread) == PROMPT_VARIABLES
    heard = "".join(spread).split("&")
    assert heard == prompt[: len(heard)]  # whole files, from the first on
    assert "too long" in caplog.text


def test_the_dialplan_puts_together_as_many_as_there_may_be() -> None:
    assert "".join(f"${{BAZANG_PROMPT_{n}}}" for n in range(1, PROMPT_VARIABLES + 1)) + ",1," in TEMPLATE
    assert f"BAZANG_PROMPT_{PROMPT_VARIABLES + 1}" not in TEMPLATE


async def test_the_attempt_is_followed_before_anything_is_sent() -> None:
    """Its first event may come before the order's own reply."""

    class Early(Ami):
        async def originate(self, headers: Mapping[str, str], variables: Mapping[str, str]) -> None:
            follower.take(Message({"Event": "Newchannel", "Uniqueid": A, "Channel": "Local/s@bazang-agent-1;1"}))

    made, follower = dialer(Early())
    await made.originate(ORDER, [])
    assert follower.channel(A) == "Local/s@bazang-agent-1;1"


@pytest.mark.parametrize("failure", [AmiRefused("no"), AmiTimeout("no"), AmiDisconnected("no"), AmiUnsafe("no")])
async def test_what_became_of_the_order_is_not_hidden(failure: AmiError) -> None:
    ami = Ami(failure=failure)
    with pytest.raises(type(failure)):
        await dialer(ami)[0].originate(ORDER, [])
    assert len(ami.sent) == 1


async def test_a_call_is_ended_by_its_channels_name() -> None:
    ami = Ami()
    made, follower = dialer(ami)
    follower.begin(A)
    follower.take(Message({"Event": "Newchannel", "Uniqueid": A, "Channel": "Local/s@bazang-agent-1;1"}))
    await made.hang_up(A)
    assert ami.sent == [("Hangup", {"Channel": "Local/s@bazang-agent-1;1"})]


async def test_a_channel_that_we_did_not_see_begin_is_looked_up() -> None:
    ami = Ami(
        {"Event": "CoreShowChannel", "Uniqueid": "1700000000.1", "Linkedid": A, "Channel": "PJSIP/101-1"},
        {"Event": "CoreShowChannel", "Uniqueid": A, "Linkedid": A, "Channel": "Local/s@bazang-agent-1;1"},
    )
    await dialer(ami)[0].hang_up(A)
    assert ami.sent == [("CoreShowChannels", {}), ("Hangup", {"Channel": "Local/s@bazang-agent-1;1"})]


async def test_what_has_no_channel_is_not_hung_up() -> None:
    ami = Ami({"Event": "CoreShowChannel", "Uniqueid": "1700000000.1", "Linkedid": A, "Channel": "PJSIP/101-1"})
    await dialer(ami)[0].hang_up(A)
    assert [action for action, _ in ami.sent] == ["CoreShowChannels"]


async def test_the_calls_there_are() -> None:
    ami = Ami({"Linkedid": A, "Channel": "a"}, {"Linkedid": A, "Channel": "b"}, {"Linkedid": "1700000000.1"})
    assert await dialer(ami)[0].attempts_with_channels() == {A, "1700000000.1"}


@pytest.mark.parametrize(
    ("rows", "record"),
    [
        ([{"Event": "DBGetResponse", "Family": "bazang", "Key": A, "Val": "customer_dialled"}], "customer_dialled"),
        ([{"Event": "DBGetResponse", "Val": "ended customer  16"}], "ended customer  16"),
        ([{"Event": "DBGetResponse"}], ""),
        ([], ""),
    ],
)
async def test_what_asterisk_wrote_down(rows: list[dict[str, str]], record: str) -> None:
    ami = Ami(*rows)
    assert await dialer(ami)[0].record(A) == record
    assert ami.sent == [("DBGet", {"Family": "bazang", "Key": A})]


async def test_no_record_is_none() -> None:
    assert await dialer(Ami(failure=AmiRefused("Database entry not found")))[0].record(A) == ""


@pytest.mark.parametrize("failure", [AmiRefused("Permission denied"), AmiTimeout("no"), AmiDisconnected("no")])
async def test_a_record_that_cannot_be_read_is_not_taken_for_none(failure: AmiError) -> None:
    """Else an attempt whose customer was talked with would be dialled again."""
    with pytest.raises(type(failure)):
        await dialer(Ami(failure=failure))[0].record(A)


async def test_it_speaks_with_the_client_over_the_wire() -> None:
    async with fake_ami() as fake:
        client = AmiClient(
            fake.host, fake.port, "bazang", "secret", on_event=lambda event: None, times=AmiTimes(booted=0.05)
        )
        await client.start()
        await client.wait_connected(PATIENCE)
        try:
            made = Dialer(client, AttemptFollower())
            await made.originate(ORDER, ["bazang/fa/agent_intro"])
            order = fake.named("Originate")[0]
            assert (order.get("Async"), order.get("ChannelId")) == ("true", A)
            assert "__BAZANG_DEVICES=PJSIP/101&SIP/201" in order.all("Variable")
            assert len(order.all("Variable")) == 12
            with pytest.raises(AmiUnsafe):
                await made.originate(ORDER, ["a,__BAZANG_NUMBER=1"])
            assert len(fake.named("Originate")) == 1
            rows = [[("Event", "DBGetResponse"), ("Family", "bazang"), ("Key", A), ("Val", "ended agent_gone  ")]]
            fake.answers["DBGet"] = listing(rows, complete="DBGetComplete")
            assert await made.record(A) == "ended agent_gone  "
            fake.answers["DBGet"] = refuse("Database entry not found")
            assert await made.record(A) == ""
        finally:
            await client.stop()
