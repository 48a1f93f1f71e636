"""Files of Debian packages that tests need. The packages are installed, or script/bootstrap has fetched them."""

import os
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import debian

CACHE = Path(__file__).resolve().parents[2] / ".cache"
LIBRARIES = Path(f"usr/lib/{platform.machine()}-linux-gnu")


class NoPackageFile(Exception):
    """A file is neither installed nor fetched. The message says how to get it."""


@dataclass(frozen=True)
class PackageFile:
    """A file of a Debian package. `path` is below the root of the system."""

    package: str
    path: Path

    def root(self) -> Path:
        """Return the folder that has the file at its path: "/" if the package is installed. Raises NoPackageFile."""
        for root in (Path("/"), CACHE / self.package):
            if (root / self.path).exists():
                return root
        raise NoPackageFile(f"no {self.path.name} (script/bootstrap --tests fetches it)")

    def find(self) -> Path:
        """Return the file. Raises NoPackageFile."""
        return self.root() / self.path

    def environment(self) -> dict[str, str]:
        """Return the environment in which the program finds its libraries. Raises NoPackageFile."""
        root = self.root()
        libraries = f"{root / LIBRARIES}:{root / LIBRARIES / 'systemd'}"
        return dict(os.environ) if root == Path("/") else {**os.environ, "LD_LIBRARY_PATH": libraries}

    def fetch(self, cache: Path, report: Callable[[str], None]) -> None:
        """Create a folder with the package in the cache. Raises debian.CannotFetch."""
        target, fresh = cache / self.package, cache / f".{self.package}.new"
        debian.fetch_own([self.package], fresh, report)
        if not (fresh / self.path).exists():
            shutil.rmtree(fresh)
            raise debian.CannotFetch(f"this machine's suite has no {self.package}")
        if target.exists():
            shutil.rmtree(target)
        fresh.rename(target)


FAKETIME = PackageFile("libfaketime", LIBRARIES / "faketime/libfaketimeMT.so.1")  # for programs with threads
SLAPD = PackageFile("slapd", Path("usr/sbin/slapd"))
NGINX = PackageFile("nginx", Path("usr/sbin/nginx"))
CADDY = PackageFile("caddy", Path("usr/bin/caddy"))
MMDEBSTRAP = PackageFile("mmdebstrap", Path("usr/bin/mmdebstrap"))
NSPAWN = PackageFile("systemd-container", Path("usr/bin/systemd-nspawn"))
SYSTEMD_ANALYZE = PackageFile("systemd", Path("usr/bin/systemd-analyze"))
