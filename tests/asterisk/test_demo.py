"""The commands of script/demo for people without a softphone, and the language in which it speaks."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen

import pytest

from app.server.panel import start_panel
from app.server.process import kill
from script.office import demo
from script.office.agent import hang_up, play_agent
from script.office.bazang import Bazang
from script.office.demo import introduction, machine_language, wait_until_started
from script.office.demo_office import PLAIN
from script.office.demo_state import State
from script.office.patience import PATIENCE
from script.office.ports import free_port
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import Office


def make_state(bazang: Bazang) -> State:
    asterisk = bazang.asterisk
    return State(
        "http://panel/", "admin", "pw", "127.0.0.1", asterisk.sip_port, {"101": "secret101"}, bazang.environment
    )


@pytest.mark.asterisk(22)
async def test_the_whole_way_without_a_softphone(open_office: OpenOffice, capfd: pytest.CaptureFixture[str]) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module(targets=("101",), language="en")

    async with open_office(prepare, phones=()) as office:
        state = make_state(office.bazang)
        assert await play_agent(state, "109") == 1, "there is no such phone"
        request = office.add_request()
        agent = asyncio.create_task(play_agent(state, "101"))
        customer = await office.next_customer_call()
        await customer.answer()
        await office.wait_for_status(request, "connected")
        assert await hang_up(state, "101") == 0
        await office.wait_for_status(request, "done")
        await customer.wait_ended()
        assert await hang_up(state, "101") == 1, "it is in no call any more"
        agent.cancel()
        await asyncio.gather(agent, return_exceptions=True)
        await wait_until_offline(office)
    printed = capfd.readouterr().out
    assert printed.index("hears agent_keys") < printed.index("presses 1") < printed.index("101 hangs up.")


async def wait_until_offline(office: Office) -> None:
    await office.bazang.until(lambda: office.line_state("101") == "offline" or None, PATIENCE, "101 has logged out")


@contextmanager
def open_panel(bazang: Bazang) -> Iterator[tuple[Popen[bytes], int]]:
    port = free_port()
    log = bazang.folder / "panel.log"
    panel = start_panel("127.0.0.1", port, bazang.process_environment(), bazang.folder, log)
    try:
        yield panel, port
    finally:
        kill(panel)


@pytest.mark.asterisk(22)
async def test_a_start_takes_as_long_as_it_needs_and_says_what_is_missing(
    open_office: OpenOffice, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "REMINDER_SECONDS", 0.05)
    printed = ""

    def read() -> str:
        nonlocal printed
        printed += capfd.readouterr().out
        return printed

    async with open_office(phones=(), work=False) as office:
        bazang = office.bazang
        with open_panel(bazang) as (panel, port):
            start = asyncio.create_task(wait_until_started(bazang, panel, port))
            await bazang.until(lambda: "Still waiting for the panel and the worker;" in read(), PATIENCE, "is told")
            bazang.freeze_worker()
            await bazang.until(lambda: "Still waiting for the worker;" in read() or start.done(), PATIENCE, "is told")
            assert not start.done()
            bazang.thaw_worker()
            async with asyncio.timeout(PATIENCE):
                await start


@pytest.mark.asterisk(22)
@pytest.mark.parametrize("ended", ["Asterisk", "the panel", "the worker"])
async def test_a_start_ends_with_the_process_that_ends(open_office: OpenOffice, ended: str) -> None:
    async with open_office(phones=(), work=False) as office:
        bazang = office.bazang
        with open_panel(bazang) as (panel, port):
            start = asyncio.create_task(wait_until_started(bazang, panel, port))
            await bazang.until(lambda: bazang._worker, PATIENCE, "the worker is launched")
            if ended == "Asterisk":
                await bazang.asterisk.kill()
            else:
                kill(panel if ended == "the panel" else bazang.worker)
            with pytest.raises(RuntimeError, match=f"{ended} ended during the start"):
                async with asyncio.timeout(PATIENCE):
                    await start


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({"LANG": "fa_IR.UTF-8"}, "fa"),
        ({"LANG": "fa"}, "fa"),
        ({"LANG": "fat_GH"}, "en"),
        ({"LANG": "fa_IR", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "en_US", "LC_MESSAGES": "fa_IR@x", "LC_ALL": ""}, "fa"),
        ({}, "en"),
    ],
)
def test_the_language_is_that_of_the_machine(environment: dict[str, str], language: str) -> None:
    assert machine_language(environment) == language


@pytest.mark.parametrize(("language", "other"), [("fa", "en"), ("en", "fa")])
def test_the_introduction_says_how_to_go_on(language: str, other: str) -> None:
    state = State("http://127.0.0.1:8000/", "admin", "pw", "127.0.0.1", 5060, {"101": "s3"}, {})
    text = introduction("22", language, PLAIN, state)
    for part in ("script/demo answer 101", "script/demo hang-up 101", f"--language {other}", state.panel, "s3"):
        assert part in text
