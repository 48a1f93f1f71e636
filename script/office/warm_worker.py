"""Start workers from a process that has imported the code already, which saves most of the processor time of a start.

A worker is still a process of its own with its own environment, folder, log and process group. Tests start hundreds of
them; demo and bench start theirs as an installation does.
"""

import multiprocessing
import os
import signal
import sys
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from subprocess import TimeoutExpired

from app.server.process import die_with_parent

PROMPTS = "REHEARSAL_PROMPTS"  # the variable with the folder of prompts for the rehearsal
_PRELOAD = ["script.office.preload"]
_context = multiprocessing.get_context("forkserver")


class WarmWorker:
    """A running worker with the part of the interface of `subprocess.Popen` that `app.server.process` uses."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process
        assert process.pid is not None
        self.pid: int = process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutExpired("worker", timeout or 0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def prepare_workers(prompts: Path) -> None:
    """Start the process that is forked, if it does not run, and wait until it is prepared.

    It rehearses with this folder of prompts. Without this call it begins with the first worker, and does not rehearse:
    then each worker compiles its statements itself, which takes as much processor time as all the rest of its start.
    """
    _context.set_forkserver_preload(_PRELOAD)
    os.environ[PROMPTS] = str(prompts)
    try:
        forkserver.ensure_running()
    finally:
        del os.environ[PROMPTS]
    first = _context.Process(target=_nothing)
    first.start()
    first.join()


def _nothing() -> None:
    pass


def start_worker(log: Path, environment: dict[str, str], folder: Path) -> WarmWorker:
    """Start a worker in `folder`. Its output is appended to `log`."""
    log.touch()
    _context.set_forkserver_preload(_PRELOAD)
    process = _context.Process(target=_run, args=(str(log), environment, str(folder)), daemon=True)
    process.start()
    return WarmWorker(process)


def _run(log: str, environment: dict[str, str], folder: str) -> None:
    die_with_parent()
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["flask", "--app", str(Path(__file__).resolve().parents[2] / "wsgi.py"), "worker"]
    from flask.cli import main

    main()
