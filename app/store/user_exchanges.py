"""Which users may see the exchange of a database session, and what their extensions are there."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from app.store.exchanges import exchange_of
from app.store.models import User, UserExchange

SEES_ALL = "administrator"  # the role that sees every exchange


def sees_this(session: Session) -> ColumnElement[bool]:
    """Return the condition for users who may see the exchange of the session."""
    key = exchange_of(session)
    row = select(UserExchange.user_id).where(UserExchange.user_id == User.id, UserExchange.exchange_id == key.id)
    return or_(User.role == SEES_ALL, User.sees_first if key.is_first else row.exists())


def extensions_here(session: Session) -> Any:
    """Return the column with the extensions of users in the exchange of the session. It may be NULL."""
    key = exchange_of(session)
    if key.is_first:
        return User.extensions
    row = select(UserExchange.extensions).where(UserExchange.user_id == User.id, UserExchange.exchange_id == key.id)
    return row.correlate(User).scalar_subquery().label("extensions")


def show_extensions_here(session: Session, users: Iterable[User]) -> None:
    """Let loaded users have their extensions in the exchange of the session."""
    key = exchange_of(session)
    found = {user.id: user for user in users}
    if key.is_first or not found:
        return
    rows = select(UserExchange.user_id, UserExchange.extensions).where(UserExchange.exchange_id == key.id)
    own = {row.user_id: row.extensions for row in session.execute(rows.where(UserExchange.user_id.in_(found)))}
    for user in found.values():
        set_committed_value(user, "extensions", own.get(user.id, []))


def store_extensions(session: Session, user: User, extensions: Sequence[str]) -> None:
    """Store the extensions of a user in the exchange of the session. A user who has some there may see it.

    The user must have an id.
    """
    key = exchange_of(session)
    if key.is_first:
        user.extensions = list(extensions)
        return
    if extensions:
        row = postgresql.insert(UserExchange).values(user_id=user.id, exchange_id=key.id, extensions=list(extensions))
        own = ["user_id", "exchange_id"]
        session.execute(row.on_conflict_do_update(index_elements=own, set_={"extensions": row.excluded.extensions}))
    else:  # a new row would let an administrator see it whose role is taken away one day
        of_user = UserExchange.user_id == user.id, UserExchange.exchange_id == key.id
        session.execute(update(UserExchange).where(*of_user).values(extensions=[]))
    set_committed_value(user, "extensions", list(extensions))
