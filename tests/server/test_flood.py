"""The panel under clients that open connections and then do nothing, or very little."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from flask import Flask

from app.server.connections import Limits
from tests.server.clients import Client, connect
from tests.server.visitors import NetworkVisitor
from tests.support.serving import serve_application
from tests.web.conftest import ADMINISTRATOR, PASSWORD, app, built_database, compiled_templates

__all__ = ["app", "built_database", "compiled_templates"]
SILENT, SLOW = 500, 100
LONG = 3600.0
# Nobody is cut because of a deadline here, so the flood lasts as long as the test.
LIMITS = replace(Limits(), header_seconds=LONG, idle_seconds=LONG, body_seconds=LONG)
STARTS = (b"GET /login HTTP/1.1\r\nX: ", b"POST /login HTTP/1.1\r\nHost: panel\r\nContent-Length: 60000\r\n\r\n")
PAGES = ("/requests", "/overview", "/modules", "/recordings", "/settings", "/report", "/log", "/account")


@contextmanager
def flood(port: int, addresses: tuple[str, ...]) -> Iterator[list[Client]]:
    """Open all connections. The slow ones send a byte now and then."""
    with connect(port, SILENT + SLOW, *addresses) as clients:
        slow = clients[:: len(clients) // SLOW]
        for number, client in enumerate(slow):
            client.send(STARTS[number % len(STARTS)])
        ended = threading.Event()

        def drip() -> None:
            while not ended.wait(0.05):
                for client in slow:
                    client.send(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield clients
        finally:
            ended.set()
            thread.join()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("addresses", "fewest"),
    [(("127.0.0.1",), 100), (tuple(f"127.0.1.{number}" for number in range(8)), 450)],
    ids=["the user's own address", "several addresses"],
)
def test_pages_come_while_hundreds_hold_connections(app: Flask, addresses: tuple[str, ...], fewest: int) -> None:
    app.config.update(WTF_CSRF_ENABLED=True, TESTING=False)
    with serve_application(app, LIMITS) as port, flood(port, addresses) as clients:
        user = NetworkVisitor(port)
        assert user.log_in("/login", ADMINISTRATOR, PASSWORD).status == 302
        for page in PAGES:
            assert user.get(page).status == 200, page
        assert sum(client.hears_nothing() for client in clients) >= fewest, "the flood has ended"
