"""Find a Chromium for the browser tests, or fetch one that runs without being installed."""

import json
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import debian

CACHE = Path(__file__).resolve().parents[2] / ".cache"
# The headless shell needs less than half of the processor time of Chromium with windows. Its engine is the same.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
QUIET = (  # the browser connects to the page under test only
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


# The fetched fonts, and those of the machine if it has any. Paths are relative to this file.
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir prefix="relative">usr/share/fonts</dir>
</fontconfig>
"""


class NoBrowser(Exception):
    """There is no Chromium. The message says how to get it."""


@dataclass(frozen=True)
class Chromium:
    """How to start Chromium: the program, and additional environment variables."""

    executable: Path
    additions: dict[str, str] = field(default_factory=dict)

    @property
    def arguments(self) -> list[str]:
        """The command line arguments. Root needs --no-sandbox, because the sandbox refuses root."""
        return [*QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]

    @property
    def environment(self) -> dict[str, str]:
        """The complete environment of the process."""
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


def fetch(cache: Path, report: Callable[[str], None]) -> None:
    """Create `chromium` in the cache. Raises debian.CannotFetch."""
    target, fresh = cache / "chromium", cache / ".chromium.new"
    debian.fetch_own(["chromium-headless-shell", "fonts-dejavu-core"], fresh, report)
    binary = Path("usr/lib/chromium/chromium-headless-shell")
    if not (fresh / binary).exists():
        shutil.rmtree(fresh)
        raise debian.CannotFetch("this machine's Debian suite has no package of Chromium")
    triplet = f"{platform.machine()}-linux-gnu"
    folders = [f"usr/lib/{triplet}", f"lib/{triplet}", "usr/lib/chromium"]
    # Some libraries are one folder deeper. Maintainer scripts or alternatives would link them.
    deeper = [path for path in sorted((fresh / folders[0]).glob("*/")) if any(path.glob("*.so*"))]
    folders += [str(path.relative_to(fresh)) for path in deeper]
    (fresh / "fonts.conf").write_text(FONTS)
    description = {
        "binary": str(binary),
        "library_path": [folder for folder in folders if (fresh / folder).is_dir()],
        "fonts": "fonts.conf",
    }
    (fresh / "chromium.json").write_text(json.dumps(description, indent=1) + "\n")
    if target.exists():
        shutil.rmtree(target)
    fresh.rename(target)
