"""Keep the dialplan's file equal to the tables, and find out whether Asterisk runs it."""

import asyncio
import logging
from collections.abc import Callable, Collection

from app.config import Settings
from app.domain.pbx_connection import DialplanProblem
from app.domain.routing import Context
from app.services.pbx.dialplan import gather_dialplan
from app.store import settings as store_settings
from app.store.database import Database
from app.store.settings import PbxSettings
from app.telephony import dialplan
from app.telephony.ami import AmiClient, AmiRefused
from app.worker.clock import utcnow

log = logging.getLogger(__name__)


class DialplanFile:
    """`written`: the revision in the file; `running`: the revision that Asterisk runs, "" if it is another one or none.

    `usable`: Asterisk has our contexts, of any revision. `number_check_is_old`: it would refuse the numbers that we
    dial, because it checks them by former settings. `detail`: a DialplanProblem, or the error's text if the file cannot
    be written, or "".

    `has_sounds`: whether the sounds of these modules were made. As long as they were not, the file stays as it is:
    callers of a new module would wait for its sounds. Only the first file of a worker does not wait.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        ami: AmiClient,
        *,
        has_sounds: Callable[[Collection[int]], bool] = lambda module_ids: True,
    ) -> None:
        self._settings, self._database, self._ami, self._has_sounds = settings, database, ami, has_sounds
        self._lock = asyncio.Lock()
        self.agi_port = settings.agi_port
        self.written = self.running = self.detail = ""
        self.extension_context = self.profile = ""  # in force
        self.usable = self.number_check_is_old = False
        self._number_check = ""
        self._reload_sent_for = ""  # a revision
        self._waits_for_sounds = False

    async def update(self, *, force: bool = False) -> None:
        """Write the file if it differs from the tables, reload the dialplan, and read which revision runs.

        While a new module has no sounds, the file stays.

        `force`: reload even if a reload was sent for this revision before. Raises AmiError, but not if Asterisk
        refuses the reload.
        """
        async with self._lock:
            try:
                pbx = await asyncio.to_thread(pbx_settings, self._settings, self._database)
                self.extension_context, self.profile = pbx.extension_context, pbx.pbx_profile
                plan = await asyncio.to_thread(gather_dialplan, self._database, self._settings, self.agi_port, utcnow())
                has_sounds = self._has_sounds([module.id for module in plan.modules])
                if self.written and not has_sounds:
                    if not self._waits_for_sounds:
                        log.info("the dialplan is written when the sounds of the new modules are made")
                    self._waits_for_sounds = True
                    if self._ami.connected:
                        await self._load(changed=False, force=False)
                    if self.detail != DialplanProblem.NOT_INCLUDED:  # a reload would be in vain
                        self.detail = DialplanProblem.SOUNDS_MISSING
                    return
                self._waits_for_sounds = False
                rendered = await asyncio.to_thread(dialplan.render, plan)
                changed = await asyncio.to_thread(dialplan.write, self._settings.dialplan_path, rendered.text, utcnow())
            except (OSError, dialplan.UnsafeDialplan) as error:
                log.error("cannot write the dialplan: %s", error)
                self.detail = str(error)
                if self._ami.connected:  # calls can use the dialplan that Asterisk has
                    self.usable = await self._exists(Context.AGENT, "s")
                return
            self.written, self.detail, self._number_check = rendered.revision, "", rendered.number_check
            if self._ami.connected:
                await self._load(changed=changed, force=force)
            if not has_sounds and not self.detail:
                self.detail = DialplanProblem.SOUNDS_MISSING

    async def is_loaded(self) -> bool:
        """Tell whether Asterisk has our dialplan, of any revision. Raises AmiError, but not if Asterisk refuses."""
        try:
            return await self._exists(Context.AGENT, "s")
        except AmiRefused:
            return False

    async def _load(self, *, changed: bool, force: bool) -> None:
        """Read which revision runs, and reload the dialplan if it is another one."""
        await self._read_state()
        was_sent = self._reload_sent_for == self.written
        # Reload a changed file even if its revision runs: Asterisk may have read the file before we restored it.
        if changed or (self.running != self.written and (force or not was_sent)):
            self._reload_sent_for = self.written
            await self._reload()
            await self._read_state()
        if self.running == self.written:
            self._reload_sent_for = ""  # if Asterisk loses this revision, reload again

    async def _reload(self) -> None:
        try:
            await self._ami.send("Reload", {"Module": "pbx_config.so"})
        except AmiRefused as refusal:
            log.warning("Asterisk does not let us reload the dialplan (%s): type `dialplan reload`", refusal)

    async def _read_state(self) -> None:
        runs = await self._exists(Context.REVISION, f"r{self.written}")
        self.running = self.written if runs else ""
        self.usable = await self._exists(Context.AGENT, "s")
        self.number_check_is_old = not runs and await self._has_other_number_check()
        problem = DialplanProblem.RELOAD_BY_HAND if self.usable else DialplanProblem.NOT_INCLUDED
        self.detail = "" if runs else problem

    async def _has_other_number_check(self) -> bool:
        """Tell whether Asterisk checks numbers otherwise. A dialplan of an older version does not check them at all."""
        if await self._exists(Context.NUMBERS, f"n{self._number_check}"):
            return False
        return await self._exists(Context.NUMBERS, "0")

    async def _exists(self, context: str, extension: str) -> bool:
        answer = await self._ami.send("Getvar", {"Variable": f"DIALPLAN_EXISTS({context},{extension},1)"})
        return str(answer.get("Value", "0")) not in ("", "0")


def pbx_settings(settings: Settings, database: Database) -> PbxSettings:
    """Return the PBX settings in force. Blocks."""
    with database.read() as session:
        return store_settings.pbx(session, settings)


def pbx_is_given(settings: Settings, database: Database) -> bool:
    """Return whether somebody has given the PBX settings. Blocks."""
    with database.read() as session:
        return store_settings.pbx_is_given(settings, store_settings.read_all(session))


def agi_port(settings: Settings, database: Database) -> int:
    """Return the port on which the FastAGI server should listen. Blocks."""
    with database.read() as session:
        return store_settings.agi_port(settings, store_settings.read_all(session))


def render(settings: Settings, database: Database, agi_port: int) -> dialplan.Rendered:
    """Render the dialplan from the tables. Blocks. Raises dialplan.UnsafeDialplan."""
    return dialplan.render(gather_dialplan(database, settings, agi_port, utcnow()))
