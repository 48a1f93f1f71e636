"""The profile for FreePBX and Issabel, on a dialplan cut after theirs: their contexts, hints and queue members."""

from script.office.asterisk import OfficeSetup, QueueSetup
from script.office.bazang import Bazang
from tests.asterisk.conftest import Stage

# As FreePBX has it: the hint with its Custom: parts in ext-local; EXTTOCALL names the extension that was rung; a
# custom destination leads to the module; queue members are Local channels whose state is their hint's.
FREEPBX = """
[from-trunk](+)
exten => 101,1,Goto(from-did-direct,101,1)
exten => 800,1,Goto(ext-queues,800,1)
[from-did-direct]
include => ext-local
[ext-local]
exten => 101,hint,PJSIP/101&Custom:DND101,CustomPresence:101
exten => 102,hint,PJSIP/102&Custom:DND102,CustomPresence:102
exten => _1XX,1,Set(__EXTTOCALL=${EXTEN})
 same => n,Dial(PJSIP/${EXTEN},10)
 same => n,Goto(bazang-modules,*5001,1)
[from-queue]
exten => _1XX,1,Dial(PJSIP/${EXTEN},10)
[ext-queues]
exten => 800,1,Answer()
 same => n,Queue(800,,,,5)
 same => n,Goto(bazang-modules,*5002,1)
[from-internal]
include => outbound
include => ext-local
"""


def freepbx_office() -> OfficeSetup:
    queue = QueueSetup(
        "800",
        {"101": 0, "102": 0},
        interface="Local/{number}@from-queue/n",
        state_interface="hint:{number}@ext-local",
    )
    return OfficeSetup(own_hints=False, extra_dialplan=FREEPBX, queues=[queue], include_in_callers=False)


def prepare(bazang: Bazang) -> None:
    bazang.module(targets=("101", "102"))
    bazang.module(name="Support", code="*5002", target_kind="queue", targets=("800",))


PROFILE = {"PBX_PROFILE": "freepbx", "OUTBOUND_CONTEXT": "from-internal"}


async def test_extension_that_was_reached_is_the_one_that_is_rung(stage: Stage) -> None:
    async with stage(prepare, freepbx_office(), **PROFILE) as scene:
        talk = await scene.occupy("101")
        await scene.register("101")
        request = await scene.bazang.request("waiting")
        assert request.target == "101", "EXTTOCALL says who was wanted"
        await scene.no_call("102", 1)
        await talk.end()
        ring = await scene.take("101")
        await scene.talk_to_customer(ring)


async def test_queue_of_local_members_is_served_and_dnd_of_the_hint_respected(stage: Stage) -> None:
    async with stage(prepare, freepbx_office(), **PROFILE) as scene:
        first, second = await scene.occupy("101"), await scene.occupy("102", "09120000002")
        await scene.register("800")
        await scene.bazang.request("waiting")
        await scene.bazang.asterisk.cli("devstate change Custom:DND101 INUSE")
        await first.end()
        await scene.no_call("101", 2)
        await second.end()
        ring = await scene.take("102")
        await scene.talk_to_customer(ring)
