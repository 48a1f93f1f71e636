"""Judge the history of a run by what phones and callers saw.

Each person presses the digits of who they are as long as they hear nobody: agents their extension, customers the last
digits of their number. So a talk is what arrived at the phones, and no word of the PBX or of Bazang is needed.

A request is *acknowledged* when its caller heard the confirmation. Only `wrong end status` looks at the panel.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from script.chaos_run.history import Entry
from script.chaos_run.memory import growth
from script.chaos_run.plan import SHORTEST_TALK

VERDICTS = ("lost", "twice", "agent_in_call", "stuck", "wrong_end_status")
IDENTITY_DIGITS = "45678"
TRANSFER_RINGS = 30.0  # seconds within which the colleague's phone rings
MARGIN = 0.2  # seconds; a BYE and an INVITE can cross each other
LONGEST_CALL = 120.0  # seconds of a call of ours; no person in a run stays that long
CONFIRMATION, WITHDRAWN = "after_success", "withdrawn"
PRESSES_1, PRESSES_9, GONE, SILENCE = "presses 1", "presses 9", "hangs up at once", "hangs up in silence"
LEAVES, TRANSFERS = "leaves while it rings", "transfers to "
FINAL = ("done", "failed", "cancelled", "expired")
DEATHS = ("asterisk_kill",)  # what Asterisk knew of its calls can be lost with it
STANDSTILL = "asterisk_stop"  # nobody knows who heard whom meanwhile: the sound need not pass through Asterisk


def identity(number: str) -> str:
    """Return the digits by which a customer makes themselves known: none that a dialogue asks for.

    A transfer can lead a customer who talks into a dialogue.
    """
    rest, digits = int(number[-4:]), ""
    for _ in range(6):
        rest, digit = divmod(rest, len(IDENTITY_DIGITS))
        digits += IDENTITY_DIGITS[digit]
    return digits


@dataclass
class Call:
    """A call as a phone saw it. Moments are seconds; None: not."""

    id: int
    phone: str
    incoming: bool
    number: str
    dialled: str
    ours: bool
    began: float
    answered: float | None = None
    ended: float | None = None
    by: str = ""
    keys: list[tuple[float, str]] = field(default_factory=list)
    prompts: list[tuple[float, str]] = field(default_factory=list)
    acts: list[tuple[float, str]] = field(default_factory=list)

    def did(self, act: str) -> bool:
        return any(done == act for _, done in self.acts)

    def is_up(self, at: float) -> bool:
        """Tell whether the call exists at a moment."""
        return self.began < at - MARGIN and (self.ended is None or self.ended > at + MARGIN)

    def overlaps(self, other: "Call") -> bool:
        end, others = self.ended or float("inf"), other.ended or float("inf")
        return self.began < others and other.began < end


@dataclass(frozen=True)
class Talk:
    """A customer has heard an agent, first at `at`, in `call`."""

    number: str
    agent: str
    at: float
    call: Call


@dataclass(frozen=True)
class Violation:
    verdict: str
    number: str
    at: float
    what: str


class Seen:
    """The calls, talks and registrations of a history."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        begin = next(entry for entry in entries if entry["kind"] == "begin")
        self.agents_of: dict[str, list[str]] = {code: list(agents) for code, agents in begin["modules"].items()}
        self.module_of = {agent: code for code, agents in self.agents_of.items() for agent in agents}
        self.entries: dict[str, str] = begin["entries"]
        self.retries: int = begin["retries"]
        self.calls: dict[int, Call] = {}
        self.panel = [entry for entry in entries if entry["kind"] == "panel"]
        self.is_complete = any(entry["kind"] == "end" for entry in entries)
        faults = [entry for entry in entries if entry["kind"] == "fault"]
        self.deaths = [fault["at"] for fault in faults if fault["fault"] in DEATHS]
        stops = [fault["at"] for fault in faults if fault["fault"] == STANDSTILL]
        self.standstills = list(zip(stops[::2], [*stops[1::2], float("inf")], strict=False))
        for entry in entries:
            self._take(entry)
        calls = sorted(self.calls.values(), key=lambda call: call.began)
        for call in calls:
            call.ours = call.ours and not self._is_transferred(call)
        self.dialogues = [call for call in calls if call.phone == "trunk" and not call.incoming]
        self.callbacks = [call for call in calls if call.phone == "trunk" and call.incoming]
        self.agent_calls = [call for call in calls if call.phone != "trunk"]
        self.ours = [call for call in self.agent_calls if call.ours and call.incoming]
        self.talks = [talk for call in (*self.dialogues, *self.callbacks) for talk in self._talks_in(call)]
        self.numbers = sorted({call.number for call in (*self.dialogues, *self.callbacks, *self.ours) if call.number})

    def _take(self, entry: Entry) -> None:
        kind = entry["kind"]
        if kind == "call":
            names = ("phone", "incoming", "number", "dialled", "ours")
            self.calls[entry["call"]] = Call(entry["call"], began=entry["at"], **{name: entry[name] for name in names})
        call = self.calls.get(entry.get("call", -1))
        if call is None:
            return
        if kind == "answered":
            call.answered = entry["at"]
        elif kind == "ended":
            call.ended, call.by = entry["at"], entry["by"]
        elif kind in ("keys", "prompt", "act"):
            heard: list[tuple[float, str]] = getattr(call, {"keys": "keys", "prompt": "prompts", "act": "acts"}[kind])
            heard.append((entry["at"], entry[kind]))

    def _is_transferred(self, call: Call) -> bool:
        """Tell whether an agent has transferred the customer to this phone: then nobody but they makes the call."""
        return any(
            other.number == call.number and act == f"{TRANSFERS}{call.phone}" and 0 <= call.began - at <= TRANSFER_RINGS
            for other in self.calls.values()
            for at, act in other.acts
        )

    def _talks_in(self, call: Call) -> Iterator[Talk]:
        for at, keys in call.keys:
            agent = next((agent for agent in self.module_of if agent in keys), None)
            if agent is not None:
                yield Talk(call.number, agent, at, call)
                return

    def stood_still(self, call: Call) -> bool:
        """Tell whether Asterisk stood still during an answered call."""
        answered, ended = call.answered, call.ended or float("inf")
        return answered is not None and any(begin < ended and answered < end for begin, end in self.standstills)

    def connected_before(self, call: Call) -> bool:
        """Tell whether customer and agent were connected for the shortest talk before Asterisk stood still.

        Something that the agent pressed has arrived, but perhaps not all by which a talk is known.
        """
        answered, ended = call.answered, call.ended or float("inf")
        if answered is None or not call.keys:
            return False
        begins = (begin for begin, _ in self.standstills if answered <= begin < ended)
        return answered + SHORTEST_TALK <= min(begins, default=0.0)

    def shows(self, number: str, module: str, status: str) -> bool:
        """Tell whether the panel shows a request with this status at the end."""
        return any((row["number"], row["module"], row["status"]) == (number, module, status) for row in self.panel)

    def module_called(self, dialogue: Call) -> str:
        return self.entries.get(dialogue.dialled, "")

    def acknowledged(self) -> Iterator[tuple[str, str, float]]:
        """Yield number, module and moment of each confirmation that a caller heard."""
        for dialogue in self.dialogues:
            for at, prompt in dialogue.prompts:
                if prompt == CONFIRMATION:
                    yield dialogue.number, self.module_called(dialogue), at

    def talked_back(self, number: str) -> list[Talk]:
        """Return the talks by call-backs to a customer."""
        return [talk for talk in self.talks if talk.number == number and talk.call.incoming]


def judge(entries: Sequence[Entry]) -> list[Violation]:
    """Return every violation of a history whose entries are in order."""
    seen = Seen(entries)
    found = [
        *_lost(seen),
        *_twice(seen),
        *_agents_in_calls(seen),
        *_stuck(seen),
        *_wrong_end_states(seen),
    ]
    return sorted(found, key=lambda violation: violation.at)


def summarize(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return counts of a history: what was played, the growth of memory, and the violations by verdict."""
    seen, violations = Seen(entries), judge(entries)
    begin = next(entry for entry in entries if entry["kind"] == "begin")
    faults: dict[str, int] = defaultdict(int)
    for entry in entries:
        if entry["kind"] == "fault" and entry["phase"] == "begin":
            faults[entry["fault"]] += 1
    return {
        "seed": begin["seed"],
        "requests": begin["requests"],
        "acknowledged": len({(number, module) for number, module, _ in seen.acknowledged()}),
        "talks": len({(talk.number, seen.module_of[talk.agent]) for talk in seen.talks if talk.call.incoming}),
        "calls_to_agents": len(seen.ours),
        "calls_to_customers": len(seen.callbacks),
        "faults": dict(sorted(faults.items())),
        "growth": growth(entries),
        **{verdict: sum(each.verdict == verdict for each in violations) for verdict in VERDICTS},
    }


# -- lost ---------------------------------------------------------------------------------------------------------


def _lost(seen: Seen) -> Iterator[Violation]:
    """A caller heard the confirmation, and has neither talked with an agent since nor ended the request themselves."""
    last = {(number, module): at for number, module, at in seen.acknowledged()}
    for (number, module), at in last.items():
        if any(talk.number == number and (talk.call.ended or at) >= at for talk in seen.talks):
            continue
        if _explain_no_talk(seen, number, module, at) is None:
            shown = ", ".join(row["status"] for row in seen.panel if row["number"] == number) or "nothing"
            yield Violation("lost", number, at, f"acknowledged for {module}, never talked; the panel shows {shown}")


def _explain_no_talk(seen: Seen, number: str, module: str, since: float) -> str | None:
    """Return why nobody has talked with a customer since the confirmation at `since`, None if nothing explains it."""
    dialogues = [call for call in seen.dialogues if call.number == number and seen.module_called(call) == module]
    if any(call.began > since and call.did(PRESSES_9) for call in dialogues):
        return "withdrawn"  # perhaps without having heard that it is, if the call was cut
    calls = [call for call in seen.callbacks if call.number == number]
    mine = [call for call in seen.ours if call.number == number]
    if any(call.did(PRESSES_9) for call in calls):
        return "declined"
    if _hung_up_at_once(calls, mine):
        return "one of the two hung up at once"
    if any(call.by == "cut" and call.answered is not None for call in (*calls, *mine)):
        return "the PBX died during the call"
    if any(map(seen.stood_still, calls)) and seen.shows(number, module, "uncertain"):
        return "the PBX stood still during the call, and a person is asked"
    if any(map(seen.connected_before, calls)):
        return "connected long enough before the PBX stood still"
    if _tries(seen, number) > seen.retries:
        return "not reached so often as the module tries"
    return None


def _hung_up_at_once(calls: list[Call], mine: list[Call]) -> bool:
    """Tell whether customer or agent hung up in the instant in which they were connected."""
    left = [call for call in mine if call.did(LEAVES)]
    return any(
        call.did(GONE) or any(call.overlaps(agents) for agents in left) for call in calls if call.answered is not None
    )


def _tries(seen: Seen, number: str) -> int:
    """Return how often a customer may have been tried: rung, or about to be when the agent's call ended."""
    calls = [call for call in seen.callbacks if call.number == number]
    agreed = [call for call in seen.ours if call.number == number and call.did(PRESSES_1)]
    return len(calls) + sum(not any(call.overlaps(rung) for rung in calls) for call in agreed)


# -- twice --------------------------------------------------------------------------------------------------------


def _twice(seen: Seen) -> Iterator[Violation]:
    for number in seen.numbers:
        calls = [call for call in seen.callbacks if call.number == number]
        for earlier, later in pairwise(calls):
            if earlier.is_up(later.began):
                yield Violation("twice", number, later.began, "called while another call to this customer is up")
        again = _rung_again(seen, number, calls)
        if again is not None:
            yield again


def _rung_again(seen: Seen, number: str, calls: list[Call]) -> Violation | None:
    """Return the first ring for a customer who has talked about all that they have registered before."""
    talks = seen.talked_back(number)
    rings = sorted([*calls, *(call for call in seen.ours if call.number == number)], key=lambda call: call.began)
    for ring in rings:
        over = [talk for talk in talks if talk.call.ended is not None and talk.call.ended <= ring.began]
        if over and len(over) >= _registrations(seen, number, ring.began, over):
            who = "the customer" if ring.phone == "trunk" else f"agent {ring.phone} for the customer"
            return Violation("twice", number, ring.began, f"rang {who} again, who talked at {over[-1].at:.1f}")
    return None


def _registrations(seen: Seen, number: str, before: float, talks: list[Talk]) -> int:
    """Return how many requests of a number there can have been: one for each module, and new ones after a talk."""
    count = 0
    last: dict[str, float] = {}
    for dialogue in seen.dialogues:
        module = seen.module_called(dialogue)
        for at, act in dialogue.acts:
            if dialogue.number != number or act != PRESSES_1 or at > before:
                continue
            # A talk about another module can have been about this one: it is known by the agent alone. Who registers
            # while their phone rings may be served by this call, or be called once more.
            if module not in last or any(
                last[module] < (talk.call.ended or at) for talk in talks if talk.call.began < at
            ):
                count += 1
            last[module] = at
    return count


# -- agents and calls -----------------------------------------------------------------------------------------------


def _agents_in_calls(seen: Seen) -> Iterator[Violation]:
    """Bazang rings an agent whose phone is in a call, or whom it rings already."""
    for ring in seen.ours:
        for other in seen.agent_calls:
            if other.phone != ring.phone or other is ring or not other.is_up(ring.began):
                continue
            if any(at < ring.began and act.startswith(TRANSFERS) for at, act in other.acts):
                continue  # the PBX has nothing left of this call, and says so a moment later
            talks = other.answered is not None and other.answered < ring.began - MARGIN
            if talks or other.ours:
                doing = "in a call" if talks else "rung already"
                yield Violation("agent_in_call", ring.number, ring.began, f"{ring.phone} is rung while {doing}")


def _stuck(seen: Seen) -> Iterator[Violation]:
    """A call of ours lasts longer than anybody stays, or is still up when everything is over."""
    for call in seen.calls.values():
        if call.ended is None and seen.is_complete:
            yield Violation("stuck", call.number, call.began, f"the call of {call.phone} never ended")
        elif call.ended is not None and call.ours and call.ended - call.began > LONGEST_CALL:
            yield Violation("stuck", call.number, call.began, f"{call.phone} was held for {LONGEST_CALL:.0f} s")


# -- the panel ------------------------------------------------------------------------------------------------------


def _wrong_end_states(seen: Seen) -> Iterator[Violation]:
    for row in seen.panel:
        wrong = _find_wrong(seen, row["number"], row["module"], row["status"])
        if wrong:
            yield Violation("wrong_end_status", row["number"], row["at"], f"{row['status']}, but {wrong}")


def _find_wrong(seen: Seen, number: str, module: str, status: str) -> str:
    """Return what the phones saw instead of the status that the panel shows at the end, "" if they agree."""
    talks = [talk for talk in seen.talks if talk.number == number]
    served = [talk for talk in talks if seen.module_of[talk.agent] == module and talk.call.incoming]
    calls = [call for call in seen.callbacks if call.number == number]
    mine = [call for call in seen.ours if call.number == number]
    cut = any(call.by == "cut" for call in (*calls, *mine))
    if status == "done":
        answered = [call for call in calls if call.answered is not None]
        if talks or _hung_up_at_once(answered, mine) or any(call.by == "cut" for call in answered):
            return ""
        if any(map(seen.connected_before, answered)):
            return ""
        return "nobody talked" if answered else "the customer never answered"
    if status == "uncertain":
        return "" if cut or any(map(seen.stood_still, calls)) else "no call was cut, and the PBX never stood still"
    if served and not _registered_since(seen, number, module, served[-1]):
        return "they talked"
    if status == "failed":
        return "" if _tries(seen, number) > 0 else "the customer was never tried"
    if status == "cancelled":
        pressed = any(call.did(PRESSES_9) for call in (*calls, *seen.dialogues) if call.number == number)
        return "" if pressed else "the customer did not withdraw it"
    if status == "expired":
        return "no time had passed"
    return "it should have ended" if seen.is_complete else ""


def _registered_since(seen: Seen, number: str, module: str, talk: Talk) -> bool:
    return any(
        at > talk.at and act == PRESSES_1
        for call in seen.dialogues
        if call.number == number and seen.module_called(call) == module
        for at, act in call.acts
    )
