"""The FastAGI server: one isolated session per caller.

Commands use panoramisk's `Request`. Listening and reading the headers is our code, because panoramisk's server reads a
closed connection for ever.

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
from typing import Any, TypeVar

from panoramisk.fast_agi import Request
from panoramisk.utils import parse_agi_result

from app.telephony.agi_access import AgiAccess, LimitedLog
from app.telephony.variables import GRACE, PING, PONG, WATCHDOG
from app.telephony.watchdog import DialogueChannel, Watchdog

log = logging.getLogger(__name__)
HEADER_SECONDS = 3.0
HEADER_LINES = 100
HEADER_BYTES = 32 * 1024
LONGEST_LINE = 8 * 1024  # bytes
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
_AFTER_CODE = re.compile(r"[^0-9]")
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


class _Request(Request):  # type: ignore[misc]
    """panoramisk's commands, with support for a `HANGUP` line between two replies."""

    hung_up = False

    async def _read_result(self) -> dict[str, Any]:
        line = await self._line()
        if line == "HANGUP":  # the reply follows
            self.hung_up = True
            line = await self._line()
        code = _AFTER_CODE.split(line, maxsplit=1)[0]
        result: dict[str, Any] = _parse_success(line) if code == "200" else parse_agi_result(line)
        return result

    async def _line(self) -> str:
        line: bytes = await self.reader.readline()
        return line.decode(self.encoding).rstrip("\n")


def _parse_success(line: str) -> dict[str, Any]:
    """Parse a reply with code 200, such as "200 result=1 (value)", into the dictionary of panoramisk.

    panoramisk's time grows with the square of a line's length. It takes each -1 for a hang-up, and a variable with the
    value "hangup" as well.
    """
    found = _RESULT.match(line)
    value, data = (found[1], found[2] or "") if found is not None else ("", "")
    if (value == "-1" and data != "writefile") or (data == "hangup" and value != "1"):
        return {"error": "AGIAppError", "msg": line}
    return {"status_code": 200, "result": (value, data), "msg": ""}


class AgiSession:
    """The AGI session of a call. `env` holds the agi_… headers. Every command may raise HungUp or AgiBroken.

    Without a `watchdog`, that of the call lasts as long as the command that runs.
    """

    def __init__(
        self,
        env: Mapping[str, str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        watchdog: Watchdog | None = None,
    ) -> None:
        self.env = env
        self.hung_up = False
        self._request = _Request(None, env, reader, writer)
        self._watchdog = watchdog
        self._channel = DialogueChannel(env.get("agi_channel", ""), env.get("agi_uniqueid", ""))
        self._limit = 0.0  # loop time at which the watchdog ends AGI; 0: as set by the dialplan

    @property
    def path(self) -> str:
        return self.env.get("agi_network_script", "")

    async def get_variable(self, name: str) -> str:
        """Return a channel variable, "" if it is not set. Works after a hang-up, too."""
        reply = await self._command(f"GET VARIABLE {_name(name)}", after_hangup=True)
        value, data = reply.get("result", ("0", ""))
        return data if value == "1" else ""

    async def get_variables(self, *names: str) -> list[str]:
        """Return several channel variables by one command, "" for those that are not set. Works after a hang-up, too.

        Name those last that callers control: a value with SEPARATOR in it would spill into the following ones.
        """
        expression = SEPARATOR.join(f"${{{_name(name)}}}" for name in names)
        reply = await self._command(f"GET FULL VARIABLE {_quoted(expression)}", after_hangup=True)
        value, data = reply.get("result", ("0", ""))
        values = data.split(SEPARATOR, len(names) - 1) if value == "1" else []
        return values + [""] * (len(names) - len(values))

    async def set_variable(self, name: str, value: str) -> None:
        """Set a channel variable. Works after a hang-up, too."""
        await self._command(f"SET VARIABLE {_name(name)} {_quoted(value)}", after_hangup=True)

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
        if reply.get("result") == ("-1", "writefile"):
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
        return reply.get("result", ("", ""))[0] == "6"

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

    async def _run(self, command: str, seconds: float) -> dict[str, tuple[str, str]]:
        """Send a command that takes `seconds` at most. Postpone the watchdog meanwhile, step by step if possible."""
        if self._watchdog is None or not self._watchdog.available or seconds <= STEP:
            await self._extend_watchdog(seconds)
            return await self._command(command, seconds)
        await self._extend_watchdog(STEP)
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
        """Set the watchdog to the end of the next `seconds`, plus the grace time."""
        now = asyncio.get_running_loop().time()
        needed = now + seconds + GRACE - SLACK
        # Keep a limit that fits. A limit too far ahead would make the caller wait if this process died.
        if needed <= self._limit <= needed + SLACK:
            return
        await self._command(f"SET VARIABLE {WATCHDOG} {seconds + GRACE:.1f}", after_hangup=True)
        self._limit = now + seconds + GRACE

    async def _command(
        self, command: str, seconds: float = 0.0, *, after_hangup: bool = False
    ) -> dict[str, tuple[str, str]]:
        if self.hung_up and not after_hangup:
            raise HungUp
        try:
            async with asyncio.timeout(seconds + REPLY_SECONDS):
                reply = await self._request.send_command(command)
            self.hung_up = self.hung_up or self._request.hung_up
        except ConnectionError as error:  # how a hang-up looks if Asterisk has not read the command yet
            if not after_hangup:
                self.hung_up = True
                raise HungUp from error
            raise AgiBroken(f"{type(error).__name__} after {command.split(' ')[0]}") from error
        except (OSError, ValueError, TimeoutError, UnicodeDecodeError, asyncio.LimitOverrunError) as error:
            raise AgiBroken(f"{type(error).__name__} after {command.split(' ')[0]}") from error
        return self._check_reply(command, reply, after_hangup)

    def _check_reply(self, command: str, reply: dict[str, object], after_hangup: bool) -> dict[str, tuple[str, str]]:
        error = reply.get("error")
        if error in ("AGIResultHangup", "AGIAppError") or str(reply.get("status_code")) == "511":
            self.hung_up = True
            if not after_hangup:
                raise HungUp
        elif error is not None:
            raise AgiBroken(f"{error} after {command.split(' ')[0]}: {reply.get('msg')}")
        return reply  # type: ignore[return-value]


def _name(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise AgiBroken(f"invalid variable name: {name!r}")
    return name


def _quoted(value: str) -> str:
    if re.search(r"[\r\n\0]", value):
        raise AgiBroken(f"unsafe value: {value!r}")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _digit(reply: Mapping[str, tuple[str, str]]) -> str:
    """Return the key in a reply. The result is the ASCII code of the key, or 0."""
    value = reply.get("result", ("", ""))[0]
    if not re.fullmatch(r"-?[0-9]{1,3}", value):
        raise AgiBroken(f"invalid result: {value!r}")
    key = chr(int(value)) if int(value) > 0 else ""
    return key if key in "0123456789*#" else ""


Handler = Callable[[AgiSession], Awaitable[None]]


@dataclass(frozen=True)
class _Connection:
    """A connection from `address`. `known`: Asterisk may have this address."""

    address: str
    known: bool
    writer: asyncio.StreamWriter


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
        self._half_open: dict[asyncio.Task[None], _Connection] = {}  # oldest first
        self._sessions: dict[asyncio.Task[None], _Connection] = {}

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
        self._server = await asyncio.start_server(
            self._accept, self._host, self.port, limit=LONGEST_LINE, backlog=BACKLOG
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
        tasks = [*self._half_open, *self._sessions]
        for connection in self._half_open.values():
            connection.writer.transport.abort()  # its task may not have begun
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address, own = (str((writer.get_extra_info(name) or ("",))[0]) for name in ("peername", "sockname"))
        if not self._access.accepts(address, own):
            self._log.write(logging.WARNING, "refusing FastAGI connections from %s, which is not the PBX", address)
            writer.transport.abort()
            self._on_refused(address)
            return
        if not self._serves():
            writer.transport.abort()
            return
        connection = _Connection(address, self._access.is_known(address, own), writer)
        self._make_room(address)
        task = asyncio.create_task(self._serve(reader, connection))
        self._half_open[task] = connection
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._half_open.pop(task, None)
        self._sessions.pop(task, None)

    def _make_room(self, address: str) -> None:
        """Close the oldest half-open connection if there are too many, one of this address if that has too many."""
        own = [task for task, other in self._half_open.items() if other.address == address]
        if len(own) >= MOST_HALF_OPEN_OF_PEER:
            oldest = own[0]
        elif len(self._half_open) >= MOST_HALF_OPEN:
            strangers = (task for task, other in self._half_open.items() if not other.known)
            oldest = next(strangers, next(iter(self._half_open)))
        else:
            return
        self._log.write(logging.WARNING, "too many FastAGI connections without a call, the last from %s", address)
        self._half_open.pop(oldest).writer.transport.abort()  # this ends its task

    def _begin(self, connection: _Connection) -> bool:
        """Make the connection of the current task a session. Return false if there are too many, or it is closed."""
        task = asyncio.current_task()
        if task is None or self._half_open.pop(task, None) is None:
            return False
        if len(self._sessions) >= MOST_SESSIONS:
            self._log.write(logging.ERROR, "more than %d callers at once: refusing another", MOST_SESSIONS)
            return False
        address, most = connection.address, MOST_SESSIONS_OF_PEER if connection.known else MOST_SESSIONS_OF_STRANGER
        if sum(other.address == address for other in self._sessions.values()) >= most:
            self._log.write(logging.ERROR, "more than %d callers from %s at once: refusing another", most, address)
            return False
        self._sessions[task] = connection
        return True

    async def _serve(self, reader: asyncio.StreamReader, connection: _Connection) -> None:
        is_call = False
        try:
            env = await self._headers(reader, connection)
            if env is not None and env["agi_network_script"] == PING:
                connection.writer.write(ANSWER_TO_PING)
                await connection.writer.drain()
                return
            is_call = env is not None and self._begin(connection)
            if env is not None and is_call:
                await self._handler(AgiSession(env, reader, connection.writer, self._watchdog))
        except HungUp:
            pass
        except (AgiBroken, OSError) as error:
            log.warning("the dialogue with a caller failed: %s", error)
        except Exception:
            log.exception("the dialogue failed; the caller goes to the error destination")
        finally:
            if is_call:
                connection.writer.close()
            else:  # such a peer may never read what is left to send
                connection.writer.transport.abort()

    async def _headers(self, reader: asyncio.StreamReader, connection: _Connection) -> dict[str, str] | None:
        """Read the agi_… headers up to the empty line. Return None if the peer is not our Asterisk."""
        address = connection.address
        try:
            async with asyncio.timeout(self._header_seconds):
                env = await self._read_headers(reader)
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError) as error:
            reason = type(error).__name__
            self._log.write(logging.INFO, "%s connected and does not speak AGI: %s", address, reason)
            return None
        if env is None:
            text = "%s sent more than %d header lines or %d bytes"
            self._log.write(logging.WARNING, text, address, HEADER_LINES, HEADER_BYTES)
            return None
        if "agi_network" not in env:
            return None
        script = env.get("agi_network_script", "")
        # a question of the doctor is no call from Asterisk
        path = self._access.open(script, known=connection.known and not script.endswith(f"/{PING}"))
        if path is None:
            self._log.write(logging.WARNING, "refusing a FastAGI call from %s without our secret", address)
            return None
        return env | {"agi_network_script": path}

    async def _read_headers(self, reader: asyncio.StreamReader) -> dict[str, str] | None:
        """Return the headers, None if they are too long."""
        env: dict[str, str] = {}
        size = 0
        for _ in range(HEADER_LINES):
            line = await reader.readuntil(b"\n")
            size += len(line)
            if size > HEADER_BYTES:
                return None
            if not line.strip():
                return env
            name, _, value = line.decode("utf-8", "replace").rstrip("\r\n").partition(": ")
            env[name] = value
        return None


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
