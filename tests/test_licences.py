"""The list of licences has everything that an installation contains."""

import re
from importlib.metadata import distribution
from pathlib import Path

from tests.support.rows import for_each

ROOT = Path(__file__).parent.parent
LIST = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
REQUIREMENTS = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
# Some packages state their licence in words of their own.
SAME = {
    "Apache": "Apache-2.0",
    "MIT license": "MIT",
    "LGPL v3": "LGPL-3.0-only",
    "ZPL 2.1": "ZPL-2.1",
    "Dual License": "Apache-2.0 OR BSD-3-Clause",
}


def table(title: str) -> dict[str, str]:
    """Return the first and the last column of the table under a title."""
    section = LIST.partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return {row[0]: row[-1] for row in rows[2:]}


def test_every_requirement_has_its_licence() -> None:
    assert table("Packages").keys() == set(REQUIREMENTS)
    assert all(table("Packages").values())


@for_each("name", REQUIREMENTS)
def test_the_licence_is_the_one_that_the_package_states(name: str) -> None:
    metadata = distribution(name).metadata
    stated = next((metadata[key] for key in ("License-Expression", "License") if key in metadata), "")
    if stated and "\n" not in stated and "Copyright" not in stated:
        assert table("Packages")[name] == SAME.get(stated, stated)


def test_every_library_in_a_wheel_is_listed() -> None:
    listed = set(re.findall(r"`([^`]+)`", LIST.partition("## What binary wheels contain")[2]))
    missing, found = set(), 0
    for name in REQUIREMENTS:
        for file in distribution(name).files or ():
            if file.parts[0].endswith(".libs"):
                found += 1
                library = re.split(r"-[0-9a-f]{8}\.so", file.name)[0]
                if library not in listed:
                    missing.add((name, library))
    assert missing == set()
    assert found > 20


def test_every_vendored_file_is_listed() -> None:
    vendored = {path.name.partition("@")[0] for path in (ROOT / "app" / "static" / "vendor").iterdir()}
    names = " ".join(table("What is in this repository")).lower()
    assert {name for name in vendored if name.partition("-")[0] not in names} == set()
