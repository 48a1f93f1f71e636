"""The API tokens of users: a program that has one acts as its user, within the scopes of the token."""

import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import func, select, update

from app.domain.api_scopes import ApiScope, known_scopes, parse_scopes
from app.domain.text import displayable
from app.services import audit, logins, second_factor
from app.services.audit import AuditAction
from app.services.errors import ErrorCode, Invalid, NotFound, check_line
from app.services.exchanges import ARE_SEVERAL, SeenExchange, seen_by
from app.services.requests.access import Scope, scope_of
from app.store.database import Database
from app.store.models import ApiToken, User
from app.store.settings import read_all

PREFIX = "bzg_"  # so that people and scanners of source code recognise a token
LONGEST_NAME, LONGEST_ADDRESS = 60, 45
MOST_TOKENS = 20  # of a user
LIFETIMES = (30, 90, 365)  # days that a user can choose, besides "never"
WARNED_BEFORE = timedelta(days=14)
_SHOWN = len(PREFIX) + 4  # characters of a token that stay readable, of which four are secret
_TOKEN = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
# How old the stored time of the last use may become. Each write makes all caches outdated.
_USE_AGE = timedelta(minutes=5)


class WrongToken(Exception):
    """There is no such token, or its user may not use the panel."""


class TokenExpired(Exception):
    """The token was right until `at`."""

    def __init__(self, at: datetime) -> None:
        super().__init__(str(at))
        self.at = at


@dataclass(frozen=True)
class ApiAccess:
    """A program that has shown a token. It sees what the user sees who made the token.

    `user` is as in the first exchange until `enter` says which one is meant. `exchanges` are those that they may see.
    """

    token_id: int
    token_name: str
    user: Scope
    scopes: frozenset[ApiScope]
    exchanges: tuple[SeenExchange, ...] = ()

    def enter(self, code: str) -> "ApiAccess":
        """Return the access to an exchange. "": the first one that the user may see. Raises NotFound."""
        found = next((seen for seen in self.exchanges if code in ("", seen.code)), None)
        if found is None:
            raise NotFound(f"exchange {code}")
        return replace(self, user=replace(self.user, extensions=found.extensions), exchanges=(found,))


def list_tokens(database: Database, user_id: int) -> Sequence[ApiToken]:
    """Return the tokens of a user, newest first."""
    query = select(ApiToken).where(ApiToken.user_id == user_id).order_by(ApiToken.id.desc())
    with database.read() as session:
        return session.scalars(query).all()


def create(
    database: Database,
    user_id: int,
    name: str,
    scopes: Collection[str],
    now: datetime,
    *,
    address: str,
    days: int | None = None,
) -> str:
    """Make a token of a user and return it. It cannot be read again. Raises Invalid, and NotFound for the user.

    `days`: after how many it expires, one of LIFETIMES, None: never.
    """
    name = name.strip()
    errors = check_line("name", name, LONGEST_NAME, required=True)
    if days is not None and days not in LIFETIMES:
        errors["lasts"] = ErrorCode.CHOICE
    try:
        chosen = parse_scopes(scopes)
    except ValueError:
        errors["scopes"] = ErrorCode.CHOICE
    else:
        errors |= {} if chosen else {"scopes": ErrorCode.REQUIRED}
    token = PREFIX + secrets.token_urlsafe(32)
    with database.write() as session:
        user = session.get(User, user_id, with_for_update=True)
        if user is None or not user.active:
            raise NotFound(f"user {user_id}")
        own = select(func.count()).select_from(ApiToken).where(ApiToken.user_id == user_id)
        if (session.scalar(own) or 0) >= MOST_TOKENS:
            errors.setdefault("name", ErrorCode.TOO_MANY)
        elif session.scalar(own.where(ApiToken.name == name)) and "name" not in errors:
            errors["name"] = ErrorCode.TAKEN
        if errors:
            raise Invalid(errors)
        stored = [scope.value for scope in ApiScope if scope in chosen]
        session.add(
            ApiToken(
                user_id=user_id,
                name=name,
                digest=_digest(token),
                beginning=token[:_SHOWN],
                scopes=stored,
                created_at=now,
                expires_at=None if days is None else now + timedelta(days=days),
            )
        )
        detail = {"api_token": name, "scopes": [None, stored], "lasts": [None, days], "address": address}
        audit.record(session, user.name, AuditAction.API_TOKEN_ADDED, user.name, detail, now)
    return token


def find(database: Database, token_id: int) -> ApiToken:
    """Return a token by its id. Raises NotFound."""
    with database.read() as session:
        row = session.get(ApiToken, token_id)
    if row is None:
        raise NotFound(f"API token {token_id}")
    return row


def revoke(database: Database, token_id: int, now: datetime, *, actor: str, address: str) -> None:
    """Delete a token. Programs that have it are refused at once. Raises NotFound."""
    with database.write() as session:
        row = session.get(ApiToken, token_id, with_for_update=True)
        if row is None:
            raise NotFound(f"API token {token_id}")
        owner = session.get_one(User, row.user_id).name
        session.delete(row)
        detail = {"api_token": row.name, "address": address}
        audit.record(session, actor, AuditAction.API_TOKEN_REVOKED, owner, detail, now)


def expires_soon(token: ApiToken, now: datetime) -> bool:
    """Tell whether a token expires within WARNED_BEFORE, or has expired."""
    return token.expires_at is not None and token.expires_at <= now + WARNED_BEFORE


def check_token(database: Database, token: str, address: str, now: datetime) -> ApiAccess:
    """Return who calls with this token, and note its use. `database` is that of the first exchange.

    Raises WrongToken, TokenExpired, and TooManyFailures for an address from which too many wrong ones came. A right
    token is accepted from there all the same: nobody can lock out the programs behind a shared address.
    """
    found = _find_by_secret(database, token) if _TOKEN.fullmatch(token) else None
    if found is None:
        logins.count_wrong_token(database, address, now)
        raise WrongToken
    row, user, several = found
    if row.expires_at is not None and row.expires_at <= now:
        raise TokenExpired(row.expires_at)
    if row.used_at is None or not timedelta(0) <= now - row.used_at < _USE_AGE:
        used = update(ApiToken).where(ApiToken.id == row.id)
        with database.write() as session:
            session.execute(used.values(used_at=now, used_from=displayable(address, LONGEST_ADDRESS)))
    seen = seen_by(database, user, several=several)
    return ApiAccess(row.id, row.name, scope_of(user), known_scopes(row.scopes), seen)


def _find_by_secret(database: Database, token: str) -> tuple[ApiToken, User, bool] | None:
    """Return a token, its user, and whether there are several exchanges.

    None: there is no such token, or the user may not use the panel.

    What is compared are digests, whose common beginning with another one says nothing about the token.
    """
    query = select(ApiToken, User, ARE_SEVERAL).join(User, User.id == ApiToken.user_id)
    with database.read() as session:
        found = session.execute(query.where(ApiToken.digest == _digest(token), User.active)).one_or_none()
        stored = read_all(session) if found is not None else {}
    if found is None or second_factor.is_missing(database, found[1], stored):
        return None
    return found[0], found[1], bool(found[2])


def _digest(token: str) -> str:
    """Return what the database stores of a token. It is random and long, so a quick hash will do."""
    return sha256(token.encode()).hexdigest()
