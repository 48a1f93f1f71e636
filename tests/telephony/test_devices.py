"""Devices by their names, and when a line is free. tests/asterisk/test_devices.py rings them."""

import re
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.policy import LineState
from app.telephony.devices import (
    LONGEST_AGENT,
    agent_name,
    channel_pattern,
    device_of_channel,
    is_agent_name,
    is_extension,
    judge,
    parse_hint,
)

FREE, IN_CALL, RINGING, DND = LineState.FREE, LineState.IN_CALL, LineState.RINGING, LineState.DND
OFFLINE, UNKNOWN = LineState.OFFLINE, LineState.UNKNOWN

# -- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "devices", "has_custom"),
    [
        ("PJSIP/101", ("PJSIP/101",), False),
        ("PJSIP/101&Custom:DND101,CustomPresence:101", ("PJSIP/101",), True),
        ("SIP/101&IAX2/201&DAHDI/1", ("SIP/101", "IAX2/201", "DAHDI/1"), False),
        ("Local/101@phones/n", ("Local/101@phones",), False),
        ("PJSIP/101&PJSIP/101", ("PJSIP/101",), False),
        ("DAHDI/i1/5551234", ("DAHDI/i1/5551234",), False),
        ("Custom:FOLLOWME101", (), True),
        ("CustomPresence:101", (), False),
        ("park:701@parkedcalls", (), False),
        ("Queue:800_avail", (), False),
        ("MWI:101@default", (), False),
        ("confbridge:1001", (), False),
        ("Agent/7", (), False),
        ("PJSIP/${EXTEN}", (), False),
        ("PJSIP/a)b", (), False),
        ("", (), False),
    ],
)
def test_hints(text: str, devices: tuple[str, ...], has_custom: bool) -> None:
    hint = parse_hint(text)
    assert (hint.devices, hint.has_custom) == (devices, has_custom)


@pytest.mark.parametrize(
    ("name", "hint", "expected"),
    [
        ("101", "PJSIP/101", True),
        ("101", "PJSIP/101&Custom:DND101", True),
        ("*76101", "Custom:FOLLOWME101", False),
        ("*21101", "Custom:CF101", False),
        ("*740101", "Custom:TC101", False),
        ("*80101", "PJSIP/101", False),
        ("#7", "PJSIP/101", False),
        ("701", "park:701@parkedcalls", False),
        ("800", "Queue:800_avail", False),
        ("101", "Custom:lamp", False),
        ("_1XX", "PJSIP/101", False),
        ("sara", "PJSIP/101", False),
    ],
)
def test_which_hints_are_extensions(name: str, hint: str, expected: bool) -> None:
    assert is_extension(name, parse_hint(hint).devices) is expected


@pytest.mark.parametrize(
    ("channel", "device"),
    [
        ("PJSIP/101-0000002a", "PJSIP/101"),
        ("PJSIP/sales-2-0000002a", "PJSIP/sales-2"),
        ("IAX2/201-12345", "IAX2/201"),
        ("DAHDI/1-1", "DAHDI/1"),
        ("DAHDI/i1/5551234-3", "DAHDI/i1/5551234"),
        ("Local/101@from-queue-00000012;1", "Local/101@from-queue"),
    ],
)
def test_channel_belongs_to_the_device_before_its_last_dash(channel: str, device: str) -> None:
    assert device_of_channel(channel) == device
    assert re.search(channel_pattern(["SIP/9", device]), channel)


NAMES = st.from_regex(r"(PJSIP|SIP|IAX2|DAHDI)/[A-Za-z0-9_.*+-]{1,12}", fullmatch=True)


@given(st.lists(NAMES, min_size=1, max_size=4), NAMES, st.from_regex(r"[0-9a-f]{8}(;[12])?", fullmatch=True))
def test_pattern_matches_the_channels_of_the_devices_and_no_others(devices: list[str], other: str, end: str) -> None:
    found = re.search(channel_pattern(devices), f"{other}-{end}")
    assert (found is not None) is (other in devices)


@given(st.text(min_size=1).map(lambda text: f"PJSIP/{text}"), st.booleans())
def test_name_of_an_agent_is_short_and_safe(device: str, full: bool) -> None:
    name = agent_name(device, full=full)
    assert name == "" or is_agent_name(name)
    assert len(name) <= LONGEST_AGENT
    assert name == agent_name(device, full=full)


@pytest.mark.parametrize(
    ("device", "name"),
    [("PJSIP/sara", "sara"), ("PJSIP/201", "201"), ("PJSIP/sales-2", "sales-2"), ("DAHDI/i1/5", "i1-5")],
)
def test_agent_without_an_extension_is_named_as_the_device(device: str, name: str) -> None:
    assert agent_name(device) == name


def test_long_names_stay_apart() -> None:
    names = {agent_name(f"PJSIP/{'a' * 30}{number}") for number in range(9)}
    assert len(names) == 9


# -- whether a line is free ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "states", "expected"),
    [
        # one phone and its hint
        (0, ["NOT_INUSE"], FREE),
        (1, ["INUSE"], IN_CALL),
        (2, ["BUSY"], IN_CALL),
        (4, ["UNAVAILABLE"], OFFLINE),
        (8, ["RINGING"], RINGING),
        (9, ["RINGINUSE"], RINGING),
        (16, ["ONHOLD"], IN_CALL),
        (17, ["INUSE"], IN_CALL),
        (-1, ["NOT_INUSE"], UNKNOWN),
        (-2, ["NOT_INUSE"], UNKNOWN),
        # several phones
        (0, ["UNAVAILABLE", "NOT_INUSE"], FREE),
        (0, ["INVALID", "NOT_INUSE"], FREE),
        (1, ["NOT_INUSE", "INUSE"], IN_CALL),
        (1, ["NOT_INUSE", "ONHOLD"], IN_CALL),
        (8, ["NOT_INUSE", "RINGING"], RINGING),
        (0, ["UNAVAILABLE", "UNAVAILABLE"], OFFLINE),  # with a Custom: device, a hint is not in use then
        # technologies that don't report their states
        (0, ["UNKNOWN"], FREE),
        (0, ["UNAVAILABLE", "UNKNOWN"], FREE),
        (4, ["UNKNOWN"], OFFLINE),
        (1, ["UNKNOWN"], IN_CALL),
        (0, [""], FREE),
        (4, [""], OFFLINE),
        # one event came before the other
        (0, ["INUSE"], IN_CALL),
        (1, ["NOT_INUSE"], IN_CALL),
        (0, ["RINGING"], RINGING),
        # no hint
        (None, ["NOT_INUSE"], FREE),
        (None, ["UNAVAILABLE", "NOT_INUSE"], FREE),
        (None, ["INUSE"], IN_CALL),
        (None, ["RINGING"], RINGING),
        (None, ["UNAVAILABLE"], OFFLINE),
        (None, ["INVALID"], OFFLINE),
        (None, ["UNKNOWN"], UNKNOWN),
        (None, ["UNAVAILABLE", "UNKNOWN"], UNKNOWN),
        (None, [""], UNKNOWN),
        (None, [], UNKNOWN),
    ],
)
def test_states(status: int | None, states: list[str], expected: LineState) -> None:
    assert judge(status, tuple(states)) is expected


@pytest.mark.parametrize(
    ("status", "states", "expected"),
    [
        (0, ["NOT_INUSE"], FREE),
        (1, ["NOT_INUSE"], DND),
        (2, ["NOT_INUSE"], DND),
        (2, ["NOT_INUSE", "UNAVAILABLE"], DND),
        (2, ["UNKNOWN"], DND),
        (1, ["INUSE"], IN_CALL),
        (2, [""], IN_CALL),  # not known yet
        (8, ["RINGING"], RINGING),
        (4, ["UNAVAILABLE"], OFFLINE),
    ],
)
def test_busy_hint_over_free_devices_means_do_not_disturb(status: int, states: list[str], expected: LineState) -> None:
    assert judge(status, tuple(states), has_custom=True) is expected


STATES = st.sampled_from(
    ["", "UNKNOWN", "NOT_INUSE", "INUSE", "BUSY", "INVALID", "UNAVAILABLE", "RINGING", "RINGINUSE", "ONHOLD"]
)
STATUSES = st.none() | st.sampled_from([-2, -1, 0, 1, 2, 4, 8, 9, 16, 17])


@given(STATUSES, st.lists(STATES, max_size=4), st.booleans())
def test_line_is_free_only_if_nothing_is_in_use_and_something_can_ring(
    status: int | None, states: Iterable[str], has_custom: bool
) -> None:
    known = tuple(states)
    if judge(status, known, has_custom=has_custom) is FREE:
        assert status in (None, 0)
        assert set(known) <= {"", "UNKNOWN", "NOT_INUSE", "INVALID", "UNAVAILABLE"}
        assert "NOT_INUSE" in known or status == 0
    assert judge(status, known, has_custom=has_custom) is judge(status, known[::-1], has_custom=has_custom)
