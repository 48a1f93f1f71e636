"""Calls that the office and a caller make by themselves: who talked with whom, so that no request outlives them."""

from typing import Any

import pytest
from panoramisk.message import Message

from app.telephony import calls
from app.telephony.calls import Answered, CallFollower

PHONES = {"PJSIP/101": "101", "PJSIP/102": "102", "Local/101@from-queue": "101"}
OUTSIDE = "09121234567"
L = "1700000000.1"
OURS = "ours"


@pytest.fixture
def follower() -> CallFollower:
    return CallFollower(lambda channel: PHONES.get(channel.rpartition("-")[0], ""), lambda linked: linked == OURS)


def event(name: str, **fields: Any) -> Message:
    return Message({"Event": name, **{key: str(value) for key, value in fields.items()}})


def begin(channel: str, caller: str, dialled: str, linked: str = L, unique: str = "") -> Message:
    return event(
        "Newchannel", Uniqueid=unique or linked, Linkedid=linked, Channel=channel, CallerIDNum=caller, Exten=dialled
    )


def answer(channel: str, linked: str = L, status: str = "ANSWER") -> Message:
    return event("DialEnd", Linkedid=linked, DestLinkedid=linked, DestChannel=channel, DialStatus=status)


def end(linked: str = L, unique: str = "") -> Message:
    return event("Hangup", Linkedid=linked, Uniqueid=unique or linked)


def tell(follower: CallFollower, *events: Message) -> list[Answered]:
    return [talk for talk in map(follower.handle, events) if talk is not None]


CALLER = begin("PJSIP/trunk-1", OUTSIDE, "02188880000")
AGENT = begin("PJSIP/101-1", "101", OUTSIDE)


@pytest.mark.parametrize(
    ("events", "talks"),
    [
        pytest.param([CALLER, answer("PJSIP/101-2")], [Answered(OUTSIDE, "101")], id="a caller is answered"),
        pytest.param([AGENT, answer("PJSIP/trunk-2")], [Answered(OUTSIDE, "101")], id="a call out is answered"),
        pytest.param(
            [begin("PJSIP/102-1", "102", "101"), answer("PJSIP/101-2")],
            [Answered("102", "101")],
            id="between two extensions",
        ),
        pytest.param([CALLER, answer("PJSIP/trunk-2")], [], id="passed on to the outside"),
        pytest.param([AGENT, answer("Local/s@out-00000001;1")], [], id="a Local channel's answer is nobody's yet"),
        pytest.param(
            [AGENT, answer("Local/s@out-00000001;1"), answer("PJSIP/trunk-2")],
            [Answered(OUTSIDE, "101")],
            id="out through a Local channel",
        ),
        pytest.param(
            [CALLER, answer("Local/101@from-queue-1")], [Answered(OUTSIDE, "101")], id="a queue's Local member"
        ),
        pytest.param([answer("PJSIP/101-2")], [], id="its beginning was missed"),
        pytest.param([CALLER, end(), answer("PJSIP/101-2")], [], id="it is over"),
        pytest.param(
            [CALLER, end(unique="1700000000.2"), answer("PJSIP/101-2")], [Answered(OUTSIDE, "101")], id="a leg is over"
        ),
        pytest.param(
            [CALLER, begin("PJSIP/102-1", "", "s", unique="1700000000.2"), answer("PJSIP/101-2")],
            [Answered(OUTSIDE, "101")],
            id="a later leg does not change whose call it is",
        ),
        pytest.param([CALLER, CALLER, answer("PJSIP/101-2")], [Answered(OUTSIDE, "101")], id="begun twice"),
        pytest.param(
            [begin("Local/s@bazang-agent-1;1", "", "s", OURS), answer("PJSIP/101-2", OURS)], [], id="our own attempt"
        ),
        pytest.param([begin("PJSIP/trunk-1", OUTSIDE, "s", ""), answer("PJSIP/101-2", "")], [], id="no Linkedid"),
        pytest.param([event("DialEnd"), event("Hangup"), event("Newchannel"), event("AgentConnect")], [], id="empty"),
    ],
)
def test_who_talked(follower: CallFollower, events: list[Message], talks: list[Answered]) -> None:
    assert tell(follower, *events) == talks


@pytest.mark.parametrize("status", ["BUSY", "NOANSWER", "CANCEL", "CONGESTION", "CHANUNAVAIL", ""])
def test_who_was_not_answered_has_not_talked(follower: CallFollower, status: str) -> None:
    assert tell(follower, CALLER, answer("PJSIP/101-2", status=status)) == []


def test_a_queue_tells_its_name(follower: CallFollower) -> None:
    connect = event("AgentConnect", Linkedid=L, Queue="sales", DestChannel="PJSIP/101-2", CallerIDNum="changed")
    assert tell(follower, CALLER, connect) == [Answered(OUTSIDE, "101", "sales")]


def test_a_queue_tells_the_caller_whose_beginning_was_missed(follower: CallFollower) -> None:
    connect = event("AgentConnect", Linkedid=L, Queue="sales", DestChannel="PJSIP/unknown-2", CallerIDNum=OUTSIDE)
    assert tell(follower, connect) == [Answered(OUTSIDE, "", "sales")]


def test_two_calls_do_not_mix(follower: CallFollower) -> None:
    told = tell(
        follower,
        CALLER,
        begin("PJSIP/102-1", "102", "02177776666", "1700000000.9"),
        answer("PJSIP/trunk-3", "1700000000.9"),
        answer("PJSIP/101-2"),
    )
    assert told == [Answered("02177776666", "102"), Answered(OUTSIDE, "101")]


def test_calls_whose_end_was_missed_are_not_remembered_for_ever(
    follower: CallFollower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "MOST_CALLS", 10)
    for number in range(25):
        follower.handle(begin("PJSIP/trunk-1", f"0912{number:07}", "s", f"1700000000.{number}"))
    assert len(follower._calls) == 10
    assert tell(follower, answer("PJSIP/101-1", "1700000000.14")) == []  # the oldest went first
    assert tell(follower, answer("PJSIP/101-1", "1700000000.15")) == [Answered("09120000015", "101")]
