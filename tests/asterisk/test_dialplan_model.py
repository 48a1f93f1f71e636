"""What the real Asterisk makes of our dialplan: the steps of random offices, names, numbers and hostile variables."""

import asyncio
import random
import re
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any

from app.domain.dialplan_names import queue_extensions
from app.domain.dialplan_numbers import NumberCheck, dialplan_caller_check, dialplan_number_check
from app.domain.limits import NumberRange
from app.domain.number_policy import NumberPolicy
from app.domain.numbers import OutboundFormat
from app.domain.routing import (
    EXTENSION_PATTERN,
    HANG_UP,
    NO_DESTINATION,
    QUEUE_PATTERN,
    Destination,
    Dialplan,
    DownPlan,
    ExtensionPlan,
    ModulePlan,
    OfferPlan,
    QueuePlan,
)
from app.telephony.ami import AmiClient
from app.telephony.dialplan import render, write
from script.office.asterisk import AsteriskOffice, OfficeSetup
from script.office.patience import PATIENCE
from tests.support.dialplan_steps import Step, read_file, read_shown
from tests.support.fake_ami import Received
from tests.support.number_check import caller_verdict, verdict

OFFICES = 6
NAMES = [
    "ab",
    "a-b",
    "a--b",
    "h",
    "s",
    "t",
    "T",
    "i",
    "_X.",
    "_.",
    "fax",
    "Sales",
    "sales",
    "8-00",
    "800",
    "a b",
    "فروش",
]
NAMES += [".", "a.b", "queue0123456789ab", "-", "x" * 79, "x" * 80, "n", "1_2", "hint", "same"]
BLOCKED = [
    NumberRange("+989121234567", "+989121234567"),
    NumberRange("+9821", ""),
    NumberRange("+98919000", "+98919999"),
]
REGIONS = ["IR", "US", "DE", "TR", "AR", "IT"]

# Gives the verdict on each of the numbers in NUMBERS, and the answers of a person who presses 1.
PROBE = """
[probe]
exten => s,1,Answer()
 same => n,Set(FOUND=)
 same => n(next),GotoIf($[${LEN(${NUMBERS})} = 0]?done)
 same => n,Gosub(${CHECK},${CUT(NUMBERS,-,1)},1)
 same => n,Set(FOUND=${FOUND}-${GOSUB_RETVAL})
 same => n,Set(NUMBERS=${CUT(NUMBERS,-,2-)})
 same => n,Goto(next)
 same => n(done),UserEvent(Verdicts,Found: ${FOUND:1})
[presses-one]
exten => s,1,Answer()
 same => n(again),Wait(0.3)
 same => n,SendDTMF(1)
 same => n,Goto(again)
[outbound](+)
exten => _X!,1,UserEvent(Dialled,Number: ${EXTEN},Dialled: ${BAZANG_ATTEMPT})
 same => n,Hangup(21)
"""


class RealDialplan:
    """A real Asterisk that runs the dialplan of one office after the other. `events` are the UserEvents."""

    def __init__(self, version: int, folder: Path) -> None:
        self.file = folder / "dialplan/bazang.conf"
        setup = OfficeSetup(include=self.file, extra_dialplan=PROBE, outbound_patterns=())
        self.asterisk = AsteriskOffice(version, folder / "asterisk", setup)
        self.events = Received[Any]()
        self.ami = AmiClient(
            "127.0.0.1",
            self.asterisk.ami_port,
            self.asterisk.ami_username,
            self.asterisk.ami_secret,
            on_event=lambda event: self.events.append(event) if event.event == "UserEvent" else None,
        )

    async def load(self, plan: Dialplan) -> str:
        """Write the dialplan of an office and reload. Return its text."""
        text = render(plan).text
        self.file.unlink(missing_ok=True)  # nothing of the office before stays for calls that are inside
        write(self.file, text, datetime.now(UTC))
        await self.asterisk.reload("dialplan")
        return text

    def complaints(self) -> list[str]:
        """Return the warnings and errors in Asterisk's log about the dialplan."""
        lines = self.asterisk.log_file.read_text(errors="replace").splitlines()
        return [line for line in lines if re.search(r"\] (WARNING|ERROR)\[.*(pbx|extension|config)", line)]

    async def verdicts(self, numbers: list[str], check: str = "bazang-numbers") -> list[str]:
        """Return what the dialplan says of numbers."""
        found: list[str] = []
        for start in range(0, len(numbers), 40):
            chunk = numbers[start : start + 40]
            seen = len(self.events)
            await self.ami.originate(
                {"Channel": "Local/s@probe/n", "Application": "Wait", "Data": "1"},
                {"NUMBERS": "-".join(chunk), "CHECK": check},
            )
            (event,) = await self.events.until(itemgetter(slice(seen, None)))
            found += event["Found"].split("-")
        return found

    async def dial(self, number: str, outbound: str = "outbound") -> str:
        """Return how an attempt ends, whatever these two of its variables are: what is dialled, or the reason."""
        attempt = str(uuid.uuid4())
        values = {"ATTEMPT": attempt, "NUMBER": number, "OUTBOUND": outbound, "CUSTOMER_RING": "5"}
        await self.ami.originate(
            {"Channel": "Local/s@presses-one/n", "Context": "bazang-customer", "Exten": "s", "Priority": "1"},
            {f"__BAZANG_{name}": value for name, value in values.items()},
        )
        ended = await self.events.until(
            lambda events: [e for e in events if (e.get("Attempt"), e.get("Step")) == (attempt, "ended")]
        )
        dialled = [event["Number"] for event in self.events if event.get("Dialled") == attempt]
        return dialled[0] if dialled else str(ended[0]["End"])


def make_plan(choose: random.Random) -> Dialplan:
    """Return the plan of a random office, with all kinds of names that an office can have."""

    def code() -> str:
        found = "".join(choose.choices("0123456789*#", k=choose.randint(1, 6)))
        assert EXTENSION_PATTERN.fullmatch(found)
        return found

    def destination() -> Destination:
        kinds = [
            NO_DESTINATION,
            HANG_UP,
            Destination("extension", code()),
            Destination("queue", choose.choice(queues or ["other queue"])),
            Destination("module", choose.choice(codes or ["*5001"])),
            Destination("custom", "from-ivr,s,1"),
        ]
        return choose.choice(kinds)

    def down() -> DownPlan | None:
        return choose.choice([None, DownPlan(silent=True), DownPlan(False, "/prompts/a", "", "/prompts/b")])

    queues = choose.sample(NAMES, choose.randint(0, 9))
    assert all(QUEUE_PATTERN.fullmatch(queue) for queue in queues)
    codes = list({code() for _ in range(choose.randint(0, 4))})
    extensions = sorted({code() for _ in range(choose.randint(0, 4))})
    region = choose.choice(REGIONS)
    return Dialplan(
        modules=tuple(ModulePlan(n + 1, each, destination(), destination(), down()) for n, each in enumerate(codes)),
        extensions=tuple(
            ExtensionPlan(
                each,
                choose.choice(["PJSIP/101", "PJSIP/101&SIP/x_1.2"]),
                "office-hints",
                choose.random() < 0.5,
                20,
                destination(),
                destination(),
                destination(),
                choose.random() < 0.7,
            )
            for each in extensions
        ),
        queues=tuple(QueuePlan(queue, choose.randint(5, 90), destination()) for queue in sorted(queues)),
        offers=tuple(
            OfferPlan(
                n,
                "*5001",
                queue,
                choose.choice(["", *"0149*#"]),
                choose.randint(0, 2),
                choose.randint(0, 2),
                "/prompts/offers/module-1",
            )
            for n, queue in enumerate(queues)
        ),
        profile=choose.choice(["asterisk", "freepbx"]),
        agi_host="127.0.0.1",
        agi_port=4573,
        agi_secret="5ec2e7",
        extension_context="bazang-extensions",
        queue_context="bazang-queues",
        numbers=dialplan_number_check(
            NumberPolicy(region), choose.choice(list(OutboundFormat)), choose.choice(["", "9", "00"])
        ),
        callers=dialplan_caller_check(NumberPolicy(region), BLOCKED),
    )


def make_numbers(check: NumberCheck, choose: random.Random) -> list[str]:
    """Return numbers of the check's own forms, and others that differ in a digit or in the length."""
    numbers = [*check.emergency, "0", "00447911123456", "011447911123456", "112", "9112", "911"]
    for form in choose.choices(check.allowed, k=25):
        digits = re.sub(r"\[([0-9]+)\]", lambda found: choose.choice(found[1]), form)
        digits = re.sub("X", lambda _: choose.choice("0123456789"), digits)
        at = choose.randrange(len(digits))
        numbers += [digits, digits[:-1], f"{digits}0", f"{digits[:at]}{choose.choice('0123456789')}{digits[at + 1 :]}"]
    return numbers


# AMI itself drops quotes and backslashes.
HOSTILE = [
    *("110", "112", "1", "00447911123456", "09121234567&Local/110@outbound", "Local/110@outbound", "0912-123-4567"),
    *("09121234567)", "09121234567 ", "+989121234567", "${EXTEN}", "$[1+1]", "h", "s", "i", "abc", "x110", "110x"),
    *("0912123456", "091212345670", "0912123456\uff17", "09121234567:110", "x?110", "@outbound", "9" * 70, "'; ;"),
]


async def test_asterisk_runs_exactly_what_the_model_says(asterisk_version: int, tmp_path: Path) -> None:
    choose = random.Random(7)
    real = RealDialplan(asterisk_version, tmp_path)
    async with real.asterisk:
        await real.ami.start()
        await real.ami.wait_connected(PATIENCE)
        try:
            for _ in range(OFFICES):
                await check_office(real, make_plan(choose), choose)
            await check_names(real)
            await check_hostile_variables(real)
        finally:
            await real.ami.stop()


async def check_office(real: RealDialplan, plan: Dialplan, choose: random.Random) -> None:
    before = real.complaints()
    text = await real.load(plan)
    shown = read_shown(await real.asterisk.cli("dialplan show"))
    written = read_file(text)
    assert {key: shown.get(key) for key in written} == written
    assert set(shown) == set(written)
    assert real.complaints() == before
    numbers = make_numbers(plan.numbers, choose)
    found = dict(zip(numbers, await real.verdicts(numbers), strict=True))
    assert found == {number: verdict(plan.numbers, number) for number in numbers}
    callers = make_numbers(NumberCheck(plan.callers.allowed, ("+989121234567", "02112345678", "+")), choose)
    found = dict(zip(callers, await real.verdicts(callers, "bazang-refused-callers"), strict=True))
    assert found == {caller: caller_verdict(plan.callers, caller) for caller in callers}


async def check_names(real: RealDialplan) -> None:
    """Each queue has steps of its own, and a call for its extension gets to them."""
    plan = make_plan(random.Random(1))
    queues = tuple(QueuePlan(queue, 5, HANG_UP) for queue in sorted(NAMES))
    text = await real.load(replace(plan, modules=(), extensions=(), queues=queues))
    steps = read_file(text)
    assert read_shown(await real.asterisk.cli("dialplan show")) == steps
    for queue, extension in queue_extensions(NAMES).items():
        assert steps["bazang-queues", extension, "2"] == Step(f"Set(BAZANG_QUEUE={queue})")
        shown = await real.asterisk.cli(f"dialplan show {extension}@bazang-queues")
        assert f"Queue({queue},,,," in shown and "-= 1 extension (" in shown, shown


async def check_hostile_variables(real: RealDialplan) -> None:
    """The worker sets these variables. Whatever they are, nobody else is called, and the reason is reported."""
    check = dialplan_number_check(NumberPolicy("IR"), OutboundFormat.NATIONAL, "")
    plan = make_plan(random.Random(1))
    await real.load(replace(plan, numbers=check))
    calls = {("09121234567", "outbound"): "09121234567"}
    for number in HOSTILE:
        calls[number, "outbound"] = "refused_emergency" if number in ("110", "112") else "refused_number"
    for outbound in ("outbound)", "outbound 1", "nowhere", "", "out$bound", "outbound:1", "${OUT}"):
        calls["09121234567", outbound] = "no_route"
    ends = await asyncio.gather(*(real.dial(*call) for call in calls))
    assert dict(zip(calls, ends, strict=True)) == calls
    assert [event["Number"] for event in real.events if event["UserEvent"] == "Dialled"] == ["09121234567"]
    log = real.asterisk.log_file.read_text(errors="replace")
    warnings = [line for line in log.splitlines() if "] WARNING[" in line and "is not dialled" in line]
    assert len(warnings) == len(HOSTILE)
    assert len([line for line in warnings if "110 is not dialled: emergency" in line]) == 1
