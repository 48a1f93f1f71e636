"""Lead an exchange as a worker does, also in a process of its own."""

import threading
from collections.abc import Callable
from multiprocessing.connection import Connection

from sqlalchemy import create_engine

from app.config import FIRST_EXCHANGE
from app.store.database import Database
from app.store.exchanges import Exchanges
from app.store.settings import write_setting
from app.worker.lease import Lease, end_process


def start_leading(
    url: str, code: str = FIRST_EXCHANGE, *, on_deposed: Callable[[], None] = lambda: None
) -> tuple[Lease, Database]:
    """Lead an exchange of a database on a PostgreSQL server: its write sessions are checked."""
    database = Exchanges(Database(create_engine(url)), {}).find(code)
    lease = Lease(database, on_deposed=on_deposed)
    lease.acquire()
    database.fence = lease.check
    return lease, database


def lead(url: str, told: Connection, code: str = FIRST_EXCHANGE) -> None:
    """Lead an exchange, in the middle of a transaction, until somebody ends this process."""
    _lease, database = start_leading(url, code, on_deposed=end_process)
    with database.write() as session:
        write_setting(session, "stored by", "the first leader")
        told.send("leads")
        threading.Event().wait()
