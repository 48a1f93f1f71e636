"""The right to lead on PostgreSQL: a lock that the server takes back from a worker of which it hears nothing.

The lock belongs to a session of its own. The server ends that session when its connection closes (the worker was
killed), and when it has heard nothing for LEASE seconds (the worker is frozen, or cut off). Nobody compares the clocks
of two machines: the server measures the silence by its own clock, the worker by its uptime.

A worker stops dialling MARGIN seconds before the server can end its session. Two things hold even if it goes on,
because its machine stood still together with its clock: `check` refuses each of its transactions once another worker
leads, and the dialplan refuses the attempts that the other has given up (`Dialer.forbid`).
"""

import logging
import os
import platform
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
from sqlalchemy import Engine, event, select
from sqlalchemy.orm import Session

from app.store import pbx_state, workers
from app.store.database import Database
from app.store.exchanges import exchange_of, search_path
from app.store.models import WorkerState
from app.store.uptime import uptime

log = logging.getLogger(__name__)
LEASE = 5.0  # seconds of silence after which the server ends the session
MARGIN = 1.0  # seconds before that we stop: for two clocks that do not go equally fast, and for what is on its way
RENEW = 1.0  # seconds between two signs of life
REPLY = 2.0  # seconds in which the server must answer
LOOK = 0.5  # seconds between two tries of a standby
# Of a transaction in which nothing happens. A frozen worker's transaction has ended when another worker takes over.
IDLE_TRANSACTION = LEASE - MARGIN
_LOCK = "SELECT pg_try_advisory_lock(hashtext(%s))"
_LOCK_OF_FURTHER = "SELECT pg_try_advisory_lock(hashtext(%s), %s::int)"  # locks with two keys are others
_SILENCE_LIMIT = 140000  # version of the server that ends silent sessions


class WorkerRunning(Exception):
    """Another worker is running on this database."""


class Deposed(Exception):
    """Another worker leads now. Nothing of this one counts any more."""


def end_process() -> None:
    """End this process at once. Its supervisor starts it again, as the standby.

    Threads that wait for a lost connection would hold up any other end. What is lost is what a kill loses.
    """
    log.error("another worker leads now: this one ends at once")
    logging.shutdown()
    os._exit(1)


class Lease:
    """The right to lead a database on a PostgreSQL server."""

    def __init__(self, database: Database, *, on_deposed: Callable[[], None] = end_process) -> None:
        self._database, self._on_deposed = database, on_deposed
        self._id, self._host = str(uuid.uuid4()), platform.node()
        self._session: _Session | None = None
        self._until = 0.0  # uptime in seconds until which we may dial
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        _end_idle_transactions(database.engine)  # here, before any thread uses the engine

    def acquire(self) -> None:
        """Acquire the right. Raises WorkerRunning, and the errors of psycopg and SQLAlchemy if the server is away."""
        session = self._session = self._session or self._connect()
        session.show(workers.STANDBY, self._host)
        if not session.lock():
            raise WorkerRunning("another worker is running on this database")
        self._enter()
        self._show_life(session)  # in time, or this raises
        session.show(workers.LEADER, self._host)
        self._stop.clear()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def wait(self, turn: Callable[[], None] = lambda: None) -> None:
        """Wait as the standby until we lead. `turn` is called after each try."""
        said = ""
        while True:
            try:
                self.acquire()
                return
            except WorkerRunning:
                found = "another worker leads, so this one is the standby"
            except Exception as error:  # of the driver or SQLAlchemy: the server is away
                found = f"cannot ask the database who leads: {error}"
                self._drop()
            if found != said:
                log.info(found)
                said = found
            turn()
            time.sleep(LOOK)

    def is_held(self) -> bool:
        """Tell whether we may dial now. Does not block."""
        return _seconds() < self._until

    def check(self, session: Session) -> None:
        """Make sure that a transaction is that of the leader. Raises Deposed.

        Until the transaction ends, nobody can take over: the lock of the row keeps `_enter` waiting.
        """
        row = select(WorkerState.holder).where(WorkerState.id == 1)
        if session.scalar(row.with_for_update(read=True, key_share=True)) != self._id:
            self._depose()
            raise Deposed("another worker leads now")

    def release(self) -> None:
        """Release the right, if it was acquired."""
        self._until = 0.0
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(REPLY * 2)
        self._drop()

    # -- the session ------------------------------------------------------------------------------------------

    def _connect(self) -> "_Session":
        return _Session(self._database.engine)

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _enter(self) -> None:
        """Store that we lead, when all transactions of the leader before us have ended."""
        with self._database.write() as session:
            pbx_state.writable_worker_state(session)
            state = session.get_one(WorkerState, 1, with_for_update=True)
            state.holder = self._id

    def _show_life(self, session: "_Session") -> None:
        began = _seconds()  # the server's silence begins later
        session.ask("SELECT 1")
        self._until = began + LEASE - MARGIN

    def _keep(self) -> None:
        said = ""
        while not self._stop.wait(RENEW):
            try:
                self._renew()
                if said:
                    log.warning("this worker leads again")
                said = ""
            except Exception as error:  # any error of the driver
                if not said:
                    log.error("the database does not answer, so nothing will be dialled: %s", error)
                said = str(error)
                self._drop()
        self._drop()  # also what a renewal has opened since

    def _renew(self) -> None:
        if self._session is not None:
            self._show_life(self._session)
            return
        session = self._connect()
        try:
            is_locked = session.lock()
            if session.ask("SELECT holder FROM worker_state WHERE id = 1") != self._id:
                self._depose()
                return
            if not is_locked:  # our former session has it, which the server does not know to be lost, or a new leader
                raise WorkerRunning("the lock is not free")
            self._show_life(session)
            session.show(workers.LEADER, self._host)
            self._session = session
        finally:
            if self._session is not session:
                session.close()

    def _depose(self) -> None:
        self._until = 0.0
        self._stop.set()
        self._on_deposed()


class _Session:
    """A session for the lock. Each question is answered within REPLY seconds, or raises psycopg.Error."""

    def __init__(self, engine: Engine) -> None:
        self._exchange = exchange_of(engine)
        arguments, options = engine.dialect.create_connect_args(engine.url)
        self._connection = psycopg.connect(*arguments, **{**options, "connect_timeout": 2, "autocommit": True})
        try:
            self._limit_silence()
            if not self._exchange.is_first:
                self.ask("SELECT set_config('search_path', %s, false)", search_path(self._exchange))
        except BaseException:
            self.close()
            raise

    def _limit_silence(self) -> None:
        if self._connection.info.server_version >= _SILENCE_LIMIT:
            self.ask("SELECT set_config('idle_session_timeout', %s, false)", f"{LEASE * 1000:.0f}")
        else:
            log.warning("this PostgreSQL is older than 14: a worker that freezes is not replaced")

    def show(self, role: str, host: str) -> None:
        """Let everybody see who we are."""
        name = workers.session_name(role, host, self._exchange)
        self.ask("SELECT set_config('application_name', %s, false)", name)

    def lock(self) -> bool:
        """Try to lock the right of this exchange. Return whether it is ours."""
        if self._exchange.is_first:
            return bool(self.ask(_LOCK, workers.RIGHT))
        return bool(self.ask(_LOCK_OF_FURTHER, workers.RIGHT, str(self._exchange.id)))

    def ask(self, question: str, *values: str) -> Any:
        """Return the first value of the answer."""
        timer = threading.Timer(REPLY, self._wake)
        timer.daemon = True
        timer.start()
        try:
            row = self._connection.execute(question, values or None).fetchone()
            return row[0] if row is not None else None
        finally:
            timer.cancel()

    def close(self) -> None:
        """Close the session. The server frees its lock."""
        with suppress(psycopg.Error, OSError):
            self._connection.close()

    def _wake(self) -> None:
        """End the wait for an answer that does not come."""
        with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(self._connection.fileno())) as wire:
            wire.shutdown(socket.SHUT_RDWR)


def _end_idle_transactions(engine: Engine) -> None:
    """Let the server end transactions of ours in which nothing happens: they would keep a new leader waiting."""
    if not event.contains(engine, "connect", _limit_transaction):
        event.listen(engine, "connect", _limit_transaction)
        engine.dispose()  # the limit holds for new connections


def _limit_transaction(connection: Any, _record: Any) -> None:
    connection.execute(f"SET idle_in_transaction_session_timeout = {IDLE_TRANSACTION * 1000:.0f}")
    connection.commit()


def _seconds() -> float:
    return uptime().total_seconds()
