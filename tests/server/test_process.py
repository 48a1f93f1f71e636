"""Child processes are ended, however young they are."""

import signal
import subprocess
import sys

from app.server.process import kill, spawn

WAITS = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_kill_ends_a_process_that_leads_no_group_yet() -> None:
    process = subprocess.Popen(WAITS)
    kill(process)
    assert process.returncode == -signal.SIGKILL


def test_kill_ends_a_group_and_may_be_repeated() -> None:
    process = spawn(WAITS, None)
    kill(process)
    kill(process)
    assert process.returncode == -signal.SIGKILL
