"""The exchanges of the panel: which there are, who may see which, and how one is added."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.errors import InsufficientPrivilege
from sqlalchemy import exists, func, select, text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.orm import Session

from app.config import EXCHANGE_CODE, FIRST_EXCHANGE
from app.services import audit
from app.services.audit import AuditAction
from app.services.errors import ErrorCode, Invalid, NotFound, check_line
from app.store.database import Database
from app.store.exchanges import FIRST, ExchangeKey, Exchanges, create_schema
from app.store.models import Exchange, User, UserExchange
from app.store.user_exchanges import SEES_ALL

LONGEST_NAME = 80
# Whether there is more than one, within a query for something else.
ARE_SEVERAL = exists(select(Exchange.id).where(Exchange.id != FIRST.id))


class NeedsPostgres(Exception):
    """The database is SQLite, which can have one exchange only."""


class MayNotCreate(Exception):
    """The user of the database may not create a schema in it. The message is the database's name."""


@dataclass(frozen=True)
class SeenExchange:
    """An exchange that a user may see, with the user's extensions there. `name` is "" until somebody names it."""

    id: int
    code: str
    name: str = ""
    extensions: tuple[str, ...] = ()


def list_exchanges(database: Database) -> Sequence[Exchange]:
    """Return all exchanges, the first one first."""
    with database.read() as session:
        return session.scalars(select(Exchange).order_by(Exchange.id)).all()


def seen_by(database: Database, user: User, *, several: bool) -> tuple[SeenExchange, ...]:
    """Return the exchanges that a user may see, the first one first. `database` is that of the first exchange.

    `several`: what ARE_SEVERAL has told. Without further ones, nothing is asked.
    """
    own = SeenExchange(FIRST.id, FIRST.code, "", tuple(user.extensions))
    sees_all = user.role == SEES_ALL
    if not several:
        return (own,) if user.sees_first or sees_all else ()
    query = select(Exchange, UserExchange).outerjoin(
        UserExchange, (UserExchange.exchange_id == Exchange.id) & (UserExchange.user_id == user.id)
    )
    with database.read() as session:
        rows = session.execute(query.order_by(Exchange.id)).all()
    found = []
    for row, access in rows:
        if row.id == FIRST.id and (sees_all or user.sees_first):
            found.append(SeenExchange(row.id, row.code, row.name, own.extensions))
        elif row.id != FIRST.id and (sees_all or access is not None):
            extensions = tuple(access.extensions) if access is not None else ()
            found.append(SeenExchange(row.id, row.code, row.name, extensions))
    return tuple(found)


def seen_ids(database: Database, user: User) -> tuple[int, ...]:
    """Return the ids of the exchanges that a user was given. Administrators see the others as well."""
    with database.read() as session:
        further = session.scalars(select(UserExchange.exchange_id).where(UserExchange.user_id == user.id))
        return (*((FIRST.id,) if user.sees_first else ()), *sorted(further))


def create(registry: Exchanges, code: str, name: str, now: datetime, *, actor: str) -> str:
    """Add an exchange with tables of its own, as empty as a new office. Return its code, in small letters.

    Raises Invalid for `code` and `name`, NeedsPostgres and MayNotCreate.
    """
    if not registry.can_be_several:
        raise NeedsPostgres
    code, name = code.strip().lower(), name.strip()
    errors = check_line("name", name, LONGEST_NAME, required=True)
    if not re.fullmatch(EXCHANGE_CODE, code):
        errors["code"] = ErrorCode.EXCHANGE_CODE if code else ErrorCode.REQUIRED
    elif code == FIRST_EXCHANGE:
        errors["code"] = ErrorCode.TAKEN
    try:
        with registry.first.write() as session:
            errors = _find_taken(session, code, name) | errors
            if errors:
                raise Invalid(errors)
            row = Exchange(code=code, name=name, created_at=now)
            session.add(row)
            session.flush()
            shared = session.scalar(text("SELECT current_schema()")) or "public"
            create_schema(session, ExchangeKey(row.id, code, shared))
            audit.record(session, actor, AuditAction.EXCHANGE_ADDED, name, {"code": [None, code]}, now)
            return code
    except IntegrityError as error:  # another transaction was faster
        raise Invalid({"code": ErrorCode.TAKEN}) from error
    except ProgrammingError as error:
        if isinstance(error.orig, InsufficientPrivilege):
            raise MayNotCreate(registry.first.engine.url.database) from error
        raise


def rename(database: Database, exchange_id: int, name: str, now: datetime, *, actor: str) -> None:
    """Give an exchange another name. Raises NotFound and Invalid. `database` is that of the first exchange."""
    name = name.strip()
    errors = check_line("name", name, LONGEST_NAME, required=True)
    with database.write() as session:
        row = session.get(Exchange, exchange_id, with_for_update=True)
        if row is None:
            raise NotFound(f"exchange {exchange_id}")
        if "name" not in errors:
            errors |= _find_taken(session, "", name, but=exchange_id)
        if errors:
            raise Invalid(errors)
        changed = audit.changes({"name": row.name}, {"name": name})
        row.name = name
        if changed:
            audit.record(session, actor, AuditAction.EXCHANGE_RENAMED, name, changed, now)


def _find_taken(session: Session, code: str, name: str, *, but: int = 0) -> dict[str, ErrorCode]:
    others = select(func.count()).select_from(Exchange).where(Exchange.id != but)
    taken = {"code": Exchange.code == code, "name": func.lower(Exchange.name) == name.lower()}
    return {field: ErrorCode.TAKEN for field, same in taken.items() if session.scalar(others.where(same))}
