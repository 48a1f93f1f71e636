"""The snapshot from polls and events, with messages as Asterisk 22, Asterisk 16 and FreePBX send them."""

import weakref
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from panoramisk.message import Message

from app.domain.place_in_line import WaitingCallers
from app.domain.policy import Line, LineState, Member, Queue
from app.telephony.snapshot import HeldMember, Snapshot

T0 = datetime(2026, 11, 3, 8, 0, 0, tzinfo=UTC)
CONTEXT = "from-internal"
OWN = "bazang-extensions"  # the context of the hints in our dialplan
FREE, IN_CALL, RINGING, DND = LineState.FREE, LineState.IN_CALL, LineState.RINGING, LineState.DND


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def epoch(seconds: float) -> str:
    return str(int(at(seconds).timestamp()))


def event(name: str, **fields: Any) -> Message:
    return Message({"Event": name, **{key: str(value) for key, value in fields.items()}})


def hint(extension: str, status: int = 0, devices: str = "", context: str = CONTEXT) -> Message:
    """A row of ExtensionStateList, or a live event."""
    return event(
        "ExtensionStatus", Exten=extension, Context=context, Hint=devices or f"PJSIP/{extension}", Status=status
    )


def line(
    extension: str,
    state: LineState,
    since: datetime,
    context: str = CONTEXT,
    idle_since: datetime | None = None,
) -> Line:
    return Line(extension, state, since, f"PJSIP/{extension}", context, idle_since=idle_since)


def device(name: str, state: str = "NOT_INUSE") -> Message:
    return event("DeviceStateChange", Device=name, State=state)


def params(queue: str, calls: int = 0) -> Message:
    return event("QueueParams", Queue=queue, Max=0, Strategy="ringall", Calls=calls)


def member(queue: str, location: str, **fields: Any) -> Message:
    """A row of QueueStatus."""
    row = {
        "Queue": queue,
        "Name": location,
        "Location": location,
        "StateInterface": location,
        "Penalty": 0,
        "LastCall": 0,
        "InCall": 0,
        "Status": 1,
        "Paused": 0,
        "Wrapuptime": 0,
    }
    return event("QueueMember", **{**row, **fields})


def member_event(queue: str, interface: str, name: str = "QueueMemberStatus", **fields: Any) -> Message:
    """A live event. It has Interface and MemberName where a row has Location and Name."""
    row = {
        "Queue": queue,
        "MemberName": interface,
        "Interface": interface,
        "StateInterface": interface,
        "Penalty": 0,
        "LastCall": 0,
        "InCall": 0,
        "Status": 1,
        "Paused": 0,
        "Wrapuptime": 0,
    }
    return event(name, **{**row, **fields})


def without(message: Message, *fields: str) -> Message:
    """Return a copy of the message without some fields."""
    return Message({key: value for key, value in message.items() if key not in (*fields, "content")})


@pytest.fixture
def office() -> Snapshot:
    """Two extensions, free since T0, and members of the queue `sales` with a wrap-up time of 20 s."""
    snapshot = Snapshot(OWN)
    snapshot.wrapups = {"sales": 20}
    snapshot.poll_devices([device("PJSIP/101"), device("PJSIP/102")])
    snapshot.poll_extensions([hint("101"), hint("102")], T0)
    snapshot.poll_queues([params("sales"), member("sales", "PJSIP/101"), member("sales", "PJSIP/102")], T0)
    snapshot.changed_lines, snapshot.changed_queues = set(), set()
    return snapshot


def state(snapshot: Snapshot, extension: str = "101") -> LineState:
    return snapshot.lines()[extension].state


def sales_member(snapshot: Snapshot, extension: str = "101") -> Member:
    return next(m for m in snapshot.queue_facts()["sales"].members if m.extension == extension)


# -- lines ----------------------------------------------------------------------------------------------------


def test_snapshot_is_empty_before_the_first_poll() -> None:
    snapshot = Snapshot()
    assert (snapshot.lines(), snapshot.queue_facts()) == ({}, {})
    assert snapshot.handle(hint("101"), T0) is False
    assert snapshot.lines() == {}


def test_poll_reports_all_lines() -> None:
    snapshot = Snapshot()
    rows = [hint("101", 0), hint("102", 1), hint("103", 2), hint("104", 4), hint("105", 8), hint("106", 9)]
    snapshot.poll_extensions([*rows, hint("107", 16), hint("108", -1)], T0)
    assert {e: line.state for e, line in snapshot.lines().items()} == {
        "101": FREE,
        "102": IN_CALL,
        "103": IN_CALL,
        "104": LineState.OFFLINE,
        "105": RINGING,
        "106": RINGING,
        "107": IN_CALL,
        "108": LineState.UNKNOWN,
    }
    assert snapshot.changed_lines == set(snapshot.lines())


def test_state_begins_when_it_is_first_reported(office: Snapshot) -> None:
    office.poll_extensions([hint("101"), hint("102", 1)], at(5))
    assert office.lines() == {"101": line("101", FREE, T0), "102": line("102", IN_CALL, at(5))}
    office.handle(hint("102", 1), at(6))
    office.handle(hint("102", 16), at(7))  # on hold is the same state
    assert office.lines()["102"].since == at(5)
    office.handle(hint("102", 0), at(8))
    assert office.lines()["102"] == line("102", FREE, at(8), idle_since=at(8))


def test_extension_is_idle_since_its_last_call_or_our_last_ring(office: Snapshot) -> None:
    def idle(extension: str = "101") -> datetime | None:
        return office.lines()[extension].idle_since

    assert idle() is None
    office.handle(hint("101", 8), at(1))  # another's call rings in vain
    office.handle(hint("101", 0), at(2))
    assert idle() is None
    for status in (1, 16, 0):
        office.handle(hint("101", status), at(3 + status))
    assert idle() == at(3)
    office.changed_lines.clear()
    office.note_ring("101", at(30))
    assert (idle(), office.changed_lines) == (at(30), {"101"})
    office.poll_extensions([hint("102")], at(31))
    office.poll_extensions([hint("101"), hint("102")], at(32))
    assert idle() == at(30), "it stays while the PBX does not list the extension"
    office.move_times(timedelta(hours=1))
    assert idle() == at(30) + timedelta(hours=1)


def test_queue_knows_the_calls_before_the_worker_was_started(office: Snapshot) -> None:
    row = member("sales", "PJSIP/101", LastCall=epoch(-60))
    office.poll_queues([params("sales"), row, member("sales", "PJSIP/102")], at(5))
    assert [office.lines()[name].idle_since for name in ("101", "102")] == [at(-60), None]
    office.note_ring("101", at(6))
    office.poll_queues([params("sales"), row], at(9))
    assert office.lines()["101"].idle_since == at(6)


def test_only_changed_lines_are_marked(office: Snapshot) -> None:
    office.poll_extensions([hint("101"), hint("102")], at(1))
    office.handle(hint("101", 0), at(2))
    assert office.changed_lines == set()
    office.handle(hint("101", 1), at(3))
    assert office.changed_lines == {"101"}


def test_event_of_a_line_returns_whether_the_line_is_free(office: Snapshot) -> None:
    assert [office.handle(hint("101", status), T0) for status in (8, 1, 0, 4, 0)] == [False, False, True, False, True]


def test_extension_that_a_poll_does_not_report_is_removed(office: Snapshot) -> None:
    office.poll_queues([], T0)
    office.poll_extensions([hint("102")], at(1))
    assert set(office.lines()) == {"102"}
    assert office.changed_lines == {"101"}
    assert office.extension_of("PJSIP/101") == ""


def test_device_belongs_to_its_new_extension_after_a_poll(office: Snapshot) -> None:
    office.poll_queues([], T0)
    office.poll_extensions([hint("101", devices="SIP/7"), hint("102", devices="PJSIP/101")], at(1))
    assert (office.extension_of("PJSIP/101"), office.extension_of("SIP/7")) == ("102", "101")
    assert office.extension_of("PJSIP/102") == ""
    assert office.changed_lines == {"101", "102"}


@pytest.mark.parametrize("exten", ["_1XX", "sales", "", "1 1", "1" * 21, "_.", "۱۰۱", "*5", "#1"])
def test_hints_that_are_no_extensions_are_ignored(exten: str) -> None:
    snapshot = Snapshot()
    snapshot.poll_extensions([hint(exten, devices="PJSIP/x"), hint("5")], T0)
    assert set(snapshot.lines()) == {"5"}


@pytest.mark.parametrize("other", ["a-context", "zz-context"])
@pytest.mark.parametrize("order", [1, -1])
def test_hint_of_the_pbx_takes_precedence_over_ours(order: int, other: str) -> None:
    """The PBX's hint may report "do not disturb"."""
    rows = [hint("101", 1, context=OWN), hint("101", 0, context=other), hint("102", 0, context=OWN)]
    snapshot = Snapshot(OWN)
    snapshot.poll_extensions(rows[::order], T0)
    assert (state(snapshot), state(snapshot, "102")) == (FREE, FREE)
    assert snapshot.handle(hint("101", 8, context=OWN), at(1)) is False
    assert state(snapshot) is FREE
    snapshot.handle(hint("101", 8, context=other), at(2))
    snapshot.handle(hint("102", 8, context=OWN), at(2))
    assert (state(snapshot), state(snapshot, "102")) == (RINGING, RINGING)


@pytest.mark.parametrize("order", [1, -1])
def test_choice_between_several_hints_of_the_pbx_is_stable(order: int) -> None:
    """Otherwise the state of a line would depend on the order of the rows."""
    rows = [hint("101", 1, context="a"), hint("101", 0, context="b"), hint("101", 4, context=OWN)]
    snapshot = Snapshot(OWN)
    for seconds in range(3):
        snapshot.poll_extensions(rows[::order], at(seconds))
        snapshot.handle(hint("101", 0, context="b"), at(seconds))
    assert snapshot.lines()["101"] == line("101", IN_CALL, T0, "a")


def test_new_hint_of_the_pbx_replaces_ours() -> None:
    snapshot = Snapshot(OWN)
    snapshot.poll_extensions([hint("101", 0, context=OWN)], T0)
    snapshot.changed_lines = set()
    snapshot.poll_extensions([hint("101", 0, context=OWN), hint("101", 2, context=CONTEXT)], at(1))
    assert state(snapshot) is IN_CALL
    assert snapshot.extensions["101"].context == CONTEXT
    assert snapshot.changed_lines == {"101"}


def test_poll_corrects_a_lost_event(office: Snapshot) -> None:
    office.handle(hint("101", 1), at(1))
    office.poll_extensions([hint("101", 0), hint("102", 0)], at(9))
    assert office.lines()["101"] == line("101", FREE, at(9), idle_since=at(9))


# -- do not disturb -------------------------------------------------------------------------------------------

DND_HINT = "PJSIP/101&Custom:DND101,CustomPresence:101"  # as FreePBX writes it


def with_dnd_hint(status: int, device_state: str = "NOT_INUSE", devices: str = DND_HINT) -> Snapshot:
    snapshot = Snapshot(OWN)
    snapshot.poll_devices([device("PJSIP/101", device_state), device("Custom:DND101", "NOT_INUSE")])
    snapshot.poll_extensions([hint("101", status, devices)], T0)
    return snapshot


@pytest.mark.parametrize(
    ("status", "device_state", "expected"),
    [
        (0, "NOT_INUSE", FREE),
        (1, "NOT_INUSE", DND),
        (2, "NOT_INUSE", DND),
        (1, "INUSE", IN_CALL),
        (2, "BUSY", IN_CALL),
        (8, "RINGING", RINGING),
        (9, "RINGINUSE", RINGING),
        (4, "UNAVAILABLE", LineState.OFFLINE),
        (1, "ONHOLD", IN_CALL),
    ],
)
@pytest.mark.parametrize("devices", [DND_HINT, "PJSIP/101&Custom:DND101", "Custom:DND101&PJSIP/101"])
def test_do_not_disturb_by_a_custom_device(status: int, device_state: str, expected: LineState, devices: str) -> None:
    snapshot = with_dnd_hint(status, device_state, devices)
    assert state(snapshot) is expected
    assert snapshot.extensions["101"].devices == ("PJSIP/101",)  # what is dialled has no Custom: part


def test_custom_presence_is_not_do_not_disturb() -> None:
    snapshot = with_dnd_hint(1, "NOT_INUSE", "PJSIP/101,CustomPresence:101")
    assert state(snapshot) is IN_CALL


def test_do_not_disturb_is_switched_by_events() -> None:
    snapshot = with_dnd_hint(0)
    assert snapshot.handle(device("Custom:DND101", "BUSY"), at(1)) is False
    assert snapshot.handle(hint("101", 2, DND_HINT), at(1)) is False
    assert snapshot.lines()["101"] == line("101", DND, at(1))
    assert snapshot.handle(hint("101", 0, DND_HINT), at(5)) is True
    assert snapshot.lines()["101"] == line("101", FREE, at(5))


@pytest.mark.parametrize("first", ["extension", "device"])
def test_call_is_not_do_not_disturb_in_either_order_of_events(first: str) -> None:
    snapshot = with_dnd_hint(0)
    events = [hint("101", 1, DND_HINT), device("PJSIP/101", "INUSE")]
    for message in events if first == "extension" else events[::-1]:
        snapshot.handle(message, at(1))
    assert state(snapshot) is IN_CALL
    assert snapshot.handle(hint("101", 1, DND_HINT), at(2)) is False


def test_do_not_disturb_that_was_set_during_a_call_holds_after_it() -> None:
    snapshot = with_dnd_hint(1, "INUSE")
    snapshot.handle(device("Custom:DND101", "BUSY"), at(1))
    assert snapshot.handle(device("PJSIP/101", "NOT_INUSE"), at(2)) is False
    assert state(snapshot) is DND


@pytest.mark.parametrize(
    ("devices", "expected"),
    [(DND_HINT, DND), ("PJSIP/101", IN_CALL), ("PJSIP/101&PJSIP/201", IN_CALL), (f"PJSIP/201&{DND_HINT}", DND)],
)
def test_event_without_a_hint_keeps_the_devices(devices: str, expected: LineState) -> None:
    snapshot = Snapshot(OWN)
    snapshot.poll_devices([device("PJSIP/101"), device("PJSIP/201"), device("Custom:DND101")])
    snapshot.poll_extensions([hint("101", 0, devices)], T0)
    before = snapshot.extensions["101"].devices
    snapshot.handle(event("ExtensionStatus", Exten="101", Context=CONTEXT, Status="2"), at(1))
    assert state(snapshot) is expected
    assert snapshot.extensions["101"].devices == before


def test_event_with_another_hint_replaces_the_devices() -> None:
    snapshot = with_dnd_hint(0)
    snapshot.changed_lines = set()
    snapshot.handle(hint("101", 0, "PJSIP/201&PJSIP/301"), at(1))
    assert snapshot.lines()["101"] == Line("101", FREE, T0, "PJSIP/201&PJSIP/301", CONTEXT)
    assert (snapshot.extension_of("PJSIP/201"), snapshot.extension_of("PJSIP/301")) == ("101", "101")
    assert snapshot.changed_lines == {"101"}
    snapshot.handle(hint("101", 2, "PJSIP/201&PJSIP/301"), at(2))
    assert state(snapshot) is IN_CALL, "the new hint has no Custom: device"


def test_do_not_disturb_with_an_unavailable_second_phone() -> None:
    snapshot = Snapshot(OWN)
    snapshot.poll_devices([device("PJSIP/101"), device("PJSIP/201", "UNAVAILABLE"), device("Custom:DND101", "BUSY")])
    snapshot.poll_extensions([hint("101", 1, "PJSIP/101&PJSIP/201&Custom:DND101")], T0)
    assert state(snapshot) is DND


def test_extension_with_two_phones_is_one_line() -> None:
    snapshot = Snapshot(OWN)
    snapshot.poll_extensions([hint("101", 0, "PJSIP/101&SIP/201")], T0)
    assert snapshot.extensions["101"].devices == ("PJSIP/101", "SIP/201")
    assert (snapshot.extension_of("PJSIP/101"), snapshot.extension_of("SIP/201")) == ("101", "101")


# -- queues ---------------------------------------------------------------------------------------------------


def test_poll_reports_queues_members_and_live_callers() -> None:
    snapshot = Snapshot(OWN)
    snapshot.poll_extensions([hint("101"), hint("102")], T0)
    snapshot.poll_queues(
        [
            params("sales", calls=2),
            member("sales", "PJSIP/101", Name="Sara", Penalty=2),
            member("sales", "PJSIP/102", Paused=1),
            event("QueueEntry", Queue="sales", Position=1),
            event("QueueEntry", Queue="sales", Position=2),
            params("empty"),
        ],
        T0,
    )
    assert snapshot.queue_facts() == {
        "sales": Queue((Member("101", penalty=2), Member("102", paused=True)), WaitingCallers(2)),
        "empty": Queue(),
    }
    assert snapshot.queues["sales"].members["PJSIP/101"].name == "Sara"
    assert snapshot.changed_queues == {"sales", "empty"}


@pytest.mark.parametrize(
    ("location", "interface", "extension"),
    [
        ("PJSIP/101", "PJSIP/101", "101"),
        ("Local/101@from-queue/n", "hint:101@ext-local", "101"),  # FreePBX
        ("Local/s@somewhere/n", "hint:101@ext-local", "101"),
        ("Local/101@from-queue/n", "PJSIP/101", "101"),
        ("Local/101@from-queue/n", "", "101"),
        ("Local/s@somewhere/n", "PJSIP/101", "101"),
        ("PJSIP/101", "Custom:login101", "101"),
        ("PJSIP/unknown", "PJSIP/unknown", "unknown"),
        ("Local/sales@agents/n", "", "Local-sales-agents-n"),
        ("Agent/7", "", "Agent-7"),
    ],
)
@pytest.mark.parametrize("by", ["poll", "event"])
def test_extension_of_a_queue_member(location: str, interface: str, extension: str, by: str) -> None:
    snapshot = Snapshot(OWN)
    snapshot.poll_extensions([hint("101")], T0)
    snapshot.poll_queues([params("sales")], T0)
    if by == "poll":
        snapshot.poll_queues([member("sales", location, StateInterface=interface)], T0)
    else:
        snapshot.handle(member_event("sales", location, "QueueMemberAdded", StateInterface=interface), T0)
    assert snapshot.queues["sales"].members[location].extension == extension
    assert [m.extension for m in snapshot.queue_facts()["sales"].members] == [extension]


@pytest.mark.parametrize("name", ["QueueMemberStatus", "QueueMemberPause", "QueueMemberPenalty", "QueueMemberAdded"])
def test_event_replaces_the_state_of_a_member(office: Snapshot, name: str) -> None:
    assert office.handle(member_event("sales", "PJSIP/101", name, Paused=1, Penalty=5, MemberName="Sara"), T0) is True
    assert sales_member(office) == Member("101", paused=True, penalty=5)
    assert office.queues["sales"].members["PJSIP/101"].name == "Sara"
    assert len(office.queues["sales"].members) == 2
    assert office.changed_queues == {"sales"}


def test_members_are_removed_and_added_by_events(office: Snapshot) -> None:
    office.handle(member_event("sales", "PJSIP/102", "QueueMemberRemoved"), T0)
    assert [m.extension for m in office.queue_facts()["sales"].members] == ["101"]
    assert office.changed_queues == {"sales"}
    office.handle(member_event("sales", "PJSIP/102", "QueueMemberRemoved"), T0)
    office.handle(member_event("sales", "PJSIP/102", "QueueMemberAdded"), T0)
    assert [m.extension for m in office.queue_facts()["sales"].members] == ["101", "102"]


@pytest.mark.parametrize("name", ["QueueMemberStatus", "QueueMemberRemoved", "AgentConnect", "AgentComplete"])
def test_member_events_of_an_unknown_queue_are_ignored(office: Snapshot, name: str) -> None:
    assert office.handle(member_event("other", "PJSIP/101", name), T0) is False
    assert "other" not in office.queues


def test_queues_and_members_that_a_poll_does_not_report_are_removed(office: Snapshot) -> None:
    office.poll_queues([params("support"), member("support", "PJSIP/101")], at(1))
    assert set(office.queue_facts()) == {"support"}
    assert office.changed_queues == {"sales", "support"}
    office.poll_queues([params("support")], at(2))
    assert office.queue_facts() == {"support": Queue()}


def test_live_callers_are_counted_by_events(office: Snapshot) -> None:
    def caller(name: str, count: int) -> bool:
        return office.handle(event(name, Queue="sales", Count=count), T0)

    assert caller("QueueCallerJoin", 1) is False
    assert caller("QueueCallerJoin", 2) is False
    assert office.queue_facts()["sales"].live_callers == 2
    assert caller("QueueCallerLeave", 1) is True  # a member may be left for a request
    assert caller("QueueCallerLeave", 0) is True
    assert office.queue_facts()["sales"].live_callers == 0
    assert office.changed_queues == {"sales"}
    assert office.handle(event("QueueCallerAbandon", Queue="sales"), T0) is False


def test_times_of_the_callers_are_known_from_events_and_polls(office: Snapshot) -> None:
    def callers() -> WaitingCallers:
        return office.queue_facts()["sales"].callers

    office.handle(event("QueueCallerJoin", Queue="sales", Count=1, Uniqueid="1.1"), at(1))
    office.handle(event("QueueCallerJoin", Queue="sales", Count=2, Uniqueid="1.2"), at(2))
    assert callers() == WaitingCallers(2, (at(1), at(2)))
    rows = [
        params("sales", calls=2),
        event("QueueEntry", Queue="sales", Uniqueid="1.2", Wait=7),
        event("QueueEntry", Queue="sales", Uniqueid="1.3", Wait=3),
    ]
    office.poll_queues(rows, at(10))
    assert callers() == WaitingCallers(2, (at(2), at(7))), "of a known caller the event is more exact"
    office.handle(event("QueueCallerLeave", Queue="sales", Count=1, Uniqueid="1.2"), at(11))
    assert callers() == WaitingCallers(1, (at(7),))
    office.move_times(timedelta(hours=1))
    assert callers().joined == (at(3607),)


def test_caller_who_comes_back_has_the_place_of_before(office: Snapshot) -> None:
    def move(name: str, uniqueid: str, second: int, **fields: object) -> None:
        office.handle(event(name, Queue="sales", Uniqueid=uniqueid, **fields), at(second))

    for number in (1, 2, 3):
        move("QueueCallerJoin", f"1.{number}", number, Position=number, Count=number)
    move("QueueCallerLeave", "1.2", 10, Position=2, Count=2)
    assert office.first_joined("1.2") == at(2)
    assert [office.place_in_queue("sales", f"1.{number}") for number in (1, 2, 3)] == [1, 2, 2]
    assert office.place_in_queue("sales", "1.9") is office.place_in_queue("nowhere", "1.2") is None
    move("QueueCallerJoin", "1.2", 20, Position=2, Count=3)
    assert office.queue_facts()["sales"].callers.joined == (at(1), at(3), at(3)), "before those who were behind"
    move("QueueCallerJoin", "1.4", 30, Position=4, Count=4)
    assert max(office.queue_facts()["sales"].callers.joined) == at(30)
    office.move_times(timedelta(hours=1))
    assert office.first_joined("1.2") == at(3602)
    office.handle(event("Hangup", Uniqueid="1.2"), at(40))
    office.poll_channels([event("CoreShowChannel", Uniqueid="1.3", Channel="PJSIP/trunk-1")], at(50))
    assert [office.first_joined(f"1.{number}") for number in (2, 3, 4)] == [None, at(3603), None]


def test_answered_callers_are_counted_until_a_request_is_called(office: Snapshot) -> None:
    for _ in range(3):
        office.handle(member_event("sales", "PJSIP/101", "AgentConnect"), T0)
    assert office.queue_facts()["sales"].callers.answered == 3
    office.poll_queues([params("sales")], at(1))
    assert office.queue_facts()["sales"].callers.answered == 3
    office.note_called("sales")
    office.note_called("nowhere")
    assert office.queue_facts()["sales"].callers.answered == 0
    assert "sales" in office.changed_queues


def test_live_caller_in_an_unknown_queue_counts(office: Snapshot) -> None:
    office.handle(event("QueueCallerJoin", Queue="new", Count=1), T0)
    assert office.queue_facts()["new"].live_callers == 1


def test_poll_replaces_the_number_of_live_callers(office: Snapshot) -> None:
    office.handle(event("QueueCallerJoin", Queue="sales", Count=3), T0)
    office.poll_queues([params("sales", calls=1), event("QueueEntry", Queue="sales")], at(1))
    assert office.queue_facts()["sales"].live_callers == 1


def test_queues_of_an_extension(office: Snapshot) -> None:
    rows = [
        member("sales", "PJSIP/102"),
        member("sales", "PJSIP/101"),
        member("support", "Local/101@from-queue/n"),
        member("other", "PJSIP/102"),
    ]
    office.poll_queues(rows, T0)
    assert office.queues_of("101") == ("sales", "support")
    assert office.queues_of("102") == ("sales", "other")
    assert office.queues_of("103") == ()


# -- wrap-up times, which the PBX does not report -------------------------------------------------------------


def connect(interface: str = "PJSIP/101", queue: str = "sales") -> Message:
    return event("AgentConnect", Queue=queue, Interface=interface, DestChannel=f"{interface}-00000001")


def complete(interface: str = "PJSIP/101", queue: str = "sales") -> Message:
    return event("AgentComplete", Queue=queue, Interface=interface, TalkTime=30)


def test_member_without_a_queue_call_has_no_wrapup(office: Snapshot) -> None:
    assert sales_member(office).wrapup_until is None
    office.handle(hint("101", 1), at(1))
    office.handle(hint("101", 0), at(2))  # a call outside the queue
    office.handle(complete(), at(3))
    assert sales_member(office).wrapup_until is None


def test_wrapup_starts_when_the_line_is_free(office: Snapshot) -> None:
    """Not only when the queue reports the end of the call: the agent could be rung in between."""
    office.handle(connect(), at(1))
    office.handle(hint("101", 1), at(1))
    assert office.handle(hint("101", 0), at(31.5)) is True
    assert sales_member(office).wrapup_until == at(51.5)
    assert sales_member(office, "102").wrapup_until is None
    office.handle(complete(), at(31.6))
    assert sales_member(office).wrapup_until == at(51.5)
    assert "sales" in office.changed_queues


def test_members_of_before_are_not_kept(office: Snapshot) -> None:
    """Each talk makes another member, because the wrap-up time ends at another moment."""
    same = sales_member(office, "102")
    members = []
    for start in (0, 100, 200):
        office.handle(connect(), at(start))
        office.handle(hint("101", 1), at(start))
        office.handle(hint("101", 0), at(start + 30))
        members.append(weakref.ref(sales_member(office)))
    assert [found() is None for found in members] == [True, True, False]
    assert sales_member(office, "102") is same


def test_wrapup_starts_at_the_queues_report_if_that_comes_first(office: Snapshot) -> None:
    office.handle(connect(), at(1))
    office.handle(hint("101", 1), at(1))
    office.handle(complete(), at(31.5))
    office.handle(hint("101", 0), at(31.6))
    assert sales_member(office).wrapup_until == at(51.5)


@pytest.mark.parametrize("in_call", [0, 1])
@pytest.mark.parametrize("late", [True, False])
def test_member_event_does_not_change_the_start_of_the_wrapup(office: Snapshot, in_call: int, late: bool) -> None:
    """It comes at about the same time, with whole seconds, and may still report the call."""
    office.handle(connect(), at(1))
    office.handle(hint("101", 1), at(1))
    status = member_event("sales", "PJSIP/101", InCall=in_call, LastCall=epoch(31) if not in_call else 0)
    events = [(hint("101", 0), at(31.5)), (status, at(31.6))]
    for message, now in events if late else events[::-1]:
        office.handle(message, now)
    office.handle(complete(), at(31.7))
    until = sales_member(office).wrapup_until
    assert until is not None
    assert at(51.5) <= until <= at(51.7)


def test_poll_after_the_call_does_not_change_the_start_of_the_wrapup(office: Snapshot) -> None:
    office.handle(connect(), at(1))
    office.handle(hint("101", 1), at(1))
    office.handle(hint("101", 0), at(31.5))
    for last in ("0", epoch(31)):  # the PBX does not report the call yet, or reports whole seconds
        office.poll_queues([params("sales"), member("sales", "PJSIP/101", LastCall=last)], at(32))
        assert sales_member(office).wrapup_until == at(51.5)


def test_later_call_that_a_poll_reports_restarts_the_wrapup(office: Snapshot) -> None:
    office.handle(connect(), at(1))
    office.handle(complete(), at(10))
    office.poll_queues([params("sales"), member("sales", "PJSIP/101", LastCall=epoch(60))], at(61))
    assert sales_member(office).wrapup_until == at(81)


def test_wrapup_does_not_end_early_because_the_queue_reports_whole_seconds(office: Snapshot) -> None:
    """A call that ended at 31.9 is reported with 31. After a restart the fraction is unknown: the longest counts."""
    office.poll_queues([params("sales"), member("sales", "PJSIP/101", InCall=1)], at(2))
    office.handle(member_event("sales", "PJSIP/101", InCall=0, LastCall=epoch(31)), at(31.95))
    assert sales_member(office).wrapup_until == at(51.95)
    restarted = Snapshot(OWN)
    restarted.wrapups = {"sales": 20}
    restarted.poll_extensions([hint("101")], at(40))
    restarted.poll_queues([params("sales"), member("sales", "PJSIP/101", LastCall=epoch(31))], at(40))
    assert sales_member(restarted).wrapup_until == at(52)


def test_queue_call_that_only_a_poll_reported_is_followed_by_a_wrapup(office: Snapshot) -> None:
    office.handle(hint("101", 1), at(1))
    office.poll_queues([params("sales"), member("sales", "PJSIP/101", InCall=1)], at(2))
    office.handle(hint("101", 0), at(30))
    assert sales_member(office).wrapup_until == at(50)


def test_member_event_without_incall_does_not_end_the_queue_call(office: Snapshot) -> None:
    office.handle(connect(), at(1))
    office.handle(hint("101", 1), at(1))
    row = without(member_event("sales", "PJSIP/101"), "InCall")
    office.handle(row, at(2))
    office.handle(hint("101", 0), at(30))
    assert sales_member(office).wrapup_until == at(50)


@pytest.mark.parametrize("missing", [("LastCall",), ("LastCall", "Wrapuptime", "Penalty", "Paused")])
def test_member_row_without_the_last_call(office: Snapshot, missing: tuple[str, ...]) -> None:
    row = without(member("sales", "PJSIP/101"), *missing)
    office.poll_queues([params("sales"), row], at(1))
    assert sales_member(office) == Member("101")
    office.poll_queues([params("sales"), member("sales", "PJSIP/101", LastCall=epoch(0))], at(2))
    office.poll_queues([params("sales"), row], at(3))
    assert sales_member(office).wrapup_until == at(21)


@pytest.mark.parametrize(
    ("configured", "reported", "seconds"),
    [({"sales": 20}, 0, 20), ({}, 15, 15), ({"sales": 20}, 15, 20), ({"sales": 0}, 15, 15), ({}, 0, None)],
)
def test_length_of_the_wrapup(configured: dict[str, int], reported: int, seconds: int | None) -> None:
    """Asterisk reports only the wrap-up time of a member, not that of the queue."""
    snapshot = Snapshot(OWN)
    snapshot.wrapups = configured
    snapshot.poll_extensions([hint("101")], T0)
    row = member("sales", "PJSIP/101", LastCall=epoch(0), Wrapuptime=reported)
    snapshot.poll_queues([params("sales"), row], T0)
    assert sales_member(snapshot).wrapup_until == (None if seconds is None else at(seconds))


def test_queue_call_starts_no_wrapup_in_other_queues(office: Snapshot) -> None:
    office.wrapups = {"sales": 20, "support": 60}
    rows = [params("support"), member("support", "PJSIP/101"), params("sales"), member("sales", "PJSIP/101")]
    office.poll_queues(rows, T0)
    office.handle(connect(), at(1))
    office.handle(complete(), at(30))
    assert sales_member(office).wrapup_until == at(50)
    assert office.queue_facts()["support"].members[0].wrapup_until is None


# -- names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "extension"),
    [
        ("PJSIP/101-0000002a", "101"),
        ("PJSIP/my-phone-0000002a", "102"),
        ("Local/101@from-queue-00000012;1", "101"),
        ("Local/555@from-queue-00000012;1", "555"),
        ("PJSIP/trunk-00000001", ""),
        ("PJSIP/1010-00000001", ""),
        ("PJSIP", ""),
        ("", ""),
    ],
)
def test_extension_of_a_channel(channel: str, extension: str) -> None:
    snapshot = Snapshot(OWN)
    snapshot.poll_extensions([hint("101"), hint("102", devices="PJSIP/my-phone")], T0)
    assert snapshot.extension_of_channel(channel) == extension


@pytest.mark.parametrize("name", ["Hangup", "VarSet", "QueueParams", "OriginateResponse", ""])
def test_other_events_are_ignored(office: Snapshot, name: str) -> None:
    lines, queues = office.lines(), office.queue_facts()
    assert office.handle(event(name, Queue="sales", Exten="101", Status=1, Context=CONTEXT), at(1)) is False
    assert (office.lines(), office.queue_facts()) == (lines, queues)
    assert (office.changed_lines, office.changed_queues) == (set(), set())


@pytest.mark.parametrize(
    "name",
    [
        "ExtensionStatus",
        "DeviceStateChange",
        "QueueMemberStatus",
        "QueueMemberRemoved",
        "AgentConnect",
        "AgentComplete",
    ],
)
def test_event_without_its_fields_is_ignored(office: Snapshot, name: str) -> None:
    lines, queues = office.lines(), office.queue_facts()
    assert office.handle(event(name), at(1)) is False
    assert (office.lines(), office.queue_facts()) == (lines, queues)


def test_longer_one_of_two_wrapup_times_counts() -> None:
    """One was typed, the other is in the configuration of the PBX, if we may read it."""
    office = Snapshot()
    office.poll_queues([params("sales"), params("support")], at(0))
    office.changed_queues.clear()
    office.use_wrapups({"sales": 20, "support": 60}, None)
    assert (office.wrapups, office.changed_queues) == ({"sales": 20, "support": 60}, set())
    office.use_wrapups({"sales": 20}, {"sales": 30, "support": 0})
    assert (office.wrapups, office.changed_queues) == ({"sales": 30, "support": 0}, {"sales", "support"})
    assert office.configured_wrapups == {"sales": 30, "support": 0}


# -- members whom we have paused ------------------------------------------------------------------------------------


def pause(reason: str, paused: int = 1, interface: str = "PJSIP/101") -> Message:
    return member_event("sales", interface, "QueueMemberPause", Paused=paused, PausedReason=reason)


def test_our_own_pause_is_no_pause_of_the_member(office: Snapshot) -> None:
    before = office.queue_facts()
    assert not office.handle(pause("Bazang"), T0)
    assert office.held() == {HeldMember("101", "sales", "PJSIP/101")}
    assert office.queue_facts() == before and office.changed_queues == set()
    office.poll_queues([params("sales"), member("sales", "PJSIP/101", Paused=1, PausedReason="Bazang")], T0)
    assert office.held() == {HeldMember("101", "sales", "PJSIP/101")}
    office.handle(pause("", paused=0), T0)
    assert office.held() == frozenset() and office.overruled == set()


def test_pause_of_somebody_else_overrules_ours(office: Snapshot) -> None:
    office.handle(pause("Bazang"), T0)
    office.handle(pause("Lunch"), T0)
    assert office.overruled == {"101"} and office.held() == frozenset()
    assert [each.paused for each in office.queue_facts()["sales"].members] == [True, False]


def test_a_poll_may_tell_of_it_before_the_event(office: Snapshot) -> None:
    office.handle(pause("Bazang"), T0)
    office.poll_queues([params("sales"), member("sales", "PJSIP/101", Paused=1, PausedReason="Lunch")], T0)
    assert office.overruled == {"101"}


def test_interfaces_of_an_agent_in_a_queue(office: Snapshot) -> None:
    assert office.interfaces("101", "sales") == ("PJSIP/101",)
    office.handle(pause("Lunch"), T0)
    assert office.interfaces("101", "sales") == office.interfaces("101", "gone") == ()
