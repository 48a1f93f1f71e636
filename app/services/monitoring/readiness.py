"""Whether Bazang can do its work, for a monitor: database, worker and PBX. It tells no names, addresses or versions."""

import logging
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from app.store import pbx_state, schema
from app.store.database import Database

log = logging.getLogger(__name__)
OK, UNKNOWN = "ok", "unknown"
NO_ANSWER = "no_answer"


@dataclass(frozen=True)
class Readiness:
    """A word for each part: `ok`, what is wrong, or `unknown` if it depends on a part that is wrong.

    `database`: `no_answer`. `tables`: `out_of_date` (or newer than this version). `worker`: `stopped`. `pbx`: the
    status of the connection, such as `down`, `refused` or `not_given`.
    """

    database: str = OK
    tables: str = UNKNOWN
    worker: str = UNKNOWN
    pbx: str = UNKNOWN

    @property
    def is_ready(self) -> bool:
        """Whether every part is in order."""
        return set(asdict(self).values()) == {OK}


def check(database: Database, now: datetime) -> Readiness:
    """Look at each part. Two short reads; raises nothing that a database can raise."""
    try:
        if schema.current_revision(database.engine) != schema.wanted_revision():
            return Readiness(tables="out_of_date")
        with database.read() as session:
            state = pbx_state.worker_state(session)
    except SQLAlchemyError as error:
        log.error("the database does not answer: %s", getattr(error, "orig", error))
        return Readiness(database=NO_ANSWER)
    if not pbx_state.has_heartbeat(state, now):
        return Readiness(tables=OK, worker="stopped")
    connected = state.ami_status == "connected"
    return Readiness(tables=OK, worker=OK, pbx=OK if connected else state.ami_status)
