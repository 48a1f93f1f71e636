"""A bad row of the PBX costs that row only: text instead of a number, missing, strange and repeated headers."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.lifecycle import Step
from app.telephony.ami import _Protocol
from app.telephony.attempts import AttemptFollower, StepReport
from app.telephony.calls import Calls
from app.telephony.fields import LARGEST, integer
from app.telephony.snapshot import Snapshot

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
ATTEMPT = "11111111-2222-4333-8444-555555555555"
Row = Mapping[str, str]

# Numbers as text, near-numbers, names of devices and channels with a twist, and anything else.
VALUES = st.one_of(
    st.sampled_from(
        ["", "-1", "²", "٣", "1e9", "NaN", "9" * 5000, "-" + "9" * 12, "0x10", "1.5", "<unknown>", "(null)"]
    ),
    st.sampled_from(["Local/", "Local/@/n", "hint:@", "PJSIP/", "/", ";2", "Local/x@y-1;2", "\u202e101", "a\0b", "-"]),
    st.integers(-(10**15), 10**15).map(str),
    st.text(max_size=30),
)
ROWS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("Status", "Penalty", "Wrapuptime", "LastCall", "Count", "Calls", "InCall"), VALUES),
        **dict.fromkeys(("Paused", "State", "Hint", "Context", "MemberName", "StateInterface", "Cause"), VALUES),
        **dict.fromkeys(("ChannelState", "CallerIDNum", "Linkedid", "Newname", "DialString", "Application"), VALUES),
        **dict.fromkeys(("ApplicationData", "BridgeUniqueid", "BridgeTechnology", "BridgeId", "Exten"), VALUES),
        **dict.fromkeys(("DestUniqueid", "DestChannel", "DestCallerIDNum", "DestLinkedid", "DialStatus"), VALUES),
        "Queue": VALUES.map("bad{}".format),
        "Interface": VALUES.map("Bad/{}".format),
        "Location": VALUES.map("Bad/{}".format),
        "Device": VALUES.map("Bad/{}".format),
        "Uniqueid": VALUES.map("bad{}".format),
        "Channel": VALUES.map("Bad/{}".format),
    },
)
EVENTS = [
    *("ExtensionStatus", "DeviceStateChange", "CoreShowChannel", "Newchannel", "Newstate", "Rename", "Hangup"),
    *("QueueParams", "QueueMember", "QueueEntry", "QueueMemberStatus", "QueueMemberAdded", "QueueMemberPause"),
    *("QueueMemberPenalty", "QueueMemberRemoved", "QueueCallerJoin", "QueueCallerLeave", "AgentConnect"),
    *("AgentComplete", "AgentCalled", "NewCallerid", "NewConnectedLine", "DialBegin", "DialEnd", "BridgeEnter"),
    *("BridgeLeave", "BridgeDestroy", "UserEvent", "OriginateResponse", "strange", ""),
]
BAD = st.lists(st.builds(lambda event, row: {"Event": event, **row}, st.sampled_from(EVENTS), ROWS), max_size=3)

DEVICES: list[Row] = [{"Event": "DeviceStateChange", "Device": "PJSIP/101", "State": "NOT_INUSE"}]
HINTS: list[Row] = [
    {"Event": "ExtensionStatus", "Exten": "101", "Context": "office", "Hint": "PJSIP/101", "Status": "0"}
]
QUEUES: list[Row] = [
    {"Event": "QueueParams", "Queue": "sales", "Calls": "2"},
    {
        "Event": "QueueMember",
        "Queue": "sales",
        "Location": "PJSIP/101",
        "Penalty": "3",
        "Wrapuptime": "5",
        "Status": "1",
    },
]
CHANNELS: list[Row] = [
    {"Event": "CoreShowChannel", "Uniqueid": "1.1", "Channel": "PJSIP/101-1", "ChannelState": "6", "Linkedid": "1.1"},
]


def filled(bad: list[Row]) -> Snapshot:
    """Return a snapshot with the good rows, each list with bad ones before and after them."""
    snapshot = Snapshot()
    snapshot.poll_devices([*bad, *DEVICES, *bad])
    snapshot.poll_extensions([*bad, *HINTS, *bad], NOW)
    snapshot.poll_queues([*bad, *QUEUES, *bad], NOW)
    snapshot.poll_channels([*bad, *CHANNELS, *bad], NOW)
    for event in bad:
        snapshot.handle(event, NOW)
    return snapshot


@given(BAD)
def test_a_bad_row_changes_nothing_else_in_the_snapshot(bad: list[Row]) -> None:
    found, expected = filled(bad), filled([])
    assert found.lines()["101"] == expected.lines()["101"]
    assert found.queue_facts()["sales"] == expected.queue_facts()["sales"]
    for queue in found.queue_facts().values():
        assert 0 <= queue.live_callers <= LARGEST
        assert all(abs(member.penalty) <= LARGEST for member in queue.members)


def talking(bad: list[Row]) -> Calls:
    """Return the calls while 101 talks with 0912…, with bad events and rows between the good ones."""
    calls = Calls(lambda name: "101" if name.startswith("PJSIP/101-") else "", lambda number: number == "101")
    good: list[Row] = [
        {"Event": "Newchannel", "Uniqueid": "1.1", "Channel": "PJSIP/101-1", "Linkedid": "1.1"},
        {
            "Event": "Newchannel",
            "Uniqueid": "1.2",
            "Channel": "PJSIP/trunk-2",
            "Linkedid": "1.1",
            "CallerIDNum": "09121234567",
        },
        {"Event": "BridgeEnter", "Uniqueid": "1.1", "Channel": "PJSIP/101-1", "BridgeUniqueid": "b"},
        {"Event": "BridgeEnter", "Uniqueid": "1.2", "Channel": "PJSIP/trunk-2", "BridgeUniqueid": "b"},
    ]
    for event in good:
        for row in (*bad, event):
            calls.handle(row, 1.0)
    rows = [row | {"Event": "CoreShowChannel", "BridgeId": "b"} for row in map(dict, good[:2])]
    calls.fill([*bad, *rows, *bad], bad, 2.0)
    return calls


@given(BAD)
def test_a_bad_row_changes_nothing_else_in_the_calls(bad: list[Row]) -> None:
    (expected,) = talking([]).current()
    calls = talking(bad)
    assert expected in calls.current()
    assert expected.other in calls.on_line()
    calls.due(100.0)


@given(BAD)
def test_a_bad_event_stops_no_attempt(bad: list[Row]) -> None:
    follower = AttemptFollower()
    follower.follow(ATTEMPT)
    for event in bad:
        follower.handle(event)
    step = {"Event": "UserEvent", "UserEvent": "Bazang", "Attempt": ATTEMPT, "Step": "agent_answered"}
    assert follower.handle(step) == StepReport(ATTEMPT, Step.AGENT_ANSWERED)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7),
        ("+7", 7),
        ("-1", -1),
        ("", 0),
        ("x", 0),
        ("²", 0),
        ("٣", 0),
        ("1.5", 0),
        ("9" * 5000, 0),
        ("9" * 12, LARGEST),
    ],
)
def test_a_number_is_read_or_its_default(text: str, number: int) -> None:
    assert integer(text) == number


def test_events_that_are_handled_are_those_that_are_asked_for() -> None:
    """The AMI client drops all others unread."""
    assert set(Calls(lambda name: "", lambda number: False)._handlers) == Calls.handled
    handled = Snapshot.handled | AttemptFollower.handled | Calls.handled
    assert handled >= {"ExtensionStatus", "DeviceStateChange", "QueueMemberStatus", "QueueCallerJoin", "UserEvent"}
    assert {row["Event"] for row in (*DEVICES, *HINTS)} <= handled


HEADERS = st.lists(st.tuples(st.sampled_from(["Event", "Response", "ActionID", "Queue", "X", ""]), VALUES), max_size=8)


@given(HEADERS, st.binary(max_size=40))
async def test_a_bad_message_is_followed_by_the_next_one(headers: list[tuple[str, str]], noise: bytes) -> None:
    seen: list[Any] = []
    protocol = _Protocol(seen.append)
    protocol.connection_made(asyncio.Transport())
    protocol.data_received(b"Asterisk Call Manager/9.0.0\r\n")
    text = "".join(f"{name}: {value}\r\n" for name, value in headers).encode("utf-8", "replace")
    protocol.data_received(
        text + noise.replace(b"\r\n", b"") + b"\r\n\r\nEvent: Good\r\nQueue: first\r\nQueue: second\r\n\r\n"
    )
    assert {name: seen[-1][name] for name in ("Event", "Queue")} == {"Event": "Good", "Queue": "first"}
    assert all(isinstance(value, str) for event in seen for value in event.values())
