"""Contacts that phones register: only plain addresses are dialled."""

import re
from functools import partial

from script.office.asterisk import OfficeSetup
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import MODULE, OWN, Office

ABROAD = "00447911123456"
TOLL_FRAUD = f"sip:x&PJSIP/{ABROAD}@trunk"

# Contacts of real phones, as the PBX stores them. `{name}` is the endpoint.
PLAIN = [
    "sip:{name}@192.0.2.7:5060",
    "sips:{name}@192.0.2.7:5061;transport=tls",
    "sip:{name}@[2001:db8::1]:5060",
    "sip:{name}@[::1]",
    "sip:{name}@192.0.2.7:5060;transport=TCP",
    "sip:{name}@192.0.2.7:49152;transport=UDP;rinstance=6d0c5a1b7d15a0c4",  # Zoiper, Bria
    "sip:{name}@192.0.2.7:49152;ob",  # PJSIP: MicroSIP
    "sip:{name}@192.0.2.7:3072;line=1gj37ld2",  # Snom
    "sip:2d8d5d34-1a63-4c1f-9d55-0c7f0c1c9e11@192.0.2.7:49152;transport=tcp",  # Cisco
    "sip:{name}@192.0.2.7:5060;user=phone;reg-id=1",
    "sip:0f1qk3v2@df7jal23ls0d.invalid;transport=ws",  # a browser
    "sip:{name}@192.0.2.7:40123;transport=tls;pn-provider=fcm;pn-param=linphone;pn-prid=fAk3:APA91b_x-Y",  # Linphone
    "sip:%d8%b3%d8%a7%d8%b1%d8%a7@192.0.2.7:5060",
    "sip:{name}_!~*'.-=+/@192.0.2.7:5060",
]

# Hostile and odd contacts, each with the parts that are still dialled: addresses of the endpoint itself.
ODD = {
    TOLL_FRAUD: ["sip:x"],
    f"sip:x%26PJSIP/{ABROAD}@trunk": ["sip:x"],  # the PBX stores the same
    f"sip:x@192.0.2.7;a=b&SIP/trunk/{ABROAD}": ["sip:x@192.0.2.7;a=b"],
    "sip:x@192.0.2.7;a=b&Local/0044": ["sip:x@192.0.2.7;a=b"],
    "sip:x@192.0.2.7;a=b&PJSIP/{name}/{name}": ["sip:x@192.0.2.7;a=b"],  # the name of an AOR
    "sip:x@192.0.2.7;pn-prid=AB:remote&CD:voip;pn-timeout=0": ["sip:x@192.0.2.7;pn-prid=AB:remote"],  # Linphone on iOS
    f"sip:x@[2001:db8::1&PJSIP/{ABROAD}@trunk&y]": [],
    "sip:x,1,U(outbound)@192.0.2.7": [],
    "sip:x,1@192.0.2.7": [],
    "sip:x(1)@192.0.2.7": [],
    "sip:x)y@192.0.2.7": [],
    "sip:x$y@192.0.2.7": [],
    "sip:x@192.0.2.7;a=[b": [],  # Dial would read its options as a part of the address
    "sip:x@192.0.2.7;a=]b[": [],
    "sip:x@192.0.2.7?a=b": [],
    'sip:x@192.0.2.7;a="b"': [],
    'sip:x@192.0.2.7;a="b c"': [],
    f'sip:x@192.0.2.7;a="):0:9,1,G(outbound^{ABROAD}^1)"': [],
    'sip:x@192.0.2.7;a="${SHELL(id)}$[1+1]{}|^<>\\\\\\"`#"': [],
    # The quoted parts look like addresses of the endpoint, but no phone registered them.
    f'sip:x@192.0.2.7;a="&PJSIP/{{name}}/sip:{ABROAD}@192.0.2.9&"': [],
    f'sip:x@192.0.2.7;a="&PJSIP/{{name}}/sip:y&PJSIP/{{name}}/sip:{ABROAD}@192.0.2.9&PJSIP/{{name}}/sip:z&"': [],
}

# Names of endpoints, each with a similar name that must not match.
NAMES = {"10.1": "1001", "sales": "sales-2", "sales-2": "sales", "a_b*c": "a_bbc", "201": "2010", "2010": "201"}

# A code that stores in the Asterisk database what would be dialled for an endpoint.
PROBE = """
[from-trunk](+)
exten => _*77.,1,Gosub(bazang-devices,s,1(PJSIP/${EXTEN:3}))
 same => n,Set(DB(probe/${EXTEN:3})=${GOSUB_RETVAL})
 same => n,Hangup()
"""


async def find_dialled(office: Office, name: str) -> list[str]:
    """Return what would be dialled for an endpoint, in any order."""
    call = await office.trunk.call(f"*77{name}")
    await call.wait_ended()
    answer = await office.bazang.asterisk.cli(f"database get probe {name}")
    assert answer.startswith("Value: "), answer
    return [piece for piece in answer.removeprefix("Value: ").strip().split("&") if piece]


def warnings(office: Office, name: str) -> list[str]:
    """Return the warnings in Asterisk's log that name this endpoint."""
    lines = office.bazang.asterisk.log_file.read_text(errors="replace").splitlines()
    return [line for line in lines if "] WARNING[" in line and re.search(rf"PJSIP/{re.escape(name)}(?![\w*.-])", line)]


async def test_contact_with_a_second_dial_string_calls_nobody_outside(open_office: OpenOffice) -> None:
    def prepare(bazang: Bazang) -> None:
        bazang.module(targets=("101",))
        bazang.scenario("101", busy=MODULE)

    async with open_office(prepare) as office:
        for extension in ("101", "102"):
            await office.bazang.asterisk.phone(extension, TOLL_FRAUD)
        caller = await office.trunk.call("101", caller=OWN)
        agent_call = await office.phones["101"].next_call()
        await caller.hang_up()
        await agent_call.wait_ended()
        request = office.add_request("102")
        agent_call = await office.answer_agent("101")
        inside = await office.phones["102"].next_call()
        await inside.answer()
        await office.wait_for_status(request, "connected")
        await inside.hang_up()
        await office.wait_for_status(request, "done")
        assert office.calls_to("") == [], "nobody outside was called"
        await office.bazang.until(lambda: warnings(office, "102"), PATIENCE, "Asterisk logs a warning")
        assert (len(warnings(office, "101")), len(warnings(office, "102"))) == (2, 1)


async def test_contacts_of_real_phones_are_dialled_unchanged(open_office: OpenOffice) -> None:
    names = [f"3{number:02}" for number in range(len(PLAIN))] + list(NAMES)
    setup = OfficeSetup(phones=dict.fromkeys(names, "secret"), extra_dialplan=PROBE)
    async with open_office(setup=setup, phones=()) as office:
        for number, name in enumerate(names):
            contact = PLAIN[number % len(PLAIN)].format(name=name)
            await office.bazang.asterisk.phone(name, contact)
            assert await find_dialled(office, name) == [f"PJSIP/{name}/{contact}"]
            assert warnings(office, name) == []


async def test_odd_contact_is_left_out_and_the_second_phone_is_dialled(open_office: OpenOffice) -> None:
    cases = {f"3{number:02}": case for number, case in enumerate(ODD.items())}
    for name, other in NAMES.items():
        cases[name] = (f"sip:x@192.0.2.7;a=b&PJSIP/{other}/sip:{ABROAD}", ["sip:x@192.0.2.7;a=b"])
    setup = OfficeSetup(phones=dict.fromkeys(cases, "secret"), extra_dialplan=PROBE)
    async with open_office(setup=setup, phones=()) as office:
        for name, (contact, pieces) in cases.items():
            await office.bazang.asterisk.phone(name, contact.replace("{name}", name))
            desk = await office.bazang.asterisk.phone(name)
            expected = sorted(f"PJSIP/{name}/{address}" for address in [*pieces, desk.contact])
            assert sorted(await find_dialled(office, name)) == expected, contact
            await office.bazang.until(partial(warnings, office, name), 5, f"Asterisk logs a warning of {contact}")
            assert len(warnings(office, name)) == 1, contact


async def test_phones_with_parameters_and_phones_behind_nat_ring(open_office: OpenOffice) -> None:
    setup = OfficeSetup(rewrite_contact=True)
    async with open_office(lambda b: b.module(targets=("101", "102", "103")), setup, phones=("101",)) as office:
        asterisk = office.bazang.asterisk
        # The PBX replaces the address of 103 by the one it comes from, and keeps the original as `x-ast-orig-host`.
        contacts = {"102": "sip:102@HERE;rinstance=6d0c5a1b7d15a0c4;ob", "103": "sip:103@198.51.100.7:5062;ob"}
        office.phones |= {number: await asterisk.phone(number, contact) for number, contact in contacts.items()}
        assert "x-ast-orig-host=198.51.100.7:5062" in await asterisk.cli("pjsip show aor 103")
        for target in ("102", "103"):
            request = office.add_request(target=target)
            customer = await office.connect_customer(await office.answer_agent(target), request)
            await customer.hang_up()
            await office.wait_for_status(request, "done")
            assert warnings(office, target) == []
