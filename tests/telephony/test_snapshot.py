"""What the exchange is doing, as polls and events tell it: worded as Asterisk 22, 16 and FreePBX word it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from panoramisk.message import Message

from app.domain.policy import Line, LineState, Member, Queue
from app.telephony.snapshot import Snapshot

T0 = datetime(2026, 11, 3, 8, 0, 0, tzinfo=UTC)
CONTEXT = "from-internal"
OWN = "bazang-extensions"  # where our own dialplan gives hints
FREE, IN_CALL, RINGING, DND = LineState.FREE, LineState.IN_CALL, LineState.RINGING, LineState.DND


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def epoch(seconds: float) -> str:
    return str(int(at(seconds).timestamp()))


def event(name: str, **fields: Any) -> Message:
    return Message({"Event": name, **{key: str(value) for key, value in fields.items()}})


def hint(extension: str, status: int = 0, devices: str = "", context: str = CONTEXT) -> Message:
    """A row of ExtensionStateList, and a live event alike."""
    return event(
        "ExtensionStatus", Exten=extension, Context=context, Hint=devices or f"PJSIP/{extension}", Status=status
    )


def line(extension: str, state: LineState, since: datetime, context: str = CONTEXT) -> Line:
    return Line(extension, state, since, f"PJSIP/{extension}", context)


def device(name: str, state: str = "NOT_INUSE") -> Message:
    return event("DeviceStateChange", Device=name, State=state)


def params(queue: str) -> Message:
    return event("QueueParams", Queue=queue, Max=0, Strategy="ringall", Calls=0)


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
    """A live event: it calls the Location Interface, and the Name MemberName."""
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


@pytest.fixture
def office() -> Snapshot:
    """Two extensions, free since T0, both members of the queue `sales`, whose wrap-up is 20 s."""
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


def test_nothing_is_known_before_the_first_poll() -> None:
    snapshot = Snapshot()
    assert (snapshot.lines(), snapshot.queue_facts()) == ({}, {})
    assert snapshot.handle(hint("101"), T0) is False
    assert snapshot.lines() == {}


def test_a_poll_tells_all_lines() -> None:
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


def test_a_state_has_begun_when_it_was_first_seen(office: Snapshot) -> None:
    office.poll_extensions([hint("101"), hint("102", 1)], at(5))
    assert office.lines() == {"101": line("101", FREE, T0), "102": line("102", IN_CALL, at(5))}
    office.handle(hint("102", 1), at(6))
    office.handle(hint("102", 16), at(7))  # on hold: still the same call
    assert office.lines()["102"].since == at(5)
    office.handle(hint("102", 0), at(8))
    assert office.lines()["102"] == line("102", FREE, at(8))


def test_only_what_changed_is_told_as_changed(office: Snapshot) -> None:
    office.poll_extensions([hint("101"), hint("102")], at(1))
    office.handle(hint("101", 0), at(2))
    assert office.changed_lines == set()
    office.handle(hint("101", 1), at(3))
    assert office.changed_lines == {"101"}


def test_an_event_tells_whether_it_may_free_somebody(office: Snapshot) -> None:
    told = [office.handle(hint("101", status), T0) for status in (8, 1, 0, 4, 0)]
    assert told == [False, False, True, False, True]


def test_an_extension_that_is_gone_is_gone(office: Snapshot) -> None:
    office.poll_extensions([hint("102")], at(1))
    assert set(office.lines()) == {"102"}
    assert office.changed_lines == {"101"}
    assert office.extension_of("PJSIP/101") == ""


def test_a_device_that_moved_belongs_to_its_new_owner(office: Snapshot) -> None:
    office.poll_extensions([hint("101", devices="SIP/7"), hint("102", devices="PJSIP/101")], at(1))
    assert (office.extension_of("PJSIP/101"), office.extension_of("SIP/7")) == ("102", "101")
    assert office.extension_of("PJSIP/102") == ""
    assert office.changed_lines == {"101", "102"}


@pytest.mark.parametrize("exten", ["_1XX", "sales", "", "1 1", "1" * 21, "_.", "۱۰۱"])
def test_what_is_no_extension_is_passed_over(exten: str) -> None:
    snapshot = Snapshot()
    snapshot.poll_extensions([hint(exten, devices="PJSIP/x"), hint("*5"), hint("#1")], T0)
    assert set(snapshot.lines()) == {"*5", "#1"}


@pytest.mark.parametrize("other", ["a-context", "zz-context"])
@pytest.mark.parametrize("turn", [1, -1])
def test_the_exchanges_own_hint_has_the_say(turn: int, other: str) -> None:
    """Ours is only a stopgap: another's may know of "do not disturb"."""
    rows = [hint("101", 1, context=OWN), hint("101", 0, context=other), hint("102", 0, context=OWN)]
    snapshot = Snapshot(OWN)
    snapshot.poll_extensions(rows[::turn], T0)
    assert (state(snapshot), state(snapshot, "102")) == (FREE, FREE)
    assert snapshot.handle(hint("101", 8, context=OWN), at(1)) is False
    assert state(snapshot) is FREE
    snapshot.handle(hint("101", 8, context=other), at(2))
    snapshot.handle(hint("102", 8, context=OWN), at(2))
    assert (state(snapshot), state(snapshot, "102")) == (RINGING, RINGING)


@pytest.mark.parametrize("turn", [1, -1])
def test_of_several_others_it_is_always_the_same(turn: int) -> None:
    """Else a line would change its state with the order of the rows."""
    rows = [hint("101", 1, context="a"), hint("101", 0, context="b"), hint("101", 4, context=OWN)]
    snapshot = Snapshot(OWN)
    for seconds in range(3):
        snapshot.poll_extensions(rows[::turn], at(seconds))
        snapshot.handle(hint("101", 0, context="b"), at(seconds))
    assert snapshot.lines()["101"] == line("101", IN_CALL, T0, "a")


def test_a_hint_that_the_exchange_got_meanwhile_takes_over() -> None:
    snapshot = Snapshot(OWN)
    snapshot.poll_extensions([hint("101", 0, context=OWN)], T0)
    snapshot.changed_lines = set()
    snapshot.poll_extensions([hint("101", 0, context=OWN), hint("101", 2, context=CONTEXT)], at(1))
    assert state(snapshot) is IN_CALL
    assert snapshot.extensions["101"].context == CONTEXT
    assert snapshot.changed_lines == {"101"}


def test_a_lost_event_costs_one_poll(office: Snapshot) -> None:
    office.handle(hint("101", 1), at(1))
    office.poll_extensions([hint("101", 0), hint("102", 0)], at(9))
    assert office.lines()["101"] == line("101", FREE, at(9))


# -- do not disturb -------------------------------------------------------------------------------------------

DND_HINT = "PJSIP/101&Custom:DND101,CustomPresence:101"  # as FreePBX writes it


def disturbed(status: int, device_state: str = "NOT_INUSE", devices: str = DND_HINT) -> Snapshot:
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
    snapshot = disturbed(status, device_state, devices)
    assert state(snapshot) is expected
    assert snapshot.extensions["101"].devices == ("PJSIP/101",)  # what is dialled has no Custom: part


def test_a_presence_alone_disturbs_nobody() -> None:
    snapshot = disturbed(1, "NOT_INUSE", "PJSIP/101,CustomPresence:101")
    assert state(snapshot) is IN_CALL


def test_do_not_disturb_goes_on_and_off_by_events() -> None:
    snapshot = disturbed(0)
    assert snapshot.handle(device("Custom:DND101", "BUSY"), at(1)) is False
    assert snapshot.handle(hint("101", 2, DND_HINT), at(1)) is False
    assert snapshot.lines()["101"] == line("101", DND, at(1))
    assert snapshot.handle(hint("101", 0, DND_HINT), at(5)) is True
    assert snapshot.lines()["101"] == line("101", FREE, at(5))


@pytest.mark.parametrize("first", ["extension", "device"])
def test_a_call_is_no_do_not_disturb_whichever_event_comes_first(first: str) -> None:
    snapshot = disturbed(0)
    events = [hint("101", 1, DND_HINT), device("PJSIP/101", "INUSE")]
    for one in events if first == "extension" else events[::-1]:
        snapshot.handle(one, at(1))
    assert state(snapshot) is IN_CALL
    assert snapshot.handle(hint("101", 1, DND_HINT), at(2)) is False


def test_whoever_sets_it_during_a_call_is_not_free_after_it() -> None:
    snapshot = disturbed(1, "INUSE")
    snapshot.handle(device("Custom:DND101", "BUSY"), at(1))
    assert snapshot.handle(device("PJSIP/101", "NOT_INUSE"), at(2)) is False
    assert state(snapshot) is DND


def test_an_event_without_a_hint_forgets_no_custom_device() -> None:
    snapshot = disturbed(0)
    snapshot.handle(event("ExtensionStatus", Exten="101", Context=CONTEXT, Status="2"), at(1))
    assert state(snapshot) is DND
    assert snapshot.extensions["101"].devices == ("PJSIP/101",)


def test_do_not_disturb_with_a_second_phone_that_is_off() -> None:
    snapshot = Snapshot(OWN)
    snapshot.poll_devices([device("PJSIP/101"), device("PJSIP/201", "UNAVAILABLE"), device("Custom:DND101", "BUSY")])
    snapshot.poll_extensions([hint("101", 1, "PJSIP/101&PJSIP/201&Custom:DND101")], T0)
    assert state(snapshot) is DND


def test_two_phones_are_one_line() -> None:
    snapshot = Snapshot(OWN)
    snapshot.poll_extensions([hint("101", 0, "PJSIP/101&SIP/201")], T0)
    assert snapshot.extensions["101"].devices == ("PJSIP/101", "SIP/201")
    assert (snapshot.extension_of("PJSIP/101"), snapshot.extension_of("SIP/201")) == ("101", "101")


# -- queues ---------------------------------------------------------------------------------------------------


def test_a_poll_tells_queues_members_and_waiting_callers() -> None:
    snapshot = Snapshot(OWN)
    snapshot.poll_extensions([hint("101"), hint("102")], T0)
    snapshot.poll_queues(
        [
            params("sales"),
            member("sales", "PJSIP/101", Name="Sara", Penalty=2),
            member("sales", "PJSIP/102", Paused=1),
            event("QueueEntry", Queue="sales", Position=1),
            event("QueueEntry", Queue="sales", Position=2),
            params("empty"),
        ],
        T0,
    )
    assert snapshot.queue_facts() == {
        "sales": Queue((Member("101", penalty=2), Member("102", paused=True)), live_callers=2),
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
        ("PJSIP/unknown", "PJSIP/unknown", ""),
        ("Local/sales@from-queue/n", "", ""),
        ("Agent/7", "", ""),
    ],
)
@pytest.mark.parametrize("by", ["poll", "event"])
def test_whose_member_it_is(location: str, interface: str, extension: str, by: str) -> None:
    snapshot = Snapshot(OWN)
    snapshot.poll_extensions([hint("101")], T0)
    snapshot.poll_queues([params("sales")], T0)
    if by == "poll":
        snapshot.poll_queues([member("sales", location, StateInterface=interface)], T0)
    else:
        snapshot.handle(member_event("sales", location, "QueueMemberAdded", StateInterface=interface), T0)
    assert snapshot.queues["sales"].members[location].extension == extension
    # whoever has no line of the office cannot be rung, and is no member to us
    assert [m.extension for m in snapshot.queue_facts()["sales"].members] == ([extension] if extension else [])


@pytest.mark.parametrize("name", ["QueueMemberStatus", "QueueMemberPause", "QueueMemberPenalty", "QueueMemberAdded"])
def test_an_event_replaces_what_was_known_of_a_member(office: Snapshot, name: str) -> None:
    assert office.handle(member_event("sales", "PJSIP/101", name, Paused=1, Penalty=5, MemberName="Sara"), T0) is True
    assert sales_member(office) == Member("101", paused=True, penalty=5)
    assert office.queues["sales"].members["PJSIP/101"].name == "Sara"
    assert len(office.queues["sales"].members) == 2
    assert office.changed_queues == {"sales"}


def test_members_come_and_go(office: Snapshot) -> None:
    office.handle(member_event("sales", "PJSIP/102", "QueueMemberRemoved"), T0)
    assert [m.extension for m in office.queue_facts()["sales"].members] == ["101"]
    assert office.changed_queues == {"sales"}
    office.handle(member_event("sales", "PJSIP/102", "QueueMemberRemoved"), T0)
    office.handle(member_event("sales", "PJSIP/102", "QueueMemberAdded"), T0)
    assert [m.extension for m in office.queue_facts()["sales"].members] == ["101", "102"]


@pytest.mark.parametrize("name", ["QueueMemberStatus", "QueueMemberRemoved", "AgentConnect", "AgentComplete"])
def test_a_queue_that_no_poll_has_told_of_waits_for_the_next(office: Snapshot, name: str) -> None:
    assert office.handle(member_event("other", "PJSIP/101", name), T0) is False
    assert "other" not in office.queues


def test_a_queue_and_a_member_that_are_gone_are_gone(office: Snapshot) -> None:
    office.poll_queues([params("support"), member("support", "PJSIP/101")], at(1))
    assert set(office.queue_facts()) == {"support"}
    assert office.changed_queues == {"sales", "support"}
    office.poll_queues([params("support")], at(2))
    assert office.queue_facts() == {"support": Queue()}


def test_waiting_callers_come_and_go(office: Snapshot) -> None:
    def caller(name: str, count: int) -> bool:
        return office.handle(event(name, Queue="sales", Count=count), T0)

    assert caller("QueueCallerJoin", 1) is False
    assert caller("QueueCallerJoin", 2) is False
    assert office.queue_facts()["sales"].live_callers == 2
    assert caller("QueueCallerLeave", 1) is False
    assert caller("QueueCallerLeave", 0) is True  # now requests may go
    assert office.queue_facts()["sales"].live_callers == 0
    assert office.changed_queues == {"sales"}
    assert office.handle(event("QueueCallerAbandon", Queue="sales"), T0) is False


def test_a_caller_in_a_queue_that_no_poll_has_told_of_counts(office: Snapshot) -> None:
    office.handle(event("QueueCallerJoin", Queue="new", Count=1), T0)
    assert office.queue_facts()["new"].live_callers == 1


def test_a_poll_counts_waiting_callers_anew(office: Snapshot) -> None:
    office.handle(event("QueueCallerJoin", Queue="sales", Count=3), T0)
    office.poll_queues([params("sales"), event("QueueEntry", Queue="sales")], at(1))
    assert office.queue_facts()["sales"].live_callers == 1


def test_the_queues_of_an_extension(office: Snapshot) -> None:
    office.poll_queues(
        [member("sales", "PJSIP/101"), member("support", "Local/101@from-queue/n"), member("other", "PJSIP/102")], T0
    )
    assert office.queues_of("101") == ("sales", "support")
    assert office.queues_of("103") == ()


# -- wrap-up, which the exchange tells nobody of --------------------------------------------------------------


def connect(interface: str = "PJSIP/101", queue: str = "sales") -> Message:
    return event("AgentConnect", Queue=queue, Interface=interface, DestChannel=f"{interface}-00000001")


def complete(interface: str = "PJSIP/101", queue: str = "sales") -> Message:
    return event("AgentComplete", Queue=queue, Interface=interface, TalkTime=30)


def test_who_took_no_call_has_no_wrap_up(office: Snapshot) -> None:
    assert sales_member(office).wrapup_until is None
    office.handle(hint("101", 1), at(1))
    office.handle(hint("101", 0), at(2))  # a call of their own
    office.handle(complete(), at(3))
    assert sales_member(office).wrapup_until is None


def test_it_begins_with_the_line_that_is_free(office: Snapshot) -> None:
    """Before the queue itself says that the call is over: else a request would go out in between."""
    office.handle(connect(), at(1))
    office.handle(hint("101", 1), at(1))
    assert office.handle(hint("101", 0), at(31.5)) is True
    assert sales_member(office).wrapup_until == at(51.5)
    assert sales_member(office, "102").wrapup_until is None
    office.handle(complete(), at(31.6))
    assert sales_member(office).wrapup_until == at(51.5)
    assert "sales" in office.changed_queues


def test_it_begins_with_the_queues_word_where_that_comes_first(office: Snapshot) -> None:
    office.handle(connect(), at(1))
    office.handle(hint("101", 1), at(1))
    office.handle(complete(), at(31.5))
    office.handle(hint("101", 0), at(31.6))
    assert sales_member(office).wrapup_until == at(51.5)


@pytest.mark.parametrize("in_call", [0, 1])
@pytest.mark.parametrize("late", [True, False])
def test_the_members_own_event_does_not_undo_it(office: Snapshot, in_call: int, late: bool) -> None:
    """It comes about the same moment, with whole seconds, and still of the call or already of its end."""
    office.handle(connect(), at(1))
    office.handle(hint("101", 1), at(1))
    status = member_event("sales", "PJSIP/101", InCall=in_call, LastCall=epoch(31) if not in_call else 0)
    events = [(hint("101", 0), at(31.5)), (status, at(31.6))]
    for one, moment in events if late else events[::-1]:
        office.handle(one, moment)
    office.handle(complete(), at(31.7))
    until = sales_member(office).wrapup_until
    assert until is not None
    assert at(51) <= until <= at(51.7)


def test_a_poll_right_after_the_call_does_not_undo_it(office: Snapshot) -> None:
    office.handle(connect(), at(1))
    office.handle(hint("101", 1), at(1))
    office.handle(hint("101", 0), at(31.5))
    for last in ("0", epoch(31)):  # the exchange has not counted it yet, or in whole seconds
        office.poll_queues([params("sales"), member("sales", "PJSIP/101", LastCall=last)], at(32))
        assert sales_member(office).wrapup_until == at(51.5)


def test_a_later_call_in_the_exchanges_books_is_believed(office: Snapshot) -> None:
    office.handle(connect(), at(1))
    office.handle(complete(), at(10))
    office.poll_queues([params("sales"), member("sales", "PJSIP/101", LastCall=epoch(60))], at(61))
    assert sales_member(office).wrapup_until == at(80)


def test_a_call_that_was_only_polled_is_a_call(office: Snapshot) -> None:
    office.handle(hint("101", 1), at(1))
    office.poll_queues([params("sales"), member("sales", "PJSIP/101", InCall=1)], at(2))
    office.handle(hint("101", 0), at(30))
    assert sales_member(office).wrapup_until == at(50)


def test_a_row_that_says_nothing_of_a_call_ends_none(office: Snapshot) -> None:
    office.handle(connect(), at(1))
    office.handle(hint("101", 1), at(1))
    without = {k: v for k, v in member_event("sales", "PJSIP/101").items() if k not in ("InCall", "content")}
    office.handle(Message(without), at(2))
    office.handle(hint("101", 0), at(30))
    assert sales_member(office).wrapup_until == at(50)


@pytest.mark.parametrize(
    ("configured", "told", "seconds"),
    [({"sales": 20}, 0, 20), ({}, 15, 15), ({"sales": 20}, 15, 20), ({"sales": 0}, 15, 15), ({}, 0, None)],
)
def test_how_long_it_is(configured: dict[str, int], told: int, seconds: int | None) -> None:
    """Asterisk shows a member's own wrap-up alone; the queue's must be known from elsewhere."""
    snapshot = Snapshot(OWN)
    snapshot.wrapups = configured
    snapshot.poll_extensions([hint("101")], T0)
    row = member("sales", "PJSIP/101", LastCall=epoch(0), Wrapuptime=told)
    snapshot.poll_queues([params("sales"), row], T0)
    assert sales_member(snapshot).wrapup_until == (None if seconds is None else at(seconds))


def test_a_call_of_one_queue_is_no_call_of_another(office: Snapshot) -> None:
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
def test_whose_channel_it_is(channel: str, extension: str) -> None:
    snapshot = Snapshot(OWN)
    snapshot.poll_extensions([hint("101"), hint("102", devices="PJSIP/my-phone")], T0)
    assert snapshot.extension_of_channel(channel) == extension


@pytest.mark.parametrize("name", ["Hangup", "VarSet", "QueueParams", "OriginateResponse", ""])
def test_other_events_are_nothing_to_it(office: Snapshot, name: str) -> None:
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
def test_an_event_without_its_fields_harms_nobody(office: Snapshot, name: str) -> None:
    lines, queues = office.lines(), office.queue_facts()
    assert office.handle(event(name), at(1)) is False
    assert (office.lines(), office.queue_facts()) == (lines, queues)
