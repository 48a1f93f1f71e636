"""Gather the plans of the dialplan from the tables."""

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.config import Settings, agi_secret
from app.domain.dialplan_numbers import CallerCheck, dialplan_caller_check, dialplan_number_check
from app.domain.limits import NumberRange
from app.domain.number_policy import NumberPolicy
from app.domain.numbers import OutboundFormat
from app.domain.routing import (
    HANG_UP,
    NO_DESTINATION,
    Destination,
    Dialplan,
    DownPlan,
    ExtensionPlan,
    HoursPlan,
    ModulePlan,
    QueuePlan,
)
from app.services.pbx.dialplan import gather_dialplan
from app.services.requests.outside import hours_of
from app.store.database import Database
from app.store.models import ExtensionScenario, ListedNumber, Module, Prompt, QueueScenario, SpecialDay
from app.store.settings import write_setting
from script.office.database import make_settings
from tests.support.factories import NOW, create_line, create_module, store

MODULE = Destination("module", "*5001")


def gather(database: Database, settings: Settings, now: datetime = NOW) -> Dialplan:
    return gather_dialplan(database, settings, 4573, now)


def extensions_of(database: Database, settings: Settings) -> list[str]:
    return [plan.extension for plan in gather(database, settings).extensions]


def test_empty_tables(database: Database, office: Settings) -> None:
    numbers = dialplan_number_check(NumberPolicy("IR"), OutboundFormat.NATIONAL, "")
    others = (agi_secret(office), "bazang-extensions", "bazang-queues", numbers)
    assert gather(database, office) == Dialplan((), (), (), "asterisk", "127.0.0.1", 4573, *others)


def test_modules(database: Database, office: Settings) -> None:
    first = create_module(database, code="*5002", error_kind="custom", error_code="ivr,s,1")
    second = create_module(database, code="*5001", next_kind="module", next_code="*5002")
    assert gather(database, office).modules == (
        ModulePlan(first.id, "*5002", HANG_UP, Destination("custom", "ivr,s,1")),
        ModulePlan(second.id, "*5001", Destination("module", "*5002"), HANG_UP),
    )


def test_extension_with_scenario_and_hint(database: Database, office: Settings) -> None:
    create_line(database, "101", devices="PJSIP/101&SIP/7", context="ext-local")
    scenario = ExtensionScenario(extension="101", ring=15, busy_kind="queue", busy_code="sales")
    scenario.no_answer, scenario.unavailable = MODULE, HANG_UP
    store(database, scenario)
    assert gather(database, office).extensions == (
        ExtensionPlan(
            extension="101",
            devices="PJSIP/101&SIP/7",
            hint_context="ext-local",
            add_hint=False,
            ring=15,
            no_answer=MODULE,
            busy=Destination("queue", "sales"),
            unavailable=HANG_UP,
        ),
    )


@pytest.mark.parametrize("has_own_hint", [True, False])
def test_extension_without_scenario_and_hint(database: Database, office: Settings, has_own_hint: bool) -> None:
    """The PBX reports our own hints too; they must not replace themselves."""
    if has_own_hint:
        create_line(database, "101", devices="PJSIP/old", context="bazang-extensions")
    create_module(database, targets=["101"])
    ends = (NO_DESTINATION, NO_DESTINATION, NO_DESTINATION)
    plan = ExtensionPlan("101", "PJSIP/101", "bazang-extensions", True, 25, *ends, has_scenario=False)
    assert gather(database, office).extensions == (plan,)


def test_extensions_of_modules_and_destinations(database: Database, office: Settings) -> None:
    create_line(database, "100")  # nothing needs it
    create_module(database, targets=["103", "101"], next_kind="extension", next_code="105")
    create_module(database, targets=["101"], error_kind="extension", error_code="104")
    create_module(database, target_kind="queue", targets=["109"], next_kind="queue", next_code="108")
    store(database, ExtensionScenario(extension="102"))
    store(database, ExtensionScenario(extension="101"))
    assert extensions_of(database, office) == ["101", "102", "103", "104", "105"]


@pytest.mark.parametrize("field", ["no_answer", "busy", "unavailable", "failed"])
def test_extensions_of_scenarios(database: Database, office: Settings, field: str) -> None:
    destination = {f"{field}_kind": "extension", f"{field}_code": "105"}
    if field == "failed":
        store(database, QueueScenario(queue="sales", **destination))
    else:
        store(database, ExtensionScenario(extension="101", **destination))
    assert "105" in extensions_of(database, office)


def test_freepbx_has_its_own_extensions(database: Database, office: Settings) -> None:
    create_module(database, targets=["101"], next_kind="queue", next_code="sales")
    plan = gather(database, make_settings(office.data_dir, pbx_profile="freepbx"))
    assert (plan.profile, plan.extensions) == ("freepbx", ())
    assert [queue.queue for queue in plan.queues] == ["sales"]


def test_queues_of_scenarios_and_destinations(database: Database, office: Settings) -> None:
    store(database, QueueScenario(queue="support", max_wait=30))
    store(database, QueueScenario(queue="sales", max_wait=90, failed_kind="module", failed_code="*5001"))
    create_module(database, next_kind="queue", next_code="night", error_kind="queue", error_code="day")
    assert gather(database, office).queues == (
        QueuePlan("day", 60, NO_DESTINATION),
        QueuePlan("night", 60, NO_DESTINATION),
        QueuePlan("sales", 90, MODULE),
        QueuePlan("support", 30, NO_DESTINATION),
    )


def test_numbers_follow_the_settings_of_the_office(database: Database, office: Settings) -> None:
    with database.write() as session:
        for name, value in (("region", "US"), ("outbound_format", "e164"), ("outbound_prefix", "9")):
            write_setting(session, name, value)
    expected = dialplan_number_check(NumberPolicy("US"), OutboundFormat.E164, "9")
    assert gather(database, office).numbers == expected


def test_requests_while_our_service_is_down(database: Database, office: Settings) -> None:
    off, speaking = create_module(database), create_module(database, code="*5002", keeps_while_down=True)
    create_module(database, code="*5003", keeps_while_down=True, silent=True)
    create_module(database, code="*5004", keeps_while_down=True, active=False)
    store(database, Prompt(module_id=speaking.id, key="before_success", mode="none"))
    store(database, ListedNumber(kind="block", first="+98912", created_at=NOW))
    found = gather(database, office)
    folder = f"{office.asterisk_prompts_dir}/while-down/module-{speaking.id}"
    spoken = DownPlan(False, f"{folder}-intro", "", f"{folder}-after_success")
    assert [module.down for module in found.modules] == [None, spoken, DownPlan(silent=True), None]
    assert found.callers == dialplan_caller_check(NumberPolicy("IR"), [NumberRange("+98912", "")])
    assert off.id == found.modules[0].id


def is_open(plan: HoursPlan, moment: datetime) -> bool:
    """Decide as the dialplan does."""
    local = moment.astimezone(ZoneInfo(plan.zone))
    days = {day.key: day.spans for day in plan.days}

    def has(day: date, minute: int) -> bool:
        spans = days.get(f"{day:%Y%m%d}", days[str((day.weekday() + 1) % 7)])
        return any(start <= minute < end for start, end in spans)

    minute = local.hour * 60 + local.minute
    return has(local.date(), minute) or has(local.date() - timedelta(days=1), minute + 1440)


def test_hours_while_our_service_is_down_are_those_of_the_module(database: Database, office: Settings) -> None:
    values: dict[str, Any] = {"keeps_while_down": True, "hours": "sat 08:00-12:00, 13:30-17:00; thu 22:00-03:00"}
    declining = create_module(database, outside="decline", **values)
    create_module(database, code="*5002", outside="next_opening", **values)
    create_module(database, code="*5003", outside="decline", **values | {"hours": ""})  # the office is always open
    for day, hours in ((date(2026, 3, 7), ""), (date(2026, 3, 8), "10:00-11:00")):
        store(database, SpecialDay(date=day, hours=hours, created_at=NOW))
    found = gather(database, office)
    plan, *of_others = [each.down.hours if each.down else None for each in found.modules]
    assert plan is not None and of_others[0] is None and of_others[1] is not None
    with database.read() as session:
        wanted = hours_of(session, office, session.get_one(Module, declining.id), NOW)
    moments = [NOW + timedelta(minutes=17 * number) for number in range(2000)]
    assert [is_open(plan, moment) for moment in moments] == [wanted.is_open(moment) for moment in moments]
    assert {is_open(plan, moment) for moment in moments} == {True, False}
    assert gather(database, office, NOW + timedelta(days=1)) == found, "each change makes Asterisk reload"


def test_callers_are_no_part_of_the_dialplan_if_no_module_takes_requests_alone(
    database: Database, office: Settings
) -> None:
    """A change of the block list needs no reload then."""
    create_module(database)
    store(database, ListedNumber(kind="block", first="+98912", created_at=NOW))
    assert gather(database, office).callers == CallerCheck()
