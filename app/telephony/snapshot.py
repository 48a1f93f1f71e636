"""The state of the PBX's extensions and queues in memory, updated by events and corrected by polls.

`Snapshot` has no connection. It is fed with AMI messages and returns the domain's facts. An event takes effect at once.
A poll replaces everything, so a lost event delays a change by one poll at most.

A list of a poll consists of its rows and of the events that came between them (`AmiClient.apply_list`). Each table is
rebuilt from both in the order in which they arrived, so the last message about a line or member wins.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import is_
from typing import NamedTuple

from app.domain.place_in_line import MOST_SHARE, WaitingCallers
from app.domain.policy import Line, LineState, Member, Queue
from app.telephony.agents import AgentFinder, Hint, best_owner
from app.telephony.devices import (
    IDLE,
    MEMBER_STATES,
    device_of_channel,
    is_extension,
    judge,
    normalized,
    parse_hint,
    place_of,
)
from app.telephony.extension_names import clean_name
from app.telephony.fields import integer
from app.telephony.variables import HOLD_REASON

Fields = Mapping[str, str]

_LATEST = 2**32  # seconds since 1970
_FRACTION = timedelta(seconds=1)  # which the PBX drops
_MEMBER_EVENTS = frozenset({"QueueMemberStatus", "QueueMemberAdded", "QueueMemberPause", "QueueMemberPenalty"})
_QUEUE_EVENTS = _MEMBER_EVENTS | {
    "QueueMemberRemoved",
    "QueueCallerJoin",
    "QueueCallerLeave",
    "AgentConnect",
    "AgentComplete",
}
_CHANNEL_EVENTS = frozenset({"Newchannel", "Newstate", "Rename", "Hangup"})
_UNANSWERED = frozenset({"0", "5"})  # ChannelState of a phone that is called: Down, then Ringing


@dataclass
class Extension:
    """An extension, or the phones of a queue member who has none. `hint` is None if the PBX has no hint for it.

    `devices` are those that can ring: those of the hint without its Custom: ones.
    """

    extension: str
    devices: tuple[str, ...]
    hint: Hint | None
    state: LineState
    since: datetime

    @property
    def context(self) -> str:
        """The context of the hint that has its number, "" if there is none."""
        return self.hint.context if self.hint is not None and self.hint.extension == self.extension else ""

    @property
    def hint_name(self) -> str:
        """The hint of its devices as the dialplan names it ("101@context"), "" if there is none."""
        return f"{self.hint.extension}@{self.hint.context}" if self.hint is not None else ""


class _Channel(NamedTuple):
    device: str
    is_ringing: bool


@dataclass
class QueueMember:
    """`extension` is that of its phones, or the name of the agent where they have none (`devices.agent_name`).

    `paused`: by somebody else than us. `held`: we have paused it while we ring its phone.
    """

    interface: str
    state_interface: str
    extension: str
    name: str
    paused: bool
    penalty: int
    last_call: datetime | None
    wrapup: timedelta
    in_call: bool = False
    held: bool = False
    reported_call: int = 0  # LastCall of the PBX, in seconds of its own clock
    _member: tuple[tuple[object, ...], Member] | None = field(default=None, init=False, repr=False, compare=False)

    def as_member(self) -> Member:
        """Return it as the policy sees it: the same object for the same facts, since nearly all stay as they are."""
        until = self.last_call + self.wrapup if self.last_call is not None and self.wrapup else None
        facts = (self.extension, self.paused, self.penalty, until)
        if self._member is None or self._member[0] != facts:
            self._member = facts, Member(*facts, clean_name(self.name, self.interface, self.extension))
        return self._member[1]


class HeldMember(NamedTuple):
    """A membership that we have paused."""

    agent: str
    queue: str
    interface: str


@dataclass
class QueueState:
    """`joined` are the moments at which the waiting callers joined, by Uniqueid; `answered` as for WaitingCallers."""

    members: dict[str, QueueMember] = field(default_factory=dict)
    live_callers: int = 0
    joined: dict[str, datetime] = field(default_factory=dict)
    answered: int = 0

    @property
    def callers(self) -> WaitingCallers:
        return WaitingCallers(self.live_callers, tuple(sorted(self.joined.values())), self.answered)


class Snapshot:
    """The state of the PBX.

    `own_context` is the context of the hints that we generate. The PBX's own hints take precedence, and of these the
    ones in `extension_context`. `wrapups` are the wrap-up times of queues in seconds. `configured_wrapups` are those of
    them that the PBX has in its configuration, None if we may not read it.
    """

    handled = _QUEUE_EVENTS | _CHANNEL_EVENTS | {"ExtensionStatus", "DeviceStateChange"}

    def __init__(self, own_context: str = "") -> None:
        self.own_context = own_context
        self.extension_context = ""
        self.wrapups: Mapping[str, int] = {}
        self.configured_wrapups: Mapping[str, int] | None = None
        self.hints: dict[tuple[str, str], Hint] = {}  # by context and extension
        self.extensions: dict[str, Extension] = {}
        self.queues: dict[str, QueueState] = {}
        self.device_states: dict[str, str] = {}
        self.changed_lines: set[str] = set()
        self.changed_queues: set[str] = set()
        self.overruled: set[str] = set()  # agents whom somebody has paused in a queue while we paused them there
        self._channels: dict[str, _Channel] = {}  # by Uniqueid
        self._first_joined: dict[str, datetime] = {}  # of calls that are or were in a queue, by Uniqueid
        self._channels_of: dict[str, set[str]] = {}  # by device
        self._member_states: dict[str, str] = {}  # of devices that only their queue has reported
        self._reached: dict[str, tuple[str, ...]] = {}  # the devices of an extension in `extension_context`
        self._by_pattern: set[str] = set()  # extensions whose hint was found by asking
        self.unlisted: set[str] = set()  # those of them that the last list lacks
        self._by_device: dict[str, list[str]] = {}
        self._must_derive = True  # the extensions and whose members the queues have must be found out again
        # By extension: the end of its last call, or when we last rang it. It stays while the PBX does not list it.
        self.idle_since: dict[str, datetime] = {}
        # The facts of what has not changed stay the same objects.
        self._lines: dict[str, Line] = {}
        self._outdated_lines: set[str] = set()
        self._queue_facts: dict[str, Queue] = {}
        self._queues_of: dict[str, tuple[str, ...]] | None = None  # by extension; None: it must be found out
        handlers = {"ExtensionStatus": self._extension_event, "DeviceStateChange": self._device_event}
        handlers |= dict.fromkeys(_CHANNEL_EVENTS, self._channel_event)
        self._handlers = handlers | dict.fromkeys(_QUEUE_EVENTS, self._queue_event)

    # -- polls ------------------------------------------------------------------------------------------------

    def poll_devices(self, rows: Iterable[Fields]) -> None:
        """Replace the device states by DeviceStateList."""
        changes = (row for row in rows if row.get("Event") == "DeviceStateChange")
        self.device_states = {change.get("Device", ""): change.get("State", "") for change in changes}

    def poll_channels(self, rows: Iterable[Fields], now: datetime) -> None:
        """Replace the channels by CoreShowChannels, and update the lines whose channels have changed."""
        channels: dict[str, _Channel] = {}
        for row in rows:
            uid = row.get("Uniqueid", "")
            match row.get("Event"):
                case "Hangup":
                    channels.pop(uid, None)
                case "Rename" if uid in channels:
                    channels[uid] = _renamed(channels[uid], row)
                case "CoreShowChannel" | "Newchannel" | "Newstate":
                    channels[uid] = _channel(row)
        self._first_joined = {uid: joined for uid, joined in self._first_joined.items() if uid in channels}
        before, self._channels, self._channels_of = self._channels, channels, {}
        for uid, channel in channels.items():
            self._channels_of.setdefault(channel.device, set()).add(uid)
        changed = set(before.items()) ^ set(channels.items())
        self._update_owners(self._owners_of({channel.device for _, channel in changed}), now)

    def poll_extensions(self, rows: Iterable[Fields], now: datetime, answered: Iterable[str] = ()) -> None:
        """Replace the hints by ExtensionStateList, and derive the extensions from them.

        A reload of the dialplan takes the hints that patterns gave from the list. They stay until the PBX has
        `answered` questions for these extensions.
        """
        self._by_pattern -= set(answered)
        before, self.hints = self.hints, {}
        for row in rows:
            if row.get("Event") == "ExtensionStatus":
                self._poll_extension(row, before)
        kept = {key: hint for key, hint in before.items() if hint.extension in self._by_pattern}
        kept = {key: hint for key, hint in kept.items() if key not in self.hints and hint.context != self.own_context}
        self.unlisted = {hint.extension for hint in kept.values()}
        self.hints |= kept
        is_same = before.keys() == self.hints.keys() and all(self.hints[key] is hint for key, hint in before.items())
        self._must_derive = self._must_derive or not is_same
        self._update_all(now)

    def remember_patterns(self, extensions: Iterable[str]) -> None:
        """Remember extensions whose hint was found by a question, so that a list without them does not remove them."""
        self._by_pattern |= set(extensions)

    def _poll_extension(self, row: Fields, before: Mapping[tuple[str, str], Hint]) -> None:
        """Update the hint of a row. One with the same devices stays the same object."""
        hint = Hint.from_row(row)
        key = hint.context, hint.extension
        known = self.hints.get(key) or before.get(key)
        if known is not None and (not row.get("Hint") or known.text == hint.text):  # an event can lack the devices
            known.status = hint.status
            self.hints[key] = known
        elif row.get("Hint"):
            self.hints[key] = hint

    def use_context(self, context: str, *, pbx_may_differ: bool) -> None:
        """Prefer the hints in this context. If the PBX may be another one, forget which hints the context includes."""
        if pbx_may_differ or context != self.extension_context:
            self.extension_context, self._reached, self._must_derive = context, {}, True

    def reach(self, extension: str, hint: str, now: datetime) -> None:
        """Take the hint that an extension has in `extension_context`, which may include the context that holds it."""
        if self._reached.get(extension) != parse_hint(hint).devices:
            self._reached[extension] = parse_hint(hint).devices
            self._derive(now)

    def ambiguous(self) -> set[str]:
        """Return the extensions with hints in several contexts of the PBX, of which `extension_context` is none.

        Extensions are left out for which `reach` has decided it.
        """
        found: dict[str, set[tuple[str, ...]]] = {}
        for hint in self._extension_hints():
            if hint.context != self.own_context:
                found.setdefault(hint.extension, set()).add(hint.devices)
        return {
            extension
            for extension, devices in found.items()
            if len(devices) > 1
            and (self.extension_context, extension) not in self.hints
            and self._reached.get(extension) not in devices
        }

    def without_hint(self, wanted: Iterable[str]) -> set[str]:
        """Return the wanted extensions, and those of queue members, for which no context of the PBX lists a hint.

        A pattern ("_1XX") may give them one. `extension_context` must list it if it is one of the PBX's.
        """
        numbers = {*wanted, *self.unlisted}
        for queue in self.queues.values():
            for member in queue.members.values():
                places = map(place_of, (member.state_interface, member.interface))
                numbers |= {place[0] for place in places if place is not None and place[0].isdecimal()}
        return {number for number in numbers if not self._is_listed(number)}

    def member_contexts(self) -> list[str]:
        """Return the contexts in which queue members have their hints or are dialled."""
        members = [member for queue in self.queues.values() for member in queue.members.values()]
        places = [*(place_of(m.state_interface) for m in members), *(place_of(m.interface) for m in members)]
        return list(dict.fromkeys(place[1] for place in places if place is not None))

    def _is_listed(self, extension: str) -> bool:
        if extension in self.unlisted:
            return False
        if self.extension_context not in ("", self.own_context) and extension not in self._reached:
            return (self.extension_context, extension) in self.hints
        chosen = self.extensions.get(extension)
        return chosen is not None and chosen.context not in ("", self.own_context)

    def _extension_hints(self) -> Iterable[Hint]:
        return (hint for hint in self.hints.values() if is_extension(hint.extension, hint.devices))

    def _rank(self, hint: Hint) -> tuple[bool, bool, bool, str]:
        """Return the sort key for the hints of one extension."""
        return (
            hint.context == self.own_context,
            hint.context != self.extension_context,
            hint.devices != self._reached.get(hint.extension),
            hint.context,
        )

    def use_wrapups(self, typed: Mapping[str, int], configured: Mapping[str, int] | None) -> None:
        """Use the wrap-up times that people typed and those of the PBX's configuration: the longer one of a queue."""
        found = configured or {}
        self.wrapups = {name: max(typed.get(name, 0), found.get(name, 0)) for name in {*typed, *found}}
        if configured != self.configured_wrapups:
            self.configured_wrapups = configured
            self.changed_queues |= self.queues.keys()

    def _update_all(self, now: datetime) -> None:
        """Update all lines after a poll. Most polls change no hint and no interface, so there is nothing to derive."""
        if self._must_derive:
            self._derive(now)
            return
        for queue in self.queues.values():
            for member in queue.members.values():
                self._note_last_call(member)
        for extension in self.extensions.values():
            self._update_state(extension, now)

    def _derive(self, now: datetime) -> None:
        """Find out the extensions and whose members the queues have, from the hints and the members' interfaces."""
        phones: dict[str, tuple[tuple[str, ...], Hint | None]] = {}
        for hint in sorted(self._extension_hints(), key=self._rank):
            phones.setdefault(hint.extension, (hint.devices, hint))
        agents = AgentFinder(phones, self.hints)
        for name, queue in self.queues.items():
            for member in queue.members.values():
                agent = agents.find(member.state_interface, member.interface)
                if agent != member.extension:
                    member.extension = agent
                    self.changed_queues.add(name)
                    self._queue_facts.pop(name, None)
                    self._queues_of = None
                self._note_last_call(member)
        for extension in set(self.extensions) - set(phones):
            del self.extensions[extension]
            self.changed_lines.add(extension)
            self._outdated_lines.add(extension)
        for extension, (devices, its_hint) in phones.items():
            self._update_extension(extension, devices, its_hint, now)
        self._by_device = agents.owners
        self._must_derive = False

    def _update_extension(self, name: str, devices: tuple[str, ...], hint: Hint | None, now: datetime) -> None:
        extension = self.extensions.get(name)
        if extension is None:
            extension = self.extensions[name] = Extension(name, devices, hint, LineState.UNKNOWN, now)
            self.changed_lines.add(name)
            self._outdated_lines.add(name)
        before, name_before = (extension.devices, extension.context), extension.hint_name
        extension.devices, extension.hint = devices, hint
        if before != (extension.devices, extension.context):
            self.changed_lines.add(name)
        if before != (extension.devices, extension.context) or name_before != extension.hint_name:
            self._outdated_lines.add(name)
        self._update_state(extension, now)

    def _update_state(self, extension: Extension, now: datetime) -> bool:
        """Update the state of a line. Return whether the line has become free."""
        hint = extension.hint
        states = tuple([self._device_state(device) for device in extension.devices])
        state = judge(None, states) if hint is None else judge(hint.status, states, has_custom=hint.text.has_custom)
        if state is extension.state:
            return False
        if extension.state is LineState.IN_CALL:
            self._note_call(extension.extension, now)
        extension.state, extension.since = state, now
        self.changed_lines.add(extension.extension)
        self._outdated_lines.add(extension.extension)
        if state is LineState.FREE:
            self._start_wrapups(extension.extension, now)
        return state is LineState.FREE

    def note_ring(self, extension: str, now: datetime) -> None:
        """Note that Bazang rings an extension: it is not idle, whether or not somebody answers."""
        self._note_call(extension, now)

    def _note_last_call(self, member: QueueMember) -> None:
        if member.last_call is not None:
            self._note_call(member.extension, member.last_call - _FRACTION)

    def _note_call(self, extension: str, at: datetime) -> None:
        known = self.idle_since.get(extension)
        if known is None or at > known:
            self.idle_since[extension] = at
            self._outdated_lines.add(extension)
            if extension in self.extensions:
                self.changed_lines.add(extension)

    def _device_state(self, device: str) -> str:
        """Return the state of a device. A device with a channel is in use, whatever its technology reports."""
        state = self.device_states.get(device) or self._member_states.get(device, "")
        if state not in IDLE or device not in self._channels_of:
            return state
        channels = (self._channels[uid] for uid in self._channels_of[device])
        return "RINGING" if all(channel.is_ringing for channel in channels) else "INUSE"

    def poll_queues(self, rows: Iterable[Fields], now: datetime) -> None:
        """Replace the queues by QueueStatus: parameters, members and waiting callers."""
        before, facts = self.queues, self.queue_facts()
        self.queues, self._member_states, self._queue_facts = {}, {}, {}
        have_events: set[str] = set()
        for row in rows:
            self._update_queue(row, now, before)
            if row.get("Event") in _QUEUE_EVENTS:
                have_events.add(row.get("Queue", ""))
        if not _same_interfaces(before, self.queues):
            self._must_derive, self._queues_of = True, None
        for name, queue in self.queues.items():
            known = before.get(name)
            if known is None or name in have_events or len(queue.members) != len(known.members):
                continue
            if all(map(is_, queue.members.values(), known.members.values())) and queue.callers == facts[name].callers:
                self._queue_facts[name] = facts[name]
        self._update_all(now)
        after = self.queue_facts()
        self._queue_facts |= {name: facts[name] for name in after if facts.get(name) == after[name]}
        self.changed_queues |= {name for name in before.keys() | after.keys() if facts.get(name) != after.get(name)}

    # -- events -----------------------------------------------------------------------------------------------

    def handle(self, event: Fields, now: datetime) -> bool:
        """Apply an event. Return whether it may have freed an agent or unblocked a request."""
        handler = self._handlers.get(event.get("Event", ""))
        return handler is not None and handler(event, now)

    def _extension_event(self, event: Fields, now: datetime) -> bool:
        hint = self.hints.get((event.get("Context", ""), event.get("Exten", "")))
        if hint is None:
            return False  # a new hint: the next poll reports it
        hint.status = integer(event.get("Status", ""), -1)
        has_new_text = bool(event.get("Hint")) and parse_hint(event.get("Hint", "")) != hint.text
        if has_new_text:
            hint.text = parse_hint(event.get("Hint", ""))
            self._derive(now)
        owners = {hint.extension} | self._owners_of(hint.devices)
        its = [e for e in map(self.extensions.get, owners) if e is not None and e.hint is hint]
        became_free = [self._update_state(extension, now) for extension in its]
        return any(became_free) or (has_new_text and any(extension.state is LineState.FREE for extension in its))

    def _device_event(self, event: Fields, now: datetime) -> bool:
        device, state = event.get("Device", ""), event.get("State", "")
        if self.device_states.get(device) == state:
            return False  # half of these events repeat what is known
        self.device_states[device] = state
        return self._update_owners(self._by_device.get(device, ()), now)

    def _channel_event(self, event: Fields, now: datetime) -> bool:
        uid, name = event.get("Uniqueid", ""), event.get("Event")
        if name == "Hangup":
            self._first_joined.pop(uid, None)
        before = self._channels.get(uid)
        after = _channel(event) if name in ("Newchannel", "Newstate") else None
        if after == before:
            return False
        self._channels.pop(uid, None)
        if before is not None:
            uids = self._channels_of[before.device]
            uids.discard(uid)
            if not uids:
                del self._channels_of[before.device]
        if name == "Rename" and before is not None:
            after = _renamed(before, event)
        if after is not None:
            self._channels[uid] = after
            self._channels_of.setdefault(after.device, set()).add(uid)
        if before is not None and after is not None and before.device != after.device:
            return self._update_owners(self._owners_of([before.device, after.device]), now)
        channel = after or before
        return channel is not None and self._update_owners(self._by_device.get(channel.device, ()), now)

    def _owners_of(self, devices: Iterable[str]) -> set[str]:
        return {owner for device in devices for owner in self._by_device.get(device, ())}

    def _update_owners(self, owners: Iterable[str], now: datetime) -> bool:
        """Update the lines of these extensions. Return whether one has become free."""
        became_free = False
        for owner in owners:
            became_free = self._update_state(self.extensions[owner], now) or became_free
        return became_free

    def _start_wrapups(self, extension: str, now: datetime) -> None:
        """Start the wrap-up time of a member whose line is free after a queue call. The queue reports it later."""
        for name in self.queues_of(extension):
            for member in self.queues[name].members.values():
                if member.extension == extension and member.in_call:
                    self._end_queue_call(name, member, now)

    def _end_queue_call(self, queue: str, member: QueueMember | None, now: datetime) -> None:
        if member is not None and member.in_call:
            member.in_call, member.last_call = False, now
            self.changed_queues.add(queue)
            self._queue_facts.pop(queue, None)

    def _member_of(self, event: Fields) -> QueueMember | None:
        queue = self.queues.get(event.get("Queue", ""))
        return None if queue is None else queue.members.get(event.get("Interface", ""))

    def _queue_event(self, event: Fields, now: datetime) -> bool:
        name = event.get("Queue", "")
        member = self._member_of(event)
        if member is not None and event.get("Event") == "QueueMemberStatus" and self._is_known(name, member, event):
            self._note_status(member.state_interface, event)
            extension = self.extensions.get(member.extension)
            return extension is not None and self._update_state(extension, now)
        before = self._facts(name)
        state_interface = member.state_interface if member is not None else ""
        what_counts = _what_counts(member)
        self._update_queue(event, now)
        member = self._member_of(event)
        is_member_event = event.get("Event") in _MEMBER_EVENTS and member is not None
        if before is not None and what_counts == _what_counts(member):
            callers = before.callers if is_member_event else self.queues[name].callers
            self._queue_facts[name] = before if before.callers == callers else Queue(before.members, callers)
        after = self._facts(name)
        became_free = False
        if is_member_event and member is not None:
            if state_interface != member.state_interface:
                self._derive(now)
            elif member.extension in self.extensions:
                became_free = self._update_state(self.extensions[member.extension], now)
            after = self._facts(name)
        if before is not after and before != after:
            self.changed_queues.add(name)
        if event.get("Event") in ("QueueCallerJoin", "QueueCallerLeave"):
            return event.get("Event") == "QueueCallerLeave"
        return is_member_event and (became_free or before is not after)

    def _update_queue(self, row: Fields, now: datetime, before: Mapping[str, QueueState] | None = None) -> None:
        """Update the table of queues by a row of QueueStatus, or by an event.

        `before`: the table before the poll. It knows more of a member than the PBX reports.
        """
        name, interface = row.get("Queue", ""), row.get("Interface", "") or row.get("Location", "")
        match row.get("Event"):
            case "QueueParams":
                state = self.queues.setdefault(name, QueueState())
                state.live_callers = max(integer(row.get("Calls", "")), 0)
                state.answered = before[name].answered if before is not None and name in before else state.answered
            case "QueueMember":
                self.queues.setdefault(name, QueueState())
            case "QueueEntry" | "QueueCallerJoin" | "QueueCallerLeave":
                self._update_caller(self.queues.setdefault(name, QueueState()), row, now, (before or {}).get(name))
        self._queue_facts.pop(name, None)
        queue = self.queues.get(name)
        if queue is None:
            return
        member = queue.members.get(interface)
        match row.get("Event"):
            case event if event == "QueueMember" or event in _MEMBER_EVENTS:
                if before is not None and (member is None or event == "QueueMember"):
                    member = before.get(name, QueueState()).members.get(interface)
                self._update_member(name, row, interface, member, now)
            case "QueueMemberRemoved":
                queue.members.pop(interface, None)
                self._queues_of, self._must_derive = None, True
            case "AgentConnect":
                if before is None:  # a poll takes the count of the table before it
                    queue.answered = min(queue.answered + 1, MOST_SHARE)
                if member is not None:
                    member.in_call = True
            case "AgentComplete":
                self._end_queue_call(name, member, now)

    def _update_caller(self, queue: QueueState, row: Fields, now: datetime, before: QueueState | None) -> None:
        """Update the callers of a queue by a row of QueueStatus, or by an event."""
        uid, name = row.get("Uniqueid", ""), row.get("Event")
        if name == "QueueEntry" and uid:
            waited = timedelta(seconds=max(integer(row.get("Wait", "")), 0))
            queue.joined[uid] = before.joined.get(uid, now - waited) if before is not None else now - waited
            self._first_joined.setdefault(uid, queue.joined[uid])
        if name == "QueueEntry":
            return
        queue.live_callers = max(integer(row.get("Count", "")), 0)
        queue.joined.pop(uid, None)
        if name == "QueueCallerJoin" and uid:
            # Who is let in before others, as a caller who comes back, waits as if they had joined before them.
            behind = sorted(queue.joined.values())[max(integer(row.get("Position", ""), queue.live_callers) - 1, 0) :]
            queue.joined[uid] = min([now, *behind])
            self._first_joined.setdefault(uid, now)

    def _update_member(
        self, queue: str, row: Fields, interface: str, current: QueueMember | None, now: datetime
    ) -> None:
        if current is None:
            self._queues_of = None
        elif row.get("Event") == "QueueMember" and self._is_known(queue, current, row):
            self._note_status(current.state_interface, row)
            self.queues[queue].members[interface] = current
            return
        last_call = _last_call(row, current, now)
        state_interface = row.get("StateInterface") or interface
        paused, held = _pauses(row)
        if paused and current is not None and current.held:
            self.overruled.add(current.extension)
        self._note_status(state_interface, row)
        self.queues[queue].members[interface] = QueueMember(
            interface=interface,
            state_interface=state_interface,
            extension=current.extension if current is not None else "",
            name=row.get("MemberName") or row.get("Name") or interface,
            paused=paused,
            held=held,
            penalty=integer(row.get("Penalty", "")),
            last_call=last_call,
            wrapup=timedelta(seconds=self._wrapup(queue, row)),
            in_call=row.get("InCall") == "1" or (current is not None and current.in_call and row.get("InCall") is None),
            reported_call=_reported_call(row, current),
        )

    def _wrapup(self, queue: str, row: Fields) -> int:
        return self.wrapups.get(queue) or integer(row.get("Wrapuptime", ""))

    def _note_status(self, state_interface: str, row: Fields) -> None:
        status = integer(row.get("Status", ""), -1)
        if 0 <= status < len(MEMBER_STATES):
            self._member_states[normalized(state_interface)] = MEMBER_STATES[status]

    def _is_known(self, queue: str, member: QueueMember, row: Fields) -> bool:
        """Tell whether a row says nothing new of a member but the state of their device."""
        return (
            member.state_interface == (row.get("StateInterface") or member.interface)
            and member.name == (row.get("MemberName") or row.get("Name") or member.interface)
            and (member.paused, member.held) == _pauses(row)
            and member.penalty == integer(row.get("Penalty", ""))
            and member.reported_call == _reported_call(row, member)
            and (row.get("InCall") is None or member.in_call == (row["InCall"] == "1"))
            and member.wrapup == timedelta(seconds=self._wrapup(queue, row))
        )

    def move_times(self, by: timedelta) -> None:
        """Move all moments, because the clock has jumped."""
        for extension in self.extensions.values():
            extension.since += by
        self.idle_since = {name: at + by for name, at in self.idle_since.items()}
        self._first_joined = {uid: at + by for uid, at in self._first_joined.items()}
        self._outdated_lines |= self.extensions.keys()
        self._queue_facts = {}
        self.changed_queues |= self.queues.keys()
        for queue in self.queues.values():
            queue.joined = {uid: joined + by for uid, joined in queue.joined.items()}
            for member in queue.members.values():
                if member.last_call is not None:
                    member.last_call += by

    # -- facts ----------------------------------------------------------------------------------------------

    def extension_of(self, device: str) -> str:
        """Return the extension of a device ("hint:101@ctx", "Local/101@ctx/n" or "PJSIP/101"), "" if there is none.

        A device can belong to several extensions. Then it is the one whose number it has, or the shortest one.
        """
        owners = self._by_device.get(normalized(device))
        if owners:
            return best_owner(device, owners)
        named = re.match(r"(?:hint:|Local/)([0-9]{1,20})@", device)
        return named[1] if named is not None else ""

    def extension_of_channel(self, channel: str) -> str:
        """Return the extension of a channel ("PJSIP/101-0000002a"), "" if it is no extension's channel."""
        return self.extension_of(device_of_channel(channel))

    def queues_of(self, extension: str) -> tuple[str, ...]:
        if self._queues_of is None:
            found: dict[str, dict[str, None]] = {}
            for name, queue in self.queues.items():
                for member in queue.members.values():
                    found.setdefault(member.extension, {})[name] = None
            self._queues_of = {agent: tuple(names) for agent, names in found.items()}
        return self._queues_of.get(extension, ())

    def interfaces(self, agent: str, queue: str) -> tuple[str, ...]:
        """Return the interfaces by which an agent is a member of a queue, but those that somebody has paused."""
        members = self.queues[queue].members.values() if queue in self.queues else ()
        return tuple(member.interface for member in members if member.extension == agent and not member.paused)

    def held(self) -> frozenset[HeldMember]:
        """Return the members whom we have paused."""
        return frozenset(
            HeldMember(member.extension, name, member.interface)
            for name, queue in self.queues.items()
            for member in queue.members.values()
            if member.held
        )

    def first_joined(self, uniqueid: str) -> datetime | None:
        """Return when a call first joined a queue, None if it never did as far as we know."""
        return self._first_joined.get(uniqueid)

    def place_in_queue(self, queue: str, uniqueid: str) -> int | None:
        """Return the position of a caller who comes back to a queue, None if it is not known when they joined."""
        joined = self._first_joined.get(uniqueid)
        state = self.queues.get(queue)
        return state.callers.before(joined) + 1 if joined is not None and state is not None else None

    def lines(self) -> dict[str, Line]:
        for name in self._outdated_lines:
            extension = self.extensions.get(name)
            if extension is None:
                self._lines.pop(name, None)
            else:
                self._lines[name] = _line(extension, self.idle_since.get(name))
        self._outdated_lines = set()
        return dict(self._lines)

    def note_called(self, queue: str) -> None:
        """Note that a request for a queue is called: the callers who are answered from now on are counted."""
        if queue in self.queues:
            self.queues[queue].answered = 0
            self._queue_facts.pop(queue, None)
            self.changed_queues.add(queue)

    def queue_facts(self, names: Iterable[str] | None = None) -> dict[str, Queue]:
        """Return the facts of these queues, None for all."""
        return {name: self._fact(name) for name in (self.queues if names is None else names)}

    def _fact(self, name: str) -> Queue:
        if name not in self._queue_facts:
            self._queue_facts[name] = _queue(self.queues[name])
        return self._queue_facts[name]

    def _facts(self, queue: str) -> Queue | None:
        return self._fact(queue) if queue in self.queues else None


def _pauses(row: Fields) -> tuple[bool, bool]:
    """Return whether somebody else has paused a queue member, and whether we have."""
    if row.get("Paused") != "1":
        return False, False
    held = row.get("PausedReason") == HOLD_REASON
    return not held, held


def _line(extension: Extension, idle_since: datetime | None) -> Line:
    return Line(
        extension.extension,
        extension.state,
        extension.since,
        "&".join(extension.devices),
        extension.context,
        extension.hint_name,
        idle_since,
    )


def _channel(row: Fields) -> _Channel:
    """Return the channel of a row of CoreShowChannels, or of an event."""
    return _Channel(device_of_channel(row.get("Channel", "")), row.get("ChannelState", "") in _UNANSWERED)


def _renamed(channel: _Channel, event: Fields) -> _Channel:
    return channel._replace(device=device_of_channel(event.get("Newname", "")))


def _last_call(row: Fields, current: QueueMember | None, now: datetime) -> datetime | None:
    """Return the end of the member's last call, or the latest moment it can have been.

    The PBX drops the fraction of the second. Without it, the wrap-up time would end up to a second too soon. What the
    PBX has reported before says nothing new, even if it is in the future: its clock, or ours, may have jumped since.
    """
    known = current.last_call if current is not None else None
    seconds = _reported_call(row, current)
    if seconds == (current.reported_call if current is not None else 0):
        return known
    reported = datetime.fromtimestamp(seconds, UTC)
    if known is not None and reported <= known:
        return known
    return min(now, reported + _FRACTION)


def _queue(queue: QueueState) -> Queue:
    return Queue(_members(queue.members.values()), queue.callers)


def _same_interfaces(before: Mapping[str, QueueState], after: Mapping[str, QueueState]) -> bool:
    """Tell whether the queues have the same members, whose devices have the same names."""
    if before.keys() != after.keys():
        return False
    for name, queue in after.items():
        known = before[name].members
        if queue.members.keys() != known.keys():
            return False
        if any(member.state_interface != known[place].state_interface for place, member in queue.members.items()):
            return False
    return True


def _reported_call(row: Fields, current: QueueMember | None) -> int:
    """Return LastCall, or what the PBX reported before if this row has none. 0 if it never has."""
    return max(integer(row.get("LastCall", ""), most=_LATEST), 0) or (
        current.reported_call if current is not None else 0
    )


def _members(members: Iterable[QueueMember]) -> tuple[Member, ...]:
    """Return the members of a queue as the policy sees them: one per agent, also if two interfaces are theirs."""
    found: dict[str, Member] = {}
    for member in map(QueueMember.as_member, members):
        other = found.get(member.extension)
        if other is not None:
            untils = [until for until in (member.wrapup_until, other.wrapup_until) if until is not None]
            member = Member(
                member.extension,
                member.paused and other.paused,
                min(member.penalty, other.penalty),
                max(untils, default=None),
                other.name or member.name,
            )
        found[member.extension] = member
    return tuple(found.values())


def _what_counts(member: QueueMember | None) -> tuple[object, ...]:
    """Return what the policy's view of a member is made of."""
    if member is None:
        return ()
    return (member.extension, member.paused, member.penalty, member.last_call, member.wrapup, member.name)
