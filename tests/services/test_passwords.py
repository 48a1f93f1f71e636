"""Common passwords, and how many are hashed at once."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.services import users
from app.services.errors import ErrorCode, Invalid
from app.store.database import Database
from tests.support.factories import NOW

AT_ONCE = 20
CHECKS = 6  # at their real cost; without a limit they would take twice the memory that is allowed
MEGABYTE = 1024 * 1024
# Checks passwords in many threads, and prints by how many bytes the peak of the memory rose.
MEASURE = f"""
import resource
from concurrent.futures import ThreadPoolExecutor
from app.services import users
from app.store.models import User
user = User(password_hash=users._hash("a long password"))
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
with ThreadPoolExecutor({CHECKS}) as pool:
    found = list(pool.map(lambda _: users._verify(user, "a long password"), range({CHECKS})))
assert all(found)
print(peak() - before)
"""


@pytest.mark.parametrize("password", ["12345678", "password1", "iloveyou", "qwertyuiop", "football", "1q2w3e4r"])
def test_a_common_password_is_refused_everywhere(database: Database, password: str) -> None:
    user_id = users.create(database, "sara", "a long password", "operator", NOW)
    for change in (
        lambda: users.create(database, "omid", password, "operator", NOW),
        lambda: users.reset_password(database, user_id, password, NOW),
        lambda: users.change_password(database, user_id, "a long password", password, NOW),
    ):
        with pytest.raises(Invalid) as refused:
            change()
        assert refused.value.errors == {"password": ErrorCode.COMMON}


def test_a_common_password_from_before_still_logs_in(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(users, "is_common", lambda *_: False)
        users.create(database, "sara", "password1", "operator", NOW)
    assert users.check_password(database, "sara", "password1") is not None


def test_the_list_has_thousands_of_passwords() -> None:
    words = users._common_passwords()
    assert len(words) > 8000
    assert all(len(word) >= users.SHORTEST_PASSWORD and word == word.lower().strip() for word in words)


def test_generated_passwords_are_not_common() -> None:
    assert all(users.validate_password(users.generate_password(), "sara") == {} for _ in range(200))


class WatchingHasher:
    """Count how many passwords are checked at the same time."""

    def __init__(self) -> None:
        self.running, self.most, self._lock = 0, 0, threading.Lock()
        self.together = threading.Barrier(users.HASHES_AT_ONCE)

    def verify(self, _known: str, _password: str) -> bool:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        self.together.wait(10)  # all that may run at the same time do
        with self._lock:
            self.running -= 1
        return True


def test_passwords_wait_for_their_turn(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    users.create(database, "sara", "a long password", "operator", datetime.now(UTC))
    hasher = WatchingHasher()
    monkeypatch.setattr(users, "_hasher", hasher)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda _: users.check_password(database, "sara", "x"), range(AT_ONCE)))
    assert None not in found
    assert hasher.most == users.HASHES_AT_ONCE


@pytest.mark.slow
def test_many_passwords_at_once_take_little_memory() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE], cwd=root, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 200 * MEGABYTE
