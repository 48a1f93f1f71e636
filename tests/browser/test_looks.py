"""How the pages look: in both languages, wide and narrow, nothing is cut off, pale, nameless or too small to hit.

With BAZANG_SCREENSHOTS=<folder> each page is also saved as a picture, for a person to look at.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from flask import Flask
from playwright.sync_api import Page

from app.audio.cache import SoundLibrary
from app.config import Settings
from app.domain.policy import LineState
from app.services import acting, filling, pausing, users
from app.services.access import Scope
from app.services.acts import Note, Prioritise, Reassign, Seen
from app.store.database import Database
from app.store.models import (
    CallRequest,
    DigitRecording,
    ExtensionScenario,
    LogEntry,
    Prompt,
    QueueMemberRow,
    QueueRow,
    QueueScenario,
)
from app.store.settings import write_setting
from tests.audio.sounds import tone, write_sound
from tests.browser.axe import find_barriers
from tests.browser.conftest import Meet
from tests.browser.panel import session_of
from tests.support.factories import (
    create_attempt,
    create_line,
    create_module,
    create_recording,
    create_request,
    create_running_service,
    store,
)

WITHIN = """(parts) => parts.map((part) => {
  const own = part.getBoundingClientRect(), step = part.closest("li").getBoundingClientRect();
  return own.top >= step.top - 1 && own.bottom <= step.bottom + 1;
})"""
LOOK = (Path(__file__).parent / "looks.js").read_text()
WIDTHS = (375, 1200)
Visit = Callable[[Page], None]


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """Where pictures are saved, if they are wanted. Asked before a test forgets the environment."""
    wanted = os.environ.get("BAZANG_SCREENSHOTS")
    if not wanted:
        return None
    Path(wanted).mkdir(parents=True, exist_ok=True)
    return Path(wanted)


def try_in_vain(database: Database, request: CallRequest, now: datetime) -> None:
    """Give a request a past: agents who missed it, a customer who was busy, and people who did something with it."""
    outcomes = (("agent_no_answer", ""), ("agent_refused", ""), ("customer_busy", "17 User busy"))
    for number, (outcome, cause) in enumerate(outcomes):
        start = now - timedelta(minutes=60 - 10 * number)
        values: dict[str, datetime] = {"started_at": start, "ended_at": start + timedelta(seconds=40)}
        if cause:
            values |= {"answered_at": start + timedelta(seconds=6), "dialled_at": start + timedelta(seconds=9)}
        create_attempt(database, request, agent="103", outcome=outcome, cause=cause, manual=bool(cause), **values)
    for action in (Prioritise(1), Reassign(False, "103"), Note("ترکی صحبت می‌کند؛ بعد از ساعت ۴ تماس بگیرید.")):
        with database.read() as session:
            version = session.get_one(CallRequest, request.id).version
        acting.act(database, Scope("مینا", everything=True), action, [Seen(request.id, version)], now)


# What somebody did: action, subject, fields.
LOGGED: list[tuple[str, str, dict[str, Any]]] = [
    (
        "module_saved",
        "فروش (*5001)",
        {"rest": [10, 25], "prompt_intro": ["", "سلام، همکاران ما پاسخگو نیستند."], "silent": [False, True]},
    ),
    (
        "module_saved",
        "Support (*5002)",
        {name: ["", 30] for name in ("rest", "retries", "min_wait", "agent_ring", "customer_ring")},
    ),
    ("user_changed", "omid", {"role": ["operator", "supervisor"], "extensions": [["101"], ["101", "102"]]}),
    ("calls_paused", "", {"reason": ["", "جلسه هفتگی"]}),
    ("request_reassigned", "#3 09121234567", {"target": ["101", "queue:800"]}),
    ("settings_saved", "", {"ami_secret": ["***", "***"], "locale": ["fa", "en"]}),
]


@pytest.fixture
def furnished(database: Database, settings: Settings) -> None:
    """An office in which something of every kind goes on."""
    now = datetime.now(UTC)
    create_running_service(database)
    with database.write() as session:
        write_setting(session, "outbound_context", "from-internal")
    people = {"101": "سارا محمدی", "102": "Omid Rahimi", "103": "", "104": "زهرا", "105": "Reza", "106": "انبار"}
    for (number, name), line in zip(people.items(), LineState, strict=True):
        create_line(database, number, name=name, state=line.value, since=now - timedelta(minutes=7))
    sales = create_module(database, name="فروش", code="*5001", targets=["101", "102", "103"], language="fa")
    support = create_module(
        database,
        name="Support for customers abroad (evenings)",
        code="*5002",
        target_kind="queue",
        targets=["800"],
        language="en",
        next_kind="module",
        next_code="*5001",
        error_kind="custom",
        error_code="from-internal,s,1",
    )
    create_module(database, name="شب و روزهای تعطیل", code="*5003", active=False, silent=True, automatic=False)
    store(database, Prompt(module_id=1, key="is", mode="none"))
    for letter, name, origin, seconds, loudness in (
        ("a", "خوشامدگویی", "phone", 12.4, -20.3),
        ("b", "Opening hours in the holidays, spoken by Sara", "upload", 75.2, -33.0),
        ("c", "digit one", "browser", 0.8, -41.0),
    ):
        file = f"uploads/{letter * 64}.wav"
        create_recording(
            database, file, name=name, origin=origin, seconds=seconds, loudness=loudness, created_by="sara",
            created_at=now - timedelta(hours=3),
        )  # fmt: skip
        if letter != "c":  # the third is lost
            SoundLibrary(settings.prompts_path)
            write_sound(settings.prompts_path / file, tone(1))
    store(database, Prompt(module_id=1, key="intro", mode="file", file=f"uploads/{'a' * 64}.wav"))
    store(database, Prompt(module_id=1, key="after_success", mode="file", file=f"uploads/{'c' * 64}.wav"))
    store(database, DigitRecording(language="fa", digit="1", file=f"uploads/{'a' * 64}.wav"))
    store(database, QueueRow(name="800", live_callers=2))
    store(database, QueueMemberRow(queue="800", extension="101"))
    store(database, QueueMemberRow(queue="800", extension="102", paused=True))
    store(database, QueueScenario(queue="800", failed_kind="module", failed_code="*5002"))
    ways = {"no_answer_kind": "module", "no_answer_code": "*5001", "busy_kind": "custom", "busy_code": "ivr-night,s,1"}
    store(database, ExtensionScenario(extension="101", **ways))
    for action, subject, detail in LOGGED:
        store(database, LogEntry(at=now, actor="sara", action=action, subject=subject, detail=detail))
    soon = now + timedelta(minutes=4)
    waiting = [
        (sales, {"target": "103", "caller_name": "مریم کاظمی", "customer_attempts": 1, "agent_misses": 2}),
        (sales, {"target": "101", "number": "+982188881234"}),
        (sales, {"target": "", "number": "+989120000009", "caller_name": "A caller with a rather long name"}),
        (sales, {"target": "104", "number": "102", "status": "uncertain"}),
        (support, {"target": "800", "queue": True, "number": "+989350000001"}),
        (sales, {"target": "102", "number": "+989350000002", "last_outcome": "customer_busy", "not_before": soon}),
        (sales, {"status": "dialling", "step": "claimed", "attempt": "a", "target": "101", "number": "+989350000003"}),
        (sales, {"status": "connected", "step": "connected", "attempt": "b", "number": "+989350000004"}),
        (sales, {"status": "done", "done_at": now, "last_outcome": "connected", "number": "+989350000005"}),
        (sales, {"status": "failed", "done_at": now, "last_outcome": "customer_no_answer", "number": "+989350000006"}),
        (sales, {"status": "cancelled", "done_at": now, "number": "+989350000007"}),
        (sales, {"status": "expired", "done_at": now, "number": "+989350000008"}),
    ]
    for minutes, (module, values) in enumerate(waiting):
        moment = now - timedelta(minutes=7 * (20 - minutes))
        request = create_request(database, module, **({"first_called_at": moment, "registered_at": moment} | values))
        if minutes == 0:
            try_in_vain(database, request, now)
        if "attempt" in values:
            create_attempt(database, request, id=values["attempt"], agent="101" if values["attempt"] == "a" else "102")


def go(path: str) -> Visit:
    def visit(page: Page) -> None:
        page.goto(path)

    return visit


def fail_to_save(page: Page) -> None:
    page.goto("/modules/new")
    page.locator("#rest").fill("ten")
    page.locator("#next_kind").select_option("custom")
    page.locator("#next_code").fill("ivr")
    page.locator("[data-prompt=intro] input[value=file]").check()
    page.locator(".form-end button").click()
    page.locator(".alert-danger").wait_for()


def unfold(page: Page) -> None:
    page.goto("/modules/1")
    page.locator("details summary").click()
    page.locator("#next_kind").select_option("module")
    page.locator("#next_code").fill("*5003")
    page.locator("#next-said .said").wait_for()


def fail_to_save_a_scenario(page: Page) -> None:
    page.goto("/extensions/101")
    page.locator("#ring").fill("400")
    page.locator("#busy_kind").select_option("module")
    page.locator("#busy_code").fill("*5009")
    page.locator(".form-end button").click()
    page.locator(".alert-danger").wait_for()


def record(page: Page) -> None:
    """The cards as one sees them who has chosen a recording, and who is about to record."""
    page.goto("/modules/1")
    page.locator("[data-prompt=enter_number] input[value=record]").check()
    page.locator("[data-prompt=wrong_number] input[value=file]").check()
    page.locator("[data-prompt=enter_number] [data-ring]").click()


def choose_from_the_library(page: Page) -> None:
    page.goto("/modules/1")
    page.locator("[data-prompt=intro] [data-shelf-open]").click()
    page.locator(".shelf-list").wait_for()


def replace_a_digit(page: Page) -> None:
    page.goto("/recordings/digits/fa")
    page.locator("#digit-1 summary").click()


def fail_to_upload(page: Page) -> None:
    page.goto("/recordings")
    page.locator("#upload").set_input_files({"name": "letter.wav", "mimeType": "audio/wav", "buffer": b"no sound"})
    page.locator("[data-fault]:not([hidden])").wait_for()


def fail_to_call(page: Page) -> None:
    page.goto("/requests")
    page.locator("#request-1 .btn-primary").click()
    page.locator("#message .alert").wait_for()


def open_menu(page: Page) -> None:
    page.goto("/requests")
    page.locator("#request-1 [popovertarget]").click()
    page.locator("#menu-1 .menu-entry").first.wait_for()


def choose_rows(page: Page) -> None:
    page.goto("/requests")
    page.locator("#choose-1").check()
    page.locator("#choose-2").check()


def ask_in_dialog(page: Page) -> None:
    choose_rows(page)
    page.locator("#chosen button").nth(1).click()
    page.locator("#dialog #act").wait_for()


def fail_to_add_a_user(page: Page) -> None:
    page.goto("/users/new")
    page.locator("#extensions").fill("10a")
    page.locator("#password").fill("short")
    page.locator(".form-end button").click()
    page.locator(".alert-danger").wait_for()


def reset_a_password(page: Page) -> None:
    page.goto("/users/2/password")
    page.locator("main form .btn-primary").click()
    page.locator("[data-copy]").wait_for()


def fail_to_deactivate(page: Page) -> None:
    page.goto("/users/1/deactivate")
    page.locator("main form .btn-danger").click()
    page.locator(".alert-danger").wait_for()


def fail_to_change_a_password(page: Page) -> None:
    page.goto("/account")
    page.locator("#password").fill("short")
    page.locator("form[action$=password] button").click()
    page.locator(".alert-danger").wait_for()


def unfold_the_log(page: Page) -> None:
    page.goto("/log")
    page.evaluate("document.querySelectorAll('.log details').forEach((part) => { part.open = true; })")


PAGES: dict[str, Visit] = {
    "overview": go("/overview"),
    "wallboard": go("/wallboard"),
    "wallboard-light": go("/wallboard?colours=light"),
    "users": go("/users"),
    "user-new": go("/users/new"),
    "user-errors": fail_to_add_a_user,
    "user": go("/users/2"),
    "user-password": go("/users/2/password"),
    "user-password-shown": reset_a_password,
    "user-deactivate": go("/users/2/deactivate"),
    "user-last-administrator": fail_to_deactivate,
    "account": go("/account"),
    "account-errors": fail_to_change_a_password,
    "log": unfold_the_log,
    "log-empty": go("/log?subject=nothing"),
    "log-errors": go("/log?since=x&until=2026-13-01"),
    "requests": go("/requests"),
    "requests-unanswered": fail_to_call,
    "requests-menu": open_menu,
    "requests-chosen": choose_rows,
    "requests-dialog": ask_in_dialog,
    "requests-filtered": go("/requests?status=connected&target=extension:105"),
    "request": go("/requests/1"),
    "request-new": go("/requests/new"),
    "request-done": go("/requests/9"),
    "act-postpone": go("/requests/acts/postpone?row=1.1&row=2.1"),
    "act-reassign": go("/requests/acts/reassign?row=1.1"),
    "act-call": go("/requests/acts/call?row=1.1"),
    "act-cancel": go("/requests/acts/cancel?row=1.1"),
    "act-nothing": go("/requests/acts/done"),
    "pause": go("/calls/pause"),
    "mine": go("/mine?period=month"),
    "modules": go("/modules"),
    "module-new": go("/modules/new"),
    "module-edit": go("/modules/2"),
    "module-errors": fail_to_save,
    "module-delete": go("/modules/3/delete"),
    "module-in-use": go("/modules/1/delete"),
    "modules-nothing-found": go("/modules?q=nothing"),
    "module-unfolded": unfold,
    "module-recordings": record,
    "module-shelf": choose_from_the_library,
    "recordings": go("/recordings"),
    "recordings-fault": fail_to_upload,
    "recordings-none-found": go("/recordings?q=nothing"),
    "recording": go(f"/recordings/{'a' * 64}"),
    "recording-in-use": go(f"/recordings/{'a' * 64}/delete"),
    "recording-delete": go(f"/recordings/{'b' * 64}/delete"),
    "digits": go("/recordings/digits/fa"),
    "digits-replace": replace_a_digit,
    "extensions": go("/extensions"),
    "extension": go("/extensions/101"),
    "extension-unknown": go("/extensions/190"),
    "extension-errors": fail_to_save_a_scenario,
    "extension-delete": go("/extensions/101/delete"),
    "queues": go("/queues"),
    "queue": go("/queues/800"),
    "queue-delete": go("/queues/800/delete"),
    "settings": go("/settings"),
    "not-found": go("/nothing"),
    "report": go("/report"),
    "report-empty": go("/report?registered_from=2001-01-01&registered_to=2001-01-31"),
    "report-errors": go("/report?registered_from=x&registered_to=2026-13-01&done_from=9&target=x&status=x"),
    "report-charts-empty": go("/report/charts?registered_from=2001-01-01&registered_to=2001-01-31"),
}


def open_calendar(page: Page) -> None:
    page.goto("/report?period=month&status=done")
    page.locator("[data-picks=registered_from]").click()
    page.locator(".calendar [tabindex='0']").wait_for()


def open_charts(page: Page) -> None:
    page.goto("/report/charts")
    for canvas in page.locator("canvas[data-table]").all():
        page.wait_for_function("(canvas) => 'drawn' in canvas.dataset", arg=canvas.element_handle())


def open_tables(page: Page) -> None:
    open_charts(page)
    page.evaluate("document.querySelectorAll('.chart details').forEach((part) => { part.open = true; })")


# What needs an office with many requests.
FILLED: dict[str, Visit] = {
    "report-filled": go("/report?period=all&page=3&sort=done"),
    "report-search": go("/report?period=all&operator=101&status=done&status=failed"),
    "report-calendar": open_calendar,
    "report-charts": open_charts,
    "report-tables": open_tables,
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("locale", "colours"), [("fa", "light"), ("fa", "dark"), ("en", "light"), ("en", "dark")])
def test_every_page_can_be_read(
    app: Flask,
    database: Database,
    furnished: None,
    meet: Meet,
    pictures: Path | None,
    locale: str,
    colours: Literal["light", "dark"],
    width: int,
) -> None:
    users.set_locale(database, 1, locale)
    person = meet(viewport={"width": width, "height": 800}, color_scheme=colours)
    page = person.take(session_of(app, 1, locale))
    found = {name: _look(page, visit, pictures, f"{name}-{locale}-{width}-{colours}") for name, visit in PAGES.items()}
    person.complaints[:] = [c for c in person.complaints if "404" not in c and "422" not in c]
    assert not any(found.values()), _told(found)


OF_OTHERS: dict[int, dict[str, Visit]] = {
    2: {
        "operator-requests": go("/requests"),
        "operator-mine": go("/mine?period=week"),
        "operator-mine-range": go("/mine?period=range&from=x&to=2026-01-01"),
        "operator-request": go("/requests/2"),
        "operator-act": go("/requests/acts/call?row=2.1"),
        "operator-refused": go("/calls/pause"),
    },
    4: {"supervisor-requests": go("/requests"), "supervisor-mine": go("/mine")},
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("colours", ["light", "dark"])
@pytest.mark.parametrize("locale", ["fa", "en"])
def test_what_others_see_while_calls_are_paused_can_be_read(
    app: Flask,
    database: Database,
    furnished: None,
    meet: Meet,
    pictures: Path | None,
    locale: str,
    colours: Literal["light", "dark"],
    width: int,
) -> None:
    everybody = Scope("mina", everything=True)
    pausing.pause(database, everybody, "جلسه تا ساعت ۱۱", datetime.now(UTC) - timedelta(minutes=20))
    found = {}
    for user, pages in OF_OTHERS.items():
        users.set_locale(database, user, locale)
        person = meet(viewport={"width": width, "height": 800}, color_scheme=colours)
        page = person.take(session_of(app, user, locale))
        for name, visit in pages.items():
            found[name] = _look(page, visit, pictures, f"{name}-{locale}-{width}-{colours}")
        person.complaints[:] = [c for c in person.complaints if "403" not in c]
    assert not any(found.values()), _told(found)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("locale", ["fa", "en"])
def test_what_is_told_of_a_freepbx_can_be_read(
    app: Flask, database: Database, furnished: None, meet: Meet, pictures: Path | None, locale: str, width: int
) -> None:
    users.set_locale(database, 1, locale)
    with database.write() as session:
        write_setting(session, "pbx_profile", "freepbx")
    page = meet(viewport={"width": width, "height": 800}).take(session_of(app, 1, locale))
    found = {
        path: _look(page, go(path), pictures, f"freepbx{path.replace('/', '-')}-{locale}-{width}")
        for path in ("/extensions/101", "/queues/800", "/extensions", "/queues", "/modules")
    }
    assert not any(found.values()), _told(found)
    page.goto("/extensions/101")
    ways = page.locator(".walk li b")
    assert ways.count() and all(ways.evaluate_all(WITHIN)), "the way through the menus stands in its step"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("locale", "colours"), [("fa", "light"), ("fa", "dark"), ("en", "light")])
def test_a_filled_office_can_be_read(
    app: Flask,
    database: Database,
    settings: Settings,
    furnished: None,
    meet: Meet,
    pictures: Path | None,
    locale: str,
    colours: Literal["light", "dark"],
    width: int,
) -> None:
    filling.fill(database, settings, 700, datetime.now(UTC))
    users.set_locale(database, 1, locale)
    page = meet(viewport={"width": width, "height": 800}, color_scheme=colours).take(session_of(app, 1, locale))
    found = {name: _look(page, visit, pictures, f"{name}-{locale}-{width}-{colours}") for name, visit in FILLED.items()}
    assert not any(found.values()), _told(found)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("locale", ["fa", "en"])
def test_an_empty_office_can_be_read(
    app: Flask, database: Database, meet: Meet, pictures: Path | None, locale: str, width: int
) -> None:
    users.set_locale(database, 1, locale)
    person = meet(viewport={"width": width, "height": 800})
    page = person.page
    page.goto("/login")
    if page.locator("html").get_attribute("lang") != locale:
        page.locator("button[name=locale]").click()
    found = {"login": _look(page, go("/login"), pictures, f"login-{locale}-{width}")}
    person.take(session_of(app, 1, locale))
    daily = ("overview", "wallboard", "requests", "mine", "report")
    for name in (*daily, "modules", "recordings", "extensions", "queues"):
        found[name] = _look(page, go(f"/{name}"), pictures, f"{name}-empty-{locale}-{width}")
    assert not any(found.values()), _told(found)


@pytest.mark.parametrize("locale", ["fa", "en"])
def test_nothing_scrolls_sideways_at_any_width(app: Flask, furnished: None, meet: Meet, locale: str) -> None:
    page = meet().take(session_of(app, 1, locale))
    found = {}
    daily = ("/overview", "/wallboard", "/requests", "/requests/1", "/mine?period=month", "/report", "/report/charts")
    set_up = ("/modules", "/modules/1", "/recordings", "/recordings/digits/fa", "/extensions", "/users/new", "/log")
    for path in (*daily, *set_up):
        page.goto(path)
        for width in (320, 600, 720, 721, 800, 900, 1000, 1099, 1100, 1920):
            page.set_viewport_size({"width": width, "height": 800})
            found[f"{path} {width}"] = page.evaluate(LOOK)
    assert not any(found.values()), _told(found)


@pytest.mark.parametrize(("width", "what"), [(1200, ".side"), (1200, ".shell > .bar"), (375, ".shell > .bar")])
def test_the_menu_stays_in_view_at_the_end_of_a_long_page(
    app: Flask, furnished: None, meet: Meet, width: int, what: str
) -> None:
    page = meet(viewport={"width": width, "height": 800}).take(session_of(app, 1, "en"))
    page.goto("/modules/1")
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    box = page.locator(what).bounding_box()
    assert box is not None and box["y"] >= 0 and box["y"] + box["height"] <= 800, box
    end = "document.body.getBoundingClientRect().bottom"
    assert page.evaluate(end) >= 799, "the frame ends before the page"


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1280, 720)])
@pytest.mark.parametrize("locale", ["fa", "en"])
def test_the_board_fits_a_television_and_is_read_from_afar(
    app: Flask,
    database: Database,
    furnished: None,
    meet: Meet,
    pictures: Path | None,
    locale: str,
    width: int,
    height: int,
) -> None:
    for number in range(110, 125):
        create_line(database, str(number), name=f"داخلی {number}", state=list(LineState)[number % 6].value)
    create_module(database, targets=[str(number) for number in range(104, 125)])
    for queue in ("801", "802", "803", "804"):
        store(database, QueueRow(name=queue, live_callers=3))
    write_pause(database)
    users.set_locale(database, 1, locale)
    page = meet(viewport={"width": width, "height": height}).take(session_of(app, 1, locale))
    found = _look(page, go("/wallboard"), pictures, f"wallboard-{locale}-{width}x{height}")
    assert found == []
    assert page.evaluate("document.documentElement.scrollHeight") <= height, "nobody scrolls a television"
    sizes = "[...document.querySelectorAll(choice)].map((e) => parseFloat(getComputedStyle(e).fontSize))"
    size = f"(choice) => Math.min(...{sizes})"
    assert page.evaluate(size, ".figure-value") >= 0.05 * width
    assert page.evaluate(size, ".board-who, .board-state") >= 0.017 * width
    told = ".figures dt, .figure-about, .board-since, .board-waits, .board-count, .board-more, .board-day, .health li"
    assert page.evaluate(size, told) >= 0.013 * width
    page.evaluate("document.getElementById('stale').hidden = false")
    found = _look(page, lambda _: None, pictures, f"wallboard-stale-{locale}-{width}x{height}")
    assert not [fault for fault in found if "answer" in fault or "sideways" in fault]
    assert page.evaluate(size, "#stale") >= 0.028 * width


def write_pause(database: Database) -> None:
    with database.write() as session:
        pausing.write(session, pausing.Pause("sara", datetime.now(UTC)), "sara", datetime.now(UTC))


def _told(found: dict[str, list[str]]) -> str:
    return "\n".join(f"{name}: {fault}" for name, faults in found.items() for fault in faults)


def _look(page: Page, visit: Visit, pictures: Path | None, name: str) -> list[str]:
    visit(page)
    page.evaluate("document.fonts.ready")
    found: list[str] = page.evaluate(LOOK)
    if not page.evaluate("document.documentElement.dataset.bsTheme === 'dark'"):  # colours apart, both are one page
        found += find_barriers(page)
    if pictures is not None:
        page.screenshot(path=pictures / f"{name}.png", full_page=True)
    return found


def test_the_fault_that_is_looked_for_is_found(meet: Meet) -> None:
    page = meet().page
    page.goto("/login")
    page.evaluate(
        """() => {
          const main = document.querySelector("main");
          main.insertAdjacentHTML("beforeend", "<p id='pale'>pale</p><button></button><p id='wide'>wide</p>");
          document.getElementById("pale").style.color = "#999";
          document.getElementById("wide").style.width = "300vw";
        }"""
    )
    found = " | ".join(page.evaluate(LOOK))
    assert "contrast 2.5" in found and "without a name: <button>" in found and "scrolls sideways" in found


def test_the_barrier_that_is_looked_for_is_found(meet: Meet) -> None:
    page = meet().page
    page.goto("/login")
    assert find_barriers(page) == []
    page.evaluate("document.querySelector('label').remove()")
    assert [found.split(":")[0] for found in find_barriers(page)] == ["axe label"]


def test_the_language_is_seen_in_the_direction(app: Flask, meet: Meet) -> None:
    page = meet().page
    page.goto("/login")
    persian = page.locator("#name").evaluate("(field) => getComputedStyle(field).direction")
    button = page.locator("button[name=locale]")
    assert button.bounding_box()["x"] < 200, "the end of a line is on the left"
    button.click()
    assert page.locator("button[name=locale]").bounding_box()["x"] > 800
    assert persian in ("rtl", "ltr")


def test_the_letters_are_our_own(meet: Meet) -> None:
    page = meet().page
    page.goto("/login")
    page.evaluate("document.fonts.ready")
    assert page.evaluate("[...document.fonts].some((font) => font.family === 'Vazirmatn' && font.status === 'loaded')")
