"""FreePBX and Issabel: the office of script/office/freepbx.py.

On Asterisk 22 it is FreePBX 17 (Gosub, PJSIP), on 16 Issabel (Macro, chan_sip).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from app.domain.pbx_product import Product
from app.domain.policy import ReasonCode
from app.domain.routing import CameBy, Destination, DestinationKind, Situation
from app.services import commands
from app.services.modules.list import load_module
from app.services.modules.save import delete_module, save_module
from app.services.pbx import connection_commands
from app.services.pbx.module_destinations import load_destinations
from app.services.pbx.product import Proposal, load_product
from app.services.prompts.input import PromptInput
from app.services.settings import pbx
from app.services.setup import checks
from app.services.setup.checks import Check, CheckResult, Checks
from app.store.models import CallRequest, ExtensionRow, QueueMemberRow, QueueRow
from app.store.settings import read_all, write_setting
from script.office.bazang import Bazang
from script.office.freepbx import (
    FREEPBX_GLOBALS,
    ISSABEL_GLOBALS,
    Extension,
    FollowMe,
    Freepbx,
    Queue,
    RingGroup,
    Trunk,
)
from script.office.freepbx import Product as OfficeProduct
from script.office.patience import PATIENCE
from script.office.phone import Call
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ONE_VERSION, Office
from tests.asterisk.test_queue_hold import paused

PROFILE: dict[str, Any] = {"PBX_PROFILE": "freepbx", "OUTBOUND_CONTEXT": None}
SALES, SUPPORT, SECOND = (f"bazang-modules,*500{number},1" for number in (1, 2, 3))
TO_SALES: dict[str, Any] = {"no_answer": SALES, "busy": SALES, "unavailable": SALES}
TARGETS = ("101", "102", "103", "104")
DIDS = {
    "02188880101": "from-did-direct,101,1",
    "02188880102": "from-did-direct,102,1",
    "02188880600": "ext-group,600,1",
    "02188880601": "ext-group,601,1",
    "02188880800": "ext-queues,800,1",
    "02188885003": SECOND,
}


def freepbx(version: int, **changes: Any) -> Freepbx:
    """Return an office in which everything leads to the module *5001, and the queue to *5002."""
    office = Freepbx(
        product=OfficeProduct.FREEPBX if version >= 22 else OfficeProduct.ISSABEL,
        extensions=(
            Extension("101", **TO_SALES, others=("99101",), call_waiting=True),
            Extension("102", **TO_SALES),
            Extension("103", **TO_SALES),
            Extension("104", **TO_SALES),
        ),
        queues=(Queue("800", ("101",), SUPPORT, max_wait=4),),
        ring_groups=(RingGroup("600", ("103", "104"), SALES), RingGroup("601", ("103", "104"), SALES, "hunt")),
        follow_mes=(FollowMe("102", ("102", "09120000102")),),
        dids=DIDS,
        ring=2,
    )
    return replace(office, **changes)


def prepare(bazang: Bazang, **fields: Any) -> None:
    bazang.module(targets=TARGETS, **fields)
    bazang.module(name="Support", code="*5002", target_kind="queue", targets=("800",), **fields)


async def leave(office: Office, number: str, caller: str, *, module: int = 1) -> CallRequest:
    """Call `number`, leave a request in the module and hang up. Return the request."""

    def stored() -> CallRequest | None:
        found = (row for row in office.bazang.requests() if row.caller_number == caller and row.module_id == module)
        return next(found, None)

    call = await office.call_in(number, caller=caller)
    await office.wait_for_prompt(call, "intro")
    await call.press("1")
    request = await office.bazang.until(stored, PATIENCE, f"the request of {caller} at {number} is stored")
    await call.hang_up()
    return request


# -- who was wanted ---------------------------------------------------------------------------------------------------


async def test_request_is_for_the_person_who_was_wanted(open_office: OpenOffice, asterisk_version: int) -> None:
    """No phone is on, so every way leads to a module. F3."""

    def with_second(bazang: Bazang) -> None:
        prepare(bazang, automatic=False)
        # From here, callers who have left a request go on to 102, which has a follow-me, and leave another one.
        on = Destination("custom", "from-did-direct,102,1")
        bazang.module(name="Second", code="*5003", targets=TARGETS, automatic=False, silent=True, next=on)

    ways = {
        "02188880101": ("101", CameBy.EXTENSION),
        "02188880102": ("102", CameBy.FOLLOW_ME),  # which tries a mobile last
        "02188880600": ("", CameBy.RING_GROUP),  # any agent of the module
        "02188880601": ("", CameBy.RING_GROUP),
        "02188885003": ("102", CameBy.MODULE),  # then the follow-me
    }
    setup = freepbx(asterisk_version).setup()
    async with open_office(with_second, setup, phones=(), **PROFILE) as office:
        callers = {number: f"0912{number[-7:]}" for number in ways}
        requests = await asyncio.gather(*(leave(office, *way) for way in callers.items()))
        wanted = {row.caller_number: (row.target, row.came_by) for row in requests}
        assert wanted == {callers[number]: way for number, way in ways.items()}
        silent = next(row for row in office.bazang.requests() if row.module_id == 3)
        assert (silent.target, silent.came_by) == ("", CameBy.CODE), "the code of a module names nobody"
        # The follow-me of 102 is over: now 101 is called from the same call.
        with office.bazang.database.read() as session:
            second = load_module(session, 3)
        on = Destination("custom", "from-did-direct,101,1")
        save_module(office.bazang.database, replace(second, next=on), datetime.now(UTC), module_id=3)
        await office.bazang.wait_for_dialplan()
        assert (await leave(office, "02188885003", "09129999999")).target == "101"


# -- a line, and the queue ----------------------------------------------------------------------------------------

EXPECTED = {
    DestinationKind.EXTENSION: {number: dict.fromkeys(Situation, "*5001") for number in TARGETS},
    DestinationKind.QUEUE: {"800": {"failed": "*5002"}},
}


def destinations(office: Office) -> dict[DestinationKind, dict[str, dict[str, str]] | None]:
    """Return what is stored of the optional destinations of extensions, and the fail-over destinations of queues."""
    with office.bazang.database.read() as session:
        return {kind: load_destinations(session, kind) for kind in EXPECTED}


async def test_lines_and_queue(open_office: OpenOffice, asterisk_version: int) -> None:
    """F2, F5, F6, F8, do not disturb, and members who log in by phone."""
    queue = Queue("800", ("101",), SUPPORT, max_wait=4, wrapup=3)
    setup = freepbx(asterisk_version, queues=(queue,)).setup()
    async with open_office(prepare, setup, phones=("101", "103"), **PROFILE) as office:
        with office.bazang.database.read() as session:
            assert set(session.scalars(select(ExtensionRow.extension))) == set(TARGETS), "no feature code is listed"
            assert session.get_one(QueueRow, "800").wrapup == 3, "read from queues.conf"
        await office.bazang.until(lambda: destinations(office) == EXPECTED, PATIENCE, "the dialplan of FreePBX is read")
        await check_silent_member(office)
        await check_two_devices(office)
        await check_wrapup(office)


async def check_silent_member(office: Office) -> None:
    """A member who does not answer: the caller stays in the queue, and leaves a request for it, not for 101."""
    caller = asyncio.create_task(leave(office, "02188880800", "09121110800", module=2))
    ring = await office.phones["101"].next_call()
    await ring.wait_ended()
    request = await caller
    assert (request.queue, request.target) == (True, "800")
    assert [row.module_id for row in office.bazang.requests()] == [2]
    ring = await office.phones["101"].next_call()
    while ring.ended.is_set():  # the queue has rung again, in vain
        ring = await office.phones["101"].next_call()
    await office.connect_customer(await office.answer_agent_call(ring), request.id)
    await office.hang_up_customer("09121110800")
    await office.wait_for_status(request.id, "done")


async def check_two_devices(office: Office) -> None:
    """One device of 101 is not logged in. Do not disturb, by *78, holds back; *79 ends it."""
    await (await dialled(office, "101", "*78")).wait_ended()
    await office.bazang.until(lambda: office.line_state("101") == "dnd", PATIENCE, "101 does not want to be disturbed")
    request = await leave(office, "02188880101", "09121110101")
    await office.wait_for_reason(request.id, ReasonCode.LINE_DND)
    await (await dialled(office, "101", "*79")).wait_ended()
    await office.connect_customer(await office.answer_agent("101"), request.id)
    await office.hang_up_customer("09121110101")
    await office.wait_for_status(request.id, "done")


async def check_wrapup(office: Office) -> None:
    """103 logs in, takes a call of the queue, and rests as long as queues.conf says. The queue waits for our call."""
    await (await dialled(office, "103", "*45800")).wait_ended()
    await office.bazang.until(lambda: "103" in members(office), PATIENCE, "103 is a member")
    await office.wait_until_idle("103")  # the queue looks for a free member at once, and then only after seconds
    busy = await office.occupy("101")
    live = await office.trunk.call("02188880800", caller="09121110803")
    ring = await office.phones["103"].next_call()
    await ring.answer()
    await live.wait_answered()
    await office.check_audio_both_ways(ring, live)
    office.add_request("09121110899", module=2, target="800")
    freed = await ring.hang_up()
    again = await office.phones["103"].next_call()
    assert again.began_at - freed >= 3
    assert await paused(office) == {"103": "Bazang"}
    await again.hang_up()
    await busy.end()


async def dialled(office: Office, extension: str, code: str) -> Call:
    """Dial a feature code and return the answered call."""
    call = await office.phones[extension].call(code)
    await call.wait_answered()
    return call


def members(office: Office) -> set[str]:
    with office.bazang.database.read() as session:
        return set(session.scalars(select(QueueMemberRow.extension).where(QueueMemberRow.queue == "800")))


# -- calls to customers -----------------------------------------------------------------------------------------------

Fate = Callable[[Office, str], Awaitable[None]]
QUESTION = "We are calling you back. Press 1 to talk."
TRUNK_CID, FORCED_CID, MODULE_CID = "02188880001", "02188880002", "02188880005"


def shown(call: Call) -> str:
    """Return the caller's number that a customer sees."""
    return call.remote


def rejects(*statuses: int, shows: Sequence[str] = ()) -> Fate:
    """The first trunk answers with the first status, the second with the second."""

    async def fate(office: Office, number: str) -> None:
        for place, (prefix, status) in enumerate(zip(("", "2"), statuses, strict=False)):
            call = await office.next_customer_call(prefix + number)
            if place < len(shows):
                assert shown(call) == shows[place]
            call.reject(status)

    return fate


def answers(shows: str, *, after: int = 0, asked: bool = False) -> Fate:
    """The customer answers, on the second trunk if the first one fails with the status `after`.

    `asked`: they hear a question, and press 1.
    """

    async def fate(office: Office, number: str) -> None:
        if after:
            (await office.next_customer_call(number)).reject(after)
        customer = await office.next_customer_call(f"2{number}" if after else number)
        assert shown(customer) == shows
        await customer.answer()
        await customer.acknowledged.wait()
        if asked:
            await office.wait_for_text(customer, QUESTION)
            await customer.press("1")
            await office.bazang.until(
                lambda: any(row.connected_at for row in office.bazang.attempts() if row.number.endswith(number[1:])),
                PATIENCE,
                f"{number} is connected",
            )
        await customer.hang_up()

    return fate


async def nothing(office: Office, number: str) -> None:
    """Nobody is rung."""


def declines(version: int) -> Fate:
    """The customer declines. chan_sip calls that busy, so FreePBX tries no second trunk."""
    return rejects(603, 603) if version >= 22 else rejects(603)


Case = tuple[Extension, int, str, Fate, str]
# The agent, the module, the beginning of the number, what becomes of the call, and the outcome.
FATES: list[Case] = [
    (Extension("201"), 1, "0912", answers(TRUNK_CID), "connected"),
    (Extension("202", outbound_cid="02188880202"), 1, "0912", answers("02188880202"), "connected"),
    (Extension("203", outbound_cid="02188880203"), 2, "0912", answers(MODULE_CID, asked=True), "connected"),
    (Extension("204", outbound_cid="02188880204"), 2, "0912", answers(FORCED_CID, after=503, asked=True), "connected"),
    (Extension("205", force_recording=True), 1, "0912", answers(TRUNK_CID), "connected"),
    (Extension("206"), 1, "0912", rejects(486), "customer_busy"),
    (Extension("207"), 1, "0912", rejects(503, 503), "route_congested"),
    (Extension("208"), 1, "0912", rejects(480), "customer_no_answer"),
    (Extension("209"), 1, "0912", rejects(403, 403), "route_forbidden"),
    (Extension("210"), 1, "0912", rejects(404), "customer_unreachable"),
    (Extension("211"), 1, "0913", nothing, "route_missing"),  # a password, which nobody enters
    (Extension("212", pinless=True), 1, "0913", answers(TRUNK_CID), "connected"),
    (Extension("213"), 1, "0914", nothing, "route_missing"),  # no route
]
DECLINER = Extension("214")
# Their customers are rung first: who comes, and who is busy.
COMES, BUSY = Extension("215", outbound_cid="02188880215"), Extension("216")
OTHERS = (DECLINER, COMES, BUSY)
AGENTS = tuple(extension.number for extension in (*(extension for extension, *_ in FATES), *OTHERS))


async def test_calls_to_customers(open_office: OpenOffice, asterisk_version: int) -> None:
    """F1, F4 and no route: each case at its own agent, all at the same time."""
    setup = freepbx(
        asterisk_version,
        extensions=[*(extension for extension, *_ in FATES), *OTHERS],
        queues=(),
        ring_groups=(),
        follow_mes=(),
        trunks=(Trunk(TRUNK_CID), Trunk(forced_caller_id=FORCED_CID, prefix="2")),
    ).setup()

    def three_modules(bazang: Bazang) -> None:
        bazang.module(targets=AGENTS, retries=5)
        bazang.module(
            name="Support",
            code="*5002",
            targets=AGENTS,
            retries=5,
            caller_id=MODULE_CID,
            asks_customer=True,
            prompts={"ask_customer": PromptInput(text=QUESTION)},
        )
        bazang.module(name="First", code="*5003", targets=AGENTS, customer_first=True, office_name="Sepehr")

    async def ring_first(office: Office) -> None:
        """FreePBX dials as the agent, although the agent's phone rings later."""
        number = f"09120000{COMES.number}"
        request = office.add_request(number, module=3, target=COMES.number)
        await office.send_command(commands.CALL_NOW, request=request)
        customer = await office.next_customer_call(number)
        assert shown(customer) == COMES.outbound_cid
        await customer.answer()
        agent = await office.answer_agent(COMES.number)
        await office.wait_for_status(request, "connected")
        await office.check_audio_both_ways(agent, customer)
        await customer.hang_up()
        await office.wait_for_status(request, "done")

    async def ring_busy(office: Office) -> None:
        number = f"09120000{BUSY.number}"
        request = office.add_request(number, module=3, target=BUSY.number)
        await office.send_command(commands.CALL_NOW, request=request)
        (await office.next_customer_call(number)).reject(486)
        assert (await office.wait_for_attempt(request)).outcome == "customer_busy"
        assert not office.phones[BUSY.number].invites

    async def befall(office: Office, agent: Extension, module: int, prefix: str, fate: Fate, outcome: str) -> None:
        number = f"{prefix}0000{agent.number}"
        request = office.add_request(number, module=module, target=agent.number)
        await office.send_command(commands.CALL_NOW, request=request)  # the failures of the others pause the route
        await office.answer_agent(agent.number)
        await fate(office, number)
        attempt = await office.wait_for_attempt(request)
        assert attempt.outcome == outcome, f"{number}: {attempt.cause}\n{office.bazang.describe()}"
        assert (office.get_request(request).status == "done") == (outcome == "connected")

    async with open_office(three_modules, setup, phones=AGENTS, **PROFILE) as office:
        declined = DECLINER, 1, "0912", declines(asterisk_version), "customer_rejected"
        first = (ring_first(office), ring_busy(office))
        await asyncio.gather(*(befall(office, *case) for case in (*FATES, declined)), *first)
        monitored = office.bazang.asterisk.folder / "spool/monitor"
        assert [file.name for file in monitored.iterdir()] == ["out-205-09120000205.wav"]


# -- old codes --------------------------------------------------------------------------------------------------------


async def test_code_that_a_custom_destination_still_has_leads_on(
    open_office: OpenOffice, asterisk_version: int
) -> None:
    """F9: FreePBX keeps the old code in its custom destination, whatever becomes of the module."""

    def one_module(bazang: Bazang) -> None:
        bazang.module(targets=TARGETS, automatic=False, error=Destination("custom", "from-did-direct,103,1"))

    setup = freepbx(asterisk_version).setup()
    async with open_office(one_module, setup, phones=("103",), **PROFILE) as office:
        database = office.bazang.database
        with database.read() as session:
            module = load_module(session, 1)
        save_module(database, replace(module, code="*5009"), datetime.now(UTC), module_id=1)
        await office.bazang.wait_for_dialplan()
        assert (await leave(office, "02188880101", "09121110009")).target == "101"
        delete_module(database, 1, datetime.now(UTC))
        await office.bazang.wait_for_dialplan()
        call = await office.trunk.call("02188880101", caller="09121110010")
        ring = await office.phones["103"].next_call()  # its error destination
        await ring.answer()
        await call.wait_answered()
        await office.check_audio_both_ways(ring, call)


# -- which product it is ----------------------------------------------------------------------------------------------


def store_settings(office: Office, **values: str) -> None:
    with office.bazang.database.write() as session:
        for name, value in values.items():
            write_setting(session, name, value)


async def run_checks(office: Office) -> Checks:
    """Run the checks of the setup, as its page does."""
    bazang = office.bazang
    return await asyncio.to_thread(checks.run, bazang.database, bazang.settings, "sara", datetime.now(UTC))


def stored_product(office: Office) -> Product | None:
    with office.bazang.database.read() as session:
        return load_product(read_all(session))


async def accept(office: Office, found: Checks) -> None:
    """Click the button of the proposal."""
    assert found.proposal is not None
    bazang, now = office.bazang, datetime.now(UTC)
    values = bazang.database, bazang.settings, found.proposal.profile, found.proposal.outbound_context
    pbx.use_profile(*values, actor="sara", now=now)
    connection_commands.apply(bazang.database, actor="sara", now=now)


async def until_ready(office: Office) -> Checks:
    """Run the checks until all of them succeed, as the page does while somebody looks at it."""
    async with asyncio.timeout(PATIENCE):
        found = await run_checks(office)  # each waits for the PBX
        while not found.ready:
            found = await run_checks(office)
    return found


FAULT, OK = CheckResult.FAULT, CheckResult.OK
UNSET: dict[str, Any] = {"OUTBOUND_CONTEXT": None}


async def test_freepbx_is_recognized_and_one_click_sets_everything(
    open_office: OpenOffice, asterisk_version: int
) -> None:
    """The panel has the settings of a plain Asterisk, and a context that does not exist."""
    office_of = freepbx(asterisk_version)
    async with open_office(setup=office_of.setup(), phones=("101",), work=False, **UNSET) as office:
        store_settings(office, outbound_context="from-internal-typo")
        await office.bazang.start_worker()
        expected = Product.FREEPBX_17 if office_of.product is OfficeProduct.FREEPBX else Product.ISSABEL
        await office.bazang.until(lambda: stored_product(office) is expected, PATIENCE, "the product is stored")
        found = await run_checks(office)
        assert found.report is not None and found.report.product is expected
        assert found.proposal == Proposal(expected, "from-internal", fixed=False)
        assert (found.results[Check.PRODUCT], found.results[Check.OUTBOUND]) == (FAULT, FAULT)
        assert found.instead == ("from-did-direct", "ext-queues")
        assert found.report.outbound == ("from-internal", "from-phones"), "the second one includes the first"
        assert found.results[Check.CALLERS] is OK, "the PBX has called our FastAGI server"
        await accept(office, found)
        ready = await until_ready(office)
        assert ready.proposal is None
        assert ready.outbound == "from-internal"


async def test_freepbx_16_is_told_from_issabel(open_office: OpenOffice, asterisk_version: int) -> None:
    """The same dialplan with the global variables of FreePBX. On 22 without them: the other way round."""
    office_of = freepbx(asterisk_version)
    is_17 = office_of.product is OfficeProduct.FREEPBX
    setup = replace(office_of, global_variables=ISSABEL_GLOBALS if is_17 else FREEPBX_GLOBALS).setup()
    async with open_office(setup=setup, phones=(), **PROFILE) as office:
        found = await run_checks(office)
        assert found.report is not None
        assert found.report.product is (Product.ISSABEL if is_17 else Product.FREEPBX_16)
        assert found.proposal is None


@ONE_VERSION
async def test_settings_of_freepbx_on_a_plain_asterisk_are_reported(open_office: OpenOffice) -> None:
    async with open_office(lambda b: b.module(), phones=("101",), work=False, **UNSET) as office:
        store_settings(office, pbx_profile="freepbx", queue_context="nowhere")
        await office.bazang.start_worker()
        found = await run_checks(office)
        assert found.proposal == Proposal(Product.ASTERISK, "outbound", fixed=False)
        assert found.missing == ("from-did-direct", "nowhere") and found.instead == ()
        results = {check for check, result in found.results.items() if result is FAULT}
        assert {Check.PRODUCT, Check.CONTEXTS, Check.OUTBOUND} <= results
        await accept(office, found)
        assert (await until_ready(office)).outbound == "outbound"
