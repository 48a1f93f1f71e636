"""The number policy in the panel's own requests, and before dialling."""

from datetime import timedelta

import pytest

from app.config import Settings
from app.domain.lifecycle import Status
from app.domain.number_policy import Rule, Source
from app.domain.policy import ReasonCode
from app.services.errors import ErrorCode, Invalid
from app.services.requests import pending
from app.services.requests.access import Scope
from app.services.requests.attempts import claim_due
from app.services.requests.create import NewRequest, create_request
from app.services.requests.registration import Registration, register
from app.services.requests.results import ResultCode
from app.services.settings import numbers
from app.store.database import Database
from app.store.models import Attempt, CallRequest, Module
from app.store.settings import write_setting
from tests.support import number_corpus
from tests.support.factories import (
    NOW,
    create_line,
    create_module,
    create_running_service,
    make_facts,
    make_line,
    reload,
)
from tests.support.factories import create_request as create_row

EVERYTHING = Scope("sara", everything=True)
LONDON = "+442071838750"


def set_office(database: Database, place: number_corpus.Place) -> None:
    with database.write() as session:
        write_setting(session, "region", place.region)
        write_setting(session, "area_code", place.area_code)


def allow(database: Database, office: Settings, value: str = "GB", *, typed: bool = False) -> None:
    kind = "country" if len(value) == 2 else "allow"
    numbers.add_rule(database, office, kind, value, typed=typed, note="", actor="sara", now=NOW)


# -- the corpus before dialling ---------------------------------------------------------------------------------------


def test_no_hostile_number_is_dialled_even_if_it_is_stored(database: Database, office: Settings) -> None:
    """As if it had been allowed when it was registered, or somebody had written it into the database."""
    module = create_module(database, min_wait=0, rest=0)
    facts = make_facts([make_line(extension) for extension in ("101", *number_corpus.EXTENSIONS)])
    for place, entries in number_corpus.by_place(number_corpus.hostile()).items():
        set_office(database, place)
        texts = {entry.text[:24] for entry in entries}
        with database.write() as session:
            session.query(CallRequest).delete()
            session.add_all(
                CallRequest(
                    module_id=module.id,
                    module_name="Sales",
                    target="101",
                    number=text,
                    number_source=Source.CALLER_ID.value,
                    status="waiting",
                    call_now=True,
                    first_called_at=NOW,
                    registered_at=NOW,
                )
                for text in texts
            )
        allowed = texts & set(number_corpus.EXTENSIONS)
        dispatch = claim_due(database, office, facts, NOW)
        assert {order.number for order in dispatch.orders} <= allowed


def test_ordinary_number_of_each_kind_is_dialled(database: Database, office: Settings) -> None:
    module = create_module(database, min_wait=0, rest=0, target_kind="extension", targets=[])
    for place, entries in number_corpus.by_place(number_corpus.sample(number_corpus.ordinary())).items():
        set_office(database, place)
        wanted = {entry.number: f"2{index:03}" for index, entry in enumerate({e.number: e for e in entries}.values())}
        with database.write() as session:
            session.query(Attempt).delete()
            session.query(CallRequest).delete()
            session.add_all(
                CallRequest(
                    module_id=module.id,
                    module_name="Sales",
                    target=extension,
                    number=number,
                    number_source=Source.TYPED.value,
                    status="waiting",
                    first_called_at=NOW,
                    registered_at=NOW,
                )
                for number, extension in wanted.items()
            )
        facts = make_facts([make_line(extension) for extension in wanted.values()])
        dispatch = claim_due(database, office, facts, NOW)
        assert {order.number for order in dispatch.orders} == set(wanted)


# -- before dialling --------------------------------------------------------------------------------------------------


def test_request_waits_with_its_reason_until_the_number_is_allowed(database: Database, office: Settings) -> None:
    module = create_module(database, min_wait=0, rest=0, targets=["101", "102"])
    abroad = create_row(database, module, target="101", number=LONDON)
    create_row(database, module, target="102")
    create_running_service(database, region="IR", heartbeat=NOW)
    for extension in ("101", "102"):
        create_line(database, extension)
    facts = make_facts([make_line("101"), make_line("102")])
    assert [order.number for order in claim_due(database, office, facts, NOW).orders] == ["+989121234567"]
    (row,) = [row for row in pending.load_pending(database, EVERYTHING, NOW).active if row.id == abroad.id]
    assert row.number == "00442071838750"
    assert row.reason is not None and row.reason.verdict is not None
    assert (row.reason.code, row.reason.verdict.rule) == (ReasonCode.NUMBER_REFUSED, Rule.FOREIGN)
    allow(database, office)
    (order,) = claim_due(database, office, facts, NOW + timedelta(seconds=1)).orders
    assert (order.number, order.dialled, order.spoken) == (LONDON, "00442071838750", "00442071838750")


def test_typed_number_that_is_no_longer_allowed_waits_until_the_caller_calls_from_it(
    database: Database, office: Settings
) -> None:
    module = create_module(database, min_wait=0, rest=0)
    allow(database, office)
    facts = make_facts([make_line("101")])
    typed = register(database, Registration(module.id, LONDON, Source.TYPED, extension="101", uniqueid="1.1"), NOW)
    assert claim_due(database, office, facts, NOW).orders == ()
    again = register(database, Registration(module.id, LONDON, extension="101", uniqueid="1.2"), NOW)
    assert again == typed
    assert [order.request_id for order in claim_due(database, office, facts, NOW).orders] == [typed]


# -- requests that colleagues create ----------------------------------------------------------------------------------


@pytest.fixture
def module(database: Database) -> Module:
    return create_module(database)


def created(database: Database, office: Settings, module: Module, number: str) -> CallRequest:
    result = create_request(database, office, EVERYTHING, NewRequest(number, module.id, "101"), NOW)
    with database.read() as session:
        return session.get_one(CallRequest, result.id)


@pytest.mark.parametrize(
    ("number", "error"),
    [
        ("", ErrorCode.REQUIRED),
        ("x", ErrorCode.NUMBER),
        ("118", ErrorCode.SHORT_NUMBER),
        ("110", ErrorCode.EMERGENCY),
        ("+449061234567", ErrorCode.COSTLY),
        (LONDON, ErrorCode.FOREIGN),
        ("0912 111 2222", ErrorCode.PREFIX_REFUSED),
    ],
)
def test_each_rule_has_its_own_error(
    database: Database, office: Settings, module: Module, number: str, error: ErrorCode
) -> None:
    numbers.add_rule(database, office, "refuse", "0912", typed=False, note="", actor="sara", now=NOW)
    with pytest.raises(Invalid) as invalid:
        created(database, office, module, number)
    assert invalid.value.errors == {"number": error}


def test_kind_that_is_not_allowed_has_its_own_error(database: Database, office: Settings, module: Module) -> None:
    numbers.save_kinds(database, ["landline"], [], actor="sara", now=NOW)
    with pytest.raises(Invalid) as invalid:
        created(database, office, module, "09121234567")
    assert invalid.value.errors == {"number": ErrorCode.KIND}


def test_colleague_may_create_what_a_caller_may_not_type(database: Database, office: Settings, module: Module) -> None:
    allow(database, office)
    row = created(database, office, module, LONDON)
    assert (row.number, row.number_source) == (LONDON, Source.PANEL)


def test_colleague_vouches_for_a_typed_number(database: Database, office: Settings, module: Module) -> None:
    allow(database, office)
    row = create_row(database, module, target="101", number=LONDON, number_source=Source.TYPED.value)
    result = create_request(database, office, EVERYTHING, NewRequest(LONDON, module.id, "101"), NOW)
    assert (result.code, result.id) == (ResultCode.DUPLICATE, row.id)
    assert reload(database, row).number_source == Source.PANEL
    assert Status(reload(database, row).status) is Status.WAITING
