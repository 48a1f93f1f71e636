"""What systemd is told: that a service is ready, and that it goes on."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.systemd import READY, Pulse, notify
from app.worker.main import show_life
from script.office.patience import PATIENCE

LIMIT = 0.04  # seconds, WatchdogSec


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket of a systemd that watches this process."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", str(int(LIMIT * 1_000_000)))
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        yield channel


def test_assignments_are_sent_together(manager: socket.socket) -> None:
    notify(READY, "STATUS=Ready for callers")
    assert manager.recv(100) == b"READY=1\nSTATUS=Ready for callers"


def test_a_socket_without_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"bazang-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"\0{name}")
        channel.settimeout(PATIENCE)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        notify(READY)
        assert channel.recv(100) == b"READY=1"


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    notify(READY)
    Pulse().beat()


def test_a_systemd_that_is_gone_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    notify(READY)
    assert "cannot notify systemd" in caplog.text


def test_signs_of_life_are_rare_however_often_they_are_asked_for(manager: socket.socket) -> None:
    pulse = Pulse()
    assert pulse.seconds == LIMIT / 4
    for _ in range(100):
        pulse.beat()
    manager.setblocking(False)
    assert manager.recv(100) == b"WATCHDOG=1"
    with pytest.raises(BlockingIOError):
        for _ in range(99):
            manager.recv(100)


@pytest.mark.parametrize(("name", "value"), [("WATCHDOG_PID", "1"), ("WATCHDOG_USEC", "")])
def test_the_watchdog_of_another_process_gets_no_signs(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    Pulse().beat()
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(100)


async def test_the_worker_shows_life_only_while_its_polls_end(
    manager: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    asked = asyncio.Event()
    goes_on = True

    def is_going_on() -> bool:
        asked.set()
        return goes_on

    async def ask() -> None:
        asked.clear()
        async with asyncio.timeout(PATIENCE):
            await asked.wait()

    task = asyncio.create_task(show_life(is_going_on, Pulse()))
    try:
        await ask()
        assert await asyncio.to_thread(manager.recv, 100) == b"WATCHDOG=1"
        goes_on = False
        await ask()
        await ask()
        manager.setblocking(False)
        while True:  # what was sent before
            try:
                manager.recv(100)
            except BlockingIOError:
                break
        for _ in range(5):
            await ask()
        with pytest.raises(BlockingIOError):
            manager.recv(100)
        assert caplog.text.count("no poll has ended") == 1
    finally:
        task.cancel()
