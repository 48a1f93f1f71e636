"""Run a simulated office with a real Asterisk and Bazang on this machine. Without a command it runs until Ctrl-C."""

import argparse
import asyncio
import json
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
from app.server.process import terminate
from app.services import users
from script.office.asterisk import NoAsterisk
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
GREETING = "Hello, this is your customer. Thank you for calling me back."
INTERRUPTED = 130
CHECK_INTERVAL = 0.5  # seconds


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
    parser.add_argument(
        "--language", choices=("en", "fa"), default="en", help="language of panel and prompts (default: en)"
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
    given = parser.parse_args(arguments)
    remove_bazang_environment()
    try:
        if given.command == "call":
            from script.office.customer import play_customer

            return _run(play_customer(find_running(), given.number, given.caller, given.keys))
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
            await _start_office(bazang, profile, panel, ports, passwords)
            await _wait_for_end_of_a_process(bazang, panel)
            print(f"A process of the demo has ended. See the logs in {bazang.folder}", file=sys.stderr)
            return 1
    except asyncio.CancelledError:
        return 0
    finally:
        if panel is not None:
            await asyncio.to_thread(terminate, panel, 5)
            print("All processes of the demo have ended.", flush=True)


async def _start_office(
    bazang: Bazang, profile: str, panel: Popen[bytes], ports: Mapping[str, int], passwords: Mapping[str, str]
) -> None:
    """Start trunk and worker, wait for the panel and save the state for other terminals."""
    trunk = await bazang.asterisk.trunk()
    trunk.on_call = await _answer_as_customer(bazang)
    await bazang.start_worker()
    if not await panel_answers(panel, HOST, ports["panel"]):
        raise RuntimeError(f"the panel ended during the start:\n{(bazang.folder / 'panel.log').read_text()[-3000:]}")
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
    _print_introduction(bazang.asterisk.build.version, profile, state)


async def _wait_for_end_of_a_process(bazang: Bazang, panel: Popen[bytes]) -> None:
    while True:
        if panel.poll() is not None or bazang.worker.poll() is not None or not bazang.asterisk.runs:
            return
        await asyncio.sleep(CHECK_INTERVAL)


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


async def _answer_as_customer(bazang: Bazang) -> CallHandler:
    """Return a handler for calls to customers: it answers after a moment, plays a greeting and waits for the end."""
    greeting = await asyncio.to_thread(SoundLibrary(bazang.settings.prompts_path).synthesize, GREETING, "en")
    sound = read_ulaw(greeting.path)

    async def answer(call: Call) -> None:
        who = f"{datetime.now():%H:%M:%S}  customer {call.dialled}"
        print(f"{who}: ringing", flush=True)
        await asyncio.sleep(RING_SECONDS)
        if not call.ended.is_set():
            print(f"{who}: answers", flush=True)
            await call.answer()
            call.rtp.speak(sound)
        await call.ended.wait()
        print(f"{who}: the call has ended", flush=True)

    return answer


_OFFICE = f"""Calls to 101 go to *5001 (Sales) if it is busy, offline or does not answer.
                Calls in queue 800 (102 and 103) go to *5002 (Support) after {MAX_WAIT} s."""
_FREEPBX_OFFICE = f"""{did("101")} to {did("107")} call 101 to 107, which go to *5001 (Sales); 107 has a follow-me.
                {did(QUEUE)} calls the queue (104 and 105), which goes to *5002 (Support).
                {did("600")} calls a ring group (106), which goes to *5003 (Group)."""


def _print_introduction(version: str, profile: str, state: State) -> None:
    office = _OFFICE if profile == PLAIN else _FREEPBX_OFFICE
    extension, queue = ("101", QUEUE) if profile == PLAIN else (did("101"), did(QUEUE))
    accounts = "\n".join(f"                user {number}, password {secret}" for number, secret in state.phones.items())
    print(
        f"""
Bazang runs beside Asterisk {version}.

  Panel         {state.panel}
                user {state.administrator}, password {state.password}
  Softphones    server {state.sip_host}, port {state.sip_port} (UDP)
{accounts}
  Office        {office}
                This terminal answers numbers that begin with 0, as a customer.

Call as a customer in another terminal:

  script/demo call {extension} --from 09121234567 --keys 1
  script/demo call {queue} --from 09121234567 --keys 2,09351112233#,1

Press Ctrl-C to end the demo.
""",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
