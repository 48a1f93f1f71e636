"""Devices: what a hint, a channel or a queue member says of them, and what their states make of a line.

Pure functions on Asterisk's names and states. The guard in `dialplan.conf.jinja` judges a line by the same rule.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from app.domain.policy import LineState

LONGEST_AGENT = 20  # characters; agents are stored in columns of this length

# A device that can ring: technology, slash, name. What has a colon first ("Custom:DND101", "park:701@lot", "Queue:…",
# "MWI:…") is a state and no phone, and so is an agent who has to log in ("Agent/7"). The characters are safe in a dial
# string.
_REAL = re.compile(r"(?!Agent/)[A-Za-z][A-Za-z0-9]*/[A-Za-z0-9_.*#@+/:-]{1,80}")
_NUMBER = re.compile(r"[0-9]{1,20}")
_PLACE = re.compile(r"(?:hint:|Local/)([^@/]+)@([^/]+)(?:/.*)?")
_NAME = re.compile(rf"[A-Za-z0-9_.-]{{1,{LONGEST_AGENT}}}")

# Bits of an ExtensionStatus; see `include/asterisk/pbx.h`, enum ast_extension_states.
INUSE, BUSY, UNAVAILABLE, RINGING, ONHOLD = 1, 2, 4, 8, 16

# The states of a queue member; see `include/asterisk/devicestate.h`, enum ast_device_state.
MEMBER_STATES = (
    "UNKNOWN",
    "NOT_INUSE",
    "INUSE",
    "BUSY",
    "INVALID",
    "UNAVAILABLE",
    "RINGING",
    "RINGINUSE",
    "ONHOLD",
)

_RINGING = frozenset({"RINGING", "RINGINUSE"})
_IN_CALL = frozenset({"INUSE", "BUSY", "ONHOLD"})
IDLE = frozenset({"NOT_INUSE", "UNAVAILABLE", "INVALID", "UNKNOWN", ""})  # states of a device without a call
_UNREPORTED = frozenset({"UNKNOWN", ""})  # "" if Asterisk has not reported the device yet


@dataclass(frozen=True)
class HintText:
    """The content of a hint: its devices that can ring, and whether it has a Custom: device ("do not disturb")."""

    devices: tuple[str, ...]
    has_custom: bool


@lru_cache(maxsize=4096)
def parse_hint(text: str) -> HintText:
    """Parse a hint such as "PJSIP/101&Custom:DND101,CustomPresence:101"."""
    parts = [part for part in re.split(r"[&,]", text) if part]
    devices = (normalized(part) for part in parts if is_real(part))
    return HintText(tuple(dict.fromkeys(devices)), any(part.startswith("Custom:") for part in parts))


def is_real(device: str) -> bool:
    """Tell whether a device can ring."""
    return _REAL.fullmatch(device) is not None


def normalized(device: str) -> str:
    """Return a device as Asterisk names it in states and channels: a Local device without its options ("/n")."""
    if not device.startswith("Local/"):
        return device
    technology, name, *_ = device.split("/")
    return f"{technology}/{name}"


def is_number(name: str) -> bool:
    """Tell whether a name can be an extension's number. Feature codes ("*80101") are none."""
    return _NUMBER.fullmatch(name) is not None


def is_extension(name: str, devices: Sequence[str]) -> bool:
    """Tell whether a hint is that of an extension: it has a number and a device that can ring. Parking has none."""
    return is_number(name) and bool(devices)


def is_agent_name(name: str) -> bool:
    """Tell whether a hint's name can serve as the name of an agent as it is."""
    return _NAME.fullmatch(name) is not None


def device_of_channel(channel: str) -> str:
    """Return the device of a channel ("PJSIP/sales-2" for "PJSIP/sales-2-0000002a"): up to the last dash."""
    return channel.rpartition("-")[0]


def channel_pattern(devices: Iterable[str]) -> str:
    """Return a POSIX regular expression for the channels of these devices and of no others."""
    names = "|".join(re.sub(r"([.*+])", r"[\1]", device) for device in devices)
    return f"^({names})-[^-]*$"


@lru_cache(maxsize=4096)
def place_of(interface: str) -> tuple[str, str] | None:
    """Return extension and context of "hint:101@ctx" or "Local/101@ctx/n", None for any other interface."""
    found = _PLACE.fullmatch(interface)
    return (found[1], found[2]) if found is not None else None


def agent_name(device: str, *, full: bool = False) -> str:
    """Return a name for the agent at a device without an extension: what follows the slash, in safe characters.

    `full` includes the technology. A long name is cut and gets a digest.
    """
    text = device if full else device.partition("/")[2] or device
    name = re.sub(r"[^A-Za-z0-9_.]+", "-", text).strip("-")
    if len(name) <= LONGEST_AGENT:
        return name
    return f"{name[: LONGEST_AGENT - 5]}-{sha256(text.encode()).hexdigest()[:4]}"


@lru_cache(maxsize=1024)
def judge(status: int | None, states: tuple[str, ...], *, has_custom: bool = False) -> LineState:
    """Return what a line is doing. It is free if none of its devices is in use and at least one can ring.

    `status` is the ExtensionStatus of its hint, None without a hint. `states` are the states of all its devices.
    A technology that does not report its states (IAX2, DAHDI) can ring if the hint is not in use.
    """
    hint = status or 0
    if hint < 0:
        return LineState.UNKNOWN
    if hint & RINGING or not _RINGING.isdisjoint(states):
        return LineState.RINGING
    if not _IN_CALL.isdisjoint(states):
        return LineState.IN_CALL
    # By its Custom: device, or the devices' own events are still to come. chan_sip never reports some that were always
    # off, so one idle device is enough to tell.
    if hint & (INUSE | BUSY | ONHOLD):
        return LineState.DND if has_custom and any(states) else LineState.IN_CALL
    if hint & UNAVAILABLE:
        return LineState.OFFLINE
    is_unreported = not states or not _UNREPORTED.isdisjoint(states)
    if "NOT_INUSE" in states or (is_unreported and status is not None):
        return LineState.FREE
    return LineState.UNKNOWN if is_unreported else LineState.OFFLINE
