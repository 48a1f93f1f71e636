"""The history of a run: what phones and callers saw, one JSON object a line.

Each entry has `at` (seconds after the begin) and `kind`:

- ``begin``: `seed`, `requests`, `modules` (code -> agents), `entries` (number called -> code), `retries`
- ``call``: an INVITE. `call` identifies the call in all later entries. `phone` is the extension, or "trunk" for all
  customers. `incoming`: the phone is called. `number`: the customer's, "" if unknown. `dialled`: the number called.
  `ours`: its display name says that Bazang makes it
- ``answered``; ``ended``: `by` is "phone", "pbx", or "cut" when the PBX died; `status` is that of SIP
- ``prompt``: `prompt` was heard
- ``keys``: `keys` are all that have arrived in the call so far
- ``act``: `act` is what the person at this phone does
- ``fault``: `fault`, `phase` "begin" or "end"
- ``login``: the worker has logged in to AMI; ``quiet``: no fault and no caller comes any more
- ``memory``: `process` "worker" or "panel", its `pid` and `megabytes`
- ``visits``: how many `pages` of the panel were read
- ``panel``: at the end, what the panel shows of a request: `number`, `module`, `status`, `outcome`
- ``end``
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

Entry = dict[str, Any]
FILE = "history.jsonl"


class History:
    """Writes the history of a run. `listeners` are called with each entry."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / FILE).open("w", encoding="utf-8")
        self._began = time.monotonic()
        self.moments: Counter[str] = Counter()  # how often each of plan.MOMENTS has come
        self.listeners: list[Callable[[Entry], None]] = []

    def restart_clock(self) -> None:
        """Let the time of the entries begin now."""
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def write(self, kind: str, *, at: float | None = None, moment: str = "", **fields: Any) -> None:
        """Write an entry. `at`: monotonic seconds, None for now. `moment`: one of plan.MOMENTS that this entry is."""
        seconds = (time.monotonic() if at is None else at) - self._began
        entry = {"at": round(seconds, 4), "kind": kind, **fields}
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()
        self.moments[moment] += 1
        for listener in self.listeners:
            listener({**entry, "moment": moment})

    def close(self) -> None:
        self._file.close()


def read(folder: Path) -> list[Entry]:
    """Return the entries of a kept history, by their time. Raises OSError and ValueError."""
    lines = (folder / FILE).read_text(encoding="utf-8").splitlines()
    return in_order(json.loads(line) for line in lines)


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Return entries by their time: the end of a call is written a moment after it."""
    return sorted(entries, key=lambda entry: float(entry["at"]))
