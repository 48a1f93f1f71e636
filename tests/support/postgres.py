"""A real PostgreSQL server in a temporary folder, reached by a socket in it. Standard library only, for script/ too."""

import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.support.patience import PATIENCE
from tests.support.process import kill, spawn

CACHE = Path(__file__).resolve().parents[2] / ".cache"
USER = DATABASE = "bazang"
STOP_SECONDS = 10


class NoPostgres(Exception):
    """There is no PostgreSQL server program; the message says how to get it."""


@dataclass(frozen=True)
class Programs:
    """Where initdb and postgres lie; `home` is the folder of the fetched ones, None for the machine's own."""

    folder: Path
    libraries: tuple[Path, ...] = ()
    home: Path | None = None

    def moved(self, home: Path) -> "Programs":
        """Return the same, for a copy of `home` in another place."""
        assert self.home is not None

        def there(path: Path) -> Path:
            return home / path.relative_to(self.home)  # type: ignore[arg-type]

        return Programs(there(self.folder), tuple(map(there, self.libraries)), home)

    @property
    def environment(self) -> dict[str, str]:
        """What their environment has to be; PG… of ours would mislead them."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        more = {"LD_LIBRARY_PATH": ":".join(map(str, self.libraries))} if self.libraries else {}
        return {**ours, **more, "LC_ALL": "C.UTF-8"}


def find_programs() -> Programs:
    """Return the server to use: on PATH, in Debian's folders, or fetched by script/bootstrap. Raises NoPostgres."""
    candidates = [Path(folder) for folder in os.get_exec_path()]
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_by_version, reverse=True)
    for folder in candidates:
        if all(os.access(folder / name, os.X_OK) for name in ("initdb", "postgres")):
            return Programs((folder / "initdb").resolve().parent)
    home = CACHE / "postgresql"
    try:
        described = json.loads((home / "postgresql.json").read_text())
    except FileNotFoundError:
        raise NoPostgres("no PostgreSQL server (script/bootstrap --tests fetches it)") from None
    return Programs(home / described["folder"], tuple(home / path for path in described["library_path"]), home)


class PostgresServer:
    """A server with a folder and a cluster of its own, nothing of which outlives it. Use `with`, or `start` and `stop`.

    PostgreSQL refuses to run as root; root starts it as `postgres`, or `nobody` where that user does not exist.
    """

    def __init__(self) -> None:
        self.programs = find_programs()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of its empty database, as SQLAlchemy wants it."""
        return f"postgresql+psycopg://{USER}@/{DATABASE}?host={self.folder}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Make the cluster and start it; return when it takes connections. Raises RuntimeError with what it said."""
        # Not pytest's temporary folder: nobody but root gets into that, and a socket's path must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="bazang-pg-"))
        # In memory, if the tests' files lie there: each new database is a copy of some hundred files.
        self._data = Path(tempfile.mkdtemp(prefix="bazang-pg-", dir=os.environ.get("PYTEST_DEBUG_TEMPROOT"))) / "data"
        try:
            self._give_away()
            self._make_cluster()
            options = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=100"]
            command = [*self._as_user(), str(self.programs.folder / "postgres"), "-D", str(self._data)]
            log = self.folder / "log"
            command += ["-k", str(self.folder), *options]
            self._process = spawn(command, log, environment=self.programs.environment)
            self._wait_until_ready(log)
            self._run("createdb", "-h", str(self.folder), "-U", USER, DATABASE)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it (open connections are cut off) and remove its folder."""
        process, self._process = self._process, None
        if process is not None:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)  # "fast": SIGTERM would wait for every client
                try:
                    process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    pass
            kill(process)
        for folder in (self.folder, self._data.parent):
            shutil.rmtree(folder, ignore_errors=True)

    def _give_away(self) -> None:
        if os.geteuid() != 0:
            return
        user = _unprivileged()
        for folder in (self.folder, self._data.parent):
            os.chown(folder, user.pw_uid, user.pw_gid)
        reachable = subprocess.run([*self._as_user(), "test", "-x", self.programs.folder / "postgres"]).returncode == 0
        if not reachable and self.programs.home is None:
            raise RuntimeError(f"user {user.pw_name} may not run {self.programs.folder}/postgres")
        if not reachable:  # a clone in root's home, say: that user gets a copy
            copy = self.folder / "programs"
            shutil.copytree(self.programs.home, copy, symlinks=True)  # type: ignore[arg-type]
            self.programs = self.programs.moved(copy)

    def _as_user(self) -> list[str]:
        if os.geteuid() != 0:
            return []
        user = _unprivileged()
        groups = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        # Said again here, since a process that changes its user is no longer killed with its parent.
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
            # The last line of the file that the server keeps of itself says whether it takes connections.
            status = self._data / "postmaster.pid"
            if status.exists() and status.read_text().splitlines()[-1:] == ["ready   "]:
                return
            time.sleep(0.02)
        raise RuntimeError(f"PostgreSQL did not come up:\n{log.read_text(errors='replace')[-2000:]}")


def _unprivileged() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _by_version(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0
