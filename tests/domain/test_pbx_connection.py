"""The result of a connection test."""

import pytest

from app.domain.pbx_connection import CallersState, ConnectionReport, ConnectionResult, DialplanState, is_too_old


@pytest.mark.parametrize("result", ConnectionResult)
def test_missing_rights_count_as_connected(result: ConnectionResult) -> None:
    expected = result in {ConnectionResult.CONNECTED, ConnectionResult.RIGHTS_MISSING}
    assert ConnectionReport(result).connected == expected


def test_defaults_of_a_report() -> None:
    assert ConnectionReport(ConnectionResult.NO_ANSWER) == ConnectionReport(
        ConnectionResult.NO_ANSWER,
        detail="",
        version="",
        read_missing=(),
        write_missing=(),
        unchecked=(),
        extensions=None,
        queues=None,
        dialplan=DialplanState.UNKNOWN,
        may_reload=False,
        product=None,
        contexts=None,
        outbound=None,
        callers=CallersState.UNKNOWN,
    )


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("22.10.1~dfsg+~cs6.15.60671435-1", False),
        ("16.28.0", False),
        ("13.38.3", False),
        ("certified/13.18-cert2", False),
        ("certified-11.6-cert18", True),
        ("11.25.3", True),
        ("1.8.32.3", True),
        ("SVN-branch-11-r400000", True),
        ("GIT-18-abcdef", False),
        ("GIT-master-abcdef", False),
        ("", False),
    ],
)
def test_versions_before_13_are_too_old(version: str, expected: bool) -> None:
    assert is_too_old(version) == expected
