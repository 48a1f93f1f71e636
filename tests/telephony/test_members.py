"""Extensions and queue members by the devices that they have: several phones, several hints, or none."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from panoramisk.message import Message

from app.domain.policy import LineState
from app.telephony.snapshot import Snapshot

T0 = datetime(2026, 11, 3, 8, 0, 0, tzinfo=UTC)
OWN = "bazang-extensions"
FREE, IN_CALL, OFFLINE, UNKNOWN = LineState.FREE, LineState.IN_CALL, LineState.OFFLINE, LineState.UNKNOWN


def event(name: str, **fields: Any) -> Message:
    return Message({"Event": name, **{key: str(value) for key, value in fields.items()}})


def hint(extension: str, devices: str, status: int = 0, context: str = "office") -> Message:
    return event("ExtensionStatus", Exten=extension, Context=context, Hint=devices, Status=status)


def device(name: str, state: str = "NOT_INUSE") -> Message:
    return event("DeviceStateChange", Device=name, State=state)


def member(location: str, state_interface: str = "", status: int = 1, queue: str = "800", **fields: Any) -> Message:
    return event(
        "QueueMember",
        **({"Queue": queue, "Name": location, "Location": location} | fields),
        StateInterface=state_interface or location,
        Status=status,
    )


def snapshot_of(*rows: Message, context: str = "") -> Snapshot:
    """Return a snapshot after one poll with these rows."""
    snapshot = Snapshot(OWN)
    snapshot.extension_context = context
    snapshot.poll_devices([row for row in rows if row.event == "DeviceStateChange"])
    snapshot.poll_extensions([row for row in rows if row.event == "ExtensionStatus"], T0)
    snapshot.poll_queues([row for row in rows if row.event == "QueueMember"], T0)
    return snapshot


def states(snapshot: Snapshot) -> dict[str, LineState]:
    return {extension: line.state for extension, line in snapshot.lines().items()}


def phones(snapshot: Snapshot) -> dict[str, str]:
    return {extension: line.devices for extension, line in snapshot.lines().items()}


def agents(snapshot: Snapshot, queue: str = "800") -> list[str]:
    return [found.extension for found in snapshot.queue_facts()[queue].members]


# -- hints --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("context", "device"), [("firm-a", "PJSIP/a101"), ("firm-b", "PJSIP/b101")])
@pytest.mark.parametrize("turn", [1, -1])
def test_hint_in_the_configured_context_wins(context: str, device: str, turn: int) -> None:
    rows = [hint("101", "PJSIP/a101", context="firm-a"), hint("101", "PJSIP/b101", context="firm-b")][::turn]
    snapshot = snapshot_of(*rows, hint("101", "PJSIP/101", context=OWN), context=context)
    assert phones(snapshot) == {"101": device}
    assert snapshot.lines()["101"].hint == f"101@{context}"
    assert snapshot.ambiguous() == set()


def test_configured_context_may_include_the_one_that_holds_the_hint() -> None:
    rows = [hint("101", "PJSIP/a101", context="firm-a"), hint("101", "PJSIP/b101", context="firm-b")]
    snapshot = snapshot_of(*rows, context="from-b")
    assert snapshot.ambiguous() == {"101"}
    snapshot.reach("101", "PJSIP/b101", T0)
    assert phones(snapshot) == {"101": "PJSIP/b101"}
    assert (snapshot.ambiguous(), snapshot.without_hint({"101"})) == (set(), set()), "it is asked once"
    snapshot.use_context("from-b", pbx_may_differ=False)
    assert snapshot.ambiguous() == set()
    snapshot.use_context("from-b", pbx_may_differ=True)
    assert snapshot.ambiguous() == {"101"}


def test_hint_of_a_pattern_stays_until_the_pbx_is_asked_again_after_a_reload() -> None:
    listed, reloaded = [hint("101", "PJSIP/101"), hint("102", "PJSIP/102")], [hint("101", "PJSIP/101")]
    snapshot = snapshot_of(*reloaded)
    snapshot.poll_extensions(listed, T0, answered={"102"})
    snapshot.remember_patterns({"102"})
    assert snapshot.without_hint(set()) == set()
    snapshot.poll_extensions(reloaded, T0)
    assert phones(snapshot) == {"101": "PJSIP/101", "102": "PJSIP/102"}
    assert snapshot.without_hint(set()) == {"102"}, "it is asked for again, although nobody names it"
    snapshot.poll_extensions(listed, T0, answered={"102"})
    snapshot.remember_patterns({"102"})
    assert snapshot.without_hint(set()) == set()
    snapshot.poll_extensions(reloaded, T0)
    snapshot.poll_extensions(reloaded, T0, answered={"102"})  # the pattern was removed from the dialplan
    assert phones(snapshot) == {"101": "PJSIP/101"}
    assert snapshot.without_hint(set()) == set()


def test_hint_of_a_pattern_stays_beside_a_hint_in_another_context() -> None:
    other, pattern = hint("101", "PJSIP/a101", context="firm-a"), hint("101", "PJSIP/b101", context="firm-b")
    snapshot = snapshot_of(other, context="firm-b")
    snapshot.poll_extensions([other, pattern], T0, answered={"101"})
    snapshot.remember_patterns({"101"})
    snapshot.reach("101", "PJSIP/b101", T0)
    snapshot.poll_extensions([other], T0)
    assert phones(snapshot) == {"101": "PJSIP/b101"}
    assert snapshot.without_hint(set()) == {"101"}


def test_own_hint_is_the_last_choice_even_in_the_configured_context() -> None:
    rows = [hint("101", "PJSIP/101", context=OWN), hint("101", "PJSIP/desk", context="office")]
    snapshot = snapshot_of(*rows, context=OWN)
    assert phones(snapshot) == {"101": "PJSIP/desk"}
    assert snapshot.ambiguous() == set()


def test_wanted_extension_without_a_listed_hint_is_asked_for() -> None:
    rows = [hint("101", "PJSIP/101"), hint("102", "PJSIP/102", context=OWN), member("Local/104@agents/n")]
    snapshot = snapshot_of(*rows)
    assert snapshot.without_hint({"101", "102", "103"}) == {"102", "103", "104"}
    elsewhere = snapshot_of(*rows, context="firm-b")
    assert elsewhere.without_hint({"101"}) == {"101", "104"}, "a pattern of this context comes first"


def test_device_of_several_hints_makes_all_of_them_busy() -> None:
    snapshot = snapshot_of(device("PJSIP/101"), hint("101", "PJSIP/101"), hint("555", "PJSIP/101"))
    assert states(snapshot) == {"101": FREE, "555": FREE}
    snapshot.handle(device("PJSIP/101", "INUSE"), T0)
    assert states(snapshot) == {"101": IN_CALL, "555": IN_CALL}
    assert snapshot.extension_of_channel("PJSIP/101-0000002a") == "101"
    snapshot.handle(device("PJSIP/101"), T0)
    assert states(snapshot) == {"101": FREE, "555": FREE}


def test_similar_names_are_different_devices() -> None:
    rows = [hint("101", "PJSIP/sales"), hint("102", "PJSIP/sales-2")]
    snapshot = snapshot_of(device("PJSIP/sales"), device("PJSIP/sales-2", "INUSE"), *rows)
    assert states(snapshot) == {"101": FREE, "102": IN_CALL}
    assert snapshot.extension_of_channel("PJSIP/sales-2-0000002a") == "102"
    assert snapshot.extension_of_channel("PJSIP/sales-0000002a") == "101"


def test_second_phone_that_is_busy_keeps_the_line_and_frees_it() -> None:
    rows = [device("PJSIP/101"), device("PJSIP/web101", "INUSE"), hint("101", "PJSIP/101&PJSIP/web101", 1)]
    snapshot = snapshot_of(*rows)
    assert states(snapshot) == {"101": IN_CALL}
    freed = [
        snapshot.handle(one, T0 + timedelta(seconds=1))
        for one in (device("PJSIP/web101"), hint("101", "PJSIP/101&PJSIP/web101"))
    ]
    assert freed == [False, True]
    assert states(snapshot) == {"101": FREE}


@pytest.mark.parametrize("last", ["device", "hint"])
def test_line_is_free_with_the_last_of_its_events(last: str) -> None:
    snapshot = snapshot_of(device("PJSIP/101", "INUSE"), hint("101", "PJSIP/101", 1))
    events = [hint("101", "PJSIP/101"), device("PJSIP/101")]
    freed = [snapshot.handle(one, T0) for one in (events if last == "device" else events[::-1])]
    assert freed == [False, True]


def test_phone_that_is_off_is_off_though_the_hint_says_idle() -> None:
    """A Custom: device that is not in use hides that the phone is unregistered."""
    snapshot = snapshot_of(device("PJSIP/101", "UNAVAILABLE"), hint("101", "PJSIP/101&Custom:DND101"))
    assert states(snapshot) == {"101": OFFLINE}


def test_feature_codes_and_parking_are_no_extensions() -> None:
    rows = [
        hint("101", "PJSIP/101&Custom:DND101,CustomPresence:101"),
        hint("*76101", "Custom:DND101"),
        hint("*21101", "Custom:CF101"),
        hint("*80101", "PJSIP/101"),
        hint("701", "park:701@parkedcalls"),
        hint("800", "Queue:800_avail"),
        hint("900", "Custom:night"),
    ]
    assert set(states(snapshot_of(*rows))) == {"101"}


# -- channels -----------------------------------------------------------------------------------------------------


def channel(name: str, uid: str, kind: str = "Newchannel", state: int = 6, **fields: str) -> Message:
    return event(kind, Channel=name, Uniqueid=uid, ChannelState=state, **fields)


def test_technology_that_reports_no_calls_is_judged_by_its_channels() -> None:
    """chan_sip without call counters is NOT_INUSE in a call, and so is the hint."""
    snapshot = snapshot_of(device("SIP/101"), hint("101", "SIP/101"), hint("102", "SIP/10"))
    assert snapshot.handle(channel("SIP/101-0000002a", "1.1", state=0), T0) is False
    assert states(snapshot) == {"101": LineState.RINGING, "102": FREE}
    snapshot.handle(channel("SIP/101-0000002a", "1.1", "Newstate"), T0)
    assert states(snapshot)["101"] is IN_CALL
    snapshot.handle(channel("SIP/101-0000002b", "1.2"), T0)
    assert snapshot.handle(channel("SIP/101-0000002a", "1.1", "Hangup"), T0) is False
    assert states(snapshot)["101"] is IN_CALL
    assert snapshot.handle(channel("SIP/101-0000002b", "1.2", "Hangup"), T0) is True
    assert states(snapshot)["101"] is FREE


def test_channel_that_gets_another_name_moves_to_its_device() -> None:
    snapshot = snapshot_of(hint("101", "SIP/101"), hint("102", "SIP/102"))
    snapshot.handle(channel("SIP/101-0000002a", "1.1"), T0)
    snapshot.handle(channel("SIP/101-0000002a", "1.1", "Rename", Newname="SIP/102-0000002b"), T0)
    assert states(snapshot) == {"101": FREE, "102": IN_CALL}


def test_poll_of_channels_takes_rows_and_events_in_their_order() -> None:
    snapshot = snapshot_of(*(hint(name, f"SIP/{name}") for name in ("101", "102", "103", "104")))
    for number, name in enumerate(("101", "102"), 1):
        snapshot.handle(channel(f"SIP/{name}-0000000{number}", str(number)), T0)
    end, new = channel("SIP/101-00000001", "1", "Hangup"), channel("SIP/103-00000003", "3")
    for event in (end, new):
        snapshot.handle(event, T0)
    rows = [channel(f"SIP/{name}-1", uid, "CoreShowChannel") for name, uid in (("101", "1"), ("104", "4"))]
    snapshot.poll_channels([rows[0], end, new, rows[1]], T0)
    assert states(snapshot) == {"101": FREE, "102": FREE, "103": IN_CALL, "104": IN_CALL}, "the end of 102's was lost"
    snapshot.poll_channels([], T0)
    assert set(states(snapshot).values()) == {FREE}


# -- members ------------------------------------------------------------------------------------------------------


def test_member_without_a_hint_is_judged_by_the_device() -> None:
    rows = [device("PJSIP/201"), device("PJSIP/202", "INUSE"), member("PJSIP/201"), member("PJSIP/202")]
    snapshot = snapshot_of(*rows)
    assert agents(snapshot) == ["201", "202"]
    assert states(snapshot) == {"201": FREE, "202": IN_CALL}
    assert phones(snapshot) == {"201": "PJSIP/201", "202": "PJSIP/202"}
    assert snapshot.lines()["201"].hint == ""
    assert snapshot.handle(device("PJSIP/202"), T0) is True
    assert states(snapshot)["202"] is FREE


def test_member_whose_device_asterisk_has_not_listed_is_judged_by_the_queue() -> None:
    snapshot = snapshot_of(member("PJSIP/201", status=1), member("PJSIP/202", status=5), member("IAX2/203", status=0))
    assert states(snapshot) == {"201": FREE, "202": OFFLINE, "203": UNKNOWN}
    changed = event("QueueMemberStatus", Queue="800", Interface="PJSIP/202", StateInterface="PJSIP/202", Status=1)
    snapshot.handle(changed, T0)
    assert states(snapshot)["202"] is FREE


def test_device_state_is_newer_than_the_queues() -> None:
    snapshot = snapshot_of(device("PJSIP/201", "INUSE"), member("PJSIP/201", status=1))
    assert states(snapshot) == {"201": IN_CALL}


def test_named_members_have_their_devices_names() -> None:
    rows = [device("PJSIP/sara"), device("PJSIP/omid"), hint("omid", "PJSIP/omid&Custom:DNDomid", 1)]
    snapshot = snapshot_of(*rows, member("PJSIP/sara"), member("PJSIP/omid"))
    assert agents(snapshot) == ["sara", "omid"]
    assert states(snapshot) == {"sara": FREE, "omid": LineState.DND}
    assert snapshot.lines()["omid"].hint == "omid@office"


def test_named_hint_that_serves_no_queue_is_no_line() -> None:
    assert states(snapshot_of(hint("sara", "PJSIP/sara"))) == {}


@pytest.mark.parametrize(
    ("location", "state_interface", "agent", "devices"),
    [
        ("Local/101@from-queue/n", "hint:101@office", "101", "PJSIP/101"),
        ("Local/101@from-queue/n", "hint:101@includes-office", "101", "PJSIP/101"),
        ("Local/101@from-queue/n", "", "101", "PJSIP/101"),
        ("Local/101@from-queue/n", "PJSIP/101", "101", "PJSIP/101"),
        ("Local/201@from-queue/n", "PJSIP/201", "201", "PJSIP/201"),
        ("Local/sara@from-queue/n", "hint:sara@office", "sara", "PJSIP/sara"),
        ("Local/sara@from-queue/n", "", "sara", "PJSIP/sara"),
        ("Local/7@agents", "Local/7@agents", "102", "Local/7@agents"),
        ("Local/777@from-queue/n", "hint:777@office", "777", ""),
        ("Local/1001@agents", "Agent:1001", "1001", ""),
        ("hint:101@firm-a", "", "a101", "PJSIP/a101"),
        ("PJSIP/web101", "", "103", "PJSIP/103&PJSIP/web101"),
    ],
)
def test_whose_phones_a_member_rings(location: str, state_interface: str, agent: str, devices: str) -> None:
    rows = [
        hint("101", "PJSIP/101"),
        hint("101", "PJSIP/a101", context="firm-a"),
        hint("102", "Local/7@agents/n"),
        hint("103", "PJSIP/103&PJSIP/web101"),
        hint("sara", "PJSIP/sara"),
    ]
    snapshot = snapshot_of(*rows, member(location, state_interface), context="office")
    assert agents(snapshot) == [agent]
    assert phones(snapshot)[agent] == devices


def test_members_with_one_name_stay_apart() -> None:
    snapshot = snapshot_of(hint("201", "SIP/9"), member("PJSIP/201"), member("IAX2/201"))
    assert phones(snapshot) == {"201": "SIP/9", "PJSIP-201": "PJSIP/201", "IAX2-201": "IAX2/201"}


def test_two_interfaces_of_one_agent_are_one_member() -> None:
    rows = [hint("101", "PJSIP/101&PJSIP/web101"), member("PJSIP/101", Paused=1, Penalty=3), member("PJSIP/web101")]
    snapshot = snapshot_of(*rows)
    (found,) = snapshot.queue_facts()["800"].members
    assert (found.extension, found.paused, found.penalty) == ("101", False, 0)


def test_member_gets_the_extension_that_the_pbx_lists_later() -> None:
    snapshot = snapshot_of(device("PJSIP/sara"), member("PJSIP/sara"))
    snapshot.changed_lines, snapshot.changed_queues = set(), set()
    snapshot.poll_extensions([hint("101", "PJSIP/sara")], T0)
    assert agents(snapshot) == ["101"]
    assert states(snapshot) == {"101": FREE}
    assert (snapshot.changed_lines, snapshot.changed_queues) == ({"101", "sara"}, {"800"})


def test_free_time_of_a_member_without_a_hint_survives_polls() -> None:
    snapshot = snapshot_of(device("PJSIP/sara"), member("PJSIP/sara"))
    for seconds in range(1, 4):
        snapshot.poll_extensions([], T0 + timedelta(seconds=seconds))
        snapshot.poll_queues([member("PJSIP/sara")], T0 + timedelta(seconds=seconds))
    assert snapshot.lines()["sara"].since == T0


# -- polls that change nothing ------------------------------------------------------------------------------------


def poll(snapshot: Snapshot, *rows: Message, now: datetime = T0) -> None:
    snapshot.poll_extensions([row for row in rows if row.event == "ExtensionStatus"], now)
    snapshot.poll_queues([row for row in rows if row.event == "QueueMember"], now)


def test_poll_of_an_unchanged_pbx_keeps_all_facts() -> None:
    rows = [hint("101", "PJSIP/101"), member("PJSIP/101", Wrapuptime=20, LastCall=1), member("SIP/guest")]
    snapshot = snapshot_of(*rows)
    snapshot.changed_lines, snapshot.changed_queues = set(), set()
    lines, facts, owners = snapshot.lines(), snapshot.queue_facts(), snapshot._by_device
    poll(snapshot, *rows, now=T0 + timedelta(seconds=5))
    assert all(snapshot.lines()[name] is line for name, line in lines.items())
    assert snapshot.queue_facts()["800"] is facts["800"]
    assert snapshot._by_device is owners, "nothing was derived again"
    assert (snapshot.changed_lines, snapshot.changed_queues) == (set(), set())


def test_agent_without_an_extension_goes_with_the_member() -> None:
    rows = [hint("101", "PJSIP/101"), member("PJSIP/101"), member("SIP/guest")]
    snapshot = snapshot_of(*rows)
    snapshot.handle(event("QueueMemberRemoved", Queue="800", Interface="SIP/guest"), T0)
    poll(snapshot, *rows[:2])
    assert phones(snapshot) == {"101": "PJSIP/101"}


def test_context_that_is_chosen_counts_with_the_next_poll_of_the_same_hints() -> None:
    rows = [hint("101", "PJSIP/a101", context="firm-a"), hint("101", "PJSIP/b101", context="firm-b")]
    snapshot = snapshot_of(*rows, context="firm-a")
    snapshot.use_context("firm-b", pbx_may_differ=False)
    poll(snapshot, *rows)
    assert phones(snapshot) == {"101": "PJSIP/b101"}


def test_poll_frees_a_line_whose_hint_has_changed_only_its_state() -> None:
    rows = [hint("101", "PJSIP/101", status=1), device("PJSIP/101"), member("PJSIP/101")]
    snapshot = snapshot_of(*rows)
    assert states(snapshot) == {"101": LineState.IN_CALL}
    poll(snapshot, hint("101", "PJSIP/101"), rows[2], now=T0 + timedelta(seconds=5))
    assert states(snapshot) == {"101": FREE}
    assert snapshot.lines()["101"].since == T0 + timedelta(seconds=5)


@pytest.mark.parametrize(
    "said",
    [{"Paused": "1"}, {"Penalty": "3"}, {"LastCall": "1793692800"}, {"Wrapuptime": "9", "LastCall": "5"}],
    ids=lambda said: "-".join(said),
)
def test_event_and_row_that_say_something_new_of_a_member_count(said: dict[str, str]) -> None:
    row: dict[str, Any] = {"Paused": "0", "Penalty": "0", "LastCall": "0", "Wrapuptime": "20", "InCall": "0"}
    known = member("PJSIP/101", **row)
    by_event, by_row = (snapshot_of(hint("101", "PJSIP/101"), known) for _ in range(2))
    fields = {"Queue": "800", "MemberName": "PJSIP/101", "Interface": "PJSIP/101", "Status": "1"}
    before = by_event.queue_facts()["800"]
    by_event.changed_queues, by_row.changed_queues = set(), set()
    by_event.handle(event("QueueMemberStatus", **fields, **(row | said)), T0)
    poll(by_row, hint("101", "PJSIP/101"), member("PJSIP/101", **(row | said)))
    assert by_event.queue_facts() == by_row.queue_facts() != {"800": before}
    assert by_event.changed_queues == by_row.changed_queues == {"800"}


def test_member_who_left_a_call_by_an_event_among_the_rows_has_wrapup_time() -> None:
    rows = [hint("101", "PJSIP/101"), member("PJSIP/101", Wrapuptime=20, InCall=1)]
    snapshot = snapshot_of(*rows)
    end = event("AgentComplete", Queue="800", Interface="PJSIP/101")
    poll(snapshot, *rows)
    now = T0 + timedelta(seconds=30)
    snapshot.poll_queues([rows[1], end], now)
    assert snapshot.queue_facts()["800"].members[0].wrapup_until == now + timedelta(seconds=20)
