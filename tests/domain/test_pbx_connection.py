"""What came of trying to reach an exchange."""

import pytest

from app.domain.pbx_connection import ConnectionReport, ConnectionResult, DialplanState


@pytest.mark.parametrize("verdict", ConnectionResult)
def test_who_is_let_in_is_connected_whatever_rights_are_missing(verdict: ConnectionResult) -> None:
    assert ConnectionReport(verdict).connected == (
        verdict in {ConnectionResult.CONNECTED, ConnectionResult.RIGHTS_MISSING}
    )


def test_a_report_claims_nothing_that_was_not_found_out() -> None:
    report = ConnectionReport(ConnectionResult.NO_ANSWER)
    assert (report.extensions, report.queues, report.dialplan) == (None, None, DialplanState.UNKNOWN)
    assert not report.may_reload and not report.version
