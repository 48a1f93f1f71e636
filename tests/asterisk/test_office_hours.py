"""A closed office: callers are told so, are declined or offered a call when it opens, and are called then."""

from datetime import UTC, datetime, timedelta

from app.domain.hours import ALWAYS, NEVER, format_week
from app.domain.policy import ReasonCode
from app.services.settings import hours
from app.services.settings.hours import HoursInput
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ENDS, ERROR, NEXT, ONE_VERSION, OWN_E164

DECLINES, OFFERS = "*5001", "*5002"


def prepare(bazang: Bazang) -> None:
    for code, outside in ((DECLINES, "decline"), (OFFERS, "next_opening")):
        bazang.module(name=code, code=code, outside=outside, next=NEXT, error=ERROR)
    save_week(bazang, format_week(NEVER))
    in_two_days = datetime.now(UTC).date() + timedelta(days=2)
    hours.add_days(bazang.database, in_two_days, None, "", "08:30-17:00", actor="sara", now=datetime.now(UTC))


def save_week(bazang: Bazang, week: str) -> None:
    hours.save(bazang.database, HoursInput(week, official=False, spread=0), actor="sara", now=datetime.now(UTC))


@ONE_VERSION
async def test_complaint_15_no_phone_rings_while_the_office_is_closed(open_office: OpenOffice) -> None:
    async with open_office(prepare, ENDS, phones=("101",)) as office:
        declined = await office.call_in(DECLINES)
        await office.wait_for_prompt(declined, "closed")
        await office.bazang.until(lambda: declined.rtp.keys_heard == "9", PATIENCE, "the error destination")
        await declined.hang_up()
        assert office.bazang.requests() == []

        offered = await office.call_in(OFFERS)
        await office.wait_for_prompt(offered, "closed")
        await office.wait_for_prompt(offered, "intro")
        await offered.press("1")
        request = await office.bazang.request("waiting")
        await office.wait_for_prompt(offered, "after_success_closed")
        await office.bazang.until(lambda: offered.rtp.keys_heard == "1", PATIENCE, "the next destination")
        await offered.hang_up()
        assert request.number == OWN_E164

        reason = await office.wait_for_reason(request.id, ReasonCode.OFFICE_CLOSED)
        assert reason.until is not None and reason.until > datetime.now(UTC) + timedelta(hours=12)
        assert office.bazang.attempts() == []

        save_week(office.bazang, format_week(ALWAYS))
        agent_call = await office.answer_agent("101")
        await office.connect_customer(agent_call, request.id)
