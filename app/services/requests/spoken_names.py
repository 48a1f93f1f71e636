"""The names that callers have said after they registered: one file for each request at most."""

from collections.abc import Collection
from datetime import datetime
from pathlib import Path

from sqlalchemy import delete, select

from app.domain.retention import Kind
from app.services import sounds
from app.services.errors import NotFound
from app.services.requests.access import Scope, visibility_of
from app.services.requests.history import EventKind, add_event
from app.store import requests as store
from app.store.database import Database
from app.store.models import CallRequest, SpokenName, StoredSound
from app.store.settings import read_all, retention

_MOST_FILES = 500  # in one query


def save(database: Database, root: Path, request_id: int, file: str, now: datetime, *, replaces: bool = True) -> str:
    """Store the name of a request's caller, whose file is below `root`. Return the file that is of no use now, or "".

    `replaces`: it takes the place of an older name. Raises NotFound, and OSError if the file cannot be read.
    """
    with database.write() as session:
        row = session.get(CallRequest, request_id, with_for_update=True)
        if row is None:
            raise NotFound(f"request {request_id}")
        spoken = session.get(SpokenName, request_id)
        replaced = spoken.file if spoken is not None else ""
        if replaced == file:
            return ""
        if replaced and not replaces:
            return file
        if spoken is None:
            session.add(SpokenName(request_id=request_id, file=file))
        else:
            spoken.file = file
            session.execute(delete(StoredSound).where(StoredSound.request_id == request_id))
        session.flush()
        sounds.keep(session, root, file, request_id=request_id)
        add_event(session, row, EventKind.NAME_SAID, "", now)
    return replaced


def find(database: Database, request_id: int) -> str:
    """Return the file of a request's spoken name, "" if there is none."""
    with database.read() as session:
        return store.spoken_name(session, request_id)


def find_for_user(database: Database, scope: Scope, request_id: int) -> str:
    """Return the file of a spoken name. Raises NotFound if there is none, or the user may not see the request."""
    with database.read() as session:
        row = session.get(CallRequest, request_id)
        file = store.spoken_name(session, request_id)
        if row is None or not file or not visibility_of(session, scope).covers(row):
            raise NotFound(f"name of request {request_id}")
        return file


def delete_old(database: Database, now: datetime) -> list[str]:
    """Delete the names of requests that ended so long ago as the settings say. Return their files."""
    with database.write() as session:
        before = retention(read_all(session)).before(Kind.NAMES, now)
        if before is None:
            return []
        ended = select(CallRequest.id).where(CallRequest.done_at <= before)
        old = delete(SpokenName).where(SpokenName.request_id.in_(ended)).returning(SpokenName.file)
        return list(session.scalars(old, execution_options={"synchronize_session": False}))


def find_orphans(database: Database, files: Collection[str]) -> list[str]:
    """Return those of the files that belong to no request."""
    known: set[str] = set()
    listed = list(files)
    with database.read() as session:
        for start in range(0, len(listed), _MOST_FILES):
            some = listed[start : start + _MOST_FILES]
            known |= set(session.scalars(select(SpokenName.file).where(SpokenName.file.in_(some))))
    return [file for file in listed if file not in known]
