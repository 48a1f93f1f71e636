"""The commands of script/demo for people without a softphone, and the language in which it speaks."""

import asyncio

import pytest

from script.office.agent import hang_up, play_agent
from script.office.bazang import Bazang
from script.office.demo import introduction, machine_language
from script.office.demo_office import PLAIN
from script.office.demo_state import State
from script.office.patience import PATIENCE
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
