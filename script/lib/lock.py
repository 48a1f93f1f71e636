"""Write the locked requirements anew, for every Python and Linux that the project runs on. See script/lock."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UV_HOME = ROOT / ".cache/uv"
# Nothing of the machine that locks may get into the files: neither its index nor its cache of wheels.
OPTIONS = ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-header", "--no-emit-index-url"]


def main(arguments: list[str]) -> int:
    """Compile both files; pins that still fit stay as they are, unless `--upgrade` is among the arguments."""
    uv = _find_uv()
    # The tests run on the very packages that the product is locked to.
    for source, constraints in (("requirements", []), ("requirements-dev", ["-c", "requirements.txt"])):
        command = [uv, "pip", "compile", *OPTIONS, "-q", *constraints, *arguments]
        result = subprocess.run([*command, f"{source}.in", "-o", f"{source}.txt"], cwd=ROOT, check=False)
        if result.returncode != 0:
            return result.returncode
    return 0


def _find_uv() -> str:
    if found := shutil.which("uv"):
        return found
    uv = UV_HOME / "bin/uv"
    if not uv.exists():
        base = getattr(sys, "_base_executable", sys.executable)
        subprocess.run([base, "-m", "venv", "--clear", UV_HOME], check=True)
        subprocess.run([UV_HOME / "bin/python", "-m", "pip", "install", "-q", "uv"], check=True)
    return os.fspath(uv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
