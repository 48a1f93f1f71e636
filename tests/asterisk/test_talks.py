"""Talks close the requests that they answer, however they came about, and nobody on the line is called back."""

from collections.abc import Awaitable, Callable

from app.audio.library import SoundLibrary
from app.domain.policy import ReasonCode
from app.domain.routing import Destination
from app.services.prompts.sounds import make_module_clips
from app.store.pbx_state import stored_facts
from app.telephony.ami import AmiClient
from app.worker.clock import utcnow
from script.office.asterisk import OfficeSetup, QueueSetup
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.phone import Call, Phone
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ONE_VERSION, OWN, OWN_E164, Office

MIN_TALK = 1  # seconds
EXTENSIONS = """
exten => _10X,1,Dial(PJSIP/${EXTEN},60,tT)
exten => 201,1,Dial(PJSIP/101&Local/09350000001@outbound,60)
exten => 300,1,Dial(Local/101@mailbox)
exten => 400,1,Set(CALLERID(num)=0912${CALLERID(name)})
 same => n,Dial(PJSIP/101,60)
"""
DIALPLAN = f"""
[from-phones](+)
exten => _9X.,1,Dial(PJSIP/${{EXTEN:1}}@trunk,60)
exten => *7,1,PickupChan(PJSIP/101,p)
{EXTENSIONS}
[from-trunk](+)
{EXTENSIONS}
[mailbox]
exten => 101,1,Answer()
 same => n,Wait(600)
"""


async def answer(phone: Phone) -> Call:
    call = await phone.next_call(PATIENCE)
    await call.answer()
    return call


# -- how two can come to talk; each with a customer of their own -------------------------------------------------

Way = Callable[[Office, str], Awaitable[object]]


async def call_in(office: Office, number: str) -> None:
    await office.trunk.call("101", caller=number)
    await answer(office.phones["101"])


async def call_out(office: Office, number: str) -> None:
    await office.phones["101"].call(number)
    await answer(office.trunk)


async def prefix(office: Office, number: str) -> None:
    await office.phones["101"].call(f"9{number}")
    await answer(office.trunk)


async def late_caller_id(office: Office, number: str) -> None:
    await office.trunk.call("400", name=number.removeprefix("0912"), anonymous=True)
    await answer(office.phones["101"])


def click_to_call(channel: str) -> Way:
    async def call(office: Office, number: str) -> None:
        asterisk = office.bazang.asterisk
        login = (asterisk.ami_port, asterisk.ami_username, asterisk.ami_secret)
        program = AmiClient("127.0.0.1", *login, on_event=lambda event: None, name="click-to-call")
        await program.start()
        await program.wait_connected(PATIENCE)
        headers = {"Channel": channel, "Context": "outbound", "Exten": number, "Priority": "1", "CallerID": "<101>"}
        await program.originate(headers, {})
        await program.stop()
        await answer(office.phones["101"])
        await answer(office.trunk)

    return call


async def attended_transfer(office: Office, number: str) -> None:
    await office.trunk.call("102", caller=number)
    first = await answer(office.phones["102"])
    second = await office.phones["102"].call("101")
    third = await answer(office.phones["101"])
    await second.wait_answered()
    await office.check_audio_both_ways(second, third)
    await first.transfer_to(second)


async def blind_transfer(office: Office, number: str) -> None:
    caller = await office.trunk.call("102", caller=number)
    first = await answer(office.phones["102"])
    await caller.wait_answered()
    await first.transfer("101")
    await answer(office.phones["101"])


async def feature_code(office: Office, number: str) -> None:
    caller = await office.trunk.call("102", caller=number)
    first = await answer(office.phones["102"])
    await caller.wait_answered()
    await office.check_audio_both_ways(caller, first)
    await first.press("#")
    await office.bazang.until(lambda: "pbx-transfer" in log_of(office), PATIENCE, "102 is asked for a number")
    await first.press("101")
    await answer(office.phones["101"])


def log_of(office: Office) -> str:
    return office.bazang.asterisk.log_file.read_text(errors="replace")


async def pickup(office: Office, number: str) -> None:
    await office.trunk.call("101", caller=number)
    await office.phones["101"].next_call(PATIENCE)
    await (await office.phones["102"].call("*7")).wait_answered()


async def follow_me(office: Office, number: str) -> None:
    await office.trunk.call("201", caller=number)
    await office.phones["101"].next_call(PATIENCE)
    await answer(office.trunk)


WAYS: dict[str, Way] = {
    "a call in": call_in,
    "a call out": call_out,
    "prefix 9": prefix,
    "caller ID after Newchannel": late_caller_id,
    "click-to-call": click_to_call("PJSIP/101"),
    "click-to-call by Local": click_to_call("Local/101@from-phones"),
    "attended transfer": attended_transfer,
    "blind transfer": blind_transfer,
    "transfer by feature code": feature_code,
    "follow-me to a mobile": follow_me,
    "pickup by another member": pickup,
}


async def test_complaint_08_customer_answered_elsewhere_is_not_called(open_office: OpenOffice) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module(min_wait=3600)
        bazang.module(name="Queue", code="*5002", target_kind="queue", targets=("800",), min_wait=3600)
        bazang.min_talk(MIN_TALK)

    setup = OfficeSetup(extra_dialplan=DIALPLAN, queues=[QueueSetup("800", {"101": 0, "102": 0})])
    async with open_office(prepare, setup) as office:
        mailbox, short, other = (office.add_request(f"0912000090{number}") for number in range(3))
        machine = await office.trunk.call("300", caller="09120000900")
        await machine.wait_answered()
        await office.trunk.call("101", caller="09120000901")
        await (await answer(office.phones["101"])).hang_up()
        for index, (way, talk) in enumerate(WAYS.items()):
            number = f"0912000010{index:x}".replace("a", "88")[:11]
            by_queue = way.startswith("pickup")
            request = office.add_request(number, module=2 if by_queue else 1, target="800" if by_queue else "101")
            await talk(office, number)
            row = await office.wait_for_status(request, "done")
            assert row.done_by == ("102" if by_queue else "101"), way
            for phone in (*office.phones.values(), office.trunk):
                for call in phone.active - {machine}:
                    await call.hang_up()
            for extension in office.phones:
                await office.wait_until_idle(extension)
        inside = office.add_request("102")
        await office.phones["101"].call("102")
        await answer(office.phones["102"])
        assert (await office.wait_for_status(inside, "done")).done_by == "101"
        assert not machine.ended.is_set()
        assert [office.get_request(request).status for request in (mailbox, short, other)] == ["waiting"] * 3
        reached = [row for row in office.bazang.history() if row.event == "reached"]
        assert len(reached) == len(WAYS) + 1
        assert office.bazang.attempts() == []


@ONE_VERSION
async def test_complaint_05_success_ends_all_requests_of_the_customer(open_office: OpenOffice) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module()
        bazang.module(name="Queue", code="*5002", target_kind="queue", targets=("800",))
        bazang.min_talk(MIN_TALK)

    async with open_office(prepare, OfficeSetup(queues=[QueueSetup("800", {"101": 0})]), phones=("101",)) as office:
        first, second = office.add_request(), office.add_request(module=2, target="800")
        customer = await office.connect_customer(await office.answer_agent("101"), first)
        await office.wait_for_status(second, "done")
        assert office.get_request(first).status == "connected", "its own attempt ends it"
        await customer.hang_up()
        await office.wait_for_status(first, "done")
        assert [(attempt.request_id, attempt.outcome) for attempt in office.bazang.attempts()] == [(first, "connected")]
        assert len(office.phones["101"].invites) == len(office.calls_to(OWN)) == 1


@ONE_VERSION
async def test_customer_who_is_on_the_line_is_called_when_they_have_hung_up(open_office: OpenOffice) -> None:
    """The caller has left a request and waits in the next destination, while 101 is free."""

    def prepare(bazang: Bazang) -> None:
        bazang.module(silent=True, next=Destination("custom", "from-trunk,103,1"))
        bazang.scenario("101", busy=Destination("module", "*5001"))
        # A busy machine needs more time for the synthesis than the dialogue waits.
        make_module_clips(bazang.database, SoundLibrary(bazang.settings.prompts_path), 1)

    setup = OfficeSetup(extra_dialplan=DIALPLAN.replace("_10X", "_10[3-9]"))
    async with open_office(prepare, setup, phones=("101", "103")) as office:
        talk = await office.occupy("101")
        caller = await office.trunk.call("101", caller=OWN)
        ring = await office.phones["103"].next_call(PATIENCE)
        request = (await office.bazang.request("waiting")).id
        await talk.end()
        await office.bazang.until(lambda: office.line_state("101") == "free", PATIENCE, "101 is free")
        await office.wait_for_reason(request, ReasonCode.NUMBER_ON_LINE)
        await ring.answer()
        assert office.bazang.attempts() == []
        await caller.hang_up()
        await office.connect_customer(await office.answer_agent("101"), request)
        with office.bazang.database.read() as session:
            assert OWN_E164 in stored_facts(session, utcnow()).numbers_on_line


async def test_talk_that_began_while_the_worker_was_away_closes_the_request(open_office: OpenOffice) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module(min_wait=3600)
        bazang.min_talk(MIN_TALK)

    async with open_office(prepare, phones=("101",)) as office:
        request = office.add_request()
        await office.bazang.kill_worker()
        await office.occupy("101", OWN)
        office.bazang.launch_worker()
        await office.wait_for_status(request, "done")
