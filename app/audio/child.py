"""Runs one of our child scripts within bounds: a fresh process, one JSON request, one JSON reply.

A decoder fed with a stranger's file may take any amount of time and memory or crash, and the speech engine
is only dependable once per process; neither may happen inside the panel or the telephone service.
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

MEMORY = 512 * 1024 * 1024  # bytes of address space for one child

# Each child may take its whole memory limit; a small machine carries two of them.
_slots = threading.BoundedSemaphore(2)


def run_child(
    script: str, request: dict[str, Any], *, timeout: float, file_bytes: int, memory: int | None = None
) -> dict[str, Any]:
    """Run `script` (a file of this package) with `request` and return its reply.

    `timeout`: seconds for waiting on a free slot and for the work together; `file_bytes`: the largest file it may
    write; `memory`: bytes of its address space, None: MEMORY. Raises SoundError: the code that the child replied with,
    `busy` (no slot in time), `timeout`, or `broken` if it died; and OSError if the child could not write its file.
    """
    deadline = time.monotonic() + timeout
    if not _slots.acquire(timeout=timeout):
        raise SoundError("busy")
    try:
        bounds = {resource.RLIMIT_AS: memory or MEMORY, resource.RLIMIT_FSIZE: file_bytes, resource.RLIMIT_CORE: 0}
        reply = _run(script, request, timeout, max(0.1, deadline - time.monotonic()), bounds)
    finally:
        _slots.release()
    if "errno" in reply:
        raise OSError(reply["errno"], os.strerror(reply["errno"]), request["out"])
    if "error" in reply:
        raise SoundError(reply["error"], **reply.get("details", {}))
    return reply


def _run(
    script: str, request: dict[str, Any], timeout: float, remaining: float, bounds: dict[int, int]
) -> dict[str, Any]:
    # Run by path, not by -m: importing our packages would load the whole panel. -P keeps this folder
    # off the child's import path, where a module of ours could stand for another one's.
    command = [sys.executable, "-P", str(Path(__file__).with_name(script))]
    payload = json.dumps(request | {"timeout": timeout}).encode()
    # One malloc arena: each further one reserves 64 MB of the child's limited address space.
    environment = os.environ | {"MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, env=environment
        )
        with process:
            try:
                _limit(
                    process.pid, bounds | {resource.RLIMIT_CPU: math.ceil(timeout) + 1}
                )  # before it is told what to work on
                output, _ = process.communicate(payload, timeout=remaining)
            except subprocess.TimeoutExpired:
                process.kill()
                raise SoundError("timeout", limit=round(timeout, 1)) from None
            except BaseException:
                process.kill()
                raise
        return _read_reply(script, process.returncode, output, complaints)


def _limit(pid: int, bounds: dict[int, int]) -> None:
    for kind, limit in bounds.items():
        with suppress(ProcessLookupError):  # dead already; its missing reply tells
            resource.prlimit(pid, kind, (limit, limit))


def _read_reply(script: str, status: int, output: bytes, complaints: IO[bytes]) -> dict[str, Any]:
    try:
        reply = json.loads(output)
    except ValueError:
        reply = {"error": "broken"}
    if "error" in reply:
        complaints.seek(0)
        reason = reply.get("reason") or complaints.read(2000).decode(errors="replace").strip()
        log.info("%s ended with status %s, %s: %s", script, status, reply["error"], reason)
    return dict(reply)
