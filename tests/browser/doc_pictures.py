"""Take the pictures of the README and of the guides, of a living office: `script/screenshots --docs`.

No test: pytest collects it only if it is named. With BAZANG_PICTURES=<part of a name>, only some are taken.
"""

import base64
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Page

from app import demo_data
from app.config import Settings
from app.services import users
from app.store.database import Database
from app.store.models import Module, QueueMemberRow, QueueRow, QueueScenario
from app.store.settings import write_setting
from tests.browser.conftest import OpenBrowser
from tests.browser.panel import session_cookie
from tests.support.factories import (
    create_attempt,
    create_line,
    create_missed_call,
    create_missed_call_rule,
    create_module,
    create_request,
    create_running_service,
    store,
)

IMAGES = Path(__file__).parents[2] / "docs" / "images"
ONLY = "BAZANG_PICTURES"
ADMINISTRATOR, OPERATOR = 1, 2


@dataclass(frozen=True)
class Picture:
    """A page as a user sees it, or the part of it that `selector` names."""

    path: str
    width: int = 1280
    height: int = 800
    scale: float = 1.5
    dark: bool = False
    user: int = ADMINISTRATOR
    selector: str = ""


PICTURES = {
    "requests": Picture("/requests"),
    "overview": Picture("/overview", dark=True),
    "charts": Picture("/report/charts", height=1180),  # the charts are below the search
    "manager-request": Picture("/requests/TRIED", width=1000, scale=1.25, selector="main"),
    "manager-missed": Picture("/missed", width=1000, height=420, scale=1.25, selector="main"),
    "manager-module": Picture("/modules/1", width=1000, scale=1.25, selector="details.summary"),
    "operator-mine": Picture("/mine", width=1000, scale=1.25, user=OPERATOR),
    "operator-phone": Picture("/mine", width=390, height=780, scale=1.5, user=OPERATOR),
    "operator-new": Picture("/requests/new", width=1000, scale=1.25, user=OPERATOR, selector="main"),
}
MODULES = {"en": ("Sales", "Support", "Accounts"), "fa": ("فروش", "پشتیبانی", "حسابداری")}
PEOPLE = {
    "en": ("Anna Brian", "David Evans", "Grace Hughes", "Liam King", "Olivia Moore", "Peter Reed"),
    "fa": ("سارا محمدی", "امید رحیمی", "نگار صادقی", "رضا کاظمی", "لیلا یزدانی", "کاوه نوری"),
}
CUSTOMERS = {
    "en": ("Clara Dixon", "Frank Adams", "Noah Lewis", "Rose Parker", "Emma Foster", "Henry Jones"),
    "fa": ("مریم کاظمی", "حسین موسوی", "شیرین بهرامی", "بابک رستمی", "پریسا قاسمی", "آرش جعفری"),
}
NOTE = {"en": "Wants the invoice of last month.", "fa": "فاکتور ماه گذشته را می‌خواهد."}
TO_WEBP = """async (url) => {
  const image = new Image();
  image.src = url;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL("image/webp", 0.86).split(",")[1];
}"""


def evening(now: datetime) -> str:
    """Return a time zone in which a working day has just ended, so that today has its requests."""
    ahead = (demo_data.CLOSES.hour - now.hour + 11) % 24 - 11
    return f"Etc/GMT{-ahead:+}"


def open_living_office(database: Database, settings: Settings, locale: str) -> int:
    """Store an office in the middle of its day: phones in calls, a queue with callers, requests in every state.

    Return the id of a request that has been tried.
    """
    now = datetime.now(UTC)
    create_running_service(database)
    with database.write() as session:
        for name, value in (("locale", locale), ("outbound_context", "from-internal"), ("timezone", evening(now))):
            write_setting(session, name, value)
    states = ("in_call", "free", "ringing", "in_call", "free", "offline")
    for extension, (name, state) in enumerate(zip(PEOPLE[locale], states, strict=True), 101):
        since = now - timedelta(seconds=4 if extension == 102 else 97 * (extension - 99))
        create_line(database, str(extension), name=name, state=state, since=since)
    names = MODULES[locale]
    sales = create_module(database, name=names[0], code="*5001", targets=["101", "102", "103"], language=locale)
    support = create_module(
        database, name=names[1], code="*5002", target_kind="queue", targets=["800"], language=locale
    )
    accounts = create_module(database, name=names[2], code="*5003", targets=["104"], language=locale)
    store(database, QueueRow(name="800", live_callers=2))
    store(database, QueueScenario(queue="800", failed_kind="module", failed_code="*5002"))
    for member in ("104", "105", "106"):
        store(database, QueueMemberRow(queue="800", extension=member))
    demo_data.fill(database, settings, 1500, now, waiting=0)
    customers = iter(CUSTOMERS[locale])
    waiting: list[tuple[Module, dict[str, Any]]] = [
        (sales, {"target": "101", "caller_name": next(customers), "priority": 1, "note": NOTE[locale]}),
        (support, {"target": "800", "queue": True, "caller_name": next(customers)}),
        (sales, {"target": "103", "status": "dialling", "step": "claimed", "attempt": "a"}),
        (accounts, {"target": "104", "status": "connected", "step": "connected", "attempt": "b"}),
        (sales, {"target": "102", "caller_name": next(customers)}),
        (
            sales,
            {
                "target": "101",
                "caller_name": next(customers),
                "last_outcome": "customer_busy",
                "customer_attempts": 1,
                "not_before": now + timedelta(minutes=4),
            },
        ),
        (accounts, {"target": "104", "caller_name": next(customers)}),
        (support, {"target": "800", "queue": True, "postponed_until": now + timedelta(hours=2), "time_chosen": True}),
    ]
    tried = 0
    for place, (module, values) in enumerate(waiting):
        moment = now - timedelta(minutes=3 * (len(waiting) - place) + 1)
        number = f"+98912{7 * place + 3021457:07}"
        times = {"first_called_at": moment, "registered_at": moment}
        request = create_request(database, module, number=number, **times, **values)
        if "attempt" in values:
            agent = {"a": "103", "b": "104"}[values["attempt"]]
            create_attempt(database, request, id=values["attempt"], agent=agent, started_at=now - timedelta(seconds=6))
        elif values.get("customer_attempts"):
            tried = request.id
            ended = now - timedelta(minutes=1)
            create_attempt(
                database,
                request,
                agent="101",
                outcome="customer_busy",
                started_at=ended - timedelta(seconds=20),
                answered_at=ended - timedelta(seconds=15),
                dialled_at=ended - timedelta(seconds=12),
                ended_at=ended,
            )
    create_missed_call_rule(database, "800", queue=True)
    create_missed_call(database, number="+982188776655", queue=True, target="800", at=now - timedelta(minutes=25))
    return tried


def save_as_webp(page: Page, png: bytes, path: Path) -> None:
    """Save a picture in the format of the smallest files, which the browser can write."""
    page.goto("about:blank")
    encoded = page.evaluate(TO_WEBP, f"data:image/png;base64,{base64.b64encode(png).decode()}")
    path.write_bytes(base64.b64decode(encoded))


@pytest.fixture(scope="session")
def only() -> str:
    """Part of the names of the pictures to take. Session scope, because tests have no BAZANG_* in the environment."""
    return os.environ.get(ONLY, "")


@pytest.mark.parametrize("locale", ["en", "fa"])
def test_pictures(
    app: Flask, database: Database, settings: Settings, open_browser: OpenBrowser, only: str, locale: str
) -> None:
    tried = open_living_office(database, settings, locale)
    for user in (ADMINISTRATOR, OPERATOR):
        users.set_locale(database, user, locale)
    for name, picture in PICTURES.items():
        if only in name:
            save_as_webp(*take(app, open_browser, picture, locale, tried), IMAGES / f"{name}.{locale}.webp")


def take(app: Flask, open_browser: OpenBrowser, picture: Picture, locale: str, tried: int) -> tuple[Page, bytes]:
    """Return a page and the picture of it, as PNG. `tried`: the request that a path with TRIED shows."""
    size = {"width": picture.width, "height": picture.height}
    scheme = "dark" if picture.dark else "light"
    person = open_browser(viewport=size, device_scale_factor=picture.scale, color_scheme=scheme)
    page = person.open_session(session_cookie(app, picture.user, locale), picture.path.replace("TRIED", str(tried)))
    page.wait_for_load_state("networkidle")
    if picture.selector:
        return page, page.locator(picture.selector).screenshot(animations="disabled")
    return page, page.screenshot(animations="disabled")
