"""What the permissions of a file allow to whom."""

import pytest

from app.domain.file_access import ENTER, READ, Identity, Permissions, allows

ASTERISK = Identity(997, frozenset({997, 50}))


@pytest.mark.parametrize(
    ("mode", "owner", "group", "who", "expected"),
    [
        (0o644, 0, 0, None, True),
        (0o640, 0, 0, None, False),
        (0o640, 0, 50, ASTERISK, True),  # one of its groups
        (0o640, 0, 51, ASTERISK, False),
        (0o604, 0, 50, ASTERISK, False),  # its group counts, though others may
        (0o400, 997, 0, ASTERISK, True),
        (0o044, 997, 0, ASTERISK, False),  # the owner may less than others
        (0o000, 5, 5, Identity(0, frozenset({0})), True),  # root
    ],
)
def test_who_may_read(mode: int, owner: int, group: int, who: Identity | None, expected: bool) -> None:
    assert allows(Permissions(0o100000 | mode, owner, group), who, READ) is expected


def test_entering_a_folder_is_another_right() -> None:
    assert allows(Permissions(0o40711, 0, 0), None, ENTER)
    assert not allows(Permissions(0o40711, 0, 0), None, READ)
    assert not allows(Permissions(0o40744, 0, 0), None, ENTER)
