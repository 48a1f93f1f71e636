"""Quick password hashes for tests."""

import pytest
from argon2 import PasswordHasher

from app.services import users

_QUICK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


def hash_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the same hash with a low cost. The real cost is high on purpose."""
    monkeypatch.setattr(users, "_hasher", _QUICK)
    monkeypatch.setattr(users, "_dummy_hash", lambda: _QUICK.hash("nobody"))
