"""Who needs a second factor, and which codes count when."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.second_factor import (
    LOG_IN_WITHIN,
    STEP,
    Requirement,
    has_lapsed,
    is_phone_code,
    is_required,
    normalize_code,
    valid_steps,
)

NOW = datetime(2026, 11, 29, 12, 0, 14, tzinfo=UTC)
CURRENT = int(NOW.timestamp()) // 30
ROLES = ("administrator", "supervisor", "operator")


@pytest.mark.parametrize(
    ("requirement", "roles"),
    [(Requirement.NOBODY, ()), (Requirement.ADMINISTRATORS, ROLES[:1]), (Requirement.EVERYBODY, ROLES)],
)
def test_the_requirement_names_roles(requirement: Requirement, roles: tuple[str, ...]) -> None:
    assert tuple(role for role in ROLES if is_required(requirement, role)) == roles


@pytest.mark.parametrize(
    ("used", "steps"),
    [
        (None, [-1, 0, 1]),
        (-1000, [-1, 0, 1]),
        (-2, [-1, 0, 1]),
        (-1, [0, 1]),
        (0, [1]),
        (1, []),
        (120, []),  # the clock was put back: no code counts twice, whatever it says
    ],
)
def test_a_code_counts_around_its_step_and_once(used: int | None, steps: list[int]) -> None:
    found = valid_steps(NOW, None if used is None else CURRENT + used)
    assert [step - CURRENT for step in found] == steps


def test_a_step_begins_each_half_minute() -> None:
    start = NOW.replace(second=0)
    firsts = [valid_steps(start + timedelta(seconds=seconds), None).start - CURRENT for seconds in (0, 29, 30, 59, 60)]
    assert firsts == [-1, -1, 0, 0, 1]
    assert STEP.total_seconds() == 30


@pytest.mark.parametrize("sign", [1, -1], ids=["later", "clock put back"])
def test_the_time_for_the_next_page_ends(sign: int) -> None:
    assert not has_lapsed(NOW, NOW + sign * (LOG_IN_WITHIN - timedelta(seconds=1)), LOG_IN_WITHIN)
    assert has_lapsed(NOW, NOW + sign * LOG_IN_WITHIN, LOG_IN_WITHIN)


@pytest.mark.parametrize(
    ("typed", "code", "by_phone"),
    [
        ("123456", "123456", True),
        (" 123 456 ", "123456", True),
        ("۱۲۳۴۵۶", "123456", True),
        ("12345", "12345", False),
        ("K7MP-3xqa 9fhd\u200ct2vw", "k7mp3xqa9fhdt2vw", False),
        ("12345a", "12345a", False),
        ("", "", False),
        ("²³\u0130\ud800", "", False),
    ],
)
def test_typed_codes_are_normalized(typed: str, code: str, by_phone: bool) -> None:
    assert normalize_code(typed) == code
    assert is_phone_code(code) is by_phone
