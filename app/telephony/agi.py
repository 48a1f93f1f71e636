"""The FastAGI server: sessions with callers, none of which may harm another or outlive its caller.

Commands go through panoramisk's `Request`; the listening and the header phase are ours, since panoramisk's own server
reads a closed connection for ever.
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
REPLY_SECONDS = 60.0  # how long a reply may take beyond the command's own length
T = TypeVar("T")
_VARIABLE = re.compile(r"[A-Za-z0-9_()]+")
_PATH = re.compile(r"[A-Za-z0-9_./-]+")


class HungUp(Exception):
    """The caller hung up."""


class AgiBroken(Exception):
    """Asterisk said what no Asterisk says, or went away."""


class CannotWrite(Exception):
    """Asterisk could not write the file into which it was to record."""


@dataclass(frozen=True)
class Sound:
    """A sound file as Asterisk sees it, without its ending."""

    path: str
    seconds: float


class _Request(Request):  # type: ignore[misc]
    """panoramisk's commands, with a `HANGUP` line that comes between two replies taken for what it is."""

    hung_up = False

    async def _read_result(self) -> dict[str, Any]:
        line = await self._line()
        if line == "HANGUP":  # the reply itself is still to come
            self.hung_up = True
            line = await self._line()
        result: dict[str, Any] = parse_agi_result(line)
        value = re.fullmatch(r"200 result=1 \((.*)\)", line)
        if line.startswith("200 result=-1 (writefile)"):  # panoramisk takes every -1 for a hang-up
            result = {"status_code": 200, "result": ("-1", "writefile"), "msg": ""}
        elif value is not None and "error" in result:  # a variable whose value happens to be "hangup"
            result = {"status_code": 200, "result": ("1", value[1]), "msg": ""}
        return result

    async def _line(self) -> str:
        line: bytes = await self.reader.readline()
        return line.decode(self.encoding).rstrip("\n")


class AgiSession:
    """A call in the hands of the dialogue. `env`: the agi_… headers. Every command may raise HungUp or AgiBroken."""

    def __init__(self, env: Mapping[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.env = env
        self.hung_up = False
        self._request = _Request(None, env, reader, writer)
        self._limit = 0.0  # loop time at which Asterisk's watchdog bites; 0: as the dialplan set it

    @property
    def path(self) -> str:
        return self.env.get("agi_network_script", "")

    async def get_variable(self, name: str) -> str:
        """Return a channel variable, "" if it is not set. Works after a hang-up as well."""
        reply = await self._command(f"GET VARIABLE {_name(name)}", after_hangup=True)
        value, data = reply.get("result", ("0", ""))
        return data if value == "1" else ""

    async def set_variable(self, name: str, value: str) -> None:
        """Set a channel variable. Works after a hang-up as well."""
        await self._command(f"SET VARIABLE {_name(name)} {_quoted(value)}", after_hangup=True)

    async def answer(self) -> None:
        await self._command("ANSWER")

    async def play(self, sounds: Sequence[Sound], escape: str = "") -> str:
        """Play the sounds one after the other; return the key of `escape` that interrupted them, or ""."""
        for sound in sounds:
            if not _PATH.fullmatch(sound.path):
                raise AgiBroken(f"not a path: {sound.path!r}")
            await self._allow(sound.seconds)
            key = _digit(await self._command(f'STREAM FILE {sound.path} "{escape}"', sound.seconds))
            if key:
                return key
        return ""

    async def record(self, path: str, seconds: float, escape: str = "#") -> None:
        """Record what is said as `path`.wav: until a key of `escape`, for so many seconds at the most.

        Raises CannotWrite.
        """
        if not _PATH.fullmatch(path):
            raise AgiBroken(f"not a path: {path!r}")
        await self._allow(seconds)
        reply = await self._command(f'RECORD FILE {path} wav "{escape}" {int(seconds * 1000)}', seconds)
        if reply.get("result") == ("-1", "writefile"):
            raise CannotWrite(path)

    async def get_digit(self, seconds: float) -> str:
        """Return the next key, or "" when none came within `seconds`."""
        await self._allow(seconds)
        return _digit(await self._command(f"WAIT FOR DIGIT {int(seconds * 1000)}", seconds))

    async def is_on_the_line(self) -> bool:
        """Tell whether the caller is still there: a sound that Asterisk cannot play looks like a hang-up."""
        reply = await self._command("CHANNEL STATUS", after_hangup=True)
        return reply.get("result", ("", ""))[0] == "6"

    async def keep_waiting(self, work: Awaitable[T], seconds: float) -> T:
        """Await `work` while the caller waits, at most so long: Asterisk is told every second that we live.

        Raises TimeoutError; the work itself goes on.
        """
        task = asyncio.ensure_future(work)
        deadline = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < deadline:
            done, _ = await asyncio.wait({task}, timeout=1.0)
            if done:
                return task.result()
            await self._allow(1.0)
        raise TimeoutError

    async def _allow(self, seconds: float) -> None:
        """Push Asterisk's watchdog forward: past what is about to happen, plus the grace."""
        now = asyncio.get_running_loop().time()
        needed = now + seconds + GRACE - 1
        # A limit that is ample is left; one that is too far off would keep a caller waiting should we die.
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
        return self._judge(command, reply, after_hangup)

    def _judge(self, command: str, reply: dict[str, object], after_hangup: bool) -> dict[str, tuple[str, str]]:
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
        raise AgiBroken(f"no name of a variable: {name!r}")
    return name


def _quoted(value: str) -> str:
    if re.search(r"[\r\n\0]", value):
        raise AgiBroken(f"not to be sent: {value!r}")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _digit(reply: Mapping[str, tuple[str, str]]) -> str:
    """Return the key of a reply: its result is the key's ASCII code, or 0."""
    value = reply.get("result", ("", ""))[0]
    if not re.fullmatch(r"-?[0-9]{1,3}", value):
        raise AgiBroken(f"no result: {value!r}")
    key = chr(int(value)) if int(value) > 0 else ""
    return key if key in "0123456789*#" else ""


Handler = Callable[[AgiSession], Awaitable[None]]


class AgiServer:
    """Listens for Asterisk and hands each call to `handler`."""

    def __init__(self, host: str, port: int, handler: Handler, *, header_seconds: float = HEADER_SECONDS) -> None:
        self._host, self.port, self._handler = host, port, handler
        self._header_seconds = header_seconds
        self._server: asyncio.Server | None = None
        self._sessions: set[asyncio.Task[None]] = set()

    @property
    def sessions(self) -> int:
        return len(self._sessions)

    async def start(self) -> None:
        """Begin to listen. A port of 0 is replaced by the one that was given."""
        self._server = await asyncio.start_server(self._accept, self._host, self.port, limit=LONGEST_LINE)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and end the sessions; their callers go to the error destination."""
        if self._server is not None:
            self._server.close()
        for task in set(self._sessions):
            task.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._sessions) >= MOST_SESSIONS:
            log.error("more than %d callers at once: one is turned away", MOST_SESSIONS)
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
            log.warning("a call of the dialogue broke off: %s", error)
        except Exception:
            log.exception("the dialogue failed; its caller goes to the error destination")
        finally:
            writer.close()

    async def _headers(self, reader: asyncio.StreamReader) -> dict[str, str] | None:
        """Read the agi_… lines up to the empty one; None for whoever is no Asterisk."""
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
            log.info("somebody connected who speaks no AGI: %s", type(error).__name__)
            return None
        log.warning("somebody connected with headers of more than %d lines or %d bytes", HEADER_LINES, HEADER_BYTES)
        return None
