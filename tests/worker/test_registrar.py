"""The desk at which a caller registers: whose number may be called, and that it is on disk when they are told so."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from app.config import Settings
from app.services.errors import NotFound
from app.store.database import Database
from app.store.models import CallRequest
from app.store.settings import write_setting
from app.telephony.ivr import Accepted, CallerFacts, Refused
from app.telephony.snapshot import Snapshot
from app.worker import registrar
from app.worker.prompts import PromptStore
from app.worker.registrar import Registrar
from tests.support.factories import NOW, create_line, create_module

INSIDE = "PJSIP/101-0000002a"
TRUNK = "PJSIP/trunk-0000002b"
MOBILE = Accepted("+989121234567", "09121234567")


def facts(channel: str = TRUNK, **values: object) -> CallerFacts:
    plain = CallerFacts(
        module_id=1,
        uniqueid="1.1",
        channel=channel,
        caller_number="09121234567",
        caller_name="Sara",
        wanted="101",
        first_called_at=NOW.timestamp(),
    )
    return replace(plain, **values)  # type: ignore[arg-type]


@pytest.fixture
def registered() -> list[str]:
    return []


@pytest.fixture
def desk(office: Settings, database: Database, registered: list[str]) -> Iterator[Registrar]:
    """A desk in Tehran with the extensions 101 and 102, of which the exchange knows the phones."""
    snapshot = Snapshot()
    rows = [
        {"Event": "ExtensionStatus", "Exten": exten, "Context": "hints", "Hint": f"PJSIP/{exten}", "Status": "0"}
        for exten in ("101", "102")
    ]
    snapshot.poll_extensions(rows, NOW)
    for extension in ("101", "102"):
        create_line(database, extension)
    with database.write() as session:
        write_setting(session, "area_code", "021")
    sounds = PromptStore(office, database)
    yield Registrar(office, database, sounds, snapshot, registered=lambda: registered.append(stored(database)))


def stored(database: Database) -> str:
    """Return the numbers that another connection finds on disk at this moment."""
    with database.read() as session:
        return " ".join(session.scalars(select(CallRequest.number).order_by(CallRequest.id)))


@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize(
    ("number", "accepted"),
    [
        ("09121234567", MOBILE),
        ("+989121234567", MOBILE),
        ("00989121234567", MOBILE),
        ("88880000", Accepted("+982188880000", "02188880000")),
    ],
)
async def test_a_number_of_the_country_is_accepted_and_made_one_form(
    desk: Registrar, number: str, accepted: Accepted, typed: bool
) -> None:
    for channel in (TRUNK, INSIDE):
        assert await desk.check(facts(channel), number, typed) == accepted


@pytest.mark.parametrize(
    ("number", "why"),
    [
        ("", "empty"),
        ("anonymous", "invalid"),
        ("0912", "invalid"),
        ("9" * 30, "invalid"),
        ("09121234567;110", "invalid"),
        ("+12025550123", "foreign"),
        ("115", "emergency"),
        ("110", "emergency"),
    ],
)
@pytest.mark.parametrize("channel", [TRUNK, INSIDE])
async def test_what_may_not_be_called_is_refused_with_its_reason(
    desk: Registrar, number: str, why: str, channel: str
) -> None:
    assert await desk.check(facts(channel), number, True) == Refused(why)


@pytest.mark.parametrize("typed", [False, True])
async def test_a_colleague_may_be_called_back_at_their_extension(desk: Registrar, typed: bool) -> None:
    assert await desk.check(facts(INSIDE), "102", typed) == Accepted("102", "102")


@pytest.mark.parametrize(
    "channel", [TRUNK, "", "Local/101@bazang-agent-00000001;2", "PJSIP/1010-00000001", "SIP/101-1"]
)
async def test_a_stranger_who_claims_an_extension_is_refused(desk: Registrar, channel: str) -> None:
    """What comes in over the trunk may call itself 101; calling that back would ring a colleague about nobody."""
    assert await desk.check(facts(channel), "101", False) == Refused("extension")
    assert await desk.check(facts(channel), "102", True) == Refused("extension")


async def test_a_new_extension_is_known_after_a_moment(
    desk: Registrar, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await desk.check(facts(INSIDE), "103", True) == Refused("invalid")
    create_line(database, "103")
    assert await desk.check(facts(INSIDE), "103", True) == Refused("invalid")  # the rules are remembered so long
    monkeypatch.setattr(registrar, "RULES_TTL", -1.0)
    assert await desk.check(facts(INSIDE), "103", True) == Accepted("103", "103")


async def test_a_request_is_on_disk_when_the_caller_is_told(
    desk: Registrar, database: Database, registered: list[str]
) -> None:
    module = create_module(database, targets=["101", "102"])
    await desk.register(facts(module_id=module.id), MOBILE)
    with database.read() as session:
        (row,) = session.scalars(select(CallRequest)).all()
    assert (row.module_id, row.number, row.target, row.call_uniqueid) == (module.id, MOBILE.number, "101", "1.1")
    assert (row.caller_number, row.caller_name, row.created_by) == ("09121234567", "Sara", "")
    assert row.first_called_at == NOW
    assert registered == [MOBILE.number], "the dispatcher is woken when it can find the request, and not before"


async def test_a_call_registers_once_however_often_it_asks(desk: Registrar, database: Database) -> None:
    module = create_module(database)
    for _ in range(3):
        await desk.register(facts(module_id=module.id), MOBILE)
    assert stored(database) == MOBILE.number


@pytest.mark.parametrize("first", [None, 0.0])
async def test_without_a_first_moment_the_caller_called_now(
    desk: Registrar, database: Database, first: float | None
) -> None:
    before = datetime.now(UTC)
    await desk.register(facts(module_id=create_module(database).id, first_called_at=first), MOBILE)
    with database.read() as session:
        (row,) = session.scalars(select(CallRequest)).all()
    assert before <= row.first_called_at <= datetime.now(UTC)


async def test_a_request_that_cannot_be_stored_is_not_confirmed(desk: Registrar, registered: list[str]) -> None:
    with pytest.raises(NotFound):
        await desk.register(facts(module_id=4711), MOBILE)
    assert registered == []


async def test_the_desk_knows_the_modules(desk: Registrar, database: Database) -> None:
    assert await desk.module(4711) is None
