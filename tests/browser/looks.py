"""What the tests of looks share: an office in which much goes on, and a walk through its pages.

With BAZANG_SCREENSHOTS=<folder> each page is also saved as a picture, for a person to look at.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from flask import Flask
from playwright.sync_api import Page

from app.audio.library import SoundLibrary
from app.config import Settings
from app.domain.policy import LineState
from app.services import users
from app.services.requests import perform
from app.services.requests.access import Scope
from app.services.requests.actions import Prioritise, Reassign, ShownRequest, WriteNote
from app.store.database import Database
from app.store.models import (
    AuditEntry,
    CallRequest,
    DigitRecording,
    ExtensionScenario,
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

LOOK = (Path(__file__).parent / "looks.js").read_text()
Visit = Callable[[Page], None]

SCREENSHOTS = "BAZANG_SCREENSHOTS"
COLOURS: tuple[Literal["light", "dark"], ...] = ("dark", "light")
# Once in each language, and once at each width: what people hear of a page differs by little else.
HEARD = (("fa", 375), ("en", 1200))
in_both_languages = pytest.mark.parametrize("locale", ["fa", "en"])
at_both_widths = pytest.mark.parametrize("width", [375, 1200])

# A page that leaves its colours to the device has those of the device, and none that are on their way from the others.
SETTLE = """(colours) => new Promise((settled) => {
  const page = document.documentElement;
  function look() {
    if (page.dataset.theme === "auto" && page.dataset.bsTheme !== colours) return requestAnimationFrame(look);
    for (const change of document.getAnimations()) if (change instanceof CSSTransition) change.finish();
    settled();
  }
  look();
})"""


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """Where pictures are saved, if they are wanted. Asked before a test forgets the environment."""
    wanted = os.environ.get(SCREENSHOTS)
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
    for action in (Prioritise(1), Reassign(False, "103"), WriteNote("ترکی صحبت می‌کند؛ بعد از ساعت ۴ تماس بگیرید.")):
        with database.read() as session:
            version = session.get_one(CallRequest, request.id).version
        perform.perform(database, Scope("مینا", everything=True), action, [ShownRequest(request.id, version)], now)


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
        store(database, AuditEntry(at=now, actor="sara", action=action, subject=subject, detail=detail))
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


@dataclass(frozen=True)
class Walk:
    """Somebody goes from page to page, and all of them have to be readable."""

    app: Flask
    database: Database
    meet: Meet
    pictures: Path | None

    def __call__(
        self,
        pages: Mapping[str, Visit],
        locale: str,
        width: int,
        *,
        user: int | None = 1,
        expected: Sequence[str] = (),
    ) -> Page:
        """Look at the pages; return the last one.

        `user`: None for somebody who is not logged in; `expected`: what the console may say.
        """
        person = self.meet(viewport={"width": width, "height": 800})
        if user is None:
            page = person.choose_language(locale)
        else:
            users.set_locale(self.database, user, locale)
            page = person.take(session_of(self.app, user, locale))
        found = {}
        for name, visit in pages.items():
            visit(page)
            found[name] = look(page, self.pictures, f"{name}-{locale}-{width}")
            if (locale, width) in HEARD:
                found[name] += find_barriers(page)
        person.complaints[:] = [c for c in person.complaints if not any(words in c for words in expected)]
        assert not any(found.values()), told(found)
        return page


@pytest.fixture
def walk(app: Flask, database: Database, meet: Meet, pictures: Path | None) -> Walk:
    """Have somebody go and look: `walk(PAGES, locale, width)`."""
    return Walk(app, database, meet, pictures)


def told(found: dict[str, list[str]]) -> str:
    """Write out what was found, a line each."""
    return "\n".join(f"{name}: {fault}" for name, faults in found.items() for fault in faults)


def look(page: Page, pictures: Path | None, name: str) -> list[str]:
    """Return what is wrong with a page's looks in dark and in light colours; save its pictures if they are wanted."""
    page.evaluate("document.fonts.ready")
    found: list[str] = []
    for colours in COLOURS:
        page.emulate_media(color_scheme=colours)
        page.evaluate(SETTLE, colours)
        found += [f"in {colours} colours: {fault}" for fault in page.evaluate(LOOK)]
        if pictures is not None:
            page.screenshot(path=pictures / f"{name}-{colours}.png", full_page=True)
    return found
