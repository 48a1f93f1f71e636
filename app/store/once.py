"""What the readers of a session read once, if they share it (`Database.read`, `read_together`)."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from sqlalchemy.orm import Session

Value = TypeVar("Value")
_ONCE = "bazang_read_once"


def shared_info() -> dict[str, Any]:
    """Return the `info` of a session that several readers share."""
    return {_ONCE: {}}


def read_once(session: Session, key: Hashable, read: Callable[[], Value]) -> Value:
    """Return the result of `read`. Readers who share a session get the same one, so they must not modify it."""
    kept = session.info.get(_ONCE)
    if kept is None:
        return read()
    if key not in kept:
        kept[key] = read()
    value: Value = kept[key]
    return value
