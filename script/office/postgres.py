"""Run a real PostgreSQL server in a temporary folder, with a socket in this folder."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from app.server.process import kill, spawn
from script.lib.postgresql import find_programs
from script.office.patience import PATIENCE

CACHE = Path(__file__).resolve().parents[2] / ".cache"
USER = DATABASE = "bazang"
STOP_SECONDS = 10


class PostgresServer:
    """A server with its own folder and cluster, which `stop` removes. Use `with`, or `start` and `stop`.

    PostgreSQL refuses to run as root. Root starts it as user `postgres`, or `nobody` if that user does not exist.
    With `fsync` a commit waits for the disk, as in an installation. Tests do without.
    """

    def __init__(self, *, fsync: bool = False) -> None:
        self.programs = find_programs()
        self._fsync = fsync
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of its empty database."""
        return f"postgresql+psycopg://{USER}@/{DATABASE}?host={self.folder}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Create the cluster, start the server and wait until it accepts connections. Raises RuntimeError."""
        # Only the owner can enter pytest's temporary folder, and the path of a socket must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="bazang-pg-"))
        # In memory, if the tests' files lie there: each new database is a copy of some hundred files.
        self._data = Path(tempfile.mkdtemp(prefix="bazang-pg-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT"))) / "data"
        try:
            self._change_owner()
            self._make_cluster()
            self.launch()
            self._run("createdb", "-h", str(self.folder), "-U", USER, DATABASE)
        except BaseException:
            self.stop()
            raise

    def launch(self) -> None:
        """Start the server with its cluster, and wait until it accepts connections. Raises RuntimeError."""
        options = [
            "-c",
            "listen_addresses=",
            "-c",
            f"fsync={'on' if self._fsync else 'off'}",
            "-c",
            "max_connections=100",
        ]
        command = [*self._as_user(), str(self.programs.folder / "postgres"), "-D", str(self._data)]
        log = self.folder / "log"
        command += ["-k", str(self.folder), *options]
        self._process = spawn(command, log, environment=self.programs.environment)
        self._wait_until_ready(log)

    def stop(self) -> None:
        """Stop the server, close open connections and remove the folder."""
        self.halt()
        for folder in (self.folder, self._data.parent):
            shutil.rmtree(folder, ignore_errors=True)

    def halt(self) -> None:
        """Stop the server and close open connections. `launch` starts it again."""
        process, self._process = self._process, None
        if process is not None:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)  # fast shutdown; SIGTERM would wait for every client
                try:
                    process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    pass
            kill(process)

    def _change_owner(self) -> None:
        if os.geteuid() != 0:
            return
        user = _unprivileged()
        for folder in (self.folder, self._data.parent):
            os.chown(folder, user.pw_uid, user.pw_gid)
        reachable = subprocess.run([*self._as_user(), "test", "-x", self.programs.folder / "postgres"]).returncode == 0
        if not reachable and self.programs.home is None:
            raise RuntimeError(f"user {user.pw_name} may not run {self.programs.folder}/postgres")
        if not reachable:  # for example in root's home: the user gets a copy
            copy = self.folder / "programs"
            shutil.copytree(self.programs.home, copy, symlinks=True)  # type: ignore[arg-type]
            self.programs = self.programs.moved(copy)

    def _as_user(self) -> list[str]:
        if os.geteuid() != 0:
            return []
        user = _unprivileged()
        groups = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        # A process that changes its user loses this setting, so it is repeated here.
        return ["setpriv", *groups, "--pdeathsig", "KILL", "--"]

    def _make_cluster(self) -> None:
        options = ["-A", "trust", "-E", "UTF8", "--locale", "C.UTF-8", "--no-sync", "--no-instructions"]
        self._run("initdb", "-D", str(self._data), "-U", USER, *options)

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as_user(), str(self.programs.folder / program), *arguments]
        result = subprocess.run(
            command, cwd=self.folder, env=self.programs.environment, capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            raise RuntimeError(f"{program} failed: {(result.stderr or result.stdout).strip()[-1000:]}")

    def _wait_until_ready(self, log: Path) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                break
            # The last line of this file tells whether the server accepts connections.
            status = self._data / "postmaster.pid"
            if status.exists() and status.read_text().splitlines()[-1:] == ["ready   "]:
                return
            time.sleep(0.02)
        raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _unprivileged() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")
