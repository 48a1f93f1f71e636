"""What a connection test means for the connection that the worker has."""

import asyncio

from app.config import Settings
from app.services.pbx import connection_commands
from app.store import encryption
from app.store.database import Database
from app.store.models import Command
from app.telephony.ami import AmiClient, AmiTimes
from app.telephony.connection_check import ACTIONS
from app.telephony.snapshot import Snapshot
from app.worker.dialplan_file import DialplanFile
from app.worker.pbx_queries import PbxQueries
from script.office.patience import PATIENCE
from tests.support.fake_ami import Action, Connection, FakeAmi, fake_ami, listing

NEVER = 10 * PATIENCE  # seconds


class Pbx:
    """A PBX whose AMI user gets rights. As in Asterisk, a session has those of its log-in."""

    def __init__(self, fake: FakeAmi) -> None:
        self.fake, self.rights = fake, set(ACTIONS)
        self._sessions: dict[Connection, set[str]] = {}
        fake.answers["ListCommands"] = self._list
        fake.answers["Getvar"] = self._getvar
        log_in = fake.answers["Login"]

        async def login(connection: Connection, action: Action) -> None:
            self._sessions[connection] = set(self.rights)
            await log_in(connection, action)

        fake.answers["Login"] = login
        for action in ("QueueStatus", "ExtensionStateList", "ShowDialPlan"):
            fake.answers[action] = listing([], complete=f"{action}Complete")
        fake.answers["Originate"] = self._originate

    async def _list(self, connection: Connection, action: Action) -> None:
        await connection.respond(action, "Success", *((name, "x") for name in self._sessions[connection]))

    async def _getvar(self, connection: Connection, action: Action) -> None:
        await connection.respond(action, "Success", ("Value", "0"))

    async def _originate(self, connection: Connection, action: Action) -> None:
        await connection.respond(action, "Success")
        await connection.send([("Event", "OriginateResponse"), ("ActionID", action.id), ("Response", "Failure")])


async def test_worker_logs_in_again_when_the_pbx_lets_it_do_more(office: Settings, database: Database) -> None:
    async with fake_ami(secret="new") as fake:
        pbx = Pbx(fake)
        times = AmiTimes(refused_pauses=(NEVER,))
        ami = AmiClient(fake.host, fake.port, "bazang", "old", on_event=lambda event: None, times=times)
        queries = PbxQueries(office, ami, Snapshot(""), DialplanFile(office, database, ami))

        async def test(secret: str = "old") -> str:
            given = {"host": fake.host, "port": fake.port, "username": "bazang"}
            asked = {"contexts": (), "outbound": (), "number": "", "everything": False}
            payload = given | {"secret": encryption.encrypt(office, secret), "asked": asked}
            _, result = await queries.answer(Command(kind="test_connection", payload=payload))
            return connection_commands.unpack(result).result

        await ami.start()
        await fake.wait_for("Login")
        assert await test() == "refused"
        fake.secret, pbx.rights = "old", set(ACTIONS) - {"DBGet"}
        assert await test() == "rights_missing"
        await ami.wait_connected(PATIENCE)
        first = fake.connection
        assert await test() == "rights_missing"
        assert not first.closed.is_set(), "a log-in would change nothing"
        pbx.rights = set(ACTIONS)
        assert await test() == "connected"
        async with asyncio.timeout(PATIENCE):
            await first.closed.wait()
        await ami.wait_connected(PATIENCE)
        second = fake.connection
        assert await test() == "connected"
        assert not second.closed.is_set()
        await ami.stop()
