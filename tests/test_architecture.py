"""Who may import whom: the house's one-way streets, read from the code."""

import ast
import sys
from pathlib import Path

import pytest

APP = Path(__file__).parent.parent / "app"

# room -> the rooms of ours that it may import. What is not named may import nothing of ours.
MAY_IMPORT = {
    "domain": set(),
    "audio": set(),
    "config": set(),
    "telephony": {"domain"},
    "store": {"domain", "config"},
    "services": {"domain", "store", "audio", "config"},
    "extensions": {"store"},
    "web": {"domain", "store", "services", "audio", "config", "extensions"},
    "worker": {"domain", "store", "services", "audio", "config", "telephony"},
    "doctor": {"domain", "store", "services", "audio", "config", "telephony"},
    "server": {"config", "services", "cli"},
    "demo_data": {"domain", "store", "services", "config"},
    "cli": {"config", "store", "services", "audio", "telephony", "worker", "doctor", "demo_data"},
    "__init__": {"config", "extensions", "store", "cli", "web"},
}

# Libraries that belong to one side of the house.
ONLY_IN = {
    "flask": {"web", "cli", "__init__", "extensions"},
    "panoramisk": {"telephony"},
    "apscheduler": {"worker"},
    "pyttsx3": {"audio"},
    "av": {"audio"},
    "sqlalchemy": {"store", "services", "extensions", "web", "worker", "doctor", "demo_data"},
}


def files() -> list[Path]:
    return sorted(path for path in APP.rglob("*.py"))


def room_of(path: Path) -> str:
    parts = path.relative_to(APP).parts
    return parts[0] if len(parts) > 1 else path.stem


def imports(path: Path) -> set[str]:
    """Return the full names of what a file imports, also within its functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 or path.parts[-3:-1] == ("script", "lib"), f"{path}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def rooms_imported(path: Path) -> set[str]:
    names = {name.split(".")[1] for name in imports(path) if name.startswith("app.") and name.count(".") >= 1}
    return names - {"create_app"}


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(APP)))
def test_imports_run_one_way(path: Path) -> None:
    room = room_of(path)
    assert rooms_imported(path) - {room} <= MAY_IMPORT[room]


@pytest.mark.parametrize("path", files(), ids=lambda path: str(path.relative_to(APP)))
def test_libraries_stay_on_their_side(path: Path) -> None:
    used = {name.split(".")[0] for name in imports(path)}
    assert {library for library, rooms in ONLY_IN.items() if library in used and room_of(path) not in rooms} == set()


@pytest.mark.parametrize("path", sorted((APP / "domain").glob("*.py")), ids=lambda path: path.name)
def test_the_domain_needs_the_standard_library_only(path: Path) -> None:
    outside = {name.split(".")[0] for name in imports(path)} - {"app"} - set(sys.stdlib_module_names)
    assert outside <= {"phonenumbers"}, "the numbering plans of the world are the one thing we do not write ourselves"


@pytest.mark.parametrize("path", sorted((APP / "domain").glob("*.py")), ids=lambda path: path.name)
def test_the_domain_asks_no_clock(path: Path) -> None:
    called = {
        node.func.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not called & {"now", "utcnow", "today", "monotonic", "time"}


def test_every_room_has_its_rule() -> None:
    assert {room_of(path) for path in files()} == set(MAY_IMPORT)


@pytest.mark.parametrize("folder", ["app", "script"])
def test_product_and_tools_do_not_import_the_tests(folder: str) -> None:
    paths = sorted((APP.parent / folder).rglob("*.py"))
    importing = {str(path) for path in paths for name in imports(path) if name.split(".")[0] == "tests"}
    assert paths and not importing
