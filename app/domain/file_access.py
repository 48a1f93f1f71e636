"""Whether a user of the machine may use a file or a folder, by its permissions. ACLs are not looked at."""

from dataclasses import dataclass

READ, ENTER = 0o4, 0o1


@dataclass(frozen=True)
class Identity:
    """A user of the machine with all groups."""

    user: int
    groups: frozenset[int]


@dataclass(frozen=True)
class Permissions:
    """Those of a file or a folder. `mode` as in `os.stat`."""

    mode: int
    owner: int
    group: int


def allows(permissions: Permissions, who: Identity | None, need: int) -> bool:
    """Tell whether a user may do what `need` says, READ or ENTER. None: a user of whom nothing is known."""
    if who is not None and who.user == 0:
        return True
    bits = permissions.mode
    if who is not None and who.user == permissions.owner:
        bits >>= 6
    elif who is not None and permissions.group in who.groups:
        bits >>= 3
    return bits & need == need
