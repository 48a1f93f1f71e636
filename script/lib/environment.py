"""The virtual environment, the Python packages in it and the compiled translations."""

import hashlib
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

from .progress import Progress

STAMP = "bootstrap.json"


class CannotInstall(Exception):
    """Why there is no Python environment, for the person who reads it."""


def prepare(root: Path, requirements: str) -> None:
    """Make `.venv` hold exactly what `requirements` (a locked file) names, verified by its hashes.

    Takes no time if it already does: a stamp in the environment keeps the file's hash. Raises CannotInstall.
    """
    home = root / ".venv"
    if home.is_symlink():  # to clear it would clear another clone's
        raise CannotInstall(f"{home} is a link: remove it, and each clone gets an environment of its own")
    stamp = _Stamp(home)
    if not _works(home) or stamp.place not in (None, str(home)):  # a moved environment's commands point elsewhere
        _make(home)
        stamp = _Stamp(home)
    wanted = _hash(root / requirements)
    if wanted in stamp.installed:
        return
    _install(root, requirements)
    # The tests' packages are locked upon the product's: who has those has these.
    stamp.save({wanted, _hash(root / "requirements.txt")})


def compile_translations(root: Path) -> str:
    """Compile the catalogues that are newer than what was made of them; the reason in words if that fails."""
    catalogues = list((root / "app/translations").glob("*/LC_MESSAGES/*.po"))
    if all(_is_newer(path.with_suffix(".mo"), path) for path in catalogues):
        return ""
    result = subprocess.run(
        [root / ".venv/bin/python", "-m", "babel.messages.frontend", "compile", "-d", "app/translations"],
        cwd=root,
        capture_output=True,
        text=True,
    )
    if result.returncode == 0:
        return ""
    return (
        f"translations don't compile: {_last_line(result.stderr)} (see: .venv/bin/pybabel compile -d app/translations)"
    )


class _Stamp:
    """What was installed into the environment, and where the environment was then."""

    def __init__(self, home: Path) -> None:
        self.home, self.path = home, home / STAMP
        try:
            kept = json.loads(self.path.read_text())
        except (FileNotFoundError, ValueError):
            kept = {}
        self.place: str | None = kept.get("place")
        self.installed = set(kept.get("installed", []))

    def save(self, installed: set[str]) -> None:
        self.path.write_text(json.dumps({"place": str(self.home), "installed": sorted(installed)}) + "\n")


def _works(home: Path) -> bool:
    command = [home / "bin/python", "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


def _make(home: Path) -> None:
    progress = Progress("Virtual environment")
    progress.report("making it")
    base = getattr(sys, "_base_executable", sys.executable)  # we may run inside the one that is being replaced
    result = subprocess.run([base, "-m", "venv", "--clear", home], capture_output=True, text=True)
    if result.returncode != 0:
        progress.failed()
        raise CannotInstall(f"{home} can't be made: {_last_line(result.stderr or result.stdout)}")
    version = ".".join(map(str, sys.version_info[:3]))
    progress.done(f"Python {version}")


def _install(root: Path, requirements: str) -> None:
    total = sum(line[:1].isalnum() for line in (root / requirements).read_text().splitlines())
    progress = Progress("Python packages")
    progress.report(f"0 of {total}")
    python = root / ".venv/bin/python"
    if uv := shutil.which("uv"):
        command = [uv, "pip", "install", "--python", python, "--require-hashes", "-r", requirements]
    else:
        if subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode != 0:
            _make(python.parents[1])  # an environment whose making was interrupted
        options = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
        command = [python, "-m", "pip", "install", *options, "--require-hashes", "-r", requirements]
    said, seen = [], 0
    with subprocess.Popen(
        command, cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        ticking = threading.Event()
        how_far = {"text": f"0 of {total}"}

        def tick() -> None:  # a large package, or uv, says nothing for long
            while not ticking.wait(1):
                progress.report(how_far["text"])

        ticker = threading.Thread(target=tick, daemon=True)
        ticker.start()
        for line in process.stdout:
            said.append(line)
            if line.startswith(("Collecting ", "Requirement already satisfied")):
                seen += 1
                how_far["text"] = f"{min(seen, total)} of {total}"
            elif line.startswith("Installing collected"):
                how_far["text"] = f"unpacking {total}"
        ticking.set()
        ticker.join()
    if process.returncode != 0:
        progress.failed()
        errors = [line for line in said if line.lower().startswith("error")]
        reason = "".join(errors or said[-12:]).strip()
        raise CannotInstall(f"the packages of {requirements} can't be installed:\n{reason}")
    progress.done(f"{total} of {requirements}")


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_newer(product: Path, source: Path) -> bool:
    return product.exists() and product.stat().st_mtime >= source.stat().st_mtime


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]
