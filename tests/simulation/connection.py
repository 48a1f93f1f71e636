"""The worker's connection to the model exchange: it answers as `AmiClient` does, and has the faults of a network."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.telephony.ami import AmiDisconnected, AmiRefused, AmiTimeout
from tests.simulation.exchange import Exchange, Row

TIMEOUT = 5.0  # seconds, as in AmiTimes
SILENT_AFTER = 15.0


class Network:
    """What is between worker and exchange. Times are those of the loop, in seconds.

    `point` is called wherever something may happen in between. `latency` returns seconds.
    """

    def __init__(self, exchange: Exchange, point: Callable[[str], None], latency: Callable[[], float]) -> None:
        self.exchange, self.point, self.latency = exchange, point, latency
        self.down_until = self.slow_until = self.late_until = self.doubled_until = 0.0
        self.lose_answers = 0
        self.hold_order = 0.0  # seconds: the next order loses its connection, but is carried out so much later
        self.on_held_order: Callable[[float], None] = lambda seconds: None
        self.client: ModelAmi | None = None
        exchange.emit = self._emit

    def _emit(self, event: Row, of_device: bool) -> None:
        if self.client is not None:
            self.client.receive(event, of_device)

    def cut(self, seconds: float) -> None:
        self.down_until = max(self.down_until, asyncio.get_running_loop().time() + seconds)
        if self.client is not None:
            self.client.drop()


@dataclass(frozen=True)
class _Request:
    """An action under way."""

    connection: int
    action: str
    headers: Mapping[str, str]
    variables: Mapping[str, str]
    future: "asyncio.Future[list[Row]]"
    apply: Callable[[Sequence[Row]], object] | None


class ModelAmi:
    """The AMI client of one worker. `connected` and the errors are those of `AmiClient`."""

    def __init__(self, network: Network, on_event: Callable[[Row], None], on_state: Callable[[bool], None]) -> None:
        self._network, self._on_event, self._on_state = network, on_event, on_state
        self._loop = asyncio.get_running_loop()
        self.connected = False
        self._connection = 0  # its number; what belongs to an earlier one is lost
        self._lost = asyncio.Event()
        self._pending: dict[asyncio.Future[list[Row]], list[Row] | None] = {}
        self._delivered = {True: 0.0, False: 0.0}  # when the last event of a device, or any other, arrives

    async def run(self) -> None:
        """Stay connected."""
        network = self._network
        pauses = 0
        while True:
            now = self._loop.time()
            reachable = not network.exchange.is_dead and now >= max(network.down_until, network.exchange.frozen_until)
            if not reachable:
                await asyncio.sleep((0.25, 0.5, 1, 2)[min(pauses, 3)])
                pauses += 1
                continue
            await asyncio.sleep(0.2 + network.latency())
            if self._loop.time() < network.down_until or network.exchange.is_dead:
                continue
            pauses = 0
            self._connection += 1
            self._lost.clear()
            self.connected, network.client = True, self
            network.exchange.logged_in.set()
            self._on_state(True)
            watch = self._loop.create_task(self._watch())
            try:
                await self._lost.wait()
            finally:
                watch.cancel()
            self._on_state(False)
            await asyncio.sleep(0.25)

    async def _watch(self) -> None:
        """Give up a connection that is silent."""
        while True:
            await asyncio.sleep(SILENT_AFTER)
            if self._network.exchange.frozen_until - self._loop.time() > 0.1:
                self.drop()

    def drop(self) -> None:
        """Lose the connection."""
        if not self.connected:
            return
        self.connected = False
        self._connection += 1
        if self._network.client is self:
            self._network.client = None
            self._network.exchange.logged_in.clear()
        for future in list(self._pending):
            if not future.done():
                future.set_exception(AmiDisconnected("the connection to the PBX was lost"))
        self._lost.set()

    # -- events ----------------------------------------------------------------------------------------------------

    def receive(self, event: Row, of_device: bool) -> None:
        """Let an event arrive. Those of devices are not in order with the others."""
        now, network = self._loop.time(), self._network
        at = self._arrival(of_device)
        self._loop.call_at(at, self._handle, self._connection, event)
        if now < network.doubled_until:
            self._loop.call_at(at, self._handle, self._connection, event)

    def _arrival(self, of_device: bool = False) -> float:
        network = self._network
        at = max(self._loop.time() + network.latency(), network.late_until, self._delivered[of_device] + 1e-6)
        self._delivered[of_device] = at
        return at

    def _handle(self, connection: int, event: Row) -> None:
        self._network.point("event")
        if connection != self._connection:
            return
        for rows in self._pending.values():
            if rows is not None:
                rows.append(event)
        self._on_event(event)
        self._network.point("after an event")

    # -- actions ---------------------------------------------------------------------------------------------------

    async def send(
        self,
        action: str,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        *,
        variables: Mapping[str, str] | None = None,
    ) -> Row:
        return (await self._request(action, dict(headers), variables or {}))[0]

    async def collect(self, action: str, headers: Mapping[str, str] | Sequence[tuple[str, str]] = ()) -> list[Any]:
        return await self._request(action, dict(headers), {})

    async def originate(self, headers: Mapping[str, str], variables: Mapping[str, str]) -> None:
        await self._request("Originate", headers, variables)

    async def apply_list(self, action: str, apply: Callable[[Sequence[Row]], object]) -> None:
        await self._request(action, {}, {}, apply)

    async def _request(
        self,
        action: str,
        headers: Mapping[str, str],
        variables: Mapping[str, str],
        apply: Callable[[Sequence[Row]], object] | None = None,
    ) -> list[Row]:
        if not self.connected:
            raise AmiDisconnected("not connected to the PBX")
        request = _Request(self._connection, action, headers, variables, self._loop.create_future(), apply)
        self._pending[request.future] = [] if apply is not None else None
        self._loop.call_later(self._network.latency(), self._arrive, request)
        try:
            async with asyncio.timeout(TIMEOUT):
                return await request.future
        except TimeoutError:
            raise AmiTimeout(f"no answer to {action}") from None
        finally:
            self._pending.pop(request.future, None)

    def _arrive(self, request: _Request) -> None:
        exchange = self._network.exchange
        self._network.point(f"{request.action} arrives")
        if request.action == "Originate" and self._network.hold_order and request.connection == self._connection:
            seconds, self._network.hold_order = self._network.hold_order, 0.0
            self._loop.call_later(seconds, self._carry_out_late, request, exchange.deaths)
            self._network.on_held_order(seconds)
            self._network.cut(0)
            return
        if self._loop.time() < exchange.frozen_until:  # it lies in the buffer, even if the worker dies
            self._loop.call_at(exchange.frozen_until, self._carry_out, request)
        elif request.connection == self._connection:
            self._carry_out(request)

    def _carry_out_late(self, request: _Request, deaths: int) -> None:
        if self._network.exchange.deaths == deaths:
            self._arrive(replace(request, connection=self._connection))

    def _carry_out(self, request: _Request) -> None:
        network = self._network
        if network.exchange.is_dead:
            return
        error: Exception | None = None
        rows: list[Row] = []
        try:
            rows = network.exchange.carry_out(request.action, request.headers, request.variables)
        except AmiRefused as refusal:
            error = refusal
        network.point(f"{request.action} was carried out")
        if network.lose_answers:
            network.lose_answers -= 1
            return
        at = self._arrival()
        if self._loop.time() < network.slow_until:
            at += 100 * network.latency()
        # One stream: what happens from now on arrives behind this answer.
        self._delivered = {of_device: max(at, last) for of_device, last in self._delivered.items()}
        self._loop.call_at(at, self._answer, request, rows, error)

    def _answer(self, request: _Request, rows: list[Row], error: Exception | None) -> None:
        if request.connection != self._connection or request.future.done():
            return
        if error is not None:
            request.future.set_exception(error)
            return
        if request.apply is not None:
            request.apply([*(self._pending.get(request.future) or []), *rows])
        request.future.set_result(rows)
