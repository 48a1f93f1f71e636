"""The AMI client: panoramisk's actions and messages over a reliable connection.

It avoids these faults of panoramisk 1.4: a character split between two TCP chunks is lost; CR LF in a value is sent; an
Originate is sent again after a lost connection; actions wait for ever; a silent peer counts as connected; an
OriginateResponse gets lost; a wrong secret is retried without a pause; a closed client reconnects.
"""

import asyncio
import logging
import random
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol
from panoramisk.message import Message

log = logging.getLogger(__name__)

Headers = Mapping[str, str] | Sequence[tuple[str, str]]
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")
_VARIABLE_NAME = re.compile(r"[A-Za-z0-9_]+")
_UNSAFE = re.compile(r"[\r\n\0]")
_SECRET = frozenset({"Secret"})  # headers whose values are never logged
LONGEST_MESSAGE = 1 << 20  # bytes
LONGEST_LINE = 1000  # bytes; Asterisk drops messages with a line of 1,024 bytes
LARGEST_LIST = 100_000  # rows


class AmiError(Exception):
    """Base of all AMI errors."""


class AmiDisconnected(AmiError):
    """Not connected, or the connection was lost before the response. The action may have been carried out."""


class AmiTimeout(AmiError):
    """There was no response in time. The action may have been carried out."""


class AmiRefused(AmiError):
    """Asterisk refused the action. Nothing was done."""


class AmiUnsafe(AmiError, ValueError):
    """The value must not be sent, because it could inject a header or an action."""


@dataclass(frozen=True)
class AmiState:
    """The connection state since `since` (UTC). `detail` is in English. `version` is Asterisk's, "" if unknown."""

    status: Literal["connecting", "connected", "refused", "down"]
    since: datetime
    detail: str = ""
    version: str = ""


@dataclass(frozen=True)
class AmiTimes:
    """Times in seconds.

    After `silent_after` without a received byte the peer counts as dead. `pauses` are between attempts to connect. They
    start again from the first one after a connection that lasted `stable`. `booted` is the wait for FullyBooted, which
    Asterisk sends only to users who may read `system`; our user need not. `refused_pauses` follow a refused login,
    because a booting Asterisk refuses everybody for a moment.
    """

    action: float = 5.0
    login: float = 5.0
    booted: float = 0.2
    ping_every: float = 5.0
    silent_after: float = 15.0
    stable: float = 5.0
    pauses: tuple[float, ...] = (0.25, 0.5, 1, 2, 4, 8, 15, 30)
    refused_pauses: tuple[float, ...] = (1, 5, 30)


class _Pending:
    """An action that waits for its response. `rows` is None if the response is a single message."""

    def __init__(self, *, many: bool) -> None:
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.rows: list[Message] | None = [] if many else None

    def handle(self, message: Message) -> bool:
        """Handle a message with our ActionID. Return False if it is an event for everybody."""
        if "response" in message and "event" not in message:  # an OriginateResponse has both
            return self._response(message)
        if self.rows is None or message.event == "OriginateResponse":
            return False
        if message.get("EventList", "").lower() in ("complete", "cancelled"):
            self._finish(message)
        elif len(self.rows) >= LARGEST_LIST:
            self.fail(AmiError(f"the list has more than {LARGEST_LIST} rows"))
        else:
            self.rows.append(message)
        return True

    def _response(self, message: Message) -> bool:
        if self.future.done():
            return True
        if message.response == "Error":
            self.fail(AmiRefused(message.message or "Asterisk refused the action"))
        elif self.rows is None:
            self.future.set_result(message)
        return True

    def _finish(self, message: Message) -> None:
        if self.future.done():
            return
        if message.get("EventList", "").lower() == "cancelled":
            self.fail(AmiError("Asterisk cancelled the list"))
        else:
            self.future.set_result(self.rows)

    def fail(self, error: AmiError) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class _Protocol(AMIProtocol):  # type: ignore[misc]
    """panoramisk's protocol without its parts that lose or repeat messages."""

    def __init__(self, on_event: Callable[[Message], None]) -> None:
        self.on_event = on_event
        self.pending: dict[str, _Pending] = {}
        self.lost = asyncio.get_running_loop().create_future()
        self.booted = asyncio.Event()
        self.greeted = asyncio.Event()
        self.last_byte = asyncio.get_running_loop().time()
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.queue: deque[str] = deque()

    def data_received(self, data: bytes) -> None:
        self.last_byte = asyncio.get_running_loop().time()
        self._buffer += data
        if self.version is None:
            self._greet()
        # Split before decoding: a character of two bytes may be split between two chunks.
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            block = bytes(self._buffer[:end])
            del self._buffer[: end + 4]
            self._handle_block(block.decode("utf-8", "replace").strip("\r\n"))
        if len(self._buffer) > LONGEST_MESSAGE:
            log.error("the PBX sent a message of more than %d bytes; reconnecting", LONGEST_MESSAGE)
            self.transport.abort()

    def _greet(self) -> None:
        line, found, rest = bytes(self._buffer).partition(b"\r\n")
        if not found:
            return
        if not line.startswith(b"Asterisk Call Manager/"):
            log.error("the peer is not an Asterisk Manager Interface: %r", line[:80])
            self.transport.abort()
            return
        self.version = line.rpartition(b"/")[2].decode("ascii", "replace")
        self._buffer = bytearray(rest)
        self.greeted.set()

    def _handle_block(self, block: str) -> None:
        message = Message.from_line(block)
        if message is None:
            return
        action_id = message.action_id  # a list if a user event has the header twice
        pending = self.pending.get(action_id) if isinstance(action_id, str) else None
        if pending is not None and pending.handle(message):
            return
        if "event" in message:
            if message.event == "FullyBooted":
                self.booted.set()
            try:
                self.on_event(message)
            except Exception:
                log.exception("cannot handle an event: %r", message)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.closed = True
        for pending in self.pending.values():
            pending.fail(AmiDisconnected("the connection to the PBX was lost"))
        self.pending.clear()
        if not self.lost.done():
            self.lost.set_result(exc)


class AmiClient:
    """Stay connected until stopped. Call all methods in the event loop that started the client.

    `on_event` and `on_state` are called in the loop and must return at once. `name` appears in the log.
    """

    def __init__(
        self,
        host: str,
        port: int,
        username: str,
        secret: str,
        *,
        on_event: Callable[[Message], None],
        on_state: Callable[[AmiState], None] = lambda state: None,
        times: AmiTimes = AmiTimes(),
        name: str = "PBX",
    ) -> None:
        self._address = (host, port)
        self._login = _login(username, secret)
        self._on_event, self._on_state, self._times, self._name = on_event, on_state, times, name
        self._protocol: _Protocol | None = None
        self._task: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()
        self.state = AmiState("down", datetime.now(UTC), "not started")

    @property
    def connected(self) -> bool:
        return self._connected.is_set()

    @property
    def address(self) -> tuple[str, int]:
        return self._address

    async def start(self) -> None:
        """Start connecting in the background."""
        if self._task is None:
            self._task = asyncio.create_task(self._stay_connected(), name="ami")

    async def stop(self) -> None:
        """Log off and close the connection."""
        if self._task is None:
            return
        if self.connected:
            try:
                await self.send("Logoff", timeout=0.5)
            except AmiError:
                pass
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        self._drop("stopped")

    async def use(self, host: str, port: int, username: str, secret: str) -> bool:
        """Reconnect with these values. Return False and do nothing if they are already in use."""
        address, login = (host, port), _login(username, secret)
        if (address, login) == (self._address, self._login):
            return False
        running = self._task is not None
        await self.stop()
        self._address, self._login = address, login
        self.state = AmiState("down", datetime.now(UTC), "not started")  # this may be another Asterisk
        if running:
            await self.start()
        return True

    async def wait_connected(self, timeout: float) -> None:
        """Wait until connected. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            await self._connected.wait()

    async def send(
        self,
        action: str,
        headers: Headers = (),
        *,
        variables: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Message:
        """Send an action and return its response. Raises AmiRefused, AmiTimeout, AmiDisconnected or AmiUnsafe."""
        self._require_connected()
        return await self._request(action, headers, variables or {}, timeout or self._times.action, many=False)

    async def collect(self, action: str, headers: Headers = (), *, timeout: float | None = None) -> list[Message]:
        """Send an action whose response is a list, and return the list. Raises the errors of `send`."""
        self._require_connected()
        rows: list[Message] = await self._request(action, headers, {}, timeout or self._times.action, many=True)
        return rows

    async def originate(
        self, headers: Mapping[str, str], variables: Mapping[str, str], *, timeout: float | None = None
    ) -> None:
        """Send an Originate and return when Asterisk has accepted it. It is sent once only.

        After AmiTimeout or AmiDisconnected it is unknown whether Asterisk accepted it.
        """
        await self.send("Originate", {**headers, "Async": "true"}, variables=variables, timeout=timeout)

    # -- the connection ---------------------------------------------------------------------------------------

    async def _stay_connected(self) -> None:
        failures = refusals = 0
        while True:
            try:
                await self._connect()
                refusals = 0
                started = asyncio.get_running_loop().time()
                await self._watch()
                # Do not retry ten times a second if the peer accepts the login and disconnects at once.
                if asyncio.get_running_loop().time() - started >= self._times.stable:
                    failures = 0
                self._drop("the connection was lost")
            except AmiRefused as error:
                self._drop(str(error), status="refused")
                await _pause(self._times.refused_pauses, refusals)
                refusals += 1
                continue
            except (OSError, TimeoutError, AmiError) as error:
                self._drop(str(error) or type(error).__name__)
            await _pause(self._times.pauses, failures)
            failures += 1

    async def _connect(self) -> None:
        self._set_state("connecting", f"connecting to {self._address[0]}:{self._address[1]}")
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._times.login):
            _, protocol = await loop.create_connection(lambda: _Protocol(self._on_event), *self._address)
            self._protocol = protocol
            await self._wait_or_lost(protocol.greeted.wait(), protocol)
        try:
            await self._request("Login", self._login, {}, self._times.login, many=False)
        except AmiRefused as error:
            raise AmiRefused(f"the PBX refused the user name or the secret ({error})") from error
        try:
            async with asyncio.timeout(self._times.booted):
                await self._wait_or_lost(protocol.booted.wait(), protocol)
        except TimeoutError:
            pass  # a part of Asterisk that is not loaded yet refuses the action that needs it
        version = await self._version()
        self._connected.set()
        self._set_state("connected", "", version)

    @staticmethod
    async def _wait_or_lost(wait: Any, protocol: _Protocol) -> None:
        """Wait for an event. Raises AmiDisconnected if the connection is lost first."""
        waiter = asyncio.ensure_future(wait)
        try:
            await asyncio.wait({waiter, protocol.lost}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()
        if protocol.lost.done():
            raise AmiDisconnected("the PBX closed the connection")

    async def _version(self) -> str:
        try:
            settings = await self._request("CoreSettings", (), {}, self._times.action, many=False)
        except AmiRefused:
            return ""  # the AMI user may lack the right
        return str(settings.get("AsteriskVersion", ""))

    async def _watch(self) -> None:
        """Send pings until the connection is lost. Close the connection if nothing is received any more."""
        protocol = self._protocol
        assert protocol is not None
        loop = asyncio.get_running_loop()
        while not protocol.lost.done():
            await asyncio.wait({protocol.lost}, timeout=self._times.ping_every)
            if protocol.lost.done():
                return
            if loop.time() - protocol.last_byte > self._times.silent_after:
                log.error("received nothing from the PBX for %s s; reconnecting", self._times.silent_after)
                protocol.transport.abort()
                await asyncio.wait({protocol.lost})
                raise AmiDisconnected("the PBX stopped responding")
            self._write(Action({"Action": "Ping"}))

    def _drop(self, detail: str, status: Literal["down", "refused"] = "down") -> None:
        self._connected.clear()
        protocol, self._protocol = self._protocol, None
        if protocol is not None and not protocol.lost.done():
            protocol.transport.abort()
            protocol.connection_lost(None)
        self._set_state(status, detail)

    def _set_state(
        self, status: Literal["connecting", "connected", "refused", "down"], detail: str, version: str = ""
    ) -> None:
        version = version or self.state.version
        if (status, detail, version) == (self.state.status, self.state.detail, self.state.version):
            return
        self.state = AmiState(status, datetime.now(UTC), detail, version)
        log.info("%s: %s %s", self._name, status, detail)
        try:
            self._on_state(self.state)
        except Exception:
            log.exception("cannot handle the connection state")

    # -- actions ----------------------------------------------------------------------------------------------

    def _require_connected(self) -> None:
        if not self.connected:
            raise AmiDisconnected(f"not connected to the PBX: {self.state.detail}")

    async def _request(
        self, action: str, headers: Headers, variables: Mapping[str, str], timeout: float, *, many: bool
    ) -> Any:
        message = _action(action, headers, variables)
        protocol = self._protocol
        if protocol is None or protocol.lost.done():
            raise AmiDisconnected("not connected to the PBX")
        pending = protocol.pending[message.id] = _Pending(many=many)
        try:
            self._write(message)
            async with asyncio.timeout(timeout):
                return await pending.future
        except TimeoutError:
            raise AmiTimeout(f"no response to {action} within {timeout} s") from None
        finally:
            protocol.pending.pop(message.id, None)
            if pending.future.done() and not pending.future.cancelled():
                pending.future.exception()  # avoids "exception was never retrieved" after a time-out

    def _write(self, action: Action) -> None:
        if self._protocol is not None and not self._protocol.lost.done():
            self._protocol.transport.write(str(action).encode("utf-8"))


def _login(username: str, secret: str) -> tuple[tuple[str, str], ...]:
    return (("Username", username), ("Secret", secret), ("Events", "on"))


async def _pause(pauses: Sequence[float], failures: int) -> None:
    pause = pauses[min(failures, len(pauses) - 1)]
    await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - not a secret


def _action(name: str, headers: Headers, variables: Mapping[str, str]) -> Action:
    pairs: Iterable[tuple[str, str]] = headers.items() if isinstance(headers, Mapping) else headers
    action: dict[str, Any] = {"Action": _safe("Action", name)}
    for header, value in pairs:
        if not _HEADER_NAME.fullmatch(header):
            raise AmiUnsafe(f"invalid header name: {header!r}")
        action[header] = _safe(header, value)
    if variables:
        action["Variable"] = [_variable(name, value) for name, value in variables.items()]
    return Action(action)


def _safe(header: str, value: str) -> str:
    if not isinstance(value, str) or _UNSAFE.search(value):
        raise AmiUnsafe(f"unsafe value for {header}" + ("" if header in _SECRET else f": {value!r}"))
    if len(header) + len(value.encode()) > LONGEST_LINE:
        raise AmiUnsafe(f"value too long for {header}: {len(value)} characters")
    return value


def _variable(name: str, value: str) -> str:
    # A comma would set several variables, and quoting does not help.
    if not _VARIABLE_NAME.fullmatch(name) or "," in _safe(name, value):
        raise AmiUnsafe(f"unsafe value for variable {name}: {value!r}")
    return f"{name}={value}"
