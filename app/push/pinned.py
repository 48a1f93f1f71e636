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

    It takes tens of milliseconds to load their list.
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


class PinnedConnection(http.client.HTTPConnection):
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
        self._is_over = False
        # The library forgets it when the answer begins, if the server wants to close the connection.
        self._connected: socket.socket | None = None

    def connect(self) -> None:
        for place, address in enumerate(self._addresses):
            try:
                plain = socket.create_connection(address, self._step_timeout)
                break
            except OSError:
                if place == len(self._addresses) - 1:
                    raise
        self.sock = self._connected = plain
        if self._tls is not None:
            # The socket is there before the handshake, so that `for_at_most` can end that as well.
            secured = self._tls.wrap_socket(plain, server_hostname=self.host, do_handshake_on_connect=False)
            self.sock = self._connected = secured
            if not self._is_over:
                secured.do_handshake()

    @contextmanager
    def for_at_most(self, seconds: float) -> Iterator[None]:
        """Close the connection at the end, and end it before if all steps take longer. Raises TimeoutError then.

        The time-out of a socket is for one step. A server that sends a byte now and then would hold us for ever.
        """
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

    def _end(self) -> None:
        self._is_over = True
        if self._connected is not None:
            with suppress(OSError):  # it has ended by itself
                socket.socket.shutdown(self._connected, socket.SHUT_RDWR)  # a thread that reads from it goes on
