"""Start child processes that end with us, however we end."""

import ctypes
import os
import shutil
import signal
import subprocess
from contextlib import nullcontext
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def spawn(
    command: list[str], log: Path | None, *, environment: dict[str, str] | None = None, folder: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start `command` in `folder` as the leader of a new process group. Its output is appended to `log`, if given.

    Linux kills it when the calling thread ends (PR_SET_PDEATHSIG), so call this from the main thread.
    """
    setpriv = shutil.which("setpriv")
    bound = [setpriv, "--pdeathsig", "KILL", "--", *command] if setpriv else command
    with log.open("ab") if log is not None else nullcontext() as output:
        return subprocess.Popen(
            bound,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            cwd=folder,
            start_new_session=True,
            preexec_fn=None if setpriv else _die_with_parent,
        )


def terminate(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Send SIGTERM to the process, then SIGKILL to its group after `seconds` at most. Blocks."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)  # a stopped process does not handle SIGTERM
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
    kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Send SIGKILL to the whole process group. Blocks until the process is gone."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
