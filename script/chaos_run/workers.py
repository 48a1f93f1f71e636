"""The workers of a run: one, or two of which the second stands by (PostgreSQL).

Each is reached by Asterisk at an address of its own, as on two machines. A worker that ends by itself, because another
one leads by now, is started again, as the service manager does.
"""

import asyncio
import resource
import signal
import socket
from contextlib import suppress
from datetime import UTC, datetime

from app.server.process import Process, kill, spawn, terminate
from script.office.bazang import WORKER_COMMAND, Bazang
from script.office.patience import PATIENCE
from script.office.warm_worker import start_worker

ADDRESSES = ("127.0.0.1", "127.0.0.2")
CONNECT_SECONDS = 0.5
LOOK_SECONDS = 0.2


class Machine:
    """A machine with a worker."""

    def __init__(self, bazang: Bazang, address: str) -> None:
        self._bazang, self.address = bazang, address
        self.process: Process | None = None

    def launch(self) -> None:
        """Start the worker without waiting for it."""
        bazang, log = self._bazang, self._bazang.folder / f"worker-{self.address}.log"
        environment = bazang.process_environment() | {"BAZANG_AGI_BIND": self.address}
        if bazang.wall_clock is None:
            self.process = start_worker(log, environment, bazang.folder)
        else:  # a library is preloaded only at a start
            self.process = spawn(WORKER_COMMAND, log, environment=environment, folder=bazang.folder)

    async def stop(self, *, hard: bool) -> None:
        """Kill the worker, or terminate it."""
        process, self.process = self.process, None
        if process is not None:
            await (asyncio.to_thread(kill, process) if hard else asyncio.to_thread(terminate, process, 10))

    async def stand_still(self, seconds: float) -> None:
        """Stop the worker with SIGSTOP for that long. Its connections stay open."""
        process = self.process
        if process is not None:
            process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            process.send_signal(signal.SIGCONT)

    async def fill_disk(self, seconds: float, size: int) -> None:
        """Let the worker write nothing behind the first `size` bytes of a file for that long."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            _, hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, hard))
            await asyncio.sleep(seconds)
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (hard, hard))

    def answers(self) -> bool:
        """Tell whether it takes calls of Asterisk. Only the worker that leads does."""
        address = (self.address, self._bazang.settings.agi_port)
        with suppress(OSError), socket.create_connection(address, CONNECT_SECONDS):
            return True
        return False


class Workers:
    """The machines with workers."""

    def __init__(self, bazang: Bazang, *, standby: bool) -> None:
        self._bazang = bazang
        self._machines = [Machine(bazang, address) for address in (ADDRESSES if standby else ADDRESSES[:1])]

    async def start(self) -> None:
        """Start the workers, and wait until the first one is connected and Asterisk runs its dialplan."""
        clock = self._bazang.wall_clock
        began = clock.now() if clock is not None else datetime.now(UTC)
        self._machines[0].launch()
        await self._bazang.until(lambda: self._bazang.worker_runs(began), PATIENCE, "the worker is ready")
        for machine in self._machines[1:]:
            machine.launch()

    async def leader(self) -> Machine:
        """Return the machine whose worker leads, the first one if none does at the moment."""
        if len(self._machines) > 1:
            for machine in self._machines:
                if await asyncio.to_thread(machine.answers):
                    return machine
        return self._machines[0]

    @property
    def pid(self) -> int | None:
        """The process id of the first worker, None if it does not run."""
        process = self._machines[0].process
        return process.pid if process is not None else None

    async def keep_running(self) -> None:
        """Start workers that have ended by themselves again, for ever."""
        while True:
            for machine in self._machines:
                if machine.process is not None and machine.process.poll() is not None:
                    machine.launch()
            await asyncio.sleep(LOOK_SECONDS)

    async def stop(self) -> None:
        for machine in self._machines:
            await machine.stop(hard=False)
