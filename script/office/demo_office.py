"""The office that demo and bench play in: three phones, a queue, two modules, and customers behind a trunk."""

import asyncio
import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.domain.routing import Destination, Situation
from script.office.asterisk import OfficeSetup, QueueSetup
from script.office.bazang import Bazang
from script.office.phone import Call, Phone

VERSION = 22
PHONES = ("101", "102", "103")
QUEUE, MEMBERS = "800", ("102", "103")
SALES, SUPPORT = "*5001", "*5002"


def remove_bazang_environment() -> None:
    """Keep this process from the settings of a real office, which the environment may hold."""
    for name in [name for name in os.environ if name.startswith("BAZANG_")]:
        del os.environ[name]
    os.environ["FLASK_SKIP_DOTENV"] = "1"


def build_office(
    folder: Path,
    secrets: Mapping[str, str],
    *,
    sip_port: int = 0,
    ami_port: int = 0,
    prompts: Path | None = None,
    **environment: str,
) -> Bazang:
    """Return the office, not started. `secrets`: passwords of the phones; `environment`: settings, less BAZANG_."""
    setup = OfficeSetup(
        phones=dict(secrets),
        queues=[QueueSetup(QUEUE, dict.fromkeys(MEMBERS, 0))],
        sip_port=sip_port,
        ami_port=ami_port,
    )
    folder.mkdir(parents=True, exist_ok=True)
    return Bazang(VERSION, folder, setup, prompts=prompts, **environment)


def configure_office(bazang: Bazang, *, max_wait: int, **fields: Any) -> None:
    """Store the modules and what leads to them. `max_wait`: seconds in the queue; `fields`: of both modules."""
    bazang.module(name="Sales", code=SALES, target_kind="extension", targets=("101",), **fields)
    bazang.module(name="Support", code=SUPPORT, target_kind="queue", targets=(QUEUE,), **fields)
    bazang.scenario("101", **dict.fromkeys(Situation, Destination("module", SALES)))
    for extension in MEMBERS:
        bazang.scenario(extension)
    bazang.queue(QUEUE, max_wait=max_wait, failed=Destination("module", SUPPORT))


class Customers:
    """Everybody outside, behind the one trunk. Who is called is known by the number that was dialled."""

    def __init__(self, trunk: Phone) -> None:
        self._trunk = trunk
        self._rings: defaultdict[str, asyncio.Queue[Call]] = defaultdict(asyncio.Queue)
        trunk.behave = self._sort

    async def _sort(self, call: Call) -> None:
        self._rings[call.dialled].put_nowait(call)

    async def call(self, number: str, *, caller: str) -> Call:
        """Call in from outside."""
        return await self._trunk.call(number, caller=caller)

    async def called(self, number: str, timeout: float = 15) -> Call:
        """Return the next call for this number, which rings. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            return await self._rings[number].get()

    async def occupy(self, phone: Phone, number: str) -> Call:
        """Have somebody of the office call this number and talk; return the office's side of it."""
        inside = await phone.call(number)
        await (await self.called(number)).answer()
        await inside.wait_answered()
        return inside
