"""The result of a connection test."""

import pytest

from app.domain.pbx_connection import ConnectionReport, ConnectionResult, DialplanState


@pytest.mark.parametrize("result", ConnectionResult)
def test_missing_rights_still_count_as_connected(result: ConnectionResult) -> None:
    expected = result in {ConnectionResult.CONNECTED, ConnectionResult.RIGHTS_MISSING}
    assert ConnectionReport(result).connected == expected


def test_a_report_defaults_to_unknown() -> None:
    report = ConnectionReport(ConnectionResult.NO_ANSWER)
    assert (report.extensions, report.queues, report.dialplan) == (None, None, DialplanState.UNKNOWN)
    assert not report.may_reload and not report.version
