"""Where the PBX sends callers to the codes of modules, and where phones dial."""

from app.telephony.module_codes import Lead, find_leads, missing_codes, phone_contexts
from tests.support.fake_dialplan import FakeDialplan, Step

ALL: list[Step] = [
    ("ext-local", "101", "GotoIf", '$["${DIALSTATUS}" = "BUSY"]?bazang-modules,*5001,1'),
    ("ext-local", "101", "GotoIf", '$["${DIALSTATUS}" = "NOANSWER"]?bazang-modules,*5001,1:end'),
    ("customdests", "dest-1", "Gosub", "bazang-modules,*5002,1()"),
    ("mine", "s", "Dial", "Local/*5003@bazang-modules/n"),
    ("mine", "s", "Goto", "bazang-modules,${EXTEN},1"),  # any code
    ("ext-miscdests", "7", "Goto", "from-internal,*5001,1"),
    ("ext-miscdests", "8", "Goto", "from-internal,*97,1"),
    ("ext-miscdests", "9", "Goto", "from-internal,5999,1"),
    ("ext-miscdests", "10", "Goto", "from-internal,*5999,1"),
    ("bazang-module-1", "error", "Goto", "bazang-modules,*5004,1"),
]
STEPS = {
    ("", ""): ALL,
    ("from-internal", "*5001"): [("bazang-modules", "*5001", "Goto", "bazang-module-1,s,1")],
    ("from-internal", "*97"): [("app-vmmain", "*97", "Answer", "")],
    ("from-internal", "5999"): [("bad-number", "_X.", "Congestion", "20")],
}


async def test_all_steps_that_lead_to_a_code_are_found() -> None:
    dialplan = FakeDialplan(STEPS, contexts=("from-internal",))
    leads = await find_leads(dialplan, await dialplan.collect("ShowDialPlan"))
    assert leads == (
        Lead("ext-local", "101", "*5001"),
        Lead("customdests", "dest-1", "*5002"),
        Lead("mine", "s", "*5003"),
        Lead("ext-miscdests", "9", "5999"),
        Lead("ext-miscdests", "10", "*5999"),
    )


async def test_codes_that_asterisk_does_not_know() -> None:
    values = {"DIALPLAN_EXISTS(bazang-modules,*5001,1)": "1", "DIALPLAN_EXISTS(bazang-modules,*5002,1)": "0"}
    assert await missing_codes(FakeDialplan(values=values), ["*5001", "*5002", "x\r\n"]) == ("*5002",)


async def test_contexts_of_phones() -> None:
    values = {
        "PJSIP_ENDPOINT(101,context)": "phones",
        "SIPPEER(102,context)": "old phones",  # no name of a context
        "SIPPEER(103,context)": "old-phones",
        "PJSIP_ENDPOINT(104,context)": "phones",
    }
    dialplan = FakeDialplan(values=values)
    assert await phone_contexts(dialplan, ["101", "102", "103", "104", "105", "a)"]) == ("phones", "old-phones")
    assert "SIPPEER(101,context)" not in dialplan.asked and not any("a)" in asked for asked in dialplan.asked)
