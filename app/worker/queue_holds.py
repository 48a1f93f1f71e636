"""Pauses of queue members whom we ring, where the dialplan cannot end them rightly.

The dialplan pauses a member while it rings them, and ends the pause with the call (`[bazang-hold]`). It cannot know
that somebody has paused the same member meanwhile. And a crash ends the call, but not the pause, which Asterisk may
remember.
"""

import asyncio
import logging
from collections import defaultdict

from app.services.requests import attempts
from app.store.database import Database
from app.telephony.ami import AmiError
from app.telephony.dialer import Dialer
from app.telephony.snapshot import HeldMember, Snapshot
from app.worker.background import BackgroundTasks

log = logging.getLogger(__name__)


class QueueHolds:
    """The members whom we have paused, according to `snapshot`."""

    def __init__(self, database: Database, snapshot: Snapshot, dialer: Dialer, tasks: BackgroundTasks) -> None:
        self._database, self._snapshot, self._dialer, self._tasks = database, snapshot, dialer, tasks
        self._left: frozenset[HeldMember] = frozenset()  # held at the last look, but for no attempt

    def keep_others(self) -> None:
        """Let a pause outlast ours that somebody else has begun meanwhile. To be called after each change."""
        while self._snapshot.overruled:
            agent = self._snapshot.overruled.pop()
            log.info("agent %s was paused in a queue while they were rung, and stays paused", agent)
            self._tasks.spawn(self._keep(agent))

    async def _keep(self, agent: str) -> None:
        try:
            await self._dialer.keep_paused(agent)
        except AmiError as error:
            log.warning("agent %s: cannot keep their own pause: %s", agent, error)

    async def clean_up(self) -> None:
        """End the pauses that belong to no attempt any more, and did not at the last look. Raises AmiError."""
        self.keep_others()
        held = self._snapshot.held()
        if held:
            in_flight = await asyncio.to_thread(attempts.in_flight, self._database)
            agents = {attempt.agent for attempt in in_flight}
            held = frozenset(member for member in held if member.agent not in agents)
        left, self._left = self._left & held, held
        members = defaultdict[str, list[tuple[str, str]]](list)
        for member in left:
            members[member.agent].append((member.queue, member.interface))
        for agent, its in members.items():
            log.warning("agent %s was still paused by us in queues, which is ended: %s", agent, its)
            await self._dialer.release(agent, its)
