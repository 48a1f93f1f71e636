"""A busy hour: six agents, two queues, thirty callers who wait there and thirty requests, all by real phones."""

import asyncio
from dataclasses import dataclass, field
from functools import partial

from app.store.models import QueueRow
from script.office.asterisk import OfficeSetup, QueueSetup
from script.office.bazang import Bazang
from script.office.patience import PATIENCE
from script.office.phone import Call
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import ONE_VERSION, Office

# Two agents serve both queues.
QUEUES = {"800": ("201", "202", "203", "204"), "801": ("203", "204", "205", "206")}
AGENTS = sorted({agent for agents in QUEUES.values() for agent in agents})
EACH = 15  # callers and requests of each queue


def busy_queues(bazang: Bazang) -> None:
    for number, queue in enumerate(QUEUES, 1):
        bazang.module(name=f"Module {number}", code=f"*500{number}", target_kind="queue", targets=(queue,))
        bazang.queue(queue, max_wait=600)


@dataclass
class Hour:
    """The line of each queue by the time of the first call, and who was served, with the time of the ring."""

    office: Office
    line: dict[str, list[str]] = field(default_factory=lambda: {queue: [] for queue in QUEUES})
    served: list[tuple[float, str]] = field(default_factory=list)
    callers: dict[str, Call] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)

    async def fill_the_line(self) -> None:
        """Let callers and requests come in turn, while all agents talk."""
        for turn in range(EACH):
            for number, queue in enumerate(QUEUES, 1):
                request, caller = f"0912100{number}{turn:03}", f"0912200{number}{turn:03}"
                self.requests[request] = self.office.add_request(request, module=number, target=queue)
                self.callers[caller] = await self.office.trunk.call(queue, caller=caller)
                await self.office.bazang.until(partial(self.has_callers, queue, turn + 1), PATIENCE, "the caller waits")
                self.line[queue] += [request, caller]

    def has_callers(self, queue: str, count: int) -> bool:
        """Return whether the worker knows so many callers in a queue."""
        with self.office.bazang.database.read() as session:
            row = session.get(QueueRow, queue)
            return (row.live_callers if row is not None else 0) == count

    async def serve(self, agent: str) -> None:
        """Answer all calls of an agent, and end each talk at once."""
        phone = self.office.phones[agent]
        while True:
            call = await phone.next_call()
            if call.remote in self.callers:
                await call.answer()
                await self.callers[call.remote].wait_answered()
            else:
                await self.office.answer_agent_call(call)
                await self.office.connect_customer(call, self.requests[call.remote])
            self.served.append((call.began_at, call.remote))
            await call.hang_up()


@ONE_VERSION
async def test_callers_and_requests_are_served_side_by_side_in_their_order(open_office: OpenOffice) -> None:
    queues = [
        QueueSetup(name, dict.fromkeys(agents, 0), strategy="rrmemory", extra="retry=1\nautofill=yes")
        for name, agents in QUEUES.items()
    ]
    setup = OfficeSetup(phones=dict.fromkeys(AGENTS, "secret"), queues=queues)
    async with open_office(busy_queues, setup, phones=tuple(AGENTS)) as office:
        hour = Hour(office)
        talks = [await office.occupy(agent, f"091200000{agent}") for agent in AGENTS]
        await office.bazang.until(
            lambda: {office.line_state(agent) for agent in AGENTS} == {"in_call"}, PATIENCE, "all talk"
        )
        await hour.fill_the_line()
        agents = [asyncio.create_task(hour.serve(agent)) for agent in AGENTS]
        for talk in talks:
            await talk.end()

        def are_served() -> bool:
            for agent in agents:
                assert not agent.done() or agent.result()  # it raises what went wrong
            return len(hour.served) == 4 * EACH

        await office.bazang.until(are_served, PATIENCE, "all are served")
        for agent in agents:
            agent.cancel()
        for line in hour.line.values():
            check_order(line, [number for _, number in sorted(hour.served) if number in line])


def check_order(promised: list[str], served: list[str]) -> None:
    """Check that all are served once, each kind in its order, and both kinds side by side.

    As many are served at the same time as there are agents. The PBX looks for a free member once a second, and a busy
    machine may do so before the worker. So callers and requests cannot be compared one by one.
    """
    assert sorted(served) == sorted(promised)
    for kind in (promised[::2], promised[1::2]):
        places = [[number for number in served if number in kind].index(number) for number in kind]
        assert max(abs(place - place_promised) for place_promised, place in enumerate(places)) <= len(AGENTS), served
    for part in (served[: len(served) // 2], served[len(served) // 2 :]):
        requests = sum(number in promised[::2] for number in part)
        assert 0 < requests < len(part), served
