"""The versioned cache."""

import threading

import pytest
from cachetools import LRUCache, TLRUCache

from app.store.cache import VersionedCache


class Builder:
    """Builds a value, and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> int:
        self.times += 1
        return self.times


def test_value_is_built_once_per_key_and_version() -> None:
    cache, build = VersionedCache(), Builder()
    assert [cache.get("a", 1, build) for _ in range(3)] == [1, 1, 1]
    assert cache.get("b", 1, build) == 2
    assert [cache.get("a", 2, build) for _ in range(2)] == [3, 3]
    assert cache.get("b", 1, build) == 2


def test_nothing_is_cached_without_a_version() -> None:
    cache, build = VersionedCache(), Builder()
    assert [cache.get("a", None, build) for _ in range(2)] == [1, 2]


def test_failed_build_caches_nothing() -> None:
    cache = VersionedCache()
    with pytest.raises(ZeroDivisionError):
        cache.get("a", 1, lambda: 1 // 0)
    assert cache.get("a", 1, Builder()) == 1


def test_least_recently_used_value_is_dropped() -> None:
    cache, build = VersionedCache(LRUCache(2)), Builder()
    for key in ("a", "b", "a", "c"):
        cache.get(key, 1, build)
    assert (cache.get("a", 1, build), cache.get("b", 1, build)) == (1, 4)


def test_value_larger_than_the_cache_is_returned() -> None:
    cache, build = VersionedCache(LRUCache(2, getsizeof=lambda _entry: 3)), Builder()
    assert [cache.get("a", 1, build) for _ in range(2)] == [1, 2]


def test_expired_value_is_built_again() -> None:
    clock = 0.0
    cache = VersionedCache(TLRUCache(9, ttu=lambda _key, entry, _now: entry.value * 10, timer=lambda: clock))
    build = Builder()
    assert cache.get("a", 1, build) == 1
    clock = 9.9
    assert cache.get("a", 1, build) == 1
    clock = 10.0
    assert cache.get("a", 1, build) == 2


def test_threads_wait_for_a_value_that_is_being_built() -> None:
    cache, build = VersionedCache(), Builder()
    started, finish = threading.Event(), threading.Event()

    def build_slowly() -> int:
        started.set()
        assert finish.wait(10)
        return build()

    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(cache.get("a", 1, build_slowly))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert started.wait(10)
    assert cache.get("b", 1, lambda: 7) == 7, "other keys do not wait"
    finish.set()
    for thread in threads:
        thread.join(10)
    assert results == [1, 1, 1]
