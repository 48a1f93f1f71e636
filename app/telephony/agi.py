"""The FastAGI server: one isolated session per caller.

panoramisk's server is not used: it reads a closed connection for ever, and its streams cost too much when many call at
once.

A connection is half-open until its headers are complete. Asterisk sends them at once, and others may never do, so
half-open connections are counted apart: the oldest one gives way to a new one.
"""

import asyncio
import logging
import re
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, takewhile
from typing import NamedTuple, TypeVar

from app.telephony.agi_access import AgiAccess, LimitedLog
from app.telephony.agi_connection import HEADER_BYTES, HEADER_LINES, AgiConnection, HeadersTooLong, parse_headers
from app.telephony.variables import GRACE, PING, PONG, WATCHDOG
from app.telephony.watchdog import DialogueChannel, Watchdog

log = logging.getLogger(__name__)
HEADER_SECONDS = 3.0
MOST_SESSIONS = 600
MOST_SESSIONS_OF_PEER = 500  # of one address, so that another PBX can be served, too
MOST_SESSIONS_OF_STRANGER = 20  # of an address that is not known to be the PBX's
MOST_HALF_OPEN = 400
MOST_HALF_OPEN_OF_PEER = 300
ANSWER_TO_PING = f"SET VARIABLE {PONG} 1\n".encode()  # a command, so it has an effect if Asterisk asks
BACKLOG = 512  # connections that the system has accepted and we have not
STEP = 1.0  # seconds by which the watchdog is postponed at a time
SLACK = 1.0  # seconds of GRACE that may be missing, so that not every command needs another one before it
REPLY_SECONDS = 60.0  # how long a reply may take after the duration of the command
SEPARATOR = "\x1f"  # between the values of variables that are read together: "unit separator"
T = TypeVar("T")
_VARIABLE = re.compile(r"[A-Za-z0-9_()]+")
_PLAIN = re.compile(r"[A-Za-z0-9_.-]*")  # a value that is no syntax of the dialplan
_KEY = re.compile(r"-?[0-9]{1,3}")
_ENDS_LINE = re.compile(r"[\r\n\0]")
_RESULT = re.compile(r"200 result=(\S+) *(?:\((.*)\))?")


class HungUp(Exception):
    """The caller hung up."""


class AgiBroken(Exception):
    """Asterisk sent an invalid reply, or the connection was lost."""


class CannotWrite(Exception):
    """Asterisk cannot write the recording."""


@dataclass(frozen=True)
class Sound:
    """A sound file: its path as Asterisk sees it, without extension, and its length."""

    path: str
    seconds: float


class _Reply(NamedTuple):
    """A reply with code 200, such as "200 result=1 (value)"."""

    result: str
    value: str = ""


class AgiSession:
    """The AGI session of a call. `env` holds the agi_… headers. Every command may raise HungUp or AgiBroken.

    Without a `watchdog`, that of the call lasts as long as the command that runs.
    """

    def __init__(self, env: Mapping[str, str], connection: AgiConnection, watchdog: Watchdog | None = None) -> None:
        self.env = env
        self.hung_up = False
        self._connection = connection
        self._watchdog = watchdog
        self._channel = DialogueChannel(env.get("agi_channel", ""), env.get("agi_uniqueid", ""))
        self._limit = 0.0  # loop time at which the watchdog ends AGI; 0: as set by the dialplan

    @property
    def path(self) -> str:
        return self.env.get("agi_network_script", "")

    @property
    def arguments(self) -> list[str]:
        """What the dialplan gives beside the path, such as `variables.FACTS`."""
        names = takewhile(self.env.__contains__, (f"agi_arg_{number}" for number in count(1)))
        return [self.env[name] for name in names]

    async def get_variable(self, name: str) -> str:
        """Return a channel variable, "" if it is not set. Works after a hang-up, too."""
        reply = await self._command(f"GET VARIABLE {_name(name)}", after_hangup=True)
        return reply.value if reply.result == "1" else ""

    async def get_variables(self, *names: str, ahead: float | None = None) -> list[str]:
        """Return several channel variables by one command, "" for those that are not set. Works after a hang-up, too.

        Name those last that callers control: a value with SEPARATOR in it would spill into the following ones. The
        next command takes `ahead` seconds: the watchdog is set for it.
        """
        return await self._evaluate([_reading(name) for name in names], ahead)

    async def set_variable(self, name: str, value: str) -> None:
        """Set a channel variable. Works after a hang-up, too."""
        await self._command(f"SET VARIABLE {_name(name)} {_quoted(value)}", after_hangup=True)

    async def set_variables(self, values: Mapping[str, str], ahead: float | None = None) -> None:
        """Set several channel variables by one command. Works after a hang-up, too. See `get_variables`.

        The values are letters, digits and "_.-".
        """
        if await self._evaluate([_setting(*each) for each in values.items()], ahead) != list(values.values()):
            raise AgiBroken(f"Asterisk has not set {' and '.join(values)}")

    async def _evaluate(self, parts: Sequence[str], ahead: float | None) -> list[str]:
        """Return the value of each of these expressions of the dialplan, "" for all if Asterisk does not tell."""
        limit = self._limit_for(ahead) if ahead is not None else 0.0
        if limit:
            parts = [_setting(WATCHDOG, f"{limit:.1f}"), *parts]
        now = asyncio.get_running_loop().time()
        reply = await self._command(f"GET FULL VARIABLE {_quoted(SEPARATOR.join(parts))}", after_hangup=True)
        values = reply.value.split(SEPARATOR, len(parts) - 1) if reply.result == "1" else []
        values += [""] * (len(parts) - len(values))
        if limit and values.pop(0):
            self._limit = now + limit
        return values

    async def set_variable_meanwhile(self, name: str, value: str) -> None:
        """Set a channel variable while a command runs, if the PBX can be reached by AMI. It may fail without a word.

        Await it before the dialogue ends, or it changes the next one.
        """
        if self._watchdog is not None and self._watchdog.available:
            await self._watchdog.set_variable(self._channel, _name(name), value)

    async def answer(self) -> None:
        await self._command("ANSWER")

    async def play(self, sounds: Sequence[Sound], escape: str = "") -> str:
        """Play the sounds in order. Return the key from `escape` that interrupted them, or ""."""
        for sound in sounds:
            key = _digit(await self._run(f'STREAM FILE {_quoted(sound.path)} "{escape}"', sound.seconds))
            if key:
                return key
        return ""

    async def record(self, path: str, seconds: float, escape: str = "#") -> None:
        """Record to `path`.wav for `seconds` at most, or until a key from `escape`. Raises CannotWrite.

        The file is complete when this ends, also by HungUp.
        """
        try:
            reply = await self._run(f'RECORD FILE {_quoted(path)} wav "{escape}" {int(seconds * 1000)}', seconds)
        except HungUp:
            await self._wait_for_file()
            raise
        await self._wait_for_file()
        if (reply.result, reply.value) == ("-1", "writefile"):
            raise CannotWrite(path)

    async def _wait_for_file(self) -> None:
        """Wait until Asterisk has closed the file: it replies before it does, and to another command only afterwards.

        After a hang-up it may close the connection instead.
        """
        with suppress(AgiBroken):
            await self._command(f"SET VARIABLE {WATCHDOG} {GRACE:.1f}", after_hangup=True)
            self._limit = asyncio.get_running_loop().time() + GRACE

    async def get_digit(self, seconds: float) -> str:
        """Return the next key, or "" if there is none within `seconds`."""
        return _digit(await self._run(f"WAIT FOR DIGIT {int(seconds * 1000)}", seconds))

    async def is_on_the_line(self) -> bool:
        """Tell whether the caller is still connected. A sound that Asterisk cannot play looks like a hang-up."""
        reply = await self._command("CHANNEL STATUS", after_hangup=True)
        return reply.result == "6"

    async def keep_waiting(self, work: Awaitable[T], seconds: float) -> T:
        """Await `work` for `seconds` at most, and extend the watchdog every second meanwhile.

        Raises TimeoutError. The work goes on after it.
        """
        task = asyncio.ensure_future(work)
        deadline = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < deadline:
            done, _ = await asyncio.wait({task}, timeout=STEP)
            if done:
                return task.result()
            await self._extend_watchdog(STEP)
        raise TimeoutError

    async def _run(self, command: str, seconds: float) -> _Reply:
        """Send a command that takes `seconds` at most. Postpone the watchdog meanwhile, step by step if possible."""
        await self._extend_watchdog(seconds)
        if self._watchdog is None or not self._watchdog.available or seconds <= STEP:
            return await self._command(command, seconds)
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        running = asyncio.create_task(self._command(command, seconds))
        try:
            while not (await asyncio.wait({running}, timeout=STEP))[0]:
                limit = min(max(end - loop.time(), 0.0), STEP) + GRACE
                # It is awaited: after the dialogue it would end the call.
                if await self._watchdog.postpone(self._channel, limit):
                    self._limit = loop.time() + limit
            return running.result()
        finally:
            running.cancel()

    async def _extend_watchdog(self, seconds: float) -> None:
        """Set the watchdog for a command that takes `seconds`, if it is not set for it."""
        limit = self._limit_for(seconds)
        if limit:
            now = asyncio.get_running_loop().time()
            await self._command(f"SET VARIABLE {WATCHDOG} {limit:.1f}", after_hangup=True)
            self._limit = now + limit

    def _limit_for(self, seconds: float) -> float:
        """Return in how many seconds the watchdog must end for a command of `seconds`, 0 if it is set for it.

        That is the end of the command, or of its first step if the watchdog can be postponed, plus the grace time.
        """
        if self._watchdog is not None and self._watchdog.available:
            seconds = min(seconds, STEP)
        needed = asyncio.get_running_loop().time() + seconds + GRACE - SLACK
        # Keep a limit that fits. A limit too far ahead would make the caller wait if this process died.
        return 0.0 if needed <= self._limit <= needed + SLACK else seconds + GRACE

    async def _command(self, command: str, seconds: float = 0.0, *, after_hangup: bool = False) -> _Reply:
        if self.hung_up and not after_hangup:
            raise HungUp
        try:
            self._connection.send(command)
            line = await self._read_reply(seconds + REPLY_SECONDS)
        except ConnectionError as error:  # how a hang-up looks if Asterisk has not read the command yet
            if not after_hangup:
                self.hung_up = True
                raise HungUp from error
            raise AgiBroken(f"{type(error).__name__} after {_verb(command)}") from error
        except (OSError, ValueError) as error:
            raise AgiBroken(f"{type(error).__name__} after {_verb(command)}") from error
        if line[:4] in ("200", "200 "):
            found = _RESULT.match(line)
            reply = _Reply(found[1], found[2] or "") if found is not None else _Reply("")
            # A variable may have the value "hangup".
            is_hangup = reply.result == "-1" if reply.value != "hangup" else reply.result != "1"
            if not is_hangup or reply.value == "writefile":
                return reply
        elif not line.startswith("511"):
            raise AgiBroken(f"{line[:80]!r} as the reply to {_verb(command)}")
        self.hung_up = True
        if not after_hangup:
            raise HungUp
        return _Reply("")

    async def _read_reply(self, seconds: float) -> str:
        """Return the line of a reply. One that says "HANGUP" precedes it after a hang-up, and "100 Trying" may."""
        line = await self._connection.read_line(seconds)
        while line == "HANGUP" or line.startswith("100"):
            self.hung_up = self.hung_up or line == "HANGUP"
            line = await self._connection.read_line(seconds)
        return line


def _verb(command: str) -> str:
    return command.partition(" ")[0]


def _setting(name: str, value: str) -> str:
    """Return an expression of the dialplan that sets a variable, and whose value is then that of the variable."""
    if not _PLAIN.fullmatch(value):
        raise AgiBroken(f"unsafe value: {value!r}")
    return f"${{SET({_name(name)}={value})}}"


@lru_cache(maxsize=64)
def _reading(name: str) -> str:
    """Return the expression of the dialplan that reads a variable."""
    return f"${{{_name(name)}}}"


@lru_cache(maxsize=64)
def _name(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise AgiBroken(f"invalid variable name: {name!r}")
    return name


def _quoted(value: str) -> str:
    if _ENDS_LINE.search(value):
        raise AgiBroken(f"unsafe value: {value!r}")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _digit(reply: _Reply) -> str:
    """Return the key in a reply. The result is the ASCII code of the key, or 0."""
    value = reply.result
    if not _KEY.fullmatch(value):
        raise AgiBroken(f"invalid result: {value!r}")
    key = chr(int(value)) if int(value) > 0 else ""
    return key if key in "0123456789*#" else ""


Handler = Callable[[AgiSession], Awaitable[None]]


@dataclass(frozen=True)
class _Peer:
    """Where a connection comes from. `known`: Asterisk may have this address. `too_slow` ends a half-open one."""

    address: str
    known: bool
    too_slow: asyncio.TimerHandle


class AgiServer:
    """Accept connections from Asterisk and run `handler` for each call that `access` accepts.

    `on_refused` is called with each address from which a connection is refused. While `serves` returns false, each
    connection is closed at once, so that Asterisk goes on to the next worker.
    """

    def __init__(
        self,
        host: str,
        port: int,
        handler: Handler,
        access: AgiAccess,
        *,
        header_seconds: float = HEADER_SECONDS,
        on_refused: Callable[[str], None] = lambda address: None,
        serves: Callable[[], bool] = lambda: True,
        watchdog: Watchdog | None = None,
    ) -> None:
        self._host, self.port, self._handler, self._access = host, port, handler, access
        self._watchdog = watchdog
        self._header_seconds = header_seconds
        self._on_refused, self._serves, self._log = on_refused, serves, LimitedLog()
        self._server: asyncio.Server | None = None
        self._half_open: dict[AgiConnection, _Peer] = {}  # oldest first
        self._sessions: dict[asyncio.Task[None], _Peer] = {}

    @property
    def sessions(self) -> int:
        """The number of calls."""
        return len(self._sessions)

    @property
    def half_open(self) -> int:
        """The number of connections whose headers are not complete."""
        return len(self._half_open)

    async def start(self) -> None:
        """Start listening. With port 0, `port` becomes the port that the system chose."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: AgiConnection(self._accept, self._read_headers, self._lose), self._host, self.port, backlog=BACKLOG
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def move(self, port: int) -> None:
        """Listen on another port. Sessions go on. Raises OSError, and then listens as before."""
        before, old_port = self._server, self.port
        self.port = port
        try:
            await self.start()
        except OSError:
            self.port = old_port
            raise
        if before is not None:
            before.close()

    async def stop(self) -> None:
        """Stop listening and end all sessions. Their callers go to the error destination."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._half_open):
            self._drop(connection)
        tasks = list(self._sessions)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- connections without a call ---------------------------------------------------------------------------

    def _accept(self, connection: AgiConnection) -> None:
        info = connection.transport.get_extra_info
        address, own = (str((info(name) or ("",))[0]) for name in ("peername", "sockname"))
        if not self._access.accepts(address, own):
            self._log.write(logging.WARNING, "refusing FastAGI connections from %s, which is not the PBX", address)
            connection.transport.abort()
            self._on_refused(address)
            return
        if not self._serves():
            connection.transport.abort()
            return
        self._make_room(address)
        too_slow = asyncio.get_running_loop().call_later(self._header_seconds, self._end_silent, connection, "too slow")
        self._half_open[connection] = _Peer(address, self._access.is_known(address, own), too_slow)

    def _make_room(self, address: str) -> None:
        """Close the oldest half-open connection if there are too many, one of this address if that has too many."""
        if len(self._half_open) < min(MOST_HALF_OPEN, MOST_HALF_OPEN_OF_PEER):
            return
        own = [connection for connection, other in self._half_open.items() if other.address == address]
        if len(own) >= MOST_HALF_OPEN_OF_PEER:
            oldest = own[0]
        elif len(self._half_open) >= MOST_HALF_OPEN:
            strangers = (connection for connection, other in self._half_open.items() if not other.known)
            oldest = next(strangers, next(iter(self._half_open)))
        else:
            return
        self._log.write(logging.WARNING, "too many FastAGI connections without a call, the last from %s", address)
        self._drop(oldest)

    def _drop(self, connection: AgiConnection) -> _Peer | None:
        """Close a half-open connection. Return whose it was, None if it is not half-open."""
        peer = self._half_open.pop(connection, None)
        if peer is not None:
            peer.too_slow.cancel()
            connection.transport.abort()  # such a peer may never read what is left to send
        return peer

    def _end_silent(self, connection: AgiConnection, reason: str) -> None:
        peer = self._drop(connection)
        if peer is not None:
            self._log.write(logging.INFO, "%s connected and does not speak AGI: %s", peer.address, reason)

    def _lose(self, connection: AgiConnection) -> None:
        self._end_silent(connection, "the connection ended")

    def _read_headers(self, connection: AgiConnection, data: bytes) -> None:
        """Begin the call when the agi_… headers are complete. `data` is all that came."""
        peer = self._half_open.get(connection)
        if peer is None:  # it is being closed
            return
        try:
            parsed = parse_headers(data)
        except HeadersTooLong:
            text = "%s sent more than %d header lines or %d bytes"
            self._log.write(logging.WARNING, text, peer.address, HEADER_LINES, HEADER_BYTES)
            self._drop(connection)
            return
        if parsed is None:
            return
        env, rest = parsed
        path = self._open(env, peer)
        if path is None or path == PING or not self._has_room(peer):
            if path == PING:
                connection.transport.write(ANSWER_TO_PING)
            self._drop(connection)
            return
        peer.too_slow.cancel()
        del self._half_open[connection]
        connection.take_lines(rest)
        session = AgiSession(env | {"agi_network_script": path}, connection, self._watchdog)
        task = asyncio.get_running_loop().create_task(self._serve(session))
        self._sessions[task] = peer

        def end(task: asyncio.Task[None]) -> None:
            del self._sessions[task]
            connection.transport.close()

        task.add_done_callback(end)

    def _open(self, env: Mapping[str, str], peer: _Peer) -> str | None:
        """Return the path of the script, None if the peer is not our Asterisk."""
        if "agi_network" not in env:
            return None
        script = env.get("agi_network_script", "")
        # a question of the doctor is no call from Asterisk
        path = self._access.open(script, known=peer.known and not script.endswith(f"/{PING}"))
        if path is None:
            self._log.write(logging.WARNING, "refusing a FastAGI call from %s without our secret", peer.address)
        return path

    # -- calls ------------------------------------------------------------------------------------------------

    def _has_room(self, peer: _Peer) -> bool:
        """Tell whether another call of this peer may begin."""
        if len(self._sessions) >= MOST_SESSIONS:
            self._log.write(logging.ERROR, "more than %d callers at once: refusing another", MOST_SESSIONS)
            return False
        most = MOST_SESSIONS_OF_PEER if peer.known else MOST_SESSIONS_OF_STRANGER
        if len(self._sessions) < most:
            return True
        if sum(other.address == peer.address for other in self._sessions.values()) >= most:
            text = "more than %d callers from %s at once: refusing another"
            self._log.write(logging.ERROR, text, most, peer.address)
            return False
        return True

    async def _serve(self, session: AgiSession) -> None:
        try:
            await self._handler(session)
        except HungUp:
            pass
        except (AgiBroken, OSError) as error:
            log.warning("the dialogue with a caller failed: %s", error)
        except Exception:
            log.exception("the dialogue failed; the caller goes to the error destination")


def is_bazang(host: str, port: int, secret: str, seconds: float) -> bool:
    """Tell whether it is our server that listens there. Blocks. Raises OSError if nothing does."""
    headers = f"agi_network: yes\nagi_network_script: {secret}/{PING}\n\n".encode()
    with closing(socket.create_connection((host, port), seconds)) as connection:
        try:
            connection.sendall(headers)
            connection.shutdown(socket.SHUT_WR)
            return connection.makefile("rb").readline() == ANSWER_TO_PING
        except OSError:  # it hangs, or has closed the connection
            return False
