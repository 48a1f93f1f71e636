"""Faults that are put into a copy of the program, to prove that the judge finds them.

Each has faults of the surroundings in which it shows.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("app", "migrations", "script", "wsgi.py")
LINKED = (".venv", ".cache")
DISPATCHER, ATTEMPTS, CLOCK = "app/worker/dispatcher.py", "app/services/requests/attempts.py", "app/worker/clock.py"


class NotApplicable(Exception):
    """The program has changed, so that the text to be replaced is not in it once."""


@dataclass(frozen=True)
class Edit:
    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """`what` is wrong with it. `only`, `at`: the faults that bring it out, as for ``--only`` and ``--at``."""

    what: str
    only: tuple[str, ...]
    edits: tuple[Edit, ...]
    at: tuple[str, ...] = ()


MUTANTS = {
    "index": Mutant(
        "Nothing stops two attempts at a number at once: the unique index is dropped, and the policy does not look.",
        ("dialplan_reload",),
        (
            Edit(
                "migrations/versions/0001_lay_the_first_tables.py",
                '"uq_attempt_number",\n            ["number"],\n            unique=True,',
                '"uq_attempt_number",\n            ["number"],\n            unique=False,',
            ),
            Edit(ATTEMPTS, "numbers_in_flight=occupied.numbers,", "numbers_in_flight=frozenset(),"),
        ),
    ),
    "late_claim": Mutant(
        "A request is claimed when Asterisk has taken the order to dial, not before.",
        ("ami_cut_after_order", "ami_cut_before_order", "ami_mute", "worker_kill"),
        (
            Edit(
                ATTEMPTS,
                "    return store.claim("
                "session, row, decision, now, event=EventKind.CLAIMED, attempt=attempt, tells=tells)\n",
                "    def claim(database: Database) -> None:\n"
                "        with database.write() as later:\n"
                "            store.claim("
                "later, row, decision, now, event=EventKind.CLAIMED, attempt=attempt, tells=tells)\n\n"
                "    LATE[order.attempt] = claim\n"
                "    return True\n\n\n"
                "LATE: dict[str, Any] = {}\n",
            ),
            Edit(
                DISPATCHER,
                "        else:\n            log.info(",
                "        else:\n"
                "            self._writes.put(lambda: attempts.LATE.pop(order.attempt)(self._database))\n"
                "            log.info(",
            ),
        ),
    ),
    "recall": Mutant(
        "An answered leg is taken for a missed agent, if the agent's answer was not seen.",
        ("ami_cut", "worker_kill"),
        (
            Edit(
                "app/telephony/attempts.py",
                "        if not guard and ANSWER in (status, state.agent.status):\n",
                "        if False:\n",
            ),
        ),
        at=("agent_rings",),
    ),
    "lost_wake_up": Mutant(
        "The dispatcher sleeps until a line or an attempt changes: no time that has come wakes it.",
        ("database_lock", "dialplan_reload"),
        (
            Edit(DISPATCHER, "async with asyncio.timeout(seconds):", "async with asyncio.timeout(None):"),
            Edit(
                "app/worker/main.py",
                "            self._poll_ended = time.monotonic()\n            self.dispatcher.wake()\n",
                "            self._poll_ended = time.monotonic()\n",
            ),
            Edit(
                "app/worker/main.py",
                "        self.tasks.spawn(self.commands.run_open())\n        self.dispatcher.wake()\n",
                "        self.tasks.spawn(self.commands.run_open())\n",
            ),
            Edit(
                "app/worker/housekeeping.py",
                "prepare(CLOCK.now())\n        self._dispatcher.wake()\n",
                "prepare(CLOCK.now())\n",
            ),
        ),
    ),
    "swallowed": Mutant(
        "The dispatcher ends without a word when the database refuses a claim.",
        ("database_lock", "worker_disk_full"),
        (
            Edit(
                DISPATCHER,
                '            log.error("cannot claim requests, the database',
                "            raise asyncio.CancelledError from error\n"
                '            log.error("cannot claim requests, the database',
            ),
        ),
    ),
    "wall_clock": Mutant(
        "The worker's time is that of the wall clock, so requests expire when it is put forward.",
        ("clock",),
        (
            Edit(CLOCK, "return self._booted_at + self._uptime()", "return self._wall()"),
            Edit(CLOCK, "if abs(booted_at - self._booted_at) >= MIN_JUMP:", "if False:"),
        ),
    ),
}


def apply(mutant: Mutant, root: Path) -> None:
    """Put the faults of a mutant into the program at `root`. Raises NotApplicable."""
    for edit in mutant.edits:
        file = root / edit.file
        text = file.read_text(encoding="utf-8")
        if text.count(edit.old) != 1:
            raise NotApplicable(f"{edit.file} has this {text.count(edit.old)} times: {edit.old!r}")
        file.write_text(text.replace(edit.old, edit.new), encoding="utf-8")


def run(name: str, arguments: Sequence[str]) -> int:
    """Run script/chaos with these arguments in a copy of the program that has the mutant. Return its exit code."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder)
        ignore = shutil.ignore_patterns("__pycache__")
        for part in COPIED:
            if (ROOT / part).is_dir():
                shutil.copytree(ROOT / part, copy / part, ignore=ignore)
            else:
                shutil.copy(ROOT / part, copy / part)
        for part in LINKED:
            (copy / part).symlink_to((ROOT / part).resolve())
        apply(MUTANTS[name], copy)
        command = [sys.executable, "-m", "script.chaos_run.main", *arguments]
        return subprocess.run(command, cwd=copy, check=False).returncode
