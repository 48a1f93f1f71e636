"""The caller's dialogue, read from top to bottom as the caller hears it.

It knows keys and sounds; what a module says, which numbers are fit and how a request is stored is the `Registrar`'s.
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
MODULE_SECONDS = 15.0  # to have the prompts spoken, should nobody have called since they were changed
CHOICE_SECONDS = 5.0  # to press a key after a question
FIRST_DIGIT_SECONDS = 8.0
NEXT_DIGIT_SECONDS = 4.0
DIGITS = "0123456789"
NEXT, ERROR = "next", "error"
_WITHHELD = frozenset({"", "unknown", "anonymous", "restricted", "unavailable", "withheld", "private", "asterisk"})

__all__ = ["Accepted", "CallerFacts", "ModuleView", "Refused", "Registrar", "Sound", "converse"]


@dataclass(frozen=True)
class ModuleView:
    """A module as the dialogue needs it. A prompt of None is not played; `digits`: "0" to "9" in its language.

    `prompts` has the keys of the eight prompts, and `intro_other`: the intro that does not offer the caller's number.
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
    """Who calls. `caller_number` is "" where it is withheld; `first_called_at`: epoch seconds, if known."""

    module_id: int
    uniqueid: str
    linkedid: str
    channel: str
    caller_number: str
    caller_name: str
    wanted: str
    queue: str
    first_called_at: float | None


@dataclass(frozen=True)
class Accepted:
    """A number that may be called: canonical, and as it is read out."""

    number: str
    spoken: str


@dataclass(frozen=True)
class Refused:
    reason: str


class Registrar(Protocol):
    async def module(self, module_id: int) -> ModuleView | None: ...
    async def check(self, call: CallerFacts, number: str, typed: bool) -> Accepted | Refused: ...

    async def register(self, call: CallerFacts, accepted: Accepted) -> None:
        """Store the request; once per `call.uniqueid`. Raises when it could not be stored."""


class _Leave(Exception):
    """The caller leaves for the error destination; the argument says why."""


async def converse(session: AgiSession, registrar: Registrar) -> None:
    """Lead the dialogue and tell the dialplan, by the handshake variable, where the caller goes next."""
    try:
        module_id = int(session.path.removeprefix("module/"))
    except ValueError:
        log.error("no such script: %r", session.path)
        return
    result, why = ERROR, ""
    try:
        await _Dialogue(session, registrar, module_id).lead()
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

    async def lead(self) -> None:
        """From the first word to the registered request. Raises _Leave, HungUp, AgiBroken."""
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
            await self._register(own, aloud=False)
            return

        await self._session.answer()
        if await self._choose(own is not None) == "1" and own is not None:
            number = own
        else:
            number = await self._another_number()
        await self._register(number, aloud=True)

    async def _own_number(self) -> Accepted | None:
        if not self._call.caller_number:
            return None
        verdict = await self._registrar.check(self._call, self._call.caller_number, False)
        return verdict if isinstance(verdict, Accepted) else None

    async def _choose(self, has_own: bool) -> str:
        """Say what is offered: 1 = this number (where there is one), 2 = another, 0 = no, thanks."""
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

    async def _another_number(self) -> Accepted:
        """Have a number typed, read it out, have it confirmed."""
        wrong = 0
        while wrong < TRIES:
            typed = await self._type_number()
            verdict = await self._registrar.check(self._call, typed, True) if typed else Refused("empty")
            if isinstance(verdict, Refused):
                wrong += 1
                await self._play(self._prompts.get("wrong_number"))
            elif await self._confirm(verdict):
                return verdict
        raise _Leave("wrong_number")

    async def _type_number(self) -> str:
        """Return the digits typed up to #, or up to a pause. * begins anew; a digit may come before the prompt ends."""
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
        """Read the number out and ask whether it is right. No key counts as a yes before all of it was heard."""
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

    async def _register(self, number: Accepted, *, aloud: bool) -> None:
        """Store the request while the caller is told so. Who hangs up now has registered all the same."""
        storing = asyncio.ensure_future(self._registrar.register(self._call, number))
        try:
            if aloud:
                await self._play(self._prompts.get("before_success"))
        finally:
            (failure,) = await asyncio.gather(asyncio.shield(storing), return_exceptions=True)
            if isinstance(failure, BaseException):
                log.error("a request could not be stored: %r", failure)
        if isinstance(failure, BaseException):
            raise _Leave("not_stored")
        if aloud:
            try:
                await self._play(self._prompts.get("after_success"))
            except (HungUp, AgiBroken):
                log.info("the caller left while being told of the registration")

    async def _play(self, sound: Sound | None, keys: str = "") -> str:
        return await self._session.play([sound], keys) if sound is not None else ""


async def _facts(session: AgiSession, module_id: int) -> CallerFacts:
    env = session.env
    first = await session.get_variable(variables.FIRST)
    return CallerFacts(
        module_id=module_id,
        uniqueid=env.get("agi_uniqueid", ""),
        linkedid=await session.get_variable("CHANNEL(linkedid)"),
        channel=env.get("agi_channel", ""),
        caller_number=_number(env),
        caller_name=_plain(env.get("agi_calleridname", "")),
        wanted=await session.get_variable(variables.WANTED),
        queue=await session.get_variable(variables.QUEUE),
        first_called_at=float(first) if first.isdigit() else None,
    )


def _number(env: Mapping[str, str]) -> str:
    """Return the caller's number, "" where it is withheld: presentation restricted or unavailable."""
    number = env.get("agi_callerid", "").strip()
    presentation = env.get("agi_callingpres", "0")
    hidden = presentation.isdigit() and int(presentation) & 0x60
    return "" if hidden or number.lower() in _WITHHELD else number


def _plain(text: str) -> str:
    """Return a name as it may be stored and shown: no control characters, at most 80."""
    name = displayable(text, 80)
    return "" if name.lower() in _WITHHELD else name
