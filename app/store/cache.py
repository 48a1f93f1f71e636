"""A cache whose values are valid for one version of what they were built from."""

import threading
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, TypeVar

from cachetools import Cache, LRUCache

Value = TypeVar("Value")
MAX_VALUES = 500
UNVERSIONED = ""  # the version of values that never become outdated


class Entry(NamedTuple):
    """A cached value and the version it was built for."""

    version: Hashable
    value: Any


class VersionedCache:
    """Keeps values until their version changes or `cache`, from cachetools, drops them. Safe for threads.

    Values are shared: nobody may change what `get` returns.
    """

    def __init__(self, cache: Cache[Hashable, Entry] | None = None) -> None:
        self._cache = LRUCache(MAX_VALUES) if cache is None else cache
        self._lock = threading.Lock()
        self._finished = threading.Condition(self._lock)
        self._building: set[Hashable] = set()

    def __len__(self) -> int:
        return len(self._cache)

    def get(self, key: Hashable, version: Hashable | None, build: Callable[[], Value]) -> Value:
        """Return the value of this key and version, and build it if it is not cached.

        Threads that ask for a value which is being built wait for it. Without a version nothing is cached.
        """
        if version is None:
            return build()
        with self._lock:
            while True:
                try:
                    entry = self._cache[key]
                except KeyError:
                    pass
                else:
                    if entry.version == version:
                        value: Value = entry.value
                        return value
                if key not in self._building:
                    break
                self._finished.wait()
            self._building.add(key)
        try:
            value = build()
            self._save(key, Entry(version, value))
            return value
        finally:
            with self._lock:
                self._building.remove(key)
                self._finished.notify_all()

    def _save(self, key: Hashable, entry: Entry) -> None:
        with self._lock:
            try:
                self._cache[key] = entry
            except ValueError:  # larger than the cache
                pass
