"""Follows Bazang's own calls: turns the exchange's events into news of attempts, each told once.

The dialplan reports its steps by UserEvents that carry the attempt's UUID. The cause of a leg that was not answered is
taken from the leg itself (DialEnd and Hangup of the phone's or trunk's channel), where it was seen: what passes through
a Local channel loses it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.lifecycle import Outcome, Step
from app.telephony.translate import agent_outcome, ended_outcome

Fields = Mapping[str, str]
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class StepNews:
    attempt: str
    step: Step


@dataclass(frozen=True)
class EndNews:
    """`cause` is the exchange's own words, for the technician."""

    attempt: str
    outcome: Outcome
    cause: str


@dataclass(frozen=True)
class StrayNews:
    """A phone was answered for an attempt that is not in flight here: it may have been given up long ago."""

    attempt: str


News = StepNews | EndNews | StrayNews


@dataclass
class _Leg:
    """What was seen of the leg that rings now. A status of "" is none yet."""

    status: str = ""
    cause: int = 0
    channel: str = ""


@dataclass
class _Flight:
    channel: str = ""
    answered: bool = False
    agent_channel: str = ""  # the phone that took the call: its end tells nothing of the customer
    leg: _Leg = field(default_factory=_Leg)


def is_ours(linkedid: str) -> bool:
    """Tell whether a call was begun by Bazang: its first channel has the attempt's UUID as its Uniqueid."""
    return _UUID.fullmatch(linkedid) is not None


class AttemptFollower:
    """Knows the attempts that are in flight in this process."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight] = {}

    def begin(self, attempt: str, *, answered: bool = False) -> None:
        self._flights.setdefault(attempt, _Flight(answered=answered))

    def forget(self, attempt: str) -> None:
        self._flights.pop(attempt, None)

    def channel(self, attempt: str) -> str:
        """Return the name of the attempt's first channel, "" while there is none."""
        flight = self._flights.get(attempt)
        return flight.channel if flight is not None else ""

    def take(self, event: Fields) -> News | None:
        """Take a live event; return what it tells of an attempt, if anything."""
        name = event.get("Event")
        if name == "UserEvent":
            return self._report(event) if event.get("UserEvent") == "Bazang" else None
        if name == "DialEnd":
            self._dial_end(event)
        elif name == "Newchannel" and event.get("Uniqueid", "") in self._flights:
            self._flights[event["Uniqueid"]].channel = event.get("Channel", "")
        elif name == "Hangup":
            self._hangup(event)
        return None

    def _dial_end(self, event: Fields) -> None:
        flight = self._flights.get(event.get("DestLinkedid") or event.get("Linkedid", ""))
        channel = event.get("DestChannel", "")
        if flight is not None and not channel.startswith("Local/"):
            if event.get("DialStatus") == "ANSWER" and not flight.agent_channel:
                flight.agent_channel = channel
            flight.leg = _Leg(event.get("DialStatus", ""), flight.leg.cause, channel)

    def _hangup(self, event: Fields) -> None:
        flight = self._flights.get(event.get("Linkedid", ""))
        channel = event.get("Channel", "")
        if flight is not None and not channel.startswith("Local/") and channel != flight.agent_channel:
            flight.leg.cause = _number(event.get("Cause", ""))

    def _report(self, event: Fields) -> News | None:
        attempt, step = event.get("Attempt", ""), event.get("Step", "")
        flight = self._flights.get(attempt)
        if flight is None:
            begun = step in (Step.AGENT_ANSWERED, Step.CUSTOMER_DIALLED) and is_ours(attempt)
            return StrayNews(attempt) if begun else None
        status, cause = event.get("Status", ""), _number(event.get("Cause", ""))
        if step == "agent_ended":
            if flight.answered:
                return None
            status = flight.leg.status or status
            cause = flight.leg.cause or cause
            guard = event.get("Guard", "")
            return EndNews(attempt, agent_outcome(guard, status, cause), f"agent {guard or status} {cause}")
        if step == "ended":
            end = event.get("End", "")
            if status != "ANSWER":  # an abandoned call has no status of its own; else the leg knows best,
                # unless it was ended by us, upon which the exchange calls it cancelled
                told = "" if flight.leg.status == "CANCEL" else flight.leg.status
                status = status if status in ("", "CANCEL") else told or status
                cause = flight.leg.cause or cause
            return EndNews(attempt, ended_outcome(end, status, cause), f"{end} {status} {cause}")
        if step not in set(Step):
            return None
        flight.answered = True
        if step == Step.CUSTOMER_DIALLED:
            flight.leg = _Leg()
        return StepNews(attempt, Step(step))


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
