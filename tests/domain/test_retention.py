"""For how long finished data is kept."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.retention import BOUNDS, Kind, Retention

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def test_everything_but_spoken_names_is_kept_unless_somebody_decides_otherwise() -> None:
    kept = Retention()
    assert {kind: kept.before(kind, NOW) for kind in Kind} == {
        **dict.fromkeys((Kind.REQUESTS, Kind.NOTES, Kind.LOG)),
        Kind.NAMES: NOW - timedelta(days=30),
    }
    assert kept.faults() == frozenset()


@pytest.mark.parametrize("kind", Kind)
def test_days_have_bounds(kind: Kind) -> None:
    least, most = BOUNDS[kind]
    for days, allowed in ((least - 1, False), (least, True), (most, True), (most + 1, False), (-1, False)):
        found = Retention(**{kind.value: days}).faults()
        assert found == (frozenset() if allowed or (days == 0 and kind is not Kind.NAMES) else {kind})


def test_only_spoken_names_cannot_be_kept_for_ever() -> None:
    assert Retention(requests=0, notes=0, names=0, log=0).faults() == {Kind.NAMES}
