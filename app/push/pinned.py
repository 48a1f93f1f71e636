"""Connections that go to addresses which were checked before, and to no others."""

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache

from app.domain.addresses import is_public

MOST_ADDRESSES = 2  # that are tried


@cache
def trusted_authorities() -> ssl.SSLContext:
    """Return the TLS settings for servers whose certificate is from an authority that this machine trusts.

    Loading their list takes tens of milliseconds, so senders ask for it with their first connection.
    """
    return ssl.create_default_context()


class NotAllowed(OSError):
    """The host has no address to which anything may be sent."""


def find_addresses(
    host: str, port: int = 443, *, may_reach: Callable[[str], bool] = is_public
) -> list[tuple[str, int]]:
    """Return the allowed addresses of a host with the port, at least one.

    Raises NotAllowed if it has others only, and OSError.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a part of the name is empty or too long
        raise OSError("not a host name") from error
    addresses = [(str(info[4][0]), port) for info in found if may_reach(str(info[4][0]))]
    if not addresses:
        raise NotAllowed(host)
    return addresses[:MOST_ADDRESSES]


class LimitedInTime:
    """A connection that ends when all its steps together take too long.

    The time-out of a socket is for one step. A server that sends a byte now and then would hold us for ever.
    """

    _is_over = False
    # The HTTP library forgets its own one when the answer begins, if the server wants to close the connection.
    _connected: socket.socket | None = None

    def close(self) -> None:
        """Close the connection."""
        raise NotImplementedError

    def _open(self, addresses: Sequence[tuple[str, int]], timeout: float) -> socket.socket:
        """Return a connection to the first of the addresses that answers. Raises OSError."""
        for place, address in enumerate(addresses):
            try:
                self._connected = socket.create_connection(address, timeout)
                break
            except OSError:
                if place == len(addresses) - 1:
                    raise
        assert self._connected is not None
        if self._is_over:
            raise TimeoutError("took too long")
        return self._connected

    def _secure(self, plain: socket.socket, tls: ssl.SSLContext, host: str) -> ssl.SSLSocket:
        """Return a connection that is protected by TLS. Raises OSError, of which one is for a bad certificate."""
        # The socket is known before the handshake, so that `for_at_most` can end that as well.
        self._connected = secured = tls.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
        if not self._is_over:
            secured.do_handshake()
        return secured

    @contextmanager
    def for_at_most(self, seconds: float) -> Iterator[None]:
        """Close the connection at the end, and end it before if all steps take longer. Raises TimeoutError then."""
        watch = threading.Timer(seconds, self._end)
        watch.daemon = True
        watch.start()
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            if self._is_over:
                raise TimeoutError("took too long") from error
            raise
        finally:
            watch.cancel()
            self.close()
            if self._connected is not None:  # the library does not know it before the handshake has succeeded
                self._connected.close()

    def _end(self) -> None:
        self._is_over = True
        if self._connected is not None:
            with suppress(OSError):  # it has ended by itself
                socket.socket.shutdown(self._connected, socket.SHUT_RDWR)  # a thread that reads from it goes on


class PinnedConnection(LimitedInTime, http.client.HTTPConnection):
    """A connection to one of the checked addresses of a host.

    The name is not looked up a second time, so a name server cannot answer with another address meanwhile. `tls` is
    None for plain HTTP. Redirections are not followed, and proxies of the environment are not used.
    """

    def __init__(
        self, host: str, addresses: Sequence[tuple[str, int]], tls: ssl.SSLContext | None, *, timeout: float
    ) -> None:
        self.default_port = 80 if tls is None else 443
        super().__init__(host, addresses[0][1], timeout=timeout)
        self._addresses, self._tls, self._step_timeout = addresses, tls, timeout

    def connect(self) -> None:
        self.sock = self._open(self._addresses, self._step_timeout)
        if self._tls is not None:
            self.sock = self._secure(self.sock, self._tls, self.host)

    def close(self) -> None:
        http.client.HTTPConnection.close(self)
