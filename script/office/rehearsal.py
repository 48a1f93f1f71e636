"""One request from the call to the talk, with the worker in this process."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from app.worker.main import Worker
from script.office.asterisk import NoAsterisk, find_build
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.phone import Call

VERSIONS = (22, 16)
CUSTOMER = "09121234567"
KEY_INTERVAL = 0.3  # seconds


async def play(folder: Path, database: Path, prompts: Path) -> None:
    """Play on the newest Asterisk that this machine has, in `folder`. Do nothing without any.

    `database`: an SQLite file that the migrations built, to copy. Raises AssertionError if the request is not done.
    """
    version = next((version for version in VERSIONS if _has(version)), None)
    if version is None:
        return
    office = Bazang(version, folder, prompts=prompts, database=database)
    office.min_talk(0)
    office.module()
    await office.prepare_prompts()  # callers of a module that cannot speak yet are sent on
    async with office:
        trunk, phone = await office.asterisk.trunk(), await office.asterisk.phone("101")
        worker = Worker(office.settings, office.database)
        began = datetime.now(UTC)
        running = asyncio.create_task(worker.run())
        try:
            await office.until(lambda: running.done() or office.worker_runs(began), PATIENCE, "the worker is ready")
            caller = await trunk.call("*5001", caller=CUSTOMER)
            await caller.wait_answered()
            await _press_until(caller, lambda: bool(office.requests()))
            await caller.hang_up()
            agent = await phone.next_call()
            await agent.answer()
            answering = asyncio.create_task(trunk.next_call())
            await _press_until(agent, answering.done)
            customer = await answering
            await customer.answer()
            await office.request("connected")
            await customer.hang_up()
            await office.request("done")
        finally:
            worker.stop()
            await running


async def _press_until(call: Call, is_over: Callable[[], bool]) -> None:
    """Press 1 again and again, as long as the call lasts. A key before the prompt is lost."""
    async with asyncio.timeout(PATIENCE):
        while not is_over() and not call.ended.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(call.press("1"), KEY_INTERVAL)
            await asyncio.sleep(KEY_INTERVAL)


def _has(version: int) -> bool:
    try:
        find_build(version)
    except NoAsterisk:
        return False
    return True
