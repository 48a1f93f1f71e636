"""Whole journeys with a real exchange under them: what callers, agents and two supervisors do shows on every page.

One supervisor reads English and the other Persian, so each journey is seen in both. What is telephoned goes on in a
thread of its own; every wait is for something that happens.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from jinja2 import BytecodeCache
from persiantools.jdatetime import JalaliDateTime
from playwright.sync_api import expect

from app.domain.routing import Destination
from script.office.bazang import Bazang
from tests.asterisk.conftest import Stage
from tests.asterisk.scene import OWN
from tests.browser.conftest import Meet
from tests.browser.office import Desk, Office, Said, everybody_sees, nobody_loaded
from tests.browser.panel import PERSIAN, Loop, pick, row, serve

pytestmark = pytest.mark.asterisk(22)

OpenOffice = Callable[[Callable[[Bazang], object]], AbstractContextManager[Office]]
TEHRAN = ZoneInfo("Asia/Tehran")
SILENCE = 1.5  # seconds for which a phone is watched that must not ring; one that may ring does so within a tenth


@pytest.fixture
def open_office(stage: Stage, loop: Loop, meet: Meet, compiled_templates: BytecodeCache) -> OpenOffice:
    """Open an office with its panel: `with open_office(prepare) as office`."""

    @contextmanager
    def opened(prepare: Callable[[Bazang], object]) -> Iterator[Office]:
        with loop.within(stage(prepare)) as scene:
            scene.bazang.app.jinja_env.bytecode_cache = compiled_templates
            office = Office(scene, loop, meet)
            with serve(scene.bazang.app) as office.address:
                yield office

    return opened


WAITS: Said = {"en": "waiting", "fa": "در انتظار"}
IN_CALL: Said = {"en": "101 is in a call", "fa": "داخلی ۱۰۱ در حال مکالمه است"}
AGENT_RINGS: Said = {"en": "the agent's phone rings (101)", "fa": "تلفن کارشناس زنگ می‌خورد (۱۰۱)"}
CUSTOMER_RINGS: Said = {"en": "the customer's phone rings (101)", "fa": "تلفن مشتری زنگ می‌خورد (۱۰۱)"}
TALKING: Said = {"en": "the call is in progress (101)", "fa": "در حال گفتگو (۱۰۱)"}
TALKED: Said = {"en": "the call took place", "fa": "گفتگو انجام شد"}
DONE: Said = {"en": "done", "fa": "انجام‌شده"}
CANCELLED: Said = {"en": "cancelled", "fa": "لغوشده"}
AS_SOON_AS: Said = {
    "en": "The customer is called as soon as an agent is free.",
    "fa": "به محض آزاد شدن یک کارشناس، با مشتری تماس گرفته می‌شود.",
}
NOTE_KEPT: Said = {"en": "The note was saved.", "fa": "یادداشت ثبت شد."}


def numeral(text: object) -> Said:
    """Write a number as each language does."""
    return {"en": str(text), "fa": str(text).translate(PERSIAN)}


def follow_a_call(office: Office, desks: tuple[Desk, ...], request: int, number: str = OWN) -> None:
    """See a call through on these pages, from the ringing of 101 to the talk: the agent first, then the customer."""
    scene = office.scene
    ring = office.run(scene.phones["101"].next_call())
    everybody_sees(desks, request, AGENT_RINGS)
    assert scene.calls_to(number) == [], "nobody is dialled before the agent has answered and wants it"
    office.run(scene.accept(ring))
    everybody_sees(desks, request, CUSTOMER_RINGS)
    customer = office.run(scene.talk_to(ring, request))
    everybody_sees(desks, request, TALKING)
    office.run(scene.hear_each_other(ring, customer))


# -- from the caller's call to the end of the talk --------------------------------------------------------------------


def test_every_page_follows_a_caller_until_they_have_talked(open_office: OpenOffice) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module(rest=1)
        bazang.scenario("101", busy=Destination("module", "*5001"))

    with open_office(prepare) as office:
        scene = office.scene
        pending = office.sit_down("sara", "en"), office.sit_down("mina", "fa")
        board, overview = office.sit_down("sara", "en", "/wallboard"), office.sit_down("mina", "fa", "/overview")
        follow = board, overview

        def figure(name: str, value: int) -> None:
            for desk in follow:
                shown = desk.page.locator(f"#figure-{name} .figure-value")
                expect(shown).to_have_text(numeral(value)[desk.locale])

        def line(said: Said) -> None:
            for desk in follow:
                desk.shows("#line-101", said)

        line({"en": "free", "fa": "آزاد"})
        talk = office.run(scene.occupy("101"))
        line({"en": "in a call", "fa": "در حال مکالمه"})
        figure("waiting", 0)

        office.run(scene.register("101"))
        everybody_sees(pending, 1, IN_CALL)
        everybody_sees(pending, 1, numeral(OWN))
        figure("waiting", 1)

        office.run(talk.end())
        ring = office.run(scene.phones["101"].next_call())
        everybody_sees(pending, 1, AGENT_RINGS)
        everybody_sees(pending, 1, {"en": "dialling", "fa": "در حال تماس"})
        line({"en": "ringing", "fa": "در حال زنگ"})
        overview.shows("#line-101", {"fa": "در حال رسیدگی به درخواست"})
        figure("waiting", 0)
        figure("dialling", 1)
        assert scene.calls_to(OWN) == []

        office.run(scene.accept(ring))
        everybody_sees(pending, 1, CUSTOMER_RINGS)
        customer = office.run(scene.talk_to(ring, 1))
        everybody_sees(pending, 1, TALKING)
        for desk in follow:
            desk.shows("#figure-dialling", {"en": "1 of them talking", "fa": "۱ نفر در حال گفتگو"})
        office.run(scene.hear_each_other(ring, customer))

        office.run(ring.hang_up())
        everybody_sees(pending, 1, DONE)
        for desk in pending:
            expect(row(desk.page).locator(".mark-reached")).to_have_count(1)
        figure("dialling", 0)
        figure("served", 1)
        line({"en": "free", "fa": "آزاد"})
        assert nobody_loaded((*pending, *follow))


# -- called by a click ------------------------------------------------------------------------------------------------


def test_call_now_rings_the_agent_first_and_keeps_what_came_of_it(open_office: OpenOffice) -> None:
    with open_office(lambda bazang: bazang.module(automatic=False)) as office:
        scene = office.scene
        sara, mina = office.sit_down("sara", "en"), office.sit_down("mina", "fa")
        omid = office.sit_down("omid", "fa", "/mine", role="operator", extensions=("101",))
        reza = office.sit_down("reza", "en", "/mine", role="operator", extensions=("101",))
        by_hand: Said = {"en": "automatic calls are off; call by hand", "fa": "تماس خودکار خاموش است؛ دستی تماس بگیرید"}

        first = scene.wish()
        everybody_sees((sara, mina, omid, reza), first, by_hand)
        sara.call(first)
        sara.is_told(AS_SOON_AS)
        follow_a_call(office, (sara, mina, omid, reza), first)
        expect(row(sara.page, first).locator(".btn-primary")).to_have_count(0)
        office.run(scene.hang_up(OWN))
        everybody_sees((sara, mina), first, TALKED)
        mina.ask(first, "note")
        mina.page.locator("#dialog textarea").fill("فروخته شد")
        mina.confirm()
        mina.is_told(NOTE_KEPT)
        sara.sees(first, {"en": "فروخته شد"})

        for desk, number, note in ((omid, "09350000001", "بار دوم"), (reza, "09350000002", "asks for a price")):
            request = scene.wish(number)
            desk.sees(request, numeral(number))
            desk.call(request)
            desk.is_told(
                {"en": "101 rings first, then the customer.", "fa": "اول تلفن ۱۰۱ زنگ می‌خورد، سپس تلفن مشتری."}
            )
            follow_a_call(office, (desk, sara), request, number)
            office.run(scene.hang_up(number))
            ended = f"#ended-{request}"
            desk.shows(ended, TALKED)
            desk.page.locator(f"{ended} [data-dialog]").click()
            desk.page.locator("#dialog textarea").fill(note)
            desk.confirm()
            desk.shows(ended, {desk.locale: note})
            sara.sees(request, {"en": note})

        assert nobody_loaded((sara, mina, omid, reza))
        assert [(r.status, r.last_outcome, r.note) for r in office.bazang.requests()] == [
            ("done", "connected", "فروخته شد"),
            ("done", "connected", "بار دوم"),
            ("done", "connected", "asks for a price"),
        ]
        assert [(a.request_id, a.agent, a.manual) for a in office.bazang.attempts()] == [
            (request, "101", True) for request in (1, 2, 3)
        ]
        reza.page.locator("#ended-3 a").first.click()
        expect(reza.page.locator(".timeline .step-reached")).to_have_count(1)
        expect(reza.page.locator(".legs dd")).to_have_count(3)


# -- postponed, or given to somebody else -----------------------------------------------------------------------------


def postponed_until(moment: datetime) -> Said:
    """Say until when a request is postponed, as its row does."""
    here = moment.astimezone(TEHRAN)
    today = here.date() == datetime.now(TEHRAN).date()
    english = here.strftime("%H:%M" if today else "%Y-%m-%d %H:%M")
    persian = english if today else JalaliDateTime(here).strftime("%Y/%m/%d %H:%M")
    return {"en": f"postponed until {english}", "fa": f"به تعویق افتاده تا {persian.translate(PERSIAN)}"}


def test_what_is_postponed_rings_nobody_until_it_is_called_by_hand(open_office: OpenOffice) -> None:
    with open_office(lambda bazang: bazang.module(targets=("101", "102"))) as office:
        scene = office.scene
        sara, mina = both = office.sit_down("sara", "en"), office.sit_down("mina", "fa")
        talk = office.run(scene.occupy("101"))
        requests = [scene.wish(f"0912000001{number}") for number in range(6)]
        everybody_sees(both, requests[-1], IN_CALL)
        began = datetime.now(UTC)
        today = began.astimezone(TEHRAN).replace(hour=0, minute=0, second=0, microsecond=0)

        for desk, request, choice in (
            (sara, requests[0], "15"),
            (mina, requests[1], "60"),
            (mina, requests[2], "tomorrow"),
        ):
            desk.menu(request, f"[formaction*='until={choice}']")
            desk.is_told({"en": "The request was postponed.", "fa": "درخواست به تعویق افتاد."})
            desk.page.locator(f"#menu-{request}").wait_for(state="hidden")
        for desk, request, days in ((sara, requests[3], 40), (mina, requests[4], 41)):
            desk.ask(request, "postpone")
            pick(desk.page, "day", (today + timedelta(days=days)).date(), desk.locale)
            desk.page.locator("#dialog [name=at]").fill("10:15" if desk is sara else "۱۰:۱۵")
            desk.confirm()
            desk.page.locator("#dialog").wait_for(state="hidden")
        wanted = [
            began + timedelta(minutes=15),
            began + timedelta(minutes=60),
            today + timedelta(days=1, hours=8),
            today + timedelta(days=40, hours=10, minutes=15),
            today + timedelta(days=41, hours=10, minutes=15),
        ]
        for request, moment in zip(requests, wanted, strict=False):
            stored = scene.wished(request).postponed_until
            assert stored is not None and timedelta(0) <= stored - moment < timedelta(minutes=1)
            everybody_sees(both, request, postponed_until(stored))

        # The sixth is not postponed, and 102 is free: it is rung as soon as it is told that it is theirs.
        sara.ask(requests[5], "reassign")
        sara.page.locator("#dialog select").select_option("extension:102")
        sara.confirm()
        ring = office.run(scene.phones["102"].next_call(5))
        rings: Said = {"en": "the agent's phone rings (102)", "fa": "تلفن کارشناس زنگ می‌خورد (۱۰۲)"}
        everybody_sees(both, requests[5], rings)
        office.run(scene.accept(ring))
        office.run(scene.talk_to(ring, requests[5]))
        everybody_sees(both, requests[5], {"en": "extension 102", "fa": "داخلی ۱۰۲"})
        office.run(ring.hang_up())
        everybody_sees(both, requests[5], DONE)

        office.run(talk.end())
        office.run(office.bazang.until(lambda: scene.line("101") == "free", 10, "the line is known to be free"))
        office.run(scene.no_call("101", SILENCE))
        for request in requests[:5]:
            everybody_sees(both, request, postponed_until(scene.wished(request).postponed_until or began))

        mina.call(requests[2])
        mina.is_told(AS_SOON_AS)
        follow_a_call(office, both, requests[2], "09120000012")
        office.run(scene.hang_up("09120000012"))
        everybody_sees(both, requests[2], DONE)
        statuses = [scene.wished(request).status for request in requests]
        assert statuses == ["waiting", "waiting", "done", "waiting", "waiting", "done"]
        assert len(office.rings("101")) == len(office.rings("102")) == 1
        assert nobody_loaded(both)


# -- two people at one row --------------------------------------------------------------------------------------------


def test_of_two_in_the_same_moment_one_wins_and_the_other_is_told(open_office: OpenOffice) -> None:
    with open_office(lambda bazang: bazang.module(automatic=False)) as office:
        scene = office.scene
        sara, mina = both = office.sit_down("sara", "en"), office.sit_down("mina", "fa")
        rung = 0

        called = scene.wish("09120000021")
        everybody_sees(both, called, WAITS)
        office.at_once(called, (sara, "call"), (mina, "call"))
        follow_a_call(office, both, called, "09120000021")
        office.run(scene.hang_up("09120000021"))
        everybody_sees(both, called, TALKED)
        rung += 1

        for number, one, other, first in (
            ("09120000022", (sara, "call"), (mina, "cancel"), "call"),
            ("09120000023", (sara, "cancel"), (mina, "call"), ""),
        ):
            contested = scene.wish(number)
            everybody_sees(both, contested, WAITS)
            act = office.at_once(contested, one, other, first=first)
            if act == "call":  # who came too late sees it ring, and may cancel it now that they know
                rung += 1
                ring = office.run(scene.phones["101"].next_call())
                everybody_sees(both, contested, AGENT_RINGS)
                canceller = sara if one[1] == "cancel" else mina
                canceller.ask(contested, "cancel")
                canceller.confirm()
                canceller.is_told({"en": "The request was cancelled.", "fa": "درخواست لغو شد."})
                office.run(ring.wait_ended(5))
            everybody_sees(both, contested, CANCELLED)
            assert scene.wished(contested).status == "cancelled"
            assert scene.calls_to(number) == []

        ringing = scene.wish("09120000024")
        everybody_sees(both, ringing, WAITS)
        sara.call(ringing)
        rung += 1
        ring = office.run(scene.phones["101"].next_call())
        everybody_sees(both, ringing, AGENT_RINGS)
        act = office.at_once(ringing, (sara, "done"), (mina, "cancel"))
        office.run(ring.wait_ended(5))
        everybody_sees(both, ringing, DONE if act == "done" else CANCELLED)
        assert scene.wished(ringing).status == ("done" if act == "done" else "cancelled")

        for number, one, other, first in (
            ("09120000025", (sara, "reassign"), (mina, "done"), "reassign"),
            ("09120000026", (sara, "done"), (mina, "reassign"), ""),
        ):
            moved = scene.wish(number)
            everybody_sees(both, moved, WAITS)
            act = office.at_once(moved, one, other, first=first)
            everybody_sees(both, moved, DONE if act == "done" else {"en": "extension 102", "fa": "داخلی ۱۰۲"})
            stored = scene.wished(moved)
            assert (stored.status, stored.target) == (("done", "101") if act == "done" else ("waiting", "102"))

        assert (len(office.rings("101")), len(office.rings("102"))) == (rung, 0)
        assert [call.dialled for call in scene.calls_to("")] == ["09120000021"]
        assert len(office.bazang.attempts()) == rung
        assert nobody_loaded(both)


# -- all automatic calls are paused -----------------------------------------------------------------------------------


def test_a_pause_silences_the_phones_until_another_supervisor_lifts_it(open_office: OpenOffice) -> None:
    with open_office(lambda bazang: bazang.module()) as office:
        scene = office.scene
        sara, mina = both = office.sit_down("sara", "en"), office.sit_down("mina", "fa")
        board = office.sit_down("mina", "fa", "/wallboard")
        talk = office.run(scene.occupy("101"))
        request = scene.wish()
        everybody_sees(both, request, IN_CALL)

        sara.page.locator("a[href*='/calls/pause']").click()
        sara.page.locator("#dialog [name=reason]").fill("a meeting")
        sara.confirm()
        sara.is_told({"en": "All automatic calls are paused."})
        mina.shows("#paused", {"fa": "sara، همین حالا."})
        mina.shows("#paused", {"fa": "a meeting"})
        sara.shows("#paused", {"en": "sara, just now."})
        board.shows(".board-word", {"fa": "همه تماس‌های خودکار متوقف شده‌اند."})
        everybody_sees(both, request, {"en": "automatic calls are paused", "fa": "تماس‌های خودکار متوقف شده‌اند"})

        office.run(talk.end())
        office.run(office.bazang.until(lambda: scene.line("101") == "free", 10, "the line is known to be free"))
        office.run(scene.no_call("101", SILENCE))

        mina.page.locator("#paused button").click()
        mina.is_told({"fa": "تماس‌های خودکار از سر گرفته شدند."})
        follow_a_call(office, both, request)
        for desk in both:
            expect(desk.page.locator("#paused")).to_have_count(0)
        expect(board.page.locator(".board-word")).to_have_count(0)
        office.run(scene.hang_up(OWN))
        everybody_sees(both, request, DONE)
        assert nobody_loaded((*both, board))
