"""The dialplan: its text, the check for unsafe values, and writing the file. tests/asterisk runs it."""

import os
import re
import stat
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.dialplan_names import queue_extension
from app.domain.dialplan_numbers import CallerCheck, NumberCheck
from app.domain.routing import (
    HANG_UP,
    NO_DESTINATION,
    DayPlan,
    Destination,
    Dialplan,
    DownPlan,
    ExtensionPlan,
    HoursPlan,
    ModulePlan,
    OfferPlan,
    QueuePlan,
)
from app.telephony.dialplan import KEEP_REMOVED, Rendered, UnsafeDialplan, render, with_removed, write

NOW = datetime(2026, 11, 3, 8, 0, 0, tzinfo=UTC)
TO_MODULE = Destination("module", "*5001")
MODULE = ModulePlan(7, "*5001", HANG_UP, Destination("extension", "100"))
EXTENSION = ExtensionPlan(
    extension="101",
    devices="PJSIP/101&SIP/201",
    hint_context="from-internal",
    add_hint=False,
    ring=20,
    no_answer=TO_MODULE,
    busy=TO_MODULE,
    unavailable=NO_DESTINATION,
)
QUEUE = QueuePlan("600", 90, TO_MODULE)
OFFER = OfferPlan(7, "*5001", "600", "4", 2, 3, "/srv/prompts/offers/module-7")
PLAN = Dialplan(
    modules=(MODULE,),
    extensions=(EXTENSION,),
    queues=(QUEUE,),
    profile="asterisk",
    agi_host="127.0.0.1",
    agi_port=4573,
    agi_secret="5ec2e7",
    extension_context="bazang-extensions",
    queue_context="bazang-queues",
    numbers=NumberCheck(("0[29]1XXXXXXXX",), ("110", "112")),
    offers=(OFFER,),
    callers=CallerCheck(("+98912XXXXXXX", "0[29]1XXXXXXXX"), ("+989121234567",)),
)
DOWN = DownPlan(False, "/srv/prompts/while-down/module-7-intro", "", "/srv/prompts/while-down/module-7-after_success")


def contexts(text: str) -> dict[str, list[str]]:
    """Return the lines of each context, without comments and empty lines."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("["):
            lines = found.setdefault(stripped.strip("[]"), [])
        elif stripped and not stripped.startswith(";"):
            lines.append(stripped)
    return found


def with_module(**changes: Any) -> Dialplan:
    return replace(PLAN, modules=(replace(MODULE, **changes),))


def with_extension(**changes: Any) -> Dialplan:
    return replace(PLAN, extensions=(replace(EXTENSION, **changes),))


def with_queue(**changes: Any) -> Dialplan:
    return replace(PLAN, queues=(replace(QUEUE, **changes),))


# -- the text ---------------------------------------------------------------------------------------------------------


def steps(plan: Dialplan) -> list[str]:
    """Return the application of each step in the contexts of the module, the extension and the queue, in order."""
    found = contexts(render(plan).text)
    names = (MODULE.context, EXTENSION.context, "bazang-queues", OFFER.first_context)
    lines = [line for name in names for line in found[name]]
    assert len(lines) > 40
    return [re.sub(r"\(.*", "", line) for line in lines if ",hint," not in line]


STEPS = steps(PLAN)
DESTINATIONS = st.sampled_from(
    [NO_DESTINATION, HANG_UP, TO_MODULE, Destination("extension", "102"), Destination("custom", "from-pstn,5,1")]
)


@given(
    st.builds(
        ModulePlan,
        st.just(7),
        st.just("*5001"),
        DESTINATIONS,
        DESTINATIONS,
        st.sampled_from([None, DOWN, DownPlan(silent=True)]),
    ),
    st.builds(
        ExtensionPlan,
        extension=st.just("101"),
        devices=st.sampled_from(["PJSIP/101", "PJSIP/101&SIP/201"]),
        hint_context=st.sampled_from(["from-internal", "bazang-extensions"]),
        add_hint=st.booleans(),
        ring=st.integers(5, 60),
        no_answer=DESTINATIONS,
        busy=DESTINATIONS,
        unavailable=DESTINATIONS,
    ),
    st.builds(QueuePlan, st.just("600"), st.integers(1, 900), DESTINATIONS),
    st.sampled_from(
        [
            OFFER,
            OfferPlan(7, "*5001", "600", ""),
            OfferPlan(7, "*5001", "600", "*"),
            OfferPlan(7, "*5001", "600", "#", callers_per_agent=1),
        ]
    ),
    st.sampled_from(["asterisk", "freepbx"]),
)
def test_no_value_moves_a_step(
    module: ModulePlan, extension: ExtensionPlan, queue: QueuePlan, offer: OfferPlan, profile: str
) -> None:
    """Asterisk reloads while calls are inside. A call continues at the number of its next step."""
    plan = replace(PLAN, modules=(module,), extensions=(extension,), queues=(queue,), profile=profile, offers=(offer,))
    # A destination, and steps that do nothing in one profile, or without an offer.
    alternatives = [{"Goto", "Hangup"}, *({"NoOp", step} for step in ("ExecIf", "Set", "Gosub", "Background"))]
    for before, after in zip(STEPS, steps(plan), strict=True):
        one, other = before.rpartition(",")[2], after.rpartition(",")[2]
        assert one == other or {one, other} in alternatives
        assert before.rpartition(",")[0] == after.rpartition(",")[0]


@pytest.mark.parametrize("profile", ["asterisk", "freepbx"])
@pytest.mark.parametrize("empty", [True, False])
def test_every_line_is_well_formed(profile: str, empty: bool) -> None:
    plan = replace(PLAN, profile=profile)
    if empty:
        plan = replace(plan, modules=(), extensions=(), queues=(), offers=())
    for line in render(plan).text.splitlines():
        if line.lstrip().startswith(";") or not line.strip():
            continue
        assert re.fullmatch(
            r"\[[a-z0-9-]+\]|exten => \S+,(1|hint),.+| same => n(\([a-z]+\))?,.+|include => \S+", line
        ), line
        assert line.count("(") == line.count(")"), line
        assert line.count("{") == line.count("}"), line
        assert line.count("[") == line.count("]"), line


def test_contexts_are_unique() -> None:
    plan = replace(
        PLAN,
        modules=(MODULE, replace(MODULE, id=8, code="*5002")),
        extensions=(EXTENSION, replace(EXTENSION, extension="102")),
        queues=(QUEUE, replace(QUEUE, queue="601")),
    )
    names = re.findall(r"^\[(.+)\]$", render(plan).text, re.MULTILINE)
    assert len(names) == len(set(names))
    assert {"bazang-module-7", "bazang-module-8", "bazang-extension-101", "bazang-extension-102"} <= set(names)


def test_key_leads_from_the_queue_to_the_module() -> None:
    found = contexts(render(PLAN).text)
    key = 'exten => 4,1,ExecIf($["${BAZANG_QUEUE}" = "600"]?Set(BAZANG_LEFT=600))'
    assert found["bazang-offer-7"] == [key, "same => n,Set(BAZANG_PLACE=)", "same => n,Goto(bazang-modules,*5001,1)"]
    at_once = "same => n,Gosub(bazang-offer-at-once,s,1(600,2,3,bazang-first-offer-7))"
    assert at_once in found["bazang-queues"]
    plan = replace(PLAN, offers=(replace(OFFER, key="", callers=0, callers_per_agent=0, sound=""),))
    assert contexts(render(plan).text)["bazang-offer-7"] == []


def test_code_leads_to_its_module() -> None:
    assert contexts(render(PLAN).text)["bazang-modules"] == ["exten => *5001,1,Goto(bazang-module-7,s,1)"]


def test_calls_of_our_own_are_ended_before_anything_else() -> None:
    """They must neither ring anybody else nor register a request."""
    found = contexts(render(PLAN).text)
    for context in ("bazang-module-7", "bazang-extension-101"):
        assert found[context][0] == "exten => s,1,Gosub(bazang-own-calls,s,1)"
    assert found["bazang-queues"][0] == "exten => 600,1,Gosub(bazang-own-calls,s,1)"
    assert "same => n,Hangup(17)" in found["bazang-own-calls"]


def test_wanted_extension_of_freepbx_is_read_at_each_entry() -> None:
    """Follow-me names it in FMGRP. EXTTOCALL is the last extension of a ring group, so it counts without one only."""
    lines = contexts(render(replace(PLAN, profile="freepbx")).text)["bazang-module-7"]
    wanted = [line for line in lines if re.search("BAZANG_WANTED|EXTTOCALL|FMGRP", line)]
    assert wanted == [
        'same => n,Set(BAZANG_CAME_BY=${IF($["${RingGroupMethod}" = "none"]?extension:'
        "${IF($[${LEN(${FMGRP})} > 0]?follow_me:${IF($[${LEN(${EXTTOCALL})} > 0]?ring_group:code)})})})",
        'same => n,ExecIf($["${RingGroupMethod}" = "none"]?Set(FMGRP=${FILTER(0-9,${EXTTOCALL})}))',
        "same => n,Set(BAZANG_WANTED=${FILTER(0-9,${FMGRP})})",
        "same => n,Set(RingGroupMethod=${IF($[${LEN(${BAZANG_WANTED})} > 0]?none)})",
        "same => n,Set(__EXTTOCALL=${BAZANG_WANTED})",
        "same => n,Set(FMGRP=)",
    ]


def test_member_of_a_freepbx_queue_who_does_not_answer_is_busy() -> None:
    """The module would take the caller of the queue. A caller whom a person has transferred may enter it."""
    lines = contexts(render(replace(PLAN, profile="freepbx")).text)["bazang-module-7"]
    assert lines[1] == ("same => n,ExecIf($[${LEN(${NODEST}${FROMQ})} > 0 & ${LEN(${BLINDTRANSFER})} = 0]?Hangup(17))")


def test_freepbx_dials_customers_as_the_agent() -> None:
    """By the caller's number it finds the agent's caller ID and rights. Our caller ID wins by TRUNKCIDOVERRIDE."""
    lines = contexts(render(replace(PLAN, profile="freepbx")).text)["bazang-customer"]
    assert 'same => n,Set(CALLERID(all)="" <${FILTER(0-9,${BAZANG_AGENT})}>)' in lines
    override = "Set(__TRUNKCIDOVERRIDE=${BAZANG_CALLER_ID})"
    assert f"same => n,ExecIf($[${{LEN(${{BAZANG_CALLER_ID}})}} > 0]?{override})" in lines
    assert "TRUNKCIDOVERRIDE" not in render(PLAN).text


def test_internal_number_is_never_dialled_outside() -> None:
    """Without a number for the outbound context, only the devices of an extension are dialled."""
    lines = contexts(render(PLAN).text)["bazang-customer"]
    outside = next(number for number, line in enumerate(lines) if "Set(BAZANG_TARGET=Local/" in line)
    assert lines[outside + 1] == "same => n,GotoIf($[${LEN(${BAZANG_NUMBER})} > 0]?dial)"


def test_customer_is_rung_first_only_if_our_service_says_so() -> None:
    """The steps that dial come after the answer, a time limit, and a value that only the service sets."""
    lines = contexts(render(PLAN).text)["bazang-customer-first"]
    asked = lines.index("same => n,Gosub(bazang-service,s,1(attempt/${BAZANG_ATTEMPT},BAZANG_GO))")
    assert {"exten => s,1,Set(BAZANG_GO=)", "same => n,Set(TIMEOUT(absolute)=4)"} <= set(lines[:asked])
    refused = lines.index('same => n,GotoIf($["${BAZANG_GO}" = "1"]?:over)')
    assert asked < refused < lines.index("same => n,Goto(bazang-customer,s,take)")
    assert lines[-1] == "exten => T,1,Hangup()"


def test_our_service_is_asked_at_each_of_its_addresses() -> None:
    service = contexts(render(PLAN).text)["bazang-service"]
    assert service[0] == "exten => s,1,Set(LOCAL(rest)=127.0.0.1)"
    facts = ",".join(f"${{{name}}}" for name in ("BAZANG_FIRST", "BAZANG_HOPS", "BAZANG_CAME_BY", "BAZANG_WANTED"))
    assert f"same => n,AGI(agi://${{host}}:4573/5ec2e7/${{ARG1}},{facts})" in service
    assert service[-1] == "exten => T,1,Goto(s,more)"
    more = contexts(render(replace(PLAN, agi_host="10.0.0.1,10.0.0.2")).text)["bazang-service"]
    assert more[0] == "exten => s,1,Set(LOCAL(rest)=10.0.0.1&10.0.0.2)"
    assert more[1:] == service[1:]  # a call continues at the number of its next step


def test_module_goes_on_without_our_service() -> None:
    """A service that hangs or is down must not hold the caller, nor use the result of an earlier module."""
    lines = contexts(render(PLAN).text)["bazang-module-7"]
    call = lines.index("same => n,Gosub(bazang-service,s,1(module/7,BAZANG_RESULT))")
    before = "\n".join(lines[:call])
    for line in ("Set(BAZANG_RESULT=)", "Set(AGIEXITONHANGUP=yes)", "Set(TIMEOUT(absolute)=4)"):
        assert line in before
    assert "exten => T,1,Goto(leave,1)" in lines
    assert "exten => leave,1,Set(TIMEOUT(absolute)=0)" in lines
    assert "exten => error,1,Goto(bazang-extensions,100,1)" in lines
    assert "exten => next,1,Hangup(16)" in lines


@pytest.mark.parametrize(
    ("destination", "line"),
    [
        (Destination("extension", "100"), "Goto(bazang-extensions,100,1)"),
        (Destination("queue", "600"), "Goto(bazang-queues,600,1)"),
        (Destination("queue", "فروش تهران"), f"Goto(bazang-queues,{queue_extension('فروش تهران')},1)"),
        (Destination("module", "*5002"), "Goto(bazang-modules,*5002,1)"),
        (Destination("custom", "from-ivr,s,1"), "Goto(from-ivr,s,1)"),
    ],
)
def test_destinations(destination: Destination, line: str) -> None:
    module = contexts(render(with_module(next=destination, error=Destination("custom", "x,y,1"))).text)
    assert f"exten => next,1,{line}" in module["bazang-module-7"]
    extension = contexts(render(with_extension(no_answer=destination)).text)
    assert f"exten => missed,1,{line}" in extension["bazang-extension-101"]
    queue = contexts(render(with_queue(failed=destination)).text)
    assert f"same => n,{line}" in queue["bazang-queues"]


def test_queue_with_an_unusual_name_has_a_plain_extension() -> None:
    """In a context of the PBX, which we do not write, the name itself is the extension."""
    name = "فروش تهران"
    lines = contexts(render(with_queue(queue=name)).text)["bazang-queues"]
    assert lines[0].startswith(f"exten => {queue_extension(name)},1,")
    assert any(line.startswith(f"same => n(join),Queue({name},,,,") for line in lines)
    elsewhere = replace(with_module(next=Destination("queue", name)), queue_context="their-queues")
    assert f"exten => next,1,Goto(their-queues,{name},1)" in contexts(render(elsewhere).text)["bazang-module-7"]


@pytest.mark.parametrize("destination", [HANG_UP, NO_DESTINATION])
def test_causes_of_hang_ups(destination: Destination) -> None:
    """The PBX that sent the call reads the cause: 17 busy, 19 no answer, 34 not available."""
    plan = with_extension(no_answer=destination, busy=destination, unavailable=destination)
    lines = contexts(render(replace(plan, queues=with_queue(failed=destination).queues)).text)
    first = lines["bazang-extension-101"].index("exten => busy,1,UserEvent(BazangCaller,Extension: 101)")
    assert lines["bazang-extension-101"][first:] == [
        "exten => busy,1,UserEvent(BazangCaller,Extension: 101)",
        "same => n,Hangup(17)",
        "exten => unavailable,1,UserEvent(BazangCaller,Extension: 101)",
        "same => n,Hangup(34)",
        "exten => missed,1,Hangup(19)",
    ]
    assert "same => n,Hangup(34)" in lines["bazang-queues"]


def test_destinations_are_in_the_contexts_of_the_settings() -> None:
    plan = replace(
        with_module(next=Destination("extension", "100"), error=Destination("queue", "600")),
        extension_context="from-internal",
        queue_context="ext-queues",
    )
    lines = contexts(render(plan).text)["bazang-module-7"]
    assert "exten => next,1,Goto(from-internal,100,1)" in lines
    assert "exten => error,1,Goto(ext-queues,600,1)" in lines


@pytest.mark.parametrize("add_hint", [True, False])
def test_extension_gets_a_hint_if_the_pbx_has_none(add_hint: bool) -> None:
    lines = contexts(render(with_extension(add_hint=add_hint)).text)["bazang-extensions"]
    assert ("exten => 101,hint,PJSIP/101&SIP/201" in lines) is add_hint
    assert "exten => 101,1,Goto(bazang-extension-101,s,1)" in lines


@pytest.mark.parametrize(("busy", "is_asked"), [(TO_MODULE, True), (NO_DESTINATION, False), (HANG_UP, False)])
def test_busy_line_rings_without_a_destination_for_busy(busy: Destination, is_asked: bool) -> None:
    lines = contexts(render(with_extension(busy=busy)).text)["bazang-extension-101"]
    assert any('"INUSE"]?busy' in line for line in lines) is is_asked
    assert any("GROUP_COUNT(101@bazang)" in line for line in lines)  # a call of ours always keeps the line


@pytest.mark.parametrize(("profile", "expected"), [("freepbx", True), ("asterisk", False)])
def test_freepbx_names_the_wanted_extension_by_its_own_variable(profile: str, expected: bool) -> None:
    assert ("EXTTOCALL" in render(replace(PLAN, profile=profile)).text) is expected


def test_number_is_checked_right_before_the_outbound_context() -> None:
    """An extension with anything but digits never gets to the functions that would split it at its commas."""
    lines = contexts(render(PLAN).text)["bazang-out"]
    checked = "same => n,GotoIf($[${LEN(${EXTEN})} = ${LEN(${FILTER(0-9,${EXTEN})})}]?:refused)"
    steps = [checked, "same => n,Gosub(bazang-numbers,${EXTEN},1)", "same => n,Goto(${BAZANG_OUTBOUND},${EXTEN},1)"]
    numbers = [lines.index(step) for step in steps]
    assert numbers == sorted(numbers)
    assert not any("${EXTEN}" in line for line in lines[: numbers[0]])
    assert contexts(render(PLAN).text)["bazang-numbers"][1:] == [
        "exten => 110,1,Return(emergency)",
        "exten => 112,1,Return(emergency)",
        "exten => _0[29]1XXXXXXXX,1,Return(allowed)",
        "exten => _X!,1,Return(number)",
    ]


def test_digest_of_the_number_check_changes_with_the_numbers_only() -> None:
    rendered, other = render(PLAN), render(replace(PLAN, modules=()))
    assert rendered.number_check == other.number_check
    assert f"exten => n{rendered.number_check},1,NoOp()" in contexts(rendered.text)["bazang-numbers"]
    for numbers in (NumberCheck(), replace(PLAN.numbers, emergency=("110",))):
        assert render(replace(PLAN, numbers=numbers)).number_check != rendered.number_check


@pytest.mark.parametrize("text", ["", "_X.", "0[29", "0]", "N", "0X,1,Goto(x)", "1.", "h", "0-9"])
def test_form_of_a_number_that_has_another_meaning_is_refused(text: str) -> None:
    for numbers in (NumberCheck((text,), ()), NumberCheck((), (text,))):
        with pytest.raises(UnsafeDialplan):
            render(replace(PLAN, numbers=numbers))


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(with_module(code="h"), id="a module's code"),
        pytest.param(with_module(code="_X."), id="a pattern"),
        pytest.param(replace(PLAN, modules=(MODULE, replace(MODULE, id=8))), id="a code twice"),
        pytest.param(replace(PLAN, modules=(MODULE, replace(MODULE, id=8, code="*500-1"))), id="a code with a dash"),
        pytest.param(with_extension(extension="i"), id="an extension's number"),
        pytest.param(replace(PLAN, extensions=(EXTENSION, EXTENSION)), id="an extension twice"),
    ],
)
def test_name_that_is_no_extension_of_its_own_is_refused(plan: Dialplan) -> None:
    with pytest.raises(UnsafeDialplan, match="no extension of its own"):
        render(plan)


@pytest.mark.parametrize("name", ["h", "_X.", "t", "a-b"])
def test_queue_that_asterisk_would_take_for_another_extension_has_a_code(name: str) -> None:
    """Destinations lead to the code as well."""
    first = replace(QUEUE, queue="a--b")
    plan = replace(with_module(next=Destination("queue", name)), queues=(first, replace(QUEUE, queue=name)))
    found = contexts(render(plan).text)
    entries = [line.split(",")[0].removeprefix("exten => ") for line in found["bazang-queues"] if ",1," in line]
    assert entries[0] == "a--b" and re.fullmatch(r"queue-[0-9a-f]{12}", entries[1])
    assert f"exten => next,1,Goto(bazang-queues,{entries[1]},1)" in found["bazang-module-7"]
    assert any(line.startswith(f"same => n(join),Queue({name},,,,") for line in found["bazang-queues"])


def test_text_from_a_caller_is_filtered() -> None:
    text = render(PLAN).text
    for unsafe in ("EVAL(", "CALLERID(num)", "CALLERID(name)"):
        assert unsafe not in text.replace("Set(LOCAL(given)=${CALLERID(num)})", "")
    checked = text.index("BAZANG_OWN=${given}")
    assert "${given}" not in text[:checked].replace("${LEN(${given})}", "")
    assert text.count("${BAZANG_NUMBER}") == 4
    assert text.count("${FILTER(0-9,${BAZANG_NUMBER})}") == 2 and text.count("${LEN(${BAZANG_NUMBER})}") == 2


# -- the revision -----------------------------------------------------------------------------------------------------


def test_revision_is_a_digest_of_the_content() -> None:
    first, second = render(PLAN), render(PLAN)
    assert first == second
    assert re.fullmatch(r"[0-9a-f]{12}", first.revision)
    assert f"; Revision {first.revision}" in first.text
    assert contexts(first.text)["bazang-revision"] == [f"exten => r{first.revision},1,NoOp()"]


@pytest.mark.parametrize(
    "plan",
    [
        replace(PLAN, modules=()),
        replace(PLAN, extensions=()),
        replace(PLAN, queues=()),
        replace(PLAN, profile="freepbx"),
        replace(PLAN, agi_host="10.0.0.1"),
        replace(PLAN, agi_port=4574),
        replace(PLAN, agi_secret="07be2"),
        with_module(code="*5002"),
        with_module(next=Destination("extension", "102")),
        with_module(error=HANG_UP),
        with_extension(ring=21),
        with_extension(devices="PJSIP/101"),
        with_extension(add_hint=True),
        with_extension(unavailable=TO_MODULE),
        with_queue(max_wait=91),
        replace(PLAN, numbers=NumberCheck()),
    ],
)
def test_other_content_has_another_revision(plan: Dialplan) -> None:
    assert render(plan).revision != render(PLAN).revision


# -- unsafe values ----------------------------------------------------------------------------------------------------

UNSAFE = [
    "\n",
    "1\nexten => 1,1,System(id)",
    "\r",
    "${SHELL(id)}",
    "$[1]",
    "1)",
    "(",
    "a b",
    '"',
    ";",
    "\\",
    "\0",
    "۱",
    "=>",
]
SAFE_IN_QUEUES = {"a b", "۱"}


def text_paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all texts in a plan."""
    if isinstance(value, str):
        return [path]
    parts: list[tuple[Any, Any]] = []
    if isinstance(value, tuple):
        parts = list(enumerate(value))
    elif is_dataclass(value):
        parts = [(field.name, getattr(value, field.name)) for field in fields(value)]
    return [found for step, part in parts for found in text_paths(part, (*path, step))]


def replace_text(value: Any, path: tuple[Any, ...], text: str) -> Any:
    """Return a copy of the plan with the text at the path."""
    if not path:
        return text
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        return (*value[:step], replace_text(value[step], rest, text), *value[step + 1 :])
    return replace(value, **{step: replace_text(getattr(value, step), rest, text)})


@pytest.mark.parametrize("path", text_paths(PLAN), ids=lambda path: ".".join(map(str, path)))
def test_unsafe_values_are_refused(path: tuple[Any, ...]) -> None:
    is_queue = path[-1] == "queue"
    for unsafe in set(UNSAFE) - (SAFE_IN_QUEUES if is_queue else set()):
        with pytest.raises(UnsafeDialplan):
            render(replace_text(PLAN, path, f"1{unsafe}"))


def test_every_text_of_the_plan_is_tried() -> None:
    assert len(text_paths(PLAN)) == 32


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(with_queue(queue="sales_team"), id="queue"),
        pytest.param(with_module(next=Destination("queue", "sales_team")), id="destination"),
        pytest.param(with_module(next=Destination("custom", "from_ivr,s,1")), id="custom destination"),
        pytest.param(with_extension(devices="PJSIP/101_desk"), id="device"),
        pytest.param(replace(PLAN, extension_context="from_internal"), id="context"),
    ],
)
def test_names_with_underscores_are_safe(plan: Dialplan) -> None:
    assert isinstance(render(plan), Rendered)


# -- the file ---------------------------------------------------------------------------------------------------------


def test_file_is_readable_by_asterisk(tmp_path: Path) -> None:
    path = tmp_path / "asterisk" / "bazang.conf"
    before = os.umask(0o077)
    try:
        assert write(path, "one\n", NOW) is True
    finally:
        os.umask(before)
    assert path.read_text() == "one\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [file.name for file in path.parent.iterdir()] == ["bazang.conf"]


def test_unchanged_file_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "bazang.conf"
    write(path, "سلام\n", NOW)
    was = path.stat()
    assert write(path, "سلام\n", NOW) is False
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (was.st_ino, was.st_mtime_ns)


def test_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    """A process that has the old file open reads all of it."""
    path = tmp_path / "bazang.conf"
    write(path, "old\n" * 10_000, NOW)
    with path.open() as reader:
        assert reader.readline() == "old\n"
        assert write(path, "new\n", NOW) is True
        assert len(reader.readlines()) == 9_999
    assert path.read_text() == "new\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("step", ["fchmod", "fsync", "replace"])
def test_failed_write_leaves_the_old_file_alone(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bazang.conf"
    write(path, "old\n", NOW)

    def fail(*_: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(Path if step == "replace" else os, step, fail)
    with pytest.raises(OSError, match="the disk is full"):
        write(path, "new\n", NOW)
    monkeypatch.undo()
    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_file_that_is_no_text_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "bazang.conf"
    path.write_bytes(b"\xff\xfe\x00 caf\xe9\n")
    assert write(path, "new\n", NOW) is True
    assert path.read_text() == "new\n"


# -- what was removed -------------------------------------------------------------------------------------------------

INSIDE = replace(
    PLAN,
    modules=(replace(MODULE, next=Destination("queue", "600"), error=Destination("extension", "101")),),
)
OTHERS = replace(
    PLAN,
    modules=(replace(MODULE, id=70, code="*5070"),),
    extensions=(replace(EXTENSION, extension="1010"),),
    queues=(replace(QUEUE, queue="60"),),
    offers=(replace(OFFER, module=70, code="*5070", queue="60"),),
)
BOTH = replace(
    PLAN,
    modules=INSIDE.modules + OTHERS.modules,
    extensions=OTHERS.extensions + PLAN.extensions,
    queues=PLAN.queues + OTHERS.queues,
    offers=PLAN.offers + OTHERS.offers,
)


def sections(text: str) -> dict[tuple[str, str, str], str]:
    """Return each step of a dialplan by context, extension and number, without the revision."""
    found: dict[tuple[str, str, str], str] = {}
    context = extension = ""
    number = 0
    for line in text.splitlines():
        if line.startswith("["):
            context = line.partition("]")[0][1:]
        elif line.startswith("exten => "):
            extension, step, application = line.removeprefix("exten => ").split(",", 2)
            number = 0 if step == "hint" else int(step)
            found[context, extension, step] = application
        elif line.startswith(" same => "):
            number += 1
            found[context, extension, str(number)] = line.partition(",")[2]
    return {key: application for key, application in found.items() if key[0] != "bazang-revision"}


def test_extension_keeps_the_steps_of_its_scenario_when_only_that_is_removed() -> None:
    plain = with_extension(has_scenario=False, no_answer=NO_DESTINATION)
    text = with_removed(render(plain).text, render(PLAN).text, NOW)
    found = sections(text)
    assert found["bazang-extensions", "101", "1"] == "Goto(bazang-plain-extension-101,s,1)"
    assert found["bazang-plain-extension-101", "missed", "1"] == "Hangup(19)"
    assert found["bazang-extension-101", "missed", "1"] == "Goto(bazang-module-7,s,1)"


@pytest.mark.parametrize("plan", [OTHERS, replace(PLAN, modules=(), extensions=(), queues=(), offers=())])
def test_steps_of_what_was_removed_stay_but_nothing_leads_to_them(plan: Dialplan) -> None:
    before, after = render(BOTH).text, render(plan).text
    text = with_removed(after, before, NOW)
    kept = {key: step for key, step in sections(text).items() if key not in sections(after)}
    gone = {key: step for key, step in sections(before).items() if key not in sections(after)}
    entries = {key for key in gone if key[0] in ("bazang-modules", "bazang-extensions")}
    entries |= {key for key in gone if key[0] == "bazang-queues" and key[2] == "1"}
    entries |= {key for key in gone if key[0].startswith("bazang-offer-")}
    direct = {
        "Goto(bazang-modules,*5001,1)": "Goto(bazang-module-7,s,1)",
        "Goto(bazang-extensions,101,1)": "Goto(bazang-extension-101,s,1)",
        "Goto(bazang-queues,600,1)": "Goto(bazang-queues,600,2)",
    }
    assert kept == {key: direct.get(step, step) for key, step in gone.items() if key not in entries}
    assert len(entries) >= 3
    assert text.startswith(after)


def test_what_was_removed_stays_for_a_while() -> None:
    after = render(OTHERS).text
    first = with_removed(after, render(BOTH).text, NOW)
    again = with_removed(after, first, NOW + timedelta(hours=1))
    assert again == first, "the file does not change with the time"
    assert with_removed(after, again, NOW + KEEP_REMOVED - timedelta(seconds=1)) == first
    assert with_removed(after, again, NOW + KEEP_REMOVED) == after
    assert with_removed(after, first, NOW - timedelta(days=9)) != after, "the clock was put back"


def test_what_was_removed_and_comes_back_is_there_once() -> None:
    first = with_removed(render(OTHERS).text, render(BOTH).text, NOW)
    assert with_removed(render(BOTH).text, first, NOW) == render(BOTH).text
    second = with_removed(render(PLAN).text, first, NOW)
    assert len(re.findall(r"^; Removed at", second, re.MULTILINE)) == 4
    assert set(sections(second)) - set(sections(render(BOTH).text)) == set()


@pytest.mark.parametrize(
    "text", ["", "[bazang-module-7]\n", "\ufffd\n[bazang-queues]\nexten =>\n", "; Removed at x\n[a]\n"]
)
def test_previous_file_that_is_damaged_does_no_harm(text: str) -> None:
    after = render(PLAN).text
    assert with_removed(after, text, NOW) == after


# -- requests while our service is down -------------------------------------------------------------------------------


def test_module_takes_requests_alone_only_if_it_wants_to() -> None:
    (step,) = (line for line in contexts(render(PLAN).text)[MODULE.context] if "bazang-down" in line)
    assert step == 'same => n,GosubIf($["${BAZANG_RESULT}" = ""]?bazang-down,off,1)'
    (step,) = (line for line in contexts(render(with_module(down=DOWN)).text)[MODULE.context] if "bazang-down" in line)
    assert step.endswith(f"?bazang-down,s,1(,{DOWN.intro},,{DOWN.after},))")


def test_hours_of_a_module_that_declines_are_in_a_context_of_their_own() -> None:
    hours = HoursPlan("Asia/Tehran", (DayPlan("6", ((480, 720), (1320, 1620))), DayPlan("20261201", ())))
    found = contexts(render(with_module(down=replace(DOWN, hours=hours))).text)
    (step,) = (line for line in found[MODULE.context] if "bazang-down" in line)
    assert step.endswith(f",{DOWN.after},bazang-hours-7))")
    assert found["bazang-hours-7"][-2:] == [
        "exten => 6,1,Return($[0 | ${ARG3} >= 480 & ${ARG3} < 720 | ${ARG3} >= 1320 & ${ARG3} < 1620])",
        "exten => 20261201,1,Return($[0])",
    ]
    assert "bazang-hours-7" not in contexts(render(with_module(down=DOWN)).text)
    for unsafe in (replace(hours, zone="a)b"), replace(hours, days=(DayPlan("${X}", ()),))):
        with pytest.raises(UnsafeDialplan):
            render(with_module(down=replace(DOWN, hours=unsafe)))


@pytest.mark.parametrize(
    "callers",
    [CallerCheck(("0912,1,Dial(x)",)), CallerCheck(refused=("_X!",)), CallerCheck(("++98",)), CallerCheck(("",))],
)
def test_unsafe_forms_of_callers_are_refused(callers: CallerCheck) -> None:
    with pytest.raises(UnsafeDialplan):
        render(replace(PLAN, callers=callers))


def test_unsafe_sounds_are_refused() -> None:
    with pytest.raises(UnsafeDialplan):
        render(with_module(down=replace(DOWN, intro="x)")))
