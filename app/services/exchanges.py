"""The exchanges of the panel: which there are, who may see which, and how one is added and removed."""

import logging
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.errors import InsufficientPrivilege, LockNotAvailable
from sqlalchemy import ColumnElement, exists, func, select, text
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from app.config import EXCHANGE_CODE, FIRST_EXCHANGE, Settings
from app.domain.lifecycle import ACTIVE
from app.services import audit
from app.services.audit import AuditAction
from app.services.errors import ErrorCode, Invalid, NotFound, check_line
from app.store import workers
from app.store.database import Database
from app.store.exchanges import (
    FIRST,
    ExchangeKey,
    Exchanges,
    UnknownExchange,
    create_schema,
    drop_schema,
    exchange_of,
)
from app.store.models import (
    Base,
    CallRequest,
    Contact,
    Exchange,
    MissedCall,
    Module,
    Recording,
    User,
    UserExchange,
    Webhook,
    WebsiteForm,
)
from app.store.user_exchanges import SEES_ALL

log = logging.getLogger(__name__)
LONGEST_NAME = 80
LOCK_TIMEOUT = "5s"  # how long a removal waits for transactions that use the exchange
# Whether there is more than one, within a query for something else.
ARE_SEVERAL = exists(select(Exchange.id).where(Exchange.id != FIRST.id))


class NeedsPostgres(Exception):
    """The database is SQLite, which can have one exchange only."""


class MayNotCreate(Exception):
    """The user of the database may not create a schema in it. The message is the database's name."""


class WorkerRuns(Exception):
    """A worker of the exchange leads or stands by. The message is its machine."""


class InUse(Exception):
    """Somebody has used the exchange all the time, so it could not be removed."""


@dataclass(frozen=True)
class Contents:
    """What goes with an exchange: how many rows of each kind.

    `loses`: the names of users who can see no other exchange. `workers`: the machines with a worker that runs.
    """

    requests: int
    active: int
    missed_calls: int
    modules: int
    contacts: int
    recordings: int
    webhooks: int
    website_forms: int
    loses: tuple[str, ...]
    workers: tuple[str, ...]


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


def without_any(database: Database) -> frozenset[int]:
    """Return the ids of the active users who may see no exchange, and so cannot log in."""
    given = exists().where(UserExchange.user_id == User.id)
    query = select(User.id).where(User.active, User.role != SEES_ALL, ~User.sees_first, ~given)
    with database.read() as session:
        return frozenset(session.scalars(query))


def sees_any(database: Database, user: User) -> bool:
    """Tell whether a user may see any exchange. Without one, nobody logs in."""
    return user.role == SEES_ALL or bool(seen_ids(database, user))


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


def count_contents(registry: Exchanges, code: str) -> Contents:
    """Return what goes with a further exchange. Raises UnknownExchange, also for the first one."""
    if code == FIRST_EXCHANGE:
        raise UnknownExchange(code)
    database = registry.find(code)
    key = exchange_of(database.engine)
    here = select(UserExchange.user_id).where(UserExchange.exchange_id == key.id)
    elsewhere = select(UserExchange.user_id).where(UserExchange.exchange_id != key.id)
    loses = select(User.name).where(
        User.role != SEES_ALL, ~User.sees_first, User.id.in_(here), User.id.not_in(elsewhere)
    )
    with database.read() as session:

        def count(table: type[Base], *conditions: ColumnElement[bool]) -> int:
            return session.scalar(select(func.count()).select_from(table).where(*conditions)) or 0

        return Contents(
            requests=count(CallRequest),
            active=count(CallRequest, CallRequest.status.in_(ACTIVE)),
            missed_calls=count(MissedCall),
            modules=count(Module),
            contacts=count(Contact),
            recordings=count(Recording),
            webhooks=count(Webhook),
            website_forms=count(WebsiteForm),
            loses=tuple(session.scalars(loses.order_by(User.name))),
            workers=tuple(workers.running(session, key)),
        )


def remove(registry: Exchanges, settings: Settings, code: str, typed: str, now: datetime, *, actor: str) -> None:
    """Remove a further exchange with all that is in it, when its worker does not run. `typed` confirms the code.

    `settings` are those of the panel. The files of its prompts are deleted on this machine only. Raises
    UnknownExchange, also for the first one, Invalid for `code`, WorkerRuns and InUse. Nothing has changed then.
    """
    if code == FIRST_EXCHANGE:
        raise UnknownExchange(code)
    if typed.strip().lower() != code:
        raise Invalid({"code": ErrorCode.CODE_DIFFERS if typed.strip() else ErrorCode.REQUIRED})
    try:
        with registry.first.write() as session:
            row = session.scalar(select(Exchange).where(Exchange.code == code).with_for_update())
            if row is None:
                raise UnknownExchange(code)
            key = ExchangeKey(row.id, code)
            session.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
            running = workers.running(session, key)
            if not workers.lock_out(session, key) or running:
                raise WorkerRuns(", ".join(running))
            drop_schema(session.connection(), key)
            session.delete(row)
            audit.record(session, actor, AuditAction.EXCHANGE_REMOVED, row.name, {"code": [code, None]}, now)
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            raise InUse from error
        raise
    registry.close(code)
    _delete_files(settings.for_exchange(code))


def _delete_files(settings: Settings) -> None:
    """Delete the prompts of a removed exchange. What cannot be deleted stays, since the exchange is gone already."""
    try:
        shutil.rmtree(settings.prompts_path)
    except FileNotFoundError:  # it had none
        pass
    except OSError as error:
        log.warning("not all prompts of a removed exchange could be deleted: %s", error)


def _find_taken(session: Session, code: str, name: str, *, but: int = 0) -> dict[str, ErrorCode]:
    others = select(func.count()).select_from(Exchange).where(Exchange.id != but)
    taken = {"code": Exchange.code == code, "name": func.lower(Exchange.name) == name.lower()}
    return {field: ErrorCode.TAKEN for field, same in taken.items() if session.scalar(others.where(same))}
