"""Numbers that our own dialplan refuses: the request says why. test_dialplan_model.py has the numbers."""

from app.store.settings import write_setting
from script.office.asterisk import OfficeSetup
from script.office.bazang import Bazang
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ONE_VERSION

POLICE, ABROAD, ORDINARY = "09121110000", "09122220000", "09123330000"

# The numbers stand for some that the worker should not have sent. Its own check may be mistaken, or be gone around.
SETUP = OfficeSetup(
    extra_dialplan=f"""
[bazang-numbers]
exten => {POLICE},1,Return(emergency)
exten => {ABROAD},1,Return(number)
""",
    outbound_patterns=("_X.",),
)
REFUSED = [
    ("101", POLICE, "customer_emergency", "refused_emergency"),
    ("102", ABROAD, "customer_not_allowed", "refused_number"),
]


async def test_refused_number_is_a_failure_of_this_request_alone(open_office: OpenOffice) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module(targets=("101", "102", "103"), retries=1)

    async with open_office(prepare, SETUP, phones=("101", "102", "103")) as office:
        for extension, number, outcome, reason in REFUSED:
            request = office.add_request(number, target=extension)
            ring = await office.answer_agent(extension)
            await ring.wait_ended()
            attempt = await office.wait_for_attempt(request)
            assert (attempt.outcome, attempt.cause.split()[0]) == (outcome, reason)
            row = office.get_request(request)
            assert (row.status, row.last_outcome, row.customer_attempts, row.agent_misses) == ("waiting", outcome, 1, 0)
        log = office.bazang.asterisk.log_file.read_text(errors="replace")
        assert f"{POLICE} is not dialled: emergency" in log and f"{ABROAD} is not dialled: number" in log
        assert office.calls_to("") == []
        request = office.add_request(ORDINARY, target="103")  # the route has not failed
        await office.connect_customer(await office.answer_agent("103"), request)


@ONE_VERSION
async def test_changed_settings_for_numbers_reach_the_dialplan_before_the_next_call(open_office: OpenOffice) -> None:
    async with open_office(lambda b: b.module(), SETUP, phones=("101",)) as office:
        with office.bazang.database.write() as session:
            write_setting(session, "outbound_format", "international")
            write_setting(session, "outbound_prefix", "9")
        await office.bazang.wait_for_dialplan()
        request = office.add_request(ORDINARY)
        await office.connect_customer(await office.answer_agent("101"), request, f"90098{ORDINARY[1:]}")
