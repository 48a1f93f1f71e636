"""The units for systemd let the processes do what they need and no more. Nobody's log grows for ever."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from script.lib.package_files import PackageFile

UNITS = sorted((Path(__file__).parent.parent / "deploy").glob("*.service"))
WORST = 3.0  # exposure by `systemd-analyze security`; 10 is the worst


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_exposure_is_low(unit: Path, tmp_path: Path, systemd_analyze: PackageFile) -> None:
    copy = shutil.copy(unit, tmp_path)
    command = [str(systemd_analyze.find()), "security", "--offline=true", "--no-pager", str(copy)]
    done = subprocess.run(command, env=systemd_analyze.environment(), capture_output=True, text=True, check=True)
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found is not None, done.stdout
    assert float(found[1]) < WORST


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_memory_and_files_are_limited(unit: Path) -> None:
    lines = unit.read_text().splitlines()
    assert {"UMask=0077", "CapabilityBoundingSet=", "ProtectSystem=strict"} <= set(lines)
    assert any(line.startswith("MemoryMax=") for line in lines)
    assert not any("@resources" in line for line in lines), "the converters lower their priority and limits"


def test_logs_of_containers_go_to_the_journal() -> None:
    text = (UNITS[0].parent / "compose.yaml").read_text()
    shared, _, services = text.partition("\nservices:\n")
    names = re.findall(r"^  (\w+):$", services.partition("\nvolumes:")[0], re.MULTILINE)
    assert names == ["database", "migrate", "panel", "worker"]
    assert "x-log: &log\n  driver: journald\n" in shared and "logging: *log" in shared.partition("x-bazang")[2]
    assert services.count("logging: *log") + services.count("<<: *bazang") == len(names)
