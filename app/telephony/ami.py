"""The AMI client: panoramisk's actions and messages over a reliable connection.

It avoids these faults of panoramisk 1.4: a character split between two TCP chunks is lost; CR LF in a value is sent; an
Originate is sent again after a lost connection; actions wait for ever; a silent peer counts as connected; an
OriginateResponse gets lost; a wrong secret is retried without a pause; a closed client reconnects.
"""

import asyncio
import logging
import random
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import md5
from typing import Any, Literal

from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol
from panoramisk.message import Message

from app.telephony.ami_tls import AmiTls

log = logging.getLogger(__name__)

Headers = Mapping[str, str] | Sequence[tuple[str, str]]
Apply = Callable[[Sequence["Message | Event"]], object]
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")
_VARIABLE_NAME = re.compile(r"[A-Za-z0-9_]+")
_UNSAFE = re.compile(r"[\r\n\0\ud800-\udfff]")  # the last are halves of characters, which cannot be encoded
_SECRET = frozenset({"Secret", "Key"})  # headers whose values are never logged
_OWN_HEADERS = frozenset({"action", "actionid"})  # those that the client makes itself
_EVENT, _ACTION_ID, _LINE_END, _END = b"Event: ", b"\r\nActionID: ", b"\r\n", b"\r\n\r\n"
_REPEATED = frozenset({b"Event: DeviceStateChange", b"Event: ExtensionStatus"})
_LOCAL = b": Local/"
MOST_REPEATED = 4096  # events of one name that are kept parsed; about 1 kB each
MOST_LAYOUTS = 4  # of the events of one name, for each of which there is a regular expression
MOST_HEADERS = 60  # of an event for which there is one
MOST_ROWS = 64  # names of rows of lists with a parser of their own
LONGEST_MESSAGE = 1 << 20  # bytes
LONGEST_LINE = 1000  # bytes; Asterisk drops messages with a line of 1,024 bytes
LARGEST_LIST = 100_000  # rows
Status = Literal["connecting", "connected", "refused", "login_in_use", "down"]


class AmiError(Exception):
    """Base of all AMI errors."""


class AmiDisconnected(AmiError):
    """Not connected, or the connection was lost before the response. The action may have been carried out."""


class AmiTimeout(AmiError):
    """There was no response in time. The action may have been carried out."""


class AmiRefused(AmiError):
    """Asterisk refused the action. Nothing was done."""


class AmiLoginInUse(AmiRefused):
    """The user is logged in already, and `allowmultiplelogin=no` in manager.conf forbids a second login."""


class AmiUnsafe(AmiError, ValueError):
    """The value must not be sent, because it could inject a header or an action."""


@dataclass(frozen=True)
class AmiState:
    """The connection state since `since` (UTC). `detail` is in English. `version` is Asterisk's, "" if unknown."""

    status: Status
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


class Event(dict[str, str]):
    """An event for everybody or a row of a list, as its headers. They are spelled as Asterisk spells them.

    Nobody may change it: the same object stands for each repetition.
    """

    __slots__ = ()

    @property
    def event(self) -> str:
        return self.get("Event", "")


class _Pending:
    """An action that waits for its response. `rows` is None if the response is a single message.

    With `apply`, the events for everybody that come during a list are among its rows, in the order of arrival.
    """

    def __init__(self, *, many: bool, apply: Apply | None = None) -> None:
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.rows: list[Message | Event] | None = [] if many else None
        self._apply = apply
        self._sent_at = time.monotonic()
        self.lag = 0.0  # seconds until the response was handled

    def handle(self, message: Message) -> bool:
        """Handle a message with our ActionID. Return False if it is an event for everybody."""
        if "response" in message and "event" not in message:  # an OriginateResponse has both
            return self._response(message)
        return self.handle_event(message)

    def handle_event(self, event: Message | Event) -> bool:
        """Handle an event with our ActionID. Return False if it is for everybody."""
        if self.rows is None or event.event == "OriginateResponse":
            return False
        if event.get("EventList", "").lower() in ("complete", "cancelled"):
            self._finish(event)
        else:
            self._add(event)
        return True

    def note(self, event: Message | Event) -> None:
        """Note an event for everybody."""
        if self._apply is not None:
            self._add(event)

    def _add(self, message: Message | Event) -> None:
        if self.rows is None or self.future.done():
            return
        if len(self.rows) >= LARGEST_LIST:
            self.fail(AmiError(f"the list has more than {LARGEST_LIST} rows"))
        else:
            self.rows.append(message)

    def _response(self, message: Message) -> bool:
        if self.future.done():
            return True
        self.lag = time.monotonic() - self._sent_at
        if message.response == "Error":
            self.fail(AmiRefused(message.message or "Asterisk refused the action"))
        elif self.rows is None:
            self.future.set_result(message)
        return True

    def _finish(self, message: Message | Event) -> None:
        if self.future.done():
            return
        if message.get("EventList", "").lower() == "cancelled":
            self.fail(AmiError("Asterisk cancelled the list"))
            return
        assert self.rows is not None
        if self._apply is not None:
            try:
                self._apply(self.rows)
            except Exception as error:  # it belongs to who asked for the list, not to the connection
                self.fail(error)
                return
        self.future.set_result(self.rows)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


def _parse_event(block: bytes) -> Event | None:
    """Parse an event, None if it is not an ordinary one. Panoramisk takes five times as long.

    Most events are of this kind. The others have a header several times, a line without a header, or ": " in a value.
    """
    if not block.startswith(_EVENT):
        return None
    text = block.decode("utf-8", "replace")
    # The pieces are names and values in turn, and each name has the end of the line before it.
    pieces = f"\n{text}".replace("\r\n", ": \n").split(": ")
    names = _names("".join(pieces[::2]))
    if not len(names) == len(pieces) / 2 == text.count("\r\n") + 1:
        return None
    return Event(zip(names, pieces[1::2], strict=True))


@lru_cache(maxsize=1024)
def _names(joined: str) -> tuple[str, ...]:
    """Return the names of the headers of an event, each of which has a "\\n" before it.

    It is empty if panoramisk must parse the event: it has a header twice, or a result, which panoramisk decodes.
    """
    names = joined[1:].split("\n")
    return () if len(set(names)) < len(names) or "Result" in names else tuple(map(sys.intern, names))


class _EventParser:
    """Parse the events of one name. Most of them have the same headers in the same order, so a regular expression of
    these headers reads them in two thirds of the time. What fits none of the expressions is parsed as any event is.
    """

    def __init__(self) -> None:
        self._layouts: list[tuple[Callable[[str], re.Match[str] | None], tuple[str, ...]]] = []

    def parse(self, block: bytes) -> Event | None:
        text = block.decode("utf-8", "replace")
        for match, names in self._layouts:
            found = match(text)
            if found is not None:
                return Event(zip(names, found.groups(), strict=True))
        event = _parse_event(block)
        if event is not None and len(self._layouts) < MOST_LAYOUTS and len(event) <= MOST_HEADERS:
            headers = "\r\n".join(f"{re.escape(name)}: (.*)" for name in event)
            self._layouts.append((re.compile(headers).fullmatch, tuple(event)))
        return event


class _RepeatedEventParser(_EventParser):
    """Parse events that say the same again and again, and keep them. There are a few of them for each phone.

    Those of Local channels are not kept: their device has the number of a customer. Neither are rows of a list.
    """

    def __init__(self) -> None:
        super().__init__()
        self._parse_kept = lru_cache(maxsize=MOST_REPEATED)(super().parse)

    def parse(self, block: bytes) -> Event | None:
        if len(block) < LONGEST_LINE and _ACTION_ID not in block and _LOCAL not in block:
            return self._parse_kept(block)
        return super().parse(block)


def _make_parser(first_line: bytes) -> _EventParser:
    return _RepeatedEventParser() if first_line in _REPEATED else _EventParser()


class _Protocol(AMIProtocol):  # type: ignore[misc]
    """panoramisk's protocol without its parts that lose or repeat messages."""

    def __init__(self, on_event: Callable[[Message], None], wanted: Collection[str] | None = None) -> None:
        self.on_event = on_event
        self._wants_all = wanted is None
        # by the first lines of the events that somebody wants
        lines = (_EVENT + name.encode() for name in (*(wanted or ()), "FullyBooted"))
        self._parsers = {line: _make_parser(line) for line in lines}
        # by the first lines of all others that are read
        self._row_parsers: dict[bytes, _EventParser] = {}
        self._other_parser = _EventParser()
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
        if self._buffer.find(_END, max(0, len(self._buffer) - len(data) - len(_END))) >= 0:
            *blocks, rest = bytes(self._buffer).split(_END)
            self._buffer = bytearray(rest)
            for block in blocks:
                self._handle_block(block)
        if len(self._buffer) > LONGEST_MESSAGE:
            log.error("the PBX sent a message of more than %d bytes; reconnecting", LONGEST_MESSAGE)
            self.transport.abort()

    def _handle_block(self, block: bytes) -> None:
        end = block.find(_LINE_END)
        first_line = block[:end] if end >= 0 else block
        parser = self._parsers.get(first_line)
        if parser is None and block.startswith(_EVENT):
            if not self._wants_all and _ACTION_ID not in block:
                return  # an event for everybody that nobody here wants; parsing takes 20 times as long
            parser = self._row_parser(first_line)
        event = parser.parse(block) if parser is not None else None
        if event is None:
            self._handle_unusual(block.decode("utf-8", "replace").strip("\r\n"))
            return
        pending = self.pending.get(event.get("ActionID", "")) if self.pending else None
        if pending is None or not pending.handle_event(event):
            self._handle_event(event)

    def _row_parser(self, first_line: bytes) -> _EventParser:
        parser = self._row_parsers.get(first_line)
        if parser is None and len(self._row_parsers) < MOST_ROWS:
            parser = self._row_parsers[first_line] = _make_parser(first_line)
        return parser or self._other_parser

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

    def _handle_unusual(self, block: str) -> None:
        """Handle a response, or an event that only panoramisk can parse."""
        message = Message.from_line(block)
        if message is None:
            return
        action_id = message.action_id  # a list if a user event has the header twice
        if len(message) < block.count("\r\n") + 2:  # it has its headers and `content`
            message = _single_values(message)
        pending = self.pending.get(action_id) if isinstance(action_id, str) else None
        if pending is not None and pending.handle(message):
            return
        if "event" in message:
            self._handle_event(message)

    def _handle_event(self, event: Message | Event) -> None:
        """Handle an event for everybody."""
        if event.get("Event") == "FullyBooted":
            self.booted.set()
        if self.pending:
            for waiting in self.pending.values():
                waiting.note(event)
        try:
            self.on_event(event)
        except Exception:
            log.exception("cannot handle an event %s", event.event)
            log.debug("the event is %r", event)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.closed = True
        for pending in self.pending.values():
            pending.fail(AmiDisconnected("the connection to the PBX was lost"))
        self.pending.clear()
        if not self.lost.done():
            self.lost.set_result(exc)


class AmiClient:
    """Stay connected until stopped. Call all methods in the event loop that started the client.

    With `tls`, the connection is encrypted. `on_event` and `on_state` are called in the loop and must return at once.
    `wanted`: the names of the events to report; None for all. `name` appears in the log.
    """

    def __init__(
        self,
        host: str,
        port: int,
        username: str,
        secret: str,
        *,
        tls: AmiTls | None = None,
        on_event: Callable[[Message], None],
        on_state: Callable[[AmiState], None] = lambda state: None,
        wanted: Collection[str] | None = None,
        times: AmiTimes = AmiTimes(),
        name: str = "PBX",
    ) -> None:
        self._address = (host, port)
        self._login = (username, secret)
        self._tls = tls
        self._on_event, self._on_state, self._times, self._name = on_event, on_state, times, name
        self._wanted = wanted
        self._protocol: _Protocol | None = None
        self._task: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()
        self._lag = 0.0
        self._asked_since: float | None = None  # monotonic: since when the PBX is asked for a log-in in vain
        self.login_seconds = 0.0  # how long it took until the PBX accepted the last log-in, with those that timed out
        self.state = AmiState("down", datetime.now(UTC), "not started")

    @property
    def connected(self) -> bool:
        return self._connected.is_set()

    @property
    def fully_booted(self) -> bool:
        """Whether Asterisk has reported the end of its start on this connection. Our user need not hear of it."""
        return self._protocol is not None and self._protocol.booted.is_set()

    @property
    def address(self) -> tuple[str, int]:
        return self._address

    def take_lag(self) -> float:
        """Return how long a response took since the last call of this, in seconds: the longest, 0 if there was none.

        A response is handled after all events that came before it, so this is also how late events are.
        """
        lag, self._lag = self._lag, 0.0
        return lag

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
        self._task = self._asked_since = None
        self._drop("stopped")

    async def use(self, host: str, port: int, username: str, secret: str) -> bool:
        """Reconnect with these values. Return False and do nothing if they are already in use."""
        if self.uses(host, port, username, secret):
            return False
        running = self._task is not None
        await self.stop()
        self._address, self._login = (host, port), (username, secret)
        self.state = AmiState("down", datetime.now(UTC), "not started")  # this may be another Asterisk
        if running:
            await self.start()
        return True

    def uses(self, host: str, port: int, username: str, secret: str) -> bool:
        """Tell whether these values are in use."""
        return ((host, port), (username, secret)) == (self._address, self._login)

    async def reconnect(self) -> None:
        """Log in again at once. A session keeps the rights that its user had at the log-in."""
        if self._task is not None:
            await self.stop()
            await self.start()

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

    async def collect(
        self, action: str, headers: Headers = (), *, timeout: float | None = None
    ) -> list[Message | Event]:
        """Send an action whose response is a list, and return the list. Raises the errors of `send`.

        Events that come behind the list are handled before this returns. Use `apply_list` if they must come later.
        """
        self._require_connected()
        rows: list[Message | Event] = await self._request(action, headers, {}, timeout or self._times.action, many=True)
        return rows

    async def apply_list(
        self, action: str, apply: Apply, headers: Headers = (), *, timeout: float | None = None
    ) -> None:
        """Send an action whose response is a list, and call `apply` with the list. Raises the errors of `send`.

        `apply` is called as soon as the list is complete, before any later event is handled. It also gets the events
        that came since the action was sent, between the rows as they came; `on_event` has handled them already. So
        what is built from these messages in their order is as new as all events until then.
        """
        self._require_connected()
        await self._request(action, headers, {}, timeout or self._times.action, many=True, apply=apply)

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
                self._asked_since = None
                self._drop(str(error), status="login_in_use" if isinstance(error, AmiLoginInUse) else "refused")
                await _pause(self._times.refused_pauses, refusals)
                refusals += 1
                continue
            except (OSError, TimeoutError, AmiError) as error:
                if not isinstance(error, TimeoutError | AmiTimeout):
                    self._asked_since = None  # it has responded, or is not there
                self._drop(str(error) or type(error).__name__)
            except Exception as error:  # without a connection nobody would ever be called back again
                log.exception("%s: the connection failed by a fault of ours", self._name)
                self._drop(f"{type(error).__name__}: {error}")
            await _pause(self._times.pauses, failures)
            failures += 1

    async def _connect(self) -> None:
        self._set_state("connecting", f"connecting to {self._address[0]}:{self._address[1]}")
        loop = asyncio.get_running_loop()
        self._asked_since = loop.time() if self._asked_since is None else self._asked_since
        async with asyncio.timeout(self._times.login):
            context = self._tls.context() if self._tls is not None else None
            transport, protocol = await loop.create_connection(
                lambda: _Protocol(self._on_event, self._wanted), *self._address, ssl=context
            )
            self._protocol = protocol
            if self._tls is not None:
                self._tls.check(transport)
            await self._wait_or_lost(protocol.greeted.wait(), protocol)
        try:
            await self._log_in()
        except AmiRefused as error:
            if "already in use" in str(error).lower():
                raise AmiLoginInUse("the user is logged in already, and may be only once") from error
            raise AmiRefused(f"the PBX refused the user name or the secret ({error})") from error
        self.login_seconds, self._asked_since = loop.time() - self._asked_since, None
        try:
            async with asyncio.timeout(self._times.booted):
                await self._wait_or_lost(protocol.booted.wait(), protocol)
        except TimeoutError:
            pass  # a part of Asterisk that is not loaded yet refuses the action that needs it
        version = await self._version()
        self._connected.set()
        self._set_state("connected", "", version)

    async def _log_in(self) -> None:
        """Answer a challenge instead of sending the secret. A listener cannot use the answer for another log-in."""
        timeout = self._times.login
        username, secret = self._login[0], _safe("Secret", self._login[1])
        asked = await self._request("Challenge", {"AuthType": "MD5"}, {}, timeout, many=False)
        challenge = str(asked.get("Challenge", ""))
        if not challenge:
            raise AmiRefused("it sent no challenge")
        key = md5((challenge + secret).encode(), usedforsecurity=False).hexdigest()  # the method is Asterisk's
        login = {"AuthType": "MD5", "Username": username, "Key": key, "Events": "on"}
        await self._request("Login", login, {}, timeout, many=False)

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

    def _drop(self, detail: str, status: Status = "down") -> None:
        self._connected.clear()
        protocol, self._protocol = self._protocol, None
        if protocol is not None and not protocol.lost.done():
            protocol.transport.abort()
            protocol.connection_lost(None)
        self._set_state(status, detail)

    def _set_state(self, status: Status, detail: str, version: str = "") -> None:
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
        self,
        action: str,
        headers: Headers,
        variables: Mapping[str, str],
        timeout: float,
        *,
        many: bool,
        apply: Apply | None = None,
    ) -> Any:
        message = _action(action, headers, variables)
        protocol = self._protocol
        if protocol is None or protocol.lost.done():
            raise AmiDisconnected("not connected to the PBX")
        pending = protocol.pending[message.id] = _Pending(many=many, apply=apply)
        try:
            self._write(message)
            async with asyncio.timeout(timeout):
                return await pending.future
        except TimeoutError:
            raise AmiTimeout(f"no response to {action} within {timeout} s") from None
        finally:
            protocol.pending.pop(message.id, None)
            self._lag = max(self._lag, pending.lag)
            if pending.future.done() and not pending.future.cancelled():
                pending.future.exception()  # avoids "exception was never retrieved" after a time-out

    def _write(self, action: Action) -> None:
        if self._protocol is not None and not self._protocol.lost.done():
            self._protocol.transport.write(str(action).encode("utf-8"))


def _single_values(message: Message) -> Message:
    """Return a message with the first value of each header that it has several times."""
    pairs = message.items()
    single = {name: value[0] if isinstance(value, list) else value for name, value in pairs}
    return Message(single, single.pop("content", ""))


async def _pause(pauses: Sequence[float], failures: int) -> None:
    pause = pauses[min(failures, len(pauses) - 1)]
    await asyncio.sleep(pause * random.uniform(0.8, 1.2))  # noqa: S311 - not a secret


def _action(name: str, headers: Headers, variables: Mapping[str, str]) -> Action:
    pairs: Iterable[tuple[str, str]] = headers.items() if isinstance(headers, Mapping) else headers
    action: dict[str, Any] = {"Action": _safe("Action", name)}
    for header, value in pairs:
        if not _HEADER_NAME.fullmatch(header) or header.lower() in _OWN_HEADERS:
            raise AmiUnsafe(f"invalid header name: {header!r}")
        action[header] = _safe(header, value)
    if variables:
        if "Variable" in action:
            raise AmiUnsafe("variables in two places")
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
