"""Start the panel in a process of its own."""

import asyncio
import subprocess
import sys
from pathlib import Path

from app.server.process import spawn

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 30
POLL_SECONDS = 0.05


def start_panel(
    host: str, port: int, environment: dict[str, str], folder: Path, log: Path | None
) -> subprocess.Popen[bytes]:
    """Start the panel in `folder`, from where it reads `.env`. Without `log` it writes to our own output."""
    listen = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    command = [sys.executable, "-m", "app.server.web", f"--listen={listen}"]
    return spawn(command, log, environment={**environment, "PYTHONPATH": str(ROOT)}, folder=folder)


async def panel_answers(
    process: subprocess.Popen[bytes], host: str, port: int, seconds: float | None = START_SECONDS
) -> bool:
    """Return True once the panel answers, False if its process ended first. Raises TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        while process.poll() is None:
            if await _answers(host, port):
                return True
            await asyncio.sleep(POLL_SECONDS)
    return False


async def _answers(host: str, port: int) -> bool:
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared with
    try:
        reader, writer = await asyncio.open_connection(loopback, port)
    except OSError:
        return False
    try:
        writer.write(f"GET /login HTTP/1.0\r\nHost: {loopback}:{port}\r\n\r\n".encode())
        return (await reader.readline()).startswith(b"HTTP/1.")
    except OSError:
        return False
    finally:
        writer.close()
