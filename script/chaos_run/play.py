"""Play a plan: an office with its own Asterisk, its worker and panel, and the people and faults of the plan."""

import asyncio
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from app.audio.library import LOCKS, SPEECH, SoundLibrary
from app.audio.prompt_texts import default_text
from app.domain.lifecycle import FINAL, Status
from app.domain.routing import Destination, Situation
from app.services.prompts import sounds
from app.services.prompts.input import PromptInput
from app.services.prompts.voice import AGENT_RATE
from app.store.models import CallRequest
from app.store.settings import REGISTRATION_LIMITS, write_setting
from script.chaos_run.ami_proxy import AmiProxy
from script.chaos_run.faults import Faults, Panel
from script.chaos_run.history import History
from script.chaos_run.memory import sample
from script.chaos_run.people import People
from script.chaos_run.plan import (
    AGENTS,
    ASKS_CUSTOMER,
    CUSTOMER_FIRST,
    ENTRIES,
    MODULES,
    QUEUES,
    RETRIES,
    SHORTEST_TALK,
    Plan,
)
from script.chaos_run.visitor import Visitor
from script.chaos_run.workers import ADDRESSES, Workers
from script.office.asterisk import OfficeSetup, QueueSetup
from script.office.bazang import Bazang
from script.office.fake_clock import FakeClock
from script.office.hearing import KnownPrompt
from script.office.ports import free_port
from script.office.postgres import PostgresServer
from script.office.sound import read_ulaw

AFTERMATH = 660.0  # seconds from the last caller or fault to the end, at most; a route that fails rests for 10 min
SETTLED_SECONDS = 4.0  # without a call and an open request, until everything is over
CACHE = Path(__file__).resolve().parents[2] / ".cache/chaos"
OFFICE = "office"

# Short, because a run plays them hundreds of times. No two begin alike.
_TEXTS = {
    "intro": "Press one for a call.",
    "before_success": "One moment.",
    "after_success": "Your request is registered.",
    "ask_customer": "Do you want to talk now?",
    "greet_customer": "Hello, please wait.",
    "apology": "Sorry, we call again.",
}


async def play(
    plan: Plan, folder: Path, version: int, *, postgres: bool, standby: bool = False, aftermath: float = AFTERMATH
) -> None:
    """Play a plan. Keep its history and logs in `folder`. `aftermath`: seconds after which an open request is stuck."""
    with ExitStack() as stack:
        server = stack.enter_context(PostgresServer()) if postgres else None
        history = History(folder)
        stack.callback(history.close)
        proxy_port = free_port()
        setup = OfficeSetup(
            phones={agent: f"secret{agent}" for agent in AGENTS},
            queues=[QueueSetup(queue, dict.fromkeys(MODULES[code], 0), timeout=5) for queue, code in QUEUES.items()],
        )
        bazang = Bazang(
            version,
            folder / OFFICE,
            setup,
            warm_start=True,
            AMI_PORT=str(proxy_port),
            DATABASE_URL=server.url if server is not None else None,
            AGI_HOST=",".join(ADDRESSES) if standby else None,
        )
        _share_speech(bazang)
        _configure(bazang)
        await bazang.prepare_prompts()
        if any(fault.kind == "clock" for fault in plan.faults):
            bazang.wall_clock = FakeClock(bazang.folder / "wall-clock")
        workers = Workers(bazang, standby=standby)
        await _Run(plan, history, bazang, workers, proxy_port, server, aftermath).run()


def _share_speech(bazang: Bazang) -> None:
    """Keep the synthesized speech for later runs: it takes longer than a small run."""
    for name in (SPEECH, LOCKS):
        shared, link = CACHE / name, bazang.settings.prompts_path / name
        shared.mkdir(parents=True, exist_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(shared)


def _configure(bazang: Bazang) -> None:
    """Store four modules, each with agents of its own, and the scenarios and queues that lead to them."""
    queues = {code: queue for queue, code in QUEUES.items()}
    for code, agents in MODULES.items():
        queue = queues.get(code)
        bazang.module(
            name=f"Module {code}",
            code=code,
            target_kind="queue" if queue else "extension",
            targets=(queue,) if queue else agents,
            office_name="Acme",
            retries=RETRIES,
            retry_pauses=(10,),
            busy_pause=0,
            agent_ring=8,
            customer_ring=10,
            expire_after=7200,
            asks_customer=code == ASKS_CUSTOMER,
            customer_first=code == CUSTOMER_FIRST,
            prompts={key: PromptInput(text=text) for key, text in _TEXTS.items()},
        )
    for entry, code in ENTRIES.items():
        if entry in QUEUES:
            bazang.queue(entry, max_wait=5, failed=Destination("module", code))
        elif entry not in MODULES:
            to_module = dict.fromkeys(Situation, Destination("module", code))
            bazang.scenario(entry, ring=5, **to_module)
    for agent in AGENTS:
        if agent not in ENTRIES:
            bazang.scenario(agent, ring=8)
    bazang.min_talk(SHORTEST_TALK)
    with bazang.database.write() as session:
        for limit in REGISTRATION_LIMITS:
            write_setting(session, f"{limit}_limit", "0")
        write_setting(session, "daily_calls_limit", "0")


def _load_prompts(bazang: Bazang) -> list[KnownPrompt]:
    library = SoundLibrary(bazang.settings.prompts_path)
    clips = dict(sounds.make_module_clips(bazang.database, library, 1))
    clips["agent_intro"] = library.synthesize(default_text("agent_intro", "en"), "en", rate=AGENT_RATE)
    wanted = (*_TEXTS, "has_open", "withdrawn", "agent_intro")
    return [KnownPrompt(key, key, read_ulaw(clip.path)) for key in wanted if (clip := clips.get(key)) is not None]


class _Run:
    def __init__(
        self,
        plan: Plan,
        history: History,
        bazang: Bazang,
        workers: Workers,
        proxy_port: int,
        server: PostgresServer | None,
        aftermath: float,
    ) -> None:
        self._plan, self._history, self._bazang, self._server = plan, history, bazang, server
        self._workers, self._aftermath = workers, aftermath
        self._panel = Panel(bazang)
        self._proxy = AmiProxy(proxy_port, bazang.asterisk.ami_port, self._note_login)
        self._faults: Faults | None = None

    def _note_login(self) -> None:
        if self._faults is not None:  # otherwise nothing has begun
            self._history.write("login")
            self._faults.note_login()

    async def run(self) -> None:
        plan, bazang = self._plan, self._bazang
        prompts = await asyncio.to_thread(_load_prompts, bazang)
        await self._proxy.start()
        try:
            async with bazang:
                trunk = await bazang.asterisk.trunk()
                phones = {agent: await bazang.asterisk.phone(agent) for agent in AGENTS}
                await self._workers.start()
                self._panel.start()
                people = People(plan, self._history, trunk, phones, prompts)
                self._faults = Faults(
                    plan.faults, self._history, bazang, self._panel, self._proxy, people, self._server, self._workers
                )
                self._history.restart_clock()
                self._history.write(
                    "begin",
                    seed=plan.seed,
                    requests=len(plan.customers),
                    modules=MODULES,
                    entries=ENTRIES,
                    retries=RETRIES,
                    asterisk=bazang.asterisk.build.version,
                    database="postgres" if self._server is not None else "sqlite",
                )
                visitor = Visitor(bazang, self._panel.port)
                watching = asyncio.gather(
                    visitor.run(), sample(self._history, self._processes), self._workers.keep_running()
                )
                try:
                    await asyncio.gather(people.play_callers(), self._faults.run())
                    people.is_quiet = True
                    self._history.write("quiet")
                    await self._wait_until_settled(people)
                finally:
                    watching.cancel()
                    with suppress(asyncio.CancelledError):
                        await watching
                self._history.write("visits", pages=visitor.pages)
                await self._write_panel()
                self._history.write("end")
                if people.errors:
                    raise ExceptionGroup("the people of the run failed", people.errors)  # type: ignore[type-var]
        finally:
            await self._panel.stop(hard=True)
            await self._workers.stop()
            await self._proxy.stop()

    def _processes(self) -> dict[str, int]:
        """Return the process ids of worker and panel, as long as they run."""
        found = {"worker": self._workers.pid, "panel": self._panel.pid}
        return {name: pid for name, pid in found.items() if pid is not None}

    async def _wait_until_settled(self, people: People) -> None:
        """Wait until no request is open and no phone has a call. The panel says when to stop, and nothing else."""
        deadline = time.monotonic() + self._aftermath
        settled: float | None = None
        while time.monotonic() < deadline:
            busy = bool(people.open_lines()) or any(
                row.status not in FINAL and row.status != Status.UNCERTAIN for row in await self._requests()
            )
            settled = None if busy else settled or time.monotonic()
            if settled is not None and time.monotonic() - settled > SETTLED_SECONDS:
                return
            await asyncio.sleep(0.5)
        for line in people.open_lines():
            self._history.write("late", call=line.id)

    async def _requests(self) -> list[CallRequest]:
        for _ in range(20):
            with suppress(SQLAlchemyError):
                return await asyncio.to_thread(self._bazang.requests)
            await asyncio.sleep(0.5)
        raise RuntimeError("the database does not answer")

    async def _write_panel(self) -> None:
        codes = dict(enumerate(MODULES, 1))
        for row in await self._requests():
            self._history.write(
                "panel",
                number=f"0{row.number.removeprefix('+98')}",
                module=codes.get(row.module_id or 0, ""),
                status=row.status,
                outcome=row.last_outcome or "",
            )
