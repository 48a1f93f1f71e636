"""Fetch a real Asterisk for the tests and the demo, and describe how to start it without installing it."""

import json
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from . import debian

SUITES = {22: "forky", 16: "bullseye"}  # the Debian release of each major version
DESCRIPTOR = "asterisk.json"


def descriptor_path(cache: Path, major: int) -> Path:
    """Return the path of the description of a fetched version."""
    return cache / f"asterisk-{major}" / DESCRIPTOR


def is_fetched(cache: Path, major: int) -> bool:
    """Return whether this version is complete in the cache, or installed and not removed since."""
    try:
        described = json.loads(descriptor_path(cache, major).read_text())
    except FileNotFoundError:
        return False
    return (cache / f"asterisk-{major}" / str(described["binary"])).exists()


def fetch(cache: Path, major: int, report: Callable[[str], None]) -> str:
    """Create `asterisk-<major>` in the cache and return the exact version. Raises debian.CannotFetch."""
    target = cache / f"asterisk-{major}"
    fresh = cache / f".asterisk-{major}.new"
    debian.fetch(SUITES[major], ["asterisk", "asterisk-core-sounds-en"], fresh, report)
    voices = fresh / "usr/share/asterisk/sounds"
    if not (voices / "en").exists():
        (voices / "en").symlink_to("en_US_f_Allison")  # the package's maintainer script would do this
    _write_descriptor(fresh, _describe(fresh, major))
    if target.exists():
        shutil.rmtree(target)
    fresh.rename(target)
    return str(json.loads((target / DESCRIPTOR).read_text())["version"])


def use_installed(cache: Path, major: int) -> str | None:
    """Describe the installed Asterisk and return its version. Return None if there is none of this major version."""
    binary = shutil.which("asterisk") or shutil.which("asterisk", path="/usr/sbin:/usr/local/sbin")
    if not binary:
        return None
    answer = subprocess.run([binary, "-V"], capture_output=True, text=True).stdout
    version = re.search(r"(\d+)\.[\d.]+", answer)
    folders = [Path("/usr/lib") / f"{platform.machine()}-linux-gnu/asterisk/modules", Path("/usr/lib/asterisk/modules")]
    modules = next((folder for folder in folders if folder.is_dir()), None)
    if not version or not modules or (major == 16) != (int(version[1]) < 18):
        return None
    target = cache / f"asterisk-{major}"
    target.mkdir(parents=True, exist_ok=True)
    description: dict[str, object] = {
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
    """Return the description. Its paths are relative to the folder, so the cache can be moved or linked."""

    def inside(path: Path) -> str:
        return str(path.relative_to(root))

    triplet = f"{platform.machine()}-linux-gnu"
    # Bullseye's link /lib64/ld-linux is absolute and leads out of the folder, so the real file comes first.
    loaders = [*root.glob(f"lib/{triplet}/ld-2*.so"), *root.glob(f"usr/lib/{triplet}/ld-linux-*.so.*")]
    loaders += root.glob(f"lib/{triplet}/ld-linux-*.so.*")
    folders = [f"lib/{triplet}", f"usr/lib/{triplet}", "usr/lib", "lib"]
    modules = [root / f"usr/lib/{triplet}/asterisk/modules", root / "usr/lib/asterisk/modules"]
    found = next((folder for folder in modules if folder.is_dir()), None)
    if not loaders or found is None:
        raise debian.CannotFetch(f"the packages of {SUITES[major]} do not have the expected folders")
    description: dict[str, object] = {
        "loader": inside(loaders[0]),
        "library_path": [folder for folder in folders if (root / folder).is_dir()],
        "binary": "usr/sbin/asterisk",
        "modules": inside(found),
        "data": "usr/share/asterisk",
    }
    libraries = ":".join(str(root / folder) for folder in folders)
    command: list[str | Path] = [loaders[0], "--library-path", libraries, root / "usr/sbin/asterisk", "-V"]
    answer = subprocess.run(command, capture_output=True, text=True)
    version = re.search(r"\d+\.[\d.]+", answer.stdout)
    if not version or not version[0].startswith(f"{major}."):
        raise debian.CannotFetch(
            f"asterisk {major} does not start on this machine: {(answer.stderr or answer.stdout).strip()[:200]}"
        )
    return {"version": version[0], **description}


def _write_descriptor(folder: Path, description: dict[str, object]) -> None:
    (folder / DESCRIPTOR).write_text(json.dumps(description, indent=1) + "\n")
