"""Translation of Asterisk's states and causes. The values were observed with Asterisk 22 and 16."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.lifecycle import Outcome, Side, Step
from app.telephony.translate import (
    Far,
    agent_outcome,
    customer_outcome,
    ended_outcome,
    is_early_record,
    is_end_record,
    parse_far,
    record_outcome,
    recorded_talk,
)


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
        ("1", "", 0, Outcome.AGENT_TAKEN),  # the result of UNLOCK
        ("taken", "NOANSWER", 21, Outcome.AGENT_TAKEN),
    ],
)
def test_agent_outcome(guard: str, status: str, cause: int, outcome: Outcome) -> None:
    assert agent_outcome(guard, status, cause) is outcome


# Unallocated number, no route to the network, no route to the destination, subscriber absent, number changed,
# destination out of order, invalid number format.
NO_SUCH_NUMBER = {1, 2, 3, 20, 22, 27, 28}


def test_causes_of_an_unreachable_number() -> None:
    agent = {cause: agent_outcome("", "NOANSWER", cause) for cause in range(128)}
    assert {cause for cause in agent if agent[cause] is Outcome.AGENT_UNREACHABLE} == NO_SUCH_NUMBER
    customer = {cause: ended_outcome("customer", "NOANSWER", cause) for cause in range(128)}
    assert {cause for cause in customer if customer[cause] is Outcome.CUSTOMER_UNREACHABLE} == NO_SUCH_NUMBER


@pytest.mark.parametrize(
    ("end", "status", "cause", "outcome"),
    [
        ("customer", "ANSWER", 16, Outcome.CONNECTED),
        ("customer", "ANSWER", 21, Outcome.CONNECTED),
        ("customer", "BUSY", 17, Outcome.CUSTOMER_BUSY),
        ("customer", "BUSY", 21, Outcome.CUSTOMER_REJECTED),  # some trunks report both
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
        # until the customer is dialled, DIALSTATUS is that of the agent's leg
        ("agent_gone", "ANSWER", 16, Outcome.AGENT_GONE),
        ("agent_refused", "ANSWER", 16, Outcome.AGENT_REFUSED),
        # a customer who is asked has answered
        ("customer_silent", "ANSWER", 16, Outcome.CUSTOMER_SILENT),
        ("customer_gone", "ANSWER", 16, Outcome.CUSTOMER_GONE),
        ("agent_missed", "ANSWER", 16, Outcome.AGENT_MISSED_CUSTOMER),
        ("customer_later", "ANSWER", 16, Outcome.CUSTOMER_LATER),
        ("customer_declined", "CANCEL", 16, Outcome.CUSTOMER_DECLINED),
    ],
)
def test_outcome_after_the_agent_answered(end: str, status: str, cause: int, outcome: Outcome) -> None:
    assert ended_outcome(end, status, cause) is outcome


@pytest.mark.parametrize(
    ("record", "known", "step", "outcome"),
    [
        ("", Step.CLAIMED, Step.CLAIMED, Outcome.NOT_STARTED),
        ("", Step.AGENT_ANSWERED, Step.AGENT_ANSWERED, Outcome.AGENT_GONE),
        ("", Step.CUSTOMER_DIALLED, Step.CUSTOMER_DIALLED, Outcome.UNCLEAR),
        ("", Step.CONNECTED, Step.CONNECTED, Outcome.CONNECTED),
        ("agent_answered", Step.CLAIMED, Step.AGENT_ANSWERED, Outcome.AGENT_GONE),
        ("customer_dialled", Step.CLAIMED, Step.CUSTOMER_DIALLED, Outcome.UNCLEAR),
        ("customer_waits", Step.CLAIMED, Step.CUSTOMER_WAITS, Outcome.UNCLEAR),
        ("connected", Step.CLAIMED, Step.CONNECTED, Outcome.CONNECTED),
        # the reported step may be further than the recorded one
        ("agent_answered", Step.CUSTOMER_DIALLED, Step.CUSTOMER_DIALLED, Outcome.UNCLEAR),
        ("customer_dialled", Step.CONNECTED, Step.CONNECTED, Outcome.CONNECTED),
        ("ended customer ANSWER 16", Step.CLAIMED, Step.CONNECTED, Outcome.CONNECTED),
        ("ended not_connected ANSWER 16", Step.CUSTOMER_DIALLED, Step.CUSTOMER_DIALLED, Outcome.CUSTOMER_GONE),
        # the outbound context answered, and its own Dial did not
        (
            "ended not_connected ANSWER 16 far/BUSY/17/486/1",
            Step.CUSTOMER_DIALLED,
            Step.CUSTOMER_DIALLED,
            Outcome.CUSTOMER_BUSY,
        ),
        ("ended customer BUSY 17", Step.CUSTOMER_DIALLED, Step.CUSTOMER_DIALLED, Outcome.CUSTOMER_BUSY),
        ("ended customer NOANSWER 21", Step.CUSTOMER_DIALLED, Step.CUSTOMER_DIALLED, Outcome.CUSTOMER_REJECTED),
        ("ended customer  0", Step.CUSTOMER_DIALLED, Step.CUSTOMER_DIALLED, Outcome.CUSTOMER_ABANDONED),
        ("ended agent_gone  0", Step.AGENT_ANSWERED, Step.AGENT_ANSWERED, Outcome.AGENT_GONE),
        ("ended agent_refused  ", Step.AGENT_ANSWERED, Step.AGENT_ANSWERED, Outcome.AGENT_REFUSED),
        ("ended agent_silent ANSWER x", Step.AGENT_ANSWERED, Step.AGENT_ANSWERED, Outcome.AGENT_SILENT),
        # malformed records are ignored
        ("ended", Step.CLAIMED, Step.CLAIMED, Outcome.NOT_STARTED),
        ("ended customer", Step.AGENT_ANSWERED, Step.AGENT_ANSWERED, Outcome.AGENT_GONE),
        ("junk", Step.CLAIMED, Step.CLAIMED, Outcome.NOT_STARTED),
        ("junk customer ANSWER 16", Step.CLAIMED, Step.CLAIMED, Outcome.NOT_STARTED),
        ("connected customer BUSY 17", Step.CLAIMED, Step.CONNECTED, Outcome.CONNECTED),
        ("ended customer ANSWER 16 more", Step.CLAIMED, Step.CLAIMED, Outcome.NOT_STARTED),
    ],
)
def test_outcome_from_asterisks_record(record: str, known: Step, step: Step, outcome: Outcome) -> None:
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
        ("ended customer ANSWER 16 more", False),
        ("ended customer ANSWER 16 far/BUSY more", False),
        ("ended customer ANSWER 16 ", True),
        ("ended customer ANSWER 16  ", True),
        ("ended customer ANSWER 16  7.002", True),
        ("ended customer ANSWER 16 far/ANSWER/16/200/1 ", True),
        ("ended customer ANSWER 16 far/ANSWER/16/200/1 0.25 more", False),
        ("agent_ended BUSY 17", True),
        ("agent_ended  ", True),
        ("agent_ended BUSY", False),
        ("agent_dialled", False),
        ("ended customer ANSWER 16 far/BUSY/17/486/1", True),
        ("junk customer ANSWER 16", False),
        ("connected customer ANSWER 16", False),
    ],
)
def test_end_records(record: str, ended: bool) -> None:
    assert is_end_record(record) is ended


# What chan_pjsip of 16 and 22 left in the outbound context for each SIP status of the far end: DIALSTATUS, cause.
@pytest.mark.parametrize(
    ("sip", "status", "cause", "outcome"),
    [
        (401, "CHANUNAVAIL", 21, Outcome.ROUTE_FORBIDDEN),
        (402, "CHANUNAVAIL", 127, Outcome.ROUTE_FORBIDDEN),
        (403, "CHANUNAVAIL", 21, Outcome.ROUTE_FORBIDDEN),
        (404, "CHANUNAVAIL", 1, Outcome.CUSTOMER_UNREACHABLE),
        (407, "CHANUNAVAIL", 21, Outcome.ROUTE_FORBIDDEN),
        (408, "CHANUNAVAIL", 18, Outcome.CUSTOMER_NO_ANSWER),
        (410, "CHANUNAVAIL", 22, Outcome.CUSTOMER_UNREACHABLE),
        (480, "NOANSWER", 19, Outcome.CUSTOMER_NO_ANSWER),
        (483, "NOANSWER", 19, Outcome.ROUTE_FAILED),
        (484, "CHANUNAVAIL", 28, Outcome.CUSTOMER_UNREACHABLE),
        (486, "BUSY", 17, Outcome.CUSTOMER_BUSY),
        (488, "CHANUNAVAIL", 58, Outcome.ROUTE_FAILED),
        (500, "CHANUNAVAIL", 38, Outcome.ROUTE_FAILED),
        (502, "CHANUNAVAIL", 27, Outcome.ROUTE_FAILED),
        (503, "CONGESTION", 34, Outcome.ROUTE_CONGESTED),
        (504, "CHANUNAVAIL", 102, Outcome.ROUTE_FAILED),
        (600, "BUSY", 17, Outcome.CUSTOMER_BUSY),
        (603, "CHANUNAVAIL", 21, Outcome.CUSTOMER_REJECTED),
        (604, "CHANUNAVAIL", 1, Outcome.CUSTOMER_UNREACHABLE),
        (608, "CHANUNAVAIL", 127, Outcome.CUSTOMER_REJECTED),
    ],
)
def test_whose_failure_a_sip_status_is(sip: int, status: str, cause: int, outcome: Outcome) -> None:
    far = Far(status, cause, (sip,), over=True)
    # The outbound context ends, plays a message that the agent hears to the end, or the agent hangs up meanwhile.
    for outer, over in (("CONGESTION", True), ("CHANUNAVAIL", True), ("ANSWER", True), ("ANSWER", False)):
        assert customer_outcome("customer", outer, 16, Far(status, cause, far.sip, over)) is outcome


@pytest.mark.parametrize(
    ("outer", "far", "outcome"),
    [
        # answered by the outbound context, then by the customer or not
        ("ANSWER", "far/ANSWER/16/200/1", Outcome.CONNECTED),
        ("ANSWER", "far/ANSWER/16/503+200/", Outcome.CONNECTED),
        ("ANSWER", "far/ANSWER/16//1", Outcome.CONNECTED),  # a leg without SIP
        ("ANSWER", "far/LOCAL/16/200/1", Outcome.CONNECTED),
        ("ANSWER", "far/LOCAL/16/0/1", Outcome.CONNECTED),
        ("ANSWER", "far/LOCAL/16/180/", Outcome.CUSTOMER_NO_ANSWER),
        ("ANSWER", "far/LOCAL/17/486/1", Outcome.CUSTOMER_BUSY),
        ("ANSWER", "far//0//", Outcome.CUSTOMER_ABANDONED),  # during the prompt
        ("ANSWER", "far/CANCEL/16/180/", Outcome.CUSTOMER_ABANDONED),
        ("ANSWER", "far//16//1", Outcome.ROUTE_MISSING),  # a message instead of a call
        # a word of the customer counts more than a failed trunk
        ("CONGESTION", "far/CONGESTION/34/486+503/1", Outcome.CUSTOMER_BUSY),
        ("CHANUNAVAIL", "far/CHANUNAVAIL/3/486/1", Outcome.CUSTOMER_BUSY),
        ("CONGESTION", "far/BUSY/17/503+486/1", Outcome.CUSTOMER_BUSY),
        ("NOANSWER", "far/NOANSWER/16/503+180/1", Outcome.CUSTOMER_NO_ANSWER),
        # the far end gives its own cause (Reason header)
        ("CONGESTION", "far/BUSY/17/503/1", Outcome.CUSTOMER_BUSY),
        ("CHANUNAVAIL", "far/CHANUNAVAIL/1/503/1", Outcome.CUSTOMER_UNREACHABLE),
        # our Asterisk's own
        ("CHANUNAVAIL", "far/CHANUNAVAIL/3//1", Outcome.ROUTE_UNAVAILABLE),  # no such endpoint
        ("CHANUNAVAIL", "far/CHANUNAVAIL/20//1", Outcome.ROUTE_UNAVAILABLE),  # not registered
        ("CHANUNAVAIL", "far/CHANUNAVAIL/18//1", Outcome.ROUTE_UNAVAILABLE),  # no answer to the INVITE for 32 s
        ("CHANUNAVAIL", "far/CHANUNAVAIL/0//1", Outcome.ROUTE_UNAVAILABLE),
        ("CONGESTION", "far//34//1", Outcome.ROUTE_MISSING),  # Congestion()
        ("BUSY", "far//17//1", Outcome.ROUTE_MISSING),  # Busy()
        # no SIP
        ("CONGESTION", "far/CONGESTION/42/0/1", Outcome.ROUTE_CONGESTED),
        ("CONGESTION", "far/CONGESTION/0//1", Outcome.ROUTE_CONGESTED),
        ("CHANUNAVAIL", "far/CHANUNAVAIL/57/0/1", Outcome.ROUTE_FORBIDDEN),
        ("CHANUNAVAIL", "far/CHANUNAVAIL/41/0/1", Outcome.ROUTE_FAILED),
        ("CHANUNAVAIL", "far/CHANUNAVAIL/18/0/1", Outcome.CUSTOMER_NO_ANSWER),
        ("CHANUNAVAIL", "far/CHANUNAVAIL/1/0/1", Outcome.CUSTOMER_UNREACHABLE),
        ("NOANSWER", "far/NOANSWER/21/0/1", Outcome.CUSTOMER_REJECTED),
        ("BUSY", "far/BUSY/21/0/1", Outcome.CUSTOMER_REJECTED),
        ("BUSY", "far/BUSY/17/603/1", Outcome.CUSTOMER_REJECTED),  # chan_sip
        ("BUSY", "far/BUSY/17/480/1", Outcome.CUSTOMER_NO_ANSWER),
        ("BUSY", "far/BUSY/17/603+486/1", Outcome.CUSTOMER_BUSY),
        ("BUSY", "far/BUSY/17/180/1", Outcome.CUSTOMER_BUSY),
        ("NOANSWER", "far/NOANSWER/0//1", Outcome.CUSTOMER_NO_ANSWER),
        # the time was up, also in the moment of the answer
        ("NOANSWER", "far/CANCEL/0/180/1", Outcome.CUSTOMER_NO_ANSWER),
        ("NOANSWER", "far/ANSWER/16/200/1", Outcome.CUSTOMER_NO_ANSWER),
        # the agent hung up
        ("CANCEL", "far//16/180/", Outcome.CUSTOMER_ABANDONED),
        ("", "far/ANSWER/16/200/", Outcome.CUSTOMER_ABANDONED),
    ],
)
def test_result_is_that_of_the_leg_that_really_dialled(outer: str, far: str, outcome: Outcome) -> None:
    assert customer_outcome("customer", outer, 16, parse_far(far)) is outcome
    record = f"ended customer {outer} 16 {far}"
    assert is_end_record(record)
    step = Step.CONNECTED if outcome is Outcome.CONNECTED else Step.CUSTOMER_DIALLED
    assert record_outcome(record, Step.CUSTOMER_DIALLED) == (step, outcome)


@given(
    st.sampled_from(["ANSWER", "BUSY", "NOANSWER", "CONGESTION", "CHANUNAVAIL", "CANCEL", ""]),
    st.sampled_from(["ANSWER", "LOCAL", "BUSY", "NOANSWER", "CONGESTION", "CHANUNAVAIL", "CANCEL", "", "NEW"]),
    st.integers(0, 127),
    st.lists(st.sampled_from([0, 100, 180, 183, 200, 302, *range(400, 700)]), max_size=3),
    st.booleans(),
)
def test_nobody_is_connected_whom_no_leg_reached(
    outer: str, status: str, cause: int, sip: list[int], over: bool
) -> None:
    far = Far(status, cause, tuple(sip), over)
    outcome = customer_outcome("customer", outer, cause, far)
    assert (outcome is Outcome.CONNECTED) == (outer == "ANSWER" and far.answered)
    assert outcome.side in (Side.CUSTOMER, Side.ROUTE, Side.REACHED)


def test_number_without_a_route() -> None:
    assert customer_outcome("no_route", "CHANUNAVAIL", 3, parse_far("far//3//1")) is Outcome.ROUTE_MISSING
    assert record_outcome("ended no_route CHANUNAVAIL 3 far//3//1", Step.CUSTOMER_DIALLED)[1] is Outcome.ROUTE_MISSING


@pytest.mark.parametrize(
    ("end", "outcome"),
    [("refused_emergency", Outcome.CUSTOMER_EMERGENCY), ("refused_number", Outcome.CUSTOMER_NOT_ALLOWED)],
)
def test_number_that_our_dialplan_refuses_is_a_failure_of_its_own(end: str, outcome: Outcome) -> None:
    assert customer_outcome(end, "CHANUNAVAIL", 21, parse_far("far//21//1")) is outcome
    assert record_outcome(f"ended {end} CHANUNAVAIL 21 far//21//1", Step.CUSTOMER_DIALLED)[1] is outcome
    assert outcome.side is Side.CUSTOMER


def test_number_that_leads_back_to_the_office_is_busy() -> None:
    assert customer_outcome("came_back", "BUSY", 17, parse_far("far//17//1")) is Outcome.CUSTOMER_BUSY
    assert record_outcome("ended came_back BUSY 17 far//17//1", Step.CUSTOMER_DIALLED)[1] is Outcome.CUSTOMER_BUSY


def test_result_that_is_cut_off_is_no_talk() -> None:
    assert customer_outcome("customer", "ANSWER", 16, parse_far("far/CANCEL/16/180")) is Outcome.CUSTOMER_ABANDONED
    assert parse_far("far/") == Far("", 0, (), over=False)


@pytest.mark.parametrize("text", ["", "far", "near/BUSY/17/486/1"])
def test_what_is_no_result_of_an_outbound_context_is_none(text: str) -> None:
    assert parse_far(text) is None


@pytest.mark.parametrize(
    ("record", "seconds"),
    [
        ("ended customer ANSWER 16  7.50000000000000000000", 7.5),
        ("ended customer ANSWER 16  0", 0.0),
        ("ended customer ANSWER 16  9.5e-05", 9.5e-05),
        ("ended customer ANSWER 16  -3.5", None),  # the clock was put back
        ("ended customer ANSWER 16  ", None),  # the outbound context answered first
        ("ended customer ANSWER 16 ", None),  # by an older dialplan
        ("connected 1795981578.927", None),
        ("", None),
    ],
)
def test_duration_of_a_talk(record: str, seconds: float | None) -> None:
    assert recorded_talk(record) == seconds


@pytest.mark.parametrize(
    ("record", "known", "outcome"),
    [
        ("agent_dialled", Step.CLAIMED, Outcome.INTERRUPTED),
        ("agent_dialled", Step.AGENT_ANSWERED, Outcome.AGENT_GONE),
        ("agent_ended BUSY 17", Step.CLAIMED, Outcome.AGENT_BUSY),
        ("agent_ended NOANSWER 21", Step.CLAIMED, Outcome.AGENT_REJECTED),
        ("agent_ended CHANUNAVAIL 21", Step.CLAIMED, Outcome.AGENT_REJECTED),
        ("agent_ended CHANUNAVAIL 20", Step.CLAIMED, Outcome.AGENT_UNREACHABLE),
        ("agent_ended  ", Step.CLAIMED, Outcome.AGENT_UNREACHABLE),
        ("agent_ended", Step.CLAIMED, Outcome.NOT_STARTED),
    ],
)
def test_outcome_from_the_record_of_the_agents_leg(record: str, known: Step, outcome: Outcome) -> None:
    assert record_outcome(record, known) == (known, outcome)


def test_record_of_an_early_answer_is_no_end_and_no_talk() -> None:
    assert is_early_record("customer_dialled early") and not is_early_record("customer_dialled")
    assert not is_end_record("customer_dialled early")
    assert record_outcome("customer_dialled early", Step.CLAIMED) == (Step.CUSTOMER_DIALLED, Outcome.UNCLEAR)
