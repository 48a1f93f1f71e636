"""The registrar: which numbers it accepts, and that a request is stored before the caller hears so."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import AsyncMock

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.audio.prompt_texts import place_text, wait_text
from app.config import Settings
from app.domain.estimated_wait import FEWEST
from app.domain.hours import Outside
from app.domain.limits import LimitReason
from app.domain.number_policy import NumberPolicy
from app.services.errors import NotFound
from app.store.database import Database
from app.store.models import CallRequest, ListedNumber
from app.store.number_policy import load_policy
from app.store.settings import write_setting
from app.telephony.ivr import Accepted, CallerFacts, ChosenTime, ModuleView, NotRegistered, Refused, Sound
from app.telephony.snapshot import Snapshot
from app.worker import module_prompts
from app.worker import registrar as registrar_module
from app.worker.background import BackgroundTasks
from app.worker.prompts import PromptStore
from app.worker.recording_inbox import RecordingInbox
from app.worker.registrar import Registrar
from app.worker.spoken_names import SpokenNames
from tests.support.factories import NOW, create_line, create_module, create_past_requests, create_request

INSIDE = "PJSIP/101-0000002a"
TRUNK = "PJSIP/trunk-0000002b"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MOBILE = Accepted("+989121234567", "09121234567")


def facts(channel: str = TRUNK, **values: Any) -> CallerFacts:
    defaults = CallerFacts(
        module_id=1,
        uniqueid="1.1",
        channel=channel,
        caller_number="09121234567",
        caller_name="Sara",
        wanted="101",
        first_called_at=NOW.timestamp(),
    )
    return replace(defaults, **values)


def read_101(snapshot: Snapshot) -> None:
    """Let the snapshot know the extension 101 and its phone."""
    row = {"Event": "ExtensionStatus", "Exten": "101", "Context": "hints", "Hint": "PJSIP/101", "Status": "0"}
    snapshot.poll_extensions([row], NOW)


@pytest.fixture
def registered() -> list[str]:
    """The stored numbers at each call of the registrar's callback."""
    return []


@pytest.fixture
def refused() -> list[LimitReason]:
    """The reasons of the limits that the registrar reported."""
    return []


def no_names(settings: Settings, database: Database) -> SpokenNames:
    """Return the names of an office in which nobody says one."""
    sounds = PromptStore(settings, database)
    return SpokenNames(database, sounds, RecordingInbox(settings), tasks=BackgroundTasks())


@pytest.fixture
def registrar(
    office: Settings, database: Database, registered: list[str], refused: list[LimitReason]
) -> Iterator[Registrar]:
    """A registrar in Tehran with the extensions 101 and 102 and their phones."""
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
    yield Registrar(
        office,
        database,
        sounds,
        snapshot,
        no_names(office, database),
        registered=lambda: registered.append(stored(database)),
        refused=refused.append,
    )


def stored(database: Database) -> str:
    """Return the numbers that another connection finds in the database."""
    with database.read() as session:
        return " ".join(session.scalars(select(CallRequest.number).order_by(CallRequest.id)))


async def test_callers_at_once_read_the_number_rules_once(
    registrar: Registrar, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = list[str]()

    def read(session: Session, region: str, stored: Mapping[str, str]) -> NumberPolicy:
        reads.append(region)
        return load_policy(session, region, stored)

    monkeypatch.setattr(registrar_module, "load_policy", read)
    checks = [registrar.check(facts(TRUNK), f"0912{number:07}", False) for number in range(20)]
    assert all(isinstance(checked, Accepted) for checked in await asyncio.gather(*checks))
    assert len(reads) == 1


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
async def test_national_number_is_accepted_and_normalized(
    registrar: Registrar, number: str, accepted: Accepted, typed: bool
) -> None:
    for channel in (TRUNK, INSIDE):
        assert await registrar.check(facts(channel), number, typed) == replace(accepted, typed=typed)


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
async def test_number_that_must_not_be_called_is_refused_with_a_reason(
    registrar: Registrar, number: str, why: str, channel: str
) -> None:
    assert await registrar.check(facts(channel), number, True) == Refused(why)


@pytest.mark.parametrize("typed", [False, True])
async def test_internal_caller_may_register_an_extension(registrar: Registrar, typed: bool) -> None:
    assert await registrar.check(facts(INSIDE), "102", typed) == Accepted("102", "102", typed)


@pytest.mark.parametrize(
    "channel", [TRUNK, "", "Local/101@bazang-agent-00000001;2", "PJSIP/1010-00000001", "SIP/101-1"]
)
async def test_extension_from_outside_is_refused(registrar: Registrar, channel: str) -> None:
    """A caller on the trunk may have the caller ID 101."""
    assert await registrar.check(facts(channel), "101", False) == Refused("extension")
    assert await registrar.check(facts(channel), "102", True) == Refused("extension")


async def test_nobody_is_called_back_to_themselves(registrar: Registrar, database: Database) -> None:
    module = create_module(database, targets=["101", "102"])
    own = facts(INSIDE, module_id=module.id)
    assert await registrar.check(own, "101", False) == Refused("self")
    assert await registrar.check(own, "102", True) == Accepted("102", "102", True)
    assert await registrar.check(replace(own, wanted=""), "101", False) == Accepted("101", "101")


@pytest.mark.parametrize(
    ("number", "typed", "asked"),
    [("09121234567", False, []), ("103", True, []), ("103", False, ["103"]), ("101", False, [])],
)
async def test_pbx_is_asked_only_for_a_caller_whose_own_number_is_unknown(
    office: Settings, database: Database, number: str, typed: bool, asked: list[str]
) -> None:
    """Each question can make Asterisk create a hint, so no outside number may cause one."""
    questions: list[str] = []

    async def learn(extension: str) -> bool:
        questions.append(extension)
        return False

    snapshot = Snapshot()
    read_101(snapshot)
    create_line(database, "101")
    registrar = Registrar(
        office, database, PromptStore(office, database), snapshot, no_names(office, database), learn=learn
    )
    await registrar.check(facts("PJSIP/101-1", wanted=""), number, typed)
    assert questions == asked


async def test_caller_from_an_extension_that_was_not_read_yet_is_judged_again(
    office: Settings, database: Database
) -> None:
    """The tables know the extension, but not yet what the PBX says of its phone."""
    snapshot = Snapshot()

    async def learn(extension: str) -> bool:
        assert extension == "101"
        read_101(snapshot)
        return True

    create_line(database, "101")
    registrar = Registrar(
        office, database, PromptStore(office, database), snapshot, no_names(office, database), learn=learn
    )
    call = facts("PJSIP/101-1", module_id=create_module(database, targets=["102"]).id, wanted="102")
    assert await registrar.check(call, "101", False) == Accepted("101", "101")


@pytest.mark.parametrize(
    ("channel", "shown", "expected"),
    [
        ("PJSIP/101-1", "02188881234", "101"),  # the PBX gives all phones the number of the office
        ("PJSIP/101-1", "", "02188881234"),  # a gateway that is an extension: the number is a caller's
        ("PJSIP/101-1", "02188885678", "02188881234"),
        ("PJSIP/trunk-1", "02188881234", "02188881234"),
        ("Local/101@from-phones-1;2", "02188881234", "02188881234"),
    ],
)
async def test_phone_that_shows_the_number_of_the_office_is_called_back_inside(
    office: Settings, database: Database, channel: str, shown: str, expected: str
) -> None:
    async def shown_number(device: str) -> str:
        return shown

    snapshot = Snapshot()
    read_101(snapshot)
    create_line(database, "101")
    registrar = Registrar(
        office, database, PromptStore(office, database), snapshot, no_names(office, database), shown_number=shown_number
    )
    module = create_module(database, targets=["102"]).id
    call = replace(facts(channel, module_id=module, wanted="102"), caller_number="02188881234")
    accepted = await registrar.check(call, call.caller_number, False)
    assert isinstance(accepted, Accepted)
    assert accepted.spoken == expected
    await registrar.register(call, accepted)
    with database.read() as session:
        (stored,) = session.scalars(select(CallRequest))
    assert stored.caller_number == expected


async def test_new_extension_is_accepted_when_the_rules_are_read_again(
    registrar: Registrar, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await registrar.check(facts(INSIDE), "103", True) == Refused("invalid")
    create_line(database, "103")
    assert await registrar.check(facts(INSIDE), "103", True) == Refused("invalid")  # the rules are cached
    monkeypatch.setattr(registrar_module, "RULES_TTL", -1.0)
    assert await registrar.check(facts(INSIDE), "103", True) == Accepted("103", "103", True)


async def test_rules_of_before_are_used_while_the_database_is_away(
    registrar: Registrar, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a caller who presses 1 in that moment can be registered when it is back."""
    monkeypatch.setattr(registrar_module, "RULES_TTL", -1.0)
    known = registrar.number_rules()

    def refuse() -> Any:
        raise OperationalError("SELECT", {}, Exception("the server is away"))

    with monkeypatch.context() as away:
        away.setattr(database, "read", refuse)
        assert registrar.number_rules() == known
        registrar._rules = None
        with pytest.raises(OperationalError):
            registrar.number_rules()
    assert registrar.number_rules() == known


async def test_request_is_stored_before_the_callback(
    registrar: Registrar, database: Database, registered: list[str]
) -> None:
    module = create_module(database, targets=["101", "102"])
    await registrar.register(facts(module_id=module.id), MOBILE)
    with database.read() as session:
        (row,) = session.scalars(select(CallRequest)).all()
    assert (row.module_id, row.number, row.target, row.call_uniqueid) == (module.id, MOBILE.number, "101", "1.1")
    assert (row.caller_number, row.caller_name, row.created_by) == ("09121234567", "Sara", "")
    assert row.first_called_at == NOW
    assert registered == [MOBILE.number], "the callback wakes the dispatcher, which must find the request"


async def test_repeated_registration_of_a_call_is_stored_once(registrar: Registrar, database: Database) -> None:
    module = create_module(database)
    for _ in range(3):
        await registrar.register(facts(module_id=module.id), MOBILE)
    assert stored(database) == MOBILE.number


@pytest.mark.parametrize("first", [None, 0.0])
async def test_missing_time_of_the_first_call_means_now(
    registrar: Registrar, database: Database, first: float | None
) -> None:
    before = datetime.now(UTC)
    await registrar.register(facts(module_id=create_module(database).id, first_called_at=first), MOBILE)
    with database.read() as session:
        (row,) = session.scalars(select(CallRequest)).all()
    assert before <= row.first_called_at <= datetime.now(UTC)


async def test_request_that_cannot_be_stored_causes_no_callback(registrar: Registrar, registered: list[str]) -> None:
    with pytest.raises(NotFound):
        await registrar.register(facts(module_id=4711), MOBILE)
    assert registered == []


async def test_unknown_module_is_none(registrar: Registrar, database: Database) -> None:
    assert await registrar.module(4711) is None


def block(database: Database, number: str) -> None:
    with database.write() as session:
        session.add(ListedNumber(kind="block", first=number, last=number, created_at=NOW))


async def test_blocked_caller_is_refused_for_every_number(
    registrar: Registrar, database: Database, refused: list[LimitReason]
) -> None:
    call = facts(module_id=create_module(database).id)
    block(database, MOBILE.number)
    assert await registrar.check(call, call.caller_number, False) == Refused("blocked", final=True)
    assert await registrar.check(call, "88880000", True) == Refused("blocked", final=True)
    other = replace(call, caller_number="09121234568")
    assert await registrar.check(other, "09121234567", True) == Refused("blocked"), "they may type another number"
    with pytest.raises(NotRegistered, match="blocked"):
        await registrar.register(call, MOBILE)
    assert (refused, stored(database)) == ([LimitReason.BLOCKED] * 4, "")


async def test_blocked_foreign_caller_may_not_type_a_number(registrar: Registrar, database: Database) -> None:
    call = facts(module_id=create_module(database).id, caller_number="00442079460018")
    assert isinstance(await registrar.check(call, "09121234567", True), Accepted)
    block(database, "+442079460018")
    assert await registrar.check(call, "09121234567", True) == Refused("blocked", final=True)


async def test_limit_of_the_module_is_final_and_that_of_a_number_is_not(
    registrar: Registrar, database: Database, refused: list[LimitReason]
) -> None:
    call = facts(module_id=create_module(database).id, caller_number="")
    await registrar.register(call, MOBILE)
    with database.write() as session:
        write_setting(session, "number_hour_limit", "1")
    second = replace(call, module_id=create_module(database, code="*7002").id, uniqueid="1.2")
    assert await registrar.check(second, "09121234567", True) == Refused("number_hour")
    with database.write() as session:
        write_setting(session, "waiting_limit", "1")
    assert await registrar.check(second, "09351234567", True) == Refused("waiting", final=True)
    assert refused == [LimitReason.NUMBER_HOUR, LimitReason.WAITING]
    accepted = await registrar.check(replace(call, uniqueid="1.3"), "09121234567", True)
    assert accepted == replace(MOBILE, typed=True, is_open=True), "it has a request"


@pytest.mark.parametrize(
    ("week", "stop_before", "outside"),
    [
        ("", 0, Outside.DECLINE),
        (None, 0, None),
        ("mon 00:00-24:00", 0, None),
        ("mon 08:00-12:00", 3600, Outside.DECLINE),
    ],
)
async def test_registrar_says_what_is_offered_outside_the_hours(
    registrar: Registrar,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    week: str | None,
    stop_before: int,
    outside: Outside | None,
) -> None:
    module = create_module(database, outside="decline", stop_before=stop_before)
    view = ModuleView(module.id, "Sales", "*5001", True, False, "en", {}, {})
    registrar._sounds._module_prompts._modules[module.id] = view
    monkeypatch.setattr(module_prompts, "utcnow", lambda: NOW)  # a Monday, 11:30 in Tehran
    if week is not None:
        with database.write() as session:
            write_setting(session, "office_hours", week)
    found = await registrar.module(module.id)
    assert found is not None and found.outside == outside


async def test_registrar_knows_no_module_that_is_gone(registrar: Registrar) -> None:
    assert await registrar.module(99) is None
    registrar._sounds._module_prompts._modules[99] = ModuleView(99, "Sales", "*5001", True, False, "en", {}, {})
    assert await registrar.module(99) is None


@pytest.mark.parametrize(
    ("key", "fields", "at", "moved", "text"),
    [
        ("2", {}, NOW + 20 * MINUTE, False, "We will call you in 20 minutes."),
        ("3", {}, NOW + 90 * MINUTE, True, "We will call you today, at 1 in the afternoon."),
        ("2", {"stop_before": 900}, NOW + 90 * MINUTE, True, "We will call you today, at 1 in the afternoon."),
        ("9", {}, NOW + 90 * MINUTE, False, "We will call you in 90 minutes."),
        ("9", {"quarter_limit": 1}, NOW + 105 * MINUTE, True, "We will call you today, at 1:15 in the afternoon."),
        ("*", {}, NOW + 21 * HOUR, False, "We will call you tomorrow, at 8:30 in the morning."),
        (
            "#",
            {},
            NOW + 21 * HOUR + 7 * DAY - DAY,
            True,
            "We will call you in 7 days, on Monday, at 8:30 in the morning.",
        ),
        ("1", {"hours": "mon"}, None, True, ""),
    ],
)
async def test_time_that_a_caller_chooses_is_free_and_said_as_it_is(
    registrar: Registrar,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    fields: dict[str, Any],
    at: datetime | None,
    moved: bool,
    text: str,
) -> None:
    monkeypatch.setattr(registrar_module, "utcnow", lambda: NOW)  # a Monday, 11:30 in Tehran
    speak = AsyncMock(side_effect=lambda _module, said: Sound(said, 1.0))
    monkeypatch.setattr(registrar._sounds, "speak", speak)
    hours: dict[str, Any] = {"hours": "mon 08:30-12:00, 13:00-17:00; tue 08:30-12:00"}
    module = create_module(database, language="en", **(hours | fields))
    create_request(database, module, postponed_until=NOW + 100 * MINUTE)
    chosen = await registrar.choose_time(facts(module_id=module.id), key)
    assert chosen == (None if at is None else ChosenTime(at, moved, [Sound(text, 1.0)]))


async def test_chosen_time_is_stored(registrar: Registrar, database: Database) -> None:
    create_module(database)
    await registrar.register(facts(), MOBILE, NOW + 10 * MINUTE)
    with database.read() as session:
        (row,) = session.scalars(select(CallRequest))
    assert (row.postponed_until, row.time_chosen) == (NOW + 10 * MINUTE, True)


@pytest.mark.parametrize(
    ("fields", "minutes", "texts"),
    [
        ({"tells_place": True, "tells_wait": True}, 20, [place_text(1, "en"), wait_text(20, "en")]),
        ({"tells_wait": True}, 20, [wait_text(20, "en")]),
        ({"tells_place": True}, 20, [place_text(1, "en")]),
        ({"tells_place": True, "tells_wait": True}, 0, [place_text(1, "en")]),
        ({}, 20, []),
    ],
)
async def test_module_tells_the_prospect_that_it_wants(
    registrar: Registrar,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, Any],
    minutes: int,
    texts: list[str],
) -> None:
    monkeypatch.setattr(registrar_module, "utcnow", lambda: NOW)
    speak = AsyncMock(side_effect=lambda _module, said: Sound(said, 1.0))
    monkeypatch.setattr(registrar._sounds, "speak", speak)
    module = create_module(database, language="en", **fields)
    if minutes:
        create_past_requests(database, module.id, 2 * FEWEST, minutes * MINUTE, NOW, target="101")
    create_request(database, module, number="+989120000001", target="101", first_called_at=NOW - MINUTE)
    call = facts(module_id=module.id)
    assert await registrar.prospect(call, MOBILE) == [], "there is no request"
    create_request(database, module, number=MOBILE.number, target="101")
    assert await registrar.prospect(call, MOBILE) == [Sound(text, 1.0) for text in texts]


async def test_place_is_that_of_the_queue_that_the_caller_has_left(registrar: Registrar, database: Database) -> None:
    """The PBX's own dialplan does not say when they came there."""
    joined = datetime.now(UTC) - timedelta(minutes=3)
    event = {"Event": "QueueCallerJoin", "Queue": "800", "Uniqueid": "1.1", "Position": "1", "Count": "1"}
    registrar._snapshot.handle(event, joined)
    module = create_module(database)
    late = (joined + timedelta(minutes=2)).timestamp()
    await registrar.register(facts(module_id=module.id, uniqueid="1.1/2", first_called_at=late), MOBILE)
    with database.read() as session:
        assert session.get_one(CallRequest, 1).first_called_at == joined
    assert registrar.place_in_queue("800", "1.1") == 1
