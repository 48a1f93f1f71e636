"""Find a PostgreSQL server for the tests, or fetch one. An installed Debian package would start a cluster at once."""

import json
import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import debian

CACHE = Path(__file__).resolve().parents[2] / ".cache"


class NoPostgres(Exception):
    """There is no PostgreSQL server program. The message says how to get it."""


@dataclass(frozen=True)
class Programs:
    """The folder of initdb and postgres. `home` is the folder of fetched programs, None for installed ones."""

    folder: Path
    libraries: tuple[Path, ...] = ()
    home: Path | None = None

    def moved(self, home: Path) -> "Programs":
        """Return the programs of a copy of `home` in another folder."""
        assert self.home is not None

        def relocate(path: Path) -> Path:
            return home / path.relative_to(self.home)  # type: ignore[arg-type]

        return Programs(relocate(self.folder), tuple(map(relocate, self.libraries)), home)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the programs. It has no PG… variables, because they would change the connection."""
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


def _by_version(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0


def fetch(cache: Path, report: Callable[[str], None]) -> None:
    """Create `postgresql` in the cache. Raises debian.CannotFetch."""
    target, fresh = cache / "postgresql", cache / ".postgresql.new"
    debian.fetch_own(["postgresql"], fresh, report)
    servers = sorted(fresh.glob("usr/lib/postgresql/*/bin/initdb"))
    if not servers:
        shutil.rmtree(fresh)
        raise debian.CannotFetch("this machine's suite has no PostgreSQL server")
    triplet = f"{platform.machine()}-linux-gnu"
    description = {
        "folder": str(servers[-1].parent.relative_to(fresh)),
        "library_path": [folder for folder in (f"usr/lib/{triplet}", f"lib/{triplet}") if (fresh / folder).is_dir()],
    }
    (fresh / "postgresql.json").write_text(json.dumps(description, indent=1) + "\n")
    if target.exists():
        shutil.rmtree(target)
    fresh.rename(target)
