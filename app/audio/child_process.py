"""Run a script of this package in a child process with limits on time, memory and file size.

Decoding an uploaded file may take any amount of time and memory, or crash. The speech engine is only reliable once
per process. Neither may happen in the panel or in the worker.
"""

import json
import logging
import math
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from app.audio.clip import SoundError

log = logging.getLogger(__name__)

MEMORY_BYTES = 512 * 1024 * 1024  # address space of one child

# Each child may use its whole memory limit. A small machine can carry two of them.
_slots = threading.BoundedSemaphore(2)


def run_child(
    script: str, request: dict[str, Any], *, timeout: float, file_bytes: int, memory: int | None = None
) -> dict[str, Any]:
    """Run `script`, a file of this package or a whole path, with a JSON request and return its JSON reply.

    `timeout`: seconds for waiting and working together; `file_bytes`: the largest file the child may write; `memory`:
    bytes of address space, MEMORY_BYTES by default. Raises SoundError with the code of the child's reply, or `busy` (no
    slot became free in time), `timeout` or `broken` (the child crashed); OSError if the child could not write its file.
    """
    deadline = time.monotonic() + timeout
    if not _slots.acquire(timeout=timeout):
        raise SoundError("busy")
    try:
        limits = {
            resource.RLIMIT_AS: memory or MEMORY_BYTES,
            resource.RLIMIT_FSIZE: file_bytes,
            resource.RLIMIT_CORE: 0,
            resource.RLIMIT_CPU: math.ceil(timeout) + 1,
        }
        reply = _run(script, request, timeout, max(0.1, deadline - time.monotonic()), limits)
    finally:
        _slots.release()
    if "errno" in reply:
        raise OSError(reply["errno"], os.strerror(reply["errno"]), request["out"])
    if "error" in reply:
        raise SoundError(reply["error"], **reply.get("details", {}))
    return reply


def _run(
    script: str, request: dict[str, Any], timeout: float, remaining: float, limits: dict[int, int]
) -> dict[str, Any]:
    # Run the script by path: -m would import our packages and so load the whole panel. -P keeps this folder off the
    # child's import path, where one of our modules could shadow another module.
    command = [sys.executable, "-P", str(Path(__file__).parent / script)]
    payload = json.dumps(request | {"timeout": timeout}).encode()
    # Use one malloc arena: each further one reserves 64 MB of the child's limited address space.
    environment = os.environ | {"MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(  # noqa: S603 - our own script; the request goes to its standard input
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment
        )
        with process:
            try:
                _set_limits(process.pid, limits)  # before the child reads its request
                output, _ = process.communicate(payload, timeout=remaining)
            except subprocess.TimeoutExpired:
                process.kill()
                raise SoundError("timeout", limit=round(timeout, 1)) from None
            except BaseException:
                process.kill()
                raise
        return _read_reply(script, process.returncode, output, errors)


def _set_limits(pid: int, limits: dict[int, int]) -> None:
    for kind, limit in limits.items():
        with suppress(ProcessLookupError):  # the child has already died; its reply will be missing
            resource.prlimit(pid, kind, (limit, limit))


def _read_reply(script: str, status: int, output: bytes, errors: IO[bytes]) -> dict[str, Any]:
    try:
        reply = json.loads(output)
    except ValueError:
        reply = {"error": "broken"}
    if "error" in reply:
        errors.seek(0)
        reason = reply.get("reason") or errors.read(2000).decode(errors="replace").strip()
        log.info("%s ended with status %s, %s: %s", script, status, reply["error"], reason)
    return dict(reply)
