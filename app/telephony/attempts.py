"""Follows Bazang's own calls: turns the exchange's events into news of attempts, each told once.

The dialplan reports its steps by UserEvents that carry the attempt's UUID. The cause of a leg that was not answered is
taken from the leg itself (DialEnd and Hangup of the phone's or trunk's channel), where it was seen: what passes through
a Local channel loses it.

Events are missed while the connection is lost or the worker is down. So each event is judged by what it says itself: it
is never assumed that a step which was not seen was not taken.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.domain.lifecycle import Outcome, Step
from app.telephony.translate import agent_outcome, ended_outcome

Fields = Mapping[str, str]
ANSWER = "ANSWER"  # DIALSTATUS of a leg that was answered
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
    """The last dial of one side that was seen to end. `status`: DIALSTATUS, "" while there is none."""

    status: str = ""
    channel: str = ""


@dataclass
class _Flight:
    """`causes`: the hangup cause of each channel that was seen to end (Q.850)."""

    channel: str = ""
    answered: bool = False
    agent: _Leg = field(default_factory=_Leg)
    customer: _Leg = field(default_factory=_Leg)
    causes: dict[str, int] = field(default_factory=dict)


def is_ours(linkedid: str) -> bool:
    """Tell whether a call was begun by Bazang: its first channel has the attempt's UUID as its Uniqueid."""
    return _UUID.fullmatch(linkedid) is not None


def agent_leg(attempt: str) -> str:
    """Return the Uniqueid of the channel that dials the agent's phones."""
    return f"{attempt}-2"


class AttemptFollower:
    """Knows the attempts that are in flight in this process."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight] = {}

    def begin(self, attempt: str, *, answered: bool = False) -> None:
        """Follow an attempt. `answered`: its agent is known to have answered, which is never taken back."""
        flight = self._flights.setdefault(attempt, _Flight())
        flight.answered = flight.answered or answered

    def forget(self, attempt: str) -> None:
        self._flights.pop(attempt, None)

    def connection_lost(self) -> None:
        """Forget what the legs said, because other legs may end while nobody listens."""
        for flight in self._flights.values():
            flight.agent, flight.customer = _Leg(), _Leg()
            flight.causes.clear()

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
        attempt = event.get("DestLinkedid") or event.get("Linkedid", "")
        flight = self._flights.get(attempt)
        channel = event.get("DestChannel", "")
        if flight is None or channel.startswith("Local/"):
            return
        leg = _Leg(event.get("DialStatus", ""), channel)
        if event.get("Uniqueid") != agent_leg(attempt):
            flight.customer = leg
        elif flight.agent.status != ANSWER:  # the agent's other phones end after the one that answered
            flight.agent = leg

    def _hangup(self, event: Fields) -> None:
        flight = self._flights.get(event.get("Linkedid", ""))
        channel = event.get("Channel", "")
        if flight is not None and not channel.startswith("Local/"):
            flight.causes[channel] = _number(event.get("Cause", ""))

    def _report(self, event: Fields) -> News | None:
        attempt, step = event.get("Attempt", ""), event.get("Step", "")
        flight = self._flights.get(attempt)
        if flight is None:
            begun = step in (Step.AGENT_ANSWERED, Step.CUSTOMER_DIALLED) and is_ours(attempt)
            return StrayNews(attempt) if begun else None
        if step == "agent_ended":
            return self._agent_ended(attempt, flight, event)
        if step == "ended":
            return self._ended(attempt, flight, event)
        if step not in set(Step):
            return None
        flight.answered = True
        if step == Step.CUSTOMER_DIALLED:
            flight.customer = _Leg()
        return StepNews(attempt, Step(step))

    def _agent_ended(self, attempt: str, flight: _Flight, event: Fields) -> News | None:
        if flight.answered:
            return None
        guard, status = event.get("Guard", ""), event.get("Status", "")
        if not guard and ANSWER in (status, flight.agent.status):
            # The agent answered, and the steps were missed. What became of the customer is said by "ended", or by
            # Asterisk's own record if that is missed as well.
            flight.answered = True
            return StepNews(attempt, Step.AGENT_ANSWERED)
        status = flight.agent.status or status
        cause = flight.causes.get(flight.agent.channel) or _number(event.get("Cause", ""))
        return EndNews(attempt, agent_outcome(guard, status, cause), f"agent {guard or status} {cause}")

    def _ended(self, attempt: str, flight: _Flight, event: Fields) -> EndNews:
        end, status, cause = event.get("End", ""), event.get("Status", ""), _number(event.get("Cause", ""))
        if status != ANSWER:
            cause = flight.causes.get(flight.customer.channel) or cause
            # An abandoned call has no status of its own. Otherwise the leg knows best, unless we ended it (CANCEL).
            # Only the dialplan knows whether the two were connected.
            if status not in ("", "CANCEL") and flight.customer.status not in ("", "CANCEL", ANSWER):
                status = flight.customer.status
        return EndNews(attempt, ended_outcome(end, status, cause), f"{end} {status} {cause}")


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0
