"""The panel as a process of its own, served by waitress."""

import asyncio
import subprocess
import sys
from pathlib import Path

from tests.support.process import spawn

ROOT = Path(__file__).resolve().parents[2]
THREADS = 16
OPTIONS = ("--no-clear-untrusted-proxy-headers",)  # BAZANG_TRUSTED_PROXIES says which of them are believed
START_SECONDS = 30
LOOK_EVERY = 0.05


def start_panel(
    host: str, port: int, environment: dict[str, str], folder: Path, log: Path | None
) -> subprocess.Popen[bytes]:
    """Start it in `folder`, where a `.env` would be read; `log` None: it speaks where we do."""
    listen = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    command = [sys.executable, "-m", "waitress", f"--listen={listen}", f"--threads={THREADS}", *OPTIONS, "wsgi:app"]
    return spawn(command, log, environment={**environment, "PYTHONPATH": str(ROOT)}, folder=folder)


async def panel_answers(process: subprocess.Popen[bytes], host: str, port: int) -> bool:
    """Return True as soon as the panel answers, False when it ended before. Raises TimeoutError."""
    async with asyncio.timeout(START_SECONDS):
        while process.poll() is None:
            if await _answers(host, port):
                return True
            await asyncio.sleep(LOOK_EVERY)
    return False


async def _answers(host: str, port: int) -> bool:
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    try:
        reader, writer = await asyncio.open_connection(here, port)
    except OSError:
        return False
    try:
        writer.write(f"GET /login HTTP/1.0\r\nHost: {here}:{port}\r\n\r\n".encode())
        return (await reader.readline()).startswith(b"HTTP/1.")
    except OSError:
        return False
    finally:
        writer.close()
