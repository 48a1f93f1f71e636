"""Which workers there are on a PostgreSQL server: each shows itself by the name of the session that is for its lock."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.store.exchanges import FIRST, ExchangeKey, exchange_of

LEADER, STANDBY = "bazang leader", "bazang standby"
RIGHT = "bazang worker"  # the key of the lock that the leader has, together with the id of a further exchange
_LONGEST_NAME = 63  # bytes, as PostgreSQL keeps them
_WORKERS = text(
    "SELECT substr(application_name, :skipped) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name LIKE :prefix ORDER BY 1"
)


def session_name(role: str, host: str, exchange: ExchangeKey = FIRST) -> str:
    """Return the name of the session of a worker."""
    return f"{_role_in(role, exchange)} {host}"[:_LONGEST_NAME]


def _role_in(role: str, exchange: ExchangeKey) -> str:
    return role if exchange.is_first else f"{role}@{exchange.code}"


def standbys(session: Session) -> list[str] | None:
    """Return the machines whose workers stand by. On SQLite there cannot be any: None."""
    if session.get_bind().dialect.name != "postgresql":
        return None
    return _hosts(session, _role_in(STANDBY, exchange_of(session)))


def running(session: Session, exchange: ExchangeKey) -> list[str]:
    """Return the machines on which workers of an exchange lead or stand by, on a PostgreSQL server."""
    roles = (LEADER, STANDBY)
    return sorted({host for role in roles for host in _hosts(session, _role_in(role, exchange))})


def _hosts(session: Session, role: str) -> list[str]:
    return list(session.scalars(_WORKERS, {"prefix": f"{role} %", "skipped": len(role) + 2}))


def lock_out(session: Session, exchange: ExchangeKey) -> bool:
    """Keep workers of a further exchange from leading until the transaction ends. Return whether none leads."""
    return bool(session.scalar(select(func.pg_try_advisory_xact_lock(func.hashtext(RIGHT), exchange.id))))


def clock_skew(session: Session) -> timedelta:
    """Return by how much the clock of this machine is ahead of that of the server. SQLite has no clock of its own."""
    if session.get_bind().dialect.name != "postgresql":
        return timedelta(0)
    before = datetime.now(UTC)
    there: datetime = session.scalars(text("SELECT clock_timestamp()")).one()
    return before + (datetime.now(UTC) - before) / 2 - there
