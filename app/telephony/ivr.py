"""The dialogue with a caller, in the order in which the caller hears it.

It handles keys and sounds. The `Registrar` provides the module, checks numbers and stores the request.
"""

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Protocol

from app.domain import chosen_times
from app.domain.hours import Outside
from app.domain.routing import CameBy
from app.domain.text import displayable
from app.telephony import variables
from app.telephony.agi import AgiBroken, AgiSession, CannotWrite, HungUp, Sound
from app.telephony.fields import integer

log = logging.getLogger(__name__)

TRIES = 3
LONGEST_NUMBER = 20  # digits
LONGEST_ID = 68  # characters of a Uniqueid; Asterisk's own limit is 149
_LATEST = 2**32  # seconds since 1970
MODULE_SECONDS = 15.0  # to synthesize prompts that have changed since the last call
STORING_SECONDS = 120.0  # to store a request; the registrar gives up much sooner, unless the database hangs
CHOICE_SECONDS = 5.0  # to press a key after a question
FIRST_DIGIT_SECONDS = 8.0
NEXT_DIGIT_SECONDS = 4.0
DIGITS = "0123456789"
ANY_KEY = DIGITS + "*#"
NEXT, ERROR = "next", "error"
REGISTERED, WITHDRAWN = "registered", "withdrawn"
_WITHHELD = frozenset({"", "unknown", "anonymous", "restricted", "unavailable", "withheld", "private", "asterisk"})

__all__ = [
    "Accepted",
    "CallerFacts",
    "ChosenTime",
    "ModuleView",
    "NotRegistered",
    "Refused",
    "Registrar",
    "Sound",
    "converse",
]


@dataclass(frozen=True)
class ModuleView:
    """What the dialogue needs of a module. `digits` are the sounds of "0" to "9" in its language.

    `prompts` has the prompt keys, OPEN_KEYS, `intro_other`, the intro that does not offer the caller's own number, and
    `after_success_closed`, the last prompt outside the office hours. If callers may choose the time (`offers_times`),
    it has TIME_KEYS, too; if they may say their name (`asks_name`), NAME_KEYS and the `tone`. A prompt that is None is
    not played. `tells_prospect`: callers hear their place in line, or how long it will probably take.

    `outside` is what the module does for callers outside the office hours, None inside them.
    """

    id: int
    name: str
    code: str
    active: bool
    silent: bool
    language: str
    prompts: Mapping[str, Sound | None]
    digits: Mapping[str, Sound]
    outside: Outside | None = None
    offers_times: bool = False
    tells_prospect: bool = False
    asks_name: bool = False


@dataclass(frozen=True)
class CallerFacts:
    """The caller. `caller_number` is "" if it is withheld. `first_called_at` is epoch seconds, None if unknown.

    `uniqueid` identifies this dialogue: a call can have several, one after the other.
    """

    module_id: int
    uniqueid: str
    channel: str
    caller_number: str
    caller_name: str
    wanted: str
    first_called_at: float | None
    came_by: CameBy = CameBy.UNKNOWN


@dataclass(frozen=True)
class Accepted:
    """An accepted number: normalized, and as it is read out. `typed`: the caller typed it.

    `is_open`: there is an open request already, which another registration would find again.
    """

    number: str
    spoken: str
    typed: bool = False
    is_open: bool = False


@dataclass(frozen=True)
class ChosenTime:
    """A time for the call. `moved`: it is not the one that the caller wished. `spoken` says it to the caller."""

    at: datetime
    moved: bool
    spoken: Sequence[Sound]


@dataclass(frozen=True)
class Refused:
    """`final`: no other number of this caller would be accepted."""

    reason: str
    final: bool = False


def channel_id(call: CallerFacts) -> str:
    """Return the Uniqueid of the caller's channel; the dialogue's own has its number in the call behind it."""
    return re.sub(r"/[0-9]+$", "", call.uniqueid)


class NotRegistered(Exception):
    """A limit of the office does not allow the request. `reason` is its code."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Registrar(Protocol):
    async def module(self, module_id: int) -> ModuleView | None: ...
    def enter(self, call: CallerFacts) -> None: ...
    async def check(self, call: CallerFacts, number: str, typed: bool) -> Accepted | Refused: ...

    async def prospect(self, call: CallerFacts, number: Accepted) -> Sequence[Sound]:
        """Return the sounds that tell the caller the place in line and the estimated wait of their open request.

        The list is empty if the module tells neither, or if neither is known.
        """

    async def read_out(self, call: CallerFacts, number: Accepted) -> Sequence[Sound]:
        """Return the sounds that read a number out in groups; empty if there are none, then its digits are played."""

    async def withdraw(self, call: CallerFacts, number: Accepted) -> None:
        """Cancel the open request of an accepted number. Raises if that cannot be stored."""

    async def choose_time(self, call: CallerFacts, key: str) -> ChosenTime | None:
        """Return the time that a caller chose by one of `chosen_times.KEYS`, or the next free one, None if none is."""

    async def register(self, call: CallerFacts, accepted: Accepted, at: datetime | None = None) -> int:
        """Store the request, once per `call.uniqueid`, and return its id. `at` is the time that the caller chose.

        Raises if it cannot be stored, NotRegistered if it may not.
        """

    def new_name(self, request: int) -> Sound:
        """Return a new file for the caller's name, and the longest recording in seconds. `request` is its request."""

    def keep_name(self, recorded: Sound) -> None:
        """Store the recording in the background, if it contains a name. Call this once for each `new_name`."""

    def place_in_queue(self, queue: str, uniqueid: str) -> int | None:
        """Return the position at which a caller who left the queue returns to it, None if it is unknown."""


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
    dialogue = _Dialogue(session, registrar, module_id)
    try:
        why = await dialogue.run()
        result = NEXT
    except _Leave as leave:
        why = str(leave)
    except HungUp:
        why = "hung_up"
    log.info("module %s, call %s: %s (%s)", module_id, session.env.get("agi_uniqueid"), result, why)
    if dialogue.told == (result, why):
        return
    if result == ERROR and why != "hung_up" and await session.get_variable(variables.LEFT):
        queue, uniqueid = await session.get_variable(variables.QUEUE), session.env.get("agi_uniqueid", "")
        place = registrar.place_in_queue(queue, uniqueid)
        await session.set_variable(variables.PLACE, str(place or ""))
    await session.set_variables(_outcome(result, why))


def _outcome(result: str, why: str) -> dict[str, str]:
    return {variables.WHY: why, variables.RESULT: result}


class _Dialogue:
    def __init__(self, session: AgiSession, registrar: Registrar, module_id: int) -> None:
        self._session, self._registrar, self._module_id = session, registrar, module_id
        self._call_at: datetime | None = None  # the time that the caller chose
        self._request = 0  # the id of the registered request
        self._replaced: Accepted | None = None  # the number of the open request that another number replaces
        self.told: tuple[str, str] | None = None  # the result, and why, if the dialplan has them

    async def run(self) -> str:
        """Run the dialogue up to the request that is "registered" or "withdrawn"; return which.

        Raises _Leave, HungUp or AgiBroken.
        """
        try:
            module = await self._session.keep_waiting(self._registrar.module(self._module_id), MODULE_SECONDS)
        except TimeoutError:
            raise _Leave("prompts_not_ready") from None
        if module is None or not module.active:
            raise _Leave("inactive" if module is not None else "no_module")
        self._prompts, self._digits, self._asks_name = module.prompts, module.digits, module.asks_name
        if module.outside is Outside.DECLINE:
            if not module.silent:
                await self._say_closed()
            raise _Leave("closed")
        self._is_for_opening = module.outside is Outside.NEXT_OPENING
        self._tells_prospect = module.tells_prospect
        self._choices = "1203" if module.offers_times else "120"
        self._call = await _facts(self._session, self._module_id)
        self._registrar.enter(self._call)
        own = await self._own_number()

        if module.silent:
            if own is None:
                raise _Leave("no_number")
            await self._wait_until_stored(asyncio.ensure_future(self._store(own)))
            return REGISTERED

        await self._session.answer()
        has_open = own is not None and own.is_open and self._prompts.get("has_open") is not None
        key = await self._ask_about_open(own) if own and has_open else await self._ask_which_number(own is not None)
        if key == "9" and own is not None:
            await self._wait_until_stored(asyncio.ensure_future(self._withdraw(own)))
            await self._play(self._prompts.get("withdrawn"))
            return WITHDRAWN
        if key == "3":
            key = await self._ask_time(own is not None)
        if key == "1" and own is not None and await self._register(own, own=True):
            return REGISTERED
        self._replaced = own if has_open else None
        await self._register(await self._ask_number(), own=False)
        return REGISTERED

    async def _ask_about_open(self, own: Accepted) -> str:
        """Say that the caller's request stands. Return 1 = keep it; 2 = another number; 3 = a time; 9 = withdraw it."""
        keys = self._choices + "9"
        key = await self._play_and_tell(self._prompts.get("has_open"), own, keys)
        return await self._ask_choice([self._prompts.get("open_choice")], keys, key)

    async def _play_and_tell(self, sound: Sound | None, number: Accepted, keys: str = "") -> str:
        """Play a prompt, and then what the caller can expect. Return the key that interrupted them, or ""."""
        if not self._tells_prospect or self._is_for_opening or self._call_at is not None:
            return await self._play(sound, keys)
        finding = asyncio.ensure_future(self._find_prospect(number))  # while the prompt plays
        try:
            key = await self._play(sound, keys)
            for part in [] if key else await self._session.keep_waiting(finding, MODULE_SECONDS):
                key = key or await self._play(part, keys)
            return key
        except TimeoutError:
            log.warning("what the caller can expect is not known in time")
            return ""
        finally:
            finding.cancel()

    async def _find_prospect(self, number: Accepted) -> Sequence[Sound]:
        try:
            return await self._registrar.prospect(self._call, number)
        except Exception as failure:
            log.error("cannot tell what the caller can expect: %r", failure)
            return []

    async def _withdraw(self, number: Accepted) -> None:
        try:
            await self._registrar.withdraw(self._call, number)
        except Exception as failure:
            log.error("cannot withdraw a request: %r", failure)
            raise _Leave("not_stored") from failure

    async def _say_closed(self) -> None:
        closed = self._prompts.get("closed")
        if closed is not None:
            await self._session.answer()
            await self._play(closed)

    async def _own_number(self) -> Accepted | None:
        if not self._call.caller_number:
            return None
        checked = await self._check(self._call.caller_number, typed=False)
        return checked if isinstance(checked, Accepted) else None

    async def _check(self, number: str, *, typed: bool) -> Accepted | Refused:
        checked = await self._registrar.check(self._call, number, typed)
        if isinstance(checked, Refused) and checked.final:
            raise _Leave(checked.reason)
        return checked

    async def _ask_which_number(self, has_own: bool) -> str:
        """Play the intro and return the choice: 1 = this number, if there is one; 2 = another; 3 = a time. 0 leaves."""
        key = await self._play(self._prompts.get("closed"), keys=self._choices) if self._is_for_opening else ""
        intro = self._prompts.get("intro")
        if not has_own:
            intro = self._prompts.get("intro_other") or intro
        return await self._ask_choice([intro], self._choices, key)

    async def _ask_choice(self, sounds: list[Sound | None], keys: str, key: str = "") -> str:
        """Play these sounds, and the offer of a time if there is one, until one of the keys is pressed. 0 leaves.

        `key`: the caller has pressed it already.
        """
        if "3" in keys:
            sounds = [*sounds, self._prompts.get("time_offer")]
        for _ in range(TRIES):
            for sound in sounds:
                key = key or await self._play(sound, keys=keys)
            key = key or await self._session.get_digit(CHOICE_SECONDS)
            if key == "0":
                raise _Leave("declined")
            if key and key in keys:
                return key
            key = ""
        raise _Leave("no_choice")

    async def _ask_time(self, has_own: bool) -> str:
        """Let the caller choose a time. Return what they press then: 1 = this number, if there is one; 2 = another."""
        wrong = 0
        while wrong < TRIES:
            key = await self._play(self._prompts.get("time_choice"), keys=chosen_times.KEYS + "0")
            key = key or await self._session.get_digit(CHOICE_SECONDS)
            if key == "0":
                raise _Leave("declined")
            chosen = await self._choose_time(key) if key else None
            if chosen is None:
                wrong += 1
                continue
            self._call_at = chosen.at
            next_key = await self._announce_time(chosen, has_own)
            if next_key != "3":
                return next_key
        raise _Leave("no_choice")

    async def _choose_time(self, key: str) -> ChosenTime | None:
        choosing = self._registrar.choose_time(self._call, key)
        try:
            chosen = await self._session.keep_waiting(choosing, MODULE_SECONDS)
        except TimeoutError:
            raise _Leave("prompts_not_ready") from None
        if chosen is None or chosen.moved:
            await self._play(self._prompts.get("time_moved"))
        return chosen

    async def _announce_time(self, chosen: ChosenTime, has_own: bool) -> str:
        """Say when the caller will be called. Return 1 = this number, if there is one; 2 = another; 3 = another time.

        No key interrupts the time: it may have moved. And somebody who types 10 for ten minutes presses 0 now, which
        must not end the dialogue.
        """
        keys = "123" if has_own else "23"
        for _ in range(TRIES):
            await self._session.play(chosen.spoken)
            key = await self._play(self._prompts.get("time_next" if has_own else "time_next_other"), keys=keys)
            key = key or await self._session.get_digit(CHOICE_SECONDS)
            if key == "0":
                raise _Leave("declined")
            if key and key in keys:
                return key
        raise _Leave("no_choice")

    async def _ask_number(self) -> Accepted:
        """Ask for a number, read it out, and ask for confirmation."""
        wrong = 0
        while wrong < TRIES:
            typed = await self._type_number()
            checked = await self._check(typed, typed=True) if typed else Refused("empty")
            if isinstance(checked, Refused):
                wrong += 1
                await self._play(self._prompts.get("wrong_number"))
            elif await self._confirm(checked):
                return checked
        raise _Leave("wrong_number")

    async def _type_number(self) -> str:
        """Return the digits typed before # or a pause. * starts over. Digits may interrupt the prompt."""
        typed = await self._play(self._prompts.get("enter_number"), keys=ANY_KEY)
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
        finding = asyncio.ensure_future(self._find_readout(accepted))  # while the prompt plays
        try:
            return await self._read_out_and_ask(finding)
        finally:
            finding.cancel()

    async def _read_out_and_ask(self, finding: "asyncio.Future[Sequence[Sound | None]]") -> bool:
        for _ in range(TRIES):
            key = await self._play(self._prompts.get("entered_number"), keys="2*")
            number = [] if key else await self._session.keep_waiting(asyncio.shield(finding), 2 * MODULE_SECONDS)
            for sound in (*number, self._prompts.get("is")):
                key = key or await self._play(sound, keys="2*")
            key = key or await self._play(self._prompts.get("check_number"), keys="12*")
            key = key or await self._session.get_digit(CHOICE_SECONDS)
            if key in ("2", "*"):
                return False
            if key == "1":
                return True
        raise _Leave("not_confirmed")

    async def _find_readout(self, accepted: Accepted) -> Sequence[Sound | None]:
        """Return the sounds of a number: in groups, or digit by digit if that is not possible in time."""
        sounds: Sequence[Sound] = []
        try:
            async with asyncio.timeout(MODULE_SECONDS):
                sounds = await self._registrar.read_out(self._call, accepted)
        except Exception as failure:
            log.error("cannot read out a number in groups: %r", failure)
        return sounds or [self._digits.get(digit) for digit in accepted.spoken]

    async def _register(self, number: Accepted, *, own: bool) -> bool:
        """Store the request while the prompts play. It stays stored if the caller hangs up meanwhile.

        `own`: the caller chose their own number. If another caller is on the line by now, that one's number is stored.
        Return false if it cannot be used.
        """
        try:
            stored = await self._number_to_store(number, own)
        except asyncio.CancelledError:  # our service ends, but the caller has chosen already
            with suppress(Exception):
                await self._store(number)
            raise
        if stored is None:
            return False
        storing = asyncio.ensure_future(self._store(stored))
        try:
            await self._play(self._prompts.get("before_success"))
        except BaseException:
            with suppress(Exception):
                await self._wait_until_stored(storing)
            raise
        await self._wait_until_stored(storing)
        try:
            # If this process stops from now on, the caller still goes where callers with a request go.
            outcome, last = (NEXT, REGISTERED), self._last_prompt()
            await self._session.set_variables(_outcome(*outcome), ahead=last.seconds if last is not None else None)
            self.told = outcome
            await self._play_and_tell(last, stored)
            await self._ask_name()
        except (HungUp, AgiBroken):
            log.info("the caller hung up after the request was registered")
        return True

    async def _ask_name(self) -> None:
        """Let the caller say their name, if the module wants it. Any key skips it, or ends it.

        The request is stored, so nothing that happens here may lose it.
        """
        say_name = self._prompts.get("say_name")
        if not self._asks_name or say_name is None:
            return
        if await self._play(say_name, keys=ANY_KEY):
            return
        await self._play(self._prompts.get("tone"))
        recording = self._registrar.new_name(self._request)
        try:
            await self._session.record(recording.path, recording.seconds, ANY_KEY)
        except CannotWrite:
            log.error("the PBX cannot record the name of a caller")
        finally:
            self._registrar.keep_name(recording)

    def _last_prompt(self) -> Sound | None:
        variant = "after_success_closed" if self._is_for_opening else ""
        variant = variant if self._call_at is None else "after_success_time"
        return self._prompts.get(variant) or self._prompts.get("after_success")

    async def _number_to_store(self, number: Accepted, own: bool) -> Accepted | None:
        """Return the number of who is on the line now if the caller chose their own, None if it cannot be used."""
        return await self._own_number() if await self._has_changed() and own else number

    async def _wait_until_stored(self, storing: "asyncio.Future[None]") -> None:
        """Keep the caller on the line until the database has answered. It goes on if the caller hangs up meanwhile.

        Raises _Leave.
        """
        try:
            await self._session.keep_waiting(storing, STORING_SECONDS)
        except _Leave:
            raise
        except Exception as failure:
            raise _Leave("not_stored") from failure

    async def _store(self, number: Accepted) -> None:
        """Store the request. While this runs, the session may be in use."""
        try:
            self._request = await self._registrar.register(self._call, number, self._call_at)
        except NotRegistered as refused:
            raise _Leave(refused.reason) from None
        except Exception as failure:
            log.error("cannot store a request: %r", failure)
            raise _Leave("not_stored") from failure
        # Should this process stop while a prompt plays, the caller must not go where callers without a request go.
        await self._session.set_variable_meanwhile(variables.RESULT, NEXT)
        if self._replaced is not None and self._replaced.number != number.number:
            await self._withdraw(self._replaced)

    async def _has_changed(self) -> bool:
        """Read who is on the line now, and tell whether it is somebody else: a transfer may have been completed."""
        before = self._call
        try:
            prompt = self._prompts.get("before_success")
            self._call = await _current_caller(self._session, before, prompt.seconds if prompt is not None else None)
        except (AgiBroken, HungUp) as error:
            log.info("cannot read the caller again: %r", error)
        return self._call != before

    async def _play(self, sound: Sound | None, keys: str = "") -> str:
        return await self._session.play([sound], keys) if sound is not None else ""


async def _facts(session: AgiSession, module_id: int) -> CallerFacts:
    env = session.env
    facts = session.arguments
    if len(facts) != len(variables.FACTS):  # Asterisk may still run an older dialplan, which gives none
        facts = await session.get_variables(*variables.FACTS)
    first, hops, how, wanted = facts
    return CallerFacts(
        module_id=module_id,
        uniqueid=dialogue_id(env.get("agi_uniqueid", ""), hops),
        channel=env.get("agi_channel", ""),
        caller_number=_number(env.get("agi_callerid", ""), env.get("agi_callingpres", "0")),
        caller_name=_plain(env.get("agi_calleridname", "")),
        wanted=wanted,
        first_called_at=float(integer(first, most=_LATEST)) if integer(first) > 0 else None,
        came_by=came_by(how, hops),
    )


def came_by(text: str, hops: str) -> CameBy:
    """Return how a caller came to a module. `hops`: how many modules they have been to."""
    if integer(hops) > 1:
        return CameBy.MODULE
    return CameBy(text) if text in set(CameBy) else CameBy.UNKNOWN


@lru_cache(maxsize=256)  # the channels that are up
def call_id(uniqueid: str) -> str:
    """Return the Uniqueid of a channel as we store it: the end of a very long one, which differs between channels."""
    return displayable(uniqueid, 1000)[-LONGEST_ID:]


def dialogue_id(uniqueid: str, hops: str) -> str:
    """Return the id of this dialogue: that of its channel, and from the second module of the call on its number."""
    uniqueid = call_id(uniqueid)
    return f"{uniqueid}/{integer(hops)}" if uniqueid and integer(hops) > 1 else uniqueid


async def _current_caller(session: AgiSession, call: CallerFacts, ahead: float | None) -> CallerFacts:
    """Return the facts with the caller who is on the line now. They stay as they are if Asterisk does not reply.

    `ahead`: how long the next command takes.
    """
    # The caller, or another PBX, says the number and the name.
    names = variables.CHANNEL, variables.PRESENTATION, variables.NUMBER, variables.NAME
    channel, presentation, number, name = await session.get_variables(*names, ahead=ahead)
    if not channel:  # every channel has a name
        return call
    return replace(call, channel=channel, caller_number=_number(number, presentation), caller_name=_plain(name))


def _number(number: str, presentation: str) -> str:
    """Return the caller's number, "" if its presentation is restricted or it is unavailable."""
    number = displayable(number, 40)
    hidden = integer(presentation) & 0x60
    return "" if hidden or number.lower() in _WITHHELD else number


def _plain(text: str) -> str:
    """Return the displayable part of a caller's name, 80 characters at most, "" if it is withheld."""
    name = displayable(text, 80)
    return "" if name.lower() in _WITHHELD else name
