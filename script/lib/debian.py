"""Fetch Debian packages into a folder, without root and without a change of the system.

Nothing is installed and no maintainer script runs. apt resolves and downloads into folders of ours, and
``dpkg-deb -x`` unpacks. Packages of another suite come from the mirror that the machine's apt uses, and the machine's
debian-archive-keyring verifies them. Packages of the machine's own suite come from the machine's sources.
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
    """A package cannot be fetched. The message is the reason in one line."""


def fetch(suite: str, packages: list[str], target: Path, report: Callable[[str], None]) -> None:
    """Unpack `packages` of `suite` and their dependencies into the new folder `target`.

    Raises CannotFetch if the machine has no apt, no keyring, or no mirror with the suite.
    """
    _check_tools()
    if not KEYRINGS[0].exists():
        raise CannotFetch(f"{KEYRINGS[0]} is missing: install debian-archive-keyring")
    target.parent.mkdir(parents=True, exist_ok=True)
    failures = []
    for mirror in mirrors():
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as work:
            report("reading the index")
            apt = _PrivateApt.of_suite(Path(work), mirror, suite)
            failure = apt.update()
            if failure:
                failures.append(failure)
                continue
            apt.download(packages, report)
            apt.unpack(target, report)
            return
    reason = failures[-1] if failures else "apt has no mirror"
    raise CannotFetch(f"suite {suite} is not available on this machine's mirror ({reason})")


def fetch_own(packages: list[str], target: Path, report: Callable[[str], None]) -> None:
    """Unpack `packages` of the machine's own suite, and the dependencies that are not installed, into `target`.

    They run with the libraries of the machine and those in `target`. Raises CannotFetch.
    """
    _check_tools()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as work:
        report("reading the index")
        apt = _PrivateApt.of_machine(Path(work))
        if failure := apt.update():
            raise CannotFetch(f"apt cannot update its index ({failure})")
        apt.download(packages, report)
        apt.unpack(target, report)


def install(packages: list[str], report: Callable[[str], None]) -> None:
    """Install `packages` on the machine. Only root can do this. Raises CannotFetch."""
    _check_tools()
    for arguments in (["update"], ["-y", "--no-install-recommends", "install", *packages]):
        last = _run_apt(["apt-get", "-q", *arguments], report)
        if last and arguments[0] != "update":  # one broken source must not stop the installation
            raise CannotFetch(f"apt-get install {' '.join(packages)}: {last}")


def mirrors() -> list[str]:
    """Return the URLs of the archives that the machine's apt uses, Debian's main archive first."""
    listing = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)|$(ORIGIN)|$(LABEL)", "Created-By: Packages"],
        capture_output=True,
        text=True,
        env=_plain_environment(),
    )
    ranked: dict[str, int] = {}
    for line in listing.stdout.splitlines():
        uri, origin, label = (part.strip() for part in line.split("|"))
        if origin and label != "Debian":  # not Debian's main archive (security updates, another vendor)
            continue
        ranked[uri] = 0 if label == "Debian" else 1 if uri.rstrip("/").endswith("/debian") else 2
    return sorted(ranked, key=lambda uri: ranked[uri])


def _check_tools() -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if not shutil.which(tool):
            raise CannotFetch(f"{tool} is missing: this works only on Debian and its derivatives")


def _plain_environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}


def _run_apt(command: list[str], report: Callable[[str], None]) -> str:
    """Run apt and report its progress. Return the reason if it fails, otherwise ""."""
    report("running apt")
    with subprocess.Popen(
        [*command, "-o", "APT::Status-Fd=1", "-o", "DPkg::Lock::Timeout=300"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=_plain_environment(),
    ) as process:
        assert process.stdout is not None
        reason = "it failed"
        for line in process.stdout:
            match line.split(":", 3):
                case ["dlstatus", _, percent, _]:
                    report(f"downloading, {float(percent):.0f} %")
                case ["pmstatus", _, percent, _]:
                    report(f"installing, {float(percent):.0f} %")
                case ["E", *rest]:
                    reason = ":".join(rest).strip()
    return reason if process.returncode else ""


class _PrivateApt:
    def __init__(self, work: Path, suite: str):
        self.work, self.suite = work, suite
        for folder in ("state/lists/partial", "cache/archives/partial", "etc"):
            (work / folder).mkdir(parents=True)
        self.log = work / "log"
        self.command = ["apt-get", "-q"]
        self._set(
            {
                "Dir::State": work / "state",
                "Dir::State::status": work / "status",
                "Dir::Cache": work / "cache",
                "Acquire::Languages": "none",
                "Acquire::Retries": "3",
                "APT::Install-Recommends": "false",
                "APT::Sandbox::User": "",
            }
        )

    @classmethod
    def of_suite(cls, work: Path, mirror: str, suite: str) -> "_PrivateApt":
        """Return an apt with a single suite and without installed packages."""
        apt = cls(work, suite)
        (work / "status").touch()
        keyrings = ",".join(str(path) for path in KEYRINGS if path.exists())
        (work / "etc/sources.list").write_text(f"deb [signed-by={keyrings}] {mirror} {suite} main\n")
        apt._set(
            {
                "Dir::Etc": work / "etc",
                "Dir::Etc::sourcelist": work / "etc/sources.list",
                "Dir::Etc::sourceparts": "-",
                "Dir::Etc::preferencesparts": "-",
                "Acquire::Check-Valid-Until": "false",  # the signature of an archived suite is not renewed
                "APT::Update::Error-Mode": "any",
            }
        )
        return apt

    @classmethod
    def of_machine(cls, work: Path) -> "_PrivateApt":
        """Return an apt with the machine's sources and installed packages. It fetches only missing packages."""
        apt = cls(work, "this machine's suite")
        # apt locks the folder of this file, and only root may lock dpkg's folder, so apt gets a copy.
        shutil.copyfile("/var/lib/dpkg/status", work / "status")
        return apt

    def _set(self, options: dict[str, object]) -> None:
        for name, value in options.items():
            self.command += ["-o", f"{name}={value}"]

    def update(self) -> str:
        """Fetch the index of the suite. Return the reason if this fails, otherwise ""."""
        result = subprocess.run(
            ["timeout", str(UPDATE_SECONDS), *self.command, "update"],
            capture_output=True,
            text=True,
            env=_plain_environment(),
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
