"""Workflows in the panel with a real PBX: the pages show what callers, agents and two supervisors do.

One supervisor uses English and the other Persian, so each workflow is checked in both languages.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from jinja2 import BytecodeCache
from persiantools.jdatetime import JalaliDateTime
from playwright.sync_api import expect

from script.office.bazang import Bazang
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import MODULE, OWN
from tests.browser.conftest import OpenBrowser
from tests.browser.live_panel import CALL_BUTTON, LivePanel, Texts, UserPage, expect_rows, none_reloaded
from tests.browser.panel import PERSIAN, Loop, pick_date, row, serve

pytestmark = pytest.mark.asterisk(22)

OpenPanel = Callable[[Callable[[Bazang], object]], AbstractContextManager[LivePanel]]
TEHRAN = ZoneInfo("Asia/Tehran")
NO_CALL_SECONDS = 1.5  # how long a phone must not ring; one that may ring does so within 0.1 s


@pytest.fixture
def open_panel(
    open_office: OpenOffice, loop: Loop, open_browser: OpenBrowser, compiled_templates: BytecodeCache
) -> OpenPanel:
    """Open an office and serve its panel: `with open_panel(prepare) as panel`."""

    @contextmanager
    def opened(prepare: Callable[[Bazang], object]) -> Iterator[LivePanel]:
        with loop.enter(open_office(prepare)) as office:
            office.bazang.app.jinja_env.bytecode_cache = compiled_templates
            panel = LivePanel(office, loop, open_browser)
            with serve(office.bazang.app) as panel.address:
                yield panel

    return opened


WAITING: Texts = {"en": "waiting", "fa": "در انتظار"}
IN_CALL: Texts = {"en": "101 is in a call", "fa": "داخلی ۱۰۱ در حال مکالمه است"}
AGENT_RINGS: Texts = {"en": "the agent's phone rings (101)", "fa": "تلفن کارشناس زنگ می‌خورد (۱۰۱)"}
CUSTOMER_RINGS: Texts = {"en": "the customer's phone rings (101)", "fa": "تلفن مشتری زنگ می‌خورد (۱۰۱)"}
CONNECTED: Texts = {"en": "the call is in progress (101)", "fa": "در حال گفتگو (۱۰۱)"}
CALL_TOOK_PLACE: Texts = {"en": "the call took place", "fa": "گفتگو انجام شد"}
DONE: Texts = {"en": "done", "fa": "انجام‌شده"}
CANCELLED: Texts = {"en": "cancelled", "fa": "لغوشده"}
CALLED_AT_ONCE: Texts = {
    "en": "An urgent call does not wait for this",
    "fa": "تماس فوری منتظر این نمی‌ماند",
}
NOTE_SAVED: Texts = {"en": "The note was saved.", "fa": "یادداشت ثبت شد."}


def localized(text: object) -> Texts:
    """Return a number with the digits of each language."""
    return {"en": str(text), "fa": str(text).translate(PERSIAN)}


def connect_and_check_rows(panel: LivePanel, pages: tuple[UserPage, ...], request: int, number: str = OWN) -> None:
    """Answer as agent 101 and as customer. Check on these pages that the row of the request shows each step."""
    office = panel.office
    agent_call = panel.run(office.phones["101"].next_call())
    expect_rows(pages, request, AGENT_RINGS)
    assert office.calls_to(number) == [], "the customer is dialled after the agent has accepted"
    panel.run(office.answer_agent_call(agent_call))
    expect_rows(pages, request, CUSTOMER_RINGS)
    customer = panel.run(office.connect_customer(agent_call, request))
    expect_rows(pages, request, CONNECTED)
    panel.run(office.check_audio_both_ways(agent_call, customer))


# -- from the caller's call to the end of the connected call ----------------------------------------------------------


def test_pages_show_each_step_of_a_request(open_panel: OpenPanel) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module(rest=1)
        bazang.scenario("101", busy=MODULE)

    with open_panel(prepare) as panel:
        office = panel.office
        pending = panel.open_page("sara", "en"), panel.open_page("mina", "fa")
        board, overview = panel.open_page("sara", "en", "/wallboard"), panel.open_page("mina", "fa", "/overview")
        live = board, overview

        def expect_figure(name: str, value: int) -> None:
            for user_page in live:
                figure = user_page.page.locator(f"#figure-{name} .figure-value")
                expect(figure).to_have_text(localized(value)[user_page.locale])

        def expect_line(texts: Texts) -> None:
            for user_page in live:
                user_page.expect_text("#line-101", texts)

        expect_line({"en": "free", "fa": "آزاد"})
        busy_call = panel.run(office.occupy("101"))
        expect_line({"en": "in a call", "fa": "در حال مکالمه"})
        expect_figure("waiting", 0)

        panel.run(office.leave_request("101"))
        expect_rows(pending, 1, IN_CALL)
        expect_rows(pending, 1, localized(OWN))
        expect_figure("waiting", 1)

        panel.run(busy_call.end())
        agent_call = panel.run(office.phones["101"].next_call())
        expect_rows(pending, 1, AGENT_RINGS)
        expect_rows(pending, 1, {"en": "dialling", "fa": "در حال تماس"})
        expect_line({"en": "ringing", "fa": "در حال زنگ"})
        overview.expect_text("#line-101", {"fa": "در حال رسیدگی به درخواست"})
        expect_figure("waiting", 0)
        expect_figure("dialling", 1)
        assert office.calls_to(OWN) == []

        panel.run(office.answer_agent_call(agent_call))
        expect_rows(pending, 1, CUSTOMER_RINGS)
        customer = panel.run(office.connect_customer(agent_call, 1))
        expect_rows(pending, 1, CONNECTED)
        for user_page in live:
            user_page.expect_text("#figure-dialling", {"en": "1 of them talking", "fa": "۱ نفر در حال گفتگو"})
        panel.run(office.check_audio_both_ways(agent_call, customer))

        panel.run(agent_call.hang_up())
        expect_rows(pending, 1, DONE)
        for user_page in pending:
            expect(row(user_page.page).locator(".mark-reached")).to_have_count(1)
        expect_figure("dialling", 0)
        expect_figure("served", 1)
        expect_line({"en": "free", "fa": "آزاد"})
        assert none_reloaded((*pending, *live))


# -- call now ---------------------------------------------------------------------------------------------------------


def test_call_now_connects_the_customer_and_notes_are_saved(open_panel: OpenPanel) -> None:
    with open_panel(lambda bazang: bazang.module(automatic=False)) as panel:
        office = panel.office
        sara, mina = panel.open_page("sara", "en"), panel.open_page("mina", "fa")
        omid = panel.open_page("omid", "fa", "/mine", role="operator", extensions=("101",))
        reza = panel.open_page("reza", "en", "/mine", role="operator", extensions=("101",))
        not_automatic: Texts = {
            "en": "automatic calls are off; call by hand",
            "fa": "تماس خودکار خاموش است؛ دستی تماس بگیرید",
        }

        first = office.add_request()
        expect_rows((sara, mina, omid, reza), first, not_automatic)
        sara.call_now(first)
        sara.expect_message(CALLED_AT_ONCE)
        connect_and_check_rows(panel, (sara, mina, omid, reza), first)
        expect(row(sara.page, first).locator(CALL_BUTTON)).to_have_count(0)
        panel.run(office.hang_up_customer(OWN))
        expect_rows((sara, mina), first, CALL_TOOK_PLACE)
        mina.open_dialog(first, "note")
        mina.page.locator("#dialog textarea").fill("فروخته شد")
        mina.confirm()
        mina.expect_message(NOTE_SAVED)
        sara.expect_row(first, {"en": "فروخته شد"})

        for user_page, number, note in ((omid, "09350000001", "بار دوم"), (reza, "09350000002", "asks for a price")):
            request = office.add_request(number)
            user_page.expect_row(request, localized(number))
            user_page.call_now(request)
            user_page.expect_message(
                {"en": "101 rings first, then the customer.", "fa": "اول تلفن ۱۰۱ زنگ می‌خورد، سپس تلفن مشتری."}
            )
            connect_and_check_rows(panel, (user_page, sara), request, number)
            panel.run(office.hang_up_customer(number))
            ended = f"#ended-{request}"
            user_page.expect_text(ended, CALL_TOOK_PLACE)
            user_page.page.locator(f"{ended} [data-dialog]").click()
            user_page.page.locator("#dialog textarea").fill(note)
            user_page.confirm()
            user_page.expect_text(ended, {user_page.locale: note})
            sara.expect_row(request, {"en": note})

        assert none_reloaded((sara, mina, omid, reza))
        assert [(r.status, r.last_outcome, r.note) for r in panel.bazang.requests()] == [
            ("done", "connected", "فروخته شد"),
            ("done", "connected", "بار دوم"),
            ("done", "connected", "asks for a price"),
        ]
        assert [(a.request_id, a.agent, a.manual) for a in panel.bazang.attempts()] == [
            (request, "101", True) for request in (1, 2, 3)
        ]
        reza.page.locator("#ended-3 a").first.click()
        expect(reza.page.locator(".timeline .step-reached")).to_have_count(1)
        expect(reza.page.locator(".legs dd")).to_have_count(3)


# -- postpone and reassign --------------------------------------------------------------------------------------------


def postponed_until(moment: datetime) -> Texts:
    """Return the text in the row of a request that is postponed until `moment`."""
    here = moment.astimezone(TEHRAN)
    today = here.date() == datetime.now(TEHRAN).date()
    english = here.strftime("%H:%M" if today else "%Y-%m-%d %H:%M")
    persian = english if today else JalaliDateTime(here).strftime("%Y/%m/%d %H:%M")
    return {"en": f"postponed until {english}", "fa": f"به تعویق افتاده تا {persian.translate(PERSIAN)}"}


def test_postponed_request_rings_on_call_now_and_reassigned_request_rings_at_once(open_panel: OpenPanel) -> None:
    with open_panel(lambda bazang: bazang.module(targets=("101", "102"))) as panel:
        office = panel.office
        sara, mina = both = panel.open_page("sara", "en"), panel.open_page("mina", "fa")
        busy_call = panel.run(office.occupy("101"))
        requests = [office.add_request(f"0912000001{number}") for number in range(6)]
        expect_rows(both, requests[-1], IN_CALL)
        began = datetime.now(UTC)
        today = began.astimezone(TEHRAN).replace(hour=0, minute=0, second=0, microsecond=0)

        for user_page, request, choice in (
            (sara, requests[0], "15"),
            (mina, requests[1], "60"),
            (mina, requests[2], "tomorrow"),
        ):
            user_page.choose_in_menu(request, f"[formaction*='until={choice}']")
            user_page.expect_message({"en": "The request was postponed until", "fa": "به تعویق افتاد"})
            user_page.page.locator("#menu").wait_for(state="hidden")
        for user_page, request, days in ((sara, requests[3], 40), (mina, requests[4], 41)):
            user_page.open_dialog(request, "postpone")
            pick_date(user_page.page, "day", (today + timedelta(days=days)).date(), user_page.locale)
            user_page.page.locator("#dialog [name=at]").fill("10:15" if user_page is sara else "۱۰:۱۵")
            user_page.confirm()
            user_page.page.locator("#dialog").wait_for(state="hidden")
        expected = [
            began + timedelta(minutes=15),
            began + timedelta(minutes=60),
            today + timedelta(days=1, hours=8),
            today + timedelta(days=40, hours=10, minutes=15),
            today + timedelta(days=41, hours=10, minutes=15),
        ]
        for request, moment in zip(requests, expected, strict=False):
            stored = office.get_request(request).postponed_until
            assert stored is not None and timedelta(0) <= stored - moment < timedelta(minutes=1)
            expect_rows(both, request, postponed_until(stored))

        # The sixth request is not postponed and 102 is free, so 102 rings as soon as the request is reassigned.
        sara.open_dialog(requests[5], "reassign")
        sara.page.locator("#dialog select").select_option("extension:102")
        sara.confirm()
        agent_call = panel.run(office.phones["102"].next_call(5))
        rings: Texts = {"en": "the agent's phone rings (102)", "fa": "تلفن کارشناس زنگ می‌خورد (۱۰۲)"}
        expect_rows(both, requests[5], rings)
        panel.run(office.answer_agent_call(agent_call))
        panel.run(office.connect_customer(agent_call, requests[5]))
        expect_rows(both, requests[5], {"en": "extension 102", "fa": "داخلی ۱۰۲"})
        panel.run(agent_call.hang_up())
        expect_rows(both, requests[5], DONE)

        panel.run(busy_call.end())
        panel.run(panel.bazang.until(lambda: office.line_state("101") == "free", 10, "101 is free"))
        panel.run(office.expect_no_call("101", NO_CALL_SECONDS))
        for request in requests[:5]:
            expect_rows(both, request, postponed_until(office.get_request(request).postponed_until or began))

        mina.call_now(requests[2])
        mina.expect_message(CALLED_AT_ONCE)
        connect_and_check_rows(panel, both, requests[2], "09120000012")
        panel.run(office.hang_up_customer("09120000012"))
        expect_rows(both, requests[2], DONE)
        statuses = [office.get_request(request).status for request in requests]
        assert statuses == ["waiting", "waiting", "done", "waiting", "waiting", "done"]
        assert len(panel.calls_to_phone("101")) == len(panel.calls_to_phone("102")) == 1
        assert none_reloaded(both)


# -- two people act on one request ------------------------------------------------------------------------------------


def test_one_of_two_simultaneous_actions_succeeds_and_the_other_person_sees_why(open_panel: OpenPanel) -> None:
    with open_panel(lambda bazang: bazang.module(automatic=False)) as panel:
        office = panel.office
        sara, mina = both = panel.open_page("sara", "en"), panel.open_page("mina", "fa")
        rung = 0

        called = office.add_request("09120000021")
        expect_rows(both, called, WAITING)
        panel.act_at_once(called, (sara, "call"), (mina, "call"))
        connect_and_check_rows(panel, both, called, "09120000021")
        panel.run(office.hang_up_customer("09120000021"))
        expect_rows(both, called, CALL_TOOK_PLACE)
        rung += 1

        for number, one, other, first in (
            ("09120000022", (sara, "call"), (mina, "cancel"), "call"),
            ("09120000023", (sara, "cancel"), (mina, "call"), ""),
        ):
            contested = office.add_request(number)
            expect_rows(both, contested, WAITING)
            act = panel.act_at_once(contested, one, other, first=first)
            if act == "call":  # the other person sees that the phone rings, and cancels again
                rung += 1
                agent_call = panel.run(office.phones["101"].next_call())
                expect_rows(both, contested, AGENT_RINGS)
                canceller = sara if one[1] == "cancel" else mina
                canceller.open_dialog(contested, "cancel")
                canceller.confirm()
                canceller.expect_message({"en": "The request was cancelled.", "fa": "درخواست لغو شد."})
                panel.run(agent_call.wait_ended(5))
            expect_rows(both, contested, CANCELLED)
            assert office.get_request(contested).status == "cancelled"
            assert office.calls_to(number) == []

        ringing = office.add_request("09120000024")
        expect_rows(both, ringing, WAITING)
        sara.call_now(ringing)
        rung += 1
        agent_call = panel.run(office.phones["101"].next_call())
        expect_rows(both, ringing, AGENT_RINGS)
        act = panel.act_at_once(ringing, (sara, "done"), (mina, "cancel"))
        panel.run(agent_call.wait_ended(5))
        expect_rows(both, ringing, DONE if act == "done" else CANCELLED)
        assert office.get_request(ringing).status == ("done" if act == "done" else "cancelled")

        for number, one, other, first in (
            ("09120000025", (sara, "reassign"), (mina, "done"), "reassign"),
            ("09120000026", (sara, "done"), (mina, "reassign"), ""),
        ):
            moved = office.add_request(number)
            expect_rows(both, moved, WAITING)
            act = panel.act_at_once(moved, one, other, first=first)
            expect_rows(both, moved, DONE if act == "done" else {"en": "extension 102", "fa": "داخلی ۱۰۲"})
            stored = office.get_request(moved)
            assert (stored.status, stored.target) == (("done", "101") if act == "done" else ("waiting", "102"))

        assert (len(panel.calls_to_phone("101")), len(panel.calls_to_phone("102"))) == (rung, 0)
        assert [call.dialled for call in office.calls_to("")] == ["09120000021"]
        assert len(panel.bazang.attempts()) == rung
        assert none_reloaded(both)


# -- pause all automatic calls ----------------------------------------------------------------------------------------


def test_pause_stops_automatic_calls_until_another_supervisor_resumes_them(open_panel: OpenPanel) -> None:
    with open_panel(lambda bazang: bazang.module()) as panel:
        office = panel.office
        sara, mina = both = panel.open_page("sara", "en"), panel.open_page("mina", "fa")
        board = panel.open_page("mina", "fa", "/wallboard")
        busy_call = panel.run(office.occupy("101"))
        request = office.add_request()
        expect_rows(both, request, IN_CALL)

        sara.page.locator("a[href*='/calls/pause']").click()
        sara.page.locator("#dialog [name=reason]").fill("a meeting")
        sara.confirm()
        sara.expect_message({"en": "All automatic calls are paused."})
        mina.expect_text("#paused", {"fa": "sara، همین حالا."})
        mina.expect_text("#paused", {"fa": "a meeting"})
        sara.expect_text("#paused", {"en": "sara, just now."})
        board.expect_text(".board-word", {"fa": "همه تماس‌های خودکار متوقف شده‌اند."})
        expect_rows(both, request, {"en": "automatic calls are paused", "fa": "تماس‌های خودکار متوقف شده‌اند"})

        panel.run(busy_call.end())
        panel.run(panel.bazang.until(lambda: office.line_state("101") == "free", 10, "101 is free"))
        panel.run(office.expect_no_call("101", NO_CALL_SECONDS))

        mina.page.locator("#paused button").click()
        mina.expect_message({"fa": "تماس‌های خودکار از سر گرفته شدند."})
        connect_and_check_rows(panel, both, request)
        for user_page in both:
            expect(user_page.page.locator("#paused")).to_have_count(0)
        expect(board.page.locator(".board-word")).to_have_count(0)
        panel.run(office.hang_up_customer(OWN))
        expect_rows(both, request, DONE)
        assert none_reloaded((*both, board))
