"""A waitress that clients cannot stop: by holding connections, by sending slowly, or by sending more than they may.

Waitress limits connections by accepting no more, so silent ones keep everybody out. It closes those that are idle, but
one byte now and then keeps a connection alive for ever. It stores bodies before it calls the application. Here the
connection that has waited longest gives way to a new one, each part of a request has a deadline, and the application
is asked before a large body is read (see `app.body_limits`).
"""

import socket
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import MultiSocketServer, TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher, WSGITask
from waitress.utilities import Error

from app.body_limits import ACCEPTED, ANYBODY, QUESTION

MAX_HEADERS = 32 * 1024  # bytes of all headers of a request
DROPPED_AT_ONCE = 64 * 1024  # bytes


@dataclass(frozen=True)
class Limits:
    """Limits of one listening address.

    `connections`: that wait for the client, in all; `per_peer`: of one address, None for no limit. `header_seconds`:
    for the headers of a request, and for the first byte of a new connection; `idle_seconds`: between two requests;
    `body_seconds`: for a body, and a second more for each `body_rate` bytes of it that have come; `stalled_seconds`:
    for a client that does not read its response; `refused_seconds`: for the rest of a refused body.
    """

    connections: int = 512
    per_peer: int | None = 128
    header_seconds: float = 15.0
    idle_seconds: float = 75.0  # longer than a reverse proxy keeps its connections
    body_seconds: float = 20.0
    body_rate: int = 4096
    stalled_seconds: float = 60.0
    refused_seconds: float = 30.0


class LengthRequired(Error):  # type: ignore[misc]
    """No browser sends a body without its length, and without it the body cannot be refused before it is read."""

    code = 411
    reason = "Length Required"


class _Parser(HTTPRequestParser):  # type: ignore[misc]
    """Stops after the headers if the body is large.

    `is_question`: the application must be asked about the body; `is_accepted`: it was, and the body may come.
    """

    error: Error | None
    expect_continue: bool
    is_question = is_accepted = False
    _early = b""  # of the body, received with the headers
    _expected_continue = False

    def received(self, data: bytes) -> int:
        had_headers = self.headers_finished
        consumed: int = super().received(data)
        if had_headers or not self.headers_finished or self.error or self.empty:
            return consumed
        if self.chunked:
            self.error, self.completed = LengthRequired("Send the length of the body."), True
        elif self.content_length > ANYBODY:
            self.is_question = self.completed = True
            self._early = data[consumed:]
            self._expected_continue, self.expect_continue = self.expect_continue, False
            return len(data)
        return consumed

    def accept_body(self) -> None:
        """Go on with the body. What has come of it already is less than the whole."""
        self.is_question, self.is_accepted, self.completed = False, True, False
        self.expect_continue = self._expected_continue
        self.received(self._early)
        self._early = b""

    def close(self) -> None:
        if self.completed:  # else the body is still to come
            super().close()


class _Task(WSGITask):  # type: ignore[misc]
    """Calls the application, or asks it whether it accepts the body."""

    def __init__(self, channel: "_Channel", request: _Parser) -> None:
        super().__init__(channel, request)
        self._is_question = request.is_question

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        if self._is_question:
            environ[QUESTION] = True
        return environ

    def write(self, data: bytes) -> None:
        if self._is_question:
            if self._accepts():
                return
            self.request.headers["CONNECTION"] = "close"  # the body stays unread
            self.channel.is_refused = True
        super().write(data)

    def finish(self) -> None:
        super().finish()
        if self._is_question and self._accepts():
            with self.channel.requests_lock:
                self.request.accept_body()
                self.channel.request = self.request

    def _accepts(self) -> bool:
        return bool(self.complete and self.status.startswith(f"{ACCEPTED} "))


class _Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that knows what it waits for, and since when, by the monotonic clock."""

    task_class = _Task
    parser_class = _Parser
    is_refused = False  # the client may still send what nobody reads
    _is_dropping = False
    _had_request = False

    def __init__(self, server: Any, sock: socket.socket, addr: Any, adj: Any, map: Any = None) -> None:
        self.waits_since = self._part_since = time.monotonic()
        super().__init__(server, sock, addr, adj, map=map)
        self.peer = peer_of(addr[0])

    def may_give_way(self) -> bool:
        """Return whether nothing is lost but time if this connection is closed: no request is complete or accepted."""
        request = self.request  # another thread may take it
        return not (self.requests or (request is not None and request.is_accepted))

    def is_overdue(self, now: float, limits: Limits) -> bool:
        """Return whether the client has taken too long."""
        waited = now - self._part_since
        request = self.request
        if self._is_dropping:
            return waited > limits.refused_seconds
        if self.total_outbufs_len:
            return waited > limits.stalled_seconds
        if self.requests:
            return False
        if request is None:
            return now - self.waits_since > (limits.idle_seconds if self._had_request else limits.header_seconds)
        if not request.headers_finished:
            return waited > limits.header_seconds
        return bool(waited > limits.body_seconds + request.body_bytes_received / limits.body_rate)

    def received(self, data: bytes) -> Any:
        before = self.request
        if before is None:
            self._part_since = time.monotonic()
        had_headers = before is not None and before.headers_finished
        result = super().received(data)
        if not had_headers and self.request is not None and self.request.headers_finished:
            self._part_since = time.monotonic()
        return result

    def service(self) -> None:
        if self.requests[0].error:
            self.is_refused = True
        self.waits_since = self._part_since = time.monotonic()
        super().service()
        self._had_request = True
        self.waits_since = self._part_since = time.monotonic()

    def write_soon(self, data: Any) -> Any:
        if not self.total_outbufs_len:
            self._part_since = time.monotonic()
        return super().write_soon(data)

    def _flush_some(self, do_close: bool = True) -> Any:
        sent = super()._flush_some(do_close=do_close)
        if sent:
            self._part_since = time.monotonic()
        return sent

    def readable(self) -> bool:
        return bool(self.connected and (self._is_dropping or super().readable()))

    def writable(self) -> bool:
        return bool(self.connected and super().writable())

    def handle_read(self) -> None:
        if not self._is_dropping:
            super().handle_read()
            return
        try:
            self.recv(DROPPED_AT_ONCE)  # closes the connection at its end
        except OSError:
            self.handle_close()

    def handle_expt(self) -> None:
        self.handle_close()  # urgent data, which HTTP does not have

    def handle_write(self) -> None:
        if not (self.is_refused and self.close_when_flushed):
            super().handle_write()
            return
        self._flush_exception(self._flush_some)
        if self.will_close:
            self.handle_close()
        elif not self.total_outbufs_len:
            self._drop_rest()

    def _drop_rest(self) -> None:
        """End the response, and read what the client still sends. Closing at once would discard the response."""
        self.close_when_flushed, self._is_dropping = False, True
        self.waits_since = self._part_since = time.monotonic()
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """Close the connection now. What has not been sent is lost."""
        self.will_close = self.close_when_flushed = False
        self.handle_close()


class GuardedServer(TcpWSGIServer):  # type: ignore[misc]
    """Waitress with `limits`. `on_turn` is called before each wait for events, once a second at least."""

    channel_class = _Channel

    def __init__(
        self, application: Any, *, limits: Limits, on_turn: Callable[[], None] = lambda: None, **options: Any
    ) -> None:
        self._limits, self._on_turn = limits, on_turn
        self._has_new = False
        super().__init__(application, **options)

    def readable(self) -> bool:
        """Close what has to give way, and go on accepting. Called before each wait for events.

        Nothing may be closed between such a wait and the handling of its events, because a new connection would get the
        events of a closed one with the same number.
        """
        self._on_turn()
        now = time.monotonic()
        _cut([channel for channel in self.active_channels.values() if channel.is_overdue(now, self._limits)])
        if self._has_new:
            self._has_new = False
            self._make_room()
        return bool(self.accepting) and len(self.active_channels) < 2 * self._limits.connections

    def handle_accept(self) -> None:
        super().handle_accept()
        self._has_new = True

    def _make_room(self) -> None:
        """Close the connections that have waited longest, of peers with too many first."""
        waiting = sorted(
            (channel for channel in self.active_channels.values() if channel.may_give_way()),
            key=lambda channel: channel.waits_since,
        )
        if self._limits.per_peer is not None:
            by_peer: defaultdict[str, list[_Channel]] = defaultdict(list)
            for channel in waiting:
                by_peer[channel.peer].append(channel)
            for channels in by_peer.values():
                _cut(channels[: max(0, len(channels) - self._limits.per_peer)])
            waiting = [channel for channel in waiting if channel.connected]
        _cut(waiting[: max(0, len(waiting) - self._limits.connections)])


def _cut(channels: Iterable[_Channel]) -> None:
    for channel in channels:
        channel.cut()


def peer_of(address: str) -> str:
    """Return what counts as one peer: an IPv4 address, or an IPv6 network, of which one machine has all addresses."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or ip_network((parsed, 64), strict=False))


def create_server(
    application: Any,
    limits: Limits,
    *,
    map: dict[int, Any] | None = None,
    on_turn: Callable[[], None] = lambda: None,
    **options: Any,
) -> GuardedServer | MultiSocketServer:
    """Return a server that listens already. `options` are those of waitress, such as `listen` and `threads`.

    `on_turn`: see `GuardedServer`.
    """
    adjustments = Adjustments(
        **{
            "max_request_header_size": MAX_HEADERS,
            "max_request_body_size": 2**62,  # the application decides
            "log_socket_errors": False,  # clients that go away are no error of ours
            "asyncore_use_poll": True,  # select() fails for more than 1,024 descriptors
            "clear_untrusted_proxy_headers": False,  # the panel decides by BAZANG_TRUSTED_PROXIES
            "expose_tracebacks": False,
            **options,
        }
    )
    dispatcher = ThreadedTaskDispatcher()
    dispatcher.set_thread_count(adjustments.threads)
    sockets: dict[int, Any] = {} if map is None else map
    servers = [
        GuardedServer(
            application,
            limits=limits,
            on_turn=on_turn,
            map=sockets,
            dispatcher=dispatcher,
            adj=adjustments,
            sockinfo=sockinfo,
        )
        for sockinfo in adjustments.listen
    ]
    if len(servers) == 1:
        return servers[0]
    addresses = [(server.effective_host, server.effective_port) for server in servers]
    return MultiSocketServer(sockets, adjustments, addresses, dispatcher, servers[-1].log_info)
