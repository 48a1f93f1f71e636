"""A model of all calls of the PBX: who can hear whom, since when, and who is on the line at all.

The model consists of channels, bridges, and pairs of Local channels. Two channels can hear each other if bridges and
Local pairs connect them. A channel that plays a mailbox, an announcement or music is in no bridge, so it is in no talk.

`Calls` has no connection and no clock. It is fed with AMI events and with lists, and `now` is a monotonic time in
seconds. Everything it knows of a channel goes with the channel's Hangup. A list corrects what a lost event missed.
"""

import re
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple

Fields = Mapping[str, str]

MOST_CHANNELS = 10_000  # limits the memory for channels whose end was missed
MOST_ENDED = 2_000  # ended channels that are remembered, because their events can be late
MOST_PARTIES = 12  # with more people in one conversation it is a conference, and nobody was called back by it
GRACE = 1.0  # seconds; a Local optimization or a transfer moves channels, and the conversation goes on
_NUMBER = re.compile(r"\+?[0-9]{2,20}")
_OUTGOING = "(Outgoing Line)"  # the application data of a channel that somebody dialled


class Party(NamedTuple):
    """One side of a call: an extension, or an outside number in the forms in which it may be known, best first."""

    extension: str = ""
    numbers: tuple[str, ...] = ()


_NOBODY = Party()


@dataclass(frozen=True)
class Talk:
    """A conversation between the office and `other`, since the monotonic time `since`.

    The office's side is `extension`, or an agent of `queue`, or both; each is "" if unknown. `linked` are the Linkedids
    of both channels.
    """

    extension: str
    queue: str
    other: Party
    linked: frozenset[str]
    since: float


class _Headers:
    """The names of the headers of an event that tell of a channel. Those of a dialled channel begin with "Dest"."""

    def __init__(self, prefix: str) -> None:
        self.uniqueid, self.channel, self.linked = f"{prefix}Uniqueid", f"{prefix}Channel", f"{prefix}Linkedid"
        self.caller, self.context, self.exten = f"{prefix}CallerIDNum", f"{prefix}Context", f"{prefix}Exten"


_OWN, _DIALLED = _Headers(""), _Headers("Dest")


@dataclass(slots=True)
class _Channel:
    """A channel. `dialler` is the Uniqueid of the channel that dialled it, `served` the extension on whose behalf.

    `rung` is the only extension that this channel has dialled from its `position` (context, exten) in the dialplan;
    None if there were several. `has_talked`: it has been connected with another channel that is not Local.
    """

    uniqueid: str
    name: str = ""
    caller: str = ""
    linked: tuple[str, ...] = ()
    position: tuple[str, str] = ("", "")
    bridge: str = ""
    is_dialled: bool = False
    dial_string: str = ""
    dialler: str = ""
    dialler_position: tuple[str, str] = ("", "")
    served: str = ""
    rung: str | None = ""
    queue: str = ""
    has_talked: bool = False
    is_local: bool = field(init=False)

    def __post_init__(self) -> None:
        self.is_local = self.name.startswith("Local/")


@dataclass
class _Bridge:
    members: set[str] = field(default_factory=set)
    is_holding: bool = False  # parking: its members wait, and do not hear each other


@dataclass
class _Pair:
    """Two endpoints that hear each other. `is_reported`: `due` has returned their talk."""

    channels: tuple[str, str]
    since: float
    is_reported: bool = False
    broken_at: float | None = None


class Calls:
    """The calls of the PBX. `min_talk` is the least duration of a talk in seconds.

    `extension_of_channel` returns the extension of a channel's device, "" if there is none. `is_extension` recognizes
    the number of an extension.
    """

    # the events that change the model
    handled = frozenset({"Newchannel", "Newstate", "NewCallerid", "NewConnectedLine", "Rename", "DialBegin", "DialEnd"})
    handled |= {"AgentCalled", "AgentConnect", "AgentComplete", "BridgeEnter", "BridgeLeave", "BridgeDestroy", "Hangup"}

    def __init__(
        self,
        extension_of_channel: Callable[[str], str],
        is_extension: Callable[[str], bool],
        *,
        min_talk: float = 5.0,
    ) -> None:
        self.min_talk = min_talk
        self._extension_of, self._is_extension = extension_of_channel, is_extension
        self._channels: dict[str, _Channel] = {}
        self._by_name: dict[str, str] = {}
        self._bridges: dict[str, _Bridge] = {}
        self._pairs: dict[str, dict[str, _Pair]] = defaultdict(dict)  # of both channels
        self._young: dict[frozenset[str], _Pair] = {}  # connected and not reported
        self._broken: dict[frozenset[str], _Pair] = {}  # for GRACE
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._first_young: float | None = None  # the least `since` of `_young`, None if it must be found out
        self._on_line: Counter[Party] = Counter()
        self._counted: dict[str, Party] = {}
        self._uncounted: dict[str, None] = {}  # channels that have changed since their party was last found
        self.changes = 0  # how often `on_line` has changed
        self.joins = 0  # how often somebody has begun to talk, or goes on
        self.on_move: Callable[[Party, bool], object] = lambda party, came: None  # somebody came to the line, or left
        self._is_connected = True
        self._handlers: dict[str, Callable[[Fields, float], object]] = {
            "Newchannel": self._observe,
            "Newstate": self._observe,
            "NewCallerid": self._observe,
            "NewConnectedLine": self._observe,
            "Rename": self._rename,
            "DialBegin": self._dial,
            "DialEnd": self._dial,
            "AgentCalled": self._agent_called,
            "AgentConnect": self._agent_connect,
            "AgentComplete": self._agent_complete,
            "BridgeEnter": self._bridge_enter,
            "BridgeLeave": self._bridge_leave,
            "BridgeDestroy": self._bridge_destroy,
            "Hangup": self._hangup,
        }

    def __len__(self) -> int:
        return len(self._channels)

    # -- events -----------------------------------------------------------------------------------------------

    def handle(self, event: Fields, now: float) -> None:
        """Apply an event."""
        handler = self._handlers.get(event.get("Event", ""))
        if handler is not None:
            handler(event, now)
            if self._uncounted:
                for uniqueid in self._uncounted:
                    self._count(uniqueid)
                self._uncounted.clear()
            if self._broken:
                self._forget_broken(now)

    def connection_lost(self) -> None:
        """Report no talks until the next `fill`, because the ends of calls are missed."""
        self._is_connected = False

    def connection_restored(self) -> None:
        """Report talks again. `fill` does the same."""
        self._is_connected = True

    def _observe(self, event: Fields, now: float, headers: _Headers = _OWN) -> _Channel | None:
        """Return the channel of an event, updated by it. None if the event has none, or if the channel has ended."""
        uniqueid, name = event.get(headers.uniqueid, ""), event.get(headers.channel, "")
        if not uniqueid or not name:
            return None
        channel = self._channels.get(uniqueid)
        if channel is None:
            if uniqueid in self._ended:
                return None
            channel = self._add(uniqueid, now)
        if name != channel.name:
            self._set_name(channel, name, now)
        caller, linked = event.get(headers.caller, ""), event.get(headers.linked, "")
        if caller != channel.caller and caller and not caller.startswith("<"):
            channel.caller = caller
            self._uncounted[uniqueid] = None
        if linked and linked not in channel.linked:
            channel.linked = (*channel.linked[:1], linked)
        position = (event.get(headers.context, ""), event.get(headers.exten, ""))
        if position != channel.position:
            channel.position, channel.rung = position, ""
        return channel

    def _add(self, uniqueid: str, now: float) -> _Channel:
        while len(self._channels) >= MOST_CHANNELS:
            self._remove(next(iter(self._channels)), now)
        channel = self._channels[uniqueid] = _Channel(uniqueid)
        self._uncounted[uniqueid] = None
        return channel

    def _set_name(self, channel: _Channel, name: str, now: float) -> None:
        if name == channel.name:
            return
        is_new = not channel.name
        affected = self._component(channel.uniqueid)
        if self._by_name.get(channel.name) == channel.uniqueid:
            del self._by_name[channel.name]
        channel.name, channel.is_local = name, name.startswith("Local/")
        self._uncounted[channel.uniqueid] = None
        self._by_name[name] = channel.uniqueid
        if not is_new:  # another device took over, so another person may talk now
            self._split(channel.uniqueid)
        self._connect(affected | self._component(channel.uniqueid), now)

    def _rename(self, event: Fields, now: float) -> None:
        channel = self._channels.get(event.get("Uniqueid", ""))
        if channel is not None and event.get("Newname"):
            self._set_name(channel, event["Newname"], now)

    def _dial(self, event: Fields, now: float) -> None:
        """Note who dials whom. At DialEnd all phones of the dial are known that DialBegin could not know yet."""
        dialler = self._observe(event, now)
        dialled = self._observe(event, now, _DIALLED)
        if dialled is None:
            return
        dialled.is_dialled = True
        self._uncounted[dialled.uniqueid] = None
        dialled.dial_string = event.get("DialString", "") or dialled.dial_string
        if dialler is None:
            return
        dialled.dialler, dialled.dialler_position = dialler.uniqueid, dialler.position
        extension = self._rung_extension(dialled.name)
        if extension and dialler.rung is not None:
            dialler.rung = extension if dialler.rung in ("", extension) else None
        dialled.served = self._served(dialled)

    def _rung_extension(self, dialled: str) -> str:
        """Return the extension whose phone was dialled, by its channel's device or by a Local channel; "" if none."""
        if not dialled.startswith("Local/"):
            return self._extension_of(dialled)
        named = _extension_part(dialled)
        return named if self._is_extension(named) else ""

    def _served(self, dialled: _Channel, depth: int = 4) -> str:
        """Return the extension on whose behalf a channel was dialled, such as a mobile of follow-me; "" if none."""
        dialler = self._channels.get(dialled.dialler)
        if dialler is None or depth == 0:
            return dialled.served
        exten = dialled.dialler_position[1]
        if self._is_extension(exten):
            return exten
        if dialler.position == dialled.dialler_position and dialler.rung:
            return dialler.rung
        if not dialler.name.endswith(";2"):
            return ""
        named = self._rung_extension(dialler.name)
        if named:
            return named
        first_half = self._partner(dialler)
        return "" if first_half is None else self._served(first_half, depth - 1)

    def _agent_called(self, event: Fields, now: float) -> None:
        caller = self._observe(event, now)
        if caller is not None:
            caller.rung = None  # what follows the queue in the dialplan serves no single agent

    def _agent_connect(self, event: Fields, now: float) -> None:
        caller = self._observe(event, now)
        if caller is not None:
            caller.queue = event.get("Queue", "")

    def _agent_complete(self, event: Fields, now: float) -> None:
        caller = self._observe(event, now)
        if caller is not None:
            caller.queue = ""

    # -- bridges ----------------------------------------------------------------------------------------------

    def _bridge_enter(self, event: Fields, now: float) -> None:
        channel = self._observe(event, now)
        if channel is not None:
            is_holding = event.get("BridgeTechnology") == "holding_bridge"
            self._move(channel, event.get("BridgeUniqueid", ""), now, is_holding=is_holding)

    def _bridge_leave(self, event: Fields, now: float) -> None:
        channel = self._observe(event, now)
        if channel is not None and channel.bridge == event.get("BridgeUniqueid"):
            self._move(channel, "", now)

    def _bridge_destroy(self, event: Fields, now: float) -> None:
        bridge = self._bridges.get(event.get("BridgeUniqueid", ""))
        for uniqueid in list(bridge.members) if bridge is not None else ():
            self._move(self._channels[uniqueid], "", now)

    def _move(self, channel: _Channel, bridge: str, now: float, *, is_holding: bool = False) -> None:
        """Take a channel out of its bridge and put it into another one; "" is none."""
        if channel.bridge == bridge:
            return
        affected = self._component(channel.uniqueid)
        current = self._bridges.get(channel.bridge)
        if current is not None:
            current.members.discard(channel.uniqueid)
            if not current.members:
                del self._bridges[channel.bridge]
        channel.bridge = bridge
        if bridge:
            entered = self._bridges.setdefault(bridge, _Bridge())
            entered.members.add(channel.uniqueid)
            entered.is_holding = entered.is_holding or is_holding
        self._connect(affected | self._component(channel.uniqueid), now)

    def _hangup(self, event: Fields, now: float) -> None:
        uniqueid = event.get("Uniqueid", "")
        if not uniqueid:
            return
        self._ended[uniqueid] = None
        while len(self._ended) > MOST_ENDED:
            self._ended.popitem(last=False)
        self._remove(uniqueid, now)

    def _remove(self, uniqueid: str, now: float) -> None:
        channel = self._channels.get(uniqueid)
        if channel is None:
            return
        affected = self._component(uniqueid) - {uniqueid}
        self._move(channel, "", now)
        if self._by_name.get(channel.name) == uniqueid:
            del self._by_name[channel.name]
        del self._channels[uniqueid]
        self._split(uniqueid)
        self._connect(affected, now)
        self._count(uniqueid)

    # -- who hears whom ---------------------------------------------------------------------------------------

    def _partner(self, channel: _Channel) -> _Channel | None:
        """Return the other half of a Local channel."""
        if not channel.is_local or channel.name[-2:] not in (";1", ";2"):
            return None
        other = channel.name[:-1] + ("2" if channel.name.endswith("1") else "1")
        return self._channels.get(self._by_name.get(other, ""))

    def _component(self, uniqueid: str) -> set[str]:
        """Return the channels that are connected with this one, and itself."""
        alone = self._channels.get(uniqueid)
        if alone is None or not (alone.bridge or alone.is_local):
            return {uniqueid}
        found, waiting = {uniqueid}, [uniqueid]
        while waiting:
            channel = self._channels.get(waiting.pop())
            if channel is None:
                continue
            bridge = self._bridges.get(channel.bridge)
            neighbours = set() if bridge is None or bridge.is_holding else set(bridge.members)
            partner = self._partner(channel)
            if partner is not None:
                neighbours.add(partner.uniqueid)
            waiting += neighbours - found
            found |= neighbours
        return found

    def _connect(self, uniqueids: set[str], now: float) -> None:
        """Bring the pairs of these channels up to date. They are all channels that a change has affected."""
        left = {uniqueid for uniqueid in uniqueids if uniqueid in self._channels}
        while left:
            component = self._component(next(iter(left)))
            left -= component
            if len(component) == 1 and self._pairs.keys().isdisjoint(component):
                continue
            parties = sorted(uniqueid for uniqueid in component if not self._channels[uniqueid].is_local)
            if len(parties) > 1:
                for uniqueid in parties:
                    self._channels[uniqueid].has_talked = True
            if len(parties) > MOST_PARTIES:
                parties = []
            for uniqueid in component:
                for other in set(self._pairs.get(uniqueid, ())) - set(parties):
                    self._break(uniqueid, other, now)
            for one, other in combinations(parties, 2):
                if other not in self._pairs.get(one, ()):
                    self._join(one, other, now)

    def _join(self, one: str, other: str, now: float) -> None:
        key = frozenset((one, other))
        pair = self._broken.pop(key, None)
        if pair is None or pair.broken_at is None or now - pair.broken_at > GRACE:
            pair = _Pair((one, other), now)
        pair.broken_at = None
        self.joins += 1
        self._pairs[one][other] = self._pairs[other][one] = pair
        if not pair.is_reported:
            self._young[key] = pair
            if self._first_young is not None:
                self._first_young = min(self._first_young, pair.since)

    def _break(self, one: str, other: str, now: float) -> None:
        pair = self._drop(one, other)
        if one in self._channels and other in self._channels:
            pair.broken_at = now
            self._broken[frozenset((one, other))] = pair

    def _drop(self, one: str, other: str) -> _Pair:
        pair = self._pairs[one].pop(other)
        del self._pairs[other][one]
        for uniqueid in (one, other):
            if not self._pairs[uniqueid]:
                del self._pairs[uniqueid]
        if self._young.pop(frozenset((one, other)), None) is not None and pair.since == self._first_young:
            self._first_young = None
        return pair

    def _split(self, uniqueid: str) -> None:
        """Forget all pairs of a channel."""
        for other in list(self._pairs.get(uniqueid, ())):
            self._drop(uniqueid, other)
        for key in [key for key in self._broken if uniqueid in key]:
            del self._broken[key]

    def _forget_broken(self, now: float) -> None:
        while self._broken:
            key, pair = next(iter(self._broken.items()))
            if pair.broken_at is not None and now - pair.broken_at <= GRACE:
                return
            del self._broken[key]

    # -- lists ------------------------------------------------------------------------------------------------

    def fill(self, channels: Iterable[Fields], bridges: Iterable[Fields], now: float) -> None:
        """Correct the model by CoreShowChannels, and by the rows of a BridgeList that was requested before it.

        `channels` are the rows and the events that came between them, which `handle` knows already. An event is newer
        than the rows before it and older than those after it.
        """
        rows: dict[str, Fields] = {}
        seen: set[str] = set()  # channels with an event that is newer than their row
        moved: set[str] = set()  # those of them that entered or left a bridge
        destroyed: set[str] = set()
        for each in channels:
            uniqueid = each.get("Uniqueid", "")
            match each.get("Event"):
                case "CoreShowChannel":
                    rows[uniqueid] = each
                    seen.discard(uniqueid)
                    moved.discard(uniqueid)
                case "BridgeDestroy":
                    destroyed.add(each.get("BridgeUniqueid", ""))
                case name if name in self.handled:
                    seen |= {uniqueid, each.get("DestUniqueid", "")}
                    if name in ("BridgeEnter", "BridgeLeave"):
                        moved.add(uniqueid)
        holding = {row.get("BridgeUniqueid", "") for row in bridges if row.get("BridgeTechnology") == "holding_bridge"}
        for uniqueid in [u for u in self._channels if u not in rows and u not in seen]:
            self._remove(uniqueid, now)
        dials: dict[str, list[str]] = defaultdict(list)
        for row in rows.values():
            if row.get("Application") == "Dial":
                dials[row.get("Linkedid", "")].append(row.get("ApplicationData", ""))
        for uniqueid, row in rows.items():
            if uniqueid in seen and uniqueid not in self._channels:
                continue  # it has ended since
            is_new = uniqueid not in self._channels
            channel = self._channels[uniqueid] if uniqueid in seen else self._observe(row, now)
            if channel is None:
                continue
            application = row.get("ApplicationData", "")
            if is_new and application == _OUTGOING:
                channel.is_dialled = True
                channel.dial_string = "&".join(dials[row.get("Linkedid", "")])
            elif is_new and row.get("Application") == "Queue":
                channel.queue = application.partition(",")[0]
            bridge = row.get("BridgeId", "")
            if uniqueid not in moved and bridge not in destroyed:
                self._move(channel, bridge, now, is_holding=bridge in holding)
        self._uncounted.clear()
        for uniqueid in self._channels:
            self._count(uniqueid)  # also the unchanged ones: their phones may belong to other extensions now
        self.connection_restored()

    # -- answers ----------------------------------------------------------------------------------------------

    def due(self, now: float) -> list[Talk]:
        """Return the talks that have lasted `min_talk` since the last call. Each is returned once."""
        next_due = self.next_due()
        if next_due is None or next_due > now:
            return []
        self._first_young = None
        talks = []
        for key, pair in list(self._young.items()):
            if pair.since + self.min_talk <= now:
                del self._young[key]
                pair.is_reported = True
                talks += self._talks(pair)
        return talks

    def current(self) -> list[Talk]:
        """Return all talks of any duration that take place now."""
        pairs = {id(pair): pair for pairs in self._pairs.values() for pair in pairs.values()}
        return [talk for pair in pairs.values() for talk in self._talks(pair)]

    def next_due(self) -> float | None:
        """Return when `due` has the next talk, None if nobody has begun to talk."""
        if not self._young or not self._is_connected:
            return None
        if self._first_young is None:
            self._first_young = min(pair.since for pair in self._young.values())
        return self._first_young + self.min_talk

    def on_line(self) -> frozenset[Party]:
        """Return everybody who is in a call with the office now, ringing and waiting included."""
        return frozenset(self._on_line)

    def has_talked(self, uniqueid: str) -> bool:
        """Tell whether this channel has ever been connected with another one, for however short a time."""
        channel = self._channels.get(uniqueid)
        return channel is not None and channel.has_talked

    def party_of(self, uniqueid: str) -> Party | None:
        """Return who is on a channel, None if there is no such channel or somebody has dialled it."""
        channel = self._channels.get(uniqueid)
        return None if channel is None or channel.is_dialled else self._party(channel)

    def extension_of_dialled(self, channel: str) -> str:
        """Return the extension to which a dialled channel belongs, by its name; "" if none."""
        return self._rung_extension(channel)

    def _count(self, uniqueid: str) -> None:
        """Update the count of a channel's party after the channel has changed or ended."""
        channel = self._channels.get(uniqueid)
        party = None if channel is None or channel.is_local else self._party(channel)
        if party == _NOBODY:
            party = None
        counted = self._counted.get(uniqueid)
        if party == counted:
            return
        if counted is not None:
            del self._counted[uniqueid]
            self._on_line[counted] -= 1
            if not self._on_line[counted]:
                del self._on_line[counted]
                self.on_move(counted, False)
        if party is not None:
            self._counted[uniqueid] = party
            self._on_line[party] += 1
            if self._on_line[party] == 1:
                self.on_move(party, True)
        self.changes += 1

    def _talks(self, pair: _Pair) -> list[Talk]:
        one, other = (self._channels[uniqueid] for uniqueid in pair.channels)
        talks = (self._talk(one, other, pair.since), self._talk(other, one, pair.since))
        return [talk for talk in talks if talk is not None]

    def _talk(self, line: _Channel, other: _Channel, since: float) -> Talk | None:
        extension = self._extension_of(line.name) or line.served
        queue = other.queue if line.is_dialled else ""
        party = self._party(other)
        if not party.extension and other.served:
            party = Party(other.served)
        if not (extension or queue) or not (party.extension or party.numbers) or party.extension == extension != "":
            return None
        return Talk(extension, queue, party, frozenset(line.linked + other.linked), since)

    def _party(self, channel: _Channel) -> Party:
        extension = self._extension_of(channel.name)
        if extension:
            return Party(extension)
        if not channel.is_dialled:
            return Party(numbers=(channel.caller,) if channel.caller else ())
        numbers = [*_dial_numbers(channel.dial_string), channel.dialler_position[1], channel.caller]
        return Party(numbers=tuple(dict.fromkeys(number for number in numbers if _NUMBER.fullmatch(number))))


def _extension_part(local: str) -> str:
    """Return the extension in the name of a Local channel: "Local/101@from-queue-0001;2" or "Local/FMPR-101@…"."""
    return local.removeprefix("Local/").partition("@")[0].rpartition("-")[2]


def _dial_numbers(dial_string: str) -> list[str]:
    """Return what may be the number in a dial string ("09121234567@trunk", "g1/0912…"), the longest first.

    Providers want a prefix before it ("77#0912…"), and an analogue line a pause ("g1/w0912…").
    """
    parts = re.split(r"[/@:,&^()#*w]", dial_string)
    return sorted((part for part in parts if _NUMBER.fullmatch(part)), key=len, reverse=True)
