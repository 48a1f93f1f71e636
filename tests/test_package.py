"""The Debian package as far as it can be seen without building it. `script/package test` installs it."""

import subprocess
from pathlib import Path

import pytest

from script.packaging.build import DEBIAN, PYTHONS, ROOT, fits_all, packaged_unit, split_requirements, version

UNITS = sorted((ROOT / "deploy").glob("*.service"))


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm", "bazang"])
def test_scripts_can_be_read_by_a_shell(script: str) -> None:
    subprocess.run(["/bin/sh", "-n", DEBIAN / script], check=True)


@pytest.mark.parametrize(("user", "number"), [("root", 0), ("bazang", 997)])
def test_the_command_passes_the_exchange_on(tmp_path: Path, user: str, number: int) -> None:
    """The program gets BAZANG_EXCHANGE, whether root or bazang runs the command. `id` and `setpriv` are fakes."""
    programs = {
        "bin/id": f'[ "$1" = -un ] && echo {user} || echo {number}',
        "bin/setpriv": 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"',
        ".venv/bin/python3": 'echo "$BAZANG_EXCHANGE|$*|$PWD"',
    }
    for name, script in programs.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    command = tmp_path / "bazang"
    command.write_text((DEBIAN / "bazang").read_text().replace("/usr/lib/bazang/current", str(tmp_path)))
    environment = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "BAZANG_EXCHANGE": "north"}
    done = subprocess.run(
        ["/bin/sh", command, "backup", "a file"], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"north|-m flask --app wsgi backup a file|{tmp_path}\n"


def test_a_command_of_others_than_root_says_what_to_do(tmp_path: Path) -> None:
    command = tmp_path / "bazang"
    command.write_text((DEBIAN / "bazang").read_text().replace("/usr/lib/bazang/current", str(tmp_path)))
    (tmp_path / "id").write_text('#!/bin/sh\n[ "$1" = -un ] && echo sara || echo 1000\n')
    (tmp_path / "id").chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", command, "doctor"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "sudo bazang" in done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_units_have_the_paths_of_the_package(unit: Path) -> None:
    text = packaged_unit(unit.read_text())
    assert "/opt/" not in text and "a clone" not in text
    (command,) = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    assert command.startswith("ExecStart=/usr/lib/bazang/current/.venv/bin/python ")
    assert "WorkingDirectory=/usr/lib/bazang/current\n" in text


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_units_are_watched(unit: Path) -> None:
    lines = set(unit.read_text().splitlines())
    assert {"Type=notify", "NotifyAccess=main", "Restart=always", "LimitCORE=0"} <= lines
    assert any(line.startswith("WatchdogSec=") for line in lines)


def test_each_requirement_keeps_its_hashes() -> None:
    text = (ROOT / "requirements.txt").read_text()
    entries = split_requirements(text)
    assert len(entries) == sum(line[:1].isalnum() for line in text.splitlines())
    assert all("--hash=sha256:" in entry for entry in entries.values())
    assert sum(entry.count("--hash=") for entry in entries.values()) == text.count("--hash=")


@pytest.mark.parametrize(
    ("wheel", "fits"),
    [
        ("flask-3.1.3-py3-none-any.whl", True),
        ("http_ece-1.2.1-py2.py3-none-any.whl", True),
        ("av-18.1.0-cp311-abi3-manylinux_2_28_x86_64.whl", True),
        ("espeakng_loader-0.2.4-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", True),
        ("sqlalchemy-2.1.9-cp313-cp313-manylinux_2_28_x86_64.whl", False),
    ],
)
def test_what_fits_every_python_is_packed_once(wheel: str, fits: bool) -> None:
    assert fits_all(Path(wheel)) is fits


def test_the_oldest_python_is_that_of_the_project() -> None:
    assert f'requires-python = ">={PYTHONS[0]}"' in (ROOT / "pyproject.toml").read_text()


def test_the_version_is_one_of_debian() -> None:
    assert version()[0].isdigit() and "-" not in version() and "_" not in version()
