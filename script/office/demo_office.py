"""The office of demo and bench: phones, a queue, modules, and customers behind a trunk.

Three profiles: a plain Asterisk, whose scenarios are ours, and FreePBX and Issabel, which have their own.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.domain.routing import Context, Destination, Situation
from app.services.pbx.config_snippets import location
from script.office.asterisk import OfficeSetup, QueueSetup
from script.office.bazang import Bazang
from script.office.freepbx import Extension, FollowMe, Freepbx, Product, Queue, RingGroup, Trunk
from script.office.phone import Call, Phone

PLAIN = "asterisk"
QUEUE, MEMBERS = "800", ("102", "103")
PHONES = ("101", *MEMBERS)
PROFILES = (PLAIN, *Product)
VERSIONS = {PLAIN: 22, Product.FREEPBX: 22, Product.ISSABEL: 16}
SALES, SUPPORT, GROUP_SALES = "*5001", "*5002", "*5003"

# FreePBX: what each extension is there for, the numbers from outside, and the caller IDs of its calls to customers
BUSY, SILENT, OFF = "101", "102", "103"
FREEPBX_MEMBERS, GROUP, GROUP_MEMBER, FOLLOWED = ("104", "105"), "600", "106", "107"
TRUNK_CID, FORCED_CID, EXTENSION_CID, MODULE_CID = "02188880000", "02188880009", "02188880001", "02188880003"


def phones_of(profile: str) -> tuple[str, ...]:
    """Return the extensions of the office."""
    return PHONES if profile == PLAIN else (BUSY, SILENT, OFF, *FREEPBX_MEMBERS, GROUP_MEMBER, FOLLOWED)


def did(number: str) -> str:
    """Return the number from outside that leads to an extension, a queue or a ring group of the FreePBX office."""
    return f"02188880{number}"


def remove_bazang_environment() -> None:
    """Remove the settings of a real office from the environment of this process."""
    for name in [name for name in os.environ if name.startswith("BAZANG_")]:
        del os.environ[name]
    os.environ["FLASK_SKIP_DOTENV"] = "1"


def build_office(
    folder: Path,
    secrets: Mapping[str, str],
    *,
    profile: str = PLAIN,
    sip_port: int = 0,
    ami_port: int = 0,
    prompts: Path | None = None,
    **environment: str,
) -> Bazang:
    """Return an office without starting it. `environment`: additional settings without the prefix BAZANG_.

    `secrets`: passwords of the phones by extension.
    """
    given: dict[str, str | None] = dict(environment)
    if profile == PLAIN:
        setup = OfficeSetup(queues=[QueueSetup(QUEUE, dict.fromkeys(MEMBERS, 0))])
    else:
        setup = make_freepbx(Product(profile)).setup()
        given |= {"PBX_PROFILE": "freepbx", "OUTBOUND_CONTEXT": None}
    setup.phones, setup.sip_port, setup.ami_port = dict(secrets), sip_port, ami_port
    folder.mkdir(parents=True, exist_ok=True)
    return Bazang(VERSIONS[profile], folder, setup, prompts=prompts, **given)  # type: ignore[arg-type]


def make_freepbx(product: Product) -> Freepbx:
    """Return an office with everything that can lead to a module: extensions, a queue, a ring group, a follow-me."""
    sales, support, group_sales = (location(Context.MODULES, code) for code in (SALES, SUPPORT, GROUP_SALES))
    own = {BUSY: EXTENSION_CID}
    numbers = phones_of(product)
    return Freepbx(
        product,
        [Extension(number, sales, sales, sales, outbound_cid=own.get(number, "")) for number in numbers],
        [Queue(QUEUE, FREEPBX_MEMBERS, support)],
        [RingGroup(GROUP, (GROUP_MEMBER,), group_sales)],
        [FollowMe(FOLLOWED, (FOLLOWED, "09120001107"))],
        {did(number): f"from-did-direct,{number},1" for number in numbers}
        | {did(QUEUE): f"ext-queues,{QUEUE},1", did(GROUP): f"ext-group,{GROUP},1"},
        (Trunk(TRUNK_CID), Trunk(forced_caller_id=FORCED_CID, prefix="2")),
    )


def configure_office(bazang: Bazang, *, max_wait: int, profile: str = PLAIN, **fields: Any) -> None:
    """Store the modules and the scenarios that use them. `fields`: values of all modules.

    `max_wait`: seconds that a caller waits in the queue.
    """
    if profile != PLAIN:
        extensions = phones_of(profile)
        bazang.module(name="Sales", code=SALES, targets=extensions, **fields)
        bazang.module(name="Support", code=SUPPORT, target_kind="queue", targets=(QUEUE,), **fields)
        bazang.module(name="Group", code=GROUP_SALES, targets=(GROUP_MEMBER,), caller_id=MODULE_CID, **fields)
        return
    bazang.module(name="Sales", code=SALES, target_kind="extension", targets=("101",), **fields)
    bazang.module(name="Support", code=SUPPORT, target_kind="queue", targets=(QUEUE,), **fields)
    bazang.scenario("101", **dict.fromkeys(Situation, Destination("module", SALES)))  # type: ignore[arg-type]
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
