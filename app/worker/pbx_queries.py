"""Answers what pages ask about the exchange; each of them waits for it."""

import asyncio
import logging
from typing import Any

from app.domain.pbx_connection import ConnectionReport, ConnectionResult
from app.services import commands
from app.services.pbx import connection_test
from app.services.pbx.directory import OWN_HINT_CONTEXT
from app.store.models import Command
from app.telephony import lookup
from app.telephony.ami import AmiClient
from app.telephony.connection_test import check_connection
from app.telephony.snapshot import Snapshot
from app.worker.dialplan_file import DialplanFile

log = logging.getLogger(__name__)
CONNECT_SECONDS = 4.0
TEST_SECONDS = 10.0  # in all; the page waits a little longer
KINDS = frozenset({commands.TEST_CONNECTION, commands.LOOK_UP, commands.CODE_TAKEN})


class PbxQueries:
    """`answer` raises AmiError where the exchange does not answer, and KeyError and TypeError for nonsense."""

    def __init__(self, ami: AmiClient, snapshot: Snapshot, keeper: DialplanFile) -> None:
        self._ami, self._snapshot, self._keeper = ami, snapshot, keeper

    async def answer(self, command: Command) -> tuple[bool, str]:
        payload = command.payload
        try:
            match command.kind:
                case commands.TEST_CONNECTION:
                    return True, await self._test(payload)
                case commands.LOOK_UP:
                    return True, "yes" if await self._has(payload["kind"], payload["code"]) else "no"
                case _:
                    return True, await lookup.context_with(self._ami, payload["contexts"], payload["code"])
        except lookup.InvalidLookup as error:
            log.warning("command %s: %s", command.id, error)
            return True, "no" if command.kind == commands.LOOK_UP else ""

    async def _test(self, payload: dict[str, Any]) -> str:
        way = (payload["host"], int(payload["port"]), payload["username"], payload["secret"])
        try:
            async with asyncio.timeout(TEST_SECONDS):
                report = await check_connection(*way, seconds=CONNECT_SECONDS, revision=self._keeper.written)
        except TimeoutError:
            report = ConnectionReport(ConnectionResult.NO_ANSWER, f"it was not examined within {TEST_SECONDS} s")
        log.info("the connection to %s:%s was tried out: %s", *way[:2], report.result)
        return connection_test.pack(report)

    async def _has(self, kind: str, code: str) -> bool:
        match kind:
            case "extension":
                known = self._snapshot.extensions.get(code)
                if known is not None and known.context != OWN_HINT_CONTEXT:  # a hint of ours is no proof of a phone
                    return True
                context = self._keeper.extension_context
                return await lookup.has_extension(self._ami, code, "" if context == OWN_HINT_CONTEXT else context)
            case "queue":
                return code in self._snapshot.queues or await lookup.has_queue(self._ami, code)
            case "custom":
                return await lookup.has_destination(self._ami, code)
        raise KeyError(kind)
