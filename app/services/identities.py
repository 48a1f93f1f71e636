"""Users who log in elsewhere: with an OpenID Connect provider or an LDAP directory.

Issuer and subject identify an account. A name or an e-mail address never does. A user who already has an account links
it while logged in. All others get an account without a password at their first log-in. Each log-in sets the role by the
groups. With several exchanges, it is an administrator who says which of them a new user may see.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain.external_users import ExternalUser, RoleGroups, Source, fold_group, split_groups
from app.domain.text import is_displayable
from app.services import audit, exchanges, users
from app.services.audit import AuditAction
from app.services.errors import Invalid, NotFound
from app.services.exchanges import ARE_SEVERAL
from app.services.setup import first_administrator
from app.services.users import LONGEST_NAME, UserInput
from app.store.database import Database, Joined
from app.store.exchanges import FIRST
from app.store.models import User, UserIdentity
from app.store.user_exchanges import SEES_ALL

LONGEST_ID = 255  # characters of an issuer and of a subject
log = logging.getLogger(__name__)


class Refusal(StrEnum):
    """Why somebody who is right elsewhere may not log in here."""

    NO_GROUP = "no_group"  # no group gives a role
    INACTIVE = "inactive"  # the user is deactivated in the panel
    NAME_TAKEN = "name_taken"  # another user has the name
    NO_NAME = "no_name"  # none, or one that cannot be displayed
    NO_ADMINISTRATOR = "no_administrator"  # the panel has no administrator of its own yet
    UNKNOWN = "unknown"  # the provider's answer does not count
    NO_EXCHANGE = "no_exchange"  # the user may see none
    LINKED = "linked"  # somebody else is linked with it, or the user with somebody else


class LoginRefused(Exception):
    """The log-in is right elsewhere, but nobody is logged in. `name`: how they are called there."""

    def __init__(self, refusal: Refusal, name: str = "") -> None:
        super().__init__(refusal.value)
        self.refusal, self.name = refusal, name


def role_groups(settings: Settings, source: Source) -> RoleGroups:
    """Return which groups give which role, as the settings say."""
    texts = (getattr(settings, f"{source}_{role}_groups") for role in ("administrator", "supervisor", "operator"))
    groups = [split_groups(text) for text in texts]
    if source is Source.LDAP:
        groups = [frozenset(map(fold_group, names)) for names in groups]
    return RoleGroups(*groups)


def sign_in(database: Database, settings: Settings, external: ExternalUser, now: datetime, *, address: str) -> User:
    """Return the user of somebody who has logged in elsewhere. The first time, the account is created.

    Raises LoginRefused. The caller records the log-in itself, after the second factor if there is one.
    """
    try:
        with database.write() as session:
            return _sign_in(Joined(database, session), session, settings, external, now)
    except IntegrityError as error:  # another log-in created the user just now
        raise _refuse(database, external, Refusal.NAME_TAKEN, now, address) from error
    except LoginRefused as refused:
        raise _refuse(database, external, refused.refusal, now, address) from refused


def _sign_in(joined: Joined, session: Session, settings: Settings, external: ExternalUser, now: datetime) -> User:
    identity = session.scalar(_of(external).with_for_update())
    role = role_groups(settings, external.source).role_of(external.groups)
    user = session.get_one(User, identity.user_id) if identity is not None else None
    if user is not None and not user.active:
        raise LoginRefused(Refusal.INACTIVE)
    if role is None:
        raise LoginRefused(Refusal.NO_GROUP)
    if user is None or identity is None:
        return _create(joined, session, external, role, now)
    identity.login = external.name[:LONGEST_NAME] if is_displayable(external.name) else identity.login
    _update(joined, session, user, external, role, now)
    return user


def _create(joined: Joined, session: Session, external: ExternalUser, role: str, now: datetime) -> User:
    name = external.name.strip()
    if not name or len(name) > LONGEST_NAME or not is_displayable(name) or _is_too_long(external):
        raise LoginRefused(Refusal.NO_NAME)
    if first_administrator.is_open(joined):  # nobody could get in without the provider
        raise LoginRefused(Refusal.NO_ADMINISTRATOR)
    if session.scalar(select(User.id).where(func.lower(User.name) == name.lower()).limit(1)) is not None:
        raise LoginRefused(Refusal.NAME_TAKEN)
    seen = () if session.scalar(select(ARE_SEVERAL)) else None
    given = UserInput(role, external.extensions or (), exchanges=seen)
    user = users.add_without_password(session, name, given, now, actor=external.source)
    _add(session, user, external, now)
    return user


def _update(joined: Joined, session: Session, user: User, external: ExternalUser, role: str, now: datetime) -> None:
    """Give a user the role of their groups, and the extensions if the source tells them.

    They are those in the first exchange that the user may see.
    """
    before = users.as_input(user)
    wanted = replace(before, role=role)
    if external.extensions is not None:
        seen = exchanges.seen_ids(joined, user)
        if role == SEES_ALL or not seen or seen[0] == FIRST.id:
            wanted = replace(wanted, extensions=external.extensions)
        else:
            users.change_extensions(session, user, seen[0], external.extensions, now, actor=external.source)
    if wanted == before:
        return
    try:
        users.change(joined, user.id, wanted, now, actor=external.source)
    except Invalid:  # the last administrator with a password of the panel keeps the role
        log.warning("%s stays an administrator: there is no other one with a password of the panel", user.name)


def _is_too_long(external: ExternalUser) -> bool:
    return max(len(external.issuer), len(external.subject)) > LONGEST_ID or not is_displayable(external.subject)


def _of(external: ExternalUser):  # type: ignore[no-untyped-def]  # a Select, whose type says nothing more
    return select(UserIdentity).where(
        UserIdentity.issuer == external.issuer, UserIdentity.subject == external.subject[: LONGEST_ID + 1]
    )


def _refuse(database: Database, external: ExternalUser, refusal: Refusal, now: datetime, address: str) -> LoginRefused:
    """Record a refused log-in, and return it to be raised."""
    name = external.name.strip()
    shown = name if is_displayable(name) and len(name) <= LONGEST_NAME else ""
    return refuse(database, shown, refusal, now, {"address": address, "source": external.source.value})


def refuse(database: Database, name: str, refusal: Refusal, now: datetime, detail: Mapping[str, str]) -> LoginRefused:
    """Record a refused log-in, and return it to be raised. `detail`: what the log says besides the reason."""
    with database.write() as session:
        audit.record(session, "", AuditAction.LOGIN_REFUSED, name, {**detail, "refusal": refusal.value}, now)
    return LoginRefused(refusal, name)


# -- linking ----------------------------------------------------------------------------------------------------------


def link(database: Database, user_id: int, external: ExternalUser, now: datetime, *, address: str) -> None:
    """Let a user who is logged in also log in elsewhere from now on.

    Raises LoginRefused if somebody else is linked with this account there, or the user with another one.
    """
    if _is_too_long(external):
        raise _refuse(database, external, Refusal.NO_NAME, now, address)
    try:
        with database.write() as session:
            user = session.get_one(User, user_id, with_for_update=True)
            known = session.scalar(_of(external))
            if known is not None and known.user_id == user_id:
                return
            _add(session, user, external, now)
            detail = {"address": address, "source": external.source.value}
            audit.record(session, user.name, AuditAction.ACCOUNT_LINKED, user.name, detail, now)
    except IntegrityError as error:
        raise _refuse(database, external, Refusal.LINKED, now, address) from error


def _add(session: Session, user: User, external: ExternalUser, now: datetime) -> None:
    session.add(
        UserIdentity(
            user_id=user.id,
            source=external.source.value,
            issuer=external.issuer,
            subject=external.subject,
            login=external.name.strip()[:LONGEST_NAME] if is_displayable(external.name) else "",
            linked_at=now,
        )
    )
    session.flush()


def unlink(database: Database, identity_id: int, now: datetime, *, actor: str) -> User:
    """Remove a link, and end all sessions of the user. Return the user. Raises NotFound.

    A user without a password cannot log in then, until an administrator resets the password.
    """
    with database.write() as session:
        identity = session.get(UserIdentity, identity_id)
        if identity is None:
            raise NotFound(f"identity {identity_id}")
        user = session.get_one(User, identity.user_id, with_for_update=True)
        session.delete(identity)
        users.end_sessions(session, user)
        audit.record(session, actor, AuditAction.ACCOUNT_UNLINKED, user.name, {"source": identity.source}, now)
        return user


def find(database: Database, identity_id: int) -> UserIdentity:
    """Return a link. Raises NotFound."""
    with database.read() as session:
        identity = session.get(UserIdentity, identity_id)
    if identity is None:
        raise NotFound(f"identity {identity_id}")
    return identity


def list_identities(database: Database, user_id: int) -> Sequence[UserIdentity]:
    """Return the links of a user."""
    query = select(UserIdentity).where(UserIdentity.user_id == user_id).order_by(UserIdentity.id)
    with database.read() as session:
        return session.scalars(query).all()


def sources(database: Database) -> Mapping[int, frozenset[str]]:
    """Return where users log in besides the panel, by their ids."""
    with database.read() as session:
        rows = session.execute(select(UserIdentity.user_id, UserIdentity.source)).all()
    found: dict[int, frozenset[str]] = {}
    for user_id, source in rows:
        found[user_id] = found.get(user_id, frozenset()) | {source}
    return found


def may_ask_directory(database: Database, name: str) -> bool:
    """Return whether a directory may be asked for this name.

    It does not get what somebody types for a user of the panel alone: that is a password of the panel.
    """
    if not is_displayable(name.strip()):
        return False
    with database.read() as session:
        linked = select(UserIdentity.user_id).where(UserIdentity.source == Source.LDAP.value)
        local = select(User.id).where(func.lower(User.name) == name.strip().lower(), User.password_hash != "")
        return session.scalar(local.where(User.id.not_in(linked)).limit(1)) is None
