"""Chromium, the machine's own or the one that script/bootstrap fetched. Standard library only: script/ uses it too."""

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache"
# Chromium without windows takes less than half of the time of one with them; the engine under the pages is the same.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
QUIET = (  # a test's browser talks to the page under test, and to nobody else
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class NoBrowser(Exception):
    """There is no Chromium; the message says how to get it."""


@dataclass(frozen=True)
class Chromium:
    """How to start it: the program, and what its environment needs beside ours."""

    executable: Path
    additions: dict[str, str] = field(default_factory=dict)

    @property
    def arguments(self) -> list[str]:
        """What it is started with: quiet, and as root without its sandbox, which refuses root."""
        return [*QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment to start it in."""
        return {**os.environ, **self.additions}


def find_chromium() -> Chromium:
    """Return the Chromium to use. Raises NoBrowser."""
    for name in NAMES:
        if path := shutil.which(name):
            return Chromium(Path(path))
    home = CACHE / "chromium"
    try:
        described = json.loads((home / "chromium.json").read_text())
    except FileNotFoundError:
        raise NoBrowser("no Chromium (script/bootstrap --tests fetches it)") from None
    libraries = ":".join(str(home / folder) for folder in described["library_path"])
    additions = {"LD_LIBRARY_PATH": libraries, "FONTCONFIG_FILE": str(home / described["fonts"])}
    return Chromium(home / described["binary"], additions)
