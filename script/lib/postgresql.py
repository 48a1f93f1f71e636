"""Fetch a private PostgreSQL server for the tests: an installed one would start a cluster that nobody asked for."""

import json
import platform
import shutil
from collections.abc import Callable
from pathlib import Path

from . import debian


def fetch(cache: Path, report: Callable[[str], None]) -> None:
    """Make `postgresql` in the cache. Raises debian.CannotFetch."""
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
