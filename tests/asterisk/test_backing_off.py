"""A PBX on which nothing rings is tried less and less often, and a call that was asked for now stays wanted."""

from app.domain.lifecycle import Outcome
from app.domain.policy import ReasonCode
from app.services import commands
from script.office.asterisk import OfficeSetup
from script.office.patience import PATIENCE
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ONE_VERSION, Office

# A call that holds 101 in the group of our guard, as another call does that comes to the phone at the same moment.
HOLD = """
[from-trunk](+)
exten => 7777,1,Set(GROUP(bazang)=101)
 same => n,Answer()
 same => n,Wait(600)
"""


async def wait_for_repeats(office: Office, count: int, outcome: Outcome) -> None:
    """Wait until the only attempt counts `count` attempts with this outcome."""

    def is_reached() -> bool:
        rows = office.bazang.attempts()
        return bool(rows) and rows[-1].outcome == outcome.value and sum(row.repeats for row in rows) == count

    await office.bazang.until(is_reached, 2 * PATIENCE, f"{count} attempts have ended as {outcome}")


@ONE_VERSION
async def test_refused_orders_are_one_attempt_that_counts(open_office: OpenOffice) -> None:
    setup = OfficeSetup(ami_rights="read=call,user,agent\nwrite=call,agent,reporting,config")
    async with open_office(lambda b: b.module(), setup, phones=("101",)) as office:
        request = office.add_request()
        await wait_for_repeats(office, 2, Outcome.NOT_STARTED)
        (attempt,) = office.bazang.attempts()
        assert attempt.ended_at is not None and attempt.since is not None
        assert (attempt.ended_at - attempt.since).total_seconds() >= 5
        assert (await office.wait_for_reason(request, ReasonCode.NOTHING_RANG)).outcome == Outcome.NOT_STARTED
        answer = await office.send_command(commands.CALL_NOW, request=request, agent="101")
        assert answer.ok
        await wait_for_repeats(office, 3, Outcome.NOT_STARTED)
        assert office.pending(request).call_now, "it stays wanted"
        await office.bazang.stop_worker()
        config = office.bazang.asterisk.folder / "etc" / "manager.conf"
        config.write_text(config.read_text().replace("write=call", "write=originate,call"))
        await office.bazang.asterisk.reload("manager")
        await office.bazang.start_worker()
        agent_call = await office.answer_agent("101", timeout=2 * PATIENCE)
        await office.connect_customer(agent_call, request)
        assert not office.pending(request).call_now


@ONE_VERSION
async def test_line_that_only_looks_free_is_tried_less_often(open_office: OpenOffice) -> None:
    setup = OfficeSetup(extra_dialplan=HOLD)
    async with open_office(lambda b: b.module(targets=("101", "102")), setup, phones=("101", "102")) as office:
        holding = await office.call_in("7777", caller="09120000009")
        request = office.add_request()
        await wait_for_repeats(office, 2, Outcome.AGENT_TAKEN)
        assert (await office.wait_for_reason(request, ReasonCode.NOTHING_RANG)).outcome == Outcome.AGENT_TAKEN
        await holding.hang_up()
        await office.connect_customer(await office.answer_agent("101", timeout=2 * PATIENCE), request)
        outcomes = [(row.outcome, row.repeats) for row in office.bazang.attempts()]
        assert outcomes[-1] == (None, 1)
        assert sum(repeats for _, repeats in outcomes) == 3, "after 0, 5 and 10 more seconds"
