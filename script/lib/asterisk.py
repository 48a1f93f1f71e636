"""Fetch a real Asterisk for the tests and the demo, and describe how it is started without being installed."""

import json
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from . import debian

SUITES = {22: "forky", 16: "bullseye"}  # the Debian releases that carry these versions
DESCRIPTOR = "asterisk.json"


def descriptor_path(cache: Path, major: int) -> Path:
    """Where the description of this version lies once it has been fetched."""
    return cache / f"asterisk-{major}" / DESCRIPTOR


def is_fetched(cache: Path, major: int) -> bool:
    """Whether this version is there, whole, and not an installed one that has been removed since."""
    try:
        described = json.loads(descriptor_path(cache, major).read_text())
    except FileNotFoundError:
        return False
    return (cache / f"asterisk-{major}" / described["binary"]).exists()


def fetch(cache: Path, major: int, report: Callable[[str], None]) -> str:
    """Make `asterisk-<major>` in the cache; returns the exact version. Raises debian.CannotFetch."""
    target = cache / f"asterisk-{major}"
    fresh = cache / f".asterisk-{major}.new"
    debian.fetch(SUITES[major], ["asterisk", "asterisk-core-sounds-en"], fresh, report)
    voices = fresh / "usr/share/asterisk/sounds"
    if not (voices / "en").exists():
        (voices / "en").symlink_to("en_US_f_Allison")  # what the package's maintainer script would do
    _write_descriptor(fresh, _describe(fresh, major))
    if target.exists():
        shutil.rmtree(target)
    fresh.rename(target)
    return str(json.loads((target / DESCRIPTOR).read_text())["version"])


def use_installed(cache: Path, major: int) -> str | None:
    """Describe the system's own Asterisk instead, if there is one; returns its version."""
    binary = shutil.which("asterisk") or shutil.which("asterisk", path="/usr/sbin:/usr/local/sbin")
    if not binary:
        return None
    answer = subprocess.run([binary, "-V"], capture_output=True, text=True).stdout
    version = re.search(r"(\d+)\.[\d.]+", answer)
    places = [Path("/usr/lib") / f"{platform.machine()}-linux-gnu/asterisk/modules", Path("/usr/lib/asterisk/modules")]
    modules = next((place for place in places if place.is_dir()), None)
    if not version or not modules or (major == 16) != (int(version[1]) < 18):
        return None
    target = cache / f"asterisk-{major}"
    target.mkdir(parents=True, exist_ok=True)
    description = {
        "version": version[0],
        "loader": None,
        "library_path": [],
        "binary": binary,
        "modules": str(modules),
        "data": "/usr/share/asterisk",
    }
    _write_descriptor(target, description)
    return version[0]


def _describe(root: Path, major: int) -> dict[str, object]:
    """Paths relative to the descriptor, so that the cache can be moved or linked."""

    def inside(path: Path) -> str:
        return str(path.relative_to(root))

    triplet = f"{platform.machine()}-linux-gnu"
    # Bullseye's /lib64/ld-linux link is absolute and would leave the folder: take the real file first.
    loaders = [*root.glob(f"lib/{triplet}/ld-2*.so"), *root.glob(f"usr/lib/{triplet}/ld-linux-*.so.*")]
    loaders += root.glob(f"lib/{triplet}/ld-linux-*.so.*")
    folders = [f"lib/{triplet}", f"usr/lib/{triplet}", "usr/lib", "lib"]
    modules = [root / f"usr/lib/{triplet}/asterisk/modules", root / "usr/lib/asterisk/modules"]
    found = next((folder for folder in modules if folder.is_dir()), None)
    if not loaders or found is None:
        raise debian.CannotFetch(f"the packages of {SUITES[major]} don't lie where they are expected")
    description: dict[str, object] = {
        "loader": inside(loaders[0]),
        "library_path": [folder for folder in folders if (root / folder).is_dir()],
        "binary": "usr/sbin/asterisk",
        "modules": inside(found),
        "data": "usr/share/asterisk",
    }
    libraries = ":".join(str(root / folder) for folder in folders)
    command = [loaders[0], "--library-path", libraries, root / "usr/sbin/asterisk", "-V"]
    answer = subprocess.run(command, capture_output=True, text=True)
    version = re.search(r"\d+\.[\d.]+", answer.stdout)
    if not version or not version[0].startswith(f"{major}."):
        raise debian.CannotFetch(
            f"asterisk {major} doesn't start here: {(answer.stderr or answer.stdout).strip()[:200]}"
        )
    return {"version": version[0], **description}


def _write_descriptor(folder: Path, description: dict[str, object]) -> None:
    (folder / DESCRIPTOR).write_text(json.dumps(description, indent=1) + "\n")
