"""Fetch a private Chromium for the browser tests, and describe how it is started without being installed."""

import json
import platform
import shutil
from collections.abc import Callable
from pathlib import Path

from . import debian

# The machine's fonts, where it has any, beside those that were fetched. Paths are relative to this file.
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir prefix="relative">usr/share/fonts</dir>
</fontconfig>
"""


def fetch(cache: Path, report: Callable[[str], None]) -> None:
    """Make `chromium` in the cache. Raises debian.CannotFetch."""
    target, fresh = cache / "chromium", cache / ".chromium.new"
    debian.fetch_own(["chromium-headless-shell", "fonts-dejavu-core"], fresh, report)
    binary = Path("usr/lib/chromium/chromium-headless-shell")
    if not (fresh / binary).exists():
        shutil.rmtree(fresh)
        raise debian.CannotFetch("this machine's suite has no Chromium of its own")
    triplet = f"{platform.machine()}-linux-gnu"
    folders = [f"usr/lib/{triplet}", f"lib/{triplet}", "usr/lib/chromium"]
    # Some libraries lie a folder deeper, where only a maintainer script or an alternative would link them.
    deeper = [path for path in sorted((fresh / folders[0]).glob("*/")) if any(path.glob("*.so*"))]
    folders += [str(path.relative_to(fresh)) for path in deeper]
    (fresh / "fonts.conf").write_text(FONTS)
    description = {
        "binary": str(binary),
        "library_path": [folder for folder in folders if (fresh / folder).is_dir()],
        "fonts": "fonts.conf",
    }
    (fresh / "chromium.json").write_text(json.dumps(description, indent=1) + "\n")
    if target.exists():
        shutil.rmtree(target)
    fresh.rename(target)
