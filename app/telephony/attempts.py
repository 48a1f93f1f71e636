"""Follow the calls of our own attempts: turn events of the PBX into reports on attempts, each reported once.

The dialplan reports its steps by UserEvents that carry the attempt's UUID. The cause of an unanswered leg comes from
the leg itself (DialEnd and Hangup of the phone's or trunk's channel), because a Local channel does not pass it on.

Events are missed while the connection is lost or the worker is down. So each event is judged by its own content. A step
that was not seen may still have happened.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from app.domain.lifecycle import Outcome, Step
from app.telephony.devices import device_of_channel
from app.telephony.fields import natural
from app.telephony.translate import CUSTOMER, NOT_CONNECTED, agent_outcome, customer_outcome, parse_far, talk_seconds

Fields = Mapping[str, str]
ANSWER = "ANSWER"  # DIALSTATUS of an answered leg
_SIP = "PJSIP/"  # whether chan_sip leaves what it hears before the final status was not tried
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class StepReport:
    """The attempt has come to this step."""

    attempt: str
    step: Step


@dataclass(frozen=True)
class EndReport:
    """The attempt has ended. `cause` is what the PBX reported, for technicians.

    `talk` is how long agent and customer were connected, in seconds; None if the PBX did not say it.
    """

    attempt: str
    outcome: Outcome
    cause: str
    talk: float | None = None


@dataclass(frozen=True)
class AgentLeft:
    """The agent's talk is over. The customer's call ends now as well, or it goes on: transferred, or parked."""

    attempt: str


@dataclass(frozen=True)
class StrayReport:
    """A phone was answered for an attempt that is not in flight in this process. It may have been given up."""

    attempt: str


Report = StepReport | EndReport | AgentLeft | StrayReport


@dataclass
class _Leg:
    """The last dial of one side that has ended. `status` is its DIALSTATUS, "" if none has ended."""

    status: str = ""
    channel: str = ""


@dataclass
class _Attempt:
    """What is known of an attempt in flight. `causes` are the hangup causes (Q.850) of ended channels.

    `early`: the outbound context has answered, but not the customer. `customer_legs` are the channels that were made to
    dial the customer, without the Local channels of our own dialplan.
    """

    channel: str = ""
    answered: bool = False
    connected: bool = False
    early: bool = False
    agent: _Leg = field(default_factory=_Leg)
    customer: _Leg = field(default_factory=_Leg)
    customer_legs: list[str] = field(default_factory=list)
    causes: dict[str, int] = field(default_factory=dict)

    @property
    def dials_by_sip_alone(self) -> bool:
        """Whether all that dialled the customer are SIP legs, each of which leaves what its far end says."""
        return bool(self.customer_legs) and all(leg.startswith(_SIP) for leg in self.customer_legs)


def is_ours(linkedid: str) -> bool:
    """Tell whether Bazang made a call. The Uniqueid of its first channel is then the attempt's UUID."""
    return _UUID.fullmatch(linkedid) is not None


def agent_leg_id(attempt: str) -> str:
    """Return the Uniqueid of the channel that dials the agent's phones."""
    return f"{attempt}-2"


class AttemptFollower:
    """Follow the attempts in flight of this process."""

    handled = frozenset({"UserEvent", "DialEnd", "Newchannel", "Hangup"})

    def __init__(self) -> None:
        self._attempts: dict[str, _Attempt] = {}

    def follow(self, attempt: str, *, answered: bool = False, early: bool = False) -> None:
        """Follow an attempt. `answered` means that its agent is known to have answered, `early` that the outbound
        context has answered before the customer. Neither is ever revoked.
        """
        state = self._attempts.setdefault(attempt, _Attempt())
        state.answered = state.answered or answered
        state.early = state.early or early

    def forget(self, attempt: str) -> None:
        self._attempts.pop(attempt, None)

    def connection_lost(self) -> None:
        """Forget the state of all legs, because events of other legs are missed from now on."""
        for state in self._attempts.values():
            state.agent, state.customer = _Leg(), _Leg()
            state.customer_legs.clear()
            state.causes.clear()

    def follows(self, attempt: str) -> bool:
        return attempt in self._attempts

    def channel(self, attempt: str) -> str:
        """Return the name of the attempt's first channel, "" if there is none yet."""
        state = self._attempts.get(attempt)
        return state.channel if state is not None else ""

    def agent_device(self, attempt: str) -> str:
        """Return the phone that answered as the agent, "" if it is unknown. It is a colleague's after a pickup."""
        leg = self._attempts[attempt].agent if attempt in self._attempts else _Leg()
        return device_of_channel(leg.channel) if leg.status == ANSWER else ""

    def handle(self, event: Fields) -> Report | None:
        """Handle a live event. Return its report on an attempt, if any."""
        name = event.get("Event")
        if name == "UserEvent":
            return self._user_event(event) if event.get("UserEvent") == "Bazang" else None
        if name == "DialEnd":
            return self._dial_end(event)
        if name == "Newchannel":
            self._new_channel(event)
        elif name == "Hangup":
            return self._hangup(event)
        return None

    def _new_channel(self, event: Fields) -> None:
        uniqueid, channel = event.get("Uniqueid", ""), event.get("Channel", "")
        if uniqueid in self._attempts:
            self._attempts[uniqueid].channel = channel
        state = self._attempts.get(event.get("Linkedid", ""))
        if state is not None and "@bazang-" not in channel:
            state.customer_legs.append(channel)

    def _dial_end(self, event: Fields) -> Report | None:
        # A phone that has picked up the call is still a part of its own call. Its Linkedid changes later.
        calls = (event.get("DestLinkedid", ""), event.get("Linkedid", ""))
        attempt = next((call for call in calls if call in self._attempts), "")
        state = self._attempts.get(attempt)
        channel = event.get("DestChannel", "")
        if state is None or channel.startswith("Local/"):
            return None
        leg = _Leg(event.get("DialStatus", ""), channel)
        if event.get("Uniqueid") == agent_leg_id(attempt):
            if state.agent.status != ANSWER:  # the agent's other phones end after the one that answered
                state.agent = leg
        elif state.customer.status != ANSWER:
            state.customer = leg
            return _connected_late(attempt, state)
        return None

    def _hangup(self, event: Fields) -> Report | None:
        attempt, channel = event.get("Linkedid", ""), event.get("Channel", "")
        state = self._attempts.get(attempt)
        if state is None or channel.startswith("Local/"):
            return None
        state.causes[channel] = natural(event.get("Cause", ""))
        if state.connected and state.agent == _Leg(ANSWER, channel):
            return AgentLeft(attempt)
        return None

    def _user_event(self, event: Fields) -> Report | None:
        attempt, step = event.get("Attempt", ""), event.get("Step", "")
        state = self._attempts.get(attempt)
        if state is None:
            can_be_stopped = step in (Step.AGENT_ANSWERED, Step.CUSTOMER_DIALLED) and is_ours(attempt)
            return StrayReport(attempt) if can_be_stopped else None
        if step == "agent_ended":
            return self._agent_ended(attempt, state, event)
        if step == "ended":
            return self._ended(attempt, state, event)
        if step == "early":
            state.answered = state.early = True
            return _connected_late(attempt, state)
        if step not in set(Step):
            return None
        state.answered = True
        state.connected = state.connected or step == Step.CONNECTED
        if step == Step.CUSTOMER_DIALLED:
            state.customer, state.customer_legs = _Leg(), []
        return StepReport(attempt, Step(step))

    def _agent_ended(self, attempt: str, state: _Attempt, event: Fields) -> Report | None:
        if state.answered:
            return None
        guard, status = event.get("Guard", ""), event.get("Status", "")
        if not guard and ANSWER in (status, state.agent.status):
            # The agent answered, but the steps were missed. The "ended" event tells the result of the customer's leg,
            # or Asterisk's record if that event is missed as well.
            state.answered = True
            return StepReport(attempt, Step.AGENT_ANSWERED)
        status = state.agent.status or status
        cause = state.causes.get(state.agent.channel) or natural(event.get("Cause", ""))
        return EndReport(attempt, agent_outcome(guard, status, cause), f"agent {guard or status} {cause}")

    def _ended(self, attempt: str, state: _Attempt, event: Fields) -> EndReport:
        return replace(self._end_of(attempt, state, event), talk=talk_seconds(event.get("Talk", "")))

    def _end_of(self, attempt: str, state: _Attempt, event: Fields) -> EndReport:
        end, status, cause = event.get("End", ""), event.get("Status", ""), natural(event.get("Cause", ""))
        far = parse_far(event.get("Far", ""))
        if far is not None and far.behind_local and state.customer.status not in ("", ANSWER):
            # What a leg behind another Local channel says can reach ours too late. Its own events do not.
            far = replace(far, status=state.customer.status, cause=state.causes.get(state.customer.channel, far.cause))
        if far is not None and end in (CUSTOMER, NOT_CONNECTED):
            outcome = customer_outcome(end, status, cause, far, by_sip_alone=state.dials_by_sip_alone)
            said = f"{far.status} {far.cause}" if far.status not in ("", "CANCEL") else f"{status} {cause}"
            return EndReport(attempt, outcome, " ".join([end, said, *map(str, far.sip)]))
        if status != ANSWER:
            cause = state.causes.get(state.customer.channel) or cause
            # An abandoned call has no status. Otherwise the leg's status is more exact, unless we ended it (CANCEL).
            # Only the dialplan knows whether the two were connected.
            if status not in ("", "CANCEL") and state.customer.status not in ("", "CANCEL", ANSWER):
                status = state.customer.status
        return EndReport(attempt, customer_outcome(end, status, cause, None), f"{end} {status} {cause}")


def _connected_late(attempt: str, state: _Attempt) -> Report | None:
    """Report that the customer has answered, if the agent's call had been answered by the outbound context before.

    Without that, only the dialplan knows whether the two were connected.
    """
    if state.early and state.customer.status == ANSWER:
        state.connected = True
        return StepReport(attempt, Step.CONNECTED)
    return None
