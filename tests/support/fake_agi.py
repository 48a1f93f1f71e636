"""Simulate Asterisk and a caller in a FastAGI session: connect, answer commands, press keys, hang up.

Time does not pass: a wait without a key ends at once. Keys work as on a phone line. A key during a sound interrupts it
if it is one of its escape keys, and is lost otherwise. A key after a sound waits for the next command that reads keys.
"""

import asyncio
import re
import shlex
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from app.telephony.agi_access import AgiAccess
from script.office.patience import PATIENCE

WATCHDOG = "TIMEOUT(absolute)"
DEAD = "511 Command Not Permitted on a dead channel or intercept routine"
SECRET = "5ec2e7"
HEADERS = {
    "agi_network": "yes",
    "agi_network_script": "module/7",
    "agi_request": "agi://127.0.0.1/module/7",
    "agi_channel": "PJSIP/trunk-0000002a",
    "agi_language": "en",
    "agi_type": "PJSIP",
    "agi_uniqueid": "1700000000.42",
    "agi_version": "22.10.1",
    "agi_callerid": "09121234567",
    "agi_calleridname": "سارا",
    "agi_callingpres": "0",
    "agi_context": "bazang-module-7",
    "agi_extension": "s",
    "agi_priority": "9",
    "agi_enhanced": "0.0",
}


# The variables of the channel that Asterisk also sends as headers at the start.
_CALLER = {
    "CHANNEL": "agi_channel",
    "CALLERID(num)": "agi_callerid",
    "CALLERID(name)": "agi_calleridname",
    "CALLINGPRES": "agi_callingpres",
}


def make_access() -> AgiAccess:
    """Return the access of an installation with the secret of the calls."""
    return AgiAccess(SECRET)


@dataclass(frozen=True)
class Press:
    """Keys that the caller presses after the next sound of this name, or during it if `early`.

    The sound "answer" stands for the answer of the call.
    """

    sound: str
    keys: str
    early: bool = False


@dataclass(frozen=True)
class HangUp:
    """The caller hangs up at command number `after` (from 1, without commands that set the watchdog).

    within: while the command runs, with a HANGUP line before its reply. between: after its reply, with a HANGUP line.
    silent: while it runs, without a HANGUP line (AGISIGHUP=no). gone: Asterisk closes the connection without a reply.
    """

    after: int
    how: Literal["within", "between", "silent", "gone"] = "within"


class FakeCall:
    """One call. Create it with the caller's actions, `await run(port)`, and check its attributes.

    `secret` is what precedes the path of the script. `replies`: raw lines to send instead of the normal reply, by the
    beginning of the command without quotes.
    `on_command` is awaited before each reply, so a test can delay the session or check something.
    """

    def __init__(
        self,
        *presses: Press,
        headers: Mapping[str, str] | None = None,
        secret: str = f"{SECRET}/",
        variables: Mapping[str, str] | None = None,
        hang_up: HangUp | None = None,
        replies: Mapping[str, bytes] | None = None,
        on_command: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self.headers = {**HEADERS, **(headers or {})}
        self._secret = secret
        self.variables = {name: self.headers[header] for name, header in _CALLER.items()} | dict(variables or {})
        self.commands: list[str] = []  # all commands in order
        # Short forms of the commands, without the watchdog: "answer", "play intro", "wait 5.0", "set X=1", "get X".
        self.log: list[str] = []
        self.played: list[str] = []  # names of the sounds without folders
        self.pressed: list[str] = []  # the keys that a command read, with the command: "wait:1"
        self.watchdog: list[float] = []
        self.hung_up = False
        self._presses = list(presses)
        self._line: deque[str] = deque()
        self._hang_up, self._replies, self.on_command = hang_up, dict(replies or {}), on_command

    async def run(self, port: int, timeout: float = PATIENCE) -> None:
        """Play the call until the service closes the connection. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(self.header_bytes())
                while line := await reader.readline():
                    if not await self._answer(line.decode().removesuffix("\n"), writer):
                        break
            except ConnectionError:
                pass  # the service closed the connection
            finally:
                writer.close()

    def header_bytes(self) -> bytes:
        headers = self.headers | {"agi_network_script": self._secret + self.headers["agi_network_script"]}
        return "".join(f"{name}: {value}\n" for name, value in headers.items()).encode() + b"\n"

    async def _answer(self, command: str, writer: asyncio.StreamWriter) -> bool:
        """Answer a command. Return False if the connection must be closed."""
        self.commands.append(command)
        words = shlex.split(command)
        if not command.startswith(f"SET VARIABLE {WATCHDOG} "):
            self.log.append(_short(words))
        if self.on_command is not None:
            await self.on_command(command)
        now = self._hang_up is not None and not self.hung_up and len(self.log) >= self._hang_up.after
        how = self._hang_up.how if self._hang_up is not None and now else ""
        if how == "gone":
            return False
        if how in ("within", "silent"):
            self.hung_up = True
        reply = self._reply(words, interrupted=how in ("within", "silent"))
        self.hung_up = self.hung_up or now
        before, after = (b"HANGUP\n" if how == word else b"" for word in ("within", "between"))
        writer.write(before + reply + after)
        await writer.drain()
        return True

    def _reply(self, words: Sequence[str], *, interrupted: bool) -> bytes:
        for beginning, raw in self._replies.items():
            if " ".join(words).startswith(beginning):
                return raw
        return (self._do(words, interrupted) + "\n").encode()

    def _do(self, words: Sequence[str], interrupted: bool) -> str:
        match words:
            case ["GET", "VARIABLE", name]:
                return f"200 result=1 ({self.variables[name]})" if name in self.variables else "200 result=0"
            case ["GET", "FULL", "VARIABLE", expression]:
                value = _VARIABLE.sub(lambda found: self._value(found[1]), expression)
                return f"200 result=1 ({value})"
            case ["SET", "VARIABLE", name, *value]:
                self._set(name, " ".join(value))
                return "200 result=1"
            case _ if self.hung_up and not interrupted:
                return DEAD
            case _ if interrupted:
                return "200 result=-1"
            case ["STREAM", "FILE", path, escape]:
                return f"200 result={_code(self._play(path.rpartition('/')[2], escape))} endpos=8000"
            case ["WAIT", "FOR", "DIGIT", _]:
                key = self._line.popleft() if self._line else ""
                if key:
                    self.pressed.append(f"wait:{key}")
                return f"200 result={_code(key)}"
            case ["CHANNEL", "STATUS"]:
                return "200 result=6"
            case ["RECORD", "FILE", *_]:
                return "200 result=35 (dtmf) endpos=16000"
            case ["ANSWER"]:
                self._line.extend(self._take_press("answer").keys)
                return "200 result=0"
        return "510 Invalid or unknown command"

    def _value(self, name: str) -> str:
        """Return a variable, or set one and return its value, as the function SET does."""
        if (setting := _SETTING.fullmatch(name)) is not None:
            self._set(*setting.groups())
            return setting[2]
        return self.variables.get(name, "")

    def _set(self, name: str, value: str) -> None:
        if name == WATCHDOG:
            self.watchdog.append(float(value))
        self.variables[name] = value

    def _play(self, name: str, escape: str) -> str:
        """Play a sound. Return the key that interrupts it, or ""."""
        self.played.append(name)
        press = self._take_press(name)
        if press.early:
            self._line.extend(press.keys)
        while self._line:
            key = self._line.popleft()
            if key in escape:
                self.pressed.append(f"{name}:{key}")
                return key
        if not press.early:
            self._line.extend(press.keys)
        return ""

    def _take_press(self, sound: str) -> Press:
        for press in self._presses:
            if press.sound == sound:
                self._presses.remove(press)
                return press
        return Press(sound, "")


_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_SETTING_IN = re.compile(r"\$\{SET\(([^=]+)=([^}]*)\)\}")
_SETTING = re.compile(r"SET\(([^=]+)=(.*)\)")


def _code(key: str) -> int:
    return ord(key) if key else 0


def _short(words: Sequence[str]) -> str:
    match words:
        case ["GET", "VARIABLE", name]:
            return f"get {name}"
        case ["GET", "FULL", "VARIABLE", expression]:
            settings = [found.groups() for found in _SETTING_IN.finditer(expression) if found[1] != WATCHDOG]
            names = [name for name in _VARIABLE.findall(expression) if not _SETTING.fullmatch(name)]
            gets, sets = " ".join(["get", *names]), " ".join(["set", *(f"{name}={value}" for name, value in settings)])
            return gets if names else sets
        case ["SET", "VARIABLE", name, *value]:
            return f"set {name}={' '.join(value)}"
        case ["STREAM", "FILE", path, *_]:
            return f"play {path.rpartition('/')[2]}"
        case ["RECORD", "FILE", path, kind, keys, milliseconds]:
            return f"record {path.rpartition('/')[2]}.{kind} to {keys} or {int(milliseconds) / 1000}"
        case ["WAIT", "FOR", "DIGIT", milliseconds]:
            return f"wait {int(milliseconds) / 1000}"
    return " ".join(words).lower()
