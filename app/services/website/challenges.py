"""Challenges against robots, without a third party: signed, good for some minutes, and for one try.

A browser with JavaScript solves a puzzle. Without it, the visitor answers a question. The server stores nothing until
an answer comes. Then it stores the salt, so that the same challenge is never taken again. A digest of the token would
not do: base64 has many spellings of one signature.
"""

import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from itsdangerous import BadSignature, URLSafeSerializer

from app.domain.website import PUZZLE_SIZE, puzzle_digest
from app.services.counts import count
from app.store.database import Database

LASTS = timedelta(minutes=30)
FASTEST = timedelta(seconds=2)  # nobody fills in the form faster
_SALT = "bazang website"
_CLOCKS = timedelta(seconds=1)  # two machines with one database may differ by


class Refusal(StrEnum):
    """Why an answer is not taken."""

    WRONG = "wrong"  # also: forged, or for another form
    EXPIRED = "expired"
    TOO_FAST = "too_fast"
    REPLAYED = "replayed"


class ChallengeRefused(Exception):
    """The answer to a challenge is not taken."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True)
class Puzzle:
    """What a browser solves: find the number below `size` whose digest with `salt` is `digest`."""

    token: str
    salt: str
    digest: str
    size: int = PUZZLE_SIZE


@dataclass(frozen=True)
class Question:
    """What a visitor without JavaScript answers: the sum of two numbers. `token` carries what they typed before."""

    token: str
    numbers: tuple[int, int]


def make_puzzle(secret: str, form_key: str, now: datetime) -> Puzzle:
    """Return a puzzle for a form."""
    salt, number = secrets.token_hex(12), secrets.randbelow(PUZZLE_SIZE)
    digest = puzzle_digest(salt, number)
    return Puzzle(_sign(secret, form_key, "puzzle", salt, digest, now), salt, digest)


def make_question(secret: str, form_key: str, typed: dict[str, str], now: datetime) -> Question:
    """Return a question for a form, with what the visitor has typed into it."""
    salt = secrets.token_hex(12)
    return Question(_sign(secret, form_key, "question", salt, typed, now), _numbers_of(secret, salt))


def check_puzzle(database: Database, secret: str, form_key: str, token: str, solution: object, now: datetime) -> None:
    """Check the solution of a puzzle, and use the puzzle up. Raises ChallengeRefused."""
    salt, digest, issued = _read(secret, form_key, "puzzle", token, now)
    if not isinstance(solution, int) or not hmac.compare_digest(puzzle_digest(salt, solution), str(digest)):
        raise ChallengeRefused(Refusal.WRONG)
    _use_up(database, salt, issued, now)


def check_question(
    database: Database, secret: str, form_key: str, token: str, answer: str, now: datetime
) -> dict[str, str]:
    """Check the answer to a question, and return what the visitor had typed.

    A wrong answer uses the question up, too. Raises ChallengeRefused.
    """
    salt, typed, issued = _read(secret, form_key, "question", token, now)
    _use_up(database, salt, issued, now)
    if answer != str(sum(_numbers_of(secret, salt))):
        raise ChallengeRefused(Refusal.WRONG)
    return dict(typed)


def read_typed(secret: str, form_key: str, token: str) -> dict[str, str]:
    """Return what a visitor had typed before a question, to ask another one. Raises ChallengeRefused if forged."""
    return dict(_load(secret, form_key, "question", token)[1])


def _sign(secret: str, form_key: str, kind: str, salt: str, data: Any, now: datetime) -> str:
    content = [form_key, kind, salt, data, int(now.timestamp() * 1000)]
    token: str | bytes = URLSafeSerializer(secret, _SALT).dumps(content)
    return token if isinstance(token, str) else token.decode()


def _load(secret: str, form_key: str, kind: str, token: str) -> tuple[str, Any, datetime]:
    try:
        key, signed_kind, salt, data, issued = URLSafeSerializer(secret, _SALT).loads(token)
    except (BadSignature, ValueError, TypeError):
        raise ChallengeRefused(Refusal.WRONG) from None
    if (key, signed_kind) != (form_key, kind):
        raise ChallengeRefused(Refusal.WRONG)
    return salt, data, datetime.fromtimestamp(issued / 1000, UTC)


def _read(secret: str, form_key: str, kind: str, token: str, now: datetime) -> tuple[str, Any, datetime]:
    salt, data, issued = _load(secret, form_key, kind, token)
    if not issued - _CLOCKS <= now < issued + LASTS:  # before: the clock was put back
        raise ChallengeRefused(Refusal.EXPIRED)
    if now < issued + FASTEST:
        raise ChallengeRefused(Refusal.TOO_FAST)
    return salt, data, issued


def _use_up(database: Database, salt: str, issued: datetime, now: datetime) -> None:
    name = f"website challenge {salt}"
    with database.write() as session:
        if count(session, name, issued + LASTS, now) > 1:
            raise ChallengeRefused(Refusal.REPLAYED)


def _numbers_of(secret: str, salt: str) -> tuple[int, int]:
    """Return the numbers of a question: known to the server only, and the same each time."""
    digest = hmac.digest(secret.encode(), f"{_SALT} {salt}".encode(), "sha256")
    return 1 + digest[0] % 9, 1 + digest[1] % 9
