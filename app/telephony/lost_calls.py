"""Find the calls from outside that end although the caller has talked with nobody.

`LostCalls` stands beside `Calls`, gets the same events before it, and asks it who talks. It works alike on all PBXs.
Only calls that it has seen from their first event to the last count: nothing is made up of calls that began or ended
while the AMI connection was lost.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from app.domain.missed_calls import Arrival, Target
from app.telephony.calls import Calls, Fields, Party
from app.telephony.ivr import call_id
from app.telephony.variables import CALLER_EVENT

MOST_CALLERS = 10_000  # limits the memory for channels whose end was missed
MOST_ARRIVALS = 20  # of one call; a caller who is sent round in circles stays where they came last
_RING = "4"  # a state that only the channel of a caller has; one that somebody has asked for is "Ringing"


@dataclass(frozen=True)
class LostCall:
    """A call that ended without a talk. `party` is the caller, empty if they withhold their number.

    `arrivals`: where they came, in this order. `uniqueid` is that of the dialogues of this call, see `CallerFacts`.
    """

    uniqueid: str
    party: Party
    name: str
    arrivals: tuple[Arrival, ...]


@dataclass
class _Caller:
    name: str = ""
    arrivals: list[Arrival] = field(default_factory=list)
    has_called: bool = False  # a program may have asked for the channel instead
    is_in_queue: bool = False
    has_left_request: bool = False
    withholds_number: bool = False

    def arrive(self, arrival: Arrival) -> None:
        if not self.arrivals or self.arrivals[-1] != arrival:
            self.arrivals = [*self.arrivals, arrival][-MOST_ARRIVALS:]


class LostCalls:
    """`is_hint` tells whether a context and an extension have a hint: a caller in there has come to that extension.

    `called` is called with the Uniqueid and the channel of each caller.
    """

    handled = frozenset(
        {
            "Newchannel",
            "Newstate",
            "NewCallerid",
            "DialBegin",
            "QueueCallerJoin",
            "QueueCallerLeave",
            "UserEvent",
            "Hangup",
        }
    )

    def __init__(
        self,
        calls: Calls,
        is_hint: Callable[[str, str], bool],
        called: Callable[[str, str], None] = lambda uniqueid, channel: None,
    ) -> None:
        self._calls, self._is_hint, self._called = calls, is_hint, called
        self._callers: dict[str, _Caller] = {}

    def __len__(self) -> int:
        return len(self._callers)

    def connection_lost(self) -> None:
        """Forget all callers, because what happens to them is missed."""
        self._callers.clear()

    def handle(self, event: Fields) -> LostCall | None:
        """Apply an event before `Calls` does. Return the call that it ends without a talk, None if it ends none."""
        uniqueid, name = call_id(event.get("Uniqueid", "")), event.get("Event", "")
        if name == "Newchannel":
            self._begin(uniqueid, event)
        elif name == "DialBegin":
            self._callers.pop(call_id(event.get("DestUniqueid", "")), None)  # somebody has dialled it: it is no caller
        caller = self._callers.get(uniqueid)
        if caller is None:
            return None
        if event.get("ChannelState") == _RING and not caller.has_called:
            caller.has_called = True
            self._called(uniqueid, event.get("Channel", ""))
        match name:
            case "Newchannel" | "NewCallerid":
                caller.name = _plain(event.get("CallerIDName", "")) or caller.name
            case "DialBegin":
                self._dial(caller, event)
            case "QueueCallerJoin":
                caller.is_in_queue = True
                caller.arrive(Arrival(Target(True, event.get("Queue", ""))))
            case "QueueCallerLeave":
                caller.is_in_queue = False
            case "UserEvent" if event.get("UserEvent") == CALLER_EVENT:
                caller.arrive(Arrival(Target(False, event.get("Extension", ""))))
            case "Hangup":
                return self._end(uniqueid, caller, event)
        return None

    def enter_module(self, uniqueid: str, module_id: int, wanted: str) -> None:
        """Note that a caller has come to a module."""
        caller = self._callers.get(uniqueid)
        if caller is not None:
            caller.arrive(Arrival(module_id=module_id, wanted=wanted))

    def withhold_number(self, uniqueid: str) -> bool:
        """Note that a caller withholds their number. Return whether the call has not ended."""
        caller = self._callers.get(uniqueid)
        if caller is not None:
            caller.withholds_number = True
        return caller is not None

    def leave_request(self, uniqueid: str) -> bool:
        """Note that a caller has left a request. Return whether the call has not ended."""
        caller = self._callers.get(uniqueid)
        if caller is not None:
            caller.has_left_request = True
        return caller is not None

    def _begin(self, uniqueid: str, event: Fields) -> None:
        channel = event.get("Channel", "")
        if not uniqueid or not channel or channel.startswith("Local/"):
            return
        while len(self._callers) >= MOST_CALLERS:
            del self._callers[next(iter(self._callers))]
        self._callers[uniqueid] = _Caller()

    def _dial(self, caller: _Caller, event: Fields) -> None:
        """Note which extension is dialled. Who waits in a queue wants the queue, and none of its members."""
        extension = self._calls.extension_of_dialled(event.get("DestChannel", ""))
        if extension and not caller.is_in_queue:
            caller.arrive(Arrival(Target(False, extension)))

    def _end(self, uniqueid: str, caller: _Caller, event: Fields) -> LostCall | None:
        del self._callers[uniqueid]
        channel = event["Uniqueid"]
        party = self._calls.party_of(channel)
        context, exten = event.get("Context", ""), event.get("Exten", "")
        if not caller.arrivals and self._is_hint(context, exten):
            caller.arrive(Arrival(Target(False, exten)))
        if party is None or party.extension or not caller.has_called or not caller.arrivals:
            return None
        if caller.has_left_request or self._calls.has_talked(channel):
            return None
        if caller.withholds_number:
            return LostCall(uniqueid, Party(), "", tuple(caller.arrivals))
        return LostCall(uniqueid, party, caller.name, tuple(caller.arrivals))


def _plain(name: str) -> str:
    return "" if name.startswith("<") else name
