"""Prepare a clone to run. script/bootstrap finds the Python for this module."""

import argparse
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from . import asterisk, chromium, debian, environment, login_provider, postgresql
from .package_files import CADDY, FAKETIME, NGINX, SLAPD, SYSTEMD_ANALYZE, NoPackageFile, PackageFile
from .progress import Progress

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"


def main() -> int:
    """Prepare the clone and print what is missing. Return 1 only if there is no Python environment."""
    parser = argparse.ArgumentParser(prog="script/bootstrap", description=__doc__)
    parser.add_argument("--tests", action="store_true", help="also fetch what script/test needs")
    parser.add_argument(
        "--packages-only", action="store_true", help="install Python packages only: no Asterisk, browser or PostgreSQL"
    )
    arguments = parser.parse_args()
    try:
        with _bootstrap_lock():
            missing = _prepare(arguments.tests, arguments.packages_only)
    except (environment.CannotInstall, OSError) as error:
        print(f"script/bootstrap: {error}", file=sys.stderr)
        return 1
    for line in missing:
        print(f"Missing: {line}")
    return 0


def _prepare(tests: bool, packages_only: bool) -> list[str]:
    environment.prepare(ROOT, "requirements-dev.txt" if tests else "requirements.txt")
    steps: list[Callable[[], str]] = [lambda: environment.compile_translations(ROOT)]
    if not packages_only:
        steps.append(lambda: _asterisk(22))
    if tests and not packages_only:
        steps += [lambda: _asterisk(16), _chromium, _postgresql, _login_provider]
        steps += [partial(_package_file, file) for file in (FAKETIME, SYSTEMD_ANALYZE, NGINX, CADDY, SLAPD)]
    return [reason for step in steps if (reason := step())]


def _asterisk(major: int) -> str:
    if asterisk.is_fetched(CACHE, major):
        return ""
    progress = Progress(f"Asterisk {major}")
    version = ""

    def fetch() -> None:
        nonlocal version
        version = asterisk.fetch(CACHE, major, progress.report)

    reason = _try(fetch)
    if reason:
        version = asterisk.use_installed(CACHE, major) or ""
    if version:
        progress.done(version)
        return ""
    progress.failed()
    return f"Asterisk {major}: {reason}. Install a package `asterisk` of that version, then run script/bootstrap again"


def _chromium() -> str:
    if _is_found(chromium.find_chromium, chromium.NoBrowser):
        return ""
    progress = Progress("Chromium")
    reason = "only root can install packages with apt-get"
    if os.geteuid() == 0:
        # Some suites have no headless shell.
        reason = _try(lambda: debian.install(["chromium-headless-shell"], progress.report)) and _try(
            lambda: debian.install(["chromium"], progress.report)
        )
    if reason:
        reason = _try(lambda: chromium.fetch(CACHE, progress.report))
    if not reason and _is_found(chromium.find_chromium, chromium.NoBrowser):
        progress.done("ready")
        return ""
    progress.failed()
    return (
        f"Chromium: {reason}. Install a package `chromium` (or Google Chrome), then run script/bootstrap --tests again"
    )


def _postgresql() -> str:
    return _fetch(
        "PostgreSQL", "postgresql", lambda: _is_found(postgresql.find_programs, postgresql.NoPostgres), postgresql.fetch
    )


def _login_provider() -> str:
    if _is_found(login_provider.find_python, login_provider.NoLoginProvider):
        return ""
    progress = Progress("OpenID Connect provider")
    reason = _try(lambda: login_provider.fetch(CACHE, progress.report))
    if not reason:
        progress.done("ready")
        return ""
    progress.failed()
    return f"OpenID Connect provider: {reason}. Run script/bootstrap --tests again when PyPI can be reached"


def _package_file(file: PackageFile) -> str:
    return _fetch(file.path.name, file.package, lambda: _is_found(file.find, NoPackageFile), file.fetch)


def _fetch(
    title: str, package: str, is_found: Callable[[], bool], fetch: Callable[[Path, Callable[[str], None]], object]
) -> str:
    """Fetch what is missing into the cache. Return what to do if that fails, in one line."""
    if is_found():
        return ""
    progress = Progress(title)
    reason = _try(lambda: fetch(CACHE, progress.report))
    if not reason:
        progress.done("ready")
        return ""
    progress.failed()
    return f"{title}: {reason}. Install a package `{package}`, then run script/bootstrap --tests again"


def _is_found(find: Callable[[], object], missing: type[Exception]) -> bool:
    try:
        find()
    except missing:
        return False
    return True


def _try(fetch: Callable[[], object]) -> str:
    """Return the reason of a failure in one line, or "". A failure must not stop the rest of the bootstrap."""
    try:
        fetch()
    except debian.CannotFetch as error:
        return str(error)
    except (OSError, subprocess.SubprocessError) as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return ""


@contextmanager
def _bootstrap_lock() -> Iterator[None]:
    """Allow one bootstrap of this clone at a time. A second one waits."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "bootstrap.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Waiting for another script/bootstrap of this clone", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
