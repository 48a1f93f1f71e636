"""The corpus of numbers on the way in by telephone: the real dialogue over a socket, the real registrar, a database.

A sample with each rule and each kind of number goes through the dialogue, and all hostile ones through the registrar.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import delete, select

from app.config import Settings
from app.domain.number_policy import Rule, Source
from app.domain.text import displayable
from app.store.database import Database
from app.store.models import CallRequest, HistoryEntry
from app.store.settings import REGISTRATION_LIMITS, write_setting
from app.telephony.agi import AgiServer
from app.telephony.ivr import Accepted, CallerFacts, ModuleView, Refused, converse
from app.telephony.snapshot import Snapshot
from app.worker.background import BackgroundTasks
from app.worker.prompts import PromptStore
from app.worker.recording_inbox import RecordingInbox
from app.worker.registrar import Registrar
from app.worker.spoken_names import SpokenNames
from script.office.patience import PATIENCE
from tests.support import number_corpus
from tests.support.factories import create_line, create_module
from tests.support.fake_agi import FakeCall, Press, make_access
from tests.support.number_corpus import Hostile, Ordinary, Place
from tests.telephony.test_ivr import module as module_view


class CorpusRegistrar(Registrar):
    """The registrar, without synthesizing prompts. It remembers what it refused."""

    def __init__(self, settings: Settings, database: Database) -> None:
        sounds = PromptStore(settings, database)
        names = SpokenNames(database, sounds, RecordingInbox(settings), tasks=BackgroundTasks())
        super().__init__(settings, database, sounds, Snapshot(), names)
        self.view = module_view(silent=True)
        self.refusals: list[str] = []

    def enter(self, call: CallerFacts) -> None:
        """No missed calls are noted here."""

    async def module(self, module_id: int) -> ModuleView | None:
        return self.view

    async def check(self, call: CallerFacts, number: str, typed: bool) -> Accepted | Refused:
        checked = await super().check(call, number, typed)
        if isinstance(checked, Refused):
            self.refusals.append(checked.reason)
        return checked

    def move_to(self, place: Place) -> None:
        """Put the office into another country."""
        with self._database.write() as session:
            write_setting(session, "region", place.region)
            write_setting(session, "area_code", place.area_code)
        self._rules = None


@pytest.fixture
def registrar(office: Settings, database: Database) -> CorpusRegistrar:
    create_module(database, id=7)
    for extension in number_corpus.EXTENSIONS:
        create_line(database, extension)
    with database.write() as session:
        for name in REGISTRATION_LIMITS:
            write_setting(session, f"{name}_limit", "0")
    return CorpusRegistrar(office, database)


@asynccontextmanager
async def serving(registrar: Registrar) -> AsyncIterator[int]:
    """Serve the dialogue; give the port."""
    server = AgiServer("127.0.0.1", 0, lambda session: converse(session, registrar), make_access())
    await server.start()
    try:
        yield server.port
    finally:
        async with asyncio.timeout(PATIENCE):
            await server.stop()


def take_requests(database: Database) -> list[tuple[str, str]]:
    """Return the number and the source of each stored request, and delete the requests."""
    with database.write() as session:
        found = session.execute(select(CallRequest.number, CallRequest.number_source).order_by(CallRequest.id)).all()
        session.execute(delete(HistoryEntry))
        session.execute(delete(CallRequest))
    return [(number, source) for number, source in found]


def calls(entries: Iterable[Hostile | Ordinary], *, typed: bool) -> list[tuple[str, FakeCall]]:
    """Return a call for each number: from it, or by an anonymous caller who types it."""
    if typed:
        return [
            (entry.text, FakeCall(*keys(entry.text), headers=headers("", index)))
            for index, entry in enumerate(entries)
            if entry.can_be_typed
        ]
    # A header of Asterisk is one line. The dialogue removes other control characters before it asks the registrar.
    found = [entry.text for entry in entries if displayable(entry.text) == entry.text.strip()]
    return [(text, FakeCall(headers=headers(text, index))) for index, text in enumerate(found)]


def keys(number: str) -> list[Press]:
    """Return the keys of an anonymous caller who types a number and confirms it."""
    return [Press("intro_other", "2"), Press("enter_number", f"{number}#"), Press("check_number", "1")]


def headers(caller: str, index: int) -> dict[str, str]:
    return {"agi_callerid": caller, "agi_uniqueid": f"17.{index}"}


@pytest.mark.parametrize("typed", [False, True], ids=["caller_id", "typed"])
async def test_no_hostile_number_is_registered(registrar: CorpusRegistrar, database: Database, typed: bool) -> None:
    registrar.view = module_view(silent=not typed)
    async with serving(registrar) as port:
        for place, entries in number_corpus.by_place(number_corpus.sample(number_corpus.hostile())).items():
            registrar.move_to(place)
            for _, call in calls(entries, typed=typed):
                await call.run(port)
                assert call.variables["BAZANG_RESULT"] == "error"
    assert take_requests(database) == []
    assert set(registrar.refusals) <= {rule.value for rule in Rule if not rule.allows}


async def test_each_hostile_number_is_refused_with_its_reason(registrar: CorpusRegistrar) -> None:
    """Here with the characters that no header of Asterisk can have."""
    wrong = []
    for place, entries in number_corpus.by_place(number_corpus.hostile()).items():
        registrar.move_to(place)
        for entry in entries:
            call = CallerFacts(7, "1.1", "PJSIP/trunk-1", entry.text, "", "", None)
            for typed in (False, True):
                checked = await registrar.check(call, entry.text, typed)
                if checked != Refused(entry.rule.value):
                    wrong.append((entry, checked))
    assert wrong == []


@pytest.mark.parametrize("source", [Source.CALLER_ID, pytest.param(Source.TYPED, marks=pytest.mark.slow)])
async def test_ordinary_number_is_registered(registrar: CorpusRegistrar, database: Database, source: Source) -> None:
    registrar.view = module_view(silent=source is Source.CALLER_ID)
    async with serving(registrar) as port:
        for place, entries in number_corpus.by_place(number_corpus.sample(number_corpus.ordinary())).items():
            registrar.move_to(place)
            numbers = {entry.text: entry.number for entry in entries}
            for text, call in calls(entries, typed=source is Source.TYPED):
                await call.run(port)
                assert call.variables["BAZANG_RESULT"] == "next", (text, registrar.refusals)
                assert take_requests(database) == [(numbers[text], source.value)]


async def test_extension_may_be_left_from_inside_only(registrar: CorpusRegistrar, database: Database) -> None:
    async with serving(registrar) as port:
        call = FakeCall(Press("intro", "1"), headers=headers("701", 1))
        await call.run(port)
    assert call.variables["BAZANG_RESULT"] == "error"
    assert registrar.refusals == ["extension"]
