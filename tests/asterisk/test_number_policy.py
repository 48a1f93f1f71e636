"""A sample of the corpus of numbers by real calls: from the number, and typed; and before dialling."""

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

import pytest

from app.audio.prompt_texts import PROMPT_KEYS
from app.domain.number_policy import Rule, Source
from app.services.prompts.input import PromptInput, PromptMode
from app.store.settings import write_setting
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.phone import Call
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ENDS, ERROR, NEXT, ONE_VERSION, OWN, Office
from tests.support import number_corpus
from tests.support.number_corpus import Hostile, Ordinary, Place

T = TypeVar("T")
PLACES = (Place("IR", "021"), Place("GB", ""), Place("US", ""), Place("AU", ""), Place("DE", ""))
TYPED = PLACES[:2]  # where callers also type, which takes its time
SAMPLE = 60
TRIES = 3  # numbers that a caller may type in one call
# Modules: silent or not, and whether 101 is rung for their requests.
SILENT, TYPING, SILENT_BY_HAND, TYPING_BY_HAND = "*5001", "*5002", "*5003", "*5004"
HEARD = ("intro", "check_number")  # the other prompts are not played


def prepare(bazang: Bazang) -> None:
    ends = {"next": NEXT, "error": ERROR}
    unheard = {key: PromptInput(PromptMode.NONE) for key in PROMPT_KEYS if key not in HEARD}
    for code in (SILENT, SILENT_BY_HAND):
        bazang.module(name=code, code=code, silent=True, automatic=code == SILENT, **ends)
    for code in (TYPING, TYPING_BY_HAND):
        bazang.module(name=code, code=code, automatic=code == TYPING, prompts=unheard, **ends)
    with bazang.database.write() as session:
        write_setting(session, "number_open_limit", "0")
        write_setting(session, "number_hour_limit", "0")


def pick(entries: Sequence[T], count: int) -> list[T]:
    """Return so many entries from all parts of the list."""
    step = max(len(entries) / count, 1)
    return [entries[int(index * step)] for index in range(min(count, len(entries)))]


def hostile(place: Place) -> tuple[list[Hostile], list[Hostile]]:
    """Return the hostile numbers to call from, and those to type."""
    here = [
        entry
        for entry in number_corpus.hostile()
        if entry.place == place and entry.rule is not Rule.EXTENSION and entry.text != "101"  # an extension here
    ]
    callers = [entry for entry in here if re.fullmatch(r"\+?[0-9A-Z]{2,20}", entry.text)]
    typed = [entry for entry in here if entry.can_be_typed and len(entry.text) <= 14]
    return pick(callers, 10), pick(typed, 3 * TRIES) if place in TYPED else []


def ordinary(place: Place) -> tuple[list[Ordinary], list[Ordinary]]:
    here = [entry for entry in number_corpus.ordinary() if entry.place == place]
    callers = [entry for entry in here if re.fullmatch(r"\+?[0-9]+", entry.text)]
    typed = [entry for entry in here if entry.can_be_typed]
    return pick(callers, 3), pick(typed, 3) if place in TYPED else []


async def move_to(office: Office, place: Place) -> None:
    """Put the office into another country. The worker keeps the rules for a while, so it is started again."""
    await office.bazang.stop_worker()
    with office.bazang.database.write() as session:
        write_setting(session, "region", place.region)
        write_setting(session, "area_code", place.area_code)
    await office.bazang.start_worker()


async def wait_for_end(office: Office, call: Call, key: str) -> None:
    """Wait until a call reaches the destination with this key, and hang up."""
    await office.bazang.until(lambda: call.rtp.keys_heard, PATIENCE, "the caller reaches a destination")
    assert call.rtp.keys_heard == key, (call.from_header, office.bazang.describe())
    await call.hang_up()


async def call_from(office: Office, code: str, number: str, key: str) -> None:
    await wait_for_end(office, await office.trunk.call(code, caller=number), key)


async def type_hostile(office: Office, entries: Sequence[Hostile]) -> None:
    """Type as many numbers as a caller may."""
    call = await office.call_in(TYPING, anonymous=True)
    await office.wait_for_prompt(call, "intro_other")
    await call.press("2" + "".join(f"{entry.text}#" for entry in entries))
    await wait_for_end(office, call, "9")


async def type_ordinary(office: Office, number: str) -> None:
    call = await office.call_in(TYPING_BY_HAND, anonymous=True)
    await office.wait_for_prompt(call, "intro_other")
    await call.press(f"2{number}#")
    await office.wait_for_prompt(call, "check_number")
    await call.press("1")
    await wait_for_end(office, call, "1")


def refusals(log: str) -> Counter[tuple[str, str]]:
    """Return the ends of the refused numbers, which the log masks, with the rules."""
    found = re.findall(r"module \d+: number (\S+) refused: (\w+)", log)
    return Counter((number[-3:], rule) for number, rule in found)


@pytest.mark.long
@ONE_VERSION
async def test_sample_of_the_corpus(open_office: OpenOffice) -> None:
    tried, expected = 0, set()
    async with open_office(prepare, ENDS, phones=("101",)) as office:
        for place in PLACES:
            await move_to(office, place)
            began = len(office.bazang.worker_log())
            callers, typed = hostile(place)
            owned, entered = ordinary(place)
            await asyncio.gather(
                *(call_from(office, SILENT, entry.text, "9") for entry in callers),
                *(type_hostile(office, typed[start : start + TRIES]) for start in range(0, len(typed), TRIES)),
                *(call_from(office, SILENT_BY_HAND, entry.text, "1") for entry in owned),
                *(type_ordinary(office, entry.text) for entry in entered),
            )
            tried += len(callers) + len(typed)
            expected |= {(entry.number, Source.CALLER_ID.value) for entry in owned}
            expected |= {(entry.number, Source.TYPED.value) for entry in entered}
            found = refusals(office.bazang.worker_log()[began:])
            assert found == Counter((entry.text[-3:], entry.rule.value) for entry in callers + typed)
        assert tried >= SAMPLE
        assert {(row.number, row.number_source) for row in office.bazang.requests()} == expected
        assert office.phones["101"].invites == [] and office.calls_to("") == []


@ONE_VERSION
async def test_stored_number_that_may_not_be_called_is_not_dialled(open_office: OpenOffice) -> None:
    """A number that was allowed when it was registered, or that somebody has written into the database."""
    async with open_office(lambda bazang: bazang.module(), phones=("101",)) as office:
        hostile = [office.add_request(number) for number in ("+449061234567", "+881612345678", "+12129761234")]
        request = office.add_request(OWN)
        ring = await office.answer_agent("101")
        customer = await office.connect_customer(ring, request)
        await customer.hang_up()
        await office.wait_for_status(request, "done")
        await office.bazang.until(lambda: len(office.bazang.attempts()) == 1, PATIENCE, "one attempt")
        assert [attempt.request_id for attempt in office.bazang.attempts()] == [request]
        assert {office.get_request(number).status for number in hostile} == {"waiting"}
        assert {call.dialled for call in office.calls_to("")} == {OWN}
