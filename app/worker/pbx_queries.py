"""Execute the commands by which pages ask about the PBX. A page waits for each answer."""

import asyncio
import logging
from typing import Any

from app.domain.pbx_connection import ConnectionReport, ConnectionResult
from app.domain.routing import Context, DestinationKind
from app.services import commands
from app.services.pbx import connection_test
from app.services.pbx.lookup import LookupResult
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
    def __init__(self, ami: AmiClient, snapshot: Snapshot, dialplan_file: DialplanFile) -> None:
        self._ami, self._snapshot, self._dialplan_file = ami, snapshot, dialplan_file

    async def answer(self, command: Command) -> tuple[bool, str]:
        """Return whether a command of KINDS succeeded, and its result.

        Raises AmiError if Asterisk does not answer, and KeyError, TypeError or ValueError for a bad payload.
        """
        payload = command.payload
        try:
            match command.kind:
                case commands.TEST_CONNECTION:
                    return True, await self._test_connection(payload)
                case commands.LOOK_UP:
                    found = await self._exists(payload["kind"], payload["code"])
                    return True, LookupResult.FOUND if found else LookupResult.MISSING
                case _:
                    return True, await lookup.find_context(self._ami, payload["contexts"], payload["code"])
        except lookup.InvalidLookup as error:
            log.warning("command %s: %s", command.id, error)
            return True, LookupResult.MISSING if command.kind == commands.LOOK_UP else ""

    async def _test_connection(self, payload: dict[str, Any]) -> str:
        host, port = payload["host"], int(payload["port"])
        username, secret = payload["username"], payload["secret"]
        revision = self._dialplan_file.written
        try:
            async with asyncio.timeout(TEST_SECONDS):
                report = await check_connection(
                    host, port, username, secret, seconds=CONNECT_SECONDS, revision=revision
                )
        except TimeoutError:
            report = ConnectionReport(ConnectionResult.NO_ANSWER, f"the test did not end within {TEST_SECONDS} s")
        log.info("tested the connection to %s:%s: %s", host, port, report.result)
        return connection_test.pack(report)

    async def _exists(self, kind: str, code: str) -> bool:
        match kind:
            case DestinationKind.EXTENSION:
                return await self._extension_exists(code)
            case DestinationKind.QUEUE:
                return code in self._snapshot.queues or await lookup.has_queue(self._ami, code)
            case DestinationKind.CUSTOM:
                return await lookup.has_location(self._ami, code)
        raise KeyError(kind)

    async def _extension_exists(self, extension: str) -> bool:
        """A hint of our own does not prove that there is a phone, and neither does our own context."""
        state = self._snapshot.extensions.get(extension)
        if state is not None and state.context != Context.EXTENSIONS:
            return True
        context = self._dialplan_file.extension_context
        return await lookup.has_extension(self._ami, extension, "" if context == Context.EXTENSIONS else context)
