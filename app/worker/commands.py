"""Execute the commands that pages write into the database."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from app.services import commands
from app.services.commands import CommandResult
from app.services.errors import NotFound
from app.services.requests import perform
from app.store.database import Database
from app.store.models import Command
from app.telephony.ami import AmiError
from app.worker import pbx_queries
from app.worker.background import BackgroundTasks
from app.worker.clock import CLOCK, utcnow
from app.worker.dispatcher import Dispatcher
from app.worker.pbx_queries import PbxQueries
from app.worker.phone_calls import PhoneCalls
from app.worker.prompts import PromptStore
from app.worker.write_queue import WriteQueue

log = logging.getLogger(__name__)
# Slow commands, and commands that concern no requests. The others do not wait for them.
CONCURRENT = pbx_queries.KINDS | {
    *(commands.WRITE_DIALPLAN, commands.APPLY_SETTINGS, commands.CANCEL_PHONE_CALL, commands.TEST_MAIL),
}

Result = tuple[bool, str]  # whether the command succeeded, and its result


class CommandRunner:
    """Execute each open command once, in the order in which they were written, and answer it in its row.

    `poll` reads the settings and the whole state of the PBX. `reload_dialplan` also writes and reloads the dialplan.
    `test_mail` sends a test by the payload of its command, and returns its result.
    """

    def __init__(
        self,
        database: Database,
        *,
        dispatcher: Dispatcher,
        prompts: PromptStore,
        phone_calls: PhoneCalls,
        queries: PbxQueries,
        poll: Callable[[], Awaitable[None]],
        reload_dialplan: Callable[[], Awaitable[None]],
        test_mail: Callable[[dict[str, Any]], Awaitable[str]],
        writes: WriteQueue,
        tasks: BackgroundTasks,
    ) -> None:
        self._database, self._dispatcher, self._prompts = database, dispatcher, prompts
        self._phone_calls, self._queries, self._writes, self._tasks = phone_calls, queries, writes, tasks
        self._poll, self._reload_dialplan, self._test_mail = poll, reload_dialplan, test_mail
        self._lock = asyncio.Lock()
        self._started: set[int] = set()  # ids; a command stays open until its answer is written
        self._will_look = False  # somebody waits for the lock, and will find also what is written until then

    async def run_open(self) -> None:
        """Execute the open commands. Commands of CONCURRENT go on in the background.

        If the database refuses, they stay open. The worker calls this at each change of the database and at each poll.
        """
        if self._will_look:
            return
        self._will_look = True
        async with self._lock:
            self._will_look = False
            try:
                async with CLOCK.hold() as now:
                    found = await asyncio.to_thread(commands.open_commands, self._database, now)
            except SQLAlchemyError as error:
                log.error("cannot look for commands, the database refuses: %s", error)
                return
            for command in found:
                if command.id in self._started:
                    continue
                self._started.add(command.id)
                if command.kind in CONCURRENT:
                    self._tasks.spawn(self._run(command))
                else:
                    await self._run(command)

    async def _run(self, command: Command) -> None:
        try:
            ok, result = await self._execute(command)
        except (NotFound, KeyError, TypeError, ValueError) as error:
            log.warning("command %s is invalid: %s", command.id, error)
            ok, result = False, CommandResult.NOT_FOUND
        except AmiError as error:  # the next poll reloads the dialplan if this was a reload
            log.warning("command %s failed, the PBX does not answer: %s", command.id, error)
            ok, result = False, CommandResult.NOT_CONNECTED
        except SQLAlchemyError as error:  # nothing was done, so the next run tries again
            log.error("command %s failed, the database refuses: %s", command.id, error)
            self._started.discard(command.id)
            return
        now = utcnow()
        self._writes.put(lambda: commands.answer(self._database, command.id, ok=ok, result=result, now=now))

    async def _execute(self, command: Command) -> Result:
        match command.kind:
            case commands.CALL_NOW | commands.CANCEL | commands.MARK_DONE:
                return await self._change_request(command)
            case commands.WRITE_DIALPLAN:
                return await self._write_dialplan()
            case commands.APPLY_SETTINGS:
                await self._poll()
                return True, CommandResult.APPLIED
            case commands.MAKE_PHONE_CALL:
                self._tasks.spawn(self._phone_calls.make_call(command.payload["call"]))
                return True, CommandResult.TAKEN
            case commands.CANCEL_PHONE_CALL:
                await self._phone_calls.cancel(command.payload["call"])
                return True, CommandResult.DONE
            case commands.TEST_MAIL:
                return True, await self._test_mail(command.payload)
            case kind if kind in pbx_queries.KINDS:
                return await self._queries.answer(command)
        return False, CommandResult.UNKNOWN_COMMAND

    async def _change_request(self, command: Command) -> Result:
        async with CLOCK.hold() as now:
            outcome = await asyncio.to_thread(
                perform.execute, self._database, command.kind, command.payload, command.actor, now
            )
        self._dispatcher.wake()
        if outcome.hang_up is not None:
            await self._dispatcher.hang_up(outcome.hang_up)
        return outcome.ok, outcome.answer

    async def _write_dialplan(self) -> Result:
        self._prompts.reset()
        await self._prompts.prepare(utcnow())  # before callers can reach the module
        self._dispatcher.wake()  # it dials nothing while sounds are outdated
        await self._reload_dialplan()
        return True, CommandResult.WRITTEN
