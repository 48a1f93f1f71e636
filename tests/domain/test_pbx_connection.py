"""What came of trying to reach an exchange."""

import pytest

from app.domain.pbx_connection import Loaded, Report, Verdict


@pytest.mark.parametrize("verdict", Verdict)
def test_who_is_let_in_is_connected_whatever_rights_are_missing(verdict: Verdict) -> None:
    assert Report(verdict).connected == (verdict in {Verdict.CONNECTED, Verdict.RIGHTS_MISSING})


def test_a_report_claims_nothing_that_was_not_found_out() -> None:
    report = Report(Verdict.NO_ANSWER)
    assert (report.extensions, report.queues, report.dialplan) == (None, None, Loaded.UNKNOWN)
    assert not report.may_reload and not report.version
