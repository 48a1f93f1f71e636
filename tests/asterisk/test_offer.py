"""Callers who wait in a queue are offered a call, keep their place if they take it, and wait on if they do not."""

from typing import Any

from app.audio.prompt_texts import default_text, fill_in, spoken_key
from app.domain.policy import ReasonCode
from app.services.modules.offers import find_offer
from app.services.pbx.module_destinations import load_offers
from script.office.asterisk import OfficeSetup, QueueSetup
from script.office.bazang import Bazang
from script.office.freepbx import Queue
from script.office.patience import PATIENCE
from script.office.phone import Call
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ENDS, ERROR, NEXT, ONE_VERSION, OWN, OWN_E164, Office
from tests.asterisk.test_devices import waits_because
from tests.asterisk.test_doctor import connected, examine_dialplan
from tests.asterisk.test_freepbx import PROFILE, SUPPORT, freepbx
from tests.asterisk.test_freepbx import prepare as freepbx_modules
from tests.asterisk.test_place_in_line import OTHER, waiting

KEY = "4"


def offer_text(key: str = KEY) -> str:
    return fill_in(default_text("offer", "en"), "", spoken_key(key, "en"))


def one_member() -> OfficeSetup:
    return OfficeSetup(queues=[QueueSetup("800", {"101": 0}, extra="retry=1")], extra_dialplan=ENDS.extra_dialplan)


def prepare(bazang: Bazang, key: str = KEY, **fields: Any) -> None:
    """Store a module that is offered in its queue, with the lines of queues.conf that the panel shows for that."""
    bazang.module(target_kind="queue", targets=("800",), offer_key=key, next=NEXT, error=ERROR, **fields)
    bazang.queue("800", max_wait=600)
    with bazang.database.read() as session:
        offer = find_offer(session, bazang.settings, "800")
    assert offer is not None
    lines = [line.replace("frequency=60", "frequency=1") for line in offer.lines]
    bazang.setup.queues[0].extra += "\n" + "\n".join(lines)


async def join(office: Office, caller: str, count: int) -> Call:
    """Let a caller come to the queue. Return the call when so many wait there."""
    call = await office.trunk.call("800", caller=caller)
    await office.bazang.until(lambda: waiting(office) == count, PATIENCE, f"{count} callers wait in the queue")
    return call


async def test_caller_who_takes_the_offer_keeps_the_place(open_office: OpenOffice) -> None:
    async with open_office(prepare, one_member()) as office:
        talk = await office.occupy("101")
        caller = await join(office, OWN, 1)
        await office.wait_for_text(caller, offer_text())
        later = office.add_request(OTHER, target="800")
        await caller.press(KEY)
        await office.wait_for_prompt(caller, "intro")
        await caller.press("1")
        request = await office.bazang.request("waiting", index=1)
        await office.bazang.until(lambda: caller.rtp.keys_heard == "1", PATIENCE, "the next destination")
        await caller.hang_up()
        await office.bazang.until(lambda: offers(office) == {"800": "*5001"}, PATIENCE, "queues.conf is read")
        assert request.number == OWN_E164
        assert request.first_called_at < office.get_request(later).first_called_at
        await waits_because(
            office, request.id, ReasonCode.LINE_IN_CALL
        )  # and no more because the caller is on the line
        await talk.end()
        await office.connect_customer(await office.answer_agent("101"), request.id)
        await check_doctor(office)


async def check_doctor(office: Office) -> None:
    """The doctor reads the file, also if Asterisk has not."""
    file = office.bazang.asterisk.folder / "etc/queues.conf"
    async with connected(office) as client:
        assert await examine_dialplan(office, client) == []
        file.write_text(file.read_text().replace("context=bazang-offer-1", ""))
        (finding,) = await examine_dialplan(office, client)
    assert "no key leads them there" in finding.text
    assert finding.fix.startswith("In queues.conf, [800]: `context=bazang-offer-1`, `periodic-announce=/")


@ONE_VERSION
async def test_caller_who_does_not_take_the_offer_stays_in_line(open_office: OpenOffice) -> None:
    async with open_office(prepare, one_member()) as office:
        talk = await office.occupy("101")
        silent = await join(office, OWN, 1)
        other = await join(office, OTHER, 2)
        await office.wait_for_text(silent, offer_text())
        await silent.press("5")  # no key of the offer
        await other.press(KEY)
        await office.wait_for_prompt(other, "intro")
        await talk.end()
        served = await office.phones["101"].next_call()
        await served.answer()
        await office.check_audio_both_ways(served, silent)
        assert office.bazang.requests() == []


async def test_caller_without_a_request_comes_back_to_the_place(open_office: OpenOffice) -> None:
    async with open_office(prepare, one_member()) as office:
        talk = await office.occupy("101")
        first = await join(office, OWN, 1)
        second = await join(office, OTHER, 2)
        await first.press(KEY)
        await office.wait_for_prompt(first, "intro")
        await office.bazang.until(lambda: waiting(office) == 1, PATIENCE, "one caller has left the queue")
        await first.press("0")
        await office.bazang.until(lambda: waiting(office) == 2, PATIENCE, "the caller is back")
        await talk.end()
        served = await office.phones["101"].next_call()
        await served.answer()
        await office.check_audio_both_ways(served, first)
        await office.bazang.until(lambda: waiting(office) == 1, PATIENCE, "one caller waits in the queue")
        assert not second.ended.is_set()


async def test_caller_of_freepbx_keeps_the_place(open_office: OpenOffice, asterisk_version: int) -> None:
    """The key is that of an IVR, the break-out menu of the queue."""
    queue = Queue("800", ("101",), max_wait=600, break_out={"7": "from-internal,102,1", "#": SUPPORT})
    setup = freepbx(asterisk_version, queues=(queue,)).setup()

    def offered(bazang: Bazang) -> None:
        freepbx_modules(bazang, offer_key="#")

    async with open_office(offered, setup, phones=("101",), **PROFILE) as office:
        await office.bazang.until(lambda: offers(office) == {"800": "*5002"}, PATIENCE, "the break-out menu is read")
        await office.occupy("101")
        caller = await office.trunk.call("02188880800", caller=OWN)
        await office.bazang.until(lambda: waiting(office) == 1, PATIENCE, "the caller waits in the queue")
        later = office.add_request(OTHER, module=2, target="800")
        await caller.press("#")
        await office.wait_for_prompt(caller, "intro")
        await caller.press("1")
        request = await office.bazang.request("waiting", index=1)
        assert (request.number, request.queue, request.target) == (OWN_E164, True, "800")
        assert request.first_called_at < office.get_request(later).first_called_at


def offers(office: Office) -> dict[str, str] | None:
    with office.bazang.database.read() as session:
        return load_offers(session)


@ONE_VERSION
async def test_offer_comes_at_once_when_others_wait(open_office: OpenOffice) -> None:
    def offer_at_once(bazang: Bazang) -> None:
        prepare(bazang, offer_callers=1)

    async with open_office(offer_at_once, one_member()) as office:
        await office.occupy("101")
        await join(office, OTHER, 1)
        caller = await office.call_in("800")
        await office.wait_for_text(caller, offer_text())
        assert waiting(office) == 1
        await caller.press(KEY)
        await office.wait_for_prompt(caller, "intro")
        await caller.press("0")
        await office.bazang.until(lambda: waiting(office) == 2, PATIENCE, "the caller waits in the queue")


@ONE_VERSION
async def test_offer_comes_at_once_when_too_many_wait_for_each_agent(open_office: OpenOffice) -> None:
    """One member is in a call, one paused, one paused and logged out: one caller is one for each agent. In the other
    queue nobody is logged in, so nobody needs to wait before the caller.
    """
    setup = OfficeSetup(
        queues=[QueueSetup("800", {"101": 0, "102": 0, "103": 0}), QueueSetup("801", {"103": 0})],
        extra_dialplan=ENDS.extra_dialplan,
    )

    def offer_at_once(bazang: Bazang) -> None:
        prepare(bazang, "*", offer_callers_per_agent=1)
        bazang.module(
            code="*5002", target_kind="queue", targets=("801",), offer_key="#", offer_callers_per_agent=9, error=ERROR
        )
        bazang.queue("801")

    async with open_office(offer_at_once, setup) as office:
        await office.occupy("101")
        for member in ("102", "103"):
            await office.bazang.asterisk.cli(f"queue pause member PJSIP/{member} queue 800")
        await join(office, OTHER, 1)
        assert "[s@bazang-first-offer-1:1]" not in office.bazang.asterisk.log_file.read_text(), "nobody waited before"
        caller, nobody = await office.call_in("800"), await office.call_in("801")
        await office.wait_for_text(caller, offer_text("*"))
        await office.wait_for_text(nobody, offer_text("#"))
        assert waiting(office) == 1
        await caller.press("*")
        await nobody.press("#")
        await office.wait_for_prompt(caller, "intro")
        await office.wait_for_prompt(nobody, "intro")
