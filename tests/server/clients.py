"""Clients that keep to no rule: they connect, send and read what and when a test says."""

import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from script.office.patience import PATIENCE


class Client:
    """A connection to a server of this machine, from `address`. `tls`: for a server with a certificate for `host`."""

    def __init__(
        self, port: int, address: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None, host: str = ""
    ) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE, (address, 0))
        if tls is not None:
            self._socket = tls.wrap_socket(self._socket, server_hostname=host)
        self._received = b""

    def send(self, data: bytes) -> bool:
        """Send bytes. Return False if the server has closed the connection."""
        try:
            self._socket.sendall(data)
        except OSError:
            return False
        return True

    def read_response(self) -> tuple[int, bytes]:
        """Wait for a response with Content-Length. Return its status and body; (0, b"") if the connection is closed."""
        while b"\r\n\r\n" not in self._received:
            if not self._receive():
                return 0, b""
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        length = int(lengths[0]) if lengths else 0
        while len(self._received) < length and self._receive():
            pass
        body, self._received = self._received[:length], self._received[length:]
        return int(head.split()[1]), body

    def wait_until_closed(self) -> bytes:
        """Wait until the server closes the connection. Return what it sent before."""
        while self._receive():
            pass
        data, self._received = self._received, b""
        return data

    def send_until_answered(self) -> None:
        """Send a little more again and again, until the server answers or closes the connection."""
        self._socket.settimeout(0.05)
        try:
            while self.send(b"x" * 100):
                try:
                    self._receive()
                    return
                except TimeoutError:
                    continue
        finally:
            self._socket.settimeout(PATIENCE)

    def hears_nothing(self, seconds: float = 0.0) -> bool:
        """Wait until the server sends something or closes the connection. Return True if it does neither in time."""
        events = select.poll()  # select() knows no file descriptor above 1023, and a flood has more
        events.register(self._socket, select.POLLIN)
        return not events.poll(seconds * 1000)

    def _receive(self) -> bool:
        try:
            part = self._socket.recv(65536)
        except (ConnectionError, ssl.SSLError):
            return False
        self._received += part
        return bool(part)

    def close(self) -> None:
        self._socket.close()


@contextmanager
def connect(port: int, count: int, *addresses: str) -> Iterator[list[Client]]:
    """Open `count` connections, from the addresses in turn."""
    from_where = addresses or ("127.0.0.1",)
    clients = [Client(port, from_where[number % len(from_where)]) for number in range(count)]
    try:
        yield clients
    finally:
        for client in clients:
            client.close()
