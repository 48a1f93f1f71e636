"""Looks at an exchange: who answers there, and what its user may do. No call is disturbed, and nothing is changed.

What an AMI user may order (write=) Asterisk lists by itself. What it is told of (read=) shows only when something
happens: so a call is ordered that leads nowhere, and looked whether its events come.
"""

import asyncio
import re
import socket
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from app.domain.pbx_connection import ConnectionReport, ConnectionResult, DialplanState
from app.domain.routing import Context
from app.telephony.ami import AmiClient, AmiError, AmiRefused, AmiState, AmiTimes
from app.telephony.variables import PROBE

READ = ("call", "user", "agent")
# What is asked or ordered while Bazang works -> the right of write= that it needs; "": none.
ACTIONS = {
    "CoreShowChannels": "reporting",
    "QueueStatus": "",
    "ExtensionStateList": "call",
    "Originate": "originate",
    "Hangup": "call",
    "Getvar": "call",
    "DBGet": "reporting",
    "DeviceStateList": "call",
    "ShowDialPlan": "reporting",
}
LISTS = ("CoreShowChannels", "QueueStatus", "ExtensionStateList")  # those that may be asked just to see
GREETING = b"Asterisk Call Manager/"
HEARD_WITHIN = 1.0  # seconds in which the probe's events come
EXAMINED_WITHIN = 6.0  # seconds
_HOST = re.compile(r"[A-Za-z0-9._:%-]{1,253}")


class Unreachable(Exception):
    """There is no talking with the exchange; `report` says why."""

    def __init__(self, report: ConnectionReport) -> None:
        super().__init__(report.detail)
        self.report = report


class Ear:
    """Hears an exchange's events; of a UserEvent, the name that the dialplan gave it."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self._heard = asyncio.Event()

    def take(self, event: Any) -> None:
        self.names.add(str(event.get("UserEvent") or event.get("Event") or ""))
        self._heard.set()

    async def hears(self, names: Collection[str], seconds: float) -> None:
        """Return when all of these were heard, or after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                while not self.names.issuperset(names):
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            pass


@dataclass(frozen=True)
class Listing:
    """The answer to one of LISTS: `rows`, or None where it was refused or failed by `error`."""

    action: str
    rows: list[Any] | None
    error: str = ""
    refused: bool = False


async def check_connection(
    host: str, port: int, username: str, secret: str, *, seconds: float, revision: str = ""
) -> ConnectionReport:
    """Reach an exchange and examine it. `seconds` to get in; `revision`: of the dialplan that it should run."""
    ear = Ear()
    try:
        async with reach(host, port, username, secret, seconds=seconds, on_event=ear.take) as client:
            async with asyncio.timeout(EXAMINED_WITHIN):
                return await _examine(client, ear, revision)
    except Unreachable as unreachable:
        return unreachable.report
    except (AmiError, TimeoutError) as error:
        return ConnectionReport(ConnectionResult.NO_ANSWER, f"connected, then no answer: {error or 'time-out'}")


@asynccontextmanager
async def reach(
    host: str,
    port: int,
    username: str,
    secret: str,
    *,
    seconds: float,
    on_event: Callable[[Any], None] = lambda event: None,
) -> AsyncIterator[AmiClient]:
    """Give a client of its own that is connected. Raises Unreachable."""
    await _knock(host, port, seconds)
    states: asyncio.Queue[AmiState] = asyncio.Queue()
    client = AmiClient(
        host,
        port,
        username,
        secret,
        on_event=on_event,
        on_state=states.put_nowait,
        times=AmiTimes(login=seconds),
        name="exchange on trial",
    )
    await client.start()
    try:
        state = client.state
        try:
            async with asyncio.timeout(seconds):
                while state.status not in ("connected", "refused"):
                    state = await states.get()
        except TimeoutError:
            raise Unreachable(ConnectionReport(ConnectionResult.NO_ANSWER, state.detail)) from None
        if state.status == "refused":
            raise Unreachable(ConnectionReport(ConnectionResult.REFUSED, state.detail))
        yield client
    finally:
        await client.stop()


async def _knock(host: str, port: int, seconds: float) -> None:
    """Find out who listens there, before anybody says a name or a secret. Raises Unreachable."""
    if not _HOST.fullmatch(host):
        raise Unreachable(ConnectionReport(ConnectionResult.HOST_UNKNOWN, f"not the name of a machine: {host!r}"))
    try:
        async with asyncio.timeout(seconds):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise Unreachable(
            ConnectionReport(ConnectionResult.HOST_UNKNOWN, f"no name server told who {host} is")
        ) from None
    except (OSError, UnicodeError, OverflowError) as error:
        raise Unreachable(ConnectionReport(ConnectionResult.HOST_UNKNOWN, f"{host}: {error}")) from error
    try:
        async with asyncio.timeout(seconds):
            greeting = await _greeting([address[4][0] for address in found], port)
    except TimeoutError:
        raise Unreachable(
            ConnectionReport(ConnectionResult.NO_ANSWER, f"no answer from {host}:{port} within {seconds} s")
        ) from None
    except (OSError, OverflowError) as error:
        verdict = (
            ConnectionResult.NOTHING_LISTENS
            if isinstance(error, ConnectionRefusedError)
            else ConnectionResult.NO_ANSWER
        )
        raise Unreachable(ConnectionReport(verdict, str(error))) from error
    if not greeting.startswith(GREETING):
        said = f"it says {greeting[:40]!r}" if greeting else "it says nothing"
        raise Unreachable(
            ConnectionReport(
                ConnectionResult.NOT_ASTERISK, f"what answers there is no Asterisk Manager Interface: {said}"
            )
        )


async def _greeting(addresses: Iterable[Any], port: int) -> bytes:
    """Return the first line of whoever listens at the first of the addresses at which somebody does.

    Whoever takes the connection and says nothing has an empty one. Raises OSError.
    """
    failure = OSError("no address")
    for address in dict.fromkeys(addresses):
        try:
            reader, writer = await asyncio.open_connection(address, port)
        except OSError as error:
            failure = error
            continue
        try:
            async with asyncio.timeout(2):
                return await reader.readline()
        except (TimeoutError, OSError, ValueError):  # the last: a line without an end
            return b""
        finally:
            writer.close()
    raise failure


async def _examine(client: AmiClient, ear: Ear, revision: str) -> ConnectionReport:
    allowed = await allowed_actions(client)
    missing = missing_of(allowed)
    listed = {action: await ask_list(client, action) for action in LISTS[1:]}
    dialplan = await which_dialplan(client, revision)
    read_missing, unchecked = await _read_rights(client, ear)
    write_missing = tuple(dict.fromkeys(ACTIONS[action] for action in missing if ACTIONS[action]))
    return ConnectionReport(
        ConnectionResult.RIGHTS_MISSING if write_missing or read_missing else ConnectionResult.CONNECTED,
        f"not allowed: {', '.join(missing)}" if missing else "",
        client.state.version,
        read_missing,
        write_missing,
        unchecked,
        extensions=_count(listed["ExtensionStateList"], "ExtensionStatus"),
        queues=_count(listed["QueueStatus"], "QueueParams"),
        dialplan=dialplan,
        may_reload="Reload" in allowed,
    )


def _count(listing: Listing, event: str) -> int | None:
    return None if listing.rows is None else sum(row.get("Event") == event for row in listing.rows)


async def ask_list(client: AmiClient, action: str) -> Listing:
    """Ask for one of LISTS."""
    try:
        return Listing(action, await client.collect(action))
    except AmiError as error:
        return Listing(action, None, str(error), refused=isinstance(error, AmiRefused))


async def allowed_actions(client: AmiClient) -> Collection[str]:
    """Return what this user may order: an exchange lists no more than that. Raises AmiError."""
    return set((await client.send("ListCommands")).keys())


def missing_of(allowed: Collection[str]) -> tuple[str, ...]:
    """Return which of ACTIONS are not among the allowed."""
    return tuple(action for action in ACTIONS if action not in allowed)


async def which_dialplan(client: AmiClient, revision: str) -> DialplanState:
    """Tell whether our dialplan is taken in there, and whether it is of this revision."""
    try:
        if revision and await _exists(client, Context.REVISION, f"r{revision}"):
            return DialplanState.CURRENT
        return DialplanState.OUTDATED if await _exists(client, Context.AGENT, "s") else DialplanState.NONE
    except AmiError:
        return DialplanState.UNKNOWN


async def _exists(client: AmiClient, context: str, extension: str) -> bool:
    answer = await client.send("Getvar", {"Variable": f"DIALPLAN_EXISTS({context},{extension},1)"})
    return str(answer.get("Value", "0")) not in ("", "0")


async def _read_rights(client: AmiClient, ear: Ear) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the rights of read= that are missing, and those of which nothing can be told.

    Our dialplan, where it is taken in, has a place that tells of itself and hangs up; elsewhere the call leads nowhere.
    Of `agent` only queues would tell.
    """
    try:
        ours = await _exists(client, PROBE, "s")
        order = {"Channel": f"Local/s@{PROBE}/n", "Application": "NoOp", "ChannelId": str(uuid.uuid4())}
        await client.originate(order | {"Timeout": "1000"}, {})
    except AmiError:
        return (), READ
    wanted = {"OriginateResponse": "call"} | ({PROBE: "user"} if ours else {})
    await ear.hears(wanted.keys(), HEARD_WITHIN)
    missing = tuple(right for event, right in wanted.items() if event not in ear.names)
    return missing, tuple(right for right in READ if right not in wanted.values())
