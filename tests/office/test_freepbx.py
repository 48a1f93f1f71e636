"""The dialplan of the simulated FreePBX and Issabel: which fact about the real ones each part of it stands for.

The facts were found by running the generators of FreePBX 17 and 16 and of IssabelPBX 2.12.
"""

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest

from script.office.asterisk_config import AsteriskInstance, render
from script.office.freepbx import (
    AGI_PORT,
    FREEPBX_GLOBALS,
    Extension,
    FollowMe,
    Freepbx,
    OtherFastAgi,
    Product,
    Queue,
    RingGroup,
    Trunk,
)

MODULE = "bazang-modules,*5001,1"
EXTENSIONS = (
    Extension(
        "101",
        no_answer=MODULE,
        busy=MODULE,
        unavailable=MODULE,
        others=("99101",),
        name="Sara",
        call_waiting=True,
        outbound_cid="02188880101",
        force_recording=True,
        pinless=True,
    ),
    Extension("102"),
)


def office(product: Product) -> Freepbx:
    return Freepbx(
        product,
        EXTENSIONS,
        (Queue("800", ("101",), MODULE, max_wait=30, wrapup=7),),
        (RingGroup("600", ("101", "102"), MODULE), RingGroup("601", ("101", "102"), MODULE, "hunt")),
        (FollowMe("102", ("102", "09120000102")),),
        {"02188880101": "from-did-direct,101,1", "02188880800": "ext-queues,800,1"},
        (Trunk("02188880001"), Trunk(forced_caller_id="02188880002", prefix="2")),
        misc_destinations={"1": "*5001"},
    )


def steps(product: Product, context: str, extension: str = "s") -> list[str]:
    """Return the steps of an extension, or the lines of a context without extensions, without their labels."""
    text = office(product).dialplan().partition(f"[{context}]")[2].partition("\n[")[0]
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(";")]
    found: list[str] = []
    current = ""
    for line in lines:
        if line.startswith("exten => "):
            current = line.removeprefix("exten => ").partition(",")[0]
        if not line.startswith(("exten", "same")):
            current = ""
        if current == extension or (not extension and not current):
            found.append(re.sub(r"^(exten => [^,]+,\w+|same => n)(\([\w-]+\))?,", "", line) if extension else line)
    return found


BOTH = pytest.mark.parametrize("product", list(Product))


@BOTH
def test_calls_from_outside(product: Product) -> None:
    """Fact 1: DIDs stand beside from-did-direct, which finds a follow-me before the extension."""
    assert steps(product, "from-pstn", "") == ["include => from-did-direct"]
    assert steps(product, "from-did-direct", "") == ["include => ext-findmefollow", "include => ext-local"]
    assert steps(product, "from-pstn", "02188880101") == ["Set(__FROM_DID=${EXTEN})", "Goto(from-did-direct,101,1)"]
    assert steps(product, "from-pstn", "02188880800")[-1] == "Goto(ext-queues,800,1)"


@BOTH
def test_extension_goes_to_its_optional_destinations(product: Product) -> None:
    """Fact 2: a subroutine, then three questions. The hint has Custom: devices. F5: a person with two devices."""
    hint, call, *destinations = steps(product, "ext-local", "101")
    if product is Product.FREEPBX:
        assert hint == "PJSIP/101&PJSIP/99101&Custom:DND101,CustomPresence:101"
        assert call == "Gosub(macro-exten-vm,s,1(101,PJSIP/101&PJSIP/99101))"
    else:
        assert (hint, call) == ("SIP/101&SIP/99101&Custom:DND101", "Macro(exten-vm,101,SIP/101&SIP/99101)")
    questions = [f'GotoIf($["${{DIALSTATUS}}" = "{s}"]?{MODULE})' for s in ("NOANSWER", "BUSY", "CHANUNAVAIL")]
    assert destinations == ["NoOp(${DIALSTATUS})", *questions, "Hangup()"]
    assert steps(product, "ext-local", "102")[2:] == ["NoOp(${DIALSTATUS})", "Hangup()"]


@BOTH
def test_ringing_an_extension(product: Product) -> None:
    """Fact 3: do not disturb and a line in use are busy; with call waiting only if nobody answers."""
    found = steps(product, "macro-exten-vm")
    subroutine = "Gosub(macro-user-callerid,s,1())" if product is Product.FREEPBX else "Macro(user-callerid)"
    assert found[:3] == [subroutine, "Set(RingGroupMethod=none)", "Set(__EXTTOCALL=${ARG1})"]
    assert any("DB(DND/" in step for step in found[:5])
    assert any("DB(CW/" in step for step in found[:6])
    assert found[6] == "Dial(${ARG2},3,tr)"
    assert found[-2] == "Set(DIALSTATUS=BUSY)"


@BOTH
def test_queue(product: Product) -> None:
    """Fact 4: NODEST is set while the caller waits. A member is dialled with their optional destinations."""
    assert steps(product, "ext-queues", "800") == [
        "Answer()",
        "Set(__NODEST=${EXTEN})",
        "Set(QUEUEJOINTIME=${EPOCH})",
        "Queue(800,tr,,,30)",
        "Set(__NODEST=)",
        f"Goto({MODULE})",
    ]
    assert steps(product, "from-queue", "_X.") == ["Set(QAGENT=${EXTEN})", "Set(__FROMQ=true)", "Goto(${NODEST},1)"]
    assert steps(product, "from-queue", "800") == ["Goto(from-internal,${QAGENT},1)"]
    queues = office(product).setup().extra_files["queues_additional.conf"]
    assert "member => Local/101@from-queue/n,0,Agent 101,hint:101@ext-local" in queues
    assert "wrapuptime=7" in queues


@BOTH
def test_ring_groups(product: Product) -> None:
    """Fact 5: EXTTOCALL is the last of the members, and the method is empty at the end."""
    devices = "PJSIP/101&PJSIP/99101", "PJSIP/102"
    if product is Product.ISSABEL:
        devices = "SIP/101&SIP/99101", "SIP/102"
    for number, method in (("600", "ringall"), ("601", "hunt")):
        found = steps(product, "ext-group", number)
        assert found[:4] == [
            "Set(__NODEST=${EXTEN})",
            f"Set(RingGroupMethod={method})",
            "Set(__EXTTOCALL=101)",
            "Set(__EXTTOCALL=102)",
        ]
        calls = ["&".join(devices)] if method == "ringall" else list(devices)
        assert found[4:-3] == [f"Dial({call},2,tr)" for call in calls]
        assert found[-3:] == ["Set(RingGroupMethod=)", "Set(__NODEST=)", f"Goto({MODULE})"]


@BOTH
def test_follow_me(product: Product) -> None:
    """Fact 6: FMGRP has the extension, EXTTOCALL the last number of the list, which may be a mobile."""
    found = steps(product, "ext-findmefollow", "102")
    assert found[:2] == ["Set(__EXTTOCALL=${EXTEN})", "Set(FMGRP=${EXTEN})"]
    assert found[-5] == "Set(__EXTTOCALL=09120000102)"
    assert "Local/09120000102@from-internal/n" in found[-4]
    assert found[-3:] == ["Set(RingGroupMethod=)", "Set(__NODEST=)", "Goto(ext-local,${EXTEN},dest)"]


@BOTH
def test_calls_to_outside(product: Product) -> None:
    """Fact 7: whose call it is, and whose caller ID wins. Recording, a right without password, two trunks."""
    assert steps(product, "macro-user-callerid")[0] == "Set(AMPUSER=${DB(DEVICE/${CALLERID(num)}/user)})"
    sources = [step for step in steps(product, "macro-dialout-trunk") if "OUTCID=" in step or "OWNCID=" in step]
    assert [re.sub(r".*?(TRUNK_CID|outboundcid|TRUNKCIDOVERRIDE|TRUNK_FORCED|\?).*", r"\1", s) for s in sources] == [
        "TRUNK_CID",
        "outboundcid",
        "?",
        "TRUNKCIDOVERRIDE",
        "TRUNK_FORCED",
        "?",
    ]
    route = steps(product, "outrt-1", "_09[02-9]X.")
    assert "ROUTENAME=Everywhere" in route[1] or "ROUTE_NAME=Everywhere" in route[1]
    assert [re.sub(r"^Gosub\(macro-|^Macro\(|[,)].*", "", step) for step in (route[0], *route[2:])] == [
        "user-callerid",
        "record",
        "dialout-trunk",
        "dialout-trunk",
        "outisbusy",
    ]
    assert "dialout-trunk" in steps(product, "outrt-2", "_0913X.")[2]
    assert "1,${EXTEN},1234,on" in steps(product, "outrt-2", "_0913X.")[2], "the password is the third argument"
    assert steps(product, "outbound-allroutes", "") == ["include => outrt-1", "include => outrt-2"]
    assert steps(product, "outbound-allroutes", "foo") == ["NoOp(bar)"]
    assert office(product).entries() == {
        "DEVICE/101/user": "101",
        "DEVICE/99101/user": "101",
        "DEVICE/102/user": "102",
        "AMPUSER/101/cidname": "Sara",
        "AMPUSER/101/outboundcid": "02188880101",
        "AMPUSER/101/recording/out/external": "force",
        "AMPUSER/101/pinless": "NOPASSWD",
        "CW/101": "ENABLED",
    }
    assert "database put AMPUSER 101/pinless NOPASSWD=yes\n" in office(product).setup().extra_files["cli.conf"]


@BOTH
def test_after_the_trunk(product: Product) -> None:
    """Fact 8: what the customer says ends the call; all else goes to a message that answers. So does a password."""
    found = steps(product, "macro-dialout-trunk")
    dial = next(number for number, step in enumerate(found) if step.startswith("Dial("))
    questions = found[dial + 1 : dial + 5]
    asked = [re.findall(r'"(\w+)"', question) for question in questions]
    assert asked == [["BUSY"], ["NOANSWER"], ["1", "28"], ["22", "23"]]
    assert found[dial + 5] == ("Return()" if product is Product.FREEPBX else "MacroExit()")
    assert "Playback(all-circuits-busy-now)" in steps(product, "macro-outisbusy")
    assert "pincheck" in found[0] and "${ARG3}" in found[0]
    assert "Answer()" in steps(product, "macro-pincheck")
    assert steps(product, "bad-number", "_X.") == ["Playback(ss-noservice,noanswer)", "Congestion(8)", "Hangup()"]


def test_variants() -> None:
    """Fact 9: 17 has no Macro; 16 and Issabel have. Their own FastAGI service listens on 4573."""
    freepbx, issabel = (office(product).dialplan() for product in Product)
    assert "Macro(" not in freepbx and "MacroExit" not in freepbx and "SIP/101" in freepbx
    assert "Gosub(" not in issabel and "Return()" not in issabel and "PJSIP" not in issabel
    assert AGI_PORT == 4573
    names = [re.findall(r"^\[.+\]", text, re.MULTILINE) for text in (freepbx, issabel)]
    assert names[0] == names[1]


def test_what_tells_the_products_apart() -> None:
    """The generators of FreePBX (13 to 17) write ASTMANAGERHOST and AMPBIN, those of IssabelPBX (2.11, 2.12) do not."""
    freepbx, issabel = (office(product).dialplan() for product in Product)
    for name in FREEPBX_GLOBALS:
        assert f"\n{name}=" in freepbx and f"\n{name}=" not in issabel
    older = replace(office(Product.ISSABEL), global_variables=FREEPBX_GLOBALS).dialplan()
    assert "\nASTMANAGERHOST=" in older and "Macro(" in older, "FreePBX 16"


@BOTH
def test_feature_codes_and_places_for_misc_destinations(product: Product) -> None:
    """F8: exact hints of feature codes. *78 and *45 as people use them; the administrator's own context."""
    text = office(product).dialplan()
    for hint in ("*76101,hint,Custom:DND101", "*21101,hint,Custom:", "*740101,hint,Custom:", "71,hint,park:"):
        assert f"exten => {hint}" in text
    assert "Set(DB(DND/${AMPUSER})=YES)" in steps(product, "feature-codes", "*78")
    assert steps(product, "from-internal-custom", "") == ["include => bazang-modules"]
    assert steps(product, "ext-miscdests", "1")[-1] == "Goto(from-internal,*5001,1)"
    assert steps(product, "from-internal", "")[0] == "include => from-internal-custom"


@BOTH
def test_files_of_the_office(product: Product, tmp_path: Path) -> None:
    """Issabel's phones and trunks use chan_sip. The queues are in a file of their own."""
    for module in ("app_macro", "chan_sip", "chan_pjsip"):
        (tmp_path / f"{module}.so").touch()
    instance = AsteriskInstance(tmp_path, tmp_path, tmp_path, 5060, 5038, 5061, "bazang", "secret")
    files = render(office(product).setup(), instance)
    assert files["queues.conf"] == "#include queues_additional.conf\n"
    loaded = set(re.findall(r"load = (\w+)\.so", files["modules.conf"]))
    if product is Product.FREEPBX:
        assert loaded == {"chan_pjsip"} and "sip.conf" not in files
    else:
        assert loaded == {"app_macro", "chan_sip"} and "pjsip.conf" not in files
        assert "[99101]\ntype=friend" in files["sip.conf"]


async def test_other_fast_agi_service_takes_every_call() -> None:
    other = OtherFastAgi()
    port = await other.start(0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"agi_network: yes\nagi_request: agi://127.0.0.1/secret/module/1\n\n")
    assert await reader.read() == b""
    assert other.scripts == ["agi://127.0.0.1/secret/module/1"]
    writer.close()
    await other.stop()
