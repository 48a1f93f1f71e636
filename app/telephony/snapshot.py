"""The state of the PBX's extensions and queues in memory, updated by events and corrected by polls.

`Snapshot` has no connection. It is fed with AMI messages and returns the domain's facts. An event takes effect at once.
A poll replaces everything, so a lost event delays a change by one poll at most.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from app.domain.policy import Line, LineState, Member, Queue
from app.domain.routing import EXTENSION_PATTERN
from app.telephony.extension_names import clean_name
from app.telephony.translate import line_state

Fields = Mapping[str, str]

_NO_CALL = frozenset({"NOT_INUSE", "UNAVAILABLE", "INVALID"})  # states of a device without a call


@dataclass
class Extension:
    """An extension with a hint. `devices` are the devices of the hint without its Custom: ones."""

    extension: str
    context: str
    devices: tuple[str, ...]
    has_custom: bool
    status: int
    state: LineState
    since: datetime


@dataclass
class QueueMember:
    interface: str
    extension: str
    name: str
    paused: bool
    penalty: int
    last_call: datetime | None
    wrapup: timedelta
    in_call: bool = False


@dataclass
class QueueState:
    members: dict[str, QueueMember] = field(default_factory=dict)
    live_callers: int = 0


class Snapshot:
    """The state of the PBX.

    `own_context` is the context of the hints that we generate. The PBX's own hints take precedence. `wrapups` are the
    wrap-up times of queues in seconds.
    """

    def __init__(self, own_context: str = "") -> None:
        self.own_context = own_context
        self.wrapups: Mapping[str, int] = {}
        self.extensions: dict[str, Extension] = {}
        self.queues: dict[str, QueueState] = {}
        self.device_states: dict[str, str] = {}
        self.changed_lines: set[str] = set()
        self.changed_queues: set[str] = set()
        self._by_device: dict[str, str] = {}

    # -- polls ------------------------------------------------------------------------------------------------

    def poll_devices(self, rows: Iterable[Fields]) -> None:
        """Replace the device states by the rows of DeviceStateList."""
        self.device_states = {row.get("Device", ""): row.get("State", "") for row in rows}

    def poll_extensions(self, rows: Iterable[Fields], now: datetime) -> None:
        """Replace the extensions by the rows of ExtensionStateList, which are all hints."""
        chosen: dict[str, Fields] = {}
        for row in rows:
            extension = row.get("Exten", "")
            if not EXTENSION_PATTERN.fullmatch(extension):
                continue  # a pattern, or a name that is no extension
            if extension not in chosen or self._rank(row) < self._rank(chosen[extension]):
                chosen[extension] = row
        for extension in set(self.extensions) - set(chosen):
            del self.extensions[extension]
            self.changed_lines.add(extension)
        for row in chosen.values():
            self._update_extension(row, now)
        self._by_device = {d: e.extension for e in self.extensions.values() for d in e.devices}

    def _rank(self, row: Fields) -> tuple[bool, str]:
        """Return the sort key for the hints of one extension: the PBX's own hint first, then by context."""
        context = row.get("Context", "")
        return context == self.own_context, context

    def poll_queues(self, rows: Iterable[Fields], now: datetime) -> None:
        """Replace the queues by the rows of QueueStatus: parameters, members and waiting callers."""
        before = self.queues
        self.queues = {}
        for row in rows:
            name = row.get("Queue", "")
            queue = self.queues.setdefault(name, QueueState())
            match row.get("Event"):
                case "QueueMember":
                    current = before.get(name, QueueState()).members.get(row.get("Location", ""))
                    self._update_member(name, row, row.get("Location", ""), current)
                case "QueueEntry":
                    queue.live_callers += 1
        self.changed_queues |= set(before) | set(self.queues)

    # -- events -----------------------------------------------------------------------------------------------

    def handle(self, event: Fields, now: datetime) -> bool:
        """Apply an event. Return whether it may have freed an agent or unblocked a request."""
        match event.get("Event"):
            case "ExtensionStatus":
                return self._extension_event(event, now)
            case "DeviceStateChange":
                return self._device_event(event, now)
            case "QueueMemberStatus" | "QueueMemberAdded" | "QueueMemberPause" | "QueueMemberPenalty":
                return self._member_event(event)
            case "QueueMemberRemoved":
                queue = self.queues.get(event.get("Queue", ""))
                if queue is not None:
                    queue.members.pop(event.get("Interface", ""), None)
                    self.changed_queues.add(event.get("Queue", ""))
            case "QueueCallerJoin" | "QueueCallerLeave":
                return self._caller_event(event)
            case "AgentConnect":
                member = self._member_of(event)
                if member is not None:
                    member.in_call = True
            case "AgentComplete":
                self._end_queue_call(event.get("Queue", ""), self._member_of(event), now)
        return False

    def _extension_event(self, event: Fields, now: datetime) -> bool:
        extension = self.extensions.get(event.get("Exten", ""))
        if extension is None or extension.context != event.get("Context"):
            return False  # an unextension hint: the next poll reports it
        self._update_extension({**event, "Hint": event.get("Hint") or self._hint_of(extension)}, now)
        return self.extensions[extension.extension].state is LineState.FREE

    @staticmethod
    def _hint_of(extension: Extension) -> str:
        return "&".join(extension.devices) + ("&Custom:" if extension.has_custom else "")

    def _device_event(self, event: Fields, now: datetime) -> bool:
        device = event.get("Device", "")
        self.device_states[device] = event.get("State", "")
        owner = self._by_device.get(device)
        if owner is None or not self.extensions[owner].has_custom:
            return False
        self._update_state(self.extensions[owner], now)  # tells "do not disturb" from a call
        return self.extensions[owner].state is LineState.FREE

    def _update_extension(self, row: Fields, now: datetime) -> None:
        extension = row.get("Exten", "")
        parts = [part for part in re.split(r"[&,]", row.get("Hint", "")) if part]
        devices = tuple(part for part in parts if not part.startswith(("Custom:", "CustomPresence:")))
        status = int(row.get("Status") or -1)
        current = self.extensions.get(extension)
        if current is None:
            current = Extension(extension, row.get("Context", ""), devices, False, status, LineState.UNKNOWN, now)
            self.extensions[extension] = current
            self.changed_lines.add(extension)
        if (current.devices, current.context) != (devices, row.get("Context", "")):
            self.changed_lines.add(extension)
        current.context, current.devices, current.status = row.get("Context", ""), devices, status
        current.has_custom = any(part.startswith("Custom:") for part in parts)
        for device in devices:
            self._by_device[device] = extension
        self._update_state(current, now)

    def _update_state(self, extension: Extension, now: datetime) -> None:
        devices_free = all(self.device_states.get(device) in _NO_CALL for device in extension.devices)
        state = line_state(extension.status, has_custom=extension.has_custom, devices_free=devices_free)
        if state is extension.state:
            return
        extension.state, extension.since = state, now
        self.changed_lines.add(extension.extension)
        if state is LineState.FREE:
            self._start_wrapups(extension.extension, now)

    def _start_wrapups(self, extension: str, now: datetime) -> None:
        """Start the wrap-up time of a member whose line is free after a queue call. The queue reports it later."""
        for name, queue in self.queues.items():
            for member in queue.members.values():
                if member.extension == extension and member.in_call:
                    self._end_queue_call(name, member, now)

    def _end_queue_call(self, queue: str, member: QueueMember | None, now: datetime) -> None:
        if member is not None and member.in_call:
            member.in_call, member.last_call = False, now
            self.changed_queues.add(queue)

    def _member_of(self, event: Fields) -> QueueMember | None:
        queue = self.queues.get(event.get("Queue", ""))
        return None if queue is None else queue.members.get(event.get("Interface", ""))

    def _member_event(self, event: Fields) -> bool:
        name = event.get("Queue", "")
        interface = event.get("Interface", "") or event.get("Location", "")
        if name not in self.queues:
            return False
        self._update_member(name, event, interface, self.queues[name].members.get(interface))
        self.changed_queues.add(name)
        return True

    def _update_member(self, queue: str, row: Fields, interface: str, current: QueueMember | None) -> None:
        last = int(row.get("LastCall") or 0)
        last_call = datetime.fromtimestamp(last, UTC) if last else None
        if (
            current is not None
            and current.last_call is not None
            and (last_call is None or last_call < current.last_call)
        ):
            last_call = current.last_call  # the PBX reports whole seconds only
        device = row.get("StateInterface") or interface
        self.queues[queue].members[interface] = QueueMember(
            interface=interface,
            extension=self.extension_of(device) or self.extension_of(interface),
            name=row.get("MemberName") or row.get("Name") or interface,
            paused=row.get("Paused") == "1",
            penalty=int(row.get("Penalty") or 0),
            last_call=last_call,
            wrapup=timedelta(seconds=self.wrapups.get(queue) or int(row.get("Wrapuptime") or 0)),
            in_call=row.get("InCall") == "1" or (current is not None and current.in_call and row.get("InCall") is None),
        )

    def _caller_event(self, event: Fields) -> bool:
        queue = self.queues.setdefault(event.get("Queue", ""), QueueState())
        queue.live_callers = int(event.get("Count") or 0)
        self.changed_queues.add(event.get("Queue", ""))
        return queue.live_callers == 0

    # -- facts ----------------------------------------------------------------------------------------------

    def extension_of(self, device: str) -> str:
        """Return the extension of a device ("hint:101@ctx", "Local/101@ctx/n" or "PJSIP/101"), "" if there is none."""
        named = re.match(r"(?:hint:|Local/)([0-9]{1,20})@", device)
        if named is not None:
            return named[1]
        return self._by_device.get(device, "")

    def extension_of_channel(self, channel: str) -> str:
        """Return the extension of a channel ("PJSIP/101-0000002a"), "" if it is no extension's channel."""
        return self.extension_of(channel.rsplit("-", 1)[0])

    def queues_of(self, extension: str) -> tuple[str, ...]:
        return tuple(
            name for name, queue in self.queues.items() if any(m.extension == extension for m in queue.members.values())
        )

    def lines(self) -> dict[str, Line]:
        return {
            e.extension: Line(e.extension, e.state, e.since, "&".join(e.devices), e.context)
            for e in self.extensions.values()
        }

    def queue_facts(self) -> dict[str, Queue]:
        return {
            name: Queue(tuple(_member(m) for m in queue.members.values() if m.extension), queue.live_callers)
            for name, queue in self.queues.items()
        }


def _member(member: QueueMember) -> Member:
    until = member.last_call + member.wrapup if member.last_call is not None and member.wrapup else None
    name = clean_name(member.name, member.interface, member.extension)
    return Member(member.extension, member.paused, member.penalty, until, name)
