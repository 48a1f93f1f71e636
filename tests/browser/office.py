"""An office with a real exchange, and people at its panel, each in their own language."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Response
from flask import request as asked
from playwright.sync_api import Page, expect

from app.services import users
from script.office.patience import PATIENCE
from script.office.phone import Call
from tests.asterisk.scene import Scene
from tests.browser.conftest import Meet
from tests.browser.panel import Loop, loads, row, session_of
from tests.web.conftest import PASSWORD

Said = Mapping[str, str]  # by locale

# What whoever comes second is told.
WHO_DID: Mapping[str, Said] = {
    "call": {"en": "{} requested an immediate call just now.", "fa": "{} همین حالا تماس فوری خواست."},
    "cancel": {"en": "{} cancelled the request just now.", "fa": "{} همین حالا درخواست را لغو کرد."},
    "done": {"en": "{} marked the request as done just now.", "fa": "{} همین حالا درخواست را انجام‌شده اعلام کرد."},
    "reassign": {
        "en": "{} reassigned the request just now.",
        "fa": "{} همین حالا درخواست را ارجاع داد.",
    },
}


@dataclass(frozen=True)
class Desk:
    """Somebody before a page of the panel. `loaded` tells how often it was loaded since it stands there."""

    name: str
    locale: str
    page: Page
    loaded: Callable[[], int]

    def shows(self, place: str, said: Said) -> None:
        """Return when this place of the page says this."""
        expect(self.page.locator(place)).to_contain_text(said[self.locale], use_inner_text=True)

    def sees(self, request: int, said: Said) -> None:
        """Return when the row of a request says this."""
        self.shows(f"#request-{request}", said)

    def call(self, request: int) -> None:
        """Press the button of a row that calls at once."""
        row(self.page, request).locator(".btn-primary").click()

    def menu(self, request: int, entry: str) -> None:
        """Open the menu of a row and take an entry, told by where it leads."""
        row(self.page, request).locator("[popovertarget]").click()
        self.page.locator(f"#menu-{request} {entry}").click()

    def ask(self, request: int, act: str) -> None:
        """Open the dialog of an act."""
        self.menu(request, f"a[href*='/acts/{act}']")
        self.page.locator("#dialog .action-buttons").wait_for()

    def confirm(self) -> None:
        self.page.locator("#dialog .action-buttons button").click()

    def is_told(self, said: Said) -> None:
        """Return when the page says what came of an act."""
        expect(self.page.locator("#message")).to_have_text(said[self.locale])


class Moment:
    """In which two requests meet in the panel. `first`: the act that is answered first; "": both go on together."""

    def __init__(self, first: str) -> None:
        self._gate, self._first, self.answered = threading.Barrier(2), first, threading.Event()

    def meet(self, act: str) -> None:
        """Wait for the other one, and let it go first where it has to."""
        self._gate.wait(timeout=PATIENCE)
        if self._first not in ("", act):
            self.answered.wait(timeout=PATIENCE)


class Office:
    """`scene` is what telephones, in the thread of `loop`; `address` is where its panel is served."""

    def __init__(self, scene: Scene, loop: Loop, meet: Meet) -> None:
        self.scene, self.run, self.bazang = scene, loop.run, scene.bazang
        self.address = ""
        self._meet = meet
        self._users: dict[str, int] = {}
        self._moment: Moment | None = None
        self.bazang.app.before_request(self._meet_the_other)
        self.bazang.app.after_request(self._let_the_other_go)

    def _meet_the_other(self) -> None:
        if self._moment is not None and asked.method == "POST" and asked.blueprint == "acts":
            self._moment.meet(str((asked.view_args or {})["act"]))

    def _let_the_other_go(self, response: Response) -> Response:
        if self._moment is not None and asked.method == "POST" and asked.blueprint == "acts":
            self._moment.answered.set()
        return response

    def sit_down(
        self,
        name: str,
        locale: str,
        where: str = "/requests",
        *,
        role: str = "supervisor",
        extensions: tuple[str, ...] = (),
    ) -> Desk:
        """Have somebody look at a page in a browser of their own; a name that is new becomes a user."""
        if name not in self._users:
            now, more = datetime.now(UTC), {"extensions": extensions, "locale": locale}
            self._users[name] = users.create(self.bazang.database, name, PASSWORD, role, now, **more)
        person = self._meet(self.address)
        page = person.take(session_of(self.bazang.app, self._users[name], locale), where)
        return Desk(name, locale, page, loads(page))

    def rings(self, extension: str) -> list[Call]:
        """Return all calls that an extension's phone has got."""
        return [call for call in self.scene.phones[extension].calls.values() if call.incoming]

    def at_once(self, request: int, one: tuple[Desk, str], other: tuple[Desk, str], *, first: str = "") -> str:
        """Have two people do something with one row in the same moment; return which of the two acts was done.

        Neither knows of the other: both have sent theirs before the panel looks at any, and at `first` before the
        other. Exactly one must be told of a success, and the other who did what.
        """
        both = {one[0]: one[1], other[0]: other[1]}
        for desk, act in both.items():
            # What they were told before would be taken for what they are told now.
            desk.page.evaluate("document.getElementById('message').replaceChildren()")
            if act != "call":
                desk.ask(request, act)
            if act == "reassign":
                desk.page.locator("#dialog select").select_option("extension:102")
        self._moment = Moment(first)
        for desk, act in both.items():
            desk.call(request) if act == "call" else desk.confirm()
        for desk in both:
            desk.page.locator("#message .alert").wait_for()
        self._moment = None
        winners = [desk for desk in both if desk.page.locator("#message .alert-success").count()]
        assert len(winners) == 1, [desk.page.locator("#message").inner_text() for desk in both]
        winner, (loser,) = winners[0], [desk for desk in both if desk is not winners[0]]
        loser.is_told({loser.locale: WHO_DID[both[winner]][loser.locale].format(winner.name)})
        assert first in ("", both[winner])
        return both[winner]


def everybody_sees(desks: tuple[Desk, ...], request: int, said: Said) -> None:
    """Return when the row of a request says this on each of these pages."""
    for desk in desks:
        desk.sees(request, said)


def nobody_loaded(desks: tuple[Desk, ...]) -> bool:
    """Tell whether all these pages are still the ones that were opened."""
    return not any(desk.loaded() for desk in desks)
