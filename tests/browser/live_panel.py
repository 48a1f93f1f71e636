"""The panel of an office with a real PBX, used by several people in different languages."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Response
from flask import request as http_request
from playwright.sync_api import Page, expect

from app.services import users
from script.office.patience import PATIENCE
from script.office.phone import Call
from tests.asterisk.office import Office
from tests.browser.conftest import OpenBrowser
from tests.browser.panel import Loop, count_loads, row, session_cookie
from tests.web.conftest import PASSWORD

Texts = Mapping[str, str]  # by locale
CALL_BUTTON = "button.row-call, button[formaction*='/call']"  # those in a row that call now

# What the second of two people sees, by the action of the first.
DONE_BY: Mapping[str, Texts] = {
    "call": {"en": "{} asked for an urgent call just now.", "fa": "{} همین حالا تماس فوری خواست."},
    "cancel": {"en": "{} cancelled the request just now.", "fa": "{} همین حالا درخواست را لغو کرد."},
    "done": {"en": "{} marked the request as done just now.", "fa": "{} همین حالا درخواست را انجام‌شده اعلام کرد."},
    "reassign": {
        "en": "{} reassigned the request just now.",
        "fa": "{} همین حالا درخواست را ارجاع داد.",
    },
}


@dataclass(frozen=True)
class UserPage:
    """A page that a user has open. `load_count` returns how often it was loaded since then."""

    name: str
    locale: str
    page: Page
    load_count: Callable[[], int]

    def expect_text(self, selector: str, texts: Texts) -> None:
        """Wait until an element contains the text in the user's language."""
        expect(self.page.locator(selector)).to_contain_text(texts[self.locale], use_inner_text=True)

    def expect_row(self, request: int, texts: Texts) -> None:
        """Wait until the row of a request contains the text."""
        self.expect_text(f"#request-{request}", texts)

    def expect_message(self, texts: Texts) -> None:
        """Wait until a message of the page contains the text."""
        expect(self.page.locator("#message")).to_contain_text(texts[self.locale])

    def call_now(self, request: int) -> None:
        """Click the button of a row that calls now."""
        row(self.page, request).locator(CALL_BUTTON).click()

    def choose_in_menu(self, request: int, selector: str) -> None:
        """Open the menu of a row and click an entry."""
        row(self.page, request).locator("[data-menu]").click()
        self.page.locator(f"#menu {selector}").click()

    def open_dialog(self, request: int, action: str) -> None:
        """Open the dialog of an action."""
        self.choose_in_menu(request, f"a[href*='/acts/{action}']")
        self.page.locator("#dialog .action-buttons").wait_for()

    def confirm(self) -> None:
        """Click the button of the open dialog."""
        self.page.locator("#dialog .action-buttons button").click()


class SimultaneousActions:
    """Holds back two actions in the panel until both have arrived.

    `first`: the action that is processed first. The other one waits until it is answered. "" processes both at once.
    """

    def __init__(self, first: str) -> None:
        self._gate, self._first, self.answered = threading.Barrier(2), first, threading.Event()

    def wait(self, action: str) -> None:
        """Wait until this action may be processed."""
        self._gate.wait(timeout=PATIENCE)
        if self._first not in ("", action):
            self.answered.wait(timeout=PATIENCE)


class LivePanel:
    """`office` has the phones and runs in the thread of `loop`. `address` is the address of the panel."""

    def __init__(self, office: Office, loop: Loop, open_browser: OpenBrowser) -> None:
        self.office, self.run, self.bazang = office, loop.run, office.bazang
        self.address = ""
        self._open_browser = open_browser
        self._users: dict[str, int] = {}
        self._simultaneous: SimultaneousActions | None = None
        self.bazang.app.before_request(self._wait_for_other_action)
        self.bazang.app.after_request(self._release_other_action)

    def _wait_for_other_action(self) -> None:
        if self._simultaneous is not None and http_request.method == "POST" and http_request.blueprint == "acts":
            self._simultaneous.wait(str((http_request.view_args or {})["act"]))

    def _release_other_action(self, response: Response) -> Response:
        if self._simultaneous is not None and http_request.method == "POST" and http_request.blueprint == "acts":
            self._simultaneous.answered.set()
        return response

    def open_page(
        self,
        name: str,
        locale: str,
        path: str = "/requests",
        *,
        role: str = "supervisor",
        extensions: tuple[str, ...] = (),
    ) -> UserPage:
        """Open a page in a new browser as this user. Create the user if the name is new."""
        if name not in self._users:
            self._users[name] = users.create(
                self.bazang.database, name, PASSWORD, role, datetime.now(UTC), extensions=extensions, locale=locale
            )
        person = self._open_browser(self.address)
        page = person.open_session(session_cookie(self.bazang.app, self._users[name], locale), path)
        return UserPage(name, locale, page, count_loads(page))

    def calls_to_phone(self, extension: str) -> list[Call]:
        """Return all calls to the phone of an extension."""
        return [call for call in self.office.phones[extension].calls.values() if call.incoming]

    def act_at_once(
        self, request: int, one: tuple[UserPage, str], other: tuple[UserPage, str], *, first: str = ""
    ) -> str:
        """Let two people act on a request at the same time. Return the action that succeeded.

        `one`, `other`: a page and the action on it. The panel gets both actions before it processes one of them. If
        `first` is given, this action is processed first. Exactly one person must see a success, and the other must see
        who did what.
        """
        actions = {one[0]: one[1], other[0]: other[1]}
        for user_page, action in actions.items():
            # Remove the message of an earlier action.
            user_page.page.evaluate("document.getElementById('message').replaceChildren()")
            if action != "call":
                user_page.open_dialog(request, action)
            if action == "reassign":
                user_page.page.locator("#dialog select").select_option("extension:102")
        self._simultaneous = SimultaneousActions(first)
        for user_page, action in actions.items():
            user_page.call_now(request) if action == "call" else user_page.confirm()
        for user_page in actions:
            user_page.page.locator("#message .alert").wait_for()
        self._simultaneous = None
        winners = [user_page for user_page in actions if user_page.page.locator("#message .alert-success").count()]
        assert len(winners) == 1, [user_page.page.locator("#message").inner_text() for user_page in actions]
        winner, (loser,) = winners[0], [user_page for user_page in actions if user_page is not winners[0]]
        loser.expect_message({loser.locale: DONE_BY[actions[winner]][loser.locale].format(winner.name)})
        assert first in ("", actions[winner])
        return actions[winner]


def expect_rows(pages: tuple[UserPage, ...], request: int, texts: Texts) -> None:
    """Wait until the row of a request contains the text on each of these pages."""
    for user_page in pages:
        user_page.expect_row(request, texts)


def none_reloaded(pages: tuple[UserPage, ...]) -> bool:
    """Return whether none of these pages was loaded again."""
    return not any(user_page.load_count() for user_page in pages)
