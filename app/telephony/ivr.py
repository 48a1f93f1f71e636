"""The dialogue with a caller, in the order in which the caller hears it.

It handles keys and sounds. The `Registrar` provides the module, checks numbers and stores the request.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from app.domain.text import displayable
from app.telephony import variables
from app.telephony.agi import AgiBroken, AgiSession, HungUp, Sound

log = logging.getLogger(__name__)

TRIES = 3
LONGEST_NUMBER = 20  # digits
MODULE_SECONDS = 15.0  # to synthesize prompts that have changed since the last call
CHOICE_SECONDS = 5.0  # to press a key after a question
FIRST_DIGIT_SECONDS = 8.0
NEXT_DIGIT_SECONDS = 4.0
DIGITS = "0123456789"
NEXT, ERROR = "next", "error"
_WITHHELD = frozenset({"", "unknown", "anonymous", "restricted", "unavailable", "withheld", "private", "asterisk"})

__all__ = ["Accepted", "CallerFacts", "ModuleView", "Refused", "Registrar", "Sound", "converse"]


@dataclass(frozen=True)
class ModuleView:
    """What the dialogue needs of a module. `digits` are the sounds of "0" to "9" in its language.

    `prompts` has the eight prompt keys and `intro_other`, the intro that does not offer the caller's own number. A
    prompt that is None is not played.
    """

    id: int
    name: str
    code: str
    active: bool
    silent: bool
    language: str
    prompts: Mapping[str, Sound | None]
    digits: Mapping[str, Sound]


@dataclass(frozen=True)
class CallerFacts:
    """The caller. `caller_number` is "" if it is withheld. `first_called_at` is epoch seconds, None if unknown."""

    module_id: int
    uniqueid: str
    channel: str
    caller_number: str
    caller_name: str
    wanted: str
    first_called_at: float | None


@dataclass(frozen=True)
class Accepted:
    """An accepted number: normalized, and as it is read out."""

    number: str
    spoken: str


@dataclass(frozen=True)
class Refused:
    reason: str


class Registrar(Protocol):
    async def module(self, module_id: int) -> ModuleView | None: ...
    async def check(self, call: CallerFacts, number: str, typed: bool) -> Accepted | Refused: ...

    async def register(self, call: CallerFacts, accepted: Accepted) -> None:
        """Store the request, once per `call.uniqueid`. Raises if it cannot be stored."""


class _Leave(Exception):
    """The caller goes to the error destination. The argument is the reason code."""


async def converse(session: AgiSession, registrar: Registrar) -> None:
    """Run the dialogue. Set the result variable, by which the dialplan chooses the next destination."""
    try:
        module_id = int(session.path.removeprefix("module/"))
    except ValueError:
        log.error("unknown AGI path: %r", session.path)
        return
    result, why = ERROR, ""
    try:
        await _Dialogue(session, registrar, module_id).run()
        result, why = NEXT, "registered"
    except _Leave as leave:
        why = str(leave)
    except HungUp:
        why = "hung_up"
    log.info("module %s, call %s: %s (%s)", module_id, session.env.get("agi_uniqueid"), result, why)
    await session.set_variable(variables.WHY, why)
    await session.set_variable(variables.RESULT, result)


class _Dialogue:
    def __init__(self, session: AgiSession, registrar: Registrar, module_id: int) -> None:
        self._session, self._registrar, self._module_id = session, registrar, module_id

    async def run(self) -> None:
        """Run the dialogue up to the registered request. Raises _Leave, HungUp or AgiBroken."""
        try:
            module = await self._session.keep_waiting(self._registrar.module(self._module_id), MODULE_SECONDS)
        except TimeoutError:
            raise _Leave("prompts_not_ready") from None
        if module is None or not module.active:
            raise _Leave("inactive" if module is not None else "no_module")
        self._prompts, self._digits = module.prompts, module.digits
        self._call = await _facts(self._session, self._module_id)
        own = await self._own_number()

        if module.silent:
            if own is None:
                raise _Leave("no_number")
            await self._register(own, play=False)
            return

        await self._session.answer()
        if await self._ask_which_number(own is not None) == "1" and own is not None:
            number = own
        else:
            number = await self._ask_number()
        await self._register(number, play=True)

    async def _own_number(self) -> Accepted | None:
        if not self._call.caller_number:
            return None
        checked = await self._registrar.check(self._call, self._call.caller_number, False)
        return checked if isinstance(checked, Accepted) else None

    async def _ask_which_number(self, has_own: bool) -> str:
        """Play the intro and return the choice: 1 = this number, if there is one; 2 = another. 0 leaves."""
        intro = self._prompts.get("intro")
        if not has_own:
            intro = self._prompts.get("intro_other") or intro
        for _ in range(TRIES):
            key = await self._play(intro, keys="120") or await self._session.get_digit(CHOICE_SECONDS)
            if key == "0":
                raise _Leave("declined")
            if key in ("1", "2"):
                return key
        raise _Leave("no_choice")

    async def _ask_number(self) -> Accepted:
        """Ask for a number, read it out, and ask for confirmation."""
        wrong = 0
        while wrong < TRIES:
            typed = await self._type_number()
            checked = await self._registrar.check(self._call, typed, True) if typed else Refused("empty")
            if isinstance(checked, Refused):
                wrong += 1
                await self._play(self._prompts.get("wrong_number"))
            elif await self._confirm(checked):
                return checked
        raise _Leave("wrong_number")

    async def _type_number(self) -> str:
        """Return the digits typed before # or a pause. * starts over. Digits may interrupt the prompt."""
        typed = await self._play(self._prompts.get("enter_number"), keys=DIGITS + "*#")
        while not typed.endswith("#"):
            if typed.endswith("*"):
                typed = ""
            if len(typed) == LONGEST_NUMBER:
                break
            key = await self._session.get_digit(NEXT_DIGIT_SECONDS if typed else FIRST_DIGIT_SECONDS)
            if not key:
                break
            typed += key
        return typed.rstrip("#*")

    async def _confirm(self, accepted: Accepted) -> bool:
        """Read the number out and ask for confirmation. "Yes" counts only after the whole number was played."""
        for _ in range(TRIES):
            readout = [
                self._prompts.get("entered_number"),
                *map(self._digits.get, accepted.spoken),
                self._prompts.get("is"),
            ]
            key = ""
            for sound in readout:
                key = key or await self._play(sound, keys="2*")
            key = key or await self._play(self._prompts.get("check_number"), keys="12*")
            key = key or await self._session.get_digit(CHOICE_SECONDS)
            if key in ("2", "*"):
                return False
            if key == "1":
                return True
        raise _Leave("not_confirmed")

    async def _register(self, number: Accepted, *, play: bool) -> None:
        """Store the request while the prompts play. It stays stored if the caller hangs up meanwhile."""
        storing = asyncio.ensure_future(self._registrar.register(self._call, number))
        try:
            if play:
                await self._play(self._prompts.get("before_success"))
        finally:
            (failure,) = await asyncio.gather(asyncio.shield(storing), return_exceptions=True)
            if isinstance(failure, BaseException):
                log.error("cannot store a request: %r", failure)
        if isinstance(failure, BaseException):
            raise _Leave("not_stored")
        if play:
            try:
                await self._play(self._prompts.get("after_success"))
            except (HungUp, AgiBroken):
                log.info("the caller hung up during the last prompt")

    async def _play(self, sound: Sound | None, keys: str = "") -> str:
        return await self._session.play([sound], keys) if sound is not None else ""


async def _facts(session: AgiSession, module_id: int) -> CallerFacts:
    env = session.env
    first = await session.get_variable(variables.FIRST)
    return CallerFacts(
        module_id=module_id,
        uniqueid=env.get("agi_uniqueid", ""),
        channel=env.get("agi_channel", ""),
        caller_number=_number(env),
        caller_name=_plain(env.get("agi_calleridname", "")),
        wanted=await session.get_variable(variables.WANTED),
        first_called_at=float(first) if first.isdigit() else None,
    )


def _number(env: Mapping[str, str]) -> str:
    """Return the caller's number, "" if its presentation is restricted or it is unavailable."""
    number = env.get("agi_callerid", "").strip()
    presentation = env.get("agi_callingpres", "0")
    hidden = presentation.isdigit() and int(presentation) & 0x60
    return "" if hidden or number.lower() in _WITHHELD else number


def _plain(text: str) -> str:
    """Return the displayable part of a caller's name, 80 characters at most, "" if it is withheld."""
    name = displayable(text, 80)
    return "" if name.lower() in _WITHHELD else name
