"""A real Asterisk office with Bazang, on this machine alone. Without a command it starts, and runs until Ctrl-C."""

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
from script.office.demo_office import PHONES, build_office, configure_office, remove_bazang_environment
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
PORTS = {  # what people expect: (what for, port, kind)
    "panel": ("panel", 8000, socket.SOCK_STREAM),
    "sip": ("SIP", 5060, socket.SOCK_DGRAM),
    "ami": ("AMI", 5038, socket.SOCK_STREAM),
    "agi": ("AGI", 4573, socket.SOCK_STREAM),
}
ADMINISTRATOR = "admin"
MAX_WAIT = 10  # seconds that customers wait in the queue
REST, AGENT_PAUSE = 5, 30  # seconds; shorter than an office would have them
RING_SECONDS = 1  # before a customer answers
GREETING = "Hello, this is your customer. Thank you for calling me back."
INTERRUPTED = 130
LOOK_EVERY = 0.5  # seconds


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="script/demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="play the main job with real calls, and end with a verdict")
    parser.add_argument("--language", choices=("en", "fa"), default="en", help="of panel and prompts (default: en)")
    commands = parser.add_subparsers(dest="command")
    call = commands.add_parser("call", help="play a customer of the demo that runs in another terminal")
    call.add_argument("number", type=_dialled, help="what the customer dials: 101, 800, *5001 ...")
    call.add_argument("--from", dest="caller", type=_caller, default="09121234567", help="the customer's own number")
    call.add_argument("--keys", type=_keys, default=[], help="1, or 2,09351112233#,1: a part for each prompt that asks")
    given = parser.parse_args(arguments)
    remove_bazang_environment()
    try:
        if given.command == "call":
            from script.office.customer import play_customer

            return _run(play_customer(find_running(), given.number, given.caller, given.keys))
        if given.once:
            from script.office.once import play_once

            return _run(play_once())
        with lock_demo():
            return _run(run(given.language))
    except AlreadyRunning as running:
        print(f"A demo of this clone runs already: {running}", file=sys.stderr)
    except NotRunning:
        print("No demo runs: start script/demo in another terminal.", file=sys.stderr)
    except NoAsterisk as missing:
        print(missing, file=sys.stderr)
    except PermissionError as error:
        print(f"{error.filename} belongs to another user: {error.strerror}", file=sys.stderr)
    return 1


def _dialled(text: str) -> str:
    if not re.fullmatch(r"[0-9*#]{1,20}", text):
        raise argparse.ArgumentTypeError("digits, * and # only")
    return text


def _caller(text: str) -> str:
    if not re.fullmatch(r"\+?[0-9]{2,20}", text):
        raise argparse.ArgumentTypeError("digits only, such as 09121234567")
    return text


def _keys(text: str) -> list[str]:
    if not re.fullmatch(r"[0-9*#]+(,[0-9*#]+)*", text):
        raise argparse.ArgumentTypeError("digits, * and #, in parts with commas between")
    return text.split(",")


def _run(work: Coroutine[Any, Any, int]) -> int:
    """Run it. The first Ctrl-C or SIGTERM ends it in good order; more of them change nothing."""

    async def until_told() -> int:
        task = asyncio.ensure_future(work)
        told = False

        def tell() -> None:
            nonlocal told
            if not told:
                told = task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, tell)
        try:
            return await task
        except asyncio.CancelledError:
            return INTERRUPTED

    return asyncio.run(until_told())


# -- the running demo -------------------------------------------------------------------------------------------------


async def run(language: str) -> int:
    """Start everything, tell about it, and keep it running until told to end."""
    passwords = _passwords()
    for tries_left in (2, 1, 0):
        try:
            return await _keep_office(language, _choose_ports(), passwords)
        except RuntimeError as error:
            if not tries_left or "in use" not in str(error):
                print(error, file=sys.stderr)
                return 1
        # Another demo that starts at the same moment finds the same ports free.
        print("A port was taken meanwhile; looking for others.", flush=True)
    return 1


async def _keep_office(language: str, ports: Mapping[str, int], passwords: Mapping[str, str]) -> int:
    """Raises RuntimeError when a part of it does not start."""
    office = HOME / "office"
    shutil.rmtree(office, ignore_errors=True)  # every demo begins with an empty desk
    bazang = build_office(
        office,
        {number: passwords[number] for number in PHONES},
        sip_port=ports["sip"],
        ami_port=ports["ami"],
        prompts=HOME / "prompts",  # kept: to speak them anew takes a while
        AGI_PORT=str(ports["agi"]),
        DEFAULT_LOCALE=language,
    )
    configure_office(bazang, max_wait=MAX_WAIT, language=language, rest=REST, agent_pause=AGENT_PAUSE)
    users.create(bazang.database, ADMINISTRATOR, passwords[ADMINISTRATOR], "administrator", datetime.now(UTC))
    print("Starting Asterisk, the telephone service and the panel ...", flush=True)
    panel = None
    try:
        async with bazang:
            panel = start_panel(
                HOST, ports["panel"], bazang.process_environment(), bazang.folder, bazang.folder / "panel.log"
            )
            await _open(bazang, panel, ports, passwords)
            await _something_ends(bazang, panel)
            print(f"A part of the demo has ended by itself; its last words are in {bazang.folder}", file=sys.stderr)
            return 1
    except asyncio.CancelledError:
        return 0
    finally:
        if panel is not None:
            await asyncio.to_thread(terminate, panel, 5)
            print("Ended, and nothing of it is left running.", flush=True)


async def _open(bazang: Bazang, panel: Popen[bytes], ports: Mapping[str, int], passwords: Mapping[str, str]) -> None:
    """Return when everybody is at work and other terminals can find the office."""
    trunk = await bazang.asterisk.trunk()
    trunk.behave = await _customers(bazang)
    await bazang.start_worker()
    if not await panel_answers(panel, HOST, ports["panel"]):
        raise RuntimeError(f"the panel ended at once:\n{(bazang.folder / 'panel.log').read_text()[-3000:]}")
    state = State(
        panel=f"http://{HOST}:{ports['panel']}/",
        administrator=ADMINISTRATOR,
        password=passwords[ADMINISTRATOR],
        sip_host=HOST,
        sip_port=ports["sip"],
        phones={number: passwords[number] for number in PHONES},
        environment=bazang.environment,
    )
    save_state(state)
    _introduce(bazang.asterisk.build.version, state)


async def _something_ends(bazang: Bazang, panel: Popen[bytes]) -> None:
    while True:
        if panel.poll() is not None or bazang.worker.poll() is not None or not bazang.asterisk.runs:
            return
        await asyncio.sleep(LOOK_EVERY)


def _choose_ports() -> dict[str, int]:
    chosen = {}
    for name, (what, wanted, kind) in PORTS.items():
        chosen[name] = free_port_near(wanted, HOST, kind)
        if chosen[name] != wanted:
            print(describe_replacement(what, wanted, chosen[name]))
    return chosen


def _passwords() -> dict[str, str]:
    """Return the passwords of this clone's demos: always the same, so that a softphone is set up once."""
    file = HOME / "passwords.json"
    names = (ADMINISTRATOR, *PHONES)
    try:
        kept = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        kept = {}
    if set(kept) != set(names):
        kept = {name: secrets.token_hex(6) for name in names}
        write_private(file, json.dumps(kept))
    return {name: str(kept[name]) for name in names}


async def _customers(bazang: Bazang) -> CallHandler:
    """Return what the customers do: they ring for a moment, answer, say hello, and stay until the office hangs up."""
    greeting = await asyncio.to_thread(SoundLibrary(bazang.settings.prompts_path).synthesize, GREETING, "en")
    sound = read_ulaw(greeting.path)

    async def answer(call: Call) -> None:
        who = f"{datetime.now():%H:%M:%S}  customer {call.dialled}"
        print(f"{who}: rings", flush=True)
        await asyncio.sleep(RING_SECONDS)
        if not call.ended.is_set():
            print(f"{who}: answers", flush=True)
            await call.answer()
            call.rtp.speak(sound)
        await call.ended.wait()
        print(f"{who}: the call is over", flush=True)

    return answer


def _introduce(version: str, state: State) -> None:
    accounts = "\n".join(f"                user {number}, password {secret}" for number, secret in state.phones.items())
    print(
        f"""
Bazang runs beside Asterisk {version}.

  Panel         {state.panel}
                user {state.administrator}, password {state.password}
  Softphones    server {state.sip_host}, port {state.sip_port} (UDP)
{accounts}
  Office        101 leads to *5001 (Sales) when it is busy, absent or does not answer;
                queue 800 (102 and 103) leads to *5002 (Support) after {MAX_WAIT} s.
                Numbers that begin with 0 reach a customer, played by this terminal.

In another terminal, be a customer:

  script/demo call 101 --from 09121234567 --keys 1
  script/demo call 800 --from 09121234567 --keys 2,09351112233#,1

Ctrl-C ends everything.
""",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
