"""The office's key pair by which push services recognise it (VAPID). It is made once; the private key is encrypted."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import delete
from sqlalchemy.orm import Session

from app.config import Settings
from app.store import encryption
from app.store import settings as store
from app.store.database import Database
from app.store.models import PushSubscription

PRIVATE_KEY = "push_private_key"  # a stored value


def private_key(database: Database, settings: Settings) -> str:
    """Return the private key: 32 bytes in base64url. Make it if there is none, or if it can no longer be decrypted."""
    key = _find(database, settings)
    if key:
        return key
    with database.write() as session:
        new = _generate()
        store.add_setting(session, PRIVATE_KEY, encryption.encrypt(settings, new))  # unless another process was faster
        key = _read(session, settings)
        if not key:
            store.write_setting(session, PRIVATE_KEY, encryption.encrypt(settings, new))
        if key in ("", new):
            session.execute(delete(PushSubscription))  # browsers take notifications from the key they were added with
    return key or new


def public_key(database: Database, settings: Settings) -> str:
    """Return the public key as browsers want it: a point in base64url. "": the worker has made none yet."""
    private = _find(database, settings)
    if not private:
        return ""
    key = ec.derive_private_key(int.from_bytes(_decode(private)), ec.SECP256R1())
    return _encode(key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


def _find(database: Database, settings: Settings) -> str:
    with database.read() as session:
        return _read(session, settings)


def _read(session: Session, settings: Settings) -> str:
    try:
        return encryption.decrypt(settings, store.read_setting(session, PRIVATE_KEY))
    except encryption.CannotDecrypt:
        return ""


def _generate() -> str:
    return _encode(ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value.to_bytes(32))


def _encode(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
