"""Follow all calls of the PBX, to notice when the office and a customer talk in a call of their own.

A call is identified by its Linkedid. Its first channel gives the caller and the dialled number. When a leg is answered,
either an extension answered an outside caller, or an outside number answered an extension.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Fields = Mapping[str, str]
MOST_CALLS = 10_000  # limits the memory for calls whose end was missed


@dataclass(frozen=True)
class Answered:
    """An answered call. `outside` is the number as the PBX reports it. `extension` and `queue` are "" if unknown."""

    outside: str
    extension: str = ""
    queue: str = ""


@dataclass
class _Call:
    channel: str
    caller: str
    dialled: str


class CallFollower:
    """Follow calls. `extension_of_channel` maps a channel to its extension. `is_ours` recognizes our own Linkedids."""

    def __init__(self, extension_of_channel: Callable[[str], str], is_ours: Callable[[str], bool]) -> None:
        self._extension_of = extension_of_channel
        self._is_ours = is_ours
        self._calls: OrderedDict[str, _Call] = OrderedDict()

    def handle(self, event: Fields) -> Answered | None:
        """Apply an event. Return the answered call that it reports, if any."""
        linked = event.get("Linkedid", "") or event.get("DestLinkedid", "")
        if not linked or self._is_ours(linked):
            return None
        match event.get("Event"):
            case "Newchannel":
                self._begin(linked, event)
            case "Hangup":
                if event.get("Uniqueid") == linked:
                    self._calls.pop(linked, None)
            case "DialEnd" if event.get("DialStatus") == "ANSWER":
                return self._answered(linked, event)
            case "AgentConnect":
                call = self._calls.get(linked)
                caller = event.get("CallerIDNum", "") if call is None else call.caller
                extension = self._extension_of(event.get("DestChannel", ""))
                return Answered(caller, extension, event.get("Queue", ""))
        return None

    def _begin(self, linked: str, event: Fields) -> None:
        if event.get("Uniqueid") != linked or linked in self._calls:
            return
        self._calls[linked] = _Call(event.get("Channel", ""), event.get("CallerIDNum", ""), event.get("Exten", ""))
        while len(self._calls) > MOST_CALLS:
            self._calls.popitem(last=False)

    def _answered(self, linked: str, event: Fields) -> Answered | None:
        call = self._calls.get(linked)
        if call is None:
            return None
        origin = self._extension_of(call.channel)
        answered = self._extension_of(event.get("DestChannel", ""))
        if origin and not answered and not event.get("DestChannel", "").startswith("Local/"):
            return Answered(call.dialled, origin)
        if answered and not origin:
            return Answered(call.caller, answered)
        if answered and origin:  # an internal call: either side may have left a request
            return Answered(call.caller, answered)
        return None
