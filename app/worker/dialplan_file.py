"""Keeps the dialplan's file true to the tables, and knows whether Asterisk runs it."""

import asyncio
import logging

from app.config import Settings
from app.services.pbx import dialplan as dialplans
from app.services.pbx.dialplan import Way, Ways
from app.services.pbx.directory import OWN_HINT_CONTEXT
from app.store import settings as store_settings
from app.store.database import Database
from app.store.settings import PbxSettings
from app.telephony import dialplan
from app.telephony.ami import AmiClient, AmiRefused
from app.telephony.dialplan import CONGESTION, NO_USER_RESPONSE, NORMAL_CLEARING, USER_BUSY, Destination

log = logging.getLogger(__name__)
RELOAD_BY_HAND = "reload_by_hand"
NO_SUCH_CONTEXT = "not_included"


class DialplanFile:
    """`written`: the revision in the file; `running`: the one that Asterisk runs, "" if another or none.

    `usable`: Asterisk has our contexts, be they of an older revision. `detail`: a short code of what is amiss.
    """

    def __init__(self, settings: Settings, database: Database, ami: AmiClient) -> None:
        self._settings, self._database, self._ami = settings, database, ami
        self._busy = asyncio.Lock()
        self.agi_port = settings.agi_port
        self.written = self.running = self.detail = ""
        self.extension_context = self.profile = ""  # in force
        self.usable = False
        self._reloaded = ""  # the revision for which a reload was asked

    async def keep(self, *, force: bool = False) -> None:
        """Write the file if it is not what it should be, have it loaded, and look what runs.

        `force`: ask for a reload even when one was asked for this revision before.
        """
        async with self._busy:
            try:
                exchange = await asyncio.to_thread(pbx_settings, self._settings, self._database)
                self.extension_context, self.profile = exchange.extension_context, exchange.pbx_profile
                rendered = await asyncio.to_thread(render, self._settings, self._database, self.agi_port)
                changed = await asyncio.to_thread(dialplan.write, self._settings.dialplan_path, rendered.text)
            except (OSError, dialplan.UnsafeDialplan) as error:
                log.error("the dialplan cannot be written: %s", error)
                self.detail = str(error)
                if self._ami.connected:  # what Asterisk has may be used all the same
                    self.usable = await self._exists("bazang-agent", "s")
                return
            self.written, self.detail = rendered.revision, ""
            if not self._ami.connected:
                return
            await self._look()
            asked = self._reloaded == self.written
            # Changed: also when this revision runs, for who changed the file may have had Asterisk read it.
            if changed or (self.running != self.written and (force or not asked)):
                self._reloaded = self.written
                await self._reload()
                await self._look()
            if self.running == self.written:
                self._reloaded = ""  # should it be lost, it is asked for again

    async def _reload(self) -> None:
        try:
            await self._ami.send("Reload", {"Module": "pbx_config.so"})
        except AmiRefused as refusal:
            log.warning("Asterisk does not let us reload the dialplan (%s): type `dialplan reload`", refusal)

    async def _look(self) -> None:
        runs = await self._exists("bazang-revision", f"r{self.written}")
        self.running = self.written if runs else ""
        self.usable = await self._exists("bazang-agent", "s")
        self.detail = "" if runs else RELOAD_BY_HAND if self.usable else NO_SUCH_CONTEXT

    async def _exists(self, context: str, extension: str) -> bool:
        answer = await self._ami.send("Getvar", {"Variable": f"DIALPLAN_EXISTS({context},{extension},1)"})
        return str(answer.get("Value", "0")) not in ("", "0")


def pbx_settings(settings: Settings, database: Database) -> PbxSettings:
    """Return how the exchange is reached now. Blocks."""
    with database.read() as session:
        return store_settings.pbx(session, settings)


def render(settings: Settings, database: Database, agi_port: int) -> dialplan.Rendered:
    """Render the dialplan from the tables. Raises dialplan.UnsafeDialplan."""
    ways = dialplans.gather(database, OWN_HINT_CONTEXT)
    exchange = pbx_settings(settings, database)
    return dialplan.render(
        dialplan.Dialplan(
            modules=tuple(
                dialplan.ModulePlan(m.id, m.code, _destination(m.next), _destination(m.error)) for m in ways.modules
            ),
            extensions=_extensions(exchange.pbx_profile, ways),
            queues=tuple(
                dialplan.QueuePlan(q.queue, q.max_wait, _destination(q.failed, CONGESTION)) for q in ways.queues
            ),
            profile=exchange.pbx_profile,
            agi_host=exchange.agi_host,
            agi_port=agi_port,
            extension_context=exchange.extension_context,
            queue_context=exchange.queue_context,
        )
    )


def _extensions(profile: str, ways: Ways) -> tuple[dialplan.ExtensionPlan, ...]:
    if profile == "freepbx":
        return ()  # there the extensions' pages are the exchange's own
    return tuple(
        dialplan.ExtensionPlan(
            extension=e.extension,
            devices=e.devices or f"PJSIP/{e.extension}",
            hint_context=e.context or OWN_HINT_CONTEXT,
            own_hint=not e.context,
            ring=e.ring,
            no_answer=_destination(e.no_answer, NO_USER_RESPONSE),
            busy=_destination(e.busy, USER_BUSY),
            unavailable=_destination(e.unavailable, CONGESTION),
        )
        for e in ways.extensions
    )


def _destination(way: Way, cause: int = NORMAL_CLEARING) -> Destination:
    return Destination("", "", cause) if way.kind in ("", "hangup") else Destination(way.kind, way.code)
