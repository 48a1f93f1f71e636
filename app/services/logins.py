"""Log users in: count failures, make those who fail wait, ask for the second factor, and write the audit log.

A try is counted before its password or code is checked, so that many tries at the same time count like tries one by
one.
"""

import logging
import secrets
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import delete, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain import login_limits
from app.domain.external_users import ExternalUser
from app.domain.login_limits import FORGOTTEN_AFTER, Counter, Failures
from app.domain.second_factor import LOG_IN_WITHIN, has_lapsed
from app.domain.text import is_displayable
from app.identity.directory import Directory
from app.identity.errors import Refused, Unreachable, WrongCredentials
from app.services import audit, exchanges, identities, second_factor, users
from app.services.audit import AuditAction
from app.services.errors import ErrorCode, Invalid
from app.services.identities import LoginRefused, Refusal
from app.services.second_factor import CodeKind
from app.store.database import Database
from app.store.models import LoginFailures, PendingLogin, User

log = logging.getLogger(__name__)
_OWN = frozenset({Counter.BROWSER, Counter.PAIR})  # counters of the one who logs in


class WrongPassword(Exception):
    """The name or the password is wrong, or the user is not active."""


class WrongCode(Exception):
    """The code of the second factor is wrong, or was used already."""


class CodeNeeded(Exception):
    """The password is right, and the user has a second factor. `token` stands for this log-in until the code comes."""

    def __init__(self, token: str) -> None:
        super().__init__("a code is needed")
        self.token = token


class LoginEnded(Exception):
    """No log-in waits for a code with this token: it took too long, was completed, or its user has changed."""


class TooManyFailures(Exception):
    """Nothing was checked. `wait` is the time until it would be."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__(str(wait))
        self.wait = wait


@dataclass(frozen=True)
class Source:
    """Where somebody logs in. `browser`: the id of a browser that is known for this account, or ""."""

    address: str
    browser: str = ""


def log_in(
    database: Database,
    name: str,
    password: str,
    source: Source,
    now: datetime,
    directory: Directory | None = None,
) -> User:
    """Return the user with this name and password, of the panel or of the directory.

    Raises WrongPassword and TooManyFailures, CodeNeeded for a user with a second factor, LoginRefused, and of the
    directory Unreachable.
    """
    keys = _keys(name, source)
    with database.write() as session:
        _count_try(session, keys, now)
    user, detail = users.check_password(database, name, password), {"address": source.address}
    if user is None and directory is not None and identities.may_ask_directory(database, name):
        try:
            user = _ask_directory(database, directory, name, password, source, now)
        except (Unreachable, LoginRefused):  # nobody has guessed
            with database.write() as session:
                _forgive(session, keys, forget=())
            raise
        detail |= {"source": "ldap"} if user is not None else {}
    if user is not None and not exchanges.sees_any(database, user):
        with database.write() as session:
            _forgive(session, keys, forget=())
        raise identities.refuse(database, user.name, Refusal.NO_EXCHANGE, now, detail)
    token = ""
    with database.write() as session:
        if user is None:
            _record_failure(session, name, source.address, now)
        elif second_factor.find(session, user.id) is not None:
            token = _wait_for_code(session, user, now)  # first: rows of users are locked before counters
            _forgive(session, keys, forget=())  # the password alone forgets no wrong codes
        else:
            _forgive(session, keys)
            audit.record(session, user.name, AuditAction.LOGGED_IN, user.name, detail, now)
    if user is None:
        raise WrongPassword
    if token:
        raise CodeNeeded(token)
    return user


def _ask_directory(
    database: Database,
    directory: Directory,
    name: str,
    password: str,
    source: Source,
    now: datetime,
) -> User | None:
    """Return the user who logs in with the directory, or None for a wrong name or password.

    Raises Unreachable and LoginRefused.
    """
    try:
        external = directory.authenticate(name, password)
    except WrongCredentials:
        return None
    except Refused as refused:
        log.error("the directory cannot be used as it is set up: %s", refused)
        raise LoginRefused(Refusal.UNKNOWN) from refused
    return identities.sign_in(database, directory.settings, external, now, address=source.address)


def log_in_elsewhere(
    database: Database, settings: Settings, external: ExternalUser, now: datetime, *, address: str
) -> User:
    """Return the user whom the provider has logged in, without a code: that is its matter. Raises LoginRefused."""
    user = identities.sign_in(database, settings, external, now, address=address)
    detail = {"address": address, "source": external.source.value}
    if not exchanges.sees_any(database, user):
        raise identities.refuse(database, user.name, Refusal.NO_EXCHANGE, now, detail)
    with database.write() as session:
        audit.record(session, user.name, AuditAction.LOGGED_IN, user.name, detail, now)
    return user


def prove(
    directory: Directory | None, database: Database, name: str, password: str, source: Source, now: datetime
) -> ExternalUser:
    """Return who has this name and password in the directory, without logging anybody in. Tries are limited.

    Raises TooManyFailures, WrongCredentials, Unreachable and Refused.
    """
    keys = _keys(name, source)
    with database.write() as session:
        _count_try(session, keys, now)
    if directory is None:
        raise Unreachable("there is no directory")
    external = directory.authenticate(name, password)
    with database.write() as session:
        _forgive(session, keys, forget=())
    return external


def _wait_for_code(session: Session, user: User, now: datetime) -> str:
    """Store that this log-in waits for a code, and return its token. Delete those that have waited for too long."""
    token = secrets.token_urlsafe(32)
    session.add(PendingLogin(digest=_digest(token), user_id=user.id, generation=user.generation, started_at=now))
    session.flush()
    outdated = or_(PendingLogin.started_at <= now - LOG_IN_WITHIN, PendingLogin.started_at >= now + LOG_IN_WITHIN)
    session.execute(delete(PendingLogin).where(outdated))
    return token


def waiting_user(database: Database, token: str, now: datetime) -> User:
    """Return the user whose log-in waits for a code. Raises LoginEnded."""
    with database.read() as session:
        pending = session.get(PendingLogin, _digest(token))
        user = session.get(User, pending.user_id) if pending is not None else None
        return _checked(pending, user, now)


def enter_code(database: Database, settings: Settings, token: str, code: str, source: Source, now: datetime) -> User:
    """Complete a log-in with a code of the phone or a recovery code, and return the user.

    Raises LoginEnded, WrongCode and TooManyFailures. `source.browser` is the id for the account of `waiting_user`.
    """
    waiting = waiting_user(database, token, now)
    keys = _keys(waiting.name, source, with_code=True)
    with database.write() as session:
        _count_try(session, keys, now)
    with database.write() as session:
        locked = session.get(User, waiting.id, with_for_update=True)
        pending = session.get(PendingLogin, _digest(token))
        user = _checked(pending, locked, now)
        kind = second_factor.use_code(session, settings, user, code, now)
        detail: dict[str, str | int] = {"address": source.address}
        if kind is None:
            audit.record(session, "", AuditAction.CODE_FAILED, user.name, detail, now)
        else:
            session.execute(delete(PendingLogin).where(PendingLogin.digest == _digest(token)))
            _forgive(session, keys)
            if kind is CodeKind.RECOVERY:
                detail["recovery_codes"] = second_factor.count_recovery_codes(session, user.id)
            audit.record(session, user.name, AuditAction.LOGGED_IN, user.name, detail, now)
    if kind is None:
        raise WrongCode
    return user


def _checked(pending: PendingLogin | None, user: User | None, now: datetime) -> User:
    """Return the user if the log-in still waits for a code. Raises LoginEnded."""
    if pending is None or user is None or not user.active or pending.generation != user.generation:
        raise LoginEnded
    if has_lapsed(pending.started_at, now, LOG_IN_WITHIN):
        raise LoginEnded
    return user


def check_again(
    database: Database,
    settings: Settings,
    user_id: int,
    source: Source,
    now: datetime,
    *,
    password: str,
    code: str | None = None,
    directory: Directory | None = None,
) -> None:
    """Check the password of a user who is logged in and, if given, a code. The code is used up.

    Tries are limited like log-ins. Raises NotFound, TooManyFailures, Unreachable, and Invalid for a wrong password or
    code.
    """
    user = users.get(database, user_id)
    keys = _keys(user.name, source, with_code=code is not None)
    with database.write() as session:
        _count_try(session, keys, now)
    if not _is_own_password(database, user, password, directory):
        raise Invalid({"password": ErrorCode.WRONG})
    with database.write() as session:
        locked = session.get_one(User, user_id, with_for_update=True)
        if code is not None and second_factor.use_code(session, settings, locked, code, now) is None:
            raise Invalid({"code": ErrorCode.WRONG_CODE})
        _forgive(session, keys)


def _is_own_password(database: Database, user: User, password: str, directory: Directory | None) -> bool:
    """Return whether this is the password of a user, here or in the directory. Raises Unreachable."""
    if user.password_hash:
        return users.has_password(database, user.id, password)
    for identity in identities.list_identities(database, user.id):
        if directory is not None and identity.source == "ldap":
            try:
                return directory.authenticate(identity.login, password).subject == identity.subject
            except (WrongCredentials, Refused):
                return False
    return False


def account_key(name: str) -> str:
    """Return a digest of the name of an account. Somebody may have typed a password as the name.

    A directory ignores case, width and invisible characters (RFC 4518), so they give nobody another count.
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    seen = "".join(char for char in folded if unicodedata.category(char) != "Cf")
    return sha256(" ".join(seen.split()).encode("utf-8", "replace")).hexdigest()[:32]


def forget_failures(session: Session, name: str) -> None:
    """Let everybody try to log in to this account at once again."""
    session.execute(delete(LoginFailures).where(LoginFailures.key.contains(account_key(name))))


def count_wrong_token(database: Database, address: str, now: datetime) -> None:
    """Count and record an API token that does not exist. Raises TooManyFailures, and then counts nothing."""
    with database.write() as session:
        _count_try(session, {Counter.TOKEN: f"token:{_address_key(address)}"}, now)
        audit.record(session, "", AuditAction.API_TOKEN_REFUSED, "", {"address": address}, now)


def _address_key(address: str) -> str:
    return sha256(login_limits.address_group(address).encode()).hexdigest()[:32]


def _keys(name: str, source: Source, *, with_code: bool = False) -> dict[Counter, str]:
    account, address = account_key(name), _address_key(source.address)
    if source.browser:
        own = f"{source.browser[:40]}:{account}"
        return {Counter.BROWSER: f"browser:{own}"} | ({Counter.CODE: f"code:{own}"} if with_code else {})
    keys = {
        Counter.PAIR: f"pair:{address}:{account}",
        Counter.ACCOUNT: f"account:{account}",
        Counter.ADDRESS: f"address:{address}",
    }
    return keys | ({Counter.CODE: f"code:{account}"} if with_code else {})


def _count_try(session: Session, keys: dict[Counter, str], now: datetime) -> None:
    """Count the try as a failure. Raises TooManyFailures, and then counts nothing."""
    session.execute(delete(LoginFailures).where(LoginFailures.last_at <= now - FORGOTTEN_AFTER))
    rows = _lock(session, keys, now)
    waits = [login_limits.wait(counter, Failures(row.failures, row.last_at), now) for counter, row in rows.items()]
    if (longest := max(waits)) > timedelta(0):
        raise TooManyFailures(longest)
    for row in rows.values():
        row.failures, row.last_at = row.failures + 1, now


def _lock(session: Session, keys: dict[Counter, str], now: datetime) -> dict[Counter, LoginFailures]:
    """Return the locked rows of the counters, created if need be. All lock them in the same order.

    One statement inserts or locks a row. Another log-in may delete it between two.
    """
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    rows = [{"key": key, "failures": 0, "last_at": now} for key in sorted(keys.values())]
    insert = dialect.insert(LoginFailures).values(rows)
    lock = insert.on_conflict_do_update(
        index_elements=[LoginFailures.key], set_={"failures": LoginFailures.failures}
    ).returning(LoginFailures)
    found = {row.key: row for row in session.scalars(lock, execution_options={"populate_existing": True})}
    return {counter: found[key] for counter, key in keys.items()}


def _forgive(session: Session, keys: dict[Counter, str], forget: Collection[Counter] = _OWN) -> None:
    """Forget the failures of the one who has logged in. The counters not in `forget` take back this try only.

    Otherwise somebody with an account could clear the count of an address between guesses at the accounts of others.
    """
    forgotten = {key for counter, key in keys.items() if counter in forget}
    query = select(LoginFailures).where(LoginFailures.key.in_(keys.values())).order_by(LoginFailures.key)
    for row in session.scalars(query.with_for_update()):
        if row.key in forgotten:
            session.delete(row)
        else:
            row.failures = max(row.failures - 1, 0)


def _record_failure(session: Session, name: str, address: str, now: datetime) -> None:
    typed, detail = name.strip(), {"address": address}
    known = is_displayable(typed) and session.scalar(select(User.id).where(User.name == typed)) is not None
    if known:
        audit.record(session, "", AuditAction.LOGIN_FAILED, typed, detail, now)
    else:  # without the name: it may be a password
        audit.record(session, "", AuditAction.UNKNOWN_LOGIN_FAILED, "", detail, now)


def _digest(token: str) -> str:
    return sha256(token.encode("utf-8", "replace")).hexdigest()
