"""Check a connection to a PBX: who answers, and which rights the AMI user has. Changes nothing, disturbs no call.

Asterisk lists the actions that an AMI user may send (the write= rights). The read= rights show only in events, so the
check originates a call that leads nowhere and waits for its events.
"""

import asyncio
import re
import socket
import ssl
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from app.domain.pbx_connection import (
    READ_RIGHTS,
    Asked,
    CallersState,
    ConnectionReport,
    ConnectionResult,
    DialplanState,
    is_too_old,
)
from app.domain.pbx_product import Product
from app.domain.routing import Context
from app.telephony.agents import Hint
from app.telephony.ami import AmiClient, AmiError, AmiRefused, AmiState, AmiTimes
from app.telephony.ami_tls import AmiTls, BadCertificate
from app.telephony.devices import is_extension
from app.telephony.pbx_product import dialling_contexts, existing_contexts, find_product, list_contexts
from app.telephony.variables import PROBE, PROBE_REACHED, PROBE_UNREACHED

# AMI actions that Bazang sends -> the write= right that each needs; "": none.
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
LISTS = ("CoreShowChannels", "QueueStatus", "ExtensionStateList")  # actions that only read
GREETING = b"Asterisk Call Manager/"
GREETING_SECONDS = 2.0
EVENT_SECONDS = 1.0  # how long to wait for the events of the test call
CALLERS_SECONDS = 3.0  # how long to wait until the PBX says whether it has reached our FastAGI server
LIST_SECONDS = 2.0  # for the list of all contexts
MOST_CANDIDATES = 60  # contexts that are asked whether customers can be dialled there
EXAMINE_SECONDS = 6.0  # for everything after the login
_HOST = re.compile(r"[A-Za-z0-9._:%-]{1,253}")


class ConnectionFailed(Exception):
    """The PBX cannot be reached or refuses the login; `report` says why."""

    def __init__(self, result: ConnectionResult, detail: str) -> None:
        super().__init__(detail)
        self.report = ConnectionReport(result, detail)


class EventCollector:
    """Collect the names of AMI events. A UserEvent counts by the name that the dialplan gave it."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self._changed = asyncio.Event()

    def add(self, event: Any) -> None:
        self.names.add(str(event.get("UserEvent") or event.get("Event") or ""))
        self._changed.set()

    async def wait_for(self, names: Collection[str], seconds: float) -> None:
        """Return when all these events have come, or after `seconds`."""
        await self._wait(lambda: self.names.issuperset(names), seconds)

    async def wait_for_any(self, names: Collection[str], seconds: float) -> None:
        """Return when one of these events has come, or after `seconds`."""
        await self._wait(lambda: not self.names.isdisjoint(names), seconds)

    async def _wait(self, found: Callable[[], bool], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not found():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass


@dataclass(frozen=True)
class ListAnswer:
    """The answer to one action of LISTS. `rows` is None if the action failed with `error`."""

    action: str
    rows: list[Any] | None
    error: str = ""
    refused: bool = False


async def check_connection(
    host: str,
    port: int,
    username: str,
    secret: str,
    *,
    seconds: float,
    revision: str = "",
    asked: Asked = Asked(),  # noqa: B008 - it cannot change
    tls: AmiTls | None = None,
) -> ConnectionReport:
    """Log in to a PBX and examine it.

    `seconds` limits each step up to the login. `revision` is the dialplan revision that the PBX should run.
    """
    events = EventCollector()
    try:
        async with connect(host, port, username, secret, seconds=seconds, on_event=events.add, tls=tls) as client:
            async with asyncio.timeout(EXAMINE_SECONDS):
                return await _examine(client, events, revision, asked)
    except ConnectionFailed as failed:
        return failed.report
    except (AmiError, TimeoutError) as error:
        return ConnectionReport(ConnectionResult.NO_ANSWER, f"connected, then no answer: {error or 'timeout'}")


# -- connecting -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def connect(
    host: str,
    port: int,
    username: str,
    secret: str,
    *,
    seconds: float,
    on_event: Callable[[Any], None] = lambda event: None,
    tls: AmiTls | None = None,
) -> AsyncIterator[AmiClient]:
    """Yield an AMI client that is logged in, and close it afterwards. Raises ConnectionFailed."""
    await _check_greeting(host, port, seconds, tls)
    states: asyncio.Queue[AmiState] = asyncio.Queue()
    client = AmiClient(
        host,
        port,
        username,
        secret,
        tls=tls,
        on_event=on_event,
        on_state=states.put_nowait,
        times=AmiTimes(login=seconds),
        name="connection test",
    )
    await client.start()
    try:
        await _wait_for_login(client, states, seconds)
        yield client
    finally:
        await client.stop()


async def _wait_for_login(client: AmiClient, states: asyncio.Queue[AmiState], seconds: float) -> None:
    state = client.state
    try:
        async with asyncio.timeout(seconds):
            while state.status not in ("connected", "refused", "login_in_use"):
                state = await states.get()
    except TimeoutError:
        raise ConnectionFailed(ConnectionResult.NO_ANSWER, state.detail) from None
    if state.status != "connected":
        raise ConnectionFailed(ConnectionResult(state.status), state.detail)


async def _check_greeting(host: str, port: int, seconds: float, tls: AmiTls | None) -> None:
    """Make sure that an AMI listens there before any user name or secret is sent. Raises ConnectionFailed."""
    addresses = await _resolve(host, port, seconds)
    try:
        async with asyncio.timeout(seconds):
            greeting = await _read_greeting(addresses, port, host, tls)
    except TimeoutError:
        detail = f"no answer from {host}:{port} within {seconds} s"
        raise ConnectionFailed(ConnectionResult.NO_ANSWER, detail) from None
    except ConnectionRefusedError as error:
        raise ConnectionFailed(ConnectionResult.NOTHING_LISTENS, str(error)) from error
    except (ssl.SSLError, BadCertificate) as error:
        raise ConnectionFailed(ConnectionResult.CERTIFICATE, str(error)) from error
    except (OSError, OverflowError) as error:
        raise ConnectionFailed(ConnectionResult.NO_ANSWER, str(error)) from error
    if not greeting.startswith(GREETING):
        sent = repr(greeting[:40]) if greeting else "nothing"
        raise ConnectionFailed(ConnectionResult.NOT_ASTERISK, f"not an Asterisk Manager Interface; it sent {sent}")


async def _resolve(host: str, port: int, seconds: float) -> list[Any]:
    """Return the addresses of a host. Raises ConnectionFailed."""
    if not _HOST.fullmatch(host):
        raise ConnectionFailed(ConnectionResult.HOST_UNKNOWN, f"not a host name: {host!r}")
    try:
        async with asyncio.timeout(seconds):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise ConnectionFailed(ConnectionResult.HOST_UNKNOWN, f"{host}: the name lookup timed out") from None
    except (OSError, UnicodeError, OverflowError) as error:
        raise ConnectionFailed(ConnectionResult.HOST_UNKNOWN, f"{host}: {error}") from error
    return [address[4][0] for address in found]


async def _read_greeting(addresses: Iterable[Any], port: int, host: str, tls: AmiTls | None) -> bytes:
    """Return the first line from the first address that accepts a connection; empty if it sends none in time.

    Raises OSError if no address accepts a connection, and BadCertificate.
    """
    options: dict[str, Any] = {} if tls is None else {"ssl": tls.context(), "server_hostname": host}
    failure = OSError("no address")
    for address in dict.fromkeys(addresses):
        try:
            reader, writer = await asyncio.open_connection(address, port, **options)
        except OSError as error:
            failure = error
            continue
        try:
            if tls is not None:
                tls.check(writer)
            async with asyncio.timeout(GREETING_SECONDS):
                return await reader.readline()
        except BadCertificate:
            raise
        except (TimeoutError, OSError, ValueError):  # ValueError: an endless line
            return b""
        finally:
            writer.close()
    raise failure


# -- examining --------------------------------------------------------------------------------------------------------


async def _examine(client: AmiClient, events: EventCollector, revision: str, asked: Asked) -> ConnectionReport:
    allowed = await allowed_actions(client)
    missing = missing_actions(allowed)
    if is_too_old(client.state.version):
        detail = f"Asterisk {client.state.version} has no {', '.join(missing) or 'events with Linkedid'}"
        return ConnectionReport(ConnectionResult.TOO_OLD, detail, client.state.version)
    lists = {action: await request_list(client, action) for action in LISTS[1:]}
    dialplan = await dialplan_state(client, revision)
    product, contexts, outbound, all_contexts = await _read_contexts(client, asked)
    read_missing, unchecked = await _check_read_rights(client, events)
    callers = await _check_callers(client, events) if "user" not in (*read_missing, *unchecked) else None
    write_missing = tuple(dict.fromkeys(ACTIONS[action] for action in missing if ACTIONS[action]))
    return ConnectionReport(
        ConnectionResult.RIGHTS_MISSING if write_missing or read_missing else ConnectionResult.CONNECTED,
        f"not allowed: {', '.join(missing)}" if missing else "",
        client.state.version,
        read_missing,
        write_missing,
        unchecked,
        extensions=_count_extensions(lists["ExtensionStateList"]),
        queues=_count(lists["QueueStatus"], "QueueParams"),
        dialplan=dialplan,
        may_reload="Reload" in allowed,
        product=product,
        contexts=contexts,
        outbound=outbound,
        callers=callers or CallersState.UNKNOWN,
        all_contexts=all_contexts,
    )


def _count_extensions(answer: ListAnswer) -> int | None:
    """Count what the panel lists as extensions: feature codes and parking have hints, too."""
    if answer.rows is None:
        return None
    hints = [Hint.from_row(row) for row in answer.rows if row.get("Event") == "ExtensionStatus"]
    return len({hint.extension for hint in hints if is_extension(hint.extension, hint.devices)})


def _count(answer: ListAnswer, event: str) -> int | None:
    return None if answer.rows is None else sum(row.get("Event") == event for row in answer.rows)


async def request_list(client: AmiClient, action: str) -> ListAnswer:
    """Send one action of LISTS and return its answer."""
    try:
        return ListAnswer(action, await client.collect(action))
    except AmiError as error:
        return ListAnswer(action, None, str(error), refused=isinstance(error, AmiRefused))


async def allowed_actions(client: AmiClient) -> Collection[str]:
    """Return the actions that this user may send. Raises AmiError."""
    return set((await client.send("ListCommands")).keys())  # Asterisk lists only those that the user may send


def missing_actions(allowed: Collection[str]) -> tuple[str, ...]:
    """Return the members of ACTIONS that are not allowed."""
    return tuple(action for action in ACTIONS if action not in allowed)


async def dialplan_state(client: AmiClient, revision: str) -> DialplanState:
    """Return whether the PBX runs our dialplan, and whether it runs this revision."""
    try:
        if revision and await _dialplan_has(client, Context.REVISION, f"r{revision}"):
            return DialplanState.CURRENT
        ours = await _dialplan_has(client, Context.AGENT, "s")
        return DialplanState.OUTDATED if ours else DialplanState.NONE
    except AmiError:
        return DialplanState.UNKNOWN


async def _dialplan_has(client: AmiClient, context: str, extension: str) -> bool:
    answer = await client.send("Getvar", {"Variable": f"DIALPLAN_EXISTS({context},{extension},1)"})
    return str(answer.get("Value", "0")) not in ("", "0")


async def _read_contexts(
    client: AmiClient, asked: Asked
) -> tuple[Product | None, tuple[str, ...] | None, tuple[str, ...] | None, tuple[str, ...]]:
    """Return whose dialplan it is, which of the contexts exist and dial, and which there are at all.

    None for what the user may not read.
    """
    try:
        product = await find_product(client)
        contexts = await existing_contexts(client, asked.contexts)
        every = await _list_contexts(client, product) if asked.everything else ()
        candidates = (*asked.outbound, *every)[:MOST_CANDIDATES]
        outbound = await dialling_contexts(client, candidates, asked.number)
        return product, contexts, outbound, tuple(dict.fromkeys((*outbound, *(every or contexts))))
    except AmiError:
        return None, None, None, ()


async def _list_contexts(client: AmiClient, product: Product) -> tuple[str, ...]:
    """Return all contexts of a plain Asterisk. Other products have thousands of lines, and usual names."""
    if product is not Product.ASTERISK:
        return ()
    try:
        async with asyncio.timeout(LIST_SECONDS):
            return await list_contexts(client)
    except (AmiError, TimeoutError):  # a suggestion of names is not worth a failed test
        return ()


async def _check_callers(client: AmiClient, events: EventCollector) -> CallersState:
    """Tell whether the PBX reaches our FastAGI server, by a call to the probe context that leads nowhere else."""
    call = {"Channel": f"Local/agi@{PROBE}/n", "Application": "NoOp", "ChannelId": str(uuid.uuid4())}
    try:
        if not await _dialplan_has(client, PROBE, "agi"):  # an older dialplan
            return CallersState.UNKNOWN
        await client.originate(call | {"Timeout": str(int(CALLERS_SECONDS * 1000))}, {})
    except AmiError:
        return CallersState.UNKNOWN
    await events.wait_for_any((PROBE_REACHED, PROBE_UNREACHED), CALLERS_SECONDS)
    return CallersState.REACHED if PROBE_REACHED in events.names else CallersState.UNREACHED


async def _check_read_rights(client: AmiClient, events: EventCollector) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the missing read rights, and those that cannot be checked.

    Originate a call to the probe context, which sends a UserEvent and hangs up. Without our dialplan the call fails at
    once and shows only the right `call`. The right `agent` would show only in queue events.
    """
    try:
        has_probe = await _dialplan_has(client, PROBE, "s")
        call = {"Channel": f"Local/s@{PROBE}/n", "Application": "NoOp", "ChannelId": str(uuid.uuid4())}
        await client.originate(call | {"Timeout": "1000"}, {})
    except AmiError:
        return (), READ_RIGHTS
    expected = {"OriginateResponse": "call"} | ({PROBE: "user"} if has_probe else {})
    await events.wait_for(expected.keys(), EVENT_SECONDS)
    missing = tuple(right for event, right in expected.items() if event not in events.names)
    return missing, tuple(right for right in READ_RIGHTS if right not in expected.values())
