"""The guard of the agent's line: of two calls of ours at the same time, one rings.

Nothing else can make sure of it if an order comes late, or a phone is tested while its agent is rung for a request.
"""

import asyncio
import uuid
from typing import Any

import pytest

from app.domain.lifecycle import Outcome
from app.telephony.ami import AmiClient
from app.telephony.attempts import AttemptFollower, EndReport
from app.telephony.dialer import Dialer
from script.office.asterisk import OfficeSetup
from script.office.patience import PATIENCE
from tests.asterisk.conftest import OpenOffice
from tests.asterisk.office import Office, phone_secrets

LINES, ROUNDS = 10, 20  # 200 pairs
AGENTS = tuple(str(101 + number) for number in range(LINES))


class Orders:
    """Two connections to the PBX, as two workers have them, and what became of their orders."""

    def __init__(self, office: Office) -> None:
        asterisk = office.bazang.asterisk
        login = "127.0.0.1", asterisk.ami_port, asterisk.ami_username, asterisk.ami_secret
        self.follower = AttemptFollower()
        self.clients = [AmiClient(*login, on_event=self._handle), AmiClient(*login, on_event=lambda event: None)]
        self.dialers = [Dialer(client, self.follower) for client in self.clients]
        self.ends: dict[str, asyncio.Future[Outcome]] = {}

    async def start(self) -> None:
        for client in self.clients:
            await client.start()
            await client.wait_connected(PATIENCE)

    async def stop(self) -> None:
        for client in self.clients:
            await client.stop()

    async def ring_twice(self, extension: str) -> list[str]:
        """Order two calls to an extension at the same time. Return their UUIDs."""
        calls = [str(uuid.uuid4()) for _ in self.dialers]
        self.ends |= {call: asyncio.get_running_loop().create_future() for call in calls}
        device, hint = f"PJSIP/{extension}", f"{extension}@office-hints"
        orders = zip(self.dialers, calls, strict=True)
        await asyncio.gather(*(dialer.ring(call, extension, device, hint, 20) for dialer, call in orders))
        return calls

    def _handle(self, event: Any) -> None:
        match self.follower.handle(event):
            case EndReport(call, outcome):
                self.ends[call].set_result(outcome)


@pytest.mark.slow
@pytest.mark.long
async def test_one_of_two_calls_at_the_same_time_rings(open_office: OpenOffice) -> None:
    async def race(office: Office, orders: Orders, extension: str) -> None:
        phone = office.phones[extension]
        phone.call_waiting = True
        for number in range(1, ROUNDS + 1):
            calls = await orders.ring_twice(extension)
            ring = await phone.next_call()
            ends = [orders.ends[call] for call in calls]
            async with asyncio.timeout(PATIENCE):
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            assert [end.result() for end in ends if end.done()] == [Outcome.AGENT_TAKEN]
            assert len(phone.invites) == number, "never twice"
            ring.reject()
            async with asyncio.timeout(PATIENCE):
                assert sorted(await asyncio.gather(*ends)) == [Outcome.AGENT_BUSY, Outcome.AGENT_TAKEN]
            assert len(phone.invites) == number, "and not after the other one either"
            await office.wait_until_idle(extension)

    async with open_office(lambda b: b.module(), OfficeSetup(phones=phone_secrets(AGENTS)), phones=AGENTS) as office:
        orders = Orders(office)
        await orders.start()
        await asyncio.gather(*(race(office, orders, extension) for extension in AGENTS))
        await orders.stop()
