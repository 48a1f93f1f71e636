"""The browsers to which notifications of a user go."""

import binascii
import secrets
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import delete, exists, func, select

from app.domain.hosts import host_name
from app.domain.notifications import LASTS, Kind
from app.domain.push_services import push_service
from app.services.errors import ErrorCode, Invalid, NotFound
from app.store.database import Database
from app.store.models import PushMessage, PushSubscription, UserSession

MOST_BROWSERS = 10  # of a user
NO_CONTACT = "mailto:bazang@localhost"


@dataclass(frozen=True)
class SubscriptionInput:
    """What the browser says: the address at its push service, its public key and its secret, in base64url."""

    endpoint: str
    p256dh: str
    auth: str


@dataclass(frozen=True)
class Browser:
    """A browser in the list. `waits`: something is still to be sent to it."""

    id: int
    session_id: int
    browser: str
    service: str
    created_at: datetime
    sent_at: datetime | None
    failed_at: datetime | None
    failure: str
    waits: bool


def add(database: Database, user_id: int, session_id: int, given: SubscriptionInput, host: str, now: datetime) -> int:
    """Send notifications of a user to this browser as long as the session lasts. Return the id. Raises Invalid.

    A browser belongs to the user who was last logged in. `host` is the name under which it knows the panel.
    """
    errors = validate(given)
    if errors:
        raise Invalid(errors)
    digest = sha256(given.endpoint.encode()).hexdigest()
    with database.write() as session:
        if session.get(UserSession, session_id, with_for_update=True) is None:  # it has just ended
            raise Invalid({"endpoint": ErrorCode.CHOICE})
        row = session.scalar(select(PushSubscription).where(PushSubscription.digest == digest).with_for_update())
        if row is not None and row.user_id != user_id:
            session.delete(row)
            session.flush()
            row = None
        if row is None:
            row = PushSubscription(user_id=user_id, digest=digest, endpoint=given.endpoint, created_at=now)
            session.add(row)
        row.session_id, row.p256dh, row.auth = session_id, given.p256dh, given.auth
        row.contact = contact_of(host)
        session.flush()
        kept = select(PushSubscription.id).where(PushSubscription.user_id == user_id)
        kept = kept.order_by(PushSubscription.id.desc()).offset(MOST_BROWSERS)
        session.execute(delete(PushSubscription).where(PushSubscription.id.in_(session.scalars(kept).all())))
        return row.id


def validate(given: SubscriptionInput) -> dict[str, ErrorCode]:
    """Return validation errors by field name."""
    errors: dict[str, ErrorCode] = {}
    if push_service(given.endpoint) is None:
        errors["endpoint"] = ErrorCode.CHOICE
    if not _is_public_key(given.p256dh):
        errors["p256dh"] = ErrorCode.CHARACTERS
    if len(_decode(given.auth)) != 16:
        errors["auth"] = ErrorCode.CHARACTERS
    return errors


def _is_public_key(text: str) -> bool:
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _decode(text))
    except ValueError:
        return False
    return True


def _decode(text: str) -> bytes:
    """Decode base64url; b"" if it is none or too long."""
    if len(text) > 100 or not text.isascii():
        return b""
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return b""


def contact_of(host: str) -> str:
    """Return the contact that push services want to know: the panel, if it has a name with a domain."""
    name = host_name(host) or ""
    is_domain = "." in name and all(part.replace("-", "").isalnum() for part in name.split(".")) and name.isascii()
    return f"https://{name}" if is_domain and len(name) < 200 else NO_CONTACT


def list_browsers(database: Database, user_id: int, now: datetime) -> Sequence[Browser]:
    """Return the browsers of a user, the newest first."""
    waits = exists().where(
        PushMessage.subscription_id == PushSubscription.id, ~PushMessage.done, PushMessage.expires_at > now
    )
    query = select(PushSubscription, UserSession.browser, waits)
    query = query.join(UserSession, UserSession.id == PushSubscription.session_id)
    query = query.where(PushSubscription.user_id == user_id).order_by(PushSubscription.id.desc())
    with database.read() as session:
        return [
            Browser(
                id=row.id,
                session_id=row.session_id,
                browser=browser,
                service=push_service(row.endpoint) or "",
                created_at=row.created_at,
                sent_at=row.sent_at,
                failed_at=row.failed_at,
                failure=row.failure,
                waits=bool(is_waiting),
            )
            for row, browser, is_waiting in session.execute(query)
        ]


def remove(database: Database, user_id: int, subscription_id: int) -> None:
    """Send no more notifications to a browser of a user. Raises NotFound, also for one of somebody else."""
    with database.write() as session:
        owned = PushSubscription.id == subscription_id, PushSubscription.user_id == user_id
        row = session.scalar(select(PushSubscription).where(*owned))
        if row is None:
            raise NotFound(f"subscription {subscription_id}")
        session.delete(row)


def ask_for_test(database: Database, user_id: int, subscription_id: int, now: datetime) -> None:
    """Let a test be sent to a browser of a user, unless one is on its way. Raises NotFound."""
    with database.write() as session:
        owned = PushSubscription.id == subscription_id, PushSubscription.user_id == user_id
        row = session.scalar(select(PushSubscription).where(*owned).with_for_update())
        if row is None:
            raise NotFound(f"subscription {subscription_id}")
        open_tests = select(func.count()).select_from(PushMessage)
        open_tests = open_tests.where(
            PushMessage.subscription_id == row.id,
            PushMessage.kind == Kind.TEST.value,
            ~PushMessage.done,
            PushMessage.expires_at > now,
        )
        if not session.scalar(open_tests):
            key = f"test:{secrets.token_hex(8)}"
            message = PushMessage(subscription_id=row.id, kind=Kind.TEST.value, key=key, created_at=now, next_at=now)
            message.expires_at = now + LASTS
            session.add(message)
