"""The states of a call of the studio."""

from app.domain.phone_calls import FINAL, CallFailure, CallState


def test_a_call_ends_in_one_of_four_ways_and_goes_on_in_all_others() -> None:
    assert {CallState.SAVED, CallState.DONE, CallState.FAILED, CallState.CANCELLED} == FINAL
    assert {CallState.REQUESTED, CallState.RINGING, CallState.ANSWERED, CallState.RECORDING, CallState.CHOOSING} == set(
        CallState
    ) - FINAL


def test_a_failure_is_no_state() -> None:
    """A page tells them apart by their codes, which stand in two columns of one row."""
    assert not {failure.value for failure in CallFailure} & {state.value for state in CallState}
