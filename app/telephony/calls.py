"""Follows the calls of the exchange, to notice when the office and a caller have talked by themselves.

A call is known by its Linkedid: the channel that began it, who it was and what it dialled. When a leg of it is
answered, either an extension of ours took an outside caller's call, or an outside number took an extension's call.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Fields = Mapping[str, str]
MOST_CALLS = 10_000  # a call whose end we missed must not be remembered for ever


@dataclass(frozen=True)
class Answered:
    """An answered call: `outside` as the exchange has it, `extension` and `queue` as far as they are known."""

    outside: str
    extension: str = ""
    queue: str = ""


@dataclass
class _Call:
    channel: str
    caller: str
    dialled: str


class CallFollower:
    """`extension_of_channel` tells whose channel one is; `is_ours` tells Bazang's own attempts by their Linkedid."""

    def __init__(self, extension_of_channel: Callable[[str], str], is_ours: Callable[[str], bool]) -> None:
        self._extension_of = extension_of_channel
        self._is_ours = is_ours
        self._calls: OrderedDict[str, _Call] = OrderedDict()

    def take(self, event: Fields) -> Answered | None:
        """Take a live event; return the talk it tells of, if it does."""
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
        if answered and origin:  # between two extensions: either of them may have been the one who asked
            return Answered(call.caller, answered)
        return None
