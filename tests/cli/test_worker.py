"""The command worker: one worker for each database, and clear errors if it cannot start."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from flask import Flask

from app.config import Settings
from app.server.process import kill, spawn
from script.office.asterisk import free_port
from tests.cli.conftest import COMMAND, PROCESS_SECONDS, Install, environment, error_of, run


@contextmanager
def worker(folder: Path, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker in a process of its own, and wait until it is ready for callers."""
    log = folder / "worker.log"
    ports = {"AGI_PORT": str(free_port()), "AMI_PORT": str(free_port())}
    process = spawn([*COMMAND, "worker"], log, environment=environment(folder, ports | settings), folder=folder)
    try:
        deadline = time.monotonic() + PROCESS_SECONDS
        while not (log.exists() and "ready for callers" in log.read_text()):
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield process
    finally:
        kill(process)
        log.unlink()


@pytest.mark.slow
def test_each_database_has_one_worker(app: Flask, settings: Settings) -> None:
    with worker(settings.data_dir.parent):
        assert error_of(run(app, "worker")) == "another worker is running on this database"
    with worker(settings.data_dir.parent) as next_worker:  # the first was killed and left no lock behind
        next_worker.send_signal(signal.SIGTERM)
        assert next_worker.wait(PROCESS_SECONDS) == 0


@pytest.mark.slow
def test_its_log_is_json_if_it_is_wished(app: Flask, settings: Settings) -> None:
    folder = settings.data_dir.parent
    with worker(folder, LOG_FORMAT="json") as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(PROCESS_SECONDS) == 0
        lines = [json.loads(line) for line in (folder / "worker.log").read_text().splitlines()]
    assert "ready for callers" in [line["message"] for line in lines]


@pytest.fixture
def no_freeze(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not freeze the objects of the test process."""
    monkeypatch.setattr("gc.freeze", lambda: None)


@pytest.mark.usefixtures("no_freeze")
def test_a_port_in_use_is_named(install: Install) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        error = error_of(run(install(agi_port=port, ami_port=free_port()), "worker"))
    assert f"127.0.0.1:{port}" in error and "BAZANG_AGI_PORT" in error


@pytest.mark.usefixtures("no_freeze")
def test_an_unusable_folder_is_named(install: Install, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    app = install(agi_port=0, ami_port=free_port(), prompts_dir=tmp_path / "file")
    error = error_of(run(app, "worker"))
    assert error.startswith(f"BAZANG_PROMPTS_DIR: {tmp_path}/file cannot be written")
    assert len(error.splitlines()) == 1
