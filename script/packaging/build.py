"""Build the Debian package from this clone and the wheels of requirements.txt.

It has one virtual environment for all Python versions of `PYTHONS`: an interpreter looks for its packages in the folder
of its own version, so several of these folders can stand side by side. Wheels that fit every version are in a folder
that all of them name. So one package fits Debian 12 and 13, and survives the upgrade from one to the other.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEBIAN = Path(__file__).parent / "debian"
HOME = Path("usr/lib/bazang")
PROGRAM = HOME / "package"  # postinst links its files into a folder of the version, from which the services run
PYTHONS = ("3.11", "3.12", "3.13")
AFTER = "3.14"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # of the machine -> of Debian
_GLIBC = 34  # minor version, no newer than in the control file
_NAME = re.compile(r"([a-z0-9-]+)==\S+")
_EXECUTABLE = ("postinst", "prerm", "postrm")
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "*.po", "*.pot")
_DOCUMENTS = ("README.md", "README.fa.md", "CHANGELOG.md", "docs", "deploy")


class CannotBuild(Exception):
    """The package cannot be built. The message is the reason."""


def version() -> str:
    """Return the version of this clone."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def build(target: Path, cache: Path, report: Callable[[str], None]) -> Path:
    """Build the package in the folder `target` and return its file. Wheels are kept in `cache`. Raises CannotBuild."""
    with tempfile.TemporaryDirectory(prefix="bazang-package-") as name:
        program = Path(name) / "program"
        make_program(program, cache, report)
        report("compressing")
        return pack(program, version(), target)


def make_program(folder: Path, cache: Path, report: Callable[[str], None]) -> None:
    """Fill the new folder with the program and its environment. Raises CannotBuild."""
    machine = _machine()
    folder.mkdir(parents=True)
    _copy_program(folder)
    _make_environment(folder / ".venv", cache, machine, report)


def pack(program: Path, number: str, target: Path, *, level: int = 15) -> Path:
    """Pack a program as version `number` in the folder `target`, and return the file. `level`: of zstd.

    Raises CannotBuild.
    """
    if not shutil.which("dpkg-deb"):
        raise CannotBuild("dpkg-deb is missing: install dpkg")
    architecture = ARCHITECTURES[_machine()]
    file = _made(target) / f"bazang_{number}_{architecture}.deb"
    with tempfile.TemporaryDirectory(prefix="pack-", dir=program.parent) as name:
        tree = Path(name) / "tree"
        shutil.copytree(program, tree / PROGRAM, symlinks=True, copy_function=os.link)
        _add_system_files(tree)
        _add_control_files(tree, number, architecture)
        for path in (tree, *tree.rglob("*")):  # whatever the umask is
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        _run(["dpkg-deb", "--root-owner-group", "-Zzstd", f"-z{level}", "--build", str(tree), str(file)])
    return file


def _machine() -> str:
    machine = platform.machine()
    if machine not in ARCHITECTURES:
        raise CannotBuild(f"no wheels are known for {machine}")
    return machine


def _copy_program(code: Path) -> None:
    for folder in ("app", "migrations"):
        shutil.copytree(ROOT / folder, code / folder, ignore=_LEFT_OUT)
    for file in ("wsgi.py", "LICENSE"):
        shutil.copy(ROOT / file, code)
    if not list(code.glob("app/translations/*/LC_MESSAGES/*.mo")):
        raise CannotBuild("the translations are not compiled: run script/bootstrap")
    (code / ".env").symlink_to("/etc/bazang/bazang.env")
    (code / "deploy").mkdir()
    for unit in sorted((ROOT / "deploy").glob("*.service")):
        (code / "deploy" / unit.name).write_text(packaged_unit(unit.read_text()))


def packaged_unit(text: str) -> str:
    """Return a unit of `deploy` with the paths of the package."""
    lines = [line for line in text.splitlines() if not line.startswith("# The paths are those of")]
    return (
        "\n".join(lines)
        .replace("/opt/bazang/.env", "/etc/bazang/bazang.env")
        .replace("/opt/bazang", f"/{HOME}/current")
        + "\n"
    )


# -- the virtual environment ------------------------------------------------------------------------------------------


def _make_environment(home: Path, cache: Path, machine: str, report: Callable[[str], None]) -> None:
    """Make an environment that runs with the machine's own /usr/bin/python3. It has no commands with paths in them."""
    (home / "bin").mkdir(parents=True)
    (home / "bin/python3").symlink_to("/usr/bin/python3")
    (home / "bin/python").symlink_to("python3")
    (home / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n")
    common = home / "lib/common"
    for index, python in enumerate(PYTHONS):
        wheels = _fetch_wheels(python, cache, machine, report)
        own = [wheel for wheel in wheels if not fits_all(wheel)]
        report(f"unpacking for Python {python}")
        site = home / f"lib/python{python}/site-packages"
        _unpack(own, site, python, machine)
        (site / "common.pth").write_text("../../common\n")
        if index == 0:
            _unpack([wheel for wheel in wheels if fits_all(wheel)], common, python, machine)
    for folder in home.glob("lib/**/bin"):
        shutil.rmtree(folder)


def fits_all(wheel: Path) -> bool:
    """Tell whether a wheel fits every Python of `PYTHONS`."""
    python, abi, _ = wheel.stem.split("-")[-3:]
    return abi == "abi3" or "py3" in python.split(".")


def _fetch_wheels(python: str, cache: Path, machine: str, report: Callable[[str], None]) -> list[Path]:
    """Return the wheels of requirements.txt for a version of Python. Their hashes are checked. Raises CannotBuild."""
    requirements = (ROOT / "requirements.txt").read_text()
    digest = hashlib.sha256(requirements.encode()).hexdigest()[:16]
    folder = cache / f"{machine}-{python}-{digest}"
    if not folder.exists():
        fresh = Path(tempfile.mkdtemp(prefix="wheels-", dir=_made(cache)))
        try:
            report(f"fetching the wheels for Python {python}")
            _download(split_requirements(requirements), python, machine, fresh)
            fresh.rename(folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return sorted(folder.glob("*.whl"))


def _download(parts: dict[str, str], python: str, machine: str, target: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "-q"]
    wanted = target / "requirements.txt"
    from_source = {name for name in parts if name in _WITHOUT_WHEEL}
    wanted.write_text("".join(text for name, text in parts.items() if name not in from_source))
    options = ["--no-deps", "--require-hashes", "-d", str(target), "-r", str(wanted)]
    _run([*pip, "download", "--only-binary", ":all:", *_for_target(python, machine), *options])
    wanted.write_text("".join(parts[name] for name in sorted(from_source)))
    _run([*pip, "wheel", "--no-deps", "--require-hashes", "-w", str(target), "-r", str(wanted)])
    wanted.unlink()
    if missing := [file.name for file in target.iterdir() if file.suffix != ".whl"]:
        raise CannotBuild(f"no wheels: {', '.join(missing)}")


_WITHOUT_WHEEL = {"http-ece"}  # pure Python, published as source only


def split_requirements(requirements: str) -> dict[str, str]:
    """Return the entries of a locked file by the names of their packages."""
    entries: dict[str, str] = {}
    name = ""
    for line in requirements.splitlines(keepends=True):
        if found := _NAME.match(line):
            name = found[1]
        if name and not line.lstrip().startswith("#"):
            entries[name] = entries.get(name, "") + line
    return entries


def _for_target(python: str, machine: str) -> list[str]:
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(_GLIBC, 4, -1)]
    tags += [f"{old}_{machine}" for old in ("manylinux2014", "manylinux2010", "manylinux1")]
    return [
        *("--implementation", "cp", "--python-version", python),
        *(word for abi in (f"cp{python.replace('.', '')}", "abi3", "none") for word in ("--abi", abi)),
        *(word for tag in tags for word in ("--platform", tag)),
    ]


def _unpack(wheels: Iterable[Path], target: Path, python: str, machine: str) -> None:
    target.mkdir(parents=True)
    options = ["--no-index", "--no-deps", "--no-compile", "--only-binary", ":all:", "--target", str(target)]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "install", *options]
    _run([*command, *_for_target(python, machine), *map(str, wheels)])


# -- what is beside the program ---------------------------------------------------------------------------------------


def _add_system_files(tree: Path) -> None:
    documents = tree / "usr/share/doc/bazang"
    for name in _DOCUMENTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, documents, ignore=shutil.ignore_patterns("images", "*.service"), dirs_exist_ok=True)
        else:
            shutil.copy(source, _made(documents))
    licence = (ROOT / "LICENSE").read_text().splitlines()[4:]
    (documents / "copyright").write_text(
        (DEBIAN / "copyright").read_text().replace("@LICENCE@", "\n".join(f" {line or '.'}" for line in licence))
    )
    shutil.copy(DEBIAN / "bazang.env", _made(tree / "etc/bazang"))
    command = _made(tree / "usr/bin") / "bazang"
    shutil.copy(DEBIAN / "bazang", command)
    command.chmod(0o755)


def _add_control_files(tree: Path, number: str, architecture: str) -> None:
    control = _made(tree / "DEBIAN")
    files = [path for path in sorted(tree.rglob("*")) if path.is_file() and not path.is_symlink()]
    values = {
        "VERSION": number,
        "ARCHITECTURE": architecture,
        "SIZE": str(sum(path.stat().st_size for path in files) // 1024),
        "OLDEST": PYTHONS[0],
        "AFTER": AFTER,
    }
    for name in ("control", "triggers", *_EXECUTABLE):
        text = (DEBIAN / name).read_text()
        for key, value in values.items():
            text = text.replace(f"@{key}@", value)
        (control / name).write_text(text)
        (control / name).chmod(0o755 if name in _EXECUTABLE else 0o644)
    (control / "conffiles").write_text("/etc/bazang/bazang.env\n")
    sums = [f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(tree)}\n" for path in files]
    (control / "md5sums").write_text("".join(sums))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run(command: list[str]) -> None:
    """Run a command. Raises CannotBuild with the end of its output."""
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    if done.returncode != 0:
        raise CannotBuild(f"{' '.join(command[:4])} …: {(done.stderr or done.stdout).strip()[-2000:]}")
