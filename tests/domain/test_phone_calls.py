"""The states of a call of the studio."""

from app.domain.phone_calls import FINAL, Failure, State


def test_a_call_ends_in_one_of_four_ways_and_goes_on_in_all_others() -> None:
    assert {State.KEPT, State.DONE, State.FAILED, State.CANCELLED} == FINAL
    assert {State.ASKED, State.RINGING, State.ANSWERED, State.RECORDING, State.LISTENING} == set(State) - FINAL


def test_a_failure_is_no_state() -> None:
    """A page tells them apart by their codes, which stand in two columns of one row."""
    assert not {failure.value for failure in Failure} & {state.value for state in State}
