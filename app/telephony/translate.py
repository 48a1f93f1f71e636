"""Translate Asterisk's causes to the domain's."""

import re
from dataclasses import dataclass

from app.domain.lifecycle import Outcome, Step
from app.telephony.fields import natural

CALL_REJECTED = 21  # Q.850 causes; the next ones mean an unknown number or no route
NO_USER_RESPONSE = 18
NO_SUCH_NUMBER = frozenset({1, 2, 3, 20, 22, 27, 28})

_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,30})?(e-[0-9]{1,2})?")
_DURATION = re.compile(rf"(-?{_SECONDS.pattern})?")  # "" is unknown; it is negative if the clock was put back

_AGENT = {
    "BUSY": Outcome.AGENT_BUSY,
    "NOANSWER": Outcome.AGENT_NO_ANSWER,
    "CANCEL": Outcome.AGENT_NO_ANSWER,
    "CHANUNAVAIL": Outcome.AGENT_UNREACHABLE,
    "CONGESTION": Outcome.AGENT_UNREACHABLE,
}
_CUSTOMER = {
    "ANSWER": Outcome.CONNECTED,
    "BUSY": Outcome.CUSTOMER_BUSY,
    "NOANSWER": Outcome.CUSTOMER_NO_ANSWER,
    "CANCEL": Outcome.CUSTOMER_ABANDONED,
    "": Outcome.CUSTOMER_ABANDONED,
    "CHANUNAVAIL": Outcome.CUSTOMER_UNREACHABLE,
    "CONGESTION": Outcome.CUSTOMER_UNREACHABLE,
}
# SIP statuses of a leg that say something about the customer: RFC 3261, 21. All other failures are the route's.
_CUSTOMER_SIP = {
    180: Outcome.CUSTOMER_NO_ANSWER,  # the last that we heard: the phone rang
    181: Outcome.CUSTOMER_NO_ANSWER,
    182: Outcome.CUSTOMER_NO_ANSWER,
    183: Outcome.CUSTOMER_NO_ANSWER,
    404: Outcome.CUSTOMER_UNREACHABLE,
    408: Outcome.CUSTOMER_NO_ANSWER,  # said by the far end; a trunk that says nothing has no status
    410: Outcome.CUSTOMER_UNREACHABLE,
    480: Outcome.CUSTOMER_NO_ANSWER,
    484: Outcome.CUSTOMER_UNREACHABLE,
    485: Outcome.CUSTOMER_UNREACHABLE,
    486: Outcome.CUSTOMER_BUSY,
    487: Outcome.CUSTOMER_NO_ANSWER,
    600: Outcome.CUSTOMER_BUSY,
    603: Outcome.CUSTOMER_REJECTED,
    604: Outcome.CUSTOMER_UNREACHABLE,
    607: Outcome.CUSTOMER_REJECTED,
    608: Outcome.CUSTOMER_REJECTED,
}
_ROUTE_SIP = {
    401: Outcome.ROUTE_FORBIDDEN,
    402: Outcome.ROUTE_FORBIDDEN,
    403: Outcome.ROUTE_FORBIDDEN,
    407: Outcome.ROUTE_FORBIDDEN,
    503: Outcome.ROUTE_CONGESTED,
}
# Causes (Q.850) that say something about the customer, and the more exact ones of the route.
_CUSTOMER_CAUSES = {
    1: Outcome.CUSTOMER_UNREACHABLE,
    17: Outcome.CUSTOMER_BUSY,
    18: Outcome.CUSTOMER_NO_ANSWER,
    19: Outcome.CUSTOMER_NO_ANSWER,
    21: Outcome.CUSTOMER_REJECTED,
    22: Outcome.CUSTOMER_UNREACHABLE,
    27: Outcome.CUSTOMER_UNREACHABLE,
    28: Outcome.CUSTOMER_UNREACHABLE,
}
_ROUTE_CAUSES = {
    29: Outcome.ROUTE_FORBIDDEN,
    34: Outcome.ROUTE_CONGESTED,
    42: Outcome.ROUTE_CONGESTED,
    43: Outcome.ROUTE_CONGESTED,
    44: Outcome.ROUTE_CONGESTED,
    47: Outcome.ROUTE_CONGESTED,
    50: Outcome.ROUTE_FORBIDDEN,
    52: Outcome.ROUTE_FORBIDDEN,
    54: Outcome.ROUTE_FORBIDDEN,
    57: Outcome.ROUTE_FORBIDDEN,
}
# The causes that Asterisk 16 and 22 gave for SIP statuses of the route (measured). Another cause came from the far end
# itself, in a Reason header (RFC 3326).
_CAUSE_OF_SIP = {401: 21, 403: 21, 407: 21, 483: 19, 502: 27}
_NO_SIP = 0  # the status of a leg that is not a SIP leg
CUSTOMER, NOT_CONNECTED = "customer", "not_connected"  # ends after which the Dials decide; the second: nobody talked
_ENDS = {
    "no_route": Outcome.ROUTE_MISSING,
    "refused_emergency": Outcome.CUSTOMER_EMERGENCY,
    "refused_number": Outcome.CUSTOMER_NOT_ALLOWED,
    "came_back": Outcome.CUSTOMER_BUSY,  # the number leads back to the office: this one number, not the route
    "agent_gone": Outcome.AGENT_GONE,
    "agent_silent": Outcome.AGENT_SILENT,
    "agent_refused": Outcome.AGENT_REFUSED,
    "agent_missed": Outcome.AGENT_MISSED_CUSTOMER,
    "customer_silent": Outcome.CUSTOMER_SILENT,
    "customer_gone": Outcome.CUSTOMER_GONE,
    "customer_later": Outcome.CUSTOMER_LATER,
    "customer_declined": Outcome.CUSTOMER_DECLINED,
}
# The last recorded step of an attempt without channels -> how the attempt ended. The PBX died then, because it records
# the end of every call. What it recorded in its last second is lost, so the customer may have answered.
_LAST_STEP = {
    Step.CLAIMED: Outcome.NOT_STARTED,
    Step.AGENT_ANSWERED: Outcome.AGENT_GONE,
    Step.CUSTOMER_DIALLED: Outcome.UNCLEAR,
    Step.CUSTOMER_WAITS: Outcome.UNCLEAR,
    Step.CONNECTED: Outcome.CONNECTED,
}
_AGENT_DIALLED = "agent_dialled"  # recorded before the agent's phone rings
_AGENT_ENDED = "agent_ended"  # recorded with the result, if the agent did not answer


def agent_outcome(guard: str, status: str, cause: int) -> Outcome:
    """Return the outcome of an unanswered agent leg. `status` is its DIALSTATUS, `cause` a Q.850 cause."""
    if guard:
        return Outcome.AGENT_TAKEN
    if status in ("NOANSWER", "CHANUNAVAIL") and cause == CALL_REJECTED:  # of the leg, and of the whole Dial
        return Outcome.AGENT_REJECTED
    if status == "NOANSWER" and cause in NO_SUCH_NUMBER:  # a leg that got a 404 has this status
        return Outcome.AGENT_UNREACHABLE
    return _AGENT.get(status, Outcome.AGENT_UNREACHABLE)


def ended_outcome(end: str, status: str, cause: int) -> Outcome:
    """Return the outcome of an attempt whose agent answered. `end` is where the dialplan ended (BAZANG_END)."""
    if end in _ENDS:
        return _ENDS[end]
    if status in ("NOANSWER", "BUSY") and cause == CALL_REJECTED:
        return Outcome.CUSTOMER_REJECTED
    if status == "NOANSWER" and cause in NO_SUCH_NUMBER:
        return Outcome.CUSTOMER_UNREACHABLE
    return _CUSTOMER.get(status, Outcome.CUSTOMER_UNKNOWN)


@dataclass(frozen=True)
class Far:
    """What became of the Dial in the outbound context.

    `status` is its last DIALSTATUS, "" if it has dialled nothing or has not finished. `cause` is a Q.850 cause, and
    `sip` the last SIP status of each leg. `over`: that side ended first. Otherwise the agent hung up.
    """

    status: str
    cause: int
    sip: tuple[int, ...]
    over: bool

    @property
    def behind_local(self) -> bool:
        """Whether a Local channel answered, maybe before its own leg did."""
        return self.status == _LOCAL

    @property
    def answered(self) -> bool:
        if self.behind_local:
            return not any(self.sip) or any(200 <= code < 300 for code in self.sip)
        return self.status == _ANSWER


_ANSWER = "ANSWER"
_LOCAL = "LOCAL"


def parse_far(text: str) -> Far | None:
    """Read the dialplan's "far/STATUS/CAUSE/SIP+SIP/OVER". None for calls inside and for an older dialplan."""
    if not text.startswith("far/"):
        return None
    _, status, cause, codes, over = [*text.split("/"), "", "", ""][:5]
    return Far(status, natural(cause), tuple(natural(code) for code in codes.split("+") if code), over == "1")


def customer_outcome(end: str, status: str, cause: int, far: Far | None, *, by_sip_alone: bool = False) -> Outcome:
    """Return the outcome of an attempt whose agent answered. `status` and `cause` are those of the agent's Dial.

    Its answer may have been the outbound context's, so the leg that really dialled decides. `by_sip_alone`: all that
    dialled are known to be SIP legs. If none of them has said anything when the time is up, the trunk is dead: a phone
    that rings is reported, and so is a network that still looks for it.
    """
    outcome = _outcome_of_dials(end, status, cause, far)
    if by_sip_alone and far is not None and not far.sip and outcome is Outcome.CUSTOMER_NO_ANSWER:
        return Outcome.ROUTE_UNAVAILABLE
    return Outcome.CUSTOMER_GONE if end == NOT_CONNECTED and outcome is Outcome.CONNECTED else outcome


def _outcome_of_dials(end: str, status: str, cause: int, far: Far | None) -> Outcome:
    if far is None or end in _ENDS:
        return ended_outcome(end, status, cause)
    if status == _ANSWER and far.answered:
        return Outcome.CONNECTED
    verdict = _far_outcome(far)
    if verdict is not None:
        return verdict
    if not far.over or status in ("", "CANCEL"):
        return Outcome.CUSTOMER_ABANDONED
    if status == "NOANSWER":  # the time was up
        return Outcome.CUSTOMER_NO_ANSWER
    return Outcome.ROUTE_MISSING  # that side has ended without dialling


def _far_outcome(far: Far) -> Outcome | None:
    """Return what the outbound context's Dial says, None if nothing: not dialled, cancelled, or answered too late."""
    if far.status in ("", "CANCEL") or far.answered:
        return None
    said = [_CUSTOMER_SIP[code] for code in far.sip if code in _CUSTOMER_SIP]
    if far.status == "BUSY":
        if far.cause == CALL_REJECTED:
            return Outcome.CUSTOMER_REJECTED
        # chan_sip is busy for 480 and 603, too. A status before the final one says less than the DIALSTATUS.
        final = [_CUSTOMER_SIP[code] for code in far.sip if code in _CUSTOMER_SIP and code >= 300]
        return final[-1] if final and Outcome.CUSTOMER_BUSY not in final else Outcome.CUSTOMER_BUSY
    # A word of the customer counts more than a failed trunk before or after it.
    if said:
        return said[-1]
    usual = {_CAUSE_OF_SIP.get(code) for code in far.sip}
    # A channel that could not be created, and a trunk that says nothing, leave no status and a cause of our Asterisk.
    silent = not far.sip and far.status != "NOANSWER" and far.cause == NO_USER_RESPONSE
    if far.cause in _CUSTOMER_CAUSES and far.cause not in usual and not silent:
        return _CUSTOMER_CAUSES[far.cause]
    if any(far.sip):
        return next((_ROUTE_SIP[code] for code in reversed(far.sip) if code in _ROUTE_SIP), Outcome.ROUTE_FAILED)
    if far.status == "NOANSWER":
        return Outcome.CUSTOMER_NO_ANSWER
    if far.cause in _ROUTE_CAUSES:
        return _ROUTE_CAUSES[far.cause]
    if far.status == "CONGESTION":
        return Outcome.ROUTE_CONGESTED
    return Outcome.ROUTE_UNAVAILABLE if not far.sip else Outcome.ROUTE_FAILED


def is_early_record(record: str) -> bool:
    """Tell whether the outbound context answered before the customer, by Asterisk's record of the attempt."""
    return record == "customer_dialled early"


def record_outcome(record: str, last_step: Step) -> tuple[Step, Outcome]:
    """Return the furthest step and the outcome of an attempt without channels, from Asterisk's own record.

    `record` is "" if there is none. `last_step` is the furthest step that was reported.
    """
    words = record.split(" ")
    if words[0] == _AGENT_ENDED and is_end_record(record):
        return last_step, agent_outcome("", words[1], natural(words[2]))
    if is_end_record(record):
        far = parse_far(words[4]) if len(words) > 4 else None
        outcome = customer_outcome(words[1], words[2], natural(words[3]), far)
        return (Step.CONNECTED if outcome is Outcome.CONNECTED else last_step), outcome
    recorded = Step(words[0]) if words[0] in set(Step) else Step.CLAIMED
    furthest = max(recorded, last_step, key=lambda step: step.rank)
    if furthest is Step.CLAIMED and record == _AGENT_DIALLED:
        return furthest, Outcome.INTERRUPTED
    return furthest, _LAST_STEP[furthest]


def is_end_record(record: str) -> bool:
    """Tell whether Asterisk's record of an attempt contains how the attempt ended."""
    words = record.split(" ")
    if words[0] == _AGENT_ENDED:
        return len(words) == 3
    # The dialplan adds the result of the outbound context and the duration of the talk. Older ones wrote fewer words.
    far, talk = [*words[4:], "", ""][:2]
    is_complete = 4 <= len(words) <= 6 and (not far or far.startswith("far/")) and _DURATION.fullmatch(talk)
    return words[0] == "ended" and bool(is_complete)


def recorded_talk(record: str) -> float | None:
    """Return how long agent and customer were connected by Asterisk's record of the end, in seconds. None: unknown."""
    words = record.split(" ")
    return talk_seconds(words[5]) if len(words) == 6 and is_end_record(record) else None


def talk_seconds(text: str) -> float | None:
    """Read the dialplan's duration of a talk. None if it is unknown: the clock of the PBX may have been put back."""
    return float(text) if _SECONDS.fullmatch(text) else None
