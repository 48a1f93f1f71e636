"""Who waits for a lock of a PostgreSQL server."""

import time

from app.store.database import Database
from script.office.patience import PATIENCE


def wait_for_a_waiter(database: Database) -> None:
    """Return as soon as a session of this database waits for a lock of another one.

    PostgreSQL has no event for it, so this asks again and again. Each question is a transaction of its own, because
    PostgreSQL may repeat its first answer within one.
    """
    deadline = time.monotonic() + PATIENCE
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not connection.exec_driver_sql(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN"
            " (SELECT pid FROM pg_stat_activity WHERE datname = current_database())"
        ).scalar():
            assert time.monotonic() < deadline, "nobody waits"
            time.sleep(0.01)
