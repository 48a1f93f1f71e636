"""How a caller gets to the module: the extension is busy, does not answer or is away; the queue serves nobody."""

from app.domain.routing import Destination
from script.office.asterisk import OfficeSetup, QueueSetup
from script.office.bazang import Bazang
from tests.asterisk.conftest import Stage
from tests.asterisk.scene import OWN_E164

MODULE = Destination("module", "*5001")


def sales(bazang: Bazang) -> None:
    bazang.module()
    bazang.scenario("101", ring=5, busy=MODULE, no_answer=MODULE, unavailable=MODULE)


async def test_busy_extension_is_rung_when_it_hangs_up(stage: Stage) -> None:
    async with stage(sales) as scene:
        talk = await scene.occupy("101")
        await scene.register()
        request = await scene.bazang.request("waiting")
        assert (request.number, request.target, request.caller_number) == (OWN_E164, "101", "09121234567")
        freed = await talk.end()
        ring = await scene.take("101")
        assert ring.remote == "09121234567", "the agent's phone shows who it is about"
        assert 0 < ring.began_at - freed < 2
        customer = await scene.talk_to_customer(ring)
        assert customer.dialled == "09121234567"
        await customer.hang_up()
        await ring.wait_ended()
        assert (await scene.bazang.request("done")).customer_attempts == 0


async def test_unanswered_extension_leads_to_the_module(stage: Stage) -> None:
    async with stage(sales) as scene:
        caller = await scene.trunk.call("101", caller="09121234567")
        missed = await scene.phones["101"].next_call()
        await missed.wait_ended()  # the phone gave up ringing
        await caller.wait_answered()
        await scene.hears(caller, "intro")
        await caller.press("1")
        ring = await scene.take("101")
        await scene.talk_to_customer(ring)


async def test_unregistered_extension_is_rung_when_it_comes_back(stage: Stage) -> None:
    async with stage(sales) as scene:
        await scene.phones["101"].register(expires=0)
        await scene.register()
        await scene.no_call("101", 1.5)
        await scene.phones["101"].register()
        ring = await scene.take("101")
        await scene.talk_to_customer(ring)


async def test_caller_reaches_a_free_extension_and_no_module(stage: Stage) -> None:
    async with stage(sales) as scene:
        caller = await scene.trunk.call("101", caller="09121234567")
        ring = await scene.phones["101"].next_call()
        await ring.answer()
        await caller.wait_answered()
        await caller.hang_up()
        await ring.wait_ended()
        assert scene.bazang.requests() == []


def queue_office(**queue: object) -> OfficeSetup:
    members = {"101": 0, "102": 0}
    return OfficeSetup(queues=[QueueSetup("800", members, **queue)])  # type: ignore[arg-type]


def support(bazang: Bazang, **fields: object) -> None:
    bazang.module(target_kind="queue", targets=("800",), **fields)
    bazang.queue("800", max_wait=5, failed=MODULE)


async def test_queue_that_timed_out_is_called_back_by_a_member(stage: Stage) -> None:
    async with stage(support, queue_office()) as scene:
        first, second = await scene.occupy("101"), await scene.occupy("102", "09120000002")
        await scene.register("800")
        request = await scene.bazang.request("waiting")
        assert (request.queue, request.target) == (True, "800")
        await second.end()
        ring = await scene.take("102")
        customer = await scene.talk_to_customer(ring)
        await customer.hang_up()
        await scene.bazang.request("done")
        await first.end()
        await scene.no_call("101", 1)


async def test_queue_that_cannot_be_joined_leads_to_the_module(stage: Stage) -> None:
    async with stage(support, queue_office(joinempty="unavailable,invalid,unknown"), phones=()) as scene:
        await scene.register("800")
        await scene.bazang.request("waiting")


async def test_paused_member_is_left_alone_until_the_pause_ends(stage: Stage) -> None:
    async with stage(support, queue_office()) as scene:
        await scene.bazang.asterisk.cli("queue pause member PJSIP/101 queue 800")
        talk = await scene.occupy("102")
        await scene.register("800")
        await scene.no_call("101", 2)
        await scene.bazang.asterisk.cli("queue unpause member PJSIP/101 queue 800")
        ring = await scene.take("101")
        await scene.talk_to_customer(ring)
        await talk.end()


async def test_lower_penalty_is_rung_first_and_a_miss_goes_to_the_next(stage: Stage) -> None:
    setup = OfficeSetup(queues=[QueueSetup("800", {"101": 5, "102": 0})])

    def prepare(bazang: Bazang) -> None:
        support(bazang, agent_ring=5)

    async with stage(prepare, setup) as scene:
        for phone in scene.phones.values():
            await phone.register(expires=0)
        await scene.register("800")
        await scene.bazang.asterisk.cli("queue pause member PJSIP/102 queue 800")
        await scene.bazang.asterisk.cli("queue pause member PJSIP/101 queue 800")
        for phone in scene.phones.values():
            await phone.register()
        await scene.no_call("101", 0.5)
        await scene.bazang.asterisk.cli("queue unpause member PJSIP/102 queue 800")
        missed = await scene.phones["102"].next_call(5)
        await scene.bazang.asterisk.cli("queue unpause member PJSIP/101 queue 800")
        await missed.wait_ended()
        ring = await scene.take("101")
        await scene.talk_to_customer(ring)
        request = scene.bazang.requests()[0]
        assert (request.agent_misses, request.customer_attempts) == (1, 0)


async def test_wrap_up_of_the_queue_is_respected(stage: Stage) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module(target_kind="queue", targets=("800",))
        bazang.queue("800", max_wait=5, wrapup=3, failed=MODULE)

    setup = OfficeSetup(queues=[QueueSetup("800", {"101": 0}, wrapuptime=3)])
    async with stage(prepare, setup, phones=("101",)) as scene:
        caller = await scene.trunk.call("800", caller="09120000009")
        served = await scene.phones["101"].next_call()
        await served.answer()
        await caller.wait_answered()
        await scene.register("800")
        ended = await served.hang_up()
        ring = await scene.phones["101"].next_call()
        assert 2.5 < ring.began_at - ended < 6, "rung before the wrap-up was over, or much later"
