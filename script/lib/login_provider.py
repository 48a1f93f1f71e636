"""Canaille, the OpenID Connect provider of the tests: a real one, in a virtual environment of its own."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from . import debian

CACHE = Path(__file__).resolve().parents[2] / ".cache"
REQUIREMENTS = Path(__file__).with_name("login-provider.txt")
HOME = "login-provider"
STAMP = "installed"


class NoLoginProvider(Exception):
    """The provider is not installed. The message says how to get it."""


def find_python(cache: Path = CACHE) -> Path:
    """Return the Python that has the provider. Raises NoLoginProvider, also if other versions are wanted now."""
    home = cache / HOME
    try:
        if (home / STAMP).read_text() == _wanted():
            return home / "bin/python"
    except FileNotFoundError:
        pass
    raise NoLoginProvider("no OpenID Connect provider (script/bootstrap --tests installs it)")


def fetch(cache: Path, report: Callable[[str], None]) -> None:
    """Install the provider into the cache. Raises debian.CannotFetch."""
    home = cache / HOME
    shutil.rmtree(home, ignore_errors=True)
    base = getattr(sys, "_base_executable", sys.executable)
    report("creating an environment")
    _run([base, "-m", "venv", str(home)])
    report("installing packages")
    pip = [str(home / "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
    _run([*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(REQUIREMENTS)])
    (home / STAMP).write_text(_wanted())


def _wanted() -> str:
    return hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()


def _run(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        raise debian.CannotFetch((lines or [f"{command[0]} failed"])[-1])
