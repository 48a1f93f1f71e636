"""The rules about which module may import which, read from the source."""

import ast
import sys
from collections.abc import Iterable
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent

# package or module of app -> those of app that it may import
MAY_IMPORT: dict[str, set[str]] = {
    "domain": set(),
    "audio": set(),
    "config": {"domain"},
    "body_limits": set(),
    "log": {"domain"},
    "systemd": set(),
    "memory": set(),
    "paths": {"config", "domain"},
    "telephony": {"domain"},
    "push": {"domain"},
    "identity": {"domain", "config", "push"},
    "store": {"domain", "config"},
    "services": {"domain", "store", "audio", "config", "identity"},
    "demo_data": {"domain", "store", "services", "config"},
    "extensions": {"store"},
    "web": {"domain", "store", "services", "identity", "audio", "config", "extensions", "body_limits", "log"},
    "worker": {"domain", "store", "services", "audio", "config", "telephony", "push", "log", "memory", "systemd"},
    "doctor": {"domain", "store", "services", "identity", "audio", "config", "paths", "telephony"},
    "server": {"config", "services", "cli", "body_limits", "log", "memory", "systemd", "__init__"},
    "cli": {
        *{"domain", "config", "log", "paths", "store", "services", "audio", "telephony", "worker", "doctor"},
        *{"memory", "systemd", "demo_data"},
    },
    "upgrade": {"domain", "config", "store", "doctor", "worker", "__init__"},
    "__init__": {"config", "paths", "extensions", "store", "cli", "web", "body_limits"},
}

# package of app.web -> the other packages of app.web that it may import. All may import the files beside them.
WEB_MAY_IMPORT = {
    "setup": {"settings", "accounts"},
    "modules": {"pbx", "prompts"},
    "settings": {"prompts", "requests", "website"},
}

# library -> the packages and modules of app that may use it
ONLY_IN = {
    "flask": {"web", "cli", "__init__", "extensions"},
    "panoramisk": {"telephony"},
    "apscheduler": {"worker"},
    "pyttsx3": {"audio"},
    "av": {"audio"},
    "pyotp": {"services"},
    "pyrage": {"services"},
    "authlib": {"identity"},
    "joserfc": {"identity"},
    "ldap3": {"identity"},
    "http_ece": {"push"},
    "py_vapid": {"push"},
    "segno": {"web"},
    "apispec": {"web"},
    "prometheus_client": {"services", "worker"},
    "standardwebhooks": {"push"},
    "vobject": {"services"},
    "sqlalchemy": {"store", "services", "extensions", "worker", "doctor", "demo_data", "upgrade"},
}


@cache
def modules(folder: str = "app") -> dict[str, Path]:
    """Return the modules below a folder: dotted name -> path."""
    paths = sorted((ROOT / folder).rglob("*.py"))
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    return dict(zip(names, paths, strict=True))


@cache
def imports(path: Path) -> set[str]:
    """Return the full names that a file imports, also inside functions: `from a import b` is a.b."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 or path.parts[-3:-1] == ("script", "lib"), f"{path}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def modules_imported(path: Path) -> set[str]:
    """Return the modules of app that a file imports. The packages that contain them do not count."""
    names = imports(path)
    return {name if name in modules() else name.rpartition(".")[0] for name in names} & modules().keys()


def part(module: str) -> str:
    """Return the package or module directly in app that a module belongs to."""
    return module.split(".")[1] if "." in module else "__init__"


def outside(allowed: Iterable[str], module: str) -> set[str]:
    """Return what a module imports of app besides its own package and the allowed parts."""
    return {part(name) for name in modules_imported(modules()[module])} - {part(module), *allowed}


def test_packages_import_in_one_direction() -> None:
    assert {part(module) for module in modules()} == MAY_IMPORT.keys()
    forbidden = {module: outside(MAY_IMPORT[part(module)], module) for module in modules()}
    assert {module: names for module, names in forbidden.items() if names} == {}


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    graph = {module: modules_imported(path) - {module} for module, path in modules().items()}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_libraries_are_used_in_their_packages_only() -> None:
    misused = {
        (module, library)
        for module, path in modules().items()
        for library in {name.split(".")[0] for name in imports(path)} & ONLY_IN.keys()
        if part(module) not in ONLY_IN[library]
    }
    assert misused == set()


def web_package(module: str) -> str:
    """Return the package of app.web that a module belongs to, or "" for the files beside the packages."""
    names = module.split(".")[2:]
    return names[0] if names and (len(names) > 1 or modules()[module].name == "__init__.py") else ""


def test_packages_of_web_import_in_one_direction() -> None:
    forbidden = {
        (module, name)
        for module, path in modules().items()
        if module.startswith("app.web.")
        for name in modules_imported(path)
        if name.startswith("app.web.")
        and web_package(name) not in {"", web_package(module), *WEB_MAY_IMPORT.get(web_package(module), set())}
    }
    assert forbidden == set()


def test_only_the_application_imports_the_registry_of_web() -> None:
    assert [module for module, path in modules().items() if "app.web" in modules_imported(path)] == ["app"]


def test_the_product_and_its_scripts_do_not_import_tests() -> None:
    importing = {
        module
        for module, path in (modules("app") | modules("script")).items()
        for name in imports(path)
        if name.split(".")[0] == "tests"
    }
    assert importing == set()


def test_the_domain_imports_the_standard_library_and_phonenumbers_only() -> None:
    used = {name.split(".")[0] for path in modules("app/domain").values() for name in imports(path)}
    assert used - {"app", "phonenumbers"} <= sys.stdlib_module_names


def test_the_domain_does_not_read_the_clock() -> None:
    called = {
        node.func.attr
        for path in modules("app/domain").values()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not called & {"now", "utcnow", "today", "monotonic", "time"}
