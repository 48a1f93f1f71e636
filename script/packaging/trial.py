"""Try the package on clean systems of Debian 12 and 13, each with its own systemd, and without a network.

On each: install it, let it talk to a real Asterisk, freeze the worker until the watchdog restarts it, upgrade to a
version with a migration, let three upgrades fail, recover, remove, install again and purge. It needs root, and takes
some minutes.
"""

import asyncio
import fcntl
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from script.lib import debian
from script.office.asterisk import AsteriskOffice, NoAsterisk
from script.office.asterisk_config import OfficeSetup
from script.office.patience import PATIENCE
from script.packaging.build import HOME, CannotBuild, make_program, pack
from script.packaging.machine import Machine, MachineFailed, fetch_tools, make_root
from script.packaging.main import CACHE

SUITES = ("bookworm", "trixie")
PANEL, WORKER = "bazang-panel.service", "bazang-worker.service"
DATA, SETTINGS = "/var/lib/bazang", "/etc/bazang/bazang.env"
INSIDE = "BAZANG_PACKAGE_TRIAL"  # set in the process that has a network of its own
_UP = 0x1 | 0x40  # IFF_UP | IFF_RUNNING
_SET_FLAGS = 0x8914  # SIOCSIFFLAGS


class TrialFailed(Exception):
    """The package does not do what it should. The message says what."""


def run(suites: list[str]) -> int:
    """Run the trial on the suites, on both without any. Return the exit code."""
    if os.geteuid() != 0:
        print("script/package test: only root can do this.", file=sys.stderr)
        return 1
    if INSIDE in os.environ:
        return asyncio.run(_try_all(Path(os.environ[INSIDE]), suites))
    try:
        with tempfile.TemporaryDirectory(prefix="bazang-trial-") as name:
            folder = Path(name)
            _prepare(folder, suites or list(SUITES))
            command = ["unshare", "--net", "--", sys.executable, "-m", "script.packaging.main", "test"]
            command += [word for suite in suites or SUITES for word in ("--suite", suite)]
            return subprocess.run(command, env={**os.environ, INSIDE: name}).returncode
    except (CannotBuild, MachineFailed, debian.CannotFetch) as error:
        print(f"script/package test: {error}", file=sys.stderr)
        return 1


def _prepare(folder: Path, suites: list[str]) -> None:
    """Fetch the tools, build the packages and make the systems. This needs the network."""
    fetch_tools(lambda _: None)
    program = folder / "program"
    _timed("building the packages", lambda: _build_all(program, folder / "packages"))
    mirrors = debian.mirrors()
    if not mirrors:
        raise MachineFailed("apt has no mirror")
    for suite in suites:
        _timed(f"making a system of {suite}", lambda suite=suite: make_root(suite, mirrors[0], folder / suite))  # type: ignore[misc]


# -- the packages -----------------------------------------------------------------------------------------------------

GOOD, NEXT, LAST = "0.0.1", "0.0.2", "0.0.9"
BAD_MIGRATION, BAD_PANEL, BAD_WORKER = "0.0.3", "0.0.4", "0.0.5"


def _build_all(program: Path, target: Path) -> None:
    make_program(program, CACHE, lambda _: None)
    head = _head(program)
    pack(program, GOOD, target, level=1)
    _migration(program, "9001", head, 'op.create_table("trial_first", sa.Column("id", sa.Integer, primary_key=True))')
    (program / "app/only_in_next.py").write_text('"""A module that the version before does not have."""\n')
    pack(program, NEXT, target, level=1)
    bad = _migration(
        program, "9002", "9001", 'op.create_table("trial_bad", sa.Column("id", sa.Integer)); op.execute("no SQL")'
    )
    pack(program, BAD_MIGRATION, target, level=1)
    bad.unlink()
    _migration(program, "9003", "9001", 'op.create_table("trial_next", sa.Column("id", sa.Integer, primary_key=True))')
    for number, file in ((BAD_PANEL, "app/templates/accounts/login.html"), (BAD_WORKER, "app/worker/clock_watch.py")):
        good = (program / file).read_text()
        broken = {BAD_PANEL: "{{ 1 / 0 }}\n" + good, BAD_WORKER: good.replace("CLOCK.set_to_wall()", "1 / 0", 1)}[
            number
        ]
        (program / file).unlink()
        (program / file).write_text(broken)
        pack(program, number, target, level=1)
        (program / file).write_text(good)
    pack(program, LAST, target, level=1)


def _head(program: Path) -> str:
    """Return the newest revision of the migrations."""
    text = "".join(path.read_text() for path in (program / "migrations/versions").glob("*.py"))
    names = {kind: set(re.findall(rf'^{kind} = "(\w+)"', text, re.MULTILINE)) for kind in ("revision", "down_revision")}
    (head,) = names["revision"] - names["down_revision"]
    return str(head)


def _migration(program: Path, revision: str, after: str, step: str) -> Path:
    file = program / f"migrations/versions/{revision}_trial.py"
    file.write_text(
        f'import sqlalchemy as sa\nfrom alembic import op\n\nrevision = "{revision}"\ndown_revision = "{after}"\n\n\n'
        f"def upgrade():\n    {step}\n\n\ndef downgrade():\n    pass\n"
    )
    return file


# -- the trial --------------------------------------------------------------------------------------------------------


async def _try_all(folder: Path, suites: list[str]) -> int:
    _raise_loopback()
    failed = []
    for suite in suites:
        print(f"== {suite}", flush=True)
        try:
            await _try_suite(folder, suite)
        except (TrialFailed, MachineFailed, NoAsterisk) as error:
            print(f"FAILED on {suite}: {error}", file=sys.stderr, flush=True)
            failed.append(suite)
    print(f"failed: {', '.join(failed)}" if failed else f"passed: {', '.join(suites)}", flush=True)
    return 1 if failed else 0


async def _try_suite(folder: Path, suite: str) -> None:
    root = folder / suite
    setup = OfficeSetup(include=root / "var/lib/bazang/dialplan/bazang.conf")
    async with AsteriskOffice(22, folder / f"asterisk-{suite}", setup) as asterisk:
        with Machine(root) as machine:
            trial = Trial(machine, asterisk, folder / "packages")
            try:
                await trial.run()
            except BaseException:
                print(machine.run("journalctl", "--no-pager", "-n", "60", check=False).stdout, file=sys.stderr)
                raise


class Trial:
    """The steps on one system."""

    def __init__(self, machine: Machine, asterisk: AsteriskOffice, packages: Path) -> None:
        self.machine, self.asterisk, self.packages = machine, asterisk, packages

    async def run(self) -> None:
        """Run all steps. Raises TrialFailed and MachineFailed."""
        python = self.machine.output("/usr/bin/python3", "--version")
        print(f"   {self.machine.output('sed', '-n', 's/^PRETTY_NAME=//p', '/etc/os-release')}, {python}", flush=True)
        _expect(not _has_network(), "there is no network")
        _timed("install", self._install)
        self._check_private()
        self._check_units()
        await self._connect()
        await self._freeze_worker()
        _timed("upgrade", self._upgrade)
        for number, why in (
            (BAD_MIGRATION, "a migration that fails"),
            (BAD_PANEL, "a panel that answers with an error after the migration"),
            (BAD_WORKER, "a worker that does not start after the migration"),
        ):
            _timed(f"upgrade that goes back: {why}", lambda number=number: self._fail_upgrade(number))  # type: ignore[misc]
        await self._wait_until_connected()
        _timed("upgrade after the failures", self._recover)
        await self._wait_until_connected()
        _timed("remove", self._remove)
        _timed("install again", self._install_again)
        _timed("purge", self._purge)

    def _install(self) -> None:
        self._dpkg("--install", self._package(GOOD))
        self._check_running(GOOD)
        link = self.machine.output("bazang", "setup-link")
        _expect(_status(link) == 200, "the setup link opens")
        self.machine.run("bazang", "create-admin", "sara", "--password-stdin", given="a long good password\n")

    def _check_private(self) -> None:
        owner = self.machine.output("stat", "-c", "%U %a", DATA, SETTINGS, f"{DATA}/bazang.sqlite3")
        _expect(owner.splitlines() == ["bazang 711", "root 640", "bazang 600"], f"rights of the files: {owner!r}")
        nobody = self.machine.run("setpriv", "--reuid=nobody", "--clear-groups", "ls", DATA, check=False)
        _expect(nobody.returncode != 0, "others cannot list the data folder")

    def _check_units(self) -> None:
        for unit in (PANEL, WORKER):
            found = self.machine.run("systemd-analyze", "verify", f"/usr/lib/systemd/system/{unit}")
            _expect(not found.stderr.strip(), f"systemd-analyze verify {unit}: {found.stderr.strip() or 'nothing'}")
            analysis = self.machine.output("systemd-analyze", "security", "--no-pager", unit)
            exposure = re.search(r"exposure level for \S+: ([0-9.]+)", analysis)
            print(f"   {unit}: exposure {exposure[1] if exposure else '?'} of 10", flush=True)

    async def _connect(self) -> None:
        """Connect the worker with Asterisk by the settings file, and wait until Asterisk has the dialplan."""
        settings = self.machine.root / SETTINGS.lstrip("/")
        prompts = self.machine.root / DATA.lstrip("/") / "prompts"
        values = {
            "AMI_PORT": self.asterisk.ami_port,
            "AMI_USERNAME": self.asterisk.ami_username,
            "AMI_SECRET": self.asterisk.ami_secret,
            "OUTBOUND_CONTEXT": "outbound",
            "ASTERISK_PROMPTS_DIR": prompts,
        }
        lines = "".join(f"BAZANG_{name}={value}\n" for name, value in values.items())
        settings.write_text(settings.read_text() + lines)
        self.machine.run("systemctl", "restart", WORKER, PANEL)
        began = time.monotonic()
        await self._wait_until_connected()
        print(
            f"   connected with Asterisk {self.asterisk.build.version} ({time.monotonic() - began:.1f} s)", flush=True
        )

    async def _wait_until_connected(self) -> None:
        """Wait until Asterisk has our AMI session and our dialplan, and the doctor finds the PBX in order."""
        deadline = time.monotonic() + PATIENCE
        while True:
            sessions = await self.asterisk.cli("manager show connected")
            dialplan = await self.asterisk.cli("dialplan show bazang-modules")
            doctor = self.machine.run("bazang", "doctor", check=False)
            faults = [line for line in doctor.stdout.splitlines() if line.startswith("FAULT")]
            said = "Asterisk runs our dialplan" in doctor.stdout and "listens for callers" in doctor.stdout
            if "\n  bazang " in sessions and "Context 'bazang-modules'" in dialplan and said and not faults:
                return
            if time.monotonic() > deadline:
                raise TrialFailed(f"not connected with Asterisk:\n{sessions}\n{dialplan[:500]}\n{doctor.stdout}")
            await asyncio.sleep(0.5)

    async def _freeze_worker(self) -> None:
        """A frozen worker is killed by the watchdog and started again."""
        folder = f"/run/systemd/system/{WORKER}.d"
        limit = f"printf '[Service]\\nWatchdogSec=4\\n' > {folder}/trial.conf"
        self.machine.run("sh", "-c", f"mkdir -p {folder} && {limit} && systemctl daemon-reload")
        self.machine.run("systemctl", "restart", WORKER)
        before = self.machine.property(WORKER, "MainPID")
        await asyncio.sleep(6)  # longer than the limit: a healthy worker must not be killed
        _expect(self.machine.property(WORKER, "MainPID") == before, "a worker that is well is left alone")
        self.machine.run("sh", "-c", f"kill -STOP {before}")
        began = time.monotonic()
        # Two waits: on a busy machine the new start alone takes a minute.
        await self._wait_until(
            lambda: self.machine.property(WORKER, "NRestarts") != "0", "the watchdog kills a frozen worker"
        )
        await self._wait_until(lambda: self._is_active(WORKER), "the worker is started again")
        print(f"   a frozen worker was replaced after {time.monotonic() - began:.1f} s (WatchdogSec=4)", flush=True)
        self.machine.run("rm", f"{folder}/trial.conf")
        self.machine.run("systemctl", "daemon-reload")

    @staticmethod
    async def _wait_until(holds: Callable[[], bool], what: str) -> None:
        """Wait until something holds. Raises TrialFailed with `what` that is."""
        deadline = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > deadline:
                raise TrialFailed(f"not within {PATIENCE:.0f} s: {what}")
            await asyncio.sleep(0.2)

    def _upgrade(self) -> None:
        self._dpkg("--install", self._package(NEXT))
        self._check_running(NEXT, "9001")
        _expect(len(self._backups()) == 1, "the office was backed up")
        self._check_data()

    def _fail_upgrade(self, number: str) -> None:
        backups = len(self._backups())
        done = self.machine.run("dpkg", "--install", self._package(number), check=False)
        _expect(done.returncode != 0, f"dpkg reports the failure of {number}")
        _expect("the version before it goes on" in done.stderr, f"the administrator is told: {done.stderr[-1000:]}")
        self._check_running(NEXT, "9001", is_back=True)
        self._check_data()
        _expect(len(self._backups()) == min(backups + 1, 3), "the office was backed up, and the last three are kept")
        tables = self.machine.output("bazang", "db", "current")
        _expect("9001" in tables, f"the old program knows the database: {tables}")
        code = "/usr/lib/bazang/current/app"
        _expect(
            self.machine.run("test", "-e", f"{code}/only_in_next.py", check=False).returncode == 0,
            "the old program is complete",
        )
        _expect(not self.machine.find("upgrade"), "no copy of the database is left")

    def _recover(self) -> None:
        self._dpkg("--install", self._package(LAST))
        self._check_running(LAST, "9003")
        self._check_data()

    def _remove(self) -> None:
        self._dpkg("--remove", "bazang")
        _expect(not self._is_active(PANEL) and not self._is_active(WORKER), "the services are stopped")
        left = [path for path in self.machine.find("*bazang*") if "/dpkg/" not in path and "deb-systemd" not in path]
        expected = [SETTINGS.rpartition("/")[0], SETTINGS, DATA, f"{DATA}/bazang.sqlite3"]
        _expect(set(expected) <= set(left), f"data and settings stay: {left}")
        _expect(
            not [path for path in left if path.startswith(("/usr/lib/", "/usr/bin"))], f"the program is gone: {left}"
        )

    def _install_again(self) -> None:
        self._dpkg("--install", self._package(LAST))
        self._check_running(LAST, "9003")
        self._check_data()

    def _purge(self) -> None:
        self._dpkg("--purge", "bazang")
        _expect(not self.machine.find("*bazang*"), f"nothing is left: {self.machine.find('*bazang*')}")
        _expect(self.machine.run("getent", "passwd", "bazang", check=False).returncode != 0, "the user is gone")
        state = self.machine.run("systemctl", "is-system-running", check=False).stdout.strip()
        _expect(state == "running", f"systemd is content: {state}")

    # -- what is looked at --------------------------------------------------------------------------------------------

    def _check_running(self, folder: str, revision: str = "", *, is_back: bool = False) -> None:
        """Check that both services run the program of this folder, on a database of this revision."""
        current = self.machine.output("readlink", f"/{HOME}/current")
        _expect(current == folder, f"{current} is the current version, and should be {folder}")
        for unit in (PANEL, WORKER):
            _expect(self._is_active(unit), f"{unit} runs")
            _expect(self.machine.property(unit, "UnitFileState") == "enabled", f"{unit} is enabled")
            user = self.machine.output("stat", "-c", "%U", f"/proc/{self.machine.property(unit, 'MainPID')}")
            _expect(user == "bazang", f"{unit} runs as bazang, not {user}")
            run_by = self.machine.output("readlink", "-f", f"/proc/{self.machine.property(unit, 'MainPID')}/cwd")
            _expect(run_by == f"/{HOME}/{folder}", f"{unit} runs in {run_by}")
        _expect(_status("http://127.0.0.1:8000/login") == 200, "the panel answers")
        versions = sorted(path.name for path in (self.machine.root / HOME).iterdir() if path.name != "current")
        if not is_back:
            _expect(versions == [folder, "package"], f"only one version is kept: {versions}")
            current = self.machine.output("bazang", "db", "current")
            _expect(f"{revision} (head)".lstrip() in current, f"the database is migrated: {current}")

    def _check_data(self) -> None:
        """The administrator of the first version is still there."""
        again = self.machine.run(
            "bazang", "create-admin", "sara", "--password-stdin", given="a long good password\n", check=False
        )
        _expect("is taken" in again.stderr, f"the users are still there: {again.stderr}")

    def _is_active(self, unit: str) -> bool:
        return self.machine.property(unit, "ActiveState") == "active"

    def _backups(self) -> list[Path]:
        return sorted((self.machine.root / DATA.lstrip("/") / "backups").glob("*.bazang"))

    def _package(self, number: str) -> str:
        """Copy a package into the system, and return its path there."""
        (file,) = self.packages.glob(f"bazang_{number}_*.deb")
        copy = self.machine.root / f"var/cache/trial-{number}.deb"  # a name that `_purge` does not look for
        if not copy.exists():
            copy.hardlink_to(file)
        return f"/var/cache/{copy.name}"

    def _dpkg(self, *arguments: str) -> None:
        self.machine.run("dpkg", *arguments)


def _expect(condition: bool, what: str) -> None:
    if not condition:
        raise TrialFailed(what)


def _timed(what: str, work: Callable[[], None]) -> None:
    began = time.monotonic()
    work()
    print(f"   {what} ({time.monotonic() - began:.1f} s)", flush=True)


def _status(address: str) -> int:
    """Return the status of a page, 0 if nobody answers."""
    try:
        with urllib.request.build_opener(urllib.request.HTTPCookieProcessor()).open(address, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        fcntl.ioctl(channel, _SET_FLAGS, struct.pack("16sH14s", b"lo", _UP, b""))


def _has_network() -> bool:
    return any(name != "lo" for _, name in socket.if_nameindex())
