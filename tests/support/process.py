"""Child processes that never outlive the test: their own group, ended with us however we end."""

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
    """Start `command` in a group of its own, in `folder`; what it says is added to `log` (None: said where we speak).

    The kernel kills it when the thread that called us ends (Linux, PR_SET_PDEATHSIG), so call from the main thread.
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
    """End the process and its whole group: politely, and after `seconds` by force. Blocks."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)  # a stopped process does not hear SIGTERM
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
    kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """End the process and its whole group at once, as a power cut would. Blocks until it is gone."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
