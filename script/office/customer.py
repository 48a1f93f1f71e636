"""Play a customer of the running demo, who calls in, listens to prompts and presses keys."""

import asyncio
import time
from collections.abc import Collection
from pathlib import Path

from app import create_app
from app.audio.library import SoundLibrary
from app.audio.prompt_texts import default_text, fill_in
from app.config import PREFIX, Settings, load_settings
from app.services.modules.input import ModuleInput, from_row
from app.services.prompts import sounds
from app.services.prompts.input import DEFAULT_PROMPT, PromptInput
from app.store.database import Database
from app.store.requests import all_modules
from script.office.asterisk import TRUNK_HOST
from script.office.background import in_background
from script.office.demo_state import State
from script.office.hearing import KnownPrompt, Recognizer
from script.office.phone import Call, CallFailed, Phone
from script.office.sound import read_ulaw

PROMPTS_WITH_KEYS = ("intro", "intro_other", "enter_number", "check_number")  # the customer presses keys after these
CHECK_INTERVAL = 0.05  # seconds
ANSWER_SECONDS = 120
_REFUSALS = {404: "the number does not exist", 486: "busy", 480: "no answer", 603: "declined", 503: "unavailable"}


class Participant:
    """Somebody in a call, who prints what they hear. `keys`: what to press, one part for each prompt of `asking`."""

    def __init__(
        self, call: Call, keys: list[str], known: list[KnownPrompt], asking: Collection[str] = PROMPTS_WITH_KEYS
    ) -> None:
        self.call, self.keys = call, keys
        self._recognizer, self._asking = Recognizer(known), asking
        self._began = time.monotonic()

    def print_event(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:6.2f} s  {text}", flush=True)

    async def listen_to_the_end(self) -> None:
        """Listen, and press the keys when a prompt asks for them, until the call has ended."""
        while not self.call.ended.is_set():
            await self._listen()
            await asyncio.sleep(CHECK_INTERVAL)

    async def _listen(self) -> None:
        prompt = self._recognizer.hear(self.call.rtp.received)
        if prompt is None:
            return
        self.print_event(f"hears {prompt.key}: {prompt.words}")
        if prompt.key in self._asking and self.keys:
            part = self.keys.pop(0)
            try:
                async with asyncio.timeout(len(part) + 2):
                    await self.call.press(part)
            except TimeoutError:
                return  # the call has ended
            self.print_event(f"presses {part}")


class Customer(Participant):
    """A customer who calls the office."""

    async def play(self) -> bool:
        """Play the call to its end. Return whether it was answered and all keys were pressed."""
        ringing = asyncio.create_task(self._report_ringing())
        try:
            await self.call.wait_answered(ANSWER_SECONDS)
        except CallFailed as failure:
            self.print_event(f"not answered: {_REFUSALS.get(failure.status, 'refused')} (SIP {failure.status})")
            return False
        except TimeoutError:
            self.print_event("no answer, hangs up")
            return False
        finally:
            ringing.cancel()
        self.print_event("answered")
        await self.listen_to_the_end()
        self.print_event("the other side hangs up")
        if self.keys:
            self.print_event(f"no prompt asked for these keys: {','.join(self.keys)}")
        return not self.keys

    async def _report_ringing(self) -> None:
        await self.call.ringing.wait()
        self.print_event("ringing")


async def play_customer(state: State, number: str, caller: str, keys: list[str]) -> int:
    """Call `number` as `caller`. Return 0 if the call was answered and all keys were pressed."""
    known = await in_background(lambda: load_known_prompts(state))
    phone = Phone("trunk", (state.sip_host, state.sip_port), host=TRUNK_HOST)
    await phone.start()
    try:
        customer = Customer(await phone.call(number, caller=caller), keys, known)
        customer.print_event(f"{caller} calls {number}")
        return 0 if await customer.play() else 1
    finally:
        await phone.close()


def load_demo_settings(state: State) -> Settings:
    """Return the settings of the running demo."""
    given = {name.removeprefix(PREFIX).lower(): value for name, value in state.environment.items()}
    return load_settings(_env_file=None, **given)


def load_known_prompts(state: State) -> list[KnownPrompt]:
    """Return all prompts of the demo's modules as they are saved now."""
    settings = load_demo_settings(state)
    database: Database = create_app(settings).extensions["bazang"]["database"]
    library = SoundLibrary(settings.prompts_path)
    with database.read() as session:
        modules = [(module.id, from_row(module)) for module in all_modules(session)]
    known: dict[Path, KnownPrompt] = {}
    for module_id, module in modules:
        for key, clip in sounds.make_module_clips(database, library, module_id).items():
            if clip is not None:
                words = _words(key, module.prompts.get(key, DEFAULT_PROMPT), module)
                known.setdefault(clip.path, KnownPrompt(key, words, read_ulaw(clip.path)))
    database.engine.dispose()
    return list(known.values())


def _words(key: str, given: PromptInput, module: ModuleInput) -> str:
    if given.mode == "file":
        return f"a recording ({given.original_name or 'made in the panel'})"
    return f'"{fill_in(given.text.strip() or default_text(key, module.language), module.office_name)}"'
