"""Asterisk's words to the domain's, in tables."""

from app.domain.lifecycle import Outcome, Step
from app.domain.policy import LineState

CALL_REJECTED = 21  # Q.850; so are the next: nobody has that number, or no way leads there
NO_SUCH_NUMBER = frozenset({1, 2, 3, 20, 22, 27, 28})

# Bits of an ExtensionStatus; see `include/asterisk/pbx.h`, enum ast_extension_states.
INUSE, BUSY, UNAVAILABLE, RINGING, ONHOLD = 1, 2, 4, 8, 16

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
_ENDS = {
    "agent_gone": Outcome.AGENT_GONE,
    "agent_silent": Outcome.AGENT_SILENT,
    "agent_refused": Outcome.AGENT_REFUSED,
}
# What a step that is on record last, with no channel left, says of the end of the attempt.
_LAST_STEP = {
    Step.CLAIMED: Outcome.NOT_STARTED,
    Step.AGENT_ANSWERED: Outcome.AGENT_GONE,
    Step.CUSTOMER_DIALLED: Outcome.CUSTOMER_UNKNOWN,
    Step.CONNECTED: Outcome.CONNECTED,
}


def agent_outcome(guard: str, status: str, cause: int) -> Outcome:
    """How the agent's leg ended that nobody answered. `status`: DIALSTATUS, `cause`: Q.850."""
    if guard:
        return Outcome.AGENT_TAKEN
    if status == "NOANSWER" and cause == CALL_REJECTED:
        return Outcome.AGENT_REJECTED
    if status == "NOANSWER" and cause in NO_SUCH_NUMBER:  # a leg that was answered by 404 says no better word
        return Outcome.AGENT_UNREACHABLE
    return _AGENT.get(status, Outcome.AGENT_UNREACHABLE)


def ended_outcome(end: str, status: str, cause: int) -> Outcome:
    """How an attempt ended whose agent had answered. `end`: where the dialplan stood (BAZANG_END)."""
    if end in _ENDS:
        return _ENDS[end]
    if status in ("NOANSWER", "BUSY") and cause == CALL_REJECTED:
        return Outcome.CUSTOMER_REJECTED
    if status == "NOANSWER" and cause in NO_SUCH_NUMBER:
        return Outcome.CUSTOMER_UNREACHABLE
    return _CUSTOMER.get(status, Outcome.CUSTOMER_UNKNOWN)


def record_outcome(record: str, known: Step) -> tuple[Step, Outcome]:
    """What Asterisk's own record of an attempt says when no channel of it is left.

    `record` is "" where there is none; `known` is the furthest step that we had heard of. Returns the furthest step
    and the outcome.
    """
    words = record.split(" ")
    if record_has_ended(record):
        outcome = ended_outcome(words[1], words[2], int(words[3]) if words[3].isdigit() else 0)
        return (Step.CONNECTED if outcome is Outcome.CONNECTED else known), outcome
    recorded = Step(words[0]) if words[0] in set(Step) else Step.CLAIMED
    furthest = max(recorded, known, key=lambda step: step.rank)
    return furthest, _LAST_STEP[furthest]


def record_has_ended(record: str) -> bool:
    """Tell whether Asterisk's own record of an attempt says how the attempt ended."""
    words = record.split(" ")
    return words[0] == "ended" and len(words) == 4


def line_state(status: int, *, has_custom: bool, devices_free: bool) -> LineState:
    """Translate an ExtensionStatus. A hint that is busy by its Custom: part alone wants not to be disturbed."""
    if status < 0:
        return LineState.UNKNOWN
    if status & RINGING:
        return LineState.RINGING
    if status & (INUSE | BUSY | ONHOLD):
        return LineState.DND if has_custom and devices_free else LineState.IN_CALL
    return LineState.OFFLINE if status & UNAVAILABLE else LineState.FREE
