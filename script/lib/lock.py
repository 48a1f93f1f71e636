"""Regenerate the locked requirements for every supported Python. See script/lock."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UV_HOME = ROOT / ".cache/uv"
OLDEST, NEWER = "3.11", ("3.12", "3.13")
# For Linux only, because one package needs a hundred others on macOS. Nothing of this machine gets into the files.
OPTIONS = ["--python-platform", "linux", "--no-header", "--no-emit-index-url", "-q"]


def main(arguments: list[str]) -> int:
    """Compile the files. Versions that still fit stay the same unless `arguments` contains `--upgrade`."""
    compile_ = [_find_uv(), "pip", "compile", *OPTIONS]
    # The tests use the same package versions as the product.
    files = {"requirements": [], "requirements-dev": ["-c", "requirements.txt"], "script/lib/login-provider": []}
    for name, constraints in files.items():
        source, locked = f"{name}.in", f"{name}.txt"
        hashed = ["--generate-hashes", *constraints, *arguments, "-o", locked]
        subprocess.run([*compile_, "--python-version", OLDEST, *hashed, source], cwd=ROOT, check=True)
        for version in NEWER:
            command = [*compile_, "--python-version", version, "--no-annotate", "-c", locked, source]
            needed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
            if lacking := set(needed) - set((ROOT / locked).read_text().split()):
                print(f"{locked} lacks packages for Python {version}: {' '.join(sorted(lacking))}", file=sys.stderr)
                print(f"Add them to {source} with a python_version marker.", file=sys.stderr)
                return 1
    return 0


def _find_uv() -> str:
    if found := shutil.which("uv"):
        return found
    uv = UV_HOME / "bin/uv"
    if not uv.exists():
        base = getattr(sys, "_base_executable", sys.executable)
        subprocess.run([base, "-m", "venv", "--clear", UV_HOME], check=True)
        python = os.fspath(UV_HOME / "bin/python")
        subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "uv"], check=True)
    return os.fspath(uv)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except subprocess.CalledProcessError as error:
        sys.exit(f"script/lock: {error.stderr or error}")
