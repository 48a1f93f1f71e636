"""The exchanges (PBXs) of one panel, such as those of branches.

The first exchange is what an office with a single one has: it lies in the database's own schema. On PostgreSQL there
can be further ones. Each has a schema of its own with the same tables, and a connection to it looks there first
(`search_path`). So no query names an exchange, and none can forget to. Tables of users belong to the panel. They are
in the schema of the first exchange only, where the connections of all exchanges find them.

A table of an exchange that is missing in its schema would be found there as well, with the rows of another exchange.
So each new connection checks that its schema is complete, or fails. An exchange can be removed while connections to it
are open: each transaction locks a table of its schema against that, or fails.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, create_engine, event, func, inspect, select, text
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session
from sqlalchemy.schema import CreateSchema, DropSchema

from app.config import FIRST_EXCHANGE
from app.store.database import Database
from app.store.models import Base, Exchange

# Tables of the panel. All others belong to an exchange.
SHARED_TABLES = frozenset(
    {
        *("users", "user_sessions", "user_identities", "second_factors", "recovery_codes"),
        *("pending_logins", "login_failures", "notification_preferences", "push_subscriptions", "api_tokens"),
        *("exchanges", "user_exchanges"),
    }
)
EXCHANGE_TABLES = frozenset(
    {
        *("modules", "former_codes", "prompts", "recordings", "digit_recordings", "prompt_recordings", "studio_calls"),
        *("extension_scenarios", "queue_scenarios", "missed_call_rules", "missed_calls", "call_requests"),
        *("spoken_names", "contacts", "contact_numbers", "contact_imports", "looked_up_names", "last_talks"),
        *("attempts", "routes", "history", "listed_numbers", "number_rules", "special_days"),
        *("refused_registrations", "kept_registrations", "lines", "queues", "queue_members", "pbx_destinations"),
        *("worker_state", "numbers_on_line", "commands", "log_entries", "settings", "push_messages", "api_answers"),
        *("sounds", "counts", "website_forms", "webhooks", "webhook_messages", "saved_filters"),
    }
)
VERSION_TABLE = "alembic_version"
_OPTION = "bazang_exchange"
# Most requests are for the first exchange. PostgreSQL has 100 connections by default.
_POOL: Mapping[str, Any] = {"pool_size": 2, "max_overflow": 8}
_TABLES_OF = text("SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = :schema").bindparams(
    bindparam("schema")
)
_REFERENCES_TO = text(
    """
    SELECT source.relname AS "table", conname AS name, pg_get_constraintdef(pg_constraint.oid) AS definition
    FROM pg_constraint JOIN pg_class source ON source.oid = conrelid JOIN pg_class target ON target.oid = confrelid
    WHERE contype = 'f' AND source.relnamespace = CAST(:schema AS regnamespace)
    AND target.relnamespace = source.relnamespace
    AND target.relname = ANY(:shared) AND NOT source.relname = ANY(:shared)
    """
)


class IncompleteSchema(InvalidRequestError):
    """The schema of an exchange does not exist, or lacks tables."""


class UnknownExchange(Exception):
    """There is no exchange with this code."""


@dataclass(frozen=True)
class ExchangeKey:
    """Which exchange a connection belongs to. `shared`: the schema with the tables of the panel, "" for the first."""

    id: int = 1
    code: str = FIRST_EXCHANGE
    shared: str = ""

    @property
    def is_first(self) -> bool:
        return self.id == 1

    @property
    def schema(self) -> str:
        """The schema of a further exchange."""
        return schema_of(self.code)

    @property
    def suffix(self) -> str:
        """What is added to a name that must differ from that of other exchanges. "" for the first."""
        return "" if self.is_first else f"_{self.code}"


FIRST = ExchangeKey()


def schema_of(code: str) -> str:
    """Return the name of the schema of a further exchange."""
    return f"exchange_{code}"


def exchange_of(bound: Session | Connection | Engine) -> ExchangeKey:
    """Return the exchange of a session, a connection or an engine."""
    bind = bound.get_bind() if isinstance(bound, Session) else bound
    key: ExchangeKey = bind.get_execution_options().get(_OPTION, FIRST)
    return key


def mark(connection: Connection, key: ExchangeKey) -> None:
    """Say to which exchange a connection belongs from now on."""
    connection.execution_options(**{_OPTION: key})


class Exchanges:
    """The databases of all exchanges of a process, opened when they are first asked for. Safe for threads.

    `options` are those of the first engine.
    """

    def __init__(self, first: Database, options: Mapping[str, Any]) -> None:
        self.first = first
        self._options = options
        self._lock = threading.Lock()
        self._opened: dict[str, Database] = {}
        event.listen(first.engine, "engine_disposed", lambda _engine: self.dispose())

    @property
    def can_be_several(self) -> bool:
        """Whether the database can have further exchanges."""
        return self.first.engine.dialect.name == "postgresql"

    def find(self, code: str) -> Database:
        """Return the database of an exchange. Raises UnknownExchange, and what a database can raise."""
        if code == FIRST_EXCHANGE:
            return self.first
        if not self.can_be_several:
            raise UnknownExchange(code)
        with self.first.read() as session:
            found = session.scalar(select(Exchange.id).where(Exchange.code == code))
            shared = session.scalar(select(func.current_schema())) or "public"
        with self._lock:
            opened = self._opened.get(code)
            if opened is not None and exchange_of(opened.engine).id != found:  # another process has removed it
                del self._opened[code]
                opened.engine.dispose()
            if found is None:
                raise UnknownExchange(code)
            if code not in self._opened:
                self._opened[code] = Database(self._open(ExchangeKey(found, code, shared)))
            return self._opened[code]

    def close(self, code: str) -> None:
        """Close the connections to a further exchange, if there are any."""
        with self._lock:
            opened = self._opened.pop(code, None)
        if opened is not None:
            opened.engine.dispose()

    def dispose(self) -> None:
        """Close all connections to further exchanges."""
        with self._lock:
            opened, self._opened = self._opened, {}
        for database in opened.values():
            database.engine.dispose()

    def _open(self, key: ExchangeKey) -> Engine:
        options = {**self._options, **_POOL, "execution_options": {_OPTION: key}}
        engine = create_engine(self.first.engine.url, **options)
        event.listen(engine, "connect", _enter(key))
        event.listen(engine, "begin", _hold(key))
        return engine


def _enter(key: ExchangeKey) -> Callable[[Any, Any], None]:
    def enter(connection: Any, _record: Any) -> None:
        """Let a new connection of the driver look into the schema of its exchange first."""
        rows = connection.execute("SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = %s", (key.schema,))
        _check(key.schema, {name for (name,) in rows.fetchall()})
        connection.execute(search_path_sql(key))
        connection.commit()

    return enter


def _hold(key: ExchangeKey) -> Callable[[Connection], None]:
    def hold(connection: Connection) -> None:
        """Keep the schema from being dropped before the transaction ends. Raises ProgrammingError if it is gone."""
        connection.exec_driver_sql(f'SELECT FROM "{key.schema}".{VERSION_TABLE}')

    return hold


def search_path_sql(key: ExchangeKey, *, local: bool = False) -> str:
    """Return the statement by which a connection looks into the schema of a further exchange first."""
    return f"SET {'LOCAL ' if local else ''}search_path TO {search_path(key)}"


def search_path(key: ExchangeKey) -> str:
    """Return where a connection to a further exchange looks for tables."""
    return f'"{key.schema}", "{key.shared}"'


def _check(schema: str, found: set[str]) -> None:
    missing = (EXCHANGE_TABLES | {VERSION_TABLE}) - found
    if missing:
        raise IncompleteSchema(f"the schema {schema} has no {', '.join(sorted(missing))}")
    if strangers := SHARED_TABLES & found:
        raise IncompleteSchema(f"the schema {schema} has tables of the panel: {', '.join(sorted(strangers))}")


# -- creating and migrating -------------------------------------------------------------------------------------------


def create_schema(session: Session, key: ExchangeKey) -> None:
    """Create the schema of a further exchange with its tables, as empty as a new office, in this transaction."""
    connection = session.connection()
    connection.execute(CreateSchema(key.schema))
    with inside(connection, key):
        tables = [table for table in Base.metadata.sorted_tables if table.name in EXCHANGE_TABLES]
        Base.metadata.create_all(connection, tables, checkfirst=False)
        _create_version_table(connection)
        version = f'"{key.shared}".{VERSION_TABLE}'
        connection.execute(text(f"INSERT INTO {VERSION_TABLE} SELECT * FROM {version}"))  # noqa: S608 - names of ours


def _create_version_table(connection: Connection) -> None:
    primary = f"CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY"  # as Alembic makes it
    connection.execute(text(f"CREATE TABLE {VERSION_TABLE} (version_num varchar(32) NOT NULL {primary})"))


def drop_schema(connection: Connection, key: ExchangeKey) -> None:
    """Drop the schema of a further exchange with all that is in it, when its running transactions have ended."""
    connection.execute(DropSchema(key.schema, cascade=True))


@contextmanager
def inside(connection: Connection, key: ExchangeKey) -> Iterator[None]:
    """Let a transaction on a connection to the first exchange look into the schema of another one first."""
    connection.execute(text(search_path_sql(key, local=True)))
    yield  # after an exception, the transaction is rolled back, and with it the path
    connection.execute(text(f'SET LOCAL search_path TO "{key.shared}"'))


# An exchange whose tables are those of an older version is made in three steps, see services/backup.py: an empty schema
# is reserved, the migrations fill it like a first exchange, and then it shares the tables of the panel.


def reserve_schema(connection: Connection, code: str) -> None:
    """Create an empty schema. Raises InternalError if there is one with tables that belongs to no exchange."""
    connection.execute(DropSchema(schema_of(code), if_exists=True))
    connection.execute(CreateSchema(schema_of(code)))


def prepare_migration(connection: Connection, key: ExchangeKey) -> None:
    """Let the migrations run from the first one on in a reserved schema, the next time they are run."""
    with inside(connection, key):
        _create_version_table(connection)


def share_tables(connection: Connection, key: ExchangeKey) -> None:
    """Replace the tables of the panel that the migrations have created in a schema by those that all share."""
    shared = sorted(SHARED_TABLES & tables_of(connection, key))
    with inside(connection, key):
        references = connection.execute(_REFERENCES_TO, {"schema": f'"{key.schema}"', "shared": shared}).all()
        for name in shared:
            connection.execute(text(f'DROP TABLE "{key.schema}"."{name}" CASCADE'))
        for row in references:  # the definition names the table without its schema, so it now means the shared one
            connection.execute(text(f'ALTER TABLE "{row.table}" ADD CONSTRAINT "{row.name}" {row.definition}'))


def list_further(connection: Connection) -> list[ExchangeKey]:
    """Return the further exchanges of a database, whatever its revision."""
    if connection.dialect.name != "postgresql" or not inspect(connection).has_table(Exchange.__tablename__):
        return []
    shared = connection.scalar(text("SELECT current_schema()")) or "public"
    rows = connection.execute(text("SELECT id, code FROM exchanges WHERE id <> 1 ORDER BY id"))
    return [ExchangeKey(row.id, row.code, shared) for row in rows]


def tables_of(connection: Connection, key: ExchangeKey) -> set[str]:
    """Return the names of the tables in the schema of a further exchange."""
    return set(connection.scalars(_TABLES_OF, {"schema": key.schema}))


def enter_for_migration(connection: Connection, key: ExchangeKey) -> None:
    """Let a transaction see the schema of an exchange, whose tables may be those of an older version."""
    if VERSION_TABLE not in tables_of(connection, key):
        raise IncompleteSchema(f"the schema {key.schema} has no {VERSION_TABLE}")
    connection.execute(text(search_path_sql(key, local=True)))
    mark(connection, key)


def changes_shared_tables(connection: Connection) -> bool:
    """Tell whether a migration that runs on this connection changes the tables of the panel.

    Migrations run once for each exchange, so they ask this before they change a table of SHARED_TABLES.
    """
    return exchange_of(connection).is_first
