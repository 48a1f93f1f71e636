"""The model of the calls: who talks with whom, since when, and who is on the line."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.telephony import calls as module
from app.telephony.calls import Calls, Party, Talk
from tests.telephony import call_streams
from tests.telephony.call_streams import CUSTOMER, TALKS, describe, make_calls

OUTSIDE = "09121234567"
VERSIONS = (22, 16)
TRUNK, LINE = "PJSIP/trunk-1", "PJSIP/101-2"


def event(name: str, **fields: Any) -> dict[str, str]:
    return {"Event": name, **{key: str(value) for key, value in fields.items()}}


def new(channel: str, caller: str = "", exten: str = "s", linked: str = "L") -> dict[str, str]:
    return event(
        "Newchannel", Uniqueid=channel, Channel=channel, CallerIDNum=caller, Exten=exten, Context="c", Linkedid=linked
    )


def enter(channel: str, bridge: str = "b1", technology: str = "simple_bridge") -> dict[str, str]:
    return event("BridgeEnter", Uniqueid=channel, Channel=channel, BridgeUniqueid=bridge, BridgeTechnology=technology)


def leave(channel: str, bridge: str = "b1") -> dict[str, str]:
    return event("BridgeLeave", Uniqueid=channel, Channel=channel, BridgeUniqueid=bridge)


def hangup(channel: str) -> dict[str, str]:
    return event("Hangup", Uniqueid=channel, Channel=channel)


def dial(channel: str, dialled: str, string: str, exten: str = "s", *, end: bool = False) -> dict[str, str]:
    return event(
        "DialEnd" if end else "DialBegin",
        Uniqueid=channel,
        Channel=channel,
        Context="c",
        Exten=exten,
        DestUniqueid=dialled,
        DestChannel=dialled,
        DialString=string,
    )


def play(calls: Calls, *events: dict[str, str], at: float = 0.0) -> None:
    for each in events:
        calls.handle(each, at)


CALL_IN = (new(TRUNK, OUTSIDE, "101"), new(LINE), dial(TRUNK, LINE, "101", "101"), enter(TRUNK), enter(LINE))


# -- recorded calls -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", TALKS)
def test_recorded_calls(case: str, version: int) -> None:
    calls, talks = make_calls(), []
    for number, each in enumerate(call_streams.load(version)[case]):
        calls.handle(each, float(number))
        talks += calls.due(float(number))
    assert describe(talks) == TALKS[case]
    assert_empty(calls)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", [case for case, talks in TALKS.items() if talks])
def test_recorded_talks_are_as_long_as_the_calls_are_connected(case: str, version: int) -> None:
    """A Local optimization takes no time, so the talk has begun when both are bridged and does not start again."""
    calls, clock = make_calls(min_talk=100.0), 0.0
    events = call_streams.load(version)[case]
    last_enter = max(i for i, each in enumerate(events) if each["Event"] == "BridgeEnter")
    for number, each in enumerate(events[: last_enter + 1]):
        clock = number / 1000
        calls.handle(each, clock)
    remaining = calls.due(clock + 100.0)
    assert remaining and describe(remaining) <= TALKS[case]
    if "Local" in case and "transfer" not in case:
        first_both = min(talk.since for talk in remaining)
        enters = [i for i, each in enumerate(events) if each["Event"] == "BridgeEnter"]
        assert first_both <= enters[3] / 1000


# -- talks --------------------------------------------------------------------------------------------------------


def test_talk_is_due_after_the_shortest_talk_and_only_once() -> None:
    calls = make_calls(min_talk=5.0)
    play(calls, *CALL_IN, at=10.0)
    assert calls.next_due() == 15.0
    assert calls.due(14.9) == []
    assert calls.due(15.0) == [Talk("101", "", Party(numbers=(OUTSIDE,)), frozenset({"L"}), 10.0)]
    assert (calls.due(99.0), calls.next_due()) == ([], None)


def test_talk_that_ends_sooner_is_none() -> None:
    calls = make_calls(min_talk=5.0)
    play(calls, *CALL_IN, at=10.0)
    play(calls, leave(LINE), at=14.0)
    assert (calls.next_due(), calls.due(20.0)) == (None, [])
    play(calls, enter(LINE), at=20.0)
    assert calls.next_due() == 25.0, "it starts again"


def test_moving_to_another_bridge_goes_on_with_the_talk() -> None:
    calls = make_calls(min_talk=5.0)
    play(calls, *CALL_IN, at=10.0)
    play(calls, leave(LINE), at=12.0)
    play(calls, enter(LINE, "b2"), leave(TRUNK), enter(TRUNK, "b2"), at=12.5)
    assert calls.next_due() == 15.0


def test_another_device_on_the_channel_is_another_talk() -> None:
    calls = make_calls(min_talk=5.0)
    play(calls, *CALL_IN, at=10.0)
    assert [talk.extension for talk in calls.due(15.0)] == ["101"]
    play(calls, event("Rename", Uniqueid=LINE, Channel=LINE, Newname="PJSIP/102-9"), at=20.0)
    assert [(talk.extension, talk.since) for talk in calls.due(25.0)] == [("102", 20.0)]


@pytest.mark.parametrize("count", [module.MOST_PARTIES, module.MOST_PARTIES + 1])
def test_conference_is_no_talk(count: int) -> None:
    calls = make_calls()
    play(calls, *CALL_IN, *(enter(f"PJSIP/trunk-9{number}") for number in range(count - 2)))
    assert bool(calls.due(0.0)) is (count <= module.MOST_PARTIES)


def test_two_phones_of_one_person_do_not_talk() -> None:
    calls = make_calls()
    play(calls, new("PJSIP/101-1"), new("PJSIP/101-2"), enter("PJSIP/101-1"), enter("PJSIP/101-2"))
    assert calls.due(0.0) == []


def test_holding_bridge_connects_nobody() -> None:
    calls = make_calls()
    play(calls, *CALL_IN[:3], enter(TRUNK, technology="holding_bridge"), enter(LINE, technology="holding_bridge"))
    assert calls.due(0.0) == []
    play(calls, enter(TRUNK, "b2"), enter(LINE, "b2"))
    assert describe(calls.due(0.0)) == {("101", "", CUSTOMER)}


def test_destroyed_bridge_connects_nobody() -> None:
    calls = make_calls(min_talk=5.0)
    play(calls, *CALL_IN, event("BridgeDestroy", BridgeUniqueid="b1"))
    assert calls.due(9.0) == []


def test_queue_whose_member_is_unknown_has_talked() -> None:
    connect = event("AgentConnect", Uniqueid=TRUNK, Channel=TRUNK, Queue="800")
    unknown = "SIP/sara-1"
    calls = make_calls()
    play(calls, new(TRUNK, OUTSIDE), new(unknown), dial(TRUNK, unknown, "sara"), connect, enter(TRUNK), enter(unknown))
    assert describe(calls.due(0.0)) == {("", "800", CUSTOMER)}


def test_queue_has_not_talked_after_the_agent_transferred_the_caller() -> None:
    complete = event("AgentComplete", Uniqueid=TRUNK, Channel=TRUNK, Queue="800")
    calls = make_calls()
    play(calls, new(TRUNK, OUTSIDE), event("AgentConnect", Uniqueid=TRUNK, Channel=TRUNK, Queue="800"), complete)
    play(calls, new("PJSIP/trunk-7"), dial(TRUNK, "PJSIP/trunk-7", "09360000001@trunk"))
    play(calls, enter(TRUNK), enter("PJSIP/trunk-7"))
    assert calls.due(0.0) == []


# -- whose phone it is, and which number --------------------------------------------------------------------------

MOBILE = "PJSIP/trunk-7"
AGENT_CALLED = event("AgentCalled", Uniqueid=TRUNK, Channel=TRUNK, Context="c", Exten="s")


@pytest.mark.parametrize(
    ("dials", "served"),
    [
        pytest.param([dial(TRUNK, MOBILE, "0935@trunk", "101")], "101", id="from the extension in the dialplan"),
        pytest.param(
            [dial(TRUNK, LINE, "101"), dial(TRUNK, MOBILE, "0935@trunk")], "101", id="beside the phone or after it"
        ),
        pytest.param(
            [dial(TRUNK, MOBILE, "0935@trunk"), dial(TRUNK, LINE, "101"), dial(TRUNK, MOBILE, "", end=True)],
            "101",
            id="before the phone",
        ),
        pytest.param(
            [dial(TRUNK, LINE, "101"), dial(TRUNK, "PJSIP/102-3", "102"), dial(TRUNK, MOBILE, "0935@trunk")],
            "",
            id="beside the phones of two",
        ),
        pytest.param(
            [dial(TRUNK, LINE, "101"), dial(TRUNK, MOBILE, "0935@trunk", "night")], "", id="elsewhere in the dialplan"
        ),
        pytest.param(
            [dial(TRUNK, LINE, "101"), AGENT_CALLED, dial(TRUNK, MOBILE, "0935@trunk")],
            "",
            id="after a queue",
        ),
        pytest.param(
            [new("Local/101@q-1;1"), new("Local/101@q-1;2"), dial("Local/101@q-1;2", MOBILE, "0935@trunk")],
            "101",
            id="by the Local channel of the extension",
        ),
        pytest.param(
            [new("Local/FM-101@f-1;1"), new("Local/FM-101@f-1;2"), dial("Local/FM-101@f-1;2", MOBILE, "0935@trunk")],
            "101",
            id="by a Local channel of FreePBX",
        ),
        pytest.param(
            [
                new("Local/FMGL-0935@f-1;2"),
                dial(TRUNK, "Local/FMPR-101@f-1;1", ""),
                dial(TRUNK, "Local/FMGL-0935@f-1;1", ""),
                dial("Local/FMGL-0935@f-1;2", MOBILE, "0935@trunk"),
            ],
            "101",
            id="beside the Local channel of the extension, as FreePBX does",
        ),
        pytest.param(
            [new("Local/101@q-1;1"), new("Local/101@q-1;2"), dial("Local/101@q-1;1", MOBILE, "0935@trunk")],
            "",
            id="by the phone of a click-to-call",
        ),
        pytest.param(
            [
                *(new(f"Local/{name}-1;{half}") for name in ("101@q", "0935@out") for half in (1, 2)),
                dial("Local/101@q-1;2", "Local/0935@out-1;1", "0935@out"),
                dial("Local/0935@out-1;2", MOBILE, "0935@trunk"),
            ],
            "101",
            id="by two Local channels",
        ),
    ],
)
def test_mobile_of_follow_me_serves_its_extension(dials: list[dict[str, str]], served: str) -> None:
    calls = make_calls()
    play(calls, new(TRUNK, OUTSIDE), new(LINE), new(MOBILE), *dials, hangup(LINE), enter(TRUNK), enter(MOBILE))
    assert describe(calls.due(0.0)) == ({(served, "", CUSTOMER)} if served else set())


@pytest.mark.parametrize(
    ("string", "exten", "numbers"),
    [
        ("09121234567@trunk", "909121234567", ("09121234567", "909121234567")),
        ("g1/09121234567", "s", ("09121234567",)),
        ("g1/9ww09121234567", "s", ("09121234567",)),
        ("trunk/77#09121234567", "s", ("09121234567", "77")),
        ("*3109121234567@trunk", "s", ("3109121234567",)),
        ("trunk/sip:09121234567@10.0.0.1:5060", "s", ("09121234567", "5060")),
        ("user@host:4569/+989121234567/x", "s", ("+989121234567", "4569")),
        ("trunk", "09121234567", ("09121234567",)),
        ("", "s", ()),
    ],
)
def test_number_of_a_dialled_channel(string: str, exten: str, numbers: tuple[str, ...]) -> None:
    calls = make_calls()
    play(calls, new(LINE, "101"), new(MOBILE), dial(LINE, MOBILE, string, exten))
    assert {party for party in calls.on_line() if not party.extension} == (
        {Party(numbers=numbers)} if numbers else set()
    )


def test_caller_id_may_come_late() -> None:
    calls = make_calls()
    play(calls, new(TRUNK), *CALL_IN[1:])
    play(calls, event("NewCallerid", Uniqueid=TRUNK, Channel=TRUNK, CallerIDNum=OUTSIDE))
    assert describe(calls.due(0.0)) == {("101", "", CUSTOMER)}


def test_the_line_has_everybody_who_rings_waits_or_talks() -> None:
    calls = make_calls()
    play(calls, new(TRUNK, OUTSIDE))
    assert calls.on_line() == {Party(numbers=(OUTSIDE,))}
    changes = calls.changes
    play(calls, event("Newstate", Uniqueid=TRUNK, Channel=TRUNK, CallerIDNum=OUTSIDE), enter(TRUNK), leave(TRUNK))
    assert calls.changes == changes
    play(calls, *CALL_IN[1:3])
    assert calls.on_line() == {Party(numbers=(OUTSIDE,)), Party("101")}
    assert calls.changes > changes
    play(calls, hangup(TRUNK))
    assert calls.on_line() == {Party("101")}


# -- lists and lost events ----------------------------------------------------------------------------------------


def row(channel: str, bridge: str = "", application: str = "", data: str = "", **fields: str) -> dict[str, str]:
    return event(
        "CoreShowChannel",
        Uniqueid=channel,
        Channel=channel,
        Linkedid="L",
        BridgeId=bridge,
        Application=application,
        ApplicationData=data,
        **fields,
    )


ROWS = [row(TRUNK, "b1", "Dial", "PJSIP/101", CallerIDNum=OUTSIDE), row(LINE, "b1", "AppDial", "(Outgoing Line)")]


def test_lists_give_the_calls_after_a_reconnection() -> None:
    calls = make_calls(min_talk=5.0)
    calls.fill(ROWS, [], 10.0)
    assert describe(calls.due(15.0)) == {("101", "", CUSTOMER)}


def test_lists_give_the_number_of_a_call_out_and_the_queue() -> None:
    calls = make_calls()
    calls.fill(
        [row(LINE, "b1", "Dial", f"PJSIP/{OUTSIDE}@trunk,60"), row(MOBILE, "b1", "AppDial", "(Outgoing Line)")], [], 0
    )
    assert describe(calls.due(0.0)) == {("101", "", CUSTOMER)}
    calls = make_calls()
    calls.fill(
        [row(TRUNK, "b1", "Queue", "800,tT", CallerIDNum=OUTSIDE), row(LINE, "b1", "AppQueue", "(Outgoing Line)")],
        [],
        0,
    )
    assert describe(calls.due(0.0)) == {("101", "800", CUSTOMER)}


def test_holding_bridge_of_the_lists_connects_nobody() -> None:
    calls = make_calls()
    calls.fill(ROWS, [event("BridgeListItem", BridgeUniqueid="b1", BridgeTechnology="holding_bridge")], 0.0)
    assert calls.due(0.0) == []


def test_lists_keep_the_time_of_a_talk_and_end_what_is_over() -> None:
    calls = make_calls(min_talk=5.0)
    play(calls, *CALL_IN, at=10.0)
    calls.fill(ROWS, [], 12.0)
    assert calls.next_due() == 15.0
    calls.fill([], [], 13.0)
    assert_empty(calls)


def test_event_is_newer_than_a_list_that_was_requested_before() -> None:
    calls = make_calls()
    later = (*CALL_IN, hangup(TRUNK), new("PJSIP/trunk-5", "09360000001"), leave(LINE))
    play(calls, *later)
    calls.fill([*ROWS, *later], [], 0.0)
    assert calls.on_line() == {Party("101"), Party(numbers=("09360000001",))}
    assert calls.due(9.0) == []


def test_no_talk_is_due_while_the_connection_is_lost() -> None:
    calls = make_calls(min_talk=5.0)
    play(calls, *CALL_IN, at=10.0)
    calls.connection_lost()
    assert (calls.next_due(), calls.due(20.0)) == (None, [])
    calls.fill(ROWS, [], 20.0)
    assert describe(calls.due(20.0)) == {("101", "", CUSTOMER)}


def test_memory_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CHANNELS", 10)
    monkeypatch.setattr(module, "MOST_ENDED", 10)
    calls = make_calls()
    for number in range(40):
        play(calls, new(f"PJSIP/trunk-{number}", f"0912{number:07}"), enter(f"PJSIP/trunk-{number}", f"b{number % 3}"))
        play(calls, hangup(f"PJSIP/old-{number}"))
    assert len(calls) == len(calls._ended) == 10
    for number in range(40):
        play(calls, hangup(f"PJSIP/trunk-{number}"))
    assert_empty(calls)


def test_late_event_does_not_bring_an_ended_channel_back() -> None:
    calls = make_calls()
    play(calls, *CALL_IN, hangup(LINE), hangup(TRUNK), *CALL_IN, leave(LINE))
    assert_empty(calls)


@pytest.mark.parametrize("name", sorted(make_calls().handled))
def test_event_without_fields_changes_nothing(name: str) -> None:
    calls = make_calls()
    play(calls, event(name))
    assert_empty(calls)


# -- properties ---------------------------------------------------------------------------------------------------

CHANNELS = (
    *(f"PJSIP/{device}-{number}" for device in ("101", "102", "trunk") for number in (1, 2)),
    *(f"Local/{name}-1;{half}" for name in ("101@q", "0935@out") for half in (1, 2)),
)
BRIDGES = ("b1", "b2", "park")


def technology(bridge: str) -> str:
    return "holding_bridge" if bridge == "park" else "simple_bridge"


channels, bridges = st.sampled_from(CHANNELS), st.sampled_from(BRIDGES)
steps = st.one_of(
    st.builds(new, channels, st.sampled_from(["", OUTSIDE, "101"]), st.sampled_from(["s", "101"])),
    st.builds(lambda channel, bridge: enter(channel, bridge, technology(bridge)), channels, bridges),
    st.builds(leave, channels, bridges),
    st.builds(dial, channels, channels, st.sampled_from(["", "0912@trunk"]), st.sampled_from(["s", "101"])),
    st.builds(hangup, channels),
    st.builds(lambda bridge: event("BridgeDestroy", BridgeUniqueid=bridge), bridges),
    st.builds(lambda channel: event("AgentConnect", Uniqueid=channel, Channel=channel, Queue="800"), channels),
    st.builds(
        lambda channel, name: event("Rename", Uniqueid=channel, Channel=channel, Newname=f"{name}<MASQ>"),
        channels,
        channels,
    ),
    st.just(event("fill")),
)


class Plain:
    """A plain model of who hears whom: it looks at all channels again after each event."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.bridge: dict[str, str] = {}
        self.ended: set[str] = set()

    def handle(self, each: dict[str, str]) -> None:
        for prefix in ("", "Dest"):
            channel = each.get(f"{prefix}Uniqueid", "")
            if channel and channel not in self.ended and each["Event"] not in ("Hangup", "Rename"):
                self.names[channel] = each[f"{prefix}Channel"]
        channel = each.get("Uniqueid", "")
        match each["Event"]:
            case "BridgeEnter" if channel in self.names:
                self.bridge[channel] = each["BridgeUniqueid"]
            case "BridgeLeave" if self.bridge.get(channel) == each["BridgeUniqueid"]:
                del self.bridge[channel]
            case "BridgeDestroy":
                self.bridge = {c: b for c, b in self.bridge.items() if b != each["BridgeUniqueid"]}
            case "Rename" if channel in self.names:
                self.names[channel] = each["Newname"]
            case "Hangup":
                self.ended.add(channel)
                self.names.pop(channel, None)
                self.bridge.pop(channel, None)

    def pairs(self) -> set[frozenset[str]]:
        groups = {channel: {channel} for channel in self.names}

        def join(one: str, other: str) -> None:
            merged = groups[one] | groups[other]
            for channel in merged:
                groups[channel] = merged

        last = {name: channel for channel, name in self.names.items()}
        for one in self.names:
            for other in self.names:
                name, its = self.names[one], self.names[other]
                is_local = name[:-2] == its[:-2] and {name[-2:], its[-2:]} == {";1", ";2"}
                if is_local and last[name] == one and last[its] == other:
                    join(one, other)
                bridge = self.bridge.get(one, "")
                if one != other and bridge and bridge == self.bridge.get(other) and bridge != "park":
                    join(one, other)
        return {
            frozenset((one, other))
            for one, group in groups.items()
            for other in group
            if one < other and not any(self.names[c].startswith("Local/") for c in (one, other))
        }

    def rows(self) -> list[dict[str, str]]:
        return [
            event("CoreShowChannel", Uniqueid=c, Channel=name, BridgeId=self.bridge.get(c, ""))
            for c, name in self.names.items()
        ]


def pairs_of(calls: Calls) -> set[frozenset[str]]:
    return {frozenset((one, other)) for one, others in calls._pairs.items() for other in others}


def assert_empty(calls: Calls) -> None:
    """The model holds nothing of any call, but the list of the ended ones."""
    assert len(calls) == 0
    assert (calls._by_name, calls._bridges, calls._pairs, calls._young, calls._broken) == ({}, {}, {}, {}, {})
    assert (calls._counted, calls.on_line()) == ({}, frozenset())


@settings(max_examples=300)
@given(st.lists(steps, max_size=40))
def test_random_calls_are_followed_and_leave_nothing_behind(events: list[dict[str, str]]) -> None:
    """Dropped and repeated events are a part of the random calls: many events fit to no earlier one."""
    calls, plain = make_calls(), Plain()
    for number, each in enumerate(events):
        now = number * 0.4
        if each["Event"] == "fill":
            park = [event("BridgeListItem", BridgeUniqueid="park", BridgeTechnology="holding_bridge")]
            calls.fill(plain.rows(), park, now)
        else:
            calls.handle(each, now)
            plain.handle(each)
        assert pairs_of(calls) == plain.pairs()
        assert all(pair.since <= now for pair in calls._young.values())
        assert set(calls._young) <= pairs_of(calls)
        assert all(talk.since <= now for talk in calls.due(now))
    for channel in CHANNELS:
        calls.handle(hangup(channel), len(events) * 0.4)
    assert_empty(calls)


@settings(max_examples=100)
@given(st.data())
def test_lost_and_repeated_events_of_real_calls_leave_nothing_behind(data: st.DataObject) -> None:
    case = data.draw(st.sampled_from([case for case in TALKS if case in STREAMS]))
    stream = STREAMS[case]
    kept = data.draw(st.lists(st.sampled_from(range(len(stream))), max_size=2 * len(stream)).map(sorted))
    calls = make_calls()
    for number, index in enumerate(kept):
        calls.handle(stream[index], number / 10)
    calls.fill([], [], 100.0)
    assert_empty(calls)


STREAMS = call_streams.load(22)
