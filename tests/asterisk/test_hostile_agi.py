"""Callers while strangers attack the FastAGI server."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from script.office.patience import PATIENCE
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ENDS, ONE_VERSION, Office
from tests.asterisk.test_dialogue import prepare

CONNECTIONS = 1000
CALLS = 6


@asynccontextmanager
async def attacked(port: int) -> AsyncIterator[None]:
    """Keep hostile connections open to a port of this machine. They come from the same address as Asterisk's."""
    script = Path(__file__).with_name("hostile.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), str(port), str(CONNECTIONS), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), PATIENCE) == b"open\n"
        yield
    finally:
        process.kill()
        await process.wait()


async def hear_prompt(office: Office) -> float:
    """Call a module. Return the seconds from the call to the beginning of its first prompt."""
    began = office.bazang.now()
    call = await office.call_in("*5001")
    await office.wait_for_prompt(call, "intro")
    took = office.bazang.elapsed(began)
    await call.hang_up()
    return took


@ONE_VERSION
async def test_callers_hear_the_prompt_as_soon_as_usual_while_strangers_attack(open_office: OpenOffice) -> None:
    async with open_office(prepare, ENDS, phones=()) as office:
        usual = [await hear_prompt(office) for _ in range(3)]
        async with attacked(office.bazang.settings.agi_port):
            during = [await hear_prompt(office) for _ in range(CALLS)]
        assert max(during) <= 2 * max(usual), (usual, during)
        refusals = [line for line in office.bazang.worker_log().splitlines() if "FastAGI" in line]
        assert 0 < len(refusals) <= 3, "one line of each kind in a minute"
