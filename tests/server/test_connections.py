"""The limits of the server: connections, deadlines, and bodies that are refused before they are read."""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from app.body_limits import ACCEPTED, ANYBODY, QUESTION
from app.server.connections import Limits, peer_of
from script.office.patience import PATIENCE
from tests.server.clients import Client, connect
from tests.support.serving import serve_application

LONG = 3600.0
PATIENT = Limits(
    connections=50,
    per_peer=None,
    header_seconds=LONG,
    idle_seconds=LONG,
    body_seconds=LONG,
    stalled_seconds=LONG,
    refused_seconds=LONG,
)
SOON = 0.05
GET = b"GET / HTTP/1.1\r\nHost: panel\r\n\r\n"
LARGE = ANYBODY + 20_000
Serve = Callable[..., int]


class Application:
    """Answers each request with the length of its body. Notes the questions, and refuses bodies for /refused."""

    def __init__(self) -> None:
        self.questions: list[tuple[str, bytes]] = []
        self.bodies: list[bytes] = []
        self.is_asked, self.is_busy, self.may_go_on = threading.Event(), threading.Event(), threading.Event()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if QUESTION in environ:
            self.questions.append((environ["CONTENT_LENGTH"], environ["wsgi.input"].read()))
            self.is_asked.set()
            if path != "/refused":
                start_response(f"{ACCEPTED} No Content", [])
                return []
            return self._answer(start_response, "413 Too Large", b"too large")
        if path == "/busy":
            self.is_busy.set()
            assert self.may_go_on.wait(PATIENCE)
        if path == "/much":
            return self._answer(start_response, "200 OK", bytes(24_000_000))
        self.bodies.append(environ["wsgi.input"].read())
        return self._answer(start_response, "200 OK", str(len(self.bodies[-1])).encode())

    @staticmethod
    def _answer(start_response: Callable[..., Any], status: str, body: bytes) -> list[bytes]:
        start_response(status, [("Content-Length", str(len(body)))])
        return [body]


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def serve(application: Application) -> Iterator[Serve]:
    """Serve with `PATIENT` but for some limits: `serve(header_seconds=1)` returns the port."""
    opened: list[Any] = []

    def start(**changes: Any) -> int:
        opened.append(serve_application(application, replace(PATIENT, **changes), pause=SOON / 2))
        port: int = opened[-1].__enter__()
        return port

    yield start
    for context in opened:
        context.__exit__(None, None, None)


def post(path: str, length: int, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: panel", f"Content-Length: {length}", *headers, "", ""]
    return "\r\n".join(lines).encode()


# -- deadlines --------------------------------------------------------------------------------------------------------

SLOW: dict[str, tuple[str, bytes]] = {
    "silent": ("header_seconds", b""),
    "blank lines": ("header_seconds", b"\r\n\r\n"),
    "headers": ("header_seconds", b"GET / HTTP/1.1\r\nHost: "),
    "idle": ("idle_seconds", GET),
    "body": ("body_seconds", post("/", ANYBODY) + b"x"),
    "accepted body": ("body_seconds", post("/", LARGE) + b"x"),
}


@pytest.mark.parametrize("kind", SLOW)
def test_slow_client_is_cut(kind: str, serve: Serve) -> None:
    limit, data = SLOW[kind]
    with connect(serve(**{limit: SOON}), 1) as (client,):
        client.send(data)
        client.wait_until_closed()


@pytest.mark.parametrize("kind", ["blank lines", "headers", "body", "accepted body"])
def test_a_byte_now_and_then_does_not_help(kind: str, serve: Serve) -> None:
    limit, data = SLOW[kind]
    with connect(serve(**{limit: SOON, "body_rate": 1_000_000}), 1) as (client,):
        client.send(data)
        more = b"\r\n\r\n" if kind == "blank lines" else b"x"
        while client.hears_nothing(SOON / 20):
            client.send(more)
        assert client.wait_until_closed() == b""


def test_slow_body_has_more_time_while_it_comes(application: Application, serve: Serve) -> None:
    """Each byte that comes gives a second here."""
    with connect(serve(body_seconds=SOON, body_rate=1), 1) as (client,):
        client.send(post("/", 4000) + b"x" * 3000)
        with connect(serve(header_seconds=3 * SOON), 1) as (other,):  # until the deadline without these bytes is over
            other.wait_until_closed()
        client.send(b"x" * 1000)
        assert client.read_response() == (200, b"4000")


def test_client_that_does_not_read_is_cut(serve: Serve) -> None:
    with connect(serve(stalled_seconds=SOON), 2) as (stalled, other):
        stalled.send(b"GET /much HTTP/1.1\r\n\r\n")
        other.send(GET)
        assert other.read_response()[0] == 200
        while stalled.send(b"x" * 65536):  # its buffers fill up, unless it is closed
            pass


def test_request_in_progress_has_no_deadline(application: Application, serve: Serve) -> None:
    soon = dict.fromkeys(("header_seconds", "idle_seconds", "body_seconds", "stalled_seconds"), SOON)
    with connect(serve(**soon), 2) as (busy, silent):
        busy.send(b"GET /busy HTTP/1.1\r\n\r\n")
        assert application.is_busy.wait(PATIENCE)
        silent.wait_until_closed()
        application.may_go_on.set()
        assert busy.read_response() == (200, b"0")


# -- connections ------------------------------------------------------------------------------------------------------


def test_the_connection_that_waited_longest_gives_way(application: Application, serve: Serve) -> None:
    port = serve(connections=3)
    with connect(port, 2) as (busy, uploading):
        busy.send(b"GET /busy HTTP/1.1\r\n\r\n")
        uploading.send(post("/", LARGE))
        assert application.is_busy.wait(PATIENCE) and application.is_asked.wait(PATIENCE)
        with connect(port, 4) as silent:
            silent[0].wait_until_closed()
            assert all(client.hears_nothing() for client in silent[1:])
            with connect(port, 3) as others:
                for client in silent[1:]:
                    client.wait_until_closed()
                for client in others:
                    client.send(GET)
                    assert client.read_response()[0] == 200
        application.may_go_on.set()
        assert busy.read_response()[0] == 200
        uploading.send(bytes(LARGE))
        assert uploading.read_response() == (200, str(LARGE).encode())


def test_a_peer_with_too_many_connections_closes_its_own_only(serve: Serve) -> None:
    port = serve(per_peer=2)
    with connect(port, 1, "127.0.0.2") as (colleague,), connect(port, 5, "127.0.0.3") as many:
        for client in many[:3]:
            client.wait_until_closed()
        for client in (colleague, *many[3:]):
            assert client.send(GET) and client.read_response()[0] == 200


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("localhost", "localhost"),
    ],
)
def test_an_ipv6_network_is_one_peer(address: str, peer: str) -> None:
    assert peer_of(address) == peer


# -- bodies -----------------------------------------------------------------------------------------------------------


def test_small_body_needs_no_question(application: Application, serve: Serve) -> None:
    with connect(serve(), 1) as (client,):
        client.send(post("/refused", ANYBODY) + bytes(ANYBODY))
        assert client.read_response() == (200, str(ANYBODY).encode())
    assert application.questions == []


def test_accepted_body_arrives_whole(application: Application, serve: Serve) -> None:
    """With its first bytes in the packet of the headers, and followed by another request."""
    body = bytes(range(256)) * (LARGE // 256)
    with connect(serve(), 1) as (client,):
        client.send(post("/", len(body)) + body[:100])
        assert application.is_asked.wait(PATIENCE)
        client.send(body[100:] + GET)
        assert client.read_response() == (200, str(len(body)).encode())
        assert client.read_response() == (200, b"0")
        client.send(post("/", len(body)) + body)
        assert client.read_response() == (200, str(len(body)).encode())
    assert application.questions == [(str(len(body)), b"")] * 2
    assert application.bodies == [body, b"", body]


def test_client_that_expects_a_signal_gets_it_after_the_question(application: Application, serve: Serve) -> None:
    with connect(serve(), 2) as (client, other):
        client.send(post("/", LARGE, "Expect: 100-continue"))
        assert client.read_response()[0] == 100
        client.send(bytes(LARGE))
        assert client.read_response() == (200, str(LARGE).encode())
        other.send(post("/refused", LARGE, "Expect: 100-continue"))
        assert other.read_response() == (413, b"too large")


@pytest.mark.parametrize("sent", [0, 3_000_000])
def test_refused_body_is_not_read(application: Application, serve: Serve, sent: int) -> None:
    """The response arrives even if the client sends everything before it looks for one."""
    with connect(serve(), 1) as (client,):
        client.send(post("/refused", 10**12) + bytes(sent))
        assert client.read_response() == (413, b"too large")
        assert client.wait_until_closed() == b""
    assert application.questions == [(str(10**12), b"")]
    assert application.bodies == []


def test_rest_of_a_refused_body_is_dropped_for_a_while_only(serve: Serve) -> None:
    with connect(serve(refused_seconds=SOON), 1) as (client,):
        client.send(post("/refused", 10**12))
        assert client.read_response()[0] == 413
        while client.send(bytes(65536)):
            pass


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 411),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", 431),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
    ],
)
def test_request_that_is_refused_unheard(application: Application, serve: Serve, data: bytes, status: int) -> None:
    with connect(serve(), 1) as (client,):
        client.send(data)
        assert client.read_response()[0] == status
    assert application.bodies == []


def test_server_goes_on_after_nonsense(serve: Serve) -> None:
    port = serve()
    for data in (b"\0" * 5000, b"\x16\x03\x01\x02\x00\x01" * 100, b"GET / HTTP/9.9\r\n\r\n", post("/", LARGE)):
        client = Client(port)
        client.send(data)
        client.close()
    with connect(port, 1) as (client,):
        client.send(GET)
        assert client.read_response()[0] == 200
