"""The FastAGI server: one isolated session per caller.

Commands use panoramisk's `Request`. Listening and reading the headers is our code, because panoramisk's server reads a
closed connection for ever.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from panoramisk.fast_agi import Request
from panoramisk.utils import parse_agi_result

from app.telephony.variables import GRACE, WATCHDOG

log = logging.getLogger(__name__)
HEADER_SECONDS = 5.0
HEADER_LINES = 100
HEADER_BYTES = 32 * 1024
LONGEST_LINE = 8 * 1024  # bytes
MOST_SESSIONS = 600
REPLY_SECONDS = 60.0  # how long a reply may take after the duration of the command
T = TypeVar("T")
_VARIABLE = re.compile(r"[A-Za-z0-9_()]+")
_PATH = re.compile(r"[A-Za-z0-9_./-]+")


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
        result: dict[str, Any] = parse_agi_result(line)
        value = re.fullmatch(r"200 result=1 \((.*)\)", line)
        if line.startswith("200 result=-1 (writefile)"):  # panoramisk treats every -1 as a hang-up
            result = {"status_code": 200, "result": ("-1", "writefile"), "msg": ""}
        elif value is not None and "error" in result:  # the value of a variable is "hangup"
            result = {"status_code": 200, "result": ("1", value[1]), "msg": ""}
        return result

    async def _line(self) -> str:
        line: bytes = await self.reader.readline()
        return line.decode(self.encoding).rstrip("\n")


class AgiSession:
    """The AGI session of a call. `env` holds the agi_… headers. Every command may raise HungUp or AgiBroken."""

    def __init__(self, env: Mapping[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.env = env
        self.hung_up = False
        self._request = _Request(None, env, reader, writer)
        self._limit = 0.0  # loop time at which the watchdog ends AGI; 0: as set by the dialplan

    @property
    def path(self) -> str:
        return self.env.get("agi_network_script", "")

    async def get_variable(self, name: str) -> str:
        """Return a channel variable, "" if it is not set. Works after a hang-up, too."""
        reply = await self._command(f"GET VARIABLE {_name(name)}", after_hangup=True)
        value, data = reply.get("result", ("0", ""))
        return data if value == "1" else ""

    async def set_variable(self, name: str, value: str) -> None:
        """Set a channel variable. Works after a hang-up, too."""
        await self._command(f"SET VARIABLE {_name(name)} {_quoted(value)}", after_hangup=True)

    async def answer(self) -> None:
        await self._command("ANSWER")

    async def play(self, sounds: Sequence[Sound], escape: str = "") -> str:
        """Play the sounds in order. Return the key from `escape` that interrupted them, or ""."""
        for sound in sounds:
            if not _PATH.fullmatch(sound.path):
                raise AgiBroken(f"invalid path: {sound.path!r}")
            await self._extend_watchdog(sound.seconds)
            key = _digit(await self._command(f'STREAM FILE {sound.path} "{escape}"', sound.seconds))
            if key:
                return key
        return ""

    async def record(self, path: str, seconds: float, escape: str = "#") -> None:
        """Record to `path`.wav for `seconds` at most, or until a key from `escape`. Raises CannotWrite."""
        if not _PATH.fullmatch(path):
            raise AgiBroken(f"invalid path: {path!r}")
        await self._extend_watchdog(seconds)
        reply = await self._command(f'RECORD FILE {path} wav "{escape}" {int(seconds * 1000)}', seconds)
        if reply.get("result") == ("-1", "writefile"):
            raise CannotWrite(path)

    async def get_digit(self, seconds: float) -> str:
        """Return the next key, or "" if there is none within `seconds`."""
        await self._extend_watchdog(seconds)
        return _digit(await self._command(f"WAIT FOR DIGIT {int(seconds * 1000)}", seconds))

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
            done, _ = await asyncio.wait({task}, timeout=1.0)
            if done:
                return task.result()
            await self._extend_watchdog(1.0)
        raise TimeoutError

    async def _extend_watchdog(self, seconds: float) -> None:
        """Set the watchdog to the end of the next `seconds`, plus the grace time."""
        now = asyncio.get_running_loop().time()
        needed = now + seconds + GRACE - 1
        # Keep a limit that fits. A limit too far ahead would make the caller wait if this process died.
        if needed <= self._limit <= needed + 1:
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


class AgiServer:
    """Accept connections from Asterisk and run `handler` for each call."""

    def __init__(self, host: str, port: int, handler: Handler, *, header_seconds: float = HEADER_SECONDS) -> None:
        self._host, self.port, self._handler = host, port, handler
        self._header_seconds = header_seconds
        self._server: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[None]] = set()

    @property
    def sessions(self) -> int:
        return len(self._sessions)

    async def start(self) -> None:
        """Start listening. With port 0, `port` becomes the port that the system chose."""
        self._server = await asyncio.start_server(self._accept, self._host, self.port, limit=LONGEST_LINE)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and end all sessions. Their callers go to the error destination."""
        if self._server is not None:
            self._server.close()
        for task in set(self._sessions):
            task.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._sessions) >= MOST_SESSIONS:
            log.error("more than %d callers at once: refusing another", MOST_SESSIONS)
            writer.close()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._sessions.add(task)
        task.add_done_callback(self._sessions.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            env = await self._headers(reader)
            if env is not None:
                await self._handler(AgiSession(env, reader, writer))
        except HungUp:
            pass
        except (AgiBroken, OSError) as error:
            log.warning("the dialogue with a caller failed: %s", error)
        except Exception:
            log.exception("the dialogue failed; the caller goes to the error destination")
        finally:
            writer.close()

    async def _headers(self, reader: asyncio.StreamReader) -> dict[str, str] | None:
        """Read the agi_… headers up to the empty line. Return None if the peer is not Asterisk."""
        env: dict[str, str] = {}
        size = 0
        try:
            async with asyncio.timeout(self._header_seconds):
                for _ in range(HEADER_LINES):
                    line = await reader.readuntil(b"\n")
                    size += len(line)
                    if size > HEADER_BYTES:
                        break
                    if not line.strip():
                        return env if "agi_network" in env else None
                    name, _, value = line.decode("utf-8", "replace").rstrip("\r\n").partition(": ")
                    env[name] = value
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError) as error:
            log.info("a peer connected that does not speak AGI: %s", type(error).__name__)
            return None
        log.warning("a peer sent more than %d header lines or %d bytes", HEADER_LINES, HEADER_BYTES)
        return None
