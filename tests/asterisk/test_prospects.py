"""Callers hear their place in line and the estimated wait, where these are known."""

from datetime import UTC, datetime, timedelta
from typing import Any

from app.audio.library import SoundLibrary
from app.audio.prompt_texts import place_text, wait_text
from app.domain.estimated_wait import FEWEST
from app.services.prompts.input import PromptInput, PromptMode
from app.services.requests import registration
from app.services.requests.registration import Registration
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.phone import Call
from script.office.sound import RATE, find, read_ulaw
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ENDS, ERROR, NEXT, ONE_VERSION, Office
from tests.support.factories import create_past_requests

MINUTE = timedelta(minutes=1)


def prepare(bazang: Bazang) -> None:
    """A module with a past and a request in line, and one with too short a past."""
    quiet = dict.fromkeys(("before_success", "after_success"), PromptInput(PromptMode.NONE))
    tells: dict[str, Any] = {"automatic": False, "next": NEXT, "error": ERROR, "prompts": quiet, "tells_wait": True}
    past = bazang.module(**tells, tells_place=True)
    short = bazang.module(**tells, code="*5002")
    now = datetime.now(UTC)
    create_past_requests(bazang.database, past, 2 * FEWEST, 11 * MINUTE, now)
    create_past_requests(bazang.database, short, FEWEST, 11 * MINUTE, now)
    registration.register(bazang.database, Registration(past, "+989120000001"), now)


async def call(office: Office, code: str) -> Call:
    """Call a module, and choose one's own number."""
    caller = await office.call_in(code)
    await office.wait_for_prompt(caller, "intro")
    await caller.press("1")
    return caller


@ONE_VERSION
async def test_caller_hears_the_place_and_the_wait(open_office: OpenOffice) -> None:
    """After the registration, and when they call again."""
    async with open_office(prepare, ENDS, phones=("101",)) as office:
        first = await call(office, "*5001")
        await office.wait_for_text(first, place_text(1, "en"))
        await office.wait_for_text(first, wait_text(10, "en"))
        await first.hang_up()
        again = await office.call_in("*5001")
        await office.wait_for_prompt(again, "has_open")
        await office.wait_for_text(again, place_text(1, "en"))
        await office.wait_for_text(again, wait_text(10, "en"))
        await office.wait_for_prompt(again, "open_choice")
        await again.hang_up()


@ONE_VERSION
async def test_nothing_is_said_from_too_few(open_office: OpenOffice) -> None:
    async with open_office(prepare, ENDS, phones=("101",)) as office:
        caller = await call(office, "*5002")
        await office.bazang.until(lambda: caller.rtp.keys_heard == "1", PATIENCE, "the next destination")
        await caller.hang_up()
        library = SoundLibrary(office.bazang.settings.prompts_path)
        for minutes in (5, 10):
            clip = library.synthesize(wait_text(minutes, "en"), "en")
            assert find(bytes(caller.rtp.received), read_ulaw(clip.path)[: RATE // 2]).share < 0.8
