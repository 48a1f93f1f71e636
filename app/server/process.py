"""Start child processes that end with us, however we end."""

import asyncio
import ctypes
import os
import shutil
import signal
import subprocess
from contextlib import nullcontext
from pathlib import Path
from typing import Protocol

_PR_SET_PDEATHSIG = 1


class Process(Protocol):
    """The part of `subprocess.Popen` that is used here."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int, /) -> None: ...
    def terminate(self) -> None: ...


def spawn(
    command: list[str], log: Path | None, *, environment: dict[str, str] | None = None, folder: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start `command` in `folder` as the leader of a new process group. Its output is appended to `log`, if given.

    Linux kills it when the calling thread ends (PR_SET_PDEATHSIG), so call this from the main thread.
    """
    setpriv = shutil.which("setpriv")
    bound = [setpriv, "--pdeathsig", "KILL", "--", *command] if setpriv else command
    with log.open("ab") if log is not None else nullcontext() as output:
        return subprocess.Popen(  # noqa: S603 - callers pass commands of ours
            bound,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            cwd=folder,
            start_new_session=True,
            preexec_fn=None if setpriv else die_with_parent,
        )


def terminate(process: Process, seconds: float) -> None:
    """Send SIGTERM to the process, then SIGKILL to its group after `seconds` at most. Blocks."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)  # a stopped process does not handle SIGTERM
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
    kill(process)


def kill(process: Process) -> None:
    """Send SIGKILL to the whole process group. Blocks until the process is gone."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.send_signal(signal.SIGKILL)  # it is gone, or too young to lead a group
    process.wait()


async def wait_for_end(process: Process) -> int:
    """Return the exit code when the process ends. A cancelled wait leaves nothing behind."""
    if (code := process.poll()) is not None:
        return code
    descriptor = os.pidfd_open(process.pid)
    try:
        readable = asyncio.Event()
        asyncio.get_running_loop().add_reader(descriptor, readable.set)
        await readable.wait()
    finally:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)
    return process.wait()


def die_with_parent() -> None:
    """Have Linux kill this process when its parent ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
