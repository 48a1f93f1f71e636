"""Run the doctor for a page of the panel.

The doctor talks to the PBX and needs some seconds. It runs in a process of its own: the panel does not load the
telephone side, and can end what does not end by itself. So the page says exactly what the command says.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass

from app.config import PROGRAM, Settings
from app.domain.findings import Finding, Level, Part, from_json

SECONDS = 45.0  # less than the patience of reverse proxies; the checks have limits of their own
_COMMAND = ("-m", "flask", "--app", str(PROGRAM / "wsgi.py"), "doctor", "--json")
_running = threading.Lock()


class Busy(Exception):
    """The doctor runs already."""


@dataclass(frozen=True)
class Examination:
    """What the doctor has found. `error`: why it has not come to its end, "" if it has."""

    findings: tuple[Finding, ...]
    error: str = ""

    def of(self, part: Part) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.part is part)

    def count(self, level: Level) -> int:
        return sum(finding.level is level for finding in self.findings)


def examine(settings: Settings, exchange: str, *, seconds: float = SECONDS) -> Examination:
    """Check the installation, at most for so long. `settings` are those of the panel. Raises Busy.

    Only one doctor of this process runs at a time.
    """
    if not _running.acquire(blocking=False):
        raise Busy
    try:
        return _run(settings.environment(exchange), seconds)
    except OSError as error:
        return Examination((), str(error))
    finally:
        _running.release()


def _run(environment: dict[str, str], seconds: float) -> Examination:
    process = subprocess.Popen(  # noqa: S603 - a command of ours
        [sys.executable, *_COMMAND],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    error = ""
    try:
        output, log = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # also what it has started, such as the speech engine
        output, log = process.communicate()
        error = f"the checks did not end within {seconds:g} s"
    found = [json.loads(line) for line in output.splitlines() if line.endswith(b"}")]
    if not error and not (found and "faults" in found[-1]):
        error = _last_line(log) or f"exit code {process.returncode}"
    return Examination(tuple(from_json(values) for values in found if "level" in values), error)


def _last_line(log: bytes) -> str:
    return next(reversed(log.decode(errors="replace").strip().splitlines()), "")
