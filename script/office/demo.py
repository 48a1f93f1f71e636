"""Run a simulated office with a real Asterisk and Bazang on this machine. Without a command it runs until Ctrl-C."""

import argparse
import asyncio
import json
import math
import os
import re
import secrets
import shutil
import signal
import socket
import sys
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime
from subprocess import Popen
from typing import Any

from app.audio.library import SoundLibrary
from app.server.panel import panel_answers, start_panel
from app.server.ports import describe_replacement, free_port_near
from app.server.process import terminate, wait_for_end
from app.services import users
from script.office.agent import GREETINGS
from script.office.asterisk import NoAsterisk
from script.office.background import in_background
from script.office.bazang import Bazang
from script.office.demo_office import (
    PLAIN,
    PROFILES,
    QUEUE,
    build_office,
    configure_office,
    did,
    phones_of,
    remove_bazang_environment,
)
from script.office.demo_state import (
    HOME,
    AlreadyRunning,
    NotRunning,
    State,
    find_running,
    lock_demo,
    save_state,
    write_private,
)
from script.office.phone import Call, CallHandler
from script.office.sound import read_ulaw

HOST = "127.0.0.1"
PORTS = {  # the usual ports: (label, port, kind)
    "panel": ("panel", 8000, socket.SOCK_STREAM),
    "sip": ("SIP", 5060, socket.SOCK_DGRAM),
    "ami": ("AMI", 5038, socket.SOCK_STREAM),
    "agi": ("AGI", 4573, socket.SOCK_STREAM),
}
ADMINISTRATOR = "admin"
MAX_WAIT = 10  # seconds that a customer waits in the queue
REST, AGENT_PAUSE = 5, 30  # seconds; shorter than in a real office
RING_SECONDS = 1  # before a customer answers
INTERRUPTED = 130
REMINDER_SECONDS = 20.0  # between two lines about a start that takes long


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="script/demo", description=__doc__)
    parser.add_argument(
        "--once", action="store_true", help="make complete call-backs with real calls and print the result as JSON"
    )
    parser.add_argument(
        "--profile",
        choices=PROFILES,
        default=PLAIN,
        help="whose dialplan the simulated PBX has (default: a plain Asterisk)",
    )
    language = machine_language(os.environ)
    parser.add_argument(
        "--language",
        choices=("en", "fa"),
        default=language,
        help=f"language of panel and prompts (default: that of this machine, {language})",
    )
    commands = parser.add_subparsers(dest="command")
    call = commands.add_parser("call", help="call the demo that runs in another terminal, as a customer")
    call.add_argument("number", type=_dialled, help="the number to call: 101, 800, *5001 ...")
    call.add_argument("--from", dest="caller", type=_caller, default="09121234567", help="the customer's own number")
    call.add_argument(
        "--keys",
        type=_keys,
        default=[],
        help="keys to press, one part for each prompt that asks: 1, or 2,09351112233#,1",
    )
    answer = commands.add_parser("answer", help="log a phone of the demo in and answer its calls, as an agent")
    hang_up = commands.add_parser("hang-up", help="end the calls of a phone")
    for command in (answer, hang_up):
        command.add_argument("number", type=_dialled, help="the extension: 101, 102 ...")
    given = parser.parse_args(arguments)
    remove_bazang_environment()
    try:
        if given.command == "call":
            from script.office.customer import play_customer

            return _run(play_customer(find_running(), given.number, given.caller, given.keys))
        if given.command in ("answer", "hang-up"):
            from script.office import agent

            play = agent.play_agent if given.command == "answer" else agent.hang_up
            return _run(play(find_running(), given.number))
        if given.once:
            from script.office.once import play_once

            return _run(play_once(given.profile))
        with lock_demo():
            return _run(run(given.language, given.profile))
    except AlreadyRunning as running:
        print(f"A demo of this clone is already running: {running}", file=sys.stderr)
    except NotRunning:
        print("No demo is running. Start script/demo in another terminal.", file=sys.stderr)
    except NoAsterisk as missing:
        print(missing, file=sys.stderr)
    except PermissionError as error:
        print(f"No access to {error.filename}, which belongs to another user: {error.strerror}", file=sys.stderr)
    return 1


def machine_language(environment: Mapping[str, str]) -> str:
    """Return the language for the machine's locale, which the environment gives: "fa" or "en"."""
    names = (environment.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return "fa" if re.match(r"fa(?![a-z])", next(filter(None, names), "")) else "en"


def _dialled(text: str) -> str:
    if not re.fullmatch(r"[0-9*#]{1,20}", text):
        raise argparse.ArgumentTypeError("enter digits, * and # only")
    return text


def _caller(text: str) -> str:
    if not re.fullmatch(r"\+?[0-9]{2,20}", text):
        raise argparse.ArgumentTypeError("enter digits only, such as 09121234567")
    return text


def _keys(text: str) -> list[str]:
    if not re.fullmatch(r"[0-9*#]+(,[0-9*#]+)*", text):
        raise argparse.ArgumentTypeError("enter digits, * and #, with commas between the parts")
    return text.split(",")


def _run(work: Coroutine[Any, Any, int]) -> int:
    """Run `work`. The first Ctrl-C or SIGTERM cancels it. Later ones have no effect."""

    async def run_until_signal() -> int:
        task = asyncio.ensure_future(work)
        cancelled = False

        def cancel() -> None:
            nonlocal cancelled
            if not cancelled:
                cancelled = task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, cancel)
        try:
            return await task
        except asyncio.CancelledError:
            return INTERRUPTED

    return asyncio.run(run_until_signal())


# -- the running demo -------------------------------------------------------------------------------------------------


async def run(language: str, profile: str) -> int:
    """Start the office, print how to use it, and run it until it is cancelled."""
    passwords = _passwords()
    for tries_left in (2, 1, 0):
        try:
            return await _run_office(language, profile, _choose_ports(), passwords)
        except RuntimeError as error:
            if not tries_left or "in use" not in str(error):
                print(error, file=sys.stderr)
                return 1
        # Another demo may have taken a port since it was found free.
        print("Another program has taken a port. Looking for free ports again.", flush=True)
    return 1


async def _run_office(language: str, profile: str, ports: Mapping[str, int], passwords: Mapping[str, str]) -> int:
    """Run the office and return the exit status. Raises RuntimeError if a part of it does not start."""
    office = HOME / "office"
    shutil.rmtree(office, ignore_errors=True)  # every demo starts with an empty office
    bazang = build_office(
        office,
        {number: passwords[number] for number in phones_of(profile)},
        profile=profile,
        sip_port=ports["sip"],
        ami_port=ports["ami"],
        prompts=HOME / "prompts",  # kept, because synthesis takes a while
        AGI_PORT=str(ports["agi"]),
        DEFAULT_LOCALE=language,
    )
    fields = {"language": language, "rest": REST, "agent_pause": AGENT_PAUSE}
    configure_office(bazang, profile=profile, max_wait=MAX_WAIT, **fields)
    users.create(bazang.database, ADMINISTRATOR, passwords[ADMINISTRATOR], "administrator", datetime.now(UTC))
    print("Starting Asterisk, the worker and the panel ...", flush=True)
    panel = None
    try:
        async with bazang:
            panel = start_panel(
                HOST, ports["panel"], bazang.process_environment(), bazang.folder, bazang.folder / "panel.log"
            )
            await _start_office(bazang, language, profile, panel, ports, passwords)
            ended = await _wait_for_end_of_a_process(bazang, panel)
            print(f"{ended} has ended. See the logs in {bazang.folder}", file=sys.stderr)
            return 1
    except asyncio.CancelledError:
        return 0
    finally:
        if panel is not None:
            await asyncio.to_thread(terminate, panel, 5)
            print("All processes of the demo have ended.", flush=True)


async def _start_office(
    bazang: Bazang,
    language: str,
    profile: str,
    panel: Popen[bytes],
    ports: Mapping[str, int],
    passwords: Mapping[str, str],
) -> None:
    """Start trunk and worker, wait for the panel and save the state for other terminals."""
    trunk = await bazang.asterisk.trunk()
    trunk.on_call = await _answer_as_customer(bazang, language)
    await wait_until_started(bazang, panel, ports["panel"])
    state = State(
        panel=f"http://{HOST}:{ports['panel']}/",
        administrator=ADMINISTRATOR,
        password=passwords[ADMINISTRATOR],
        sip_host=HOST,
        sip_port=ports["sip"],
        phones={number: passwords[number] for number in phones_of(profile)},
        environment=bazang.environment,
    )
    save_state(state)
    print(introduction(bazang.asterisk.build.version, language, profile, state), flush=True)


async def wait_until_started(bazang: Bazang, panel: Popen[bytes], port: int) -> None:
    """Start the worker, and wait until it and the panel are ready, however long a busy machine needs.

    Say now and then what is missing. Raises RuntimeError if a process of the demo ends meanwhile.
    """

    async def answers() -> None:
        if not await panel_answers(panel, HOST, port, None):
            log = (bazang.folder / "panel.log").read_text(errors="replace")
            raise RuntimeError(f"the panel ended during the start:\n{log[-3000:]}")

    async def ends() -> None:
        await bazang.asterisk.wait_for_end()
        raise RuntimeError(f"Asterisk ended during the start. See the logs in {bazang.folder}")

    starting = {
        asyncio.create_task(bazang.start_worker(math.inf)): "the worker",
        asyncio.create_task(answers()): "the panel",
    }
    end = asyncio.create_task(ends())
    missing = set(starting)
    try:
        while missing:
            done, _ = await asyncio.wait({*missing, end}, timeout=REMINDER_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            missing -= done
            if not done:
                names = " and ".join(sorted(starting[task] for task in missing))
                print(f"Still waiting for {names}; the logs are in {bazang.folder}. Ctrl-C ends the demo.", flush=True)
    finally:
        for task in (*starting, end):
            task.cancel()
        await asyncio.gather(*starting, end, return_exceptions=True)


async def _wait_for_end_of_a_process(bazang: Bazang, panel: Popen[bytes]) -> str:
    """Wait until a process of the demo ends, and return its name."""
    processes = {
        asyncio.create_task(wait_for_end(panel)): "The panel",
        asyncio.create_task(wait_for_end(bazang.worker)): "The worker",
        asyncio.create_task(bazang.asterisk.wait_for_end()): "Asterisk",
    }
    try:
        done, _ = await asyncio.wait(processes, return_when=asyncio.FIRST_COMPLETED)
        return processes[done.pop()]
    finally:
        for task in processes:
            task.cancel()


def _choose_ports() -> dict[str, int]:
    chosen = {}
    for name, (label, wanted, kind) in PORTS.items():
        chosen[name] = free_port_near(wanted, HOST, kind)
        if chosen[name] != wanted:
            print(describe_replacement(label, wanted, chosen[name]))
    return chosen


def _passwords() -> dict[str, str]:
    """Return the passwords of the demo. They stay the same, so a softphone is set up once."""
    file = HOME / "passwords.json"
    names = {ADMINISTRATOR, *(number for profile in PROFILES for number in phones_of(profile))}
    try:
        saved = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        saved = {}
    if set(saved) != names:
        saved = {name: secrets.token_hex(6) for name in sorted(names)}
        write_private(file, json.dumps(saved))
    return {name: str(saved[name]) for name in names}


async def _answer_as_customer(bazang: Bazang, language: str) -> CallHandler:
    """Return a handler for calls to customers: it answers after a moment, plays a greeting and waits for the end."""
    library = SoundLibrary(bazang.settings.prompts_path)
    greeting = await in_background(lambda: library.synthesize(GREETINGS[language], language))
    sound = read_ulaw(greeting.path)

    async def answer(call: Call) -> None:
        def tell(what: str) -> None:
            print(f"{datetime.now():%H:%M:%S}  customer {call.dialled}: {what}", flush=True)

        tell("ringing")
        await asyncio.sleep(RING_SECONDS)
        if not call.ended.is_set():
            tell("answers")
            await call.answer()
            call.rtp.speak(sound)
        await call.ended.wait()
        tell("the call has ended")

    return answer


_OFFICES = {
    "en": f"""Calls to 101 go to *5001 (Sales) if it is busy, offline or does not answer.
                Calls in queue 800 (102 and 103) go to *5002 (Support) after {MAX_WAIT} s.""",
    "fa": """اگر ۱۰۱ مشغول یا خاموش باشد یا پاسخ ندهد، تماس به *5001 (Sales) می‌رود.
                تماس‌های صف ۸۰۰ (داخلی‌های ۱۰۲ و ۱۰۳) پس از ۱۰ ثانیه به *5002 (Support) می‌روند.""",
}
_FREEPBX_OFFICE = f"""{did("101")} to {did("107")} call 101 to 107, which go to *5001 (Sales); 107 has a follow-me.
                {did(QUEUE)} calls the queue (104 and 105), which goes to *5002 (Support).
                {did("600")} calls a ring group (106), which goes to *5003 (Group)."""
_INTRODUCTIONS = {
    "en": """
Bazang runs beside Asterisk {version}.

  Panel         {state.panel}
                user {state.administrator}, password {state.password}
  Softphones    server {state.sip_host}, port {state.sip_port} (UDP)
{accounts}
  Office        {office}
                This terminal answers numbers that begin with 0, as a customer.

The whole way without a softphone, in a second terminal. Watch the pending requests in the panel meanwhile:

  script/demo call {extension} --from 09121234567 --keys 1
                A customer calls 101, which is offline, and leaves a request.
  script/demo answer 101
                101 logs in. Bazang rings it; it answers, presses 1 and talks with the customer.
  script/demo hang-up 101
                After 5 seconds or more, in a third terminal: the request is done.

A customer who wants to be called on another number:

  script/demo call {queue} --from 09121234567 --keys 2,09351112233#,1

Press Ctrl-C to end the demo. For the demo in Persian: script/demo --language fa
""",
    "fa": """
بازنگ در کنار استریسک {version} اجرا می‌شود.

  پنل           {state.panel}
                user {state.administrator}, password {state.password}
  تلفن‌ها        server {state.sip_host}, port {state.sip_port} (UDP)
{accounts}
  دفتر          {office}
                این ترمینال به شماره‌هایی که با ۰ شروع می‌شوند به جای مشتری پاسخ می‌دهد.

همه مسیر، بدون تلفن نرم‌افزاری، در ترمینال دوم. صفحه درخواست‌های در انتظار را هم در پنل باز نگه دارید:

  script/demo call {extension} --from 09121234567 --keys 1
                مشتری با ۱۰۱ تماس می‌گیرد که خاموش است، و درخواست تماس ثبت می‌کند.
  script/demo answer 101
                ۱۰۱ وصل می‌شود، زنگ می‌خورد، پاسخ می‌دهد، عدد ۱ را می‌زند و با مشتری صحبت می‌کند.
  script/demo hang-up 101
                پس از دست‌کم ۵ ثانیه، در ترمینال سوم: درخواست انجام شده است.

مشتری‌ای که شماره دیگری می‌دهد:

  script/demo call {queue} --from 09121234567 --keys 2,09351112233#,1

پایان: Ctrl-C. به انگلیسی: script/demo --language en
""",
}


def introduction(version: str, language: str, profile: str, state: State) -> str:
    """Return the text that says how to use the running demo."""
    extension, queue = ("101", QUEUE) if profile == PLAIN else (did("101"), did(QUEUE))
    accounts = "\n".join(f"                user {number}, password {secret}" for number, secret in state.phones.items())
    return _INTRODUCTIONS[language].format(
        version=version,
        state=state,
        accounts=accounts,
        office=_OFFICES[language] if profile == PLAIN else _FREEPBX_OFFICE,
        extension=extension,
        queue=queue,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
