"""Keeps what was counted, for as long as no request changes: 50 open pages count once."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.store.stamps import Stamp, requests_version

MOST = 256  # of what was counted last
Counted = TypeVar("Counted")

_kept: "WeakKeyDictionary[Engine, OrderedDict[Hashable, tuple[Stamp, Any]]]" = WeakKeyDictionary()
_lock = threading.Lock()


def remember(session: Session, key: Hashable, count: Callable[[], Counted]) -> Counted:
    """Return what `count` gives, or gave since a request last changed. `key`: all that it depends on but the requests.

    What is returned is shared: nobody may change it.
    """
    return remember_as_of(session.get_bind().engine, requests_version(session), key, count)


def remember_as_of(engine: Engine, now: Stamp | None, key: Hashable, count: Callable[[], Counted]) -> Counted:
    """Do the same as of a moment whose stamp was taken before."""
    with _lock:
        kept = _kept.setdefault(engine, OrderedDict())
        if now is not None and key in kept and kept[key][0] == now:
            kept.move_to_end(key)
            found: Counted = kept[key][1]
            return found
    counted = count()
    if now is not None:
        with _lock:
            kept[key] = now, counted
            kept.move_to_end(key)
            while len(kept) > MOST:
                kept.popitem(last=False)
    return counted
