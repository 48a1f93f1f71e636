"""The dialplan takes requests while our service is down, and the worker registers each once when it is back."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.domain.hours import WEEKDAYS, Outside
from app.domain.limits import LimitReason, ListKind
from app.domain.routing import CameBy
from app.services.prompts.input import PromptInput, PromptMode
from app.services.requests.kept import KeptRefusal
from app.store.models import KeptRegistration, ListedNumber, SpecialDay
from app.store.settings import write_setting
from script.office.asterisk import OfficeSetup
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.phone import Call
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ENDS, ERROR, NEXT, ONE_VERSION, OWN, OWN_E164, Office, add_scenario
from tests.asterisk.test_freepbx import PROFILE, freepbx
from tests.asterisk.test_freepbx import prepare as freepbx_modules

OTHER, OTHER_E164 = "09127654321", "+989127654321"
REGISTERED, NOT_REGISTERED = "1", "9"  # what the next and the error destination press


KEPT = "database show bazang-kept"  # the console command that shows the registrations of callers


def prepare(bazang: Bazang, **fields: Any) -> None:
    values: dict[str, Any] = {"next": NEXT, "error": ERROR, "min_wait": 0, "keeps_while_down": True} | fields
    bazang.module(**values)


async def wait_for_sounds(office: Office) -> None:
    """Wait until the worker has made the sounds that the dialplan plays."""
    folder = office.bazang.settings.prompts_path / "while-down"
    names = {f"module-1-{key}.wav" for key in ("intro", "before_success", "after_success")}
    await office.bazang.until(
        lambda: names <= {file.name for file in folder.iterdir()}, PATIENCE, "the sounds are made"
    )


async def go_down(office: Office) -> None:
    """Kill the worker."""
    await wait_for_sounds(office)
    await office.bazang.kill_worker()


async def leave(office: Office, *, caller: str = OWN, number: str = "*5001") -> Call:
    """Leave a request as a caller, while the worker does not run. Return the call, which is at the next destination."""
    call = await office.call_in(number, caller=caller)
    await office.wait_for_prompt(call, "intro")
    await call.press("1")
    await office.wait_for_prompt(call, "after_success")
    await office.wait_for_key(call, REGISTERED)
    return call


async def kept(office: Office) -> str:
    """Return the records in Asterisk's database, as its console shows them."""
    return await office.bazang.asterisk.cli(KEPT)


async def wait_for_records(office: Office, count: int) -> None:
    await office.bazang.asterisk.wait_for_output(KEPT, lambda shown: f"{count} results found" in shown)


def stored(office: Office) -> list[KeptRegistration]:
    with office.bazang.database.read() as session:
        return list(session.query(KeptRegistration))


@ONE_VERSION
async def test_request_is_called_when_the_worker_is_back(open_office: OpenOffice) -> None:
    def with_scenario(bazang: Bazang) -> None:
        prepare(bazang)
        add_scenario(bazang)

    async with open_office(with_scenario, ENDS) as office:
        await go_down(office)
        talk = await office.occupy("101")
        await (await leave(office, number="101")).hang_up()
        back = datetime.now(UTC)
        await office.bazang.start_worker()
        request = await office.bazang.request("waiting")
        assert (request.number, request.target) == (OWN_E164, "101")
        assert request.first_called_at <= request.registered_at < back
        await talk.end()
        await office.connect_customer(await office.answer_agent("101"))
        assert len(office.bazang.requests()) == 1


async def test_hang_ups_at_each_step(open_office: OpenOffice) -> None:
    """A request is kept as soon as key 1 is pressed, and not before."""
    async with open_office(prepare, ENDS) as office:
        await go_down(office)
        at_once = await office.trunk.call("*5001", caller="09121110001")
        await at_once.hang_up()
        in_question = await office.call_in("*5001", caller="09121110002")
        await office.wait_for_prompt(in_question, "intro")
        await in_question.hang_up()
        declining = await office.call_in("*5001", caller="09121110003")
        await office.wait_for_prompt(declining, "intro")
        await declining.press("0")
        await office.wait_for_key(declining, NOT_REGISTERED)
        pressed = await office.call_in("*5001", caller="09121110004")
        await office.wait_for_prompt(pressed, "intro")
        await pressed.press("1")
        await wait_for_records(office, 1)
        await pressed.hang_up()
        told = await office.call_in("*5001", caller="09121110005")
        await office.wait_for_prompt(told, "intro")
        await told.press("1")
        await office.wait_for_prompt(told, "after_success")
        await told.hang_up()
        await office.bazang.start_worker()
        await office.bazang.until(lambda: len(office.bazang.requests()) == 2, PATIENCE, "both are registered")
        assert {row.number for row in office.bazang.requests()} == {"+989121110004", "+989121110005"}
        await wait_for_records(office, 0)


async def test_wrong_keys_and_silence_are_asked_again(open_office: OpenOffice) -> None:
    async with open_office(prepare, ENDS) as office:
        await go_down(office)
        call = await office.call_in("*5001")
        for key in ("2", "3"):
            await office.wait_for_prompt(call, "intro")
            call.rtp.received.clear()
            await call.press(key)
        await office.wait_for_prompt(call, "intro")
        await call.press("1")
        await office.wait_for_key(call, REGISTERED)


@ONE_VERSION
async def test_same_number_twice_is_one_request(open_office: OpenOffice) -> None:
    async with open_office(prepare, ENDS, phones=()) as office:
        await go_down(office)
        for caller in (OWN, OTHER, "+989121234567"):
            await (await leave(office, caller=caller)).hang_up()
        await office.bazang.start_worker()
        await office.bazang.until(lambda: len(stored(office)) == 3, PATIENCE, "all are registered")
        assert sorted(row.number for row in office.bazang.requests()) == [OWN_E164, OTHER_E164]
        assert all(row.refused == "" for row in stored(office))
        assert [entry.event for entry in office.bazang.history()].count("registered_again") == 1


@ONE_VERSION
async def test_worker_that_dies_during_the_import_registers_once(open_office: OpenOffice) -> None:
    """It is killed as soon as the request is stored, when the record is perhaps not deleted."""
    async with open_office(prepare, ENDS, phones=()) as office:
        await go_down(office)
        await (await leave(office)).hang_up()
        (line,) = [part for part in (await kept(office)).splitlines() if part.startswith("/")]
        key, _, value = line.removeprefix("/bazang-kept/").partition(":")
        office.bazang.launch_worker()
        await office.bazang.request("waiting")
        await office.bazang.kill_worker()
        await office.bazang.start_worker()
        await wait_for_records(office, 0)
        # a deletion that never reached the disk of the PBX
        await office.bazang.asterisk.cli(f"database put bazang-kept {key.strip()} {value.strip()}")
        await wait_for_records(office, 0)
        assert len(office.bazang.requests()) == 1
        assert "registered_again" not in [entry.event for entry in office.bazang.history()]


@ONE_VERSION
async def test_frozen_worker_registers_when_it_goes_on(open_office: OpenOffice) -> None:
    async with open_office(prepare, ENDS) as office:
        await wait_for_sounds(office)
        office.bazang.freeze_worker()
        await (await leave(office)).hang_up()
        office.bazang.thaw_worker()
        await office.connect_customer(await office.answer_agent("101"))
        assert len(office.bazang.requests()) == 1


async def test_callers_who_do_not_reach_the_service_while_it_runs(open_office: OpenOffice) -> None:
    """Nothing listens where the dialplan looks for FastAGI."""
    async with open_office(prepare, ENDS, AGI_HOST="127.0.0.9", AGI_BIND="127.0.0.1") as office:
        await wait_for_sounds(office)
        call = await leave(office)
        await office.connect_customer(await office.answer_agent("101"))
        await call.hang_up()
        await wait_for_records(office, 0)
        assert len(office.bazang.requests()) == 1


@ONE_VERSION
async def test_service_that_comes_back_before_the_confirmation(open_office: OpenOffice) -> None:
    """The record is gone when the dialplan looks, because the request is registered."""
    waits = "We are registering your request now, and that can take quite a while today. " * 6

    def with_long_prompt(bazang: Bazang) -> None:
        prepare(bazang, prompts={"before_success": PromptInput(PromptMode.SPEECH, waits)})

    async with open_office(with_long_prompt, ENDS, phones=()) as office:
        await go_down(office)
        call = await office.call_in("*5001")
        await office.wait_for_prompt(call, "intro")
        await call.press("1")
        await wait_for_records(office, 1)
        await office.bazang.start_worker()
        await wait_for_records(office, 0)
        assert not call.rtp.keys_heard
        await office.wait_for_prompt(call, "after_success")
        await office.wait_for_key(call, REGISTERED)
        assert len(office.bazang.requests()) == 1


async def test_confirmed_request_survives_a_kill_of_asterisk(open_office: OpenOffice) -> None:
    async with open_office(prepare, ENDS, phones=()) as office:
        await go_down(office)
        call = await office.call_in("*5001")
        await office.wait_for_prompt(call, "intro")
        await call.press("1")
        await office.wait_for_prompt(call, "after_success")
        await office.bazang.asterisk.restart(hard=True)
        assert "1 results found" in await kept(office)
        await office.bazang.start_worker()
        assert (await office.bazang.request("waiting")).number == OWN_E164


@ONE_VERSION
async def test_module_that_takes_none(open_office: OpenOffice) -> None:
    """The switch is off, or the module is inactive."""

    def two(bazang: Bazang) -> None:
        prepare(bazang, keeps_while_down=False)
        prepare(bazang, code="*5002", active=False)

    async with open_office(two, ENDS, phones=()) as office:
        await office.bazang.kill_worker()
        for code in ("*5001", "*5002"):
            await office.wait_for_key(await office.call_in(code), NOT_REGISTERED)
        assert "0 results found" in await kept(office)


@ONE_VERSION
async def test_module_declines_outside_its_hours(open_office: OpenOffice) -> None:
    """By the week, by special days, and by hours that began yesterday, in the time zone of the office."""
    zone = ZoneInfo("Pacific/Kiritimati")  # 14 hours before UTC: mostly another day than here
    now = datetime.now(zone)
    today, yesterday = WEEKDAYS[now.weekday()], WEEKDAYS[now.weekday() - 1]
    others = "; ".join(f"{day} 00:00-24:00" for day in WEEKDAYS if day != today)
    passed, soon, later = (f"{now + timedelta(minutes=minutes):%H:%M}" for minutes in (-10, 60, 90))
    # The hours of each module, whether the special day of today counts for it, and whether it takes the request.
    cases: dict[str, tuple[str, bool, Outside, bool]] = {
        "*5001": (f"{today} 00:00-24:00", False, Outside.DECLINE, True),
        "*5002": (others, False, Outside.DECLINE, False),
        "*5003": (others, False, Outside.NEXT_OPENING, True),
        "*5004": (f"{today} 00:00-24:00", True, Outside.DECLINE, False),
        "*5005": (f"{yesterday} {soon}-{passed}", False, Outside.DECLINE, False),
        "*5006": (f"{yesterday} {later}-{soon}", False, Outside.DECLINE, True),
    }
    if not "00:00" < passed < later:
        pytest.skip("midnight is near")

    def prepare_all(bazang: Bazang) -> None:
        with bazang.database.write() as session:
            write_setting(session, "timezone", str(zone))
            session.add(SpecialDay(date=now.date(), created_at=datetime.now(UTC)))
        for code, (hours, holidays, outside, _) in cases.items():
            prepare(bazang, code=code, silent=True, hours=hours, holidays=holidays, outside=outside.value)

    async with open_office(prepare_all, ENDS, phones=()) as office:
        await office.bazang.kill_worker()
        for code, case in cases.items():
            await press_of(office, await office.call_in(code), REGISTERED if case[-1] else NOT_REGISTERED)
        await wait_for_records(office, 3)
        log = office.bazang.asterisk.log_file.read_text(errors="replace")
        assert "syntax error" not in log and "No such label" not in log


@ONE_VERSION
async def test_silent_module_keeps_the_number(open_office: OpenOffice) -> None:
    async with open_office(lambda bazang: prepare(bazang, silent=True), ENDS, phones=()) as office:
        await office.bazang.kill_worker()
        await office.wait_for_key(await office.call_in("*5001"), REGISTERED)
        await office.wait_for_key(await office.call_in("*5001", anonymous=True), NOT_REGISTERED)
        await office.bazang.start_worker()
        assert (await office.bazang.request("waiting")).number == OWN_E164


# As in a SIP address: with %22 for a quote.
CALLERS = [
    *("anonymous", "101", "118", "110", "0912", "09121234567890123456789", "*5001", "+", "++", "+0+9", "0912123456a"),
    *("+1202", "+12025550123", "00442071838750", "09129990001", "00989129990001", "+989129990001", "9129990001"),
    *("0912%221234567", "0912(1234567", "0912)1234567", "0912,1234567", "09121234567&PJSIP/101", "09121234567/1"),
    *("%24%7BEPOCH%7D", "%24%5B1+1%5D", "0912%5C1234567", "0912%3B1234567", "02199000000", "0912888000"),
]


@ONE_VERSION
async def test_callers_who_are_not_offered_it(open_office: OpenOffice) -> None:
    """Withheld, short, internal, foreign, hostile and blocked numbers go to the error destination."""

    def block(bazang: Bazang) -> None:
        prepare(bazang, silent=True)
        with bazang.database.write() as session:
            for first, last in (("+989129990001", "+989129990001"), ("+982199", ""), ("101", "101")):
                session.add(ListedNumber(kind=ListKind.BLOCK, first=first, last=last, created_at=datetime.now(UTC)))

    async with open_office(block, ENDS, phones=("101",)) as office:
        await office.bazang.kill_worker()
        for caller in CALLERS:
            await press_of(office, await office.call_in("*5001", caller=caller), NOT_REGISTERED)
        await press_of(office, await office.call_in("*5001", anonymous=True), NOT_REGISTERED)
        await press_of(office, await office.phones["101"].call("*5001"), NOT_REGISTERED)
        assert "0 results found" in await kept(office)
        for caller in (OTHER, "989127654322", "+989127654323", "00989127654324", "9127654325"):
            await press_of(office, await office.call_in("*5001", caller=caller), REGISTERED)
        log = office.bazang.asterisk.log_file.read_text(errors="replace")
        assert "syntax error" not in log and "No such label" not in log
        await office.bazang.start_worker()
        await office.bazang.until(lambda: len(office.bazang.requests()) == 5, PATIENCE, "the others are registered")
        assert {row.number for row in office.bazang.requests()} == {f"+98912765432{n}" for n in range(1, 6)}


async def press_of(office: Office, call: Call, key: str) -> None:
    """Wait for the destination of a call, and hang up."""
    await office.wait_for_key(call, key)
    await call.hang_up()


FLOOD = f"""
[from-trunk](+)
exten => 7000,1,Goto(flood,s,1)
[flood]
exten => s,1,Set(n=0)
 same => n(next),Set(n=$[${{n}} + 1])
 same => n,Set(id=1764444444.${{n}})
 same => n,Set(DB(bazang-kept/${{id}}-1)=${{EPOCH}}/0912${{MATH(1000000+${{n}},int)}}/1///1///${{id}})
 same => n,GotoIf($[${{n}} < 180]?next)
 same => n,Hangup()
{ENDS.extra_dialplan}
"""


@ONE_VERSION
async def test_flood_and_records_that_cannot_be_read(open_office: OpenOffice) -> None:
    """So many are kept, and all of them are registered when the worker is back, as far as the limits allow."""
    async with open_office(prepare, OfficeSetup(extra_dialplan=FLOOD), phones=()) as office:
        await go_down(office)
        await office.trunk.call("7000")
        await wait_for_records(office, 180)
        call = await office.call_in("*5001")
        await office.wait_for_key(call, NOT_REGISTERED)
        for key, value in (("junk", "x"), ("9.9-1", "99999999999/1/1"), ("1.1-1", f"1/{OTHER}/1///1///1.1")):
            await office.bazang.asterisk.cli(f"database put bazang-kept {key} {value}")
        await office.bazang.asterisk.cli(f"database put bazang-kept 2.2-1 1900000000/{OTHER}/7///1///2.2")
        await wait_for_records(office, 184)
        await office.bazang.start_worker()
        await office.bazang.until(lambda: len(stored(office)) == 184, PATIENCE, "all are judged")
        await wait_for_records(office, 0)
        refused = Counter(row.refused for row in stored(office))
        assert refused == {
            "": 120,
            LimitReason.MODULE_HOUR: 60,
            KeptRefusal.MALFORMED: 2,
            KeptRefusal.OLD: 1,
            KeptRefusal.NO_MODULE: 1,
        }
        assert len(office.bazang.requests()) == 120


async def test_freepbx(open_office: OpenOffice, asterisk_version: int) -> None:
    """The record says who was wanted, and since when a caller of a queue has waited."""
    ways = {
        "02188880101": (1, "101", CameBy.EXTENSION),
        "02188880102": (1, "102", CameBy.FOLLOW_ME),
        "02188880600": (1, "", CameBy.RING_GROUP),
        "02188880800": (2, "800", CameBy.CODE),
    }

    def silent(bazang: Bazang) -> None:
        freepbx_modules(bazang, automatic=False, silent=True, keeps_while_down=True)

    async with open_office(silent, freepbx(asterisk_version).setup(), phones=(), **PROFILE) as office:
        await office.bazang.kill_worker()
        for number in ways:
            await office.trunk.call(number, caller=f"0912{number[-7:]}")
        await wait_for_records(office, len(ways))
        await office.bazang.start_worker()
        await office.bazang.until(lambda: len(office.bazang.requests()) == len(ways), PATIENCE, "all are registered")
        rows = {row.caller_number: row for row in office.bazang.requests()}
        found = {number: rows[f"0912{number[-7:]}"] for number in ways}
        assert {number: (row.module_id, row.target, row.came_by) for number, row in found.items()} == ways
        queued = found["02188880800"]
        assert queued.registered_at - queued.first_called_at >= timedelta(seconds=3)
