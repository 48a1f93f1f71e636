"""Play an agent of the running demo, for people without a softphone: log a phone in, answer its calls, hang up."""

import asyncio
import sys

from app.audio.library import SoundLibrary
from app.audio.prompt_texts import default_text
from app.services.prompts.voice import AGENT_RATE
from app.telephony.ami import AmiClient, AmiError
from script.office.background import in_background
from script.office.customer import Participant, load_demo_settings
from script.office.demo_state import State
from script.office.hearing import KnownPrompt
from script.office.phone import Call, Phone
from script.office.sound import read_ulaw

ANNOUNCED = ("agent_intro", "agent_keys", "agent_keys_waiting")
ASKING = ANNOUNCED[1:]
# What the simulated customer says when it is called back
GREETINGS = {
    "en": "Hello, this is your customer. Thank you for calling me back.",
    "fa": "سلام، مشتریِ شما هستم. ممنونم که تماس گرفتید.",
}
RING_SECONDS = 1  # before the agent answers
CONNECT_SECONDS = 5
TECHNOLOGIES = ("PJSIP", "SIP")


async def play_agent(state: State, number: str) -> int:
    """Log the phone of an extension in and answer its calls until cancelled."""
    if number not in state.phones:
        print(f"The demo has no phone {number}, only {', '.join(state.phones)}.", file=sys.stderr)
        return 1
    known = await in_background(lambda: load_agent_prompts(state))
    phone = Phone(number, (state.sip_host, state.sip_port), secret=state.phones[number])
    await phone.start()
    try:
        print(
            f"{number} is logged in and answers all calls. Press Enter to hang up, and Ctrl-C to log out.", flush=True
        )
        if sys.stdin.isatty():
            asyncio.get_running_loop().add_reader(sys.stdin, _hang_up_all, phone)
        while True:
            await _answer(await phone.incoming.get(), number, known)
    finally:
        for call in list(phone.active):
            await call.hang_up()
        await phone.register(expires=0)
        await phone.close()


def _hang_up_all(phone: Phone) -> None:
    sys.stdin.readline()
    for call in list(phone.active):
        phone.spawn(call.hang_up())


async def _answer(call: Call, number: str, known: list[KnownPrompt]) -> None:
    agent = Participant(call, ["1"], known, ASKING)
    agent.print_event(f"{number} rings: {call.remote}")
    await asyncio.sleep(RING_SECONDS)
    if not call.ended.is_set():
        await call.answer()
        agent.print_event("answers")
    await agent.listen_to_the_end()
    agent.print_event("the call has ended")


def load_agent_prompts(state: State) -> list[KnownPrompt]:
    """Return what an agent hears: the parts of the announcement, and the customer."""
    settings = load_demo_settings(state)
    library, language = SoundLibrary(settings.prompts_path), settings.default_locale
    texts = {key: default_text(key, language) for key in ANNOUNCED} | {"the customer": GREETINGS[language]}
    rates = dict.fromkeys(ANNOUNCED, AGENT_RATE)
    return [
        KnownPrompt(key, f'"{text}"', read_ulaw(library.synthesize(text, language, rate=rates.get(key)).path))
        for key, text in texts.items()
    ]


async def hang_up(state: State, number: str) -> int:
    """End all calls of an extension, also those of a softphone. Return 1 if it has none."""
    settings = load_demo_settings(state)
    login = (settings.ami_host, settings.ami_port, settings.ami_username, settings.ami_secret)
    client = AmiClient(*login, on_event=lambda event: None, wanted=())
    await client.start()
    try:
        await client.wait_connected(CONNECT_SECONDS)
        names = [str(row.get("Channel", "")) for row in await client.collect("CoreShowChannels")]
        channels = [name for name in names if name.startswith(tuple(f"{t}/{number}-" for t in TECHNOLOGIES))]
        for channel in channels:
            await client.send("Hangup", {"Channel": channel})
    except (AmiError, TimeoutError) as error:
        print(f"Asterisk does not answer: {error}", file=sys.stderr)
        return 1
    finally:
        await client.stop()
    print(f"{number} hangs up." if channels else f"{number} is not in a call.")
    return 0 if channels else 1
