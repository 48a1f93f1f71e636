"""The states and failures of phone calls."""

from app.domain.phone_calls import FINAL, CallFailure, CallState


def test_final_states() -> None:
    assert {state.value for state in FINAL} == {"kept", "done", "failed", "cancelled"}


def test_codes_of_states_and_failures_differ() -> None:
    assert not {failure.value for failure in CallFailure} & {state.value for state in CallState}
