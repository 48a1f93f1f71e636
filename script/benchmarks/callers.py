"""Play callers of FastAGI dialogues as Asterisk does, as a process: `callers.py`.

Each line on standard input is one round: the port, the path of the script, how many callers come, how many of them at
once, and the number of the first one. The answer is a line of JSON: the seconds from the first connection to the end of
the last one, how many were told that their request is registered, and how many commands they answered.

A caller presses 1 during the first sound that lets them. A command takes no time.
"""

import asyncio
import json
import re
import sys
import time

RESULT = b"BAZANG_RESULT"
_READ = re.compile(rb"\$\{([^}]+)\}")
_SET = re.compile(rb"SET\(([^=]+)=(.*)\)")
_OK = b"200 result=0\n"
_SET_DONE = b"200 result=1\n"
_KEY_1 = b"200 result=49 endpos=160\n"
_UNIT = b"\x1f"  # between variables that are read together


class Round:
    """The callers of one round."""

    def __init__(self, port: int, path: str, callers: int, at_once: int, first: int) -> None:
        self.port, self.path, self.at_once = port, path, at_once
        self.numbers = iter(range(first, first + callers))
        self.left, self.registered, self.commands = callers, 0, 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> dict[str, float]:
        """Play all callers."""
        began = time.perf_counter()
        for _ in range(min(self.at_once, self.left)):
            await self._call_next()
        await self.ended
        seconds = time.perf_counter() - began
        return {"seconds": seconds, "registered": self.registered, "commands": self.commands}

    async def _call_next(self) -> None:
        number = next(self.numbers, None)
        if number is not None:
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: Caller(self, number), "127.0.0.1", self.port)

    def end(self, caller: "Caller") -> None:
        """Count a caller who has gone, and let the next one call."""
        self.registered += caller.registered
        self.commands += caller.commands
        self.left -= 1
        if self.left == 0:
            self.ended.set_result(None)
        else:
            caller.following = asyncio.get_running_loop().create_task(self._call_next())


class Caller(asyncio.Protocol):
    """Answer the commands of one dialogue."""

    def __init__(self, played: Round, number: int) -> None:
        self._round, self._number = played, b"0912%07d" % number
        self._uniqueid = b"1764400000.%d" % number
        self._channel = b"PJSIP/trunk-%08x" % number
        self._rest = b""
        self.registered, self.commands = False, 0
        self.following: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(
            b"agi_network: yes\nagi_network_script: %s\nagi_request: agi://127.0.0.1/%s\nagi_channel: %s\n"
            b"agi_language: en\nagi_type: PJSIP\nagi_uniqueid: %s\nagi_version: 22.10.1\nagi_callerid: %s\n"
            b"agi_calleridname: unknown\nagi_callingpres: 0\nagi_callingani2: 0\nagi_callington: 0\n"
            b"agi_callingtns: 0\nagi_dnid: 5001\nagi_rdnis: unknown\nagi_context: bazang-module-1\n"
            b"agi_extension: s\nagi_priority: 9\nagi_enhanced: 0.0\nagi_accountcode: \nagi_threadid: 1404\n"
            b"agi_arg_1: \nagi_arg_2: 1\nagi_arg_3: \nagi_arg_4: \n\n"  # FIRST is empty, as it was when it was read
            % (self._round.path.encode(), self._round.path.encode(), self._channel, self._uniqueid, self._number)
        )

    def data_received(self, data: bytes) -> None:
        *commands, self._rest = (self._rest + data).split(b"\n")
        self.commands += len(commands)
        self._transport.write(b"".join(map(self._answer, commands)))

    def connection_lost(self, exc: Exception | None) -> None:
        self._round.end(self)

    def _answer(self, command: bytes) -> bytes:
        if command.startswith(b"SET VARIABLE "):
            self._set(*command.removeprefix(b"SET VARIABLE ").split(b" ", 1))
            return _SET_DONE
        if command.startswith(b"GET FULL VARIABLE "):
            values = _UNIT.join(self._value(name) for name in _READ.findall(command))
            return b"200 result=1 (" + values + b")\n"
        if command.startswith(b"STREAM FILE ") and b"1" in command.rpartition(b' "')[2]:
            return _KEY_1
        return _OK

    def _set(self, name: bytes, value: bytes) -> None:
        if name == RESULT:
            self.registered = value.strip(b'"') == b"next"

    def _value(self, name: bytes) -> bytes:
        """Return a variable, or set one and return its value, as the function SET does."""
        if (setting := _SET.fullmatch(name)) is not None:
            self._set(*setting.groups())
            return setting[2]
        match name:
            case b"CHANNEL":
                return self._channel
            case b"CALLERID(num)":
                return self._number
            case b"CALLERID(name)":
                return b"unknown"
            case b"CALLINGPRES":
                return b"0"
            case b"BAZANG_HOPS":
                return b"1"
        return b""


async def main() -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        port, path, *numbers = line.split()
        print(json.dumps(await Round(int(port), path, *map(int, numbers)).run()), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
