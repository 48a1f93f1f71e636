"""Check the layout and accessibility of pages, and fill an office with data for them.

With BAZANG_SCREENSHOTS=<folder>, a screenshot of each page is also saved.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from flask import Flask
from playwright.sync_api import Page, ViewportSize

from app.audio.library import SoundLibrary
from app.config import Settings
from app.domain.external_users import ExternalUser, Source
from app.domain.policy import LineState
from app.services import identities, users
from app.services.requests import number_lists, perform, spoken_names
from app.services.requests.access import Scope
from app.services.requests.actions import Prioritise, Reassign, ShownRequest, WriteNote
from app.store.database import Database
from app.store.models import (
    AuditEntry,
    CallRequest,
    DigitRecording,
    ExtensionScenario,
    Module,
    NumberRule,
    Prompt,
    QueueMemberRow,
    QueueRow,
    QueueScenario,
)
from app.store.settings import write_setting
from tests.audio.sounds import tone, write_sound
from tests.browser.axe import find_barriers
from tests.browser.conftest import OpenBrowser
from tests.browser.panel import session_cookie
from tests.support.factories import (
    create_attempt,
    create_contact,
    create_line,
    create_mail_destination,
    create_missed_call,
    create_missed_call_rule,
    create_module,
    create_recording,
    create_request,
    create_running_service,
    create_webhook,
    create_webhook_message,
    create_website_form,
    store,
)

CHECK_LAYOUT = (Path(__file__).parent / "looks.js").read_text()
Visit = Callable[[Page], None]

SCREENSHOTS = "BAZANG_SCREENSHOTS"
Colours = Literal["light", "dark"]
COLOURS: tuple[Colours, ...] = ("light", "dark")
NARROW, WIDE = 375, 1200
# Where the first page is loaded in each language. The next one is loaded at the other width, as the window then is.
FIRST_WIDTH = {"fa": NARROW, "en": WIDE}
# Axe takes a third of the time of a page. What it finds is in the markup, which is the same in both languages, so it
# looks at every other page in Persian and at the rest in English.
LOCALES = ("fa", "en")
in_both_languages = pytest.mark.parametrize("locale", LOCALES)
at_both_widths = pytest.mark.parametrize("width", [NARROW, WIDE])

# Wait until a page with the theme "auto" has the colours of the device, and finish its transitions.
APPLY_COLOURS = """(colours) => new Promise((done) => {
  const page = document.documentElement;
  function check() {
    if (page.dataset.theme === "auto" && page.dataset.bsTheme !== colours) return requestAnimationFrame(check);
    for (const change of document.getAnimations()) if (change instanceof CSSTransition) change.finish();
    done();
  }
  check();
})"""


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """The folder for screenshots, or None. Session scope, because the tests remove BAZANG_* from the environment."""
    folder = os.environ.get(SCREENSHOTS)
    if not folder:
        return None
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(folder)


def add_history(database: Database, request: CallRequest, now: datetime) -> None:
    """Add failed attempts and actions of people to a request."""
    outcomes = (("agent_no_answer", ""), ("agent_refused", ""), ("customer_busy", "17 User busy"))
    for number, (outcome, cause) in enumerate(outcomes):
        start = now - timedelta(minutes=60 - 10 * number)
        values: dict[str, datetime] = {"started_at": start, "ended_at": start + timedelta(seconds=40)}
        if cause:
            values |= {"answered_at": start + timedelta(seconds=6), "dialled_at": start + timedelta(seconds=9)}
        create_attempt(database, request, agent="103", outcome=outcome, cause=cause, manual=bool(cause), **values)
    for action in (Prioritise(1), Reassign(False, "103"), WriteNote("ترکی صحبت می‌کند؛ بعد از ساعت ۴ تماس بگیرید.")):
        with database.read() as session:
            version = session.get_one(CallRequest, request.id).version
        perform.perform(database, Scope("مینا", everything=True), action, [ShownRequest(request.id, version)], now)


def add_webhooks(database: Database, now: datetime) -> None:
    """Add a destination that has failed for a while, one that works, and one that is paused."""
    hours = timedelta(hours=1)
    failing = create_webhook(
        database,
        name="پیامک به مشتری",
        url="https://api.kavenegar.com/v1/secret/sms/send.json",
        body_format="form",
        template="receptor={recipient}\nsender=1000\nmessage={text}",
        text="{name} گرامی، با شما تماس گرفتیم.",
        header_name="X-API-KEY",
        failures=4,
        failing_since=now - hours,
        next_at=now + hours,
    )
    create_webhook(
        database, name="A customer relationship management system", sent_at=now, url="http://[fd00::1]:5678/"
    )
    create_webhook(database, name="Slack", paused_at=now, failing_since=now - 30 * hours)
    create_mail_destination(database, address="modir@example.org", sent_at=now, language="fa", summary="daily")
    create_mail_destination(
        database, address="omid@mail.example.org", failures=5, failing_since=now - hours, next_at=now + hours
    )
    for name, value in {
        "mail_host": "smtp.example.org",
        "mail_port": "587",
        "mail_security": "starttls",
        "mail_sender": "bazang@example.org",
        "mail_inside": "",
    }.items():
        with database.write() as session:
            write_setting(session, name, value)
    reply = (
        "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body>" * 2
    )
    for event, state, tries, result, text in (
        ("request.registered", "sent", 1, "http_200", "ok"),
        (
            "request.failed",
            "failed",
            12,
            "http_422",
            '{"return": {"status": 411, "message": "دریافت کننده نامعتبر است"}}',
        ),
        ("trunk.trouble", "waiting", 3, "http_502", reply[:200]),
        ("request.failed", "skipped", 0, "", ""),
        ("test", "failed", 1, "not_allowed", ""),
    ):
        values: dict[str, Any] = {"event": event, "state": state, "tries": tries, "result": result, "reply": text}
        if tries:
            values |= {"tried_at": now, "took": 1840, "request_id": None if event in ("trunk.trouble", "test") else 1}
        create_webhook_message(database, failing, at=now - hours, since=now - hours, next_at=now + hours, **values)


def add_spoken_name(database: Database, settings: Settings, request: CallRequest, now: datetime) -> None:
    file = f"names/{'a' * 32}.wav"
    (settings.prompts_path / file).parent.mkdir(parents=True, exist_ok=True)
    write_sound(settings.prompts_path / file, tone(1))
    spoken_names.save(database, settings.prompts_path, request.id, file, now)


# Audit entries: action, subject, changed fields.
AUDIT_ENTRIES: list[tuple[str, str, dict[str, Any]]] = [
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
def full_office(database: Database, settings: Settings) -> None:
    """An office with data of every kind."""
    now = datetime.now(UTC)
    create_running_service(database)
    with database.write() as session:
        write_setting(session, "outbound_context", "from-internal")
    names = {"101": "سارا محمدی", "102": "Omid Rahimi", "103": "", "104": "زهرا", "105": "Reza", "106": "انبار"}
    for (number, name), line in zip(names.items(), LineState, strict=True):
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
        offer_key="*",
        offer_callers=3,
        offer_callers_per_agent=2,
    )
    create_module(database, name="شب و روزهای تعطیل", code="*5003", active=False, silent=True, automatic=False)
    store(database, Prompt(module_id=1, key="is", mode="none"))
    create_contact(database, "مریم کاظمی", "+989121234567", organisation="Kazemi & Sons, import and export", note="VIP")
    identities.link(database, 2, ExternalUser(Source.LDAP, "ldap", "entry-1", "omid"), now, address="127.0.0.1")
    for number, kind, note in (("09121110000", "block", "تماس‌های مزاحم"), ("0218888*", "allow", "our other office")):
        number_lists.add_entry(database, settings, kind, number, note, actor="mina", now=now)
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
        if letter != "c":  # the file of the third is missing
            SoundLibrary(settings.prompts_path)
            write_sound(settings.prompts_path / file, tone(1))
    store(database, Prompt(module_id=1, key="intro", mode="file", file=f"uploads/{'a' * 64}.wav"))
    store(database, Prompt(module_id=1, key="after_success", mode="file", file=f"uploads/{'c' * 64}.wav"))
    store(database, DigitRecording(language="fa", digit="1", file=f"uploads/{'a' * 64}.wav"))
    store(database, QueueRow(name="800", live_callers=2))
    store(database, QueueMemberRow(queue="800", extension="101"))
    store(database, QueueMemberRow(queue="800", extension="102", paused=True))
    store(database, QueueMemberRow(queue="800", extension="106", name="انبار"))  # nobody reports its state
    store(database, QueueScenario(queue="800", failed_kind="module", failed_code="*5002"))
    destinations = {
        "no_answer_kind": "module",
        "no_answer_code": "*5001",
        "busy_kind": "custom",
        "busy_code": "ivr-night,s,1",
    }
    store(database, ExtensionScenario(extension="101", **destinations))
    for kind, value, typed, note in (
        ("country", "GB", True, "شعبه لندن"),
        ("country", "TR", False, ""),
        ("allow", "+4930", False, "The supplier in Berlin and everybody who works there"),
        ("refuse", "+98912000", False, ""),
    ):
        store(database, NumberRule(kind=kind, value=value, typed=typed, note=note, created_by="sara", created_at=now))
    add_webhooks(database, now)
    create_website_form(database, sales, name="فروشگاه")
    for action, subject, detail in AUDIT_ENTRIES:
        store(database, AuditEntry(at=now, actor="sara", action=action, subject=subject, detail=detail))
    soon = now + timedelta(minutes=4)
    requests: list[tuple[Module, dict[str, Any]]] = [
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
        (sales, {"target": "105", "number": "+989350000009", "came_by": "missed_call"}),
        (sales, {"target": "105", "number": "+989350000010"}),
    ]
    for minutes, (module, values) in enumerate(requests):
        moment = now - timedelta(minutes=7 * (20 - minutes))
        request = create_request(database, module, **({"first_called_at": moment, "registered_at": moment} | values))
        if minutes == 0:
            add_history(database, request, now)
            add_spoken_name(database, settings, request, now)
        if minutes == 1:
            create_attempt(
                database, request, agent="101", outcome="not_started", cause="Permission denied", repeats=12,
                since=now - timedelta(hours=1), started_at=now, ended_at=now, request_pause_until=soon,
            )  # fmt: skip
        if "attempt" in values:
            create_attempt(database, request, id=values["attempt"], agent="101" if values["attempt"] == "a" else "102")
    add_missed_calls(database, now)


def add_missed_calls(database: Database, now: datetime) -> None:
    """Add missed calls with every outcome, and rules for them."""
    create_missed_call_rule(database, module_id=1, minutes=90)
    create_missed_call_rule(database, "800", queue=True)
    calls: list[dict[str, Any]] = [
        {"number": "+989121230001", "caller_name": "مریم کاظمی"},
        {"number": "+989121230001"},
        {"number": "+982188881234", "queue": True, "target": "800"},
        {"number": "", "queue": True, "target": "800"},
        {"number": "+989121230002", "target": "105"},
        {"number": "+989121230003", "outcome": "reached", "outcome_at": now, "outcome_by": "102"},
        {"number": "+989350000001", "outcome": "left", "outcome_at": now, "request_id": 5},
        {
            "number": "+989121230005",
            "outcome": "dismissed",
            "outcome_at": now,
            "outcome_by": "A very patient colleague",
        },
    ]
    for minutes, values in enumerate(calls):
        create_missed_call(database, **({"at": now - timedelta(minutes=9 * minutes)} | values))


OPENED: set[str] = set()  # all paths that some test looks at


def open_path(path: str) -> Visit:
    OPENED.add(path)

    def visit(page: Page) -> None:
        page.goto(path)

    return visit


@dataclass(frozen=True)
class PageChecker:
    """Visits pages as a user and checks each of them."""

    app: Flask
    database: Database
    open_browser: OpenBrowser
    screenshots: Path | None

    def __call__(
        self,
        pages: Mapping[str, Visit],
        locale: str,
        width: int | None = None,
        *,
        user: int | None = 1,
        expected: Sequence[str] = (),
    ) -> Page:
        """Check the pages. Return the browser page, which shows the last of them.

        `width`: the only one, in both colours; None for both widths, each in one of the colours. `user`: None for a
        visitor without a session. `expected`: parts of browser errors to ignore.
        """
        at = width or FIRST_WIDTH[locale]
        person = self.open_browser(viewport=size(at), color_scheme=colours_at(at, locale))
        if user is None:
            page = person.choose_language(locale)
        else:
            users.set_locale(self.database, user, locale)
            page = person.open_session(session_cookie(self.app, user, locale))
        found = {}
        for place, (name, visit) in enumerate(pages.items()):
            visit(page)
            found[name] = self._look(page, name, locale, at, both=width is not None)
            if locale == LOCALES[place % 2] and width in (None, FIRST_WIDTH[locale]):
                found[name] += find_barriers(page)
            if width is None:
                at = NARROW + WIDE - at
                page.set_viewport_size(size(at))
                found[f"{name} {at}"] = self._look(page, name, locale, at)
        person.ignore_errors(*expected)
        assert not any(found.values()), format_faults(found)
        return page

    def _look(self, page: Page, name: str, locale: str, width: int, *, both: bool = False) -> list[str]:
        first = colours_at(width, locale)
        colours = COLOURS if both or self.screenshots is not None else (first,)
        in_order = sorted(colours, key=lambda each: each != first)  # a change makes the browser draw the page again
        return check_layout(page, self.screenshots, f"{name}-{locale}-{width}", in_order)


def colours_at(width: int, locale: str) -> Colours:
    """Return the colours in which pages are looked at. Each pair of language, width and colours occurs."""
    return "dark" if (width == FIRST_WIDTH["fa"]) == (locale == "fa") else "light"


def size(width: int) -> ViewportSize:
    return {"width": width, "height": 800}


@pytest.fixture
def check_pages(app: Flask, database: Database, open_browser: OpenBrowser, screenshots: Path | None) -> PageChecker:
    """Check pages at both widths: `check_pages(PAGES, locale)`."""
    return PageChecker(app, database, open_browser, screenshots)


def format_faults(found: dict[str, list[str]]) -> str:
    """Return the faults of all pages, one in each line."""
    return "\n".join(f"{name}: {fault}" for name, faults in found.items() for fault in faults)


def check_layout(page: Page, screenshots: Path | None, name: str, colours: Sequence[Colours] = COLOURS) -> list[str]:
    """Return the faults of a page in each of these colours. Save its screenshots in `screenshots`, if it is given."""
    page.evaluate("document.fonts.ready")
    found: list[str] = []
    for each in colours:
        page.emulate_media(color_scheme=each)
        page.evaluate(APPLY_COLOURS, each)
        found += [f"in {each} colours: {fault}" for fault in page.evaluate(CHECK_LAYOUT)]
        if screenshots is not None:
            page.screenshot(path=screenshots / f"{name}-{each}.png", full_page=True)
    return found
