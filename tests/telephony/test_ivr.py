"""The caller's dialogue, path by path, as a caller would walk it; only the desk that judges and stores is a fake."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from app.audio.prompt_texts import PROMPT_KEYS
from app.telephony import ivr, variables
from app.telephony.agi import AgiServer
from app.telephony.ivr import Accepted, CallerFacts, ModuleView, Refused, Sound, converse
from tests.support.fake_agi import PATIENCE, FakeCall, HangUp, Press

OWN = "09121234567"
TYPED = "02188881234"
WRONG = "1234"
STEPS = ("intro", "enter_number", "entered_number", "is", "check_number", "before_success", "after_success")


def module(*, language: str = "fa", without: tuple[str, ...] = (), **changes: Any) -> ModuleView:
    """A module; the prompts of `without` are not played."""
    prompts = {
        key: None if key in without else Sound(f"bazang/{language}/{key}", 2.0) for key in (*PROMPT_KEYS, "intro_other")
    }
    digits = {digit: Sound(f"bazang/{language}/digits/{digit}", 0.5) for digit in "0123456789"}
    view = ModuleView(7, "sales", "*5001", True, False, language, prompts, digits)
    return replace(view, **changes)


class Desk:
    """A Registrar. It accepts any number of ten digits and more, and counts."""

    def __init__(self, view: ModuleView | None = None, *, refused: tuple[str, ...] = ()) -> None:
        self.view = module() if view is None else view
        self.refused = refused
        self.asked: list[tuple[str, bool]] = []  # number, typed
        self.calls: list[CallerFacts] = []
        self.registered: list[Accepted] = []
        self.failure: Exception | None = None
        self.storing = asyncio.Event()
        self.may_store = asyncio.Event()
        self.may_store.set()

    async def module(self, module_id: int) -> ModuleView | None:
        return self.view if module_id == self.view.id else None

    async def check(self, call: CallerFacts, number: str, typed: bool) -> Accepted | Refused:
        self.asked.append((number, typed))
        if len(number) < 10 or number in self.refused:
            return Refused("invalid")
        return Accepted(f"+98{number[1:]}", number)

    async def register(self, call: CallerFacts, accepted: Accepted) -> None:
        self.storing.set()
        await self.may_store.wait()
        if self.failure is not None:
            raise self.failure
        self.calls.append(call)
        self.registered.append(accepted)


async def dial(call: FakeCall, desk: Desk) -> FakeCall:
    """Play the whole call and return it."""
    server = AgiServer("127.0.0.1", 0, lambda session: converse(session, desk))
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
    """Choose another number, type each of `keys` in turn, and confirm the last."""
    return [Press("intro", "2"), *(Press("enter_number", k) for k in keys), Press("check_number", confirm)]


# -- the straight ways ----------------------------------------------------------------------------------------


async def test_1_registers_the_own_number() -> None:
    desk = Desk()
    call = await dial(FakeCall(Press("intro", "1")), desk)
    assert call.played == ["intro", "before_success", "after_success"]
    assert desk.registered == [Accepted("+989121234567", OWN)]
    assert desk.asked == [(OWN, False)]
    assert result(call) == ("next", "registered")


async def test_2_has_another_number_typed_read_out_and_confirmed() -> None:
    desk = Desk()
    call = await dial(FakeCall(*typing(TYPED + "#")), desk)
    assert call.log == [
        "get BAZANG_FIRST",
        "get BAZANG_WANTED",
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
        "play before_success",
        "play after_success",
        "set BAZANG_WHY=registered",
        "set BAZANG_RESULT=next",
    ]
    assert desk.registered == [Accepted("+982188881234", TYPED)]
    assert desk.asked == [(OWN, False), (TYPED, True)]


async def test_the_handshake_is_the_last_thing_said() -> None:
    """Asterisk goes on as soon as the session ends: what it looks at must be there, and nothing may come after it."""
    for call in (FakeCall(Press("intro", "1")), FakeCall(Press("intro", "0")), FakeCall(hang_up=HangUp(5))):
        await dial(call, Desk())
        assert call.log[-1].startswith("set BAZANG_RESULT=")


async def test_every_key_may_come_early() -> None:
    """Before its prompt has ended, as callers do who know the way."""
    desk = Desk()
    call = await dial(
        FakeCall(
            Press("intro", "2", early=True),
            Press("enter_number", TYPED + "#", early=True),
            Press("check_number", "1", early=True),
        ),
        desk,
    )
    assert desk.registered == [Accepted("+982188881234", TYPED)]
    assert call.pressed[:2] == ["intro:2", "enter_number:0"]
    assert call.pressed[-1] == "check_number:1"
    assert call.played == list(_played(TYPED))


def _played(number: str) -> tuple[str, ...]:
    return (*STEPS[:3], *number, *STEPS[3:])


# -- the first question ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("early", [True, False])
async def test_0_declines(early: bool) -> None:
    desk = Desk()
    call = await dial(FakeCall(Press("intro", "0", early=early)), desk)
    assert call.played == ["intro"]
    assert result(call) == ("error", "declined")
    assert desk.registered == []


@pytest.mark.parametrize("invalid", list("3456789*#"))
async def test_a_key_that_was_not_offered_has_the_question_asked_again(invalid: str) -> None:
    desk = Desk()
    call = await dial(FakeCall(Press("intro", invalid), Press("intro", "1")), desk)
    assert call.played[:3] == ["intro", "intro", "before_success"]
    assert len(desk.registered) == 1


@pytest.mark.parametrize("keys", [("", "", ""), ("5", "5", "5"), ("", "#", "9")])
async def test_three_times_no_choice_goes_to_the_error_destination(keys: tuple[str, ...]) -> None:
    desk = Desk()
    call = await dial(FakeCall(*(Press("intro", key) for key in keys)), desk)
    assert call.played == ["intro"] * 3
    assert result(call) == ("error", "no_choice")
    assert desk.registered == []


async def test_the_third_time_is_still_in_time() -> None:
    desk = Desk()
    await dial(FakeCall(Press("intro", ""), Press("intro", "8"), Press("intro", "1")), desk)
    assert len(desk.registered) == 1


# -- the number -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "number"),
    [
        (TYPED + "#", TYPED),
        (TYPED, TYPED),  # a pause ends it as well
        (f"0912*{TYPED}#", TYPED),
        (f"*{TYPED}#", TYPED),
        (f"1*2*3*{TYPED}#", TYPED),
        ("0" * 20, "0" * 20),  # the longest there is; nobody waits for more
        ("0" * 25 + "#", "0" * 20),
        ("0" * 19 + "*" + TYPED + "#", TYPED),
    ],
)
async def test_what_is_typed(keys: str, number: str) -> None:
    desk = Desk()
    await dial(FakeCall(*typing(keys)), desk)
    assert desk.asked[1:] == [(number, True)]
    assert [accepted.spoken for accepted in desk.registered] == [number]


@pytest.mark.parametrize("first", list("0123456789"))
async def test_the_first_digit_may_interrupt_the_prompt(first: str) -> None:
    desk = Desk()
    number = first + TYPED
    await dial(
        FakeCall(Press("intro", "2"), Press("enter_number", number + "#", early=True), Press("check_number", "1")), desk
    )
    assert [accepted.spoken for accepted in desk.registered] == [number]


async def test_a_star_in_the_prompt_begins_anew_without_repeating_it() -> None:
    desk = Desk()
    call = await dial(
        FakeCall(Press("intro", "2"), Press("enter_number", f"*{TYPED}#", early=True), Press("check_number", "1")), desk
    )
    assert call.played.count("enter_number") == 1
    assert [accepted.spoken for accepted in desk.registered] == [TYPED]


@pytest.mark.parametrize("keys", ["#", "", "*#", "12*#", "**"])
async def test_no_number_is_a_wrong_number(keys: str) -> None:
    desk = Desk()
    call = await dial(FakeCall(*typing(keys, TYPED + "#")), desk)
    assert call.played[:4] == ["intro", "enter_number", "wrong_number", "enter_number"]
    assert desk.asked[1:] == [(TYPED, True)]  # nobody is asked about nothing
    assert len(desk.registered) == 1


async def test_a_pound_within_the_prompt_is_a_wrong_number_at_once() -> None:
    call = await dial(FakeCall(Press("intro", "2"), Press("enter_number", "#", early=True)), Desk())
    assert call.log[call.log.index("play enter_number") + 1] == "play wrong_number"


@pytest.mark.parametrize("keys", [WRONG + "#", "#", ""])
async def test_three_wrong_numbers_go_to_the_error_destination(keys: str) -> None:
    desk = Desk()
    call = await dial(FakeCall(*typing(keys, keys, keys)), desk)
    assert call.played == ["intro", *["enter_number", "wrong_number"] * 3]
    assert result(call) == ("error", "wrong_number")
    assert desk.registered == []


async def test_two_wrong_numbers_do_not() -> None:
    desk = Desk()
    call = await dial(FakeCall(*typing(WRONG + "#", "", TYPED + "#")), desk)
    assert call.played == ["intro", *["enter_number", "wrong_number"] * 2, *_played(TYPED)[1:]]
    assert [accepted.spoken for accepted in desk.registered] == [TYPED]


# -- the confirmation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("no", ["2", "*"])
async def test_a_number_that_is_not_confirmed_is_typed_again(no: str) -> None:
    desk = Desk()
    other = "02177776666"
    presses = [
        Press("intro", "2"),
        Press("enter_number", other + "#"),
        Press("check_number", no),
        Press("enter_number", TYPED + "#"),
        Press("check_number", "1"),
    ]
    call = await dial(FakeCall(*presses), desk)
    assert [accepted.spoken for accepted in desk.registered] == [TYPED]
    assert "wrong_number" not in call.played


async def test_typing_again_is_no_wrong_number_however_often() -> None:
    desk = Desk()
    again = [press for _ in range(6) for press in (Press("enter_number", TYPED + "#"), Press("check_number", "2"))]
    done = [Press("enter_number", TYPED + "#"), Press("check_number", "1")]
    await dial(FakeCall(Press("intro", "2"), *again, *done), desk)
    assert len(desk.registered) == 1


@pytest.mark.parametrize("sound", ["entered_number", "2", "4", "is"])
@pytest.mark.parametrize("no", ["2", "*"])
async def test_a_no_may_interrupt_the_read_out(sound: str, no: str) -> None:
    desk = Desk()
    presses = [
        Press("intro", "2"),
        Press("enter_number", TYPED + "#"),
        Press(sound, no, early=True),
        Press("enter_number", TYPED + "#"),
        Press("check_number", "1"),
    ]
    call = await dial(FakeCall(*presses), desk)
    assert call.played[call.played.index(sound) + 1] == "enter_number"
    assert len(desk.registered) == 1


@pytest.mark.parametrize("sound", ["entered_number", "2", "4", "is"])
async def test_a_yes_before_all_was_heard_is_none(sound: str) -> None:
    desk = Desk()
    call = await dial(
        FakeCall(Press("intro", "2"), Press("enter_number", TYPED + "#"), Press(sound, "1", early=True)), desk
    )
    assert desk.registered == []
    assert result(call) == ("error", "not_confirmed")


@pytest.mark.parametrize("key", ["", "0", "5", "#"])
async def test_neither_yes_nor_no_has_it_read_out_again(key: str) -> None:
    desk = Desk()
    presses = [*typing(TYPED + "#", confirm=key), Press("check_number", "1")]
    call = await dial(FakeCall(*presses), desk)
    assert call.played == ["intro", "enter_number", *_played(TYPED)[2:-2], *_played(TYPED)[2:]]
    assert len(desk.registered) == 1


@pytest.mark.parametrize("key", ["", "5"])
async def test_three_times_neither_goes_to_the_error_destination(key: str) -> None:
    desk = Desk()
    presses = [*typing(TYPED + "#", confirm=key), *[Press("check_number", key)] * 2]
    call = await dial(FakeCall(*presses), desk)
    assert call.played.count("check_number") == 3
    assert result(call) == ("error", "not_confirmed")
    assert desk.registered == []


@pytest.mark.parametrize("language", ["fa", "en"])
async def test_the_digits_are_read_in_the_modules_language(language: str) -> None:
    call = await dial(FakeCall(*typing(TYPED + "#")), Desk(module(language=language)))
    read = [c.split(" ")[2] for c in call.commands if c.startswith("STREAM") and "/digits/" in c]
    assert read == [f"bazang/{language}/digits/{digit}" for digit in TYPED]


async def test_what_is_read_out_is_what_the_desk_says_not_what_was_typed() -> None:
    class Expanding(Desk):
        async def check(self, call: CallerFacts, number: str, typed: bool) -> Accepted | Refused:
            return Accepted("+982112345678", "02112345678")

    call = await dial(FakeCall(*typing("12345678#")), Expanding())
    assert "".join(name for name in call.played if name.isdigit()) == "02112345678"


async def test_a_digit_without_a_sound_is_left_out() -> None:
    digits = {digit: sound for digit, sound in module().digits.items() if digit != "8"}
    desk = Desk(module(digits=digits))
    call = await dial(FakeCall(*typing(TYPED + "#")), desk)
    assert "".join(name for name in call.played if name.isdigit()) == TYPED.replace("8", "")
    assert len(desk.registered) == 1


# -- callers without a number of their own --------------------------------------------------------------------

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
async def test_a_withheld_number_is_not_offered_and_not_used(headers: Mapping[str, str], key: str) -> None:
    """With a recording that offers 1 all the same, 1 does what 2 does."""
    desk = Desk()
    presses = [Press("intro_other", key), *typing(TYPED + "#")[1:]]
    call = await dial(FakeCall(*presses, headers=headers), desk)
    assert call.played == ["intro_other", *_played(TYPED)[1:]]
    assert desk.asked == [(TYPED, True)]
    assert [accepted.spoken for accepted in desk.registered] == [TYPED]
    assert desk.calls[0].caller_number == ""


@pytest.mark.parametrize("presentation", ["0", "1", "3", "", "junk"])
async def test_a_number_that_is_shown_is_offered(presentation: str) -> None:
    desk = Desk()
    await dial(FakeCall(Press("intro", "1"), headers={"agi_callingpres": presentation}), desk)
    assert [accepted.spoken for accepted in desk.registered] == [OWN]


@pytest.mark.parametrize("key", ["1", "2"])
async def test_an_own_number_that_is_refused_is_not_offered(key: str) -> None:
    desk = Desk(refused=(OWN,))
    call = await dial(FakeCall(Press("intro_other", key), *typing(TYPED + "#")[1:]), desk)
    assert call.played == ["intro_other", *_played(TYPED)[1:]]
    assert [accepted.spoken for accepted in desk.registered] == [TYPED]
    assert desk.calls[0].caller_number == OWN  # who it was is told all the same


async def test_where_there_is_no_other_intro_the_recorded_one_is_played() -> None:
    prompts = {key: sound for key, sound in module().prompts.items() if key != "intro_other"}
    desk = Desk(module(prompts=prompts))
    call = await dial(FakeCall(*typing(TYPED + "#"), headers={"agi_callerid": "unknown"}), desk)
    assert call.played == list(_played(TYPED))


async def test_0_declines_the_other_intro_too() -> None:
    call = await dial(FakeCall(Press("intro_other", "0"), headers={"agi_callerid": "unknown"}), Desk())
    assert result(call) == ("error", "declined")


# -- modules --------------------------------------------------------------------------------------------------


async def test_a_silent_module_registers_the_own_number_without_a_sound() -> None:
    desk = Desk(module(silent=True))
    call = await dial(FakeCall(), desk)
    assert [accepted.spoken for accepted in desk.registered] == [OWN]
    assert not [step for step in call.log if step.startswith(("play", "wait", "answer"))]
    assert result(call) == ("next", "registered")


@pytest.mark.parametrize("refused", [True, False])
async def test_a_silent_module_without_a_number_goes_to_the_error_destination(refused: bool) -> None:
    desk = Desk(module(silent=True), refused=(OWN,))
    call = await dial(FakeCall(headers={} if refused else {"agi_callerid": "anonymous"}), desk)
    assert not [step for step in call.log if step.startswith(("play", "wait", "answer"))]
    assert result(call) == ("error", "no_number")
    assert desk.registered == []


@pytest.mark.parametrize(
    ("view", "script", "why"),
    [
        (module(active=False), "module/7", "inactive"),
        (module(active=False, silent=True), "module/7", "inactive"),
        (module(), "module/8", "no_module"),
    ],
)
async def test_a_module_that_does_not_serve_says_nothing(view: ModuleView, script: str, why: str) -> None:
    desk = Desk(view)
    call = await dial(FakeCall(Press("intro", "1"), headers={"agi_network_script": script}), desk)
    assert call.log == [f"set BAZANG_WHY={why}", "set BAZANG_RESULT=error"]
    assert desk.registered == []


async def test_prompts_that_are_not_ready_in_time_go_to_the_error_destination(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ivr, "MODULE_SECONDS", 0.0)
    desk = Desk()
    call = await dial(FakeCall(Press("intro", "1")), desk)
    assert call.log == ["set BAZANG_WHY=prompts_not_ready", "set BAZANG_RESULT=error"]
    assert desk.registered == []


@pytest.mark.parametrize("script", ["", "module/", "module/x", "other/7", "module/7/8", "../module/7"])
async def test_a_script_that_is_none_gets_no_dialogue(script: str) -> None:
    call = await dial(FakeCall(Press("intro", "1"), headers={"agi_network_script": script}), Desk())
    assert call.commands == []


@pytest.mark.parametrize(
    "without", ["enter_number", "entered_number", "is", "check_number", "before_success", "after_success", "intro"]
)
async def test_a_prompt_that_is_off_is_not_played_and_the_rest_is(without: str) -> None:
    """Its keys work all the same; they come after whatever was heard last."""
    moment = {"intro": "answer", "enter_number": "intro", "check_number": "is"}
    keys = {"intro": "2", "enter_number": TYPED + "#", "check_number": "1"}
    if without == "enter_number":
        presses = [Press("intro", "2" + keys["enter_number"]), Press("check_number", "1")]
    else:
        presses = [Press(moment[name] if name == without else name, typed) for name, typed in keys.items()]
    desk = Desk(module(without=(without,)))
    call = await dial(FakeCall(*presses), desk)
    assert call.played == [name for name in _played(TYPED) if name != without]
    assert [accepted.spoken for accepted in desk.registered] == [TYPED]


async def test_a_module_that_plays_nothing_can_be_used_by_who_knows_it() -> None:
    desk = Desk(module(without=(*PROMPT_KEYS, "intro_other"), digits={}))
    call = await dial(FakeCall(Press("answer", f"2{WRONG}#{TYPED}#1")), desk)
    assert call.played == []
    assert [accepted.spoken for accepted in desk.registered] == [TYPED]


# -- what is told of the caller -------------------------------------------------------------------------------


async def test_the_facts_of_the_call() -> None:
    desk = Desk()
    given = {
        variables.FIRST: "1700000000",
        variables.WANTED: "101",
    }
    await dial(FakeCall(Press("intro", "1"), variables=given), desk)
    assert desk.calls == [
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


@pytest.mark.parametrize(("first", "moment"), [("", None), ("soon", None), ("-5", None), ("1700000000", 1700000000.0)])
async def test_the_moment_of_the_first_knock(first: str, moment: float | None) -> None:
    desk = Desk()
    await dial(FakeCall(Press("intro", "1"), variables={variables.FIRST: first}), desk)
    assert desk.calls[0].first_called_at == moment


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("unknown", ""),
        ("Anonymous", ""),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),  # text is text: the page escapes
        ("a\x07b\x1b[31m\u202ec", "ab[31mc"),  # nothing that rings, colours or turns the page around
        ("x" * 200, "x" * 80),
        ("${SHELL(id)}", "${SHELL(id)}"),
    ],
)
async def test_a_name_is_stored_as_it_may_be_shown(given: str, name: str) -> None:
    desk = Desk()
    await dial(FakeCall(Press("intro", "1"), headers={"agi_calleridname": given}), desk)
    assert desk.calls[0].caller_name == name


# -- faults of ours -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("silent", [True, False])
async def test_a_request_that_cannot_be_stored_goes_to_the_error_destination(
    silent: bool, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(module(silent=silent))
    desk.failure = RuntimeError("the disk is full")
    call = await dial(FakeCall(Press("intro", "1")), desk)
    assert result(call) == ("error", "not_stored")
    assert "after_success" not in call.played
    assert "the disk is full" in caplog.text


async def test_a_request_that_cannot_be_stored_is_told_though_the_caller_hung_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk()
    desk.failure = RuntimeError("the disk is full")
    call = await dial(FakeCall(Press("intro", "1", early=True), hang_up=HangUp(5)), desk)
    assert call.log[4] == "play before_success"
    assert "the disk is full" in caplog.text


@pytest.mark.parametrize("where", ["module", "check"])
async def test_a_desk_that_fails_leaves_the_handshake_unset(
    where: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Which Asterisk takes for the error destination."""

    async def fail(*_: Any) -> Any:
        raise RuntimeError("no database")

    desk = Desk()
    monkeypatch.setattr(desk, where, fail)
    call = await dial(FakeCall(Press("intro", "1")), desk)
    assert result(call) == (None, None)
    assert "no database" in caplog.text


@pytest.mark.parametrize("sound", ["intro", "before_success"])
async def test_an_exchange_that_talks_nonsense_leaves_the_handshake_unset(sound: str) -> None:
    desk = Desk()
    call = await dial(FakeCall(Press("intro", "1"), replies={f"STREAM FILE bazang/fa/{sound}": b"nonsense\n"}), desk)
    assert result(call) == (None, None)
    assert len(desk.registered) == (1 if sound == "before_success" else 0)  # who had chosen is not forgotten


async def test_nonsense_after_the_registration_is_no_matter() -> None:
    desk = Desk()
    call = await dial(
        FakeCall(Press("intro", "1"), replies={"STREAM FILE bazang/fa/after_success": b"nonsense\n"}), desk
    )
    assert result(call) == ("next", "registered")


# -- hang-up --------------------------------------------------------------------------------------------------

# The number of commands of a dialogue, and the command whose reply is the confirmation.
LONG, LONG_YES = 37, 33
SHORT, SHORT_YES = 8, 4
HOWS = ("within", "between", "silent", "gone")


def long_call(**how: Any) -> FakeCall:
    return FakeCall(*typing(TYPED + "#"), **how)


def short_call(**how: Any) -> FakeCall:
    return FakeCall(Press("intro", "1", early=True), **how)


async def test_the_numbers_of_commands_are_as_the_next_tests_take_them() -> None:
    call = await dial(long_call(), Desk())
    assert (len(call.log), call.log[LONG_YES - 2]) == (LONG, "play check_number")
    call = await dial(short_call(), Desk())
    assert (len(call.log), call.log[SHORT_YES - 1]) == (SHORT, "play intro")


@pytest.mark.parametrize("how", HOWS)
async def test_hang_up_at_every_step_of_a_long_dialogue(how: Any) -> None:
    for after in range(1, LONG + 1):
        await _hang_up(long_call(hang_up=HangUp(after, how)), after, how, LONG, LONG_YES, TYPED)


@pytest.mark.parametrize("how", HOWS)
async def test_hang_up_at_every_step_of_a_short_dialogue(how: Any) -> None:
    for after in range(1, SHORT + 1):
        await _hang_up(short_call(hang_up=HangUp(after, how)), after, how, SHORT, SHORT_YES, OWN)


async def _hang_up(call: FakeCall, after: int, how: str, length: int, yes: int, number: str) -> None:
    """A caller who confirmed before hanging up is registered once, any other is not. The dialogue always ends."""
    desk = Desk()
    await dial(call, desk)
    confirmed = after > yes or (after == yes and how == "between")
    assert [accepted.spoken for accepted in desk.registered] == ([number] if confirmed else []), after
    if how == "gone":
        assert result(call)[0] is None, after
        assert len(call.log) == after
        return
    before_success = length - 3
    if after > before_success or (after == before_success and how == "between"):
        assert result(call) == ("next", "registered"), after
    else:
        assert result(call) == ("error", "hung_up"), after
    heard_after = [step for step in call.log[after:] if step.startswith(("play", "answer", "wait"))]
    assert len(heard_after) <= 1, after  # the command that gets to know of the hang-up


@pytest.mark.parametrize("how", ["within", "between", "silent"])
@pytest.mark.parametrize("after", range(1, 5))
async def test_a_silent_module_registers_callers_who_hang_up(after: int, how: Any) -> None:
    desk = Desk(module(silent=True))
    call = await dial(FakeCall(hang_up=HangUp(after, how)), desk)
    assert len(desk.registered) == 1
    assert result(call) == ("next", "registered")


async def test_who_hangs_up_while_it_is_stored_is_registered_once() -> None:
    """The storing takes longer than the caller's patience."""
    desk = Desk()
    desk.may_store.clear()

    async def release(command: str) -> None:
        if command.startswith("STREAM") and "before_success" in command:
            asyncio.get_running_loop().call_later(0.1, desk.may_store.set)

    call = await dial(short_call(hang_up=HangUp(SHORT_YES + 1), on_command=release), desk)
    assert len(desk.registered) == 1
    assert result(call) == ("error", "hung_up")


@pytest.mark.parametrize("while_", ["the prompt plays", "the prompt is over", "nothing plays"])
async def test_a_service_that_stops_while_it_stores_has_stored(while_: str) -> None:
    desk = Desk(module(silent=while_ == "nothing plays"))
    desk.may_store.clear()
    playing = asyncio.Event()

    async def hold(command: str) -> None:
        if command.startswith("STREAM") and "before_success" in command and while_ == "the prompt plays":
            playing.set()
            await asyncio.Event().wait()

    server = AgiServer("127.0.0.1", 0, lambda session: converse(session, desk))
    await server.start()
    call = short_call(on_command=hold)
    running = asyncio.create_task(call.run(server.port))
    async with asyncio.timeout(PATIENCE):
        await desk.storing.wait()
        if while_ == "the prompt plays":
            await playing.wait()
        elif while_ == "the prompt is over":
            while "before_success" not in call.played:  # noqa: ASYNC110 - the fake tells nobody of it
                await asyncio.sleep(0)
        stopping = asyncio.create_task(server.stop())
        await asyncio.sleep(0)
        desk.may_store.set()
        await stopping
        while not desk.registered:  # noqa: ASYNC110 - only a time-out here would be the failure
            await asyncio.sleep(0)
    assert len(desk.registered) == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_fifty_callers_at_once_are_registered_each_as_themselves() -> None:
    desk = Desk()
    server = AgiServer("127.0.0.1", 0, lambda session: converse(session, desk))
    await server.start()
    numbers = [f"0912{number:07}" for number in range(50)]
    calls = [
        FakeCall(Press("intro", "1"), headers={"agi_callerid": number, "agi_uniqueid": number}) for number in numbers
    ]
    await asyncio.gather(*(call.run(server.port) for call in calls))
    await server.stop()
    assert sorted(accepted.spoken for accepted in desk.registered) == numbers
    assert all(call.uniqueid == call.caller_number for call in desk.calls)
    assert {result(call) for call in calls} == {("next", "registered")}


async def test_a_line_of_the_log_tells_how_it_ended_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger=ivr.__name__)
    await dial(short_call(), Desk())
    assert [record.message for record in caplog.records] == ["module 7, call 1700000000.42: next (registered)"]
