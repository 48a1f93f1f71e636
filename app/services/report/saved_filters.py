"""Searches of the report that users have given names. Each user has their own."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.services.errors import ErrorCode, Invalid, NotFound, check_line
from app.store.database import Database
from app.store.models import SavedFilter, User

LONGEST_NAME, LONGEST_QUERY = 60, 1500
MOST = 30  # of a user


def list_filters(database: Database, user_id: int) -> Sequence[SavedFilter]:
    """Return a user's filters by name."""
    query = select(SavedFilter).where(SavedFilter.user_id == user_id)
    with database.read() as session:
        return session.scalars(query.order_by(func.lower(SavedFilter.name), SavedFilter.id)).all()


def save(database: Database, user_id: int, name: str, query: str, now: datetime) -> None:
    """Save a search under a name; one with the same name is replaced. Raises Invalid.

    `query` are the arguments of a valid search, as the report writes them.
    """
    name = _check(name)
    if len(query) > LONGEST_QUERY:
        raise Invalid({"name": ErrorCode.TOO_LONG})
    with database.write() as session:
        session.get_one(User, user_id, with_for_update=True)
        row = session.scalar(select(SavedFilter).where(SavedFilter.user_id == user_id, SavedFilter.name == name))
        if row is not None:
            row.query = query
            return
        count = session.scalar(select(func.count()).select_from(SavedFilter).where(SavedFilter.user_id == user_id))
        if (count or 0) >= MOST:
            raise Invalid({"name": ErrorCode.TOO_MANY})
        session.add(SavedFilter(user_id=user_id, name=name, query=query, created_at=now))


def rename(database: Database, user_id: int, filter_id: int, name: str) -> None:
    """Give a filter another name. Raises NotFound, also for one of somebody else, and Invalid."""
    try:
        with database.write() as session:
            row = _get(session, user_id, filter_id)
            row.name = _check(name)
    except IntegrityError as error:
        raise Invalid({"name": ErrorCode.TAKEN}) from error


def delete(database: Database, user_id: int, filter_id: int) -> None:
    """Delete a filter. Raises NotFound, also for one of somebody else."""
    with database.write() as session:
        session.delete(_get(session, user_id, filter_id))


def _check(name: str) -> str:
    name = name.strip()
    errors = check_line("name", name, LONGEST_NAME, required=True)
    if errors:
        raise Invalid(errors)
    return name


def _get(session: Session, user_id: int, filter_id: int) -> SavedFilter:
    row = session.get(SavedFilter, filter_id, with_for_update=True)
    if row is None or row.user_id != user_id:
        raise NotFound(f"filter {filter_id}")
    return row
