"""The state file of the running demo, for other terminals, and a lock that ends with its process."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

HOME = Path(__file__).resolve().parents[2] / "var/demo"
STATE, LOCK = HOME / "state.json", HOME / "lock"


class NotRunning(Exception):
    """No demo is running in this clone."""


class AlreadyRunning(Exception):
    """A demo is running in this clone. The message is the address of its panel."""


@dataclass(frozen=True)
class State:
    """Addresses and passwords of a running demo.

    `environment`: the settings of its processes. `phones`: passwords by extension.
    """

    panel: str
    administrator: str
    password: str
    sip_host: str
    sip_port: int
    phones: dict[str, str]
    environment: dict[str, str]


@contextmanager
def lock_demo() -> Iterator[None]:
    """Lock the demo of this clone. Raises AlreadyRunning."""
    HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            where = json.loads(STATE.read_text())["panel"] if STATE.exists() else "it is starting"
            raise AlreadyRunning(where) from None
        try:
            STATE.unlink(missing_ok=True)
            yield
        finally:
            STATE.unlink(missing_ok=True)


def save_state(state: State) -> None:
    """Save the state for other terminals. Only the owner can read it, because it contains passwords."""
    write_private(STATE, json.dumps(asdict(state), indent=1))


def find_running() -> State:
    """Return the running demo. Raises NotRunning."""
    try:
        with LOCK.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return State(**json.loads(STATE.read_text()))
    except FileNotFoundError:
        pass
    raise NotRunning


def write_private(path: Path, text: str) -> None:
    """Replace a file atomically. Only its owner can read the new one."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.rename(path)
