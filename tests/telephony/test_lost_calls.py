"""Which calls from outside end without a talk, and where their callers had come."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.missed_calls import Arrival, Target
from app.telephony import lost_calls as module
from app.telephony.calls import Calls, Party
from app.telephony.lost_calls import LostCall, LostCalls
from tests.telephony import call_streams
from tests.telephony.call_streams import TALKS, make_calls
from tests.telephony.test_calls import OUTSIDE, TRUNK, dial, enter, event, hangup, leave, new

LINE, COLLEAGUE, MEMBER = "PJSIP/101-2", "PJSIP/102-3", "Local/101@q-1;1"
SARA, OMID, SALES = Target(False, "101"), Target(False, "102"), Target(True, "sales")
JOIN = event("QueueCallerJoin", Uniqueid=TRUNK, Channel=TRUNK, Queue="sales")
LEAVE = event("QueueCallerLeave", Uniqueid=TRUNK, Channel=TRUNK, Queue="sales")
RING = (new(LINE), dial(TRUNK, LINE, "101"))
CAME = event("UserEvent", UserEvent="BazangCaller", Uniqueid=TRUNK, Channel=TRUNK, Extension="101")


class Watch:
    """The model of the calls with `LostCalls` beside it. `hints`: contexts and extensions with a hint."""

    def __init__(self) -> None:
        self.calls: Calls = make_calls()
        self.lost = LostCalls(self.calls, lambda context, exten: (context, exten) == ("hints", "101"))
        self.found: list[LostCall] = []

    def play(self, *events: dict[str, str]) -> "Watch":
        for plain in events:
            each = {"ChannelState": "4"} | plain if plain["Event"] == "Newchannel" else plain
            found = self.lost.handle(each)
            self.found += [found] if found is not None else []
            self.calls.handle(each, 0.0)
        return self

    def targets(self) -> list[list[Target | None]]:
        """Where the callers of each lost call had come."""
        return [[arrival.target for arrival in call.arrivals] for call in self.found]


def start(caller: str = OUTSIDE, **fields: str) -> dict[str, str]:
    return new(TRUNK, caller) | fields


def state(number: str) -> dict[str, str]:
    return event("Newstate", Uniqueid=TRUNK, Channel=TRUNK, ChannelState=number)


@pytest.mark.parametrize(
    ("events", "targets"),
    [
        (RING, [SARA]),
        ((JOIN,), [SALES]),
        ((JOIN, new(MEMBER), dial(TRUNK, MEMBER, "101@q")), [SALES]),  # the member rings for the queue
        ((JOIN, LEAVE, *RING), [SALES, SARA]),
        ((*RING, *RING), [SARA]),
        ((CAME,), [SARA]),  # a line that is busy
        ((event("UserEvent", UserEvent="Other", Uniqueid=TRUNK, Channel=TRUNK, Extension="101"), JOIN), [SALES]),
        ((new(COLLEAGUE), dial(TRUNK, COLLEAGUE, "102"), *RING), [OMID, SARA]),
        ((*RING, enter(TRUNK)), [SARA]),  # alone in a bridge
        ((*RING, enter(TRUNK, "park", "holding_bridge"), enter(LINE, "park", "holding_bridge")), [SARA]),
    ],
)
def test_call_without_a_talk_is_lost_where_the_caller_came(
    events: tuple[dict[str, str], ...], targets: list[Target]
) -> None:
    watch = Watch().play(start(CallerIDName="Mina"), *events, hangup(TRUNK))
    assert watch.targets() == [targets]
    (call,) = watch.found
    assert (call.uniqueid, call.party, call.name) == (TRUNK, Party(numbers=(OUTSIDE,)), "Mina")
    assert len(watch.lost) == 0


@pytest.mark.parametrize(
    "events",
    [
        (start(), hangup(TRUNK)),  # came nowhere
        (start(), *RING, enter(TRUNK), enter(LINE), hangup(TRUNK)),
        (start(), *RING, enter(TRUNK), enter(LINE), leave(LINE), *RING, hangup(TRUNK)),  # for however short a time
        (start(), *RING, new(COLLEAGUE), enter(TRUNK), enter(COLLEAGUE), hangup(TRUNK)),  # a pickup
        (start(), JOIN, new("PJSIP/trunk-9"), enter(TRUNK), enter("PJSIP/trunk-9"), hangup(TRUNK)),  # a mobile
        (start(ChannelState="0"), state("5"), state("6"), *RING, hangup(TRUNK)),  # a program has asked for it
        (new(LINE, "101"), new(COLLEAGUE), dial(LINE, COLLEAGUE, "102"), hangup(LINE)),  # from inside
        (new(MEMBER), new(LINE), dial(MEMBER, LINE, "101"), hangup(MEMBER)),
        (new(LINE), start(), dial(LINE, TRUNK, OUTSIDE), JOIN, hangup(TRUNK)),  # a customer who was dialled
        (JOIN, hangup(TRUNK)),  # its beginning was missed
        (start(), *RING, hangup(LINE)),
        (event("Newchannel"), event("Hangup")),
    ],
)
def test_other_calls_are_not_lost(events: tuple[dict[str, str], ...]) -> None:
    assert Watch().play(*events).found == []


def test_channel_of_chan_sip_is_down_at_first() -> None:
    assert Watch().play(start(ChannelState="0"), state("4"), *RING, hangup(TRUNK)).targets() == [[SARA]]


@pytest.mark.parametrize(("context", "lost"), [("hints", [[SARA]]), ("elsewhere", [])])
def test_caller_who_ends_in_an_extension_that_did_not_ring_came_to_it(
    context: str, lost: list[list[Target | None]]
) -> None:
    assert Watch().play(start(), hangup(TRUNK) | {"Context": context, "Exten": "101"}).targets() == lost


def test_caller_comes_to_a_module() -> None:
    watch = Watch().play(start())
    watch.lost.enter_module(TRUNK, 7, "101")
    watch.lost.enter_module("unknown", 7, "101")
    watch.play(hangup(TRUNK))
    assert [call.arrivals for call in watch.found] == [(Arrival(module_id=7, wanted="101"),)]


def test_withheld_number_is_not_kept() -> None:
    asked: list[tuple[str, str]] = []
    watch = Watch()
    watch.lost = LostCalls(watch.calls, lambda *_: False, lambda *caller: asked.append(caller))
    watch.play(start(CallerIDName="Mina", ChannelState="0"))
    assert asked == []
    watch.play(state("4"), JOIN, state("4"))
    assert asked == [(TRUNK, TRUNK)]
    assert not watch.lost.withhold_number("unknown")
    assert watch.lost.withhold_number(TRUNK)
    watch.play(hangup(TRUNK))
    assert [(call.party, call.name) for call in watch.found] == [(Party(), "")]


def test_caller_who_left_a_request_is_not_lost() -> None:
    watch = Watch().play(start(), *RING)
    assert watch.lost.leave_request(TRUNK) is True
    watch.play(hangup(TRUNK))
    assert watch.found == []
    assert watch.lost.leave_request(TRUNK) is False, "the call has ended"


def test_calls_of_a_lost_connection_are_not_made_up() -> None:
    watch = Watch().play(start(), JOIN)
    watch.lost.connection_lost()
    watch.play(hangup(TRUNK))
    assert watch.found == []


def test_name_comes_later_and_placeholders_are_none() -> None:
    late = event("NewCallerid", Uniqueid=TRUNK, Channel=TRUNK, CallerIDNum=OUTSIDE, CallerIDName="Mina")
    unknown = late | {"CallerIDName": "<unknown>"}
    watch = Watch().play(start(CallerIDName="<unknown>"), late, unknown, JOIN, hangup(TRUNK))
    assert [call.name for call in watch.found] == ["Mina"]


def test_memory_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CALLERS", 2)
    monkeypatch.setattr(module, "MOST_ARRIVALS", 1)
    watch = Watch().play(*(new(f"PJSIP/trunk-{number}", OUTSIDE) for number in range(5)))
    assert len(watch.lost) == 2
    watch.play(start(), JOIN, *RING, LEAVE, *RING, hangup(TRUNK))
    assert watch.targets() == [[SARA]]


@pytest.mark.parametrize("version", [22, 16])
@pytest.mark.parametrize("case", [case for case, talks in TALKS.items() if talks])
def test_recorded_calls_with_a_talk_are_not_lost(case: str, version: int) -> None:
    assert Watch().play(*call_streams.load(version)[case]).found == []


@pytest.mark.parametrize("version", [22, 16])
def test_recorded_call_that_a_mailbox_answers_is_lost(version: int) -> None:
    assert Watch().play(*call_streams.load(version)["mailbox"]).targets() == [[SARA]]


# -- properties ---------------------------------------------------------------------------------------------------

CALLERS = tuple(f"PJSIP/trunk-{number}" for number in range(3))
PHONES = ("PJSIP/101-7", "PJSIP/102-8")
callers, everybody = st.sampled_from(CALLERS), st.sampled_from(CALLERS + PHONES)
steps = st.one_of(
    st.builds(new, everybody, st.just(OUTSIDE)),
    st.builds(dial, callers, st.sampled_from(PHONES), st.just("101")),
    st.builds(lambda one: event("QueueCallerJoin", Uniqueid=one, Channel=one, Queue="sales"), callers),
    st.builds(lambda one: event("QueueCallerLeave", Uniqueid=one, Channel=one, Queue="sales"), callers),
    st.builds(enter, everybody, st.sampled_from(["b1", "b2"])),
    st.builds(leave, everybody, st.sampled_from(["b1", "b2"])),
    st.builds(hangup, everybody),
    st.builds(lambda one: event("request", Uniqueid=one), callers),
    st.just(event("reconnect")),
)


@settings(max_examples=300)
@given(st.lists(steps, max_size=40))
def test_nobody_is_lost_who_talked_or_left_a_request_and_no_call_twice(events: list[dict[str, str]]) -> None:
    watch = Watch()
    bridged: dict[str, str] = {}
    satisfied: set[str] = set()
    ended: set[str] = set()
    for each in events:
        channel = each.get("Uniqueid", "")
        match each["Event"]:
            case "request":
                satisfied |= {channel} if watch.lost.leave_request(channel) else set()
                continue
            case "reconnect":
                watch.lost.connection_lost()
                continue
            case "BridgeEnter" if channel not in ended:
                bridged[channel] = each["BridgeUniqueid"]
                together = {other for other, bridge in bridged.items() if bridge == bridged[channel]}
                satisfied |= together if len(together) > 1 else set()
            case "BridgeLeave" if bridged.get(channel) == each["BridgeUniqueid"]:
                del bridged[channel]
            case "Hangup":
                ended.add(channel)
                bridged.pop(channel, None)
        watch.play(each)
    found = [call.uniqueid for call in watch.found]
    assert not satisfied & set(found)
    assert len(found) == len(set(found))
    assert set(found) <= ended & set(CALLERS)
