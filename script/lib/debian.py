"""A private apt: fetch Debian packages of any suite into a folder, without root and without touching the system.

Nothing is installed and no maintainer script runs: apt resolves and downloads into folders of ours, and
``dpkg-deb -x`` unpacks. The packages are verified by the machine's own debian-archive-keyring and come from the
mirror which the machine's apt already uses.
"""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-removed-keys.gpg"),
)
UPDATE_SECONDS = 180
DOWNLOAD_SECONDS = 900


class CannotFetch(Exception):
    """Why a package can't be had, in one line for the person who reads it."""


def fetch(suite: str, packages: list[str], target: Path, report: Callable[[str], None]) -> None:
    """Unpack `packages` of `suite` with all they depend on into the new folder `target`.

    Raises CannotFetch when the machine has no apt, no keyring, or no mirror that serves the suite.
    """
    _check_tools()
    target.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    for mirror in mirrors():
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as work:
            apt = _PrivateApt(Path(work), mirror, suite)
            failure = apt.update()
            if failure:
                failures.append(failure)
                continue
            apt.download(packages, report)
            apt.unpack(target, report)
            return
    reason = failures[-1] if failures else "apt knows no mirror"
    raise CannotFetch(f"suite {suite} isn't served by this machine's mirror ({reason})")


def mirrors() -> list[str]:
    """Addresses of the archives that the machine's apt uses, those that look like Debian's main archive first."""
    listing = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)|$(ORIGIN)|$(LABEL)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        env=_plain_environment(),
    )
    ranked: dict[str, int] = {}
    for line in listing.stdout.splitlines():
        uri, origin, label = (part.strip() for part in line.split("|"))
        if origin and label != "Debian":  # known, and not Debian's main archive (security, another vendor)
            continue
        ranked[uri] = 0 if label == "Debian" else 1 if uri.rstrip("/").endswith("/debian") else 2
    return sorted(ranked, key=lambda uri: ranked[uri])


def _check_tools() -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if not shutil.which(tool):
            raise CannotFetch(f"{tool} isn't here: this works on Debian and its children only")
    if not KEYRINGS[0].exists():
        raise CannotFetch(f"{KEYRINGS[0]} is missing: install debian-archive-keyring")


def _plain_environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}


class _PrivateApt:
    def __init__(self, work: Path, mirror: str, suite: str):
        self.work, self.suite = work, suite
        for folder in ("state/lists/partial", "cache/archives/partial", "etc"):
            (work / folder).mkdir(parents=True)
        (work / "status").touch()
        keyrings = ",".join(str(path) for path in KEYRINGS if path.exists())
        (work / "etc/sources.list").write_text(f"deb [signed-by={keyrings}] {mirror} {suite} main\n")
        self.log = work / "log"
        options = {
            "Dir::State": work / "state",
            "Dir::State::status": work / "status",
            "Dir::Cache": work / "cache",
            "Dir::Etc": work / "etc",
            "Dir::Etc::sourcelist": work / "etc/sources.list",
            "Dir::Etc::sourceparts": "-",
            "Dir::Etc::preferencesparts": "-",
            "Acquire::Check-Valid-Until": "false",  # an archived suite is no longer signed anew
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "",
        }
        self.command = ["apt-get", "-q"]
        for name, value in options.items():
            self.command += ["-o", f"{name}={value}"]

    def update(self) -> str:
        """Fetch the suite's index; the reason in words if that fails, otherwise an empty string."""
        result = subprocess.run(
            [*self.command, "-o", "APT::Update::Error-Mode=any", "update"],
            capture_output=True,
            text=True,
            env=_plain_environment(),
            timeout=UPDATE_SECONDS,
        )
        if result.returncode == 0:
            return ""
        errors = [line for line in result.stderr.splitlines() if line.startswith("E:")]
        return (errors or ["apt-get update failed"])[0].removeprefix("E: ")

    def download(self, packages: list[str], report: Callable[[str], None]) -> None:
        archives = self.work / "cache/archives"
        with self.log.open("w") as log:
            process = subprocess.Popen(
                [*self.command, "-y", "--download-only", "install", *packages],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=_plain_environment(),
            )
            deadline = time.monotonic() + DOWNLOAD_SECONDS
            while process.poll() is None:
                try:
                    process.wait(1)
                except subprocess.TimeoutExpired:
                    debs = list(archives.glob("*.deb"))
                    report(f"{len(debs)} packages, {sum(d.stat().st_size for d in debs) // 1_000_000} MB")
                if time.monotonic() > deadline:
                    process.kill()
        if process.returncode != 0:
            errors = [line for line in self.log.read_text().splitlines() if line.startswith("E:")]
            raise CannotFetch(f"{' '.join(packages)} of {self.suite}: {(errors or ['download failed'])[0]}")

    def unpack(self, target: Path, report: Callable[[str], None]) -> None:
        debs = sorted((self.work / "cache/archives").glob("*.deb"))
        report(f"unpacking {len(debs)} packages")
        root = self.work / "root"
        root.mkdir()
        for deb in debs:
            subprocess.run(["dpkg-deb", "-x", deb, root], check=True, capture_output=True)
        if target.exists():
            shutil.rmtree(target)
        root.rename(target)
