"""The dialogue with the caller, path by path, with a fake registrar."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.audio.prompt_texts import NAME_KEYS, OPEN_KEYS, PROMPT_KEYS, TIME_KEYS
from app.domain.hours import Outside
from app.domain.routing import CameBy
from app.telephony import agi, ivr, variables
from app.telephony.agi import AgiServer
from app.telephony.ivr import Accepted, CallerFacts, ChosenTime, ModuleView, NotRegistered, Refused, Sound, converse
from app.telephony.watchdog import DialogueChannel, Watchdog
from script.office.patience import PATIENCE
from tests.support.fake_agi import FakeCall, HangUp, Press, make_access

OWN = "09121234567"
TYPED = "02188881234"
WRONG = "1234"
PROMPTS = ("intro", "enter_number", "entered_number", "is", "check_number", "before_success", "after_success")


def module(*, language: str = "fa", without: tuple[str, ...] = (), **changes: Any) -> ModuleView:
    """A module; the prompts of `without` are not played."""
    prompts = {
        key: None if key in without else Sound(f"bazang/{language}/{key}", 2.0)
        for key in (
            *PROMPT_KEYS,
            *OPEN_KEYS,
            "intro_other",
            *(TIME_KEYS if changes.get("offers_times") else ()),
            *((*NAME_KEYS, "tone") if changes.get("asks_name") else ()),
        )
    }
    digits = {digit: Sound(f"bazang/{language}/digits/{digit}", 0.5) for digit in "0123456789"}
    view = ModuleView(7, "sales", "*5001", True, False, language, prompts, digits)
    return replace(view, **changes)


class FakeRegistrar:
    """A Registrar. It accepts numbers of ten and more digits that are not in `refused`, and records its calls."""

    def __init__(self, view: ModuleView | None = None, *, refused: tuple[str, ...] = ()) -> None:
        self.view = module() if view is None else view
        self.refused = refused
        self.limits: dict[str, Refused] = {}  # number -> what a limit says
        self.checked: list[tuple[str, bool]] = []  # number, typed
        self.entered: list[CallerFacts] = []
        self.calls: list[CallerFacts] = []
        self.registered: list[Accepted] = []
        self.times: dict[str, ChosenTime] = {}  # by the key that chooses it
        self.chosen: list[datetime | None] = []  # of each request
        self.failure: Exception | None = None
        self.open: set[str] = set()  # numbers with an open request
        self.withdrawn: list[str] = []
        self.prospects: list[list[Sound] | Exception] = []  # what is told, one after the other
        self.groups: list[Sound] | Exception = []  # how a number is read out
        self.names: list[str] = []  # the recordings of names that were kept
        self.places: dict[tuple[str, str], int | None] = {}  # queue and Uniqueid -> position
        self.storing = asyncio.Event()
        self.may_store = asyncio.Event()
        self.may_store.set()

    async def module(self, module_id: int) -> ModuleView | None:
        return self.view if module_id == self.view.id else None

    def enter(self, call: CallerFacts) -> None:
        self.entered.append(call)

    async def check(self, call: CallerFacts, number: str, typed: bool) -> Accepted | Refused:
        self.checked.append((number, typed))
        if len(number) < 10 or number in self.refused:
            return Refused("invalid")
        if number in self.limits:
            return self.limits[number]
        normalized = f"+98{number[1:]}"
        return Accepted(normalized, number, is_open=normalized in self.open)

    async def withdraw(self, call: CallerFacts, number: Accepted) -> None:
        if self.failure is not None:
            raise self.failure
        self.withdrawn.append(number.number)

    async def prospect(self, call: CallerFacts, number: Accepted) -> list[Sound]:
        told = self.prospects.pop(0)
        if isinstance(told, Exception):
            raise told
        return told

    async def read_out(self, call: CallerFacts, number: Accepted) -> list[Sound]:
        if isinstance(self.groups, Exception):
            raise self.groups
        return self.groups

    async def choose_time(self, call: CallerFacts, key: str) -> ChosenTime | None:
        return self.times.get(key)

    def place_in_queue(self, queue: str, uniqueid: str) -> int | None:
        return self.places[queue, uniqueid]

    async def register(self, call: CallerFacts, accepted: Accepted, at: datetime | None = None) -> int:
        self.storing.set()
        await self.may_store.wait()
        if self.failure is not None:
            raise self.failure
        self.calls.append(call)
        self.registered.append(accepted)
        self.chosen.append(at)
        return len(self.registered)

    def new_name(self, request: int) -> Sound:
        return Sound(f"inbox/name-of-{request}", 4.0)

    def keep_name(self, recorded: Sound) -> None:
        self.names.append(recorded.path)


async def dial(call: FakeCall, registrar: FakeRegistrar, watchdog: Watchdog | None = None) -> FakeCall:
    """Play the whole call and return it."""
    server = AgiServer("127.0.0.1", 0, lambda session: converse(session, registrar), make_access(), watchdog=watchdog)
    await server.start()
    try:
        await call.run(server.port)
    finally:
        async with asyncio.timeout(PATIENCE):
            await server.stop()
    return call


def result(call: FakeCall) -> tuple[str | None, str | None]:
    return call.variables.get(variables.RESULT), call.variables.get(variables.WHY)


def typing(*keys: str, confirm: str = "1") -> list[Press]:
    """Return the keys of a caller who chooses another number, types `keys` one after the other, and confirms."""
    return [Press("intro", "2"), *(Press("enter_number", k) for k in keys), Press("check_number", confirm)]


# What the service reads again before it registers: a transfer may have put somebody else on the line.
CALLER = ["get CHANNEL CALLINGPRES CALLERID(num) CALLERID(name)"]  # each command is a round trip


# -- the main paths -------------------------------------------------------------------------------------------


async def test_key_1_registers_the_callers_number() -> None:
    registrar = FakeRegistrar()
    call = await dial(FakeCall(Press("intro", "1")), registrar)
    assert call.played == ["intro", "before_success", "after_success"]
    assert registrar.registered == [Accepted("+989121234567", OWN)]
    assert registrar.checked == [(OWN, False)]
    assert result(call) == ("next", "registered")


async def test_key_2_registers_a_typed_number() -> None:
    registrar = FakeRegistrar()
    call = await dial(FakeCall(*typing(TYPED + "#")), registrar)
    assert call.log == [
        "get BAZANG_FIRST BAZANG_HOPS BAZANG_CAME_BY BAZANG_WANTED",
        "answer",
        "play intro",
        "wait 5.0",
        "play enter_number",
        "wait 8.0",
        *["wait 4.0"] * len(TYPED),
        "play entered_number",
        *(f"play {digit}" for digit in TYPED),
        "play is",
        "play check_number",
        "wait 5.0",
        *CALLER,
        "play before_success",
        "set BAZANG_WHY=registered BAZANG_RESULT=next",
        "play after_success",
    ]
    assert registrar.registered == [Accepted("+982188881234", TYPED)]
    assert registrar.checked == [(OWN, False), (TYPED, True)]


class SettingWatchdog(Watchdog):
    """Sets nothing, but keeps what it is to set."""

    available = True

    def __init__(self) -> None:
        self.sets: list[tuple[str, str]] = []
        self.was_set = asyncio.Event()

    async def set_variable(self, channel: DialogueChannel, name: str, value: str) -> bool:
        self.sets.append((name, value))
        if name == variables.RESULT:
            self.was_set.set()
        return True


async def test_result_is_set_through_ami_while_a_prompt_plays() -> None:
    """If the worker stops during the prompt, a caller who is registered goes where callers with a request go."""
    watchdog = SettingWatchdog()

    async def wait_for_it(command: str) -> None:
        if command.startswith("STREAM") and "before_success" in command:
            async with asyncio.timeout(PATIENCE):
                await watchdog.was_set.wait()

    call = FakeCall(Press("intro", "1"))
    call.on_command = wait_for_it
    await dial(call, FakeRegistrar(), watchdog)
    assert watchdog.sets.count((variables.RESULT, "next")) == 1
    assert result(call) == ("next", "registered")


async def test_result_of_a_request_that_is_not_stored_is_not_set_through_ami() -> None:
    watchdog, registrar = SettingWatchdog(), FakeRegistrar()
    registrar.failure = RuntimeError("the disk is full")
    call = await dial(FakeCall(Press("intro", "1")), registrar, watchdog)
    assert variables.RESULT not in dict(watchdog.sets)
    assert result(call) == ("error", "not_stored")


@pytest.mark.parametrize("silent", [False, True])
async def test_caller_is_kept_on_the_line_until_the_database_has_answered(
    monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    """The watchdog of the dialplan would take a caller away who is registered a moment later."""
    monkeypatch.setattr(agi, "STEP", 0.01)
    monkeypatch.setattr(agi, "SLACK", 0.05)
    registrar = FakeRegistrar(module(silent=silent))
    registrar.may_store.clear()
    call = FakeCall(Press("intro", "1"))

    async def store_after_a_while(command: str) -> None:
        if registrar.storing.is_set() and len(call.watchdog) >= before + 3:
            registrar.may_store.set()

    before = 0 if silent else 2  # those for the two prompts
    call.on_command = store_after_a_while
    async with asyncio.timeout(PATIENCE):
        await dial(call, registrar)
    assert result(call) == ("next", "registered")


async def test_result_is_set_once() -> None:
    """Asterisk reads it as soon as the session ends."""
    for call in (FakeCall(Press("intro", "1")), FakeCall(Press("intro", "0")), FakeCall(hang_up=HangUp(2))):
        await dial(call, FakeRegistrar())
        assert sum(" BAZANG_RESULT=" in command for command in call.log) == 1
        assert result(call)[0] is not None


async def test_watchdog_of_a_prompt_is_set_by_the_command_before_it() -> None:
    view = module()
    lengths = {name: sound and replace(sound, seconds=float(n)) for n, (name, sound) in enumerate(view.prompts.items())}
    call = await dial(short_call(), FakeRegistrar(replace(view, prompts=lengths)))
    alone = [command for command in call.commands if command.startswith(f"SET VARIABLE {variables.WATCHDOG}")]
    assert (len(alone), len(call.watchdog)) == (1, 3), "that of the intro follows the answer"


async def test_request_stays_registered_if_asterisk_does_not_set_the_result() -> None:
    """The log says so, and the dialplan goes on as after a service that failed."""
    registrar = FakeRegistrar()
    call = await dial(FakeCall(Press("intro", "1"), replies={"GET FULL VARIABLE ${SET": b"200 result=0\n"}), registrar)
    assert len(registrar.registered) == 1
    assert variables.RESULT not in call.variables


async def test_each_key_may_interrupt_its_prompt() -> None:
    registrar = FakeRegistrar()
    call = await dial(
        FakeCall(
            Press("intro", "2", early=True),
            Press("enter_number", TYPED + "#", early=True),
            Press("check_number", "1", early=True),
        ),
        registrar,
    )
    assert registrar.registered == [Accepted("+982188881234", TYPED)]
    assert call.pressed[:2] == ["intro:2", "enter_number:0"]
    assert call.pressed[-1] == "check_number:1"
    assert call.played == list(_sounds(TYPED))


def _sounds(number: str) -> tuple[str, ...]:
    """Return the sounds of a dialogue in which this number is typed."""
    return (*PROMPTS[:3], *number, *PROMPTS[3:])


# -- the first question ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("early", [True, False])
async def test_key_0_declines(early: bool) -> None:
    registrar = FakeRegistrar()
    call = await dial(FakeCall(Press("intro", "0", early=early)), registrar)
    assert call.played == ["intro"]
    assert result(call) == ("error", "declined")
    assert registrar.registered == []


@pytest.mark.parametrize("invalid", list("3456789*#"))
async def test_other_keys_repeat_the_question(invalid: str) -> None:
    registrar = FakeRegistrar()
    call = await dial(FakeCall(Press("intro", invalid), Press("intro", "1")), registrar)
    assert call.played[:3] == ["intro", "intro", "before_success"]
    assert len(registrar.registered) == 1


@pytest.mark.parametrize("keys", [("", "", ""), ("5", "5", "5"), ("", "#", "9")])
async def test_three_invalid_choices_lead_to_the_error_destination(keys: tuple[str, ...]) -> None:
    registrar = FakeRegistrar()
    call = await dial(FakeCall(*(Press("intro", key) for key in keys)), registrar)
    assert call.played == ["intro"] * 3
    assert result(call) == ("error", "no_choice")
    assert registrar.registered == []


async def test_third_choice_may_be_valid() -> None:
    registrar = FakeRegistrar()
    await dial(FakeCall(Press("intro", ""), Press("intro", "8"), Press("intro", "1")), registrar)
    assert len(registrar.registered) == 1


# -- the number -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "number"),
    [
        (TYPED + "#", TYPED),
        (TYPED, TYPED),  # ended by a pause
        (f"0912*{TYPED}#", TYPED),
        (f"*{TYPED}#", TYPED),
        (f"1*2*3*{TYPED}#", TYPED),
        ("0" * 20, "0" * 20),  # the longest number
        ("0" * 25 + "#", "0" * 20),
        ("0" * 19 + "*" + TYPED + "#", TYPED),
    ],
)
async def test_typed_number(keys: str, number: str) -> None:
    registrar = FakeRegistrar()
    await dial(FakeCall(*typing(keys)), registrar)
    assert registrar.checked[1:] == [(number, True)]
    assert [accepted.spoken for accepted in registrar.registered] == [number]


@pytest.mark.parametrize("first", list("0123456789"))
async def test_first_digit_may_interrupt_the_prompt(first: str) -> None:
    registrar = FakeRegistrar()
    number = first + TYPED
    await dial(
        FakeCall(Press("intro", "2"), Press("enter_number", number + "#", early=True), Press("check_number", "1")),
        registrar,
    )
    assert [accepted.spoken for accepted in registrar.registered] == [number]


async def test_star_during_the_prompt_does_not_repeat_it() -> None:
    registrar = FakeRegistrar()
    call = await dial(
        FakeCall(Press("intro", "2"), Press("enter_number", f"*{TYPED}#", early=True), Press("check_number", "1")),
        registrar,
    )
    assert call.played.count("enter_number") == 1
    assert [accepted.spoken for accepted in registrar.registered] == [TYPED]


@pytest.mark.parametrize("keys", ["#", "", "*#", "12*#", "**"])
async def test_empty_number_is_a_wrong_number(keys: str) -> None:
    registrar = FakeRegistrar()
    call = await dial(FakeCall(*typing(keys, TYPED + "#")), registrar)
    assert call.played[:4] == ["intro", "enter_number", "wrong_number", "enter_number"]
    assert registrar.checked[1:] == [(TYPED, True)]  # an empty number is not checked
    assert len(registrar.registered) == 1


async def test_pound_during_the_prompt_is_a_wrong_number_at_once() -> None:
    call = await dial(FakeCall(Press("intro", "2"), Press("enter_number", "#", early=True)), FakeRegistrar())
    assert call.log[call.log.index("play enter_number") + 1] == "play wrong_number"


@pytest.mark.parametrize("keys", [WRONG + "#", "#", ""])
async def test_three_wrong_numbers_lead_to_the_error_destination(keys: str) -> None:
    registrar = FakeRegistrar()
    call = await dial(FakeCall(*typing(keys, keys, keys)), registrar)
    assert call.played == ["intro", *["enter_number", "wrong_number"] * 3]
    assert result(call) == ("error", "wrong_number")
    assert registrar.registered == []


async def test_third_number_may_be_valid() -> None:
    registrar = FakeRegistrar()
    call = await dial(FakeCall(*typing(WRONG + "#", "", TYPED + "#")), registrar)
    assert call.played == ["intro", *["enter_number", "wrong_number"] * 2, *_sounds(TYPED)[1:]]
    assert [accepted.spoken for accepted in registrar.registered] == [TYPED]


# -- the confirmation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["2", "*"])
async def test_rejected_number_is_typed_again(key: str) -> None:
    registrar = FakeRegistrar()
    other = "02177776666"
    presses = [
        Press("intro", "2"),
        Press("enter_number", other + "#"),
        Press("check_number", key),
        Press("enter_number", TYPED + "#"),
        Press("check_number", "1"),
    ]
    call = await dial(FakeCall(*presses), registrar)
    assert [accepted.spoken for accepted in registrar.registered] == [TYPED]
    assert "wrong_number" not in call.played


async def test_rejected_numbers_do_not_count_as_wrong_numbers() -> None:
    registrar = FakeRegistrar()
    rejected = [Press("enter_number", TYPED + "#"), Press("check_number", "2")]
    confirmed = [Press("enter_number", TYPED + "#"), Press("check_number", "1")]
    await dial(FakeCall(Press("intro", "2"), *rejected * 6, *confirmed), registrar)
    assert len(registrar.registered) == 1


@pytest.mark.parametrize("sound", ["entered_number", "2", "4", "is"])
@pytest.mark.parametrize("key", ["2", "*"])
async def test_rejection_may_interrupt_the_digits(sound: str, key: str) -> None:
    registrar = FakeRegistrar()
    presses = [
        Press("intro", "2"),
        Press("enter_number", TYPED + "#"),
        Press(sound, key, early=True),
        Press("enter_number", TYPED + "#"),
        Press("check_number", "1"),
    ]
    call = await dial(FakeCall(*presses), registrar)
    assert call.played[call.played.index(sound) + 1] == "enter_number"
    assert len(registrar.registered) == 1


@pytest.mark.parametrize("sound", ["entered_number", "2", "4", "is"])
async def test_confirmation_before_the_end_of_the_digits_does_not_count(sound: str) -> None:
    registrar = FakeRegistrar()
    call = await dial(
        FakeCall(Press("intro", "2"), Press("enter_number", TYPED + "#"), Press(sound, "1", early=True)), registrar
    )
    assert registrar.registered == []
    assert result(call) == ("error", "not_confirmed")


@pytest.mark.parametrize("key", ["", "0", "5", "#"])
async def test_other_key_repeats_the_digits(key: str) -> None:
    registrar = FakeRegistrar()
    presses = [*typing(TYPED + "#", confirm=key), Press("check_number", "1")]
    call = await dial(FakeCall(*presses), registrar)
    assert call.played == ["intro", "enter_number", *_sounds(TYPED)[2:-2], *_sounds(TYPED)[2:]]
    assert len(registrar.registered) == 1


@pytest.mark.parametrize("key", ["", "5"])
async def test_three_other_keys_lead_to_the_error_destination(key: str) -> None:
    registrar = FakeRegistrar()
    presses = [*typing(TYPED + "#", confirm=key), *[Press("check_number", key)] * 2]
    call = await dial(FakeCall(*presses), registrar)
    assert call.played.count("check_number") == 3
    assert result(call) == ("error", "not_confirmed")
    assert registrar.registered == []


@pytest.mark.parametrize("language", ["fa", "en"])
async def test_digits_are_read_in_the_modules_language(language: str) -> None:
    call = await dial(FakeCall(*typing(TYPED + "#")), FakeRegistrar(module(language=language)))
    read = [c.split(" ")[2].strip('"') for c in call.commands if c.startswith("STREAM") and "/digits/" in c]
    assert read == [f"bazang/{language}/digits/{digit}" for digit in TYPED]


@pytest.mark.parametrize("groups", [[Sound("bazang/group-1", 1.0), Sound("bazang/group-2", 1.0)], RuntimeError()])
async def test_number_is_read_in_groups_or_else_digit_by_digit(groups: list[Sound] | Exception) -> None:
    registrar = FakeRegistrar()
    registrar.groups = groups
    presses = [*typing(TYPED + "#", confirm=""), Press("check_number", "1")]
    call = await dial(FakeCall(*presses), registrar)
    number = ["group-1", "group-2"] if isinstance(groups, list) else list(TYPED)
    readout = ["entered_number", *number, "is", "check_number"]
    assert call.played[2 : 2 + 2 * len(readout)] == readout * 2
    assert len(registrar.registered) == 1


async def test_normalized_number_is_read_out() -> None:
    class Expanding(FakeRegistrar):
        async def check(self, call: CallerFacts, number: str, typed: bool) -> Accepted | Refused:
            return Accepted("+982112345678", "02112345678")

    call = await dial(FakeCall(*typing("12345678#")), Expanding())
    assert "".join(name for name in call.played if name.isdigit()) == "02112345678"


async def test_digit_without_a_sound_is_left_out() -> None:
    digits = {digit: sound for digit, sound in module().digits.items() if digit != "8"}
    registrar = FakeRegistrar(module(digits=digits))
    call = await dial(FakeCall(*typing(TYPED + "#")), registrar)
    assert "".join(name for name in call.played if name.isdigit()) == TYPED.replace("8", "")
    assert len(registrar.registered) == 1


# -- callers whose number is withheld or refused --------------------------------------------------------------

WITHHELD = [
    {"agi_callerid": "unknown"},
    {"agi_callerid": ""},
    {"agi_callerid": "Anonymous"},
    {"agi_callerid": "Restricted"},
    {"agi_callerid": " unavailable "},
    {"agi_callerid": OWN, "agi_callingpres": "32"},  # presentation restricted
    {"agi_callerid": OWN, "agi_callingpres": "35"},
    {"agi_callerid": OWN, "agi_callingpres": "67"},  # unavailable
]


@pytest.mark.parametrize("headers", WITHHELD)
@pytest.mark.parametrize("key", ["1", "2"])
async def test_withheld_number_is_neither_offered_nor_used(headers: Mapping[str, str], key: str) -> None:
    """A recorded intro may still offer key 1. It does the same as key 2."""
    registrar = FakeRegistrar()
    presses = [Press("intro_other", key), *typing(TYPED + "#")[1:]]
    call = await dial(FakeCall(*presses, headers=headers), registrar)
    assert call.played == ["intro_other", *_sounds(TYPED)[1:]]
    assert registrar.checked == [(TYPED, True)]
    assert [accepted.spoken for accepted in registrar.registered] == [TYPED]
    assert registrar.calls[0].caller_number == ""


@pytest.mark.parametrize("presentation", ["0", "1", "3", "", "junk"])
async def test_number_with_allowed_presentation_is_offered(presentation: str) -> None:
    registrar = FakeRegistrar()
    await dial(FakeCall(Press("intro", "1"), headers={"agi_callingpres": presentation}), registrar)
    assert [accepted.spoken for accepted in registrar.registered] == [OWN]


@pytest.mark.parametrize("key", ["1", "2"])
async def test_refused_number_of_the_caller_is_not_offered(key: str) -> None:
    registrar = FakeRegistrar(refused=(OWN,))
    call = await dial(FakeCall(Press("intro_other", key), *typing(TYPED + "#")[1:]), registrar)
    assert call.played == ["intro_other", *_sounds(TYPED)[1:]]
    assert [accepted.spoken for accepted in registrar.registered] == [TYPED]
    assert registrar.calls[0].caller_number == OWN


async def test_recorded_intro_is_played_if_there_is_no_other_intro() -> None:
    prompts = {key: sound for key, sound in module().prompts.items() if key != "intro_other"}
    registrar = FakeRegistrar(module(prompts=prompts))
    call = await dial(FakeCall(*typing(TYPED + "#"), headers={"agi_callerid": "unknown"}), registrar)
    assert call.played == list(_sounds(TYPED))


async def test_key_0_declines_during_the_other_intro() -> None:
    call = await dial(FakeCall(Press("intro_other", "0"), headers={"agi_callerid": "unknown"}), FakeRegistrar())
    assert result(call) == ("error", "declined")


# -- modules --------------------------------------------------------------------------------------------------


async def test_silent_module_registers_the_callers_number_without_a_sound() -> None:
    registrar = FakeRegistrar(module(silent=True))
    call = await dial(FakeCall(), registrar)
    assert [accepted.spoken for accepted in registrar.registered] == [OWN]
    assert not [command for command in call.log if command.startswith(("play", "wait", "answer"))]
    assert result(call) == ("next", "registered")


@pytest.mark.parametrize("silent", [True, False])
async def test_limit_for_all_numbers_leads_to_the_error_destination_at_once(silent: bool) -> None:
    registrar = FakeRegistrar(module(silent=silent))
    registrar.limits = {OWN: Refused("module_hour", final=True)}
    call = await dial(FakeCall(Press("intro", "1")), registrar)
    assert not [command for command in call.log if command.startswith(("play", "wait", "answer"))]
    assert (result(call), registrar.registered) == (("error", "module_hour"), [])


async def test_caller_whose_own_number_has_reached_a_limit_may_type_another() -> None:
    registrar = FakeRegistrar()
    registrar.limits = {OWN: Refused("number_hour")}
    presses = [replace_sound(press, "intro", "intro_other") for press in typing(TYPED + "#")]
    call = await dial(FakeCall(*presses), registrar)
    assert [accepted.spoken for accepted in registrar.registered] == [TYPED]
    assert result(call) == ("next", "registered")


async def test_typed_number_beyond_a_limit_is_a_wrong_number() -> None:
    registrar = FakeRegistrar()
    registrar.limits = {TYPED: Refused("number_open")}
    call = await dial(FakeCall(*typing(*[TYPED + "#"] * 3)), registrar)
    assert call.played.count("wrong_number") == 3
    assert (result(call), registrar.registered) == (("error", "wrong_number"), [])


async def test_limit_that_is_reached_meanwhile_gives_its_reason() -> None:
    registrar = FakeRegistrar()
    registrar.failure = NotRegistered("waiting")
    call = await dial(FakeCall(Press("intro", "1")), registrar)
    assert "after_success" not in call.played
    assert (result(call), registrar.registered) == (("error", "waiting"), [])


def replace_sound(press: Press, sound: str, by: str) -> Press:
    return replace(press, sound=by) if press.sound == sound else press


@pytest.mark.parametrize("refused", [True, False])
async def test_silent_module_without_a_number_leads_to_the_error_destination(refused: bool) -> None:
    registrar = FakeRegistrar(module(silent=True), refused=(OWN,))
    call = await dial(FakeCall(headers={} if refused else {"agi_callerid": "anonymous"}), registrar)
    assert not [command for command in call.log if command.startswith(("play", "wait", "answer"))]
    assert result(call) == ("error", "no_number")
    assert registrar.registered == []


@pytest.mark.parametrize(
    ("view", "script", "why"),
    [
        (module(active=False), "module/7", "inactive"),
        (module(active=False, silent=True), "module/7", "inactive"),
        (module(), "module/8", "no_module"),
    ],
)
async def test_inactive_or_unknown_module_plays_nothing(view: ModuleView, script: str, why: str) -> None:
    registrar = FakeRegistrar(view)
    call = await dial(FakeCall(Press("intro", "1"), headers={"agi_network_script": script}), registrar)
    assert call.log == ["get BAZANG_LEFT", f"set BAZANG_WHY={why} BAZANG_RESULT=error"]
    assert registrar.registered == []


async def test_prompts_that_are_not_ready_in_time_lead_to_the_error_destination(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ivr, "MODULE_SECONDS", 0.0)
    registrar = FakeRegistrar()
    call = await dial(FakeCall(Press("intro", "1")), registrar)
    assert call.log == ["get BAZANG_LEFT", "set BAZANG_WHY=prompts_not_ready BAZANG_RESULT=error"]
    assert registrar.registered == []


@pytest.mark.parametrize("place", [3, None])
async def test_caller_who_left_a_queue_and_no_request_comes_back(place: int | None) -> None:
    registrar = FakeRegistrar()
    registrar.places = {("800", "1.1"): place}
    left = {variables.LEFT: "queue-800", variables.QUEUE: "800"}
    call = FakeCall(Press("intro", "0"), headers={"agi_uniqueid": "1.1"}, variables=left)
    await dial(call, registrar)
    assert (result(call)[0], call.variables[variables.PLACE]) == ("error", str(place or ""))


@pytest.mark.parametrize("script", ["", "module/", "module/x", "other/7", "module/7/8", "../module/7"])
async def test_unknown_script_gets_no_dialogue(script: str) -> None:
    call = await dial(FakeCall(Press("intro", "1"), headers={"agi_network_script": script}), FakeRegistrar())
    assert call.commands == []


@pytest.mark.parametrize(
    "without", ["enter_number", "entered_number", "is", "check_number", "before_success", "after_success", "intro"]
)
async def test_prompt_that_is_off_is_not_played(without: str) -> None:
    """Its keys still work. They come after the sound before it."""
    sound_before = {"intro": "answer", "enter_number": "intro", "check_number": "is"}
    keys = {"intro": "2", "enter_number": TYPED + "#", "check_number": "1"}
    if without == "enter_number":
        presses = [Press("intro", "2" + keys["enter_number"]), Press("check_number", "1")]
    else:
        presses = [Press(sound_before[name] if name == without else name, typed) for name, typed in keys.items()]
    registrar = FakeRegistrar(module(without=(without,)))
    call = await dial(FakeCall(*presses), registrar)
    assert call.played == [name for name in _sounds(TYPED) if name != without]
    assert [accepted.spoken for accepted in registrar.registered] == [TYPED]


async def test_module_without_any_prompt_can_be_used() -> None:
    registrar = FakeRegistrar(module(without=(*PROMPT_KEYS, "intro_other"), digits={}))
    call = await dial(FakeCall(Press("answer", f"2{WRONG}#{TYPED}#1")), registrar)
    assert call.played == []
    assert [accepted.spoken for accepted in registrar.registered] == [TYPED]


# -- facts of the call ----------------------------------------------------------------------------------------


async def test_caller_facts() -> None:
    registrar = FakeRegistrar()
    given = {variables.FIRST: "1700000000", variables.WANTED: "101"}
    await dial(FakeCall(Press("intro", "1"), variables=given), registrar)
    assert registrar.calls == [
        CallerFacts(
            module_id=7,
            uniqueid="1700000000.42",
            channel="PJSIP/trunk-0000002a",
            caller_number=OWN,
            caller_name="سارا",
            wanted="101",
            first_called_at=1700000000.0,
        )
    ]


@pytest.mark.parametrize(
    ("first", "expected"), [("", None), ("soon", None), ("-5", None), ("1700000000", 1700000000.0)]
)
async def test_time_of_the_first_call(first: str, expected: float | None) -> None:
    registrar = FakeRegistrar()
    await dial(FakeCall(Press("intro", "1"), variables={variables.FIRST: first}), registrar)
    assert registrar.calls[0].first_called_at == expected


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("unknown", ""),
        ("Anonymous", ""),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),  # pages escape it
        ("a\x07b\x1b[31m\u202ec", "ab[31mc"),  # no control characters
        ("x" * 200, "x" * 80),
        ("${SHELL(id)}", "${SHELL(id)}"),
    ],
)
async def test_name_is_stored_as_it_can_be_displayed(given: str, name: str) -> None:
    registrar = FakeRegistrar()
    await dial(FakeCall(Press("intro", "1"), headers={"agi_calleridname": given}), registrar)
    assert registrar.calls[0].caller_name == name


# -- errors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("silent", [True, False])
async def test_request_that_cannot_be_stored_leads_to_the_error_destination(
    silent: bool, caplog: pytest.LogCaptureFixture
) -> None:
    registrar = FakeRegistrar(module(silent=silent))
    registrar.failure = RuntimeError("the disk is full")
    call = await dial(FakeCall(Press("intro", "1")), registrar)
    assert result(call) == ("error", "not_stored")
    assert "after_success" not in call.played
    assert "the disk is full" in caplog.text


async def test_failed_registration_is_logged_after_a_hangup(
    caplog: pytest.LogCaptureFixture,
) -> None:
    registrar = FakeRegistrar()
    registrar.failure = RuntimeError("the disk is full")
    call = await dial(FakeCall(Press("intro", "1", early=True), hang_up=HangUp(SHORT_CONFIRMED + 2)), registrar)
    assert call.log[SHORT_CONFIRMED + 1] == "play before_success"
    assert "the disk is full" in caplog.text


@pytest.mark.parametrize("where", ["module", "check"])
async def test_failed_registrar_leaves_the_result_unset(
    where: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a result, Asterisk goes to the error destination."""

    async def fail(*_: Any) -> Any:
        raise RuntimeError("no database")

    registrar = FakeRegistrar()
    monkeypatch.setattr(registrar, where, fail)
    call = await dial(FakeCall(Press("intro", "1")), registrar)
    assert result(call) == (None, None)
    assert "no database" in caplog.text


@pytest.mark.parametrize("sound", ["intro", "before_success"])
async def test_malformed_reply_leaves_the_result_unset(sound: str) -> None:
    registrar = FakeRegistrar()
    call = await dial(
        FakeCall(Press("intro", "1"), replies={f"STREAM FILE bazang/fa/{sound}": b"nonsense\n"}), registrar
    )
    assert result(call) == (None, None)
    assert len(registrar.registered) == (1 if sound == "before_success" else 0)  # the caller confirmed before it


async def test_malformed_reply_after_the_registration_is_ignored() -> None:
    registrar = FakeRegistrar()
    call = await dial(
        FakeCall(Press("intro", "1"), replies={"STREAM FILE bazang/fa/after_success": b"nonsense\n"}), registrar
    )
    assert result(call) == ("next", "registered")


@pytest.mark.parametrize("count", [3, 4, 5])
async def test_dialplan_tells_what_would_be_asked(count: int) -> None:
    """An older dialplan gives nothing, and a further one perhaps more."""
    arguments = ("1700000001", "2", "follow_me", "102", "more")[:count]
    given = {variables.FIRST: "1700000000", variables.HOPS: "1", variables.WANTED: "101"}
    registrar = FakeRegistrar()
    headers = {f"agi_arg_{number}": argument for number, argument in enumerate(arguments, start=1)}
    call = await dial(FakeCall(Press("intro", "1"), variables=given, headers=headers), registrar)
    (facts,) = registrar.calls
    found = facts.first_called_at, facts.uniqueid, facts.came_by, facts.wanted
    if count == len(variables.FACTS):
        assert found == (1700000001.0, "1700000000.42/2", CameBy.MODULE, "102")
        assert call.log[0] == "answer"
    else:
        assert found == (1700000000.0, "1700000000.42", CameBy.UNKNOWN, "101")


@pytest.mark.parametrize(
    ("hops", "uniqueid"), [("1", "1700000000.42"), ("2", "1700000000.42/2"), ("x", "1700000000.42")]
)
async def test_each_module_that_a_call_enters_has_a_dialogue_of_its_own(hops: str, uniqueid: str) -> None:
    registrar = FakeRegistrar()
    await dial(FakeCall(Press("intro", "1"), variables={variables.HOPS: hops}), registrar)
    assert registrar.calls[0].uniqueid == uniqueid


# -- a transfer during the dialogue ---------------------------------------------------------------------------

CUSTOMER, CUSTOMER_CHANNEL = "09351112233", "PJSIP/trunk-00000007"


def transferred(*presses: Press, during: str, number: str = CUSTOMER, presentation: str = "0") -> FakeCall:
    """Return a call of extension 102, who completes a transfer of a customer while this sound plays."""

    async def complete(command: str) -> None:
        if command.startswith("STREAM") and f'/{during}"' in command:
            caller = {"CHANNEL": CUSTOMER_CHANNEL, "CALLERID(num)": number, "CALLERID(name)": "Customer"}
            call.variables |= caller | {"CALLINGPRES": presentation}

    headers = {"agi_callerid": "0211234567", "agi_channel": "PJSIP/102-00000001"}
    call = FakeCall(*presses, headers=headers, on_command=complete)
    return call


async def test_own_number_is_that_of_the_transferred_caller() -> None:
    registrar = FakeRegistrar()
    await dial(transferred(Press("intro", "1"), during="intro"), registrar)
    (call,) = registrar.calls
    assert (call.caller_number, call.channel, call.caller_name) == (CUSTOMER, CUSTOMER_CHANNEL, "Customer")
    assert registrar.registered == [Accepted("+989351112233", CUSTOMER)]


async def test_typed_number_is_stored_with_the_transferred_caller() -> None:
    registrar = FakeRegistrar()
    await dial(transferred(*typing(TYPED + "#"), during="enter_number"), registrar)
    assert [call.caller_number for call in registrar.calls] == [CUSTOMER]
    assert registrar.registered == [Accepted("+982188881234", TYPED)]


@pytest.mark.parametrize("withheld", [{"number": ""}, {"presentation": "32"}])
async def test_transferred_caller_without_a_number_types_one(withheld: dict[str, str]) -> None:
    presses = [Press("intro", "1"), *typing(TYPED + "#")[1:]]
    registrar = FakeRegistrar()
    await dial(transferred(*presses, during="intro", **withheld), registrar)
    assert [accepted.spoken for accepted in registrar.registered] == [TYPED]
    assert registrar.calls[0].caller_number == ""


# -- hang-up --------------------------------------------------------------------------------------------------

# The number of commands of a dialogue, and the number of the command whose reply is the confirmation.
LONG, LONG_CONFIRMED = 36, 32
SHORT, SHORT_CONFIRMED = 7, 3
HANG_UPS = ("within", "between", "silent", "gone")


def long_call(**how: Any) -> FakeCall:
    return FakeCall(*typing(TYPED + "#"), **how)


def short_call(**how: Any) -> FakeCall:
    return FakeCall(Press("intro", "1", early=True), **how)


async def test_numbers_of_commands_are_right() -> None:
    call = await dial(long_call(), FakeRegistrar())
    assert (len(call.log), call.log[LONG_CONFIRMED - 2]) == (LONG, "play check_number")
    call = await dial(short_call(), FakeRegistrar())
    assert (len(call.log), call.log[SHORT_CONFIRMED - 1]) == (SHORT, "play intro")


@pytest.mark.parametrize("how", HANG_UPS)
async def test_hangup_at_each_command_of_a_long_dialogue(how: Any) -> None:
    for after in range(1, LONG + 1):
        await check_hangup(long_call(hang_up=HangUp(after, how)), after, how, LONG, LONG_CONFIRMED, TYPED)


@pytest.mark.parametrize("how", HANG_UPS)
async def test_hangup_at_each_command_of_a_short_dialogue(how: Any) -> None:
    for after in range(1, SHORT + 1):
        await check_hangup(short_call(hang_up=HangUp(after, how)), after, how, SHORT, SHORT_CONFIRMED, OWN)


async def check_hangup(call: FakeCall, after: int, how: str, length: int, confirmation: int, number: str) -> None:
    """Check that a caller is registered once, if they confirmed before they hung up, and that the dialogue ends."""
    registrar = FakeRegistrar()
    await dial(call, registrar)
    confirmed = after > confirmation or (after == confirmation and how == "between")
    assert [accepted.spoken for accepted in registrar.registered] == ([number] if confirmed else []), after
    before_success = length - 2
    if how == "gone":
        # The command after that tells the dialplan of the request.
        assert result(call)[0] == ("next" if after > before_success + 1 else None), after
        assert len(call.log) == after
        return
    if after > before_success or (after == before_success and how == "between"):
        assert result(call) == ("next", "registered"), after
    else:
        assert result(call) == ("error", "hung_up"), after
    commands_after = [command for command in call.log[after:] if command.startswith(("play", "answer", "wait"))]
    assert len(commands_after) <= 1, after  # the reply to this command reports the hang-up


@pytest.mark.parametrize("how", ["within", "between", "silent"])
@pytest.mark.parametrize("after", range(1, 4))
async def test_silent_module_registers_callers_who_hang_up(after: int, how: Any) -> None:
    registrar = FakeRegistrar(module(silent=True))
    call = await dial(FakeCall(hang_up=HangUp(after, how)), registrar)
    assert len(registrar.registered) == 1
    assert result(call) == ("next", "registered")


async def test_caller_who_hangs_up_during_the_registration_is_registered_once() -> None:
    registrar = FakeRegistrar()
    registrar.may_store.clear()

    async def release(command: str) -> None:
        if command.startswith("STREAM") and "before_success" in command:
            asyncio.get_running_loop().call_later(0.1, registrar.may_store.set)

    call = await dial(short_call(hang_up=HangUp(SHORT_CONFIRMED + 2), on_command=release), registrar)
    assert len(registrar.registered) == 1
    assert result(call) == ("error", "hung_up")


@pytest.mark.parametrize("while_", ["the prompt plays", "the prompt is over", "nothing plays"])
async def test_server_that_stops_during_a_registration_completes_it(while_: str) -> None:
    registrar = FakeRegistrar(module(silent=while_ == "nothing plays"))
    registrar.may_store.clear()
    playing = asyncio.Event()

    async def hold(command: str) -> None:
        if command.startswith("STREAM") and "before_success" in command and while_ == "the prompt plays":
            playing.set()
            await asyncio.Event().wait()

    server = AgiServer("127.0.0.1", 0, lambda session: converse(session, registrar), make_access())
    await server.start()
    call = short_call(on_command=hold)
    running = asyncio.create_task(call.run(server.port))
    async with asyncio.timeout(PATIENCE):
        await registrar.storing.wait()
        if while_ == "the prompt plays":
            await playing.wait()
        elif while_ == "the prompt is over":
            while "before_success" not in call.played:  # noqa: ASYNC110 - there is no event to wait for
                await asyncio.sleep(0)
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0)
        registrar.may_store.set()
        await stopping
        while not registrar.registered:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0)
    assert len(registrar.registered) == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_fifty_concurrent_callers_are_registered_with_their_own_numbers() -> None:
    registrar = FakeRegistrar()
    server = AgiServer("127.0.0.1", 0, lambda session: converse(session, registrar), make_access())
    await server.start()
    numbers = [f"0912{number:07}" for number in range(50)]
    calls = [
        FakeCall(Press("intro", "1"), headers={"agi_callerid": number, "agi_uniqueid": number}) for number in numbers
    ]
    await asyncio.gather(*(call.run(server.port) for call in calls))
    await server.stop()
    assert sorted(accepted.spoken for accepted in registrar.registered) == numbers
    assert all(call.uniqueid == call.caller_number for call in registrar.calls)
    assert {result(call) for call in calls} == {("next", "registered")}


async def test_end_of_a_dialogue_is_logged_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger=ivr.__name__)
    await dial(short_call(), FakeRegistrar())
    assert [record.message for record in caplog.records] == ["module 7, call 1700000000.42: next (registered)"]


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("0912\u202e1234567", "09121234567"),
        ("\u20660912\x001234567\u2069\x07", "09121234567"),
        ("0" * 300, "0" * 40),
    ],
)
def test_a_number_has_no_control_or_direction_characters(given: str, stored: str) -> None:
    assert ivr._number(given, "0") == stored


def test_an_overlong_id_is_cut_and_stays_unique() -> None:
    first, second = (ivr.dialogue_id(f"{'x' * 300}-1782907200.{n}", "12") for n in (1, 2))
    assert first != second and len(first) <= 80 and first.endswith(".1/12")
    assert ivr.dialogue_id("1782907200.1", "²") == "1782907200.1"


# -- outside the office hours ---------------------------------------------------------------------------------


async def test_closed_office_declines_with_its_own_prompt() -> None:
    call = await dial(FakeCall(), FakeRegistrar(module(outside=Outside.DECLINE)))
    assert call.played == ["closed"]
    assert result(call) == ("error", "closed")


@pytest.mark.parametrize("changes", [{"silent": True}, {"without": ("closed",)}])
async def test_closed_office_declines_without_a_word(changes: dict[str, Any]) -> None:
    registrar = FakeRegistrar(module(outside=Outside.DECLINE, **changes))
    call = await dial(FakeCall(), registrar)
    assert "answer" not in call.log and call.played == []
    assert result(call) == ("error", "closed")
    assert registrar.registered == []


async def test_closed_office_offers_a_call_when_it_opens() -> None:
    view = module(outside=Outside.NEXT_OPENING)
    view = replace(view, prompts={**view.prompts, "after_success_closed": Sound("bazang/fa/after_success_closed", 2.0)})
    registrar = FakeRegistrar(view)
    call = await dial(FakeCall(Press("intro", "1")), registrar)
    assert call.played == ["closed", "intro", "before_success", "after_success_closed"]
    assert result(call) == ("next", "registered")
    call = await dial(FakeCall(Press("closed", "1", early=True)), registrar)
    assert call.played == ["closed", "before_success", "after_success_closed"], "a key interrupts the prompt"
    call = await dial(FakeCall(Press("closed", "0", early=True)), registrar)
    assert result(call) == ("error", "declined")


async def test_closed_office_without_such_prompts_offers_as_usual() -> None:
    for outside in (Outside.OFFER, Outside.NEXT_OPENING):
        call = await dial(FakeCall(Press("intro", "1")), FakeRegistrar(module(outside=outside, without=("closed",))))
        assert call.played == ["intro", "before_success", "after_success"]


# -- a time of one's own ----------------------------------------------------------------------------------------------

AT = datetime(2026, 11, 28, 9, 0, tzinfo=UTC)


def times_registrar(**changes: Any) -> FakeRegistrar:
    """A registrar whose module offers times. Key 2 chooses AT, and * a time that moves to the next hour."""
    registrar = FakeRegistrar(module(offers_times=True, **changes))
    registrar.times = {
        "2": ChosenTime(AT, False, [Sound("bazang/en/in_20_minutes", 2.0)]),
        "*": ChosenTime(AT + timedelta(hours=1), True, [Sound("bazang/en/tomorrow", 2.0)]),
    }
    return registrar


async def test_caller_chooses_a_time_for_their_own_number() -> None:
    registrar = times_registrar()
    call = await dial(FakeCall(Press("time_offer", "3"), Press("time_choice", "2"), Press("time_next", "1")), registrar)
    asked = ["intro", "time_offer", "time_choice", "in_20_minutes", "time_next"]
    assert call.played == [*asked, "before_success", "after_success_time"]
    assert (registrar.registered, registrar.chosen) == ([Accepted("+989121234567", OWN)], [AT])


async def test_caller_hears_that_a_time_has_moved_and_chooses_another_one_for_a_typed_number() -> None:
    registrar = times_registrar(outside=Outside.NEXT_OPENING)
    keys = [Press(sound, key, early=True) for sound, key in (("closed", "3"), ("time_choice", "*"), ("time_next", "3"))]
    keys += [Press("time_choice", "2"), Press("time_next", "2"), Press("enter_number", TYPED + "#")]
    call = await dial(FakeCall(*keys, Press("check_number", "1")), registrar)
    moved = ["closed", "time_choice", "time_moved", "tomorrow", "time_next"]
    assert call.played[:8] == [*moved, "time_choice", "in_20_minutes", "time_next"]
    assert call.played[-1] == "after_success_time"
    assert (registrar.registered, registrar.chosen) == ([Accepted("+982188881234", TYPED)], [AT])


async def test_caller_without_an_own_number_chooses_a_time_and_types_one() -> None:
    registrar = times_registrar()
    keys = [Press("time_offer", "3"), Press("time_choice", "2")]
    keys += [Press("time_next_other", key) for key in "12"] + typing(TYPED + "#")[1:]
    call = await dial(FakeCall(*keys, headers={"agi_callerid": "unknown"}), registrar)
    assert call.played[:3] == ["intro_other", "time_offer", "time_choice"]
    assert registrar.chosen == [AT]


async def test_zero_behind_a_digit_does_not_end_the_dialogue() -> None:
    registrar = times_registrar()
    keys = [Press("time_offer", "3"), Press("time_choice", "20"), Press("time_next", "1")]
    await dial(FakeCall(*keys), registrar)
    assert registrar.chosen == [AT]


@pytest.mark.parametrize(
    ("choices", "next_keys", "why"),
    [
        (["", "8", "7"], [], "no_choice"),  # silence, and times of which none is free
        (["0"], [], "declined"),
        (["2"], ["", "9", "#"], "no_choice"),
        (["2"], ["0"], "declined"),
    ],
)
async def test_caller_who_chooses_no_time_leaves(choices: list[str], next_keys: list[str], why: str) -> None:
    registrar = times_registrar()
    keys = [Press("time_choice", key) for key in choices] + [Press("time_next", key) for key in next_keys]
    call = await dial(FakeCall(Press("time_offer", "3"), *keys), registrar)
    assert (result(call), registrar.registered) == (("error", why), [])
    assert call.played.count("time_choice") == len(choices)


async def test_caller_who_wants_no_time_is_called_as_soon_as_possible() -> None:
    registrar = times_registrar()
    call = await dial(FakeCall(Press("time_offer", "1")), registrar)
    assert (registrar.chosen, call.played[-1]) == ([None], "after_success")


# -- an open request ------------------------------------------------------------------------------------------


OWN_E164 = "+989121234567"


def with_open_request(view: ModuleView | None = None) -> FakeRegistrar:
    registrar = FakeRegistrar(view)
    registrar.open = {OWN_E164}
    return registrar


async def test_caller_with_an_open_request_keeps_it() -> None:
    registrar = with_open_request()
    call = await dial(FakeCall(Press("open_choice", "1")), registrar)
    assert call.played == ["has_open", "open_choice", "before_success", "after_success"]
    assert [accepted.number for accepted in registrar.registered] == [OWN_E164]
    assert (registrar.withdrawn, result(call)) == ([], ("next", "registered"))


async def test_caller_withdraws_their_open_request() -> None:
    registrar = with_open_request()
    call = await dial(FakeCall(Press("open_choice", "9")), registrar)
    assert call.played == ["has_open", "open_choice", "withdrawn"]
    assert (registrar.withdrawn, registrar.registered, result(call)) == ([OWN_E164], [], ("next", "withdrawn"))


async def test_request_for_another_number_replaces_the_open_one() -> None:
    registrar = with_open_request()
    presses = [Press("open_choice", "2"), Press("enter_number", TYPED + "#"), Press("check_number", "1")]
    await dial(FakeCall(*presses), registrar)
    assert [accepted.number for accepted in registrar.registered] == ["+982188881234"]
    assert registrar.withdrawn == [OWN_E164]


@pytest.mark.parametrize("press", [Press("open_choice", "0"), Press("intro", "1")])
async def test_open_request_stands_if_the_caller_leaves_or_presses_nothing(press: Press) -> None:
    registrar = with_open_request()
    call = await dial(FakeCall(press), registrar)
    assert (registrar.withdrawn, registrar.registered) == ([], [])
    assert result(call) in (("error", "declined"), ("error", "no_choice"))


async def test_caller_with_an_open_request_chooses_a_time() -> None:
    registrar = with_open_request(module(offers_times=True))
    at = datetime(2026, 11, 3, 9, 0, tzinfo=UTC)
    registrar.times["2"] = ChosenTime(at, False, [])
    await dial(FakeCall(Press("open_choice", "3"), Press("time_choice", "2"), Press("time_next", "1")), registrar)
    assert (registrar.chosen, registrar.withdrawn) == ([at], [])


async def test_request_that_cannot_be_withdrawn_leads_to_the_error_destination() -> None:
    registrar = with_open_request()
    registrar.failure = OSError("disk full")
    call = await dial(FakeCall(Press("open_choice", "9")), registrar)
    assert (call.played, result(call)) == (["has_open", "open_choice"], ("error", "not_stored"))


# -- what the caller can expect ---------------------------------------------------------------------------------------

PLACE, WAIT = Sound("bazang/place", 1.0), Sound("bazang/wait", 1.0)


async def test_caller_hears_the_place_and_the_wait_after_registering() -> None:
    registrar = FakeRegistrar(module(tells_prospect=True))
    registrar.prospects = [[PLACE, WAIT]]
    call = await dial(FakeCall(Press("intro", "1")), registrar)
    assert call.played == ["intro", "before_success", "after_success", "place", "wait"]
    assert result(call) == ("next", "registered")


async def test_caller_with_an_open_request_hears_them_before_the_choice() -> None:
    registrar = with_open_request(module(tells_prospect=True))
    registrar.prospects = [[PLACE, WAIT]]
    call = await dial(FakeCall(Press("open_choice", "9")), registrar)
    assert call.played == ["has_open", "place", "wait", "open_choice", "withdrawn"]
    registrar.prospects = [[PLACE, WAIT]]
    call = await dial(FakeCall(Press("place", "9", early=True)), registrar)
    assert call.played == ["has_open", "place", "withdrawn"], "a key interrupts them"


@pytest.mark.parametrize(
    ("view", "press"),
    [
        (module(tells_prospect=True, outside=Outside.NEXT_OPENING), Press("closed", "1")),
        (module(tells_prospect=True, silent=True), None),
        (module(), Press("intro", "1")),
    ],
)
async def test_nothing_is_told_of_a_request_that_is_not_in_line(view: ModuleView, press: Press | None) -> None:
    registrar = FakeRegistrar(view)
    await dial(FakeCall(*filter(None, [press])), registrar)
    assert len(registrar.registered) == 1  # it is not asked what can be expected: that would fail


async def test_failure_to_find_out_keeps_the_registration() -> None:
    registrar = FakeRegistrar(module(tells_prospect=True))
    registrar.prospects = [OSError("disk")]
    call = await dial(FakeCall(Press("intro", "1")), registrar)
    assert (call.played[-1], result(call)) == ("after_success", ("next", "registered"))


# -- the caller's name ----------------------------------------------------------------------------------------


async def test_caller_says_their_name_after_the_registration() -> None:
    registrar = FakeRegistrar(module(asks_name=True))
    call = await dial(FakeCall(Press("intro", "1")), registrar)
    told = "set BAZANG_WHY=registered BAZANG_RESULT=next"
    said = [told, "play after_success", "play say_name", "play tone"]
    recorded = "record name-of-1.wav to 0123456789*# or 4.0"
    assert call.log[call.log.index(told) :][:5] == [*said, recorded]
    assert registrar.names == ["inbox/name-of-1"]
    assert result(call) == ("next", "registered")


async def test_any_key_skips_the_name() -> None:
    registrar = FakeRegistrar(module(asks_name=True))
    call = await dial(FakeCall(Press("intro", "1"), Press("say_name", "0", early=True)), registrar)
    assert (call.played[-1], registrar.names) == ("say_name", [])
    assert result(call) == ("next", "registered")


@pytest.mark.parametrize("how", ["within", "between", "gone"])
@pytest.mark.parametrize("at", ["say_name", "record"])
async def test_caller_who_hangs_up_instead_of_saying_a_name_keeps_the_request(at: str, how: Any) -> None:
    registrar = FakeRegistrar(module(asks_name=True))
    complete = await dial(FakeCall(Press("intro", "1")), FakeRegistrar(module(asks_name=True)))
    position = next(index for index, entry in enumerate(complete.log, 1) if entry.startswith((f"play {at}", at)))
    call = await dial(FakeCall(Press("intro", "1"), hang_up=HangUp(position, how)), registrar)
    assert len(registrar.registered) == 1
    assert registrar.names == (["inbox/name-of-1"] if at == "record" else []), "what was said until then may be a name"
    assert call.variables[variables.RESULT] == "next", "the dialplan goes on as after any request"


async def test_recording_that_the_pbx_cannot_write_loses_nothing() -> None:
    registrar = FakeRegistrar(module(asks_name=True))
    replies = {"RECORD FILE": b"200 result=-1 (writefile)\n"}
    call = await dial(FakeCall(Press("intro", "1"), replies=replies), registrar)
    assert registrar.names == ["inbox/name-of-1"]
    assert result(call) == ("next", "registered")


async def test_silent_module_asks_for_no_name() -> None:
    registrar = FakeRegistrar(module(asks_name=True, silent=True))
    await dial(FakeCall(), registrar)
    assert registrar.names == []
