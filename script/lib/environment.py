"""Create the virtual environment, install the Python packages and compile the translations."""

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
    """There is no Python environment. The message is the reason."""


def prepare(root: Path, requirements: str) -> None:
    """Install the packages of `requirements` (a locked file) into `.venv` and verify their hashes.

    Return at once if they are installed: a stamp file in the environment has the hash of `requirements`. Raises
    CannotInstall.
    """
    home = root / ".venv"
    if home.is_symlink():  # clearing it would clear the environment of another clone
        raise CannotInstall(f"{home} is a link. Remove it and run this again: each clone needs its own environment")
    stamp = _Stamp(home)
    if not _is_usable(home) or stamp.location not in (
        None,
        str(home),
    ):  # the commands of a moved environment have wrong paths
        _create(home)
        stamp = _Stamp(home)
    wanted = _hash(root / requirements)
    if wanted in stamp.installed:
        return
    _install(root, requirements)
    # The requirements of the tests include those of the product at the same versions.
    stamp.save({wanted, _hash(root / "requirements.txt")})


def compile_translations(root: Path) -> str:
    """Compile the catalogues that have changed. Return the reason if this fails, otherwise ""."""
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
        f"cannot compile the translations: {_last_line(result.stderr)} (.venv/bin/pybabel compile -d app/translations)"
    )


class _Stamp:
    """The stamp file: what is installed in the environment, and where the environment was created."""

    def __init__(self, home: Path) -> None:
        self.home, self.path = home, home / STAMP
        try:
            values = json.loads(self.path.read_text())
        except (FileNotFoundError, ValueError):
            values = {}
        self.location: str | None = values.get("place")
        self.installed = set(values.get("installed", []))

    def save(self, installed: set[str]) -> None:
        self.path.write_text(json.dumps({"place": str(self.home), "installed": sorted(installed)}) + "\n")


def _is_usable(home: Path) -> bool:
    command: list[str | Path] = [home / "bin/python", "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


def _create(home: Path) -> None:
    progress = Progress("Virtual environment")
    progress.report("creating")
    base = getattr(sys, "_base_executable", sys.executable)  # this may run inside the environment that is replaced
    result = subprocess.run([base, "-m", "venv", "--clear", home], capture_output=True, text=True)
    if result.returncode != 0:
        progress.failed()
        raise CannotInstall(f"cannot create {home}: {_last_line(result.stderr or result.stdout)}")
    version = ".".join(map(str, sys.version_info[:3]))
    progress.done(f"Python {version}")


def _install(root: Path, requirements: str) -> None:
    total = sum(line[:1].isalnum() for line in (root / requirements).read_text().splitlines())
    progress = Progress("Python packages")
    progress.report(f"0 of {total}")
    python = root / ".venv/bin/python"
    command: list[str | Path]
    if uv := shutil.which("uv"):
        command = [uv, "pip", "install", "--python", python, "--require-hashes", "-r", requirements]
    else:
        if subprocess.run([python, "-m", "pip", "--version"], capture_output=True).returncode != 0:
            _create(python.parents[1])  # the creation of the environment was interrupted
        options = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
        command = [python, "-m", "pip", "install", *options, "--require-hashes", "-r", requirements]
    output, seen = [], 0
    with subprocess.Popen(
        command, cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        ticking = threading.Event()
        state = {"text": f"0 of {total}"}

        def tick() -> None:  # uv, and pip with a large package, print nothing for a long time
            while not ticking.wait(1):
                progress.report(state["text"])

        ticker = threading.Thread(target=tick, daemon=True)
        ticker.start()
        for line in process.stdout:
            output.append(line)
            if line.startswith(("Collecting ", "Requirement already satisfied")):
                seen += 1
                state["text"] = f"{min(seen, total)} of {total}"
            elif line.startswith("Installing collected"):
                state["text"] = f"unpacking {total}"
        ticking.set()
        ticker.join()
    if process.returncode != 0:
        progress.failed()
        errors = [line for line in output if line.lower().startswith("error")]
        reason = "".join(errors or output[-12:]).strip()
        raise CannotInstall(f"cannot install the packages of {requirements}:\n{reason}")
    progress.done(f"{total} of {requirements}")


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_newer(product: Path, source: Path) -> bool:
    return product.exists() and product.stat().st_mtime >= source.stat().st_mtime


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]
