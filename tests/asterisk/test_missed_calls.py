"""Missed calls: who hangs up without a talk and without a request, and what becomes of it."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from app.domain.missed_calls import Outcome, Target
from app.domain.routing import CameBy, Destination
from app.services import commands
from app.services.missed import rules
from app.store.models import MissedCall
from script.office.asterisk import OfficeSetup, QueueSetup
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from tests.asterisk import test_freepbx
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import Office, add_scenario

MIN_TALK = 1  # seconds
SARA, DESK, SALES = Target(False, "101"), Target(False, "102"), Target(True, "800")
SETUP = OfficeSetup(
    queues=[QueueSetup("800", {"103": 0})],
    extra_dialplan="[from-phones](+)\nexten => *7,1,PickupChan(PJSIP/101,p)\n",
)


def list_missed_calls(bazang: Bazang, *targets: Target, minutes: int = 0) -> None:
    for target in targets:
        rules.save_rule(bazang.database, target, None, minutes, actor="test", now=datetime.now(UTC))


def prepare(bazang: Bazang) -> None:
    bazang.min_talk(MIN_TALK)
    bazang.module(targets=("101", "102"), automatic=False)
    bazang.module(name="Sales", code="*5002", target_kind="queue", targets=("800",), automatic=False)
    add_scenario(bazang, ring=60)
    bazang.scenario("102", ring=60)
    bazang.queue("800", max_wait=60, failed=Destination("module", "*5002"))
    list_missed_calls(bazang, SARA)
    list_missed_calls(bazang, SALES, minutes=5)


def missed(office: Office) -> list[tuple[str, str, str]]:
    """Return (target, number, outcome) of each missed call, in the order in which they were stored."""
    with office.bazang.database.read() as session:
        rows = session.scalars(select(MissedCall).order_by(MissedCall.id))
        return [(row.target, row.number.replace("+98", "0"), row.outcome) for row in rows]


async def wait_for_missed(office: Office, count: int) -> None:
    await office.bazang.until(lambda: len(missed(office)) >= count, PATIENCE, f"{count} missed calls are stored")


async def hang_up_while_it_rings(
    office: Office, caller: str, number: str = "101", *, anonymous: bool = False, asserted: str = ""
) -> None:
    phone = office.phones[number]
    call = await office.trunk.call(number, caller=caller, anonymous=anonymous, asserted=asserted)
    ringing = await phone.next_call(PATIENCE)
    if asserted:  # the worker asks whether it is withheld; what it does for a command comes after the answer
        assert (await office.send_command(commands.WRITE_DIALPLAN)).ok
    await call.hang_up()
    await ringing.wait_ended()


async def test_who_hangs_up_without_a_talk_and_a_request_is_a_missed_call(open_office: OpenOffice) -> None:
    async with open_office(prepare, SETUP, phones=("101", "102", "103")) as office:
        phones = office.phones

        # while the phone rings, and again; then a phone that is not listed; then with a withheld number
        await hang_up_while_it_rings(office, "09120000001")
        await hang_up_while_it_rings(office, "09120000001")
        await hang_up_while_it_rings(office, "09120000009", "102")
        await hang_up_while_it_rings(office, "", anonymous=True)
        await hang_up_while_it_rings(office, "", anonymous=True, asserted="09120000008")  # the trunk passes it on
        await wait_for_missed(office, 4)

        # in the queue, while its member rings
        call = await office.call_in("800", caller="09120000002")
        member = await phones["103"].next_call(PATIENCE)
        await call.hang_up()
        await member.wait_ended()
        await wait_for_missed(office, 5)

        # during the intro, behind a busy line
        busy = await office.occupy("101", "09120000090")
        call = await office.call_in("101", caller="09120000003")
        await office.wait_for_prompt(call, "intro")
        await call.hang_up()
        await wait_for_missed(office, 6)

        # a caller who leaves a request is none
        await office.leave_request(caller="09120000004")
        await busy.end()

        # nor is one whom a colleague answers
        await office.wait_until_idle("101")
        call = await office.trunk.call("101", caller="09120000005")
        await phones["101"].next_call(PATIENCE)
        picked_up = await phones["102"].call("*7")
        await call.wait_answered()
        await office.check_audio_both_ways(call, picked_up)  # the caller is answered before the two are connected
        await picked_up.hang_up()
        await call.wait_ended()

        await office.wait_until_idle("101")
        await hang_up_while_it_rings(office, "09120000006")  # after all others, so that these are stored if at all
        await wait_for_missed(office, 7)
        expected = [
            ("101", "09120000001", Outcome.OPEN),
            ("101", "09120000001", Outcome.OPEN),
            ("101", "", Outcome.OPEN),
            ("101", "", Outcome.OPEN),
            ("800", "09120000002", Outcome.OPEN),
            ("101", "09120000003", Outcome.OPEN),
            ("101", "09120000006", Outcome.OPEN),
        ]
        assert missed(office) == expected

        # a colleague calls the first caller back, and the second caller leaves a request
        talk = await phones["102"].call("09120000001")
        await (await office.next_customer_call("09120000001")).answer()
        await office.bazang.until(
            lambda: missed(office)[:2] == [("101", "09120000001", Outcome.REACHED)] * 2, PATIENCE, "they are reached"
        )
        with office.bazang.database.read() as session:
            by = set(session.scalars(select(MissedCall.outcome_by).where(MissedCall.outcome == "reached")))
        assert by == {"102"}
        await talk.hang_up()
        occupied = await office.occupy("101", "09120000091")
        await office.leave_request(caller="09120000003")
        await occupied.end()
        assert missed(office)[5] == ("101", "09120000003", Outcome.LEFT)

        # the caller of the queue gets a request by themselves: only this target makes one
        with office.bazang.database.write() as session:
            row = session.scalars(select(MissedCall).where(MissedCall.target == "800")).one()
            row.at -= timedelta(minutes=5)
        await office.bazang.kill_worker()
        office.bazang.launch_worker()  # it keeps house at once
        await office.bazang.until(lambda: len(office.bazang.requests()) == 3, PATIENCE, "a request is made")
        request = office.bazang.requests()[-1]
        assert (request.target, request.number, request.came_by) == ("800", "+989120000002", CameBy.MISSED_CALL)
        assert missed(office)[4] == ("800", "09120000002", Outcome.REQUESTED)
        assert len(missed(office)) == len(expected), "nothing is stored twice"


async def test_missed_calls_on_freepbx(open_office: OpenOffice, asterisk_version: int) -> None:
    def prepare_freepbx(bazang: Bazang) -> None:
        test_freepbx.prepare(bazang, automatic=False)
        list_missed_calls(bazang, SARA, SALES)

    setup = test_freepbx.freepbx(asterisk_version, ring=60).setup()
    async with open_office(prepare_freepbx, setup, phones=("101",), **test_freepbx.PROFILE) as office:
        await office.wait_until_idle("101")
        call = await office.trunk.call("02188880101", caller="09120000001")
        ringing = await office.phones["101"].next_call(PATIENCE)
        await call.hang_up()
        await ringing.wait_ended()
        await wait_for_missed(office, 1)
        call = await office.call_in("02188880800", caller="09120000002")
        ringing = await office.phones["101"].next_call(PATIENCE)
        await call.hang_up()
        await ringing.wait_ended()
        await wait_for_missed(office, 2)
        call = await office.trunk.call("02188880101", caller="09120000003")
        ringing = await office.phones["101"].next_call(PATIENCE)
        ringing.reject(486)
        await call.wait_answered()
        await office.wait_for_prompt(call, "intro")
        await call.hang_up()
        await wait_for_missed(office, 3)
        assert missed(office) == [
            ("101", "09120000001", Outcome.OPEN),
            ("800", "09120000002", Outcome.OPEN),
            ("101", "09120000003", Outcome.OPEN),
        ]
