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

from app.config import Settings
from app.domain.policy import LineState
from app.services import filling, pausing, users
from app.store.database import Database
from app.store.models import ExtensionScenario, LogEntry, Prompt, QueueMemberRow, QueueRow, QueueScenario
from app.store.settings import write_setting
from tests.browser.axe import find_barriers
from tests.browser.conftest import Meet
from tests.browser.panel import session_of
from tests.support.factories import (
    create_attempt,
    create_line,
    create_module,
    create_request,
    create_running_service,
    store,
)

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
def furnished(database: Database) -> None:
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


def fail_to_call(page: Page) -> None:
    page.goto("/requests")
    page.locator("#request-1 .btn-primary").click()
    page.locator("#message .alert").wait_for()


def fail_to_add_a_user(page: Page) -> None:
    page.goto("/users/new")
    page.locator("#extensions").fill("10a")
    page.locator("#password").fill("short")
    page.locator(".form-end button").click()


def reset_a_password(page: Page) -> None:
    page.goto("/users/2/password")
    page.locator("main form .btn-primary").click()
    page.locator("[data-copy]").wait_for()


def fail_to_deactivate(page: Page) -> None:
    page.goto("/users/1/deactivate")
    page.locator("main form .btn-danger").click()


def fail_to_change_a_password(page: Page) -> None:
    page.goto("/account")
    page.locator("#password").fill("short")
    page.locator("form[action$=password] button").click()


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
    "modules": go("/modules"),
    "module-new": go("/modules/new"),
    "module-edit": go("/modules/2"),
    "module-errors": fail_to_save,
    "module-delete": go("/modules/3/delete"),
    "module-in-use": go("/modules/1/delete"),
    "extensions": go("/extensions"),
    "extension": go("/extensions/101"),
    "queues": go("/queues"),
    "queue": go("/queues/800"),
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
    for name in ("requests", "modules", "extensions", "queues", "report", "overview", "wallboard"):
        found[name] = _look(page, go(f"/{name}"), pictures, f"{name}-empty-{locale}-{width}")
    assert not any(found.values()), _told(found)


@pytest.mark.parametrize("locale", ["fa", "en"])
def test_nothing_scrolls_sideways_at_any_width(app: Flask, furnished: None, meet: Meet, locale: str) -> None:
    page = meet().take(session_of(app, 1, locale))
    found = {}
    for path in (
        "/requests",
        "/modules",
        "/extensions",
        "/report",
        "/report/charts",
        "/overview",
        "/wallboard",
        "/users/new",
        "/log",
    ):
        page.goto(path)
        for width in (320, 600, 720, 721, 800, 900, 1000, 1099, 1100, 1920):
            page.set_viewport_size({"width": width, "height": 800})
            found[f"{path} {width}"] = page.evaluate(LOOK)
    assert not any(found.values()), _told(found)


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
    found: list[str] = page.evaluate(LOOK) + find_barriers(page)
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
