"""Serve an application in this process as an installation does."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from waitress import wasyncore

from app.server.connections import GuardedServer, Limits, create_server
from app.server.web import raise_descriptors


@contextmanager
def serve_application(application: Any, limits: Limits, *, pause: float = 0.5) -> Iterator[int]:
    """Serve on any free port of 127.0.0.1. Yield the port. `pause`: seconds between two looks at the deadlines."""
    raise_descriptors()
    sockets: dict[int, Any] = {}
    server = create_server(application, limits, map=sockets, listen="127.0.0.1:0", threads=8)
    assert isinstance(server, GuardedServer)
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            wasyncore.loop(timeout=pause, use_poll=True, map=sockets, count=1)

    thread = threading.Thread(target=work, name="panel")
    thread.start()
    try:
        yield int(server.effective_port)
    finally:
        ended.set()
        server.pull_trigger()
        thread.join(10)
        server.task_dispatcher.shutdown()
        wasyncore.close_all(sockets)
