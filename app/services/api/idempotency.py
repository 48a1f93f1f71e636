"""Answer a repeated API call as before, and do what it asks for once.

The answer is stored in the transaction of what was done. So a call that fails leaves nothing behind and can be
repeated, and of two calls at the same time the second waits for the first one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.store.database import Database, Joined
from app.store.models import ApiAnswer

KEPT = timedelta(hours=24)
LONGEST_KEY = 100


class KeyReused(Exception):
    """The key came with something else before."""


@dataclass(frozen=True)
class Answer:
    """The status of HTTP and the JSON of an answer. `repeated`: it was given before, and nothing was done now."""

    status: int
    body: dict[str, Any]
    repeated: bool = False


def answer_once(
    database: Database, token_id: int, key: str, sent: str, now: datetime, work: Callable[[Database], Answer]
) -> Answer:
    """Return the answer to this call: the stored one if the token has used the key before, else that of `work`.

    `sent` is what the call asks for. `work` gets the database to work with, in whose transaction the answer is stored.
    If it raises, nothing is stored. Raises KeyReused if the key was used for something else.
    """
    digest = sha256(sent.encode("utf-8", "surrogatepass")).hexdigest()
    with database.write() as session:
        session.execute(delete(ApiAnswer).where(ApiAnswer.created_at <= now - KEPT))
        if not _claim(session, token_id, key, digest, now):
            known = session.get_one(ApiAnswer, (token_id, key))
            if known.digest != digest or known.status is None:
                raise KeyReused(key)
            return Answer(known.status, known.body, repeated=True)
        answer = work(Joined(database, session))
        row = session.get_one(ApiAnswer, (token_id, key))
        row.status, row.body = answer.status, answer.body
    return answer


def _claim(session: Session, token_id: int, key: str, digest: str, now: datetime) -> bool:
    """Insert the row of a key. Return False if it is there. Waits for a transaction that has just inserted it."""
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    values = {"token_id": token_id, "key": key, "digest": digest, "body": {}, "created_at": now}
    insert = dialect.insert(ApiAnswer).values(values).on_conflict_do_nothing().returning(ApiAnswer.key)
    return session.scalar(insert) is not None
