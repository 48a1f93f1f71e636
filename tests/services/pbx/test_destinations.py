"""Validation of destinations."""

import pytest

from app.domain.routing import HANG_UP, Destination
from app.services.pbx.destinations import check_destination
from app.store.database import Database
from tests.support.factories import create_module


@pytest.mark.parametrize(
    ("destination", "error"),
    [
        (HANG_UP, None),
        (Destination("extension", "*10#"), None),
        (Destination("extension", ""), "required"),
        (Destination("extension", "10x"), "code"),
        (Destination("extension", "1" * 21), "code"),
        (Destination("extension", "۱۰۱"), "code"),
        (Destination("queue", "sales-1_a.b"), None),
        (Destination("queue", "sales desk"), "code"),
        (Destination("queue", "x" * 81), "code"),
        (Destination("module", "*5001"), None),
        (Destination("module", "*5001;"), "code"),
        (Destination("module", "*5999"), "no_module"),
        (Destination("custom", "ivr-main,s,1"), None),
        (Destination("custom", "s,1"), "custom"),
        (Destination("custom", f"{'x' * 41},s,1"), "custom"),
        (Destination("custom", "a,b,1)\nexten => x"), "custom"),
        (Destination("voicemail", "101"), "choice"),
        (Destination("", "101"), "choice"),
    ],
)
def test_error_codes_of_destinations(database: Database, destination: Destination, error: str | None) -> None:
    create_module(database, code="*5001")
    with database.read() as session:
        assert check_destination(session, destination) == error
        assert check_destination(session, destination, optional=True) == (error if destination.kind else None)
