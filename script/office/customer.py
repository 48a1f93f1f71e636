"""A customer of the running demo: calls in from outside, listens, and presses keys when asked."""

import asyncio
import time
from pathlib import Path

from app import create_app
from app.audio.library import SoundLibrary
from app.config import PREFIX, Settings, load_settings
from app.services.modules.input import from_row
from app.services.prompts import sounds
from app.services.prompts.input import DEFAULT_PROMPT, PromptInput
from app.store.database import Database
from app.store.requests import all_modules
from script.office.asterisk import TRUNK_HOST
from script.office.demo_state import State
from script.office.hearing import KnownPrompt, Recognizer
from script.office.phone import Call, CallFailed, Phone
from script.office.sound import read_ulaw

ASKING = ("intro", "intro_other", "enter_number", "check_number")  # the prompts after which a key is pressed
LOOK_EVERY = 0.05  # seconds
ANSWER_SECONDS = 120
_REFUSALS = {404: "there is no such number", 486: "busy", 480: "nobody answers", 603: "declined", 503: "unavailable"}


class Customer:
    """`keys`: what to press, one part for each prompt that asks. `prompts`: those that can be heard."""

    def __init__(self, call: Call, keys: list[str], known: list[KnownPrompt]) -> None:
        self.call, self.keys = call, keys
        self._recognizer = Recognizer(known)
        self._began = time.monotonic()

    def say(self, what: str) -> None:
        print(f"{time.monotonic() - self._began:6.2f} s  {what}", flush=True)

    async def live(self) -> bool:
        """Live through the call to its end; return whether it was answered and every key could be pressed."""
        rings = asyncio.create_task(self._tell_of_ringing())
        try:
            await self.call.wait_answered(ANSWER_SECONDS)
        except CallFailed as failure:
            self.say(f"not answered: {_REFUSALS.get(failure.status, 'refused')} (SIP {failure.status})")
            return False
        except TimeoutError:
            self.say("nobody answers; hanging up")
            return False
        finally:
            rings.cancel()
        self.say("answered")
        while not self.call.ended.is_set():
            await self._listen()
            await asyncio.sleep(LOOK_EVERY)
        self.say("the other side has hung up")
        if self.keys:
            self.say(f"never asked for: {','.join(self.keys)}")
        return not self.keys

    async def _tell_of_ringing(self) -> None:
        await self.call.ringing.wait()
        self.say("it rings")

    async def _listen(self) -> None:
        prompt = self._recognizer.hear(self.call.rtp.received)
        if prompt is None:
            return
        self.say(f"hears {prompt.key}: {prompt.words}")
        if prompt.key in ASKING and self.keys:
            part = self.keys.pop(0)
            try:
                async with asyncio.timeout(len(part) + 2):
                    await self.call.press(part)
            except TimeoutError:
                return  # the call ended meanwhile
            self.say(f"presses {part}")


async def play_customer(state: State, number: str, caller: str, keys: list[str]) -> int:
    """Call `number` as `caller`; return 0 if all went as told."""
    known = await asyncio.to_thread(known_prompts, state)
    phone = Phone("trunk", (state.sip_host, state.sip_port), host=TRUNK_HOST)
    await phone.start()
    try:
        customer = Customer(await phone.call(number, caller=caller), keys, known)
        customer.say(f"{caller} calls {number}")
        return 0 if await customer.live() else 1
    finally:
        await phone.close()


def known_prompts(state: State) -> list[KnownPrompt]:
    """Return every prompt that the demo's modules play now, as the panel was told last."""
    given = {name.removeprefix(PREFIX).lower(): value for name, value in state.environment.items()}
    settings: Settings = load_settings(_env_file=None, **given)
    database: Database = create_app(settings).extensions["bazang"]["database"]
    library = SoundLibrary(settings.prompts_path)
    with database.read() as session:
        modules = [(module.id, from_row(module)) for module in all_modules(session)]
    known: dict[Path, KnownPrompt] = {}
    for module_id, module in modules:
        for key, clip in sounds.make_module_clips(database, library, module_id).items():
            if clip is not None:
                words = _words(key, module.prompts.get(key, DEFAULT_PROMPT), module.language)
                known.setdefault(clip.path, KnownPrompt(key, words, read_ulaw(clip.path)))
    database.engine.dispose()
    return list(known.values())


def _words(key: str, given: PromptInput, language: str) -> str:
    if given.mode == "file":
        return f"a recording ({given.original_name or 'made in the panel'})"
    return f'"{given.text.strip() or sounds.default_text(key, language)}"'
