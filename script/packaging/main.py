"""Build the Debian package of this clone in dist/, or test it on clean systems of Debian 12 and 13."""

import argparse
import sys
from pathlib import Path

from script.lib.progress import Progress
from script.packaging.build import ROOT, CannotBuild, build

CACHE = ROOT / ".cache/wheels"


def main(arguments: list[str]) -> int:
    """Parse the arguments, build or test, and return the exit code."""
    parser = argparse.ArgumentParser(prog="script/package", description=__doc__)
    parser.add_argument("what", nargs="?", choices=["build", "test"], default="build")
    parser.add_argument("--suite", action="append", help="test on this suite only: bookworm or trixie")
    parser.add_argument("--into", type=Path, default=ROOT / "dist", help="folder of the package (default: dist)")
    options = parser.parse_args(arguments)
    if options.what == "test":
        from script.packaging.trial import run  # it needs root, and much more

        return run(options.suite or [])
    progress = Progress("Debian package")
    try:
        file = build(options.into, CACHE, progress.report)
    except CannotBuild as error:
        progress.failed()
        print(f"script/package: {error}", file=sys.stderr)
        return 1
    progress.done(f"{file} ({file.stat().st_size / 1e6:.0f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
