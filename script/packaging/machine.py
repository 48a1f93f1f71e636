"""A Debian system of its own, with its own systemd: made by mmdebstrap, run by systemd-nspawn.

It shares the network of this process, so the whole process should be in a network of its own (`unshare --net`).
"""

import os
import re
import select
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

from script.lib.package_files import CACHE, MMDEBSTRAP, NSPAWN, NoPackageFile
from script.office.patience import PATIENCE

# What a Debian system has anyway, and what the package depends on, so that nothing is downloaded with it.
PACKAGES = ("systemd", "systemd-sysv", "dbus", "adduser", "ca-certificates", "python3")


class MachineFailed(Exception):
    """The system cannot be made or started, or a command failed in it. The message has the end of its output."""


def make_root(suite: str, mirror: str, folder: Path) -> None:
    """Make the root file system of a Debian suite in a new folder. Raises MachineFailed."""
    command = [str(MMDEBSTRAP.find()), "--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    done = subprocess.run([*command, suite, str(folder), mirror], capture_output=True, text=True)
    if done.returncode != 0:
        raise MachineFailed(f"mmdebstrap {suite}: {done.stderr.strip()[-1500:]}")


class Machine:
    """A running system. Use `with`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._log = root.with_suffix(".log")
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def __enter__(self) -> Self:
        command = [str(NSPAWN.find()), "--quiet", "-D", str(self.root), "--register=no", "--keep-unit"]
        command += ["--console=pipe", "--notify-ready=yes", "--boot"]
        address = self.root.with_suffix(".notify")
        address.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices, self._log.open("wb") as log:
            notices.bind(str(address))
            environment = {**NSPAWN.environment(), "NOTIFY_SOCKET": str(address)}
            self._nspawn = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
            try:
                self._wait_until_booted(notices)
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        process, self._nspawn = self._nspawn, None
        if process is None:
            return
        process.terminate()  # nspawn shuts the system down
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def run(self, *command: str, given: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command as root in the system. Raises MachineFailed if it fails and `check` is true."""
        done = subprocess.run(
            ["nsenter", f"--target={self._leader}", "--mount", "--uts", "--ipc", "--pid", "--", *command],
            input=given,
            capture_output=True,
            text=True,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
        )
        if check and done.returncode != 0:
            raise MachineFailed(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def output(self, *command: str) -> str:
        """Run a command and return what it prints, without the last line end."""
        return self.run(*command).stdout.rstrip("\n")

    def property(self, unit: str, name: str) -> str:
        """Return a property of a unit of systemd."""
        return self.output("systemctl", "show", "--value", f"--property={name}", unit)

    def find(self, pattern: str) -> list[str]:
        """Return the paths with names of this pattern, without what is no file of a disk."""
        places: Sequence[str] = ("/etc", "/usr", "/var", "/opt", "/srv", "/home", "/root")
        found = self.output("find", *places, "-xdev", "-name", pattern).splitlines()
        return sorted(path for path in found if not path.startswith("/var/log/"))

    def _wait_until_booted(self, notices: socket.socket) -> None:
        """Wait for what nspawn tells: the process of the system's systemd, and that it has booted."""
        for notice in self._read_notices(notices):
            if found := re.search(r"^X_NSPAWN_LEADER_PID=(\d+)$", notice, re.MULTILINE):
                self._leader = int(found[1])
            if self._leader and "READY=1" in notice.splitlines():
                return
        log = re.sub(r"\x1b\[[0-9;]*m", "", self._log.read_text(errors="replace"))
        raise MachineFailed(f"the system did not start:\n{log[-1500:]}")

    def _read_notices(self, notices: socket.socket) -> Iterator[str]:
        """Yield what nspawn tells, until it ends or the patience does."""
        assert self._nspawn is not None
        ended = os.pidfd_open(self._nspawn.pid)
        try:
            deadline = time.monotonic() + PATIENCE
            while (left := deadline - time.monotonic()) > 0:
                readable, _, _ = select.select([notices.fileno(), ended], [], [], left)
                if notices.fileno() in readable:
                    yield notices.recv(4096).decode(errors="replace")
                elif ended in readable:
                    return
        finally:
            os.close(ended)


def fetch_tools(report: Callable[[str], None]) -> None:
    """Fetch mmdebstrap and systemd-nspawn if they are not installed. Raises debian.CannotFetch."""
    for tool in (MMDEBSTRAP, NSPAWN):
        try:
            tool.find()
        except NoPackageFile:
            tool.fetch(CACHE, report)
