"""The converter in a child process per file, without the time that each takes to start.

Run as a script, it imports the sound library once, and forks a child with the limits of the product for each line of
standard input. `forked_conversion` puts it in the place of the product's own start of a child.
"""

import io
import json
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from unittest import mock


@dataclass
class Usage:
    """What the children needed at most, how many there were, and those that a signal ended."""

    children: int = 0
    most_memory: int = 0  # bytes
    most_seconds: float = 0.0  # of processor time
    killed_by: list[int] = field(default_factory=list)


@contextmanager
def forked_conversion() -> Iterator[Usage]:
    """Convert in forked children. Yield what they needed so far."""
    from app.audio import child_process

    child = Path(child_process.__file__).with_name("convert_child.py")
    usage = Usage()
    environment = os.environ | {"MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-P", __file__, str(child)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def run(
            script: str, request: dict[str, Any], timeout: float, remaining: float, limits: dict[int, int]
        ) -> dict[str, Any]:
            assert script == child.name
            job = {"request": request | {"timeout": timeout}, "seconds": remaining, "limits": list(limits.items())}
            stdin.write(json.dumps(job).encode() + b"\n")
            stdin.flush()
            done = json.loads(stdout.readline())
            usage.children += 1
            usage.most_memory = max(usage.most_memory, done["memory"])
            usage.most_seconds = max(usage.most_seconds, done["cpu"])
            if os.WIFSIGNALED(done["status"]):
                usage.killed_by.append(os.WTERMSIG(done["status"]))
            return child_process._read_reply(script, done["status"], done["output"].encode(), io.BytesIO())

        try:
            with mock.patch.object(child_process, "_run", run):
                yield usage
        finally:
            process.kill()


def main() -> None:
    spec = spec_from_file_location("convert_child", sys.argv[1])
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    import av  # noqa: F401 - so that children have it already

    for line in sys.stdin:
        job = json.loads(line)
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            convert(module, job, writer)
        os.close(writer)
        print(json.dumps(watch(pid, reader, job["seconds"])), flush=True)


def convert(module: Any, job: dict[str, Any], writer: int) -> None:
    """Be the child: convert a file with the limits of the product, and end."""
    for kind, limit in job["limits"]:
        resource.setrlimit(kind, (limit, limit))
    sys.stdin = io.StringIO(json.dumps(job["request"]))
    with open(writer, "w") as sys.stdout:
        module.main()
    os._exit(0)


def watch(pid: int, reader: int, seconds: float) -> dict[str, Any]:
    """Wait for a child, and kill it when its time is over. Return its output and what it needed."""
    output = b""
    with open(reader, "rb", buffering=0) as stream:
        while True:
            if not select.select([stream], [], [], seconds)[0]:
                os.kill(pid, signal.SIGKILL)
            if not (part := stream.read(65536)):
                break
            output += part
    _, status, used = os.wait4(pid, 0)
    needed = {"memory": used.ru_maxrss * 1024, "cpu": used.ru_utime + used.ru_stime}
    return {"output": output.decode(), "status": status, **needed}


if __name__ == "__main__":
    main()
