"""The office of demo and bench: three phones, a queue, two modules, and customers behind a trunk."""

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
    """Remove the settings of a real office from the environment of this process."""
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
    """Return an office without starting it. `environment`: additional settings without the prefix BAZANG_.

    `secrets`: passwords of the phones by extension.
    """
    setup = OfficeSetup(
        phones=dict(secrets),
        queues=[QueueSetup(QUEUE, dict.fromkeys(MEMBERS, 0))],
        sip_port=sip_port,
        ami_port=ami_port,
    )
    folder.mkdir(parents=True, exist_ok=True)
    return Bazang(VERSION, folder, setup, prompts=prompts, **environment)


def configure_office(bazang: Bazang, *, max_wait: int, **fields: Any) -> None:
    """Store two modules and the scenarios that use them. `fields`: values of both modules.

    `max_wait`: seconds that a caller waits in the queue.
    """
    bazang.module(name="Sales", code=SALES, target_kind="extension", targets=("101",), **fields)
    bazang.module(name="Support", code=SUPPORT, target_kind="queue", targets=(QUEUE,), **fields)
    bazang.scenario("101", **dict.fromkeys(Situation, Destination("module", SALES)))
    for extension in MEMBERS:
        bazang.scenario(extension)
    bazang.queue(QUEUE, max_wait=max_wait, failed=Destination("module", SUPPORT))


class Customers:
    """All customers behind the trunk. The dialled number tells them apart."""

    def __init__(self, trunk: Phone) -> None:
        self._trunk = trunk
        self._calls: defaultdict[str, asyncio.Queue[Call]] = defaultdict(asyncio.Queue)
        trunk.on_call = self._sort_by_number

    async def _sort_by_number(self, call: Call) -> None:
        self._calls[call.dialled].put_nowait(call)

    async def call(self, number: str, *, caller: str) -> Call:
        """Call the office as a customer."""
        return await self._trunk.call(number, caller=caller)

    async def wait_for_call(self, number: str, timeout: float = 15) -> Call:
        """Return the next ringing call to this number. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            return await self._calls[number].get()

    async def occupy(self, phone: Phone, number: str) -> Call:
        """Connect `phone` with a customer at this number. Return the call of `phone`."""
        call = await phone.call(number)
        await (await self.wait_for_call(number)).answer()
        await call.wait_answered()
        return call
