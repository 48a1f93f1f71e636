"""Run a real Asterisk on loopback with the phones, queues and trunk of an office."""

import asyncio
import functools
import json
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from app.server.process import kill, spawn, terminate, wait_for_end
from script.office.asterisk_config import TRUNK_HOST, AsteriskInstance, OfficeSetup, QueueSetup, render
from script.office.patience import PATIENCE
from script.office.phone import Phone
from script.office.ports import free_port

__all__ = [
    "TRUNK_HOST",
    "AsteriskOffice",
    "Build",
    "NoAsterisk",
    "OfficeSetup",
    "QueueSetup",
    "find_build",
    "free_port",
]

CACHE = Path(__file__).resolve().parents[2] / ".cache"
DOCUMENTATION = "core-en_US.xml"
STOP_SECONDS = 10
LOOK_INTERVAL = 0.03  # seconds
MAX_SOCKET_PATH = 100  # bytes; the limit is 107


class NoAsterisk(Exception):
    """There is no Asterisk of this version. The message says how to get it."""


@dataclass(frozen=True)
class Build:
    """How to start an Asterisk. `command` comes before the options. `version` is a full one, such as ``22.10.1``."""

    version: str
    command: tuple[str, ...]
    modules: Path
    data: Path


def find_build(major: int) -> Build:
    """Return the Asterisk of this major version that script/bootstrap found or fetched. Raises NoAsterisk."""
    home = CACHE / f"asterisk-{major}"
    try:
        described = json.loads((home / "asterisk.json").read_text())
    except FileNotFoundError:
        raise NoAsterisk(f"no Asterisk {major} (script/bootstrap --tests fetches it)") from None
    binary = str(home / described["binary"])  # the path of an installed Asterisk is absolute and replaces `home`
    command: tuple[str, ...] = (binary,)
    if described["loader"]:
        libraries = ":".join(str(home / folder) for folder in described["library_path"])
        command = (str(home / described["loader"]), "--library-path", libraries, binary)
    return Build(described["version"], command, home / described["modules"], home / described["data"])


class AsteriskOffice:
    """An Asterisk process with its own folder. Use `async with`, or `start` and `stop`.

    The folder contains its database (registrations, DB()). A restart keeps the database; a new folder starts empty.
    """

    def __init__(self, version: int, folder: Path, setup: OfficeSetup | None = None) -> None:
        self.build, self.version, self.folder = find_build(version), version, folder
        self.setup = setup or OfficeSetup()
        self.sip_port = self.setup.sip_port or free_port(socket.SOCK_DGRAM)
        self.ami_port = self.setup.ami_port or free_port()
        self.trunk_port = free_port(socket.SOCK_DGRAM, TRUNK_HOST)
        self.ami_username, self.ami_secret = "bazang", "bazang-secret"
        self._process: subprocess.Popen[bytes] | None = None
        self._phones: list[Phone] = []
        self._short_run_folder: Path | None = None

    @property
    def sip_server(self) -> tuple[str, int]:
        """Host and port for the registration of phones."""
        return ("127.0.0.1", self.sip_port)

    @property
    def log_file(self) -> Path:
        """Asterisk's log with every step of the dialplan."""
        return self.folder / "log/messages"

    @property
    def pid(self) -> int:
        """The process id. Raises RuntimeError if Asterisk does not run."""
        return self._running().pid

    @property
    def runs(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for phone in self._phones:
            await phone.close()
        await self.stop()
        if self._short_run_folder is not None:
            shutil.rmtree(self._short_run_folder, ignore_errors=True)

    # -- process ----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start Asterisk and wait until it is fully booted. Raises RuntimeError with the end of its output."""
        self.launch()
        await self.wait_until_booted()

    def launch(self) -> None:
        """Start Asterisk without waiting for it."""
        self.write_files()
        self._process = spawn([*self.build.command, "-C", self._main_file, "-f"], self.folder / "console")

    async def wait_until_booted(self) -> None:
        """Wait until Asterisk is fully booted. Raises RuntimeError with the end of its output."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._wait_until_booted()
        except TimeoutError:
            await self.kill()
            raise RuntimeError(f"Asterisk {self.version} did not start:\n{self._end_of_output()}") from None

    async def wait_for_end(self) -> None:
        """Wait until the process ends."""
        await wait_for_end(self._running())

    async def stop(self) -> None:
        """Terminate Asterisk, and kill it after 10 s (a call that hangs in AGI prevents its end)."""
        process, self._process = self._process, None
        if process is not None:
            await asyncio.to_thread(terminate, process, STOP_SECONDS)

    async def kill(self) -> None:
        """Kill Asterisk, as in a power cut."""
        process, self._process = self._process, None
        if process is not None:
            await asyncio.to_thread(kill, process)

    async def abandon(self) -> None:
        """Kill Asterisk, and forget the calls of the phones, who could not hang up any more."""
        await self.kill()
        for call in [call for phone in self._phones for call in phone.active]:
            call.end(0)

    async def restart(self, *, hard: bool = False) -> None:
        """Stop Asterisk (`hard`: kill it) and start it again. Registrations and its database stay."""
        await (self.kill() if hard else self.stop())
        await self.start()

    def pause(self) -> None:
        """Pause the process with SIGSTOP until `resume`."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resume the process after `pause`."""
        self._running().send_signal(signal.SIGCONT)

    async def cli(self, command: str) -> str:
        """Run a console command and return its output. Raises TimeoutError, and OSError if Asterisk does not run.

        It is sent as ``asterisk -rx`` sends it, whose start takes more than the command.
        """
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_unix_connection(self._run_folder() / "asterisk.ctl")
            try:
                writer.write(f"cli quit after {command}\0".encode())
                _greeting, _, output = (await reader.read()).partition(b"\n")
            finally:
                writer.close()
        return output.decode(errors="replace")

    async def wait_for_output(self, command: str, found: Callable[[str], bool], seconds: float = PATIENCE) -> str:
        """Run a console command again and again until its output is as wanted, and return that. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not found(output := await self.cli(command)):  # noqa: ASYNC110 - no event reports it
                await asyncio.sleep(LOOK_INTERVAL)
        return output

    async def reload(self, what: str = "dialplan") -> str:
        """Reload configuration files: `dialplan`, `queues`, or a module such as ``res_pjsip.so``."""
        command = {"dialplan": "dialplan reload", "queues": "queue reload all"}.get(what, f"module reload {what}")
        return await self.cli(command)

    # -- phones -----------------------------------------------------------------------------------------------

    async def phone(self, number: str, contact: str = "") -> Phone:
        """Return a registered phone of this extension. The office closes it. `contact`: see `Phone`."""
        phone = Phone(number, self.sip_server, secret=self.setup.phones[number], contact=contact)
        self._phones.append(phone)
        return await phone.start()

    async def trunk(self) -> Phone:
        """Return the other end of the trunk. It gets outgoing calls and calls with any caller ID. Create only one."""
        phone = Phone("trunk", self.sip_server, host=TRUNK_HOST, port=self.trunk_port)
        self._phones.append(phone)
        return await phone.start()

    # -- files ------------------------------------------------------------------------------------------------

    def write_files(self) -> None:
        """Write the configuration files from `setup`. After a change at run time call `reload`."""
        for name in ("etc", "run", "spool", "log", "db", "keys", "data/sounds", "silence"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        sounds = self.build.data / "sounds"
        english = next((sounds / name for name in ("en", "en_US_f_Allison") if (sounds / name).is_dir()), None)
        _link(self.folder / "data/sounds/en", english)
        self._write_documentation()
        instance = AsteriskInstance(
            self.folder,
            self._run_folder(),
            self.build.modules,
            self.sip_port,
            self.ami_port,
            self.trunk_port,
            self.ami_username,
            self.ami_secret,
        )
        (self.folder / "silence/silence.sln").write_bytes(bytes(16000))
        for name, text in render(self.setup, instance).items():
            (self.folder / "etc" / name).write_text(text)

    def _write_documentation(self) -> None:
        """Write the part of the documentation without which modules do not load.

        Most of the processor time of a start is spent on the rest: the help for applications, functions and events.
        """
        folder = self.folder / "data/documentation"
        folder.mkdir(exist_ok=True)
        for source in sorted((self.build.data / "documentation").glob("appdocsxml.*")):
            _link(folder / source.name, source)
        (folder / DOCUMENTATION).write_text(_shorten_documentation(self.build.data / "documentation" / DOCUMENTATION))

    def _run_folder(self) -> Path:
        """Return the folder of the control socket. The path of a Unix socket has 107 bytes at most."""
        folder = self.folder / "run"
        if len(str(folder / "asterisk.ctl").encode()) <= MAX_SOCKET_PATH:
            return folder
        if self._short_run_folder is None:
            self._short_run_folder = Path(tempfile.mkdtemp(prefix="asterisk-"))
        return self._short_run_folder

    @property
    def _main_file(self) -> str:
        return str(self.folder / "etc/asterisk.conf")

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("Asterisk does not run")
        return self._process

    def _end_of_output(self) -> str:
        return (self.folder / "console").read_text(errors="replace")[-2000:]

    async def _wait_until_booted(self) -> None:
        while True:
            if self._running().poll() is not None:
                raise RuntimeError(f"Asterisk {self.version} ended during the start:\n{self._end_of_output()}")
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.ami_port)
            except OSError:
                await asyncio.sleep(0.02)  # nothing listens yet, and no event reports when it does
                continue
            login = "Action: Login\r\nUsername: harness\r\nSecret: harness\r\n\r\n"
            try:
                writer.write(login.encode())
                # A log-in before the end of the boot is refused or gets no FullyBooted, so it is repeated.
                async with asyncio.timeout(0.1):
                    while line := await reader.readline():
                        if line.startswith(b"Event: FullyBooted"):
                            return
            except (ConnectionError, TimeoutError):
                pass
            finally:
                writer.close()


def _link(link: Path, target: Path | None) -> None:
    if target is not None and target.exists() and not link.is_symlink():
        link.symlink_to(target)


@functools.cache
def _shorten_documentation(file: Path) -> str:
    """Return Asterisk's documentation without the help for applications, functions, actions and events.

    Only their names stay, because Asterisk warns about each one that it does not find.
    """
    text = file.read_text() if file.exists() else ""
    head = text.partition("<docs")[0]
    helped = re.findall(r"^\t?<(application|function|manager|agi) ([^>]*)>", text, re.MULTILINE)
    parts = [f"<{kind} {name}><synopsis/></{kind}>" for kind, name in helped]
    parts += re.findall(r"<configInfo\b.*?</configInfo>", text, re.DOTALL)
    return head + '<docs xmlns:xi="http://www.w3.org/2001/XInclude">\n' + "\n".join(parts) + "\n</docs>\n"
