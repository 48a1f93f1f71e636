"""Asterisk's words to ours, as Asterisk 22 and 16 were seen to say them."""

import pytest

from app.domain.lifecycle import Outcome, Step
from app.domain.policy import LineState
from app.telephony.translate import agent_outcome, ended_outcome, line_state, record_has_ended, record_outcome


@pytest.mark.parametrize(
    ("guard", "status", "cause", "outcome"),
    [
        ("", "BUSY", 17, Outcome.AGENT_BUSY),  # 486
        ("", "NOANSWER", 19, Outcome.AGENT_NO_ANSWER),  # 480, or rung out
        ("", "NOANSWER", 0, Outcome.AGENT_NO_ANSWER),
        ("", "NOANSWER", 21, Outcome.AGENT_REJECTED),  # 603
        ("", "NOANSWER", 1, Outcome.AGENT_UNREACHABLE),  # 404
        ("", "CANCEL", 0, Outcome.AGENT_NO_ANSWER),  # the Originate's own time-out
        ("", "CONGESTION", 34, Outcome.AGENT_UNREACHABLE),  # 503
        ("", "CHANUNAVAIL", 0, Outcome.AGENT_UNREACHABLE),  # not registered
        ("", "", 0, Outcome.AGENT_UNREACHABLE),  # nothing to dial
        ("", "SOMETHING NEW", 99, Outcome.AGENT_UNREACHABLE),
        ("taken", "", 0, Outcome.AGENT_TAKEN),
        ("1", "", 0, Outcome.AGENT_TAKEN),  # what UNLOCK says
        ("taken", "NOANSWER", 21, Outcome.AGENT_TAKEN),
    ],
)
def test_how_the_agents_leg_ended(guard: str, status: str, cause: int, outcome: Outcome) -> None:
    assert agent_outcome(guard, status, cause) is outcome


@pytest.mark.parametrize(
    ("end", "status", "cause", "outcome"),
    [
        ("customer", "ANSWER", 16, Outcome.CONNECTED),
        ("customer", "ANSWER", 21, Outcome.CONNECTED),
        ("customer", "BUSY", 17, Outcome.CUSTOMER_BUSY),
        ("customer", "BUSY", 21, Outcome.CUSTOMER_REJECTED),  # some trunks say both
        ("customer", "NOANSWER", 19, Outcome.CUSTOMER_NO_ANSWER),
        ("customer", "NOANSWER", 21, Outcome.CUSTOMER_REJECTED),
        ("customer", "NOANSWER", 1, Outcome.CUSTOMER_UNREACHABLE),  # 404
        ("customer", "CONGESTION", 34, Outcome.CUSTOMER_UNREACHABLE),
        ("customer", "CHANUNAVAIL", 0, Outcome.CUSTOMER_UNREACHABLE),
        ("customer", "CANCEL", 0, Outcome.CUSTOMER_ABANDONED),
        ("customer", "", 16, Outcome.CUSTOMER_ABANDONED),
        ("customer", "SOMETHING NEW", 0, Outcome.CUSTOMER_UNKNOWN),
        ("agent_gone", "", 16, Outcome.AGENT_GONE),
        ("agent_silent", "", 16, Outcome.AGENT_SILENT),
        ("agent_refused", "", 16, Outcome.AGENT_REFUSED),
        # DIALSTATUS is still that of the agent's own leg until the customer is dialled
        ("agent_gone", "ANSWER", 16, Outcome.AGENT_GONE),
        ("agent_refused", "ANSWER", 16, Outcome.AGENT_REFUSED),
    ],
)
def test_how_an_attempt_ended_whose_agent_had_answered(end: str, status: str, cause: int, outcome: Outcome) -> None:
    assert ended_outcome(end, status, cause) is outcome


@pytest.mark.parametrize(
    ("record", "known", "step", "outcome"),
    [
        ("", Step.CLAIMED, Step.CLAIMED, Outcome.NOT_STARTED),
        ("", Step.AGENT_ANSWERED, Step.AGENT_ANSWERED, Outcome.AGENT_GONE),
        ("", Step.CUSTOMER_DIALLED, Step.CUSTOMER_DIALLED, Outcome.CUSTOMER_UNKNOWN),
        ("", Step.CONNECTED, Step.CONNECTED, Outcome.CONNECTED),
        ("agent_answered", Step.CLAIMED, Step.AGENT_ANSWERED, Outcome.AGENT_GONE),
        ("customer_dialled", Step.CLAIMED, Step.CUSTOMER_DIALLED, Outcome.CUSTOMER_UNKNOWN),
        ("connected", Step.CLAIMED, Step.CONNECTED, Outcome.CONNECTED),
        # what we heard may be further than what is on record
        ("agent_answered", Step.CUSTOMER_DIALLED, Step.CUSTOMER_DIALLED, Outcome.CUSTOMER_UNKNOWN),
        ("customer_dialled", Step.CONNECTED, Step.CONNECTED, Outcome.CONNECTED),
        ("ended customer ANSWER 16", Step.CLAIMED, Step.CONNECTED, Outcome.CONNECTED),
        ("ended customer BUSY 17", Step.CUSTOMER_DIALLED, Step.CUSTOMER_DIALLED, Outcome.CUSTOMER_BUSY),
        ("ended customer NOANSWER 21", Step.CUSTOMER_DIALLED, Step.CUSTOMER_DIALLED, Outcome.CUSTOMER_REJECTED),
        ("ended customer  0", Step.CUSTOMER_DIALLED, Step.CUSTOMER_DIALLED, Outcome.CUSTOMER_ABANDONED),
        ("ended agent_gone  0", Step.AGENT_ANSWERED, Step.AGENT_ANSWERED, Outcome.AGENT_GONE),
        ("ended agent_refused  ", Step.AGENT_ANSWERED, Step.AGENT_ANSWERED, Outcome.AGENT_REFUSED),
        ("ended agent_silent ANSWER x", Step.AGENT_ANSWERED, Step.AGENT_ANSWERED, Outcome.AGENT_SILENT),
        # what is no record of ours tells nothing
        ("ended", Step.CLAIMED, Step.CLAIMED, Outcome.NOT_STARTED),
        ("ended customer", Step.AGENT_ANSWERED, Step.AGENT_ANSWERED, Outcome.AGENT_GONE),
        ("junk", Step.CLAIMED, Step.CLAIMED, Outcome.NOT_STARTED),
    ],
)
def test_what_asterisks_own_record_says(record: str, known: Step, step: Step, outcome: Outcome) -> None:
    assert record_outcome(record, known) == (step, outcome)


@pytest.mark.parametrize(
    ("record", "ended"),
    [
        ("ended customer ANSWER 16", True),
        ("ended agent_gone  ", True),
        ("connected", False),
        ("", False),
        ("ended", False),
        ("ended customer", False),
    ],
)
def test_whether_asterisks_own_record_says_how_the_attempt_ended(record: str, ended: bool) -> None:
    assert record_has_ended(record) is ended


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (-2, LineState.UNKNOWN),  # removed
        (-1, LineState.UNKNOWN),  # no hint
        (0, LineState.FREE),
        (1, LineState.IN_CALL),
        (2, LineState.IN_CALL),
        (4, LineState.OFFLINE),
        (8, LineState.RINGING),
        (9, LineState.RINGING),  # in a call, second ringing
        (16, LineState.IN_CALL),  # on hold
        (17, LineState.IN_CALL),
    ],
)
@pytest.mark.parametrize("devices_free", [True, False])
def test_the_states_of_a_line(status: int, state: LineState, devices_free: bool) -> None:
    assert line_state(status, has_custom=False, devices_free=devices_free) is state


@pytest.mark.parametrize(
    ("status", "devices_free", "state"),
    [
        (0, True, LineState.FREE),
        (1, True, LineState.DND),
        (2, True, LineState.DND),
        (1, False, LineState.IN_CALL),
        (2, False, LineState.IN_CALL),
        (4, False, LineState.OFFLINE),
        (8, False, LineState.RINGING),
        (9, False, LineState.RINGING),
        (-1, True, LineState.UNKNOWN),
    ],
)
def test_do_not_disturb_is_a_busy_hint_over_free_devices(status: int, devices_free: bool, state: LineState) -> None:
    assert line_state(status, has_custom=True, devices_free=devices_free) is state
