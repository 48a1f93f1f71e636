"""Execute the commands by which pages ask about the PBX. A page waits for each answer."""

import asyncio
import logging
from typing import Any

from app.config import Settings
from app.domain.outbound import OutboundResult
from app.domain.pbx_connection import ConnectionReport, ConnectionResult
from app.domain.routing import Context, DestinationKind
from app.services import commands
from app.services.pbx import connection_commands
from app.services.pbx.lookup import LookupResult
from app.store import encryption
from app.store.models import Command
from app.telephony import lookup
from app.telephony.ami import AmiClient
from app.telephony.ami_tls import make_tls
from app.telephony.connection_check import allowed_actions, check_connection, missing_actions
from app.telephony.outbound import find_way_out
from app.telephony.snapshot import Snapshot
from app.worker.dialplan_file import DialplanFile

log = logging.getLogger(__name__)
CONNECT_SECONDS = 4.0
TEST_SECONDS = 10.0  # in all; the page waits a little longer
KINDS = frozenset({commands.TEST_CONNECTION, commands.LOOK_UP, commands.CODE_TAKEN, commands.OUTBOUND})


class PbxQueries:
    def __init__(self, settings: Settings, ami: AmiClient, snapshot: Snapshot, dialplan_file: DialplanFile) -> None:
        self._ami, self._snapshot, self._dialplan_file = ami, snapshot, dialplan_file
        self._settings = settings
        self._lacks_rights = False  # a test has found that while we were connected
        self._tls = make_tls(settings.ami_tls, settings.ami_ca, settings.ami_fingerprint)

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
                    exists = await self._exists(payload["kind"], payload["code"])
                    return True, LookupResult.FOUND if exists else LookupResult.MISSING
                case commands.OUTBOUND:
                    found = await find_way_out(self._ami, payload["context"], payload["number"], payload["agents"])
                    return True, found.result
                case _:
                    return True, await lookup.find_context(self._ami, payload["contexts"], payload["code"])
        except lookup.InvalidLookup as error:
            log.warning("command %s: %s", command.id, error)
            if command.kind == commands.OUTBOUND:
                return True, OutboundResult.NO_CONTEXT
            return True, LookupResult.MISSING if command.kind == commands.LOOK_UP else ""

    async def _test_connection(self, payload: dict[str, Any]) -> str:
        host, port = payload["host"], int(payload["port"])
        username, secret = payload["username"], encryption.decrypt(self._settings, payload["secret"])
        revision, asked = self._dialplan_file.written, connection_commands.unpack_asked(payload)
        try:
            async with asyncio.timeout(TEST_SECONDS):
                report = await check_connection(
                    host,
                    port,
                    username,
                    secret,
                    seconds=CONNECT_SECONDS,
                    revision=revision,
                    asked=asked,
                    tls=self._tls,
                )
        except TimeoutError:
            report = ConnectionReport(ConnectionResult.NO_ANSWER, f"the test did not end within {TEST_SECONDS} s")
        if self._ami.uses(host, port, username, secret):
            await self._learn(report)
        log.info("tested the connection to %s:%s: %s", host, port, report.result)
        return connection_commands.pack(report)

    async def _learn(self, report: ConnectionReport) -> None:
        """Log in again if the PBX lets our user do more now than when we logged in, or refused us then."""
        if not self._ami.connected:
            outdated = report.connected and self._ami.state.status in ("refused", "login_in_use")
        elif report.result is ConnectionResult.CONNECTED:
            outdated = self._lacks_rights or bool(missing_actions(await allowed_actions(self._ami)))
        else:
            self._lacks_rights = self._lacks_rights or report.result is ConnectionResult.RIGHTS_MISSING
            outdated = False
        if outdated:
            self._lacks_rights = False
            await self._ami.reconnect()

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
        """Tell whether the PBX has an extension. A hint or a context of our own, or a queue member, proves none."""
        state = self._snapshot.extensions.get(extension)
        if state is not None and state.context not in ("", Context.EXTENSIONS):
            return True
        context = self._dialplan_file.extension_context
        return await lookup.has_extension(self._ami, extension, "" if context == Context.EXTENSIONS else context)
