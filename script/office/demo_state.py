"""The running demo as other terminals find it: a file with its ports and secrets, and a lock that dies with it."""

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
    """No demo runs in this clone."""


class AlreadyRunning(Exception):
    """A demo runs in this clone; the message says where."""


@dataclass(frozen=True)
class State:
    """`environment`: the settings of the demo's processes; `phones`: their passwords."""

    panel: str
    administrator: str
    password: str
    sip_host: str
    sip_port: int
    phones: dict[str, str]
    environment: dict[str, str]


@contextmanager
def lock_demo() -> Iterator[None]:
    """Be the one demo of this clone. Raises RunsAlready."""
    HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            where = json.loads(STATE.read_text())["panel"] if STATE.exists() else "it is just starting"
            raise AlreadyRunning(where) from None
        try:
            STATE.unlink(missing_ok=True)
            yield
        finally:
            STATE.unlink(missing_ok=True)


def save_state(state: State) -> None:
    """Let other terminals know, those of our own user only: there are passwords in it."""
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
    """Replace a file by one that only its owner may read; nobody ever sees half of it."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.rename(path)
