"""Encrypt secrets before the database stores them.

The key is derived from BAZANG_SECRET_KEY, or from the file `secret_key` in the data folder. So a copy of the database
alone does not reveal them.
"""

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.config import Settings, secret_key

_MARK = "encrypted:1:"  # of values that are encrypted; older versions stored them as they are
_PURPOSE = b"bazang secrets in the database"  # so that the key that signs sessions is another one


class CannotDecrypt(ValueError):
    """The value was encrypted with another key."""


def encrypt(settings: Settings, secret: str) -> str:
    """Return the form in which a secret is stored. Nothing stays nothing."""
    return _MARK + _fernet(secret_key(settings)).encrypt(secret.encode()).decode() if secret else ""


def decrypt(settings: Settings, stored: str) -> str:
    """Return the secret; one that an older version has stored as it is, unchanged. Raises CannotDecrypt."""
    if not is_encrypted(stored):
        return stored
    try:
        return _fernet(secret_key(settings)).decrypt(stored.removeprefix(_MARK)).decode()
    except InvalidToken as error:
        raise CannotDecrypt from error


def is_encrypted(stored: str) -> bool:
    return stored.startswith(_MARK)


@lru_cache(maxsize=4)
def _fernet(key: str) -> Fernet:
    derived = HKDF(SHA256(), 32, salt=None, info=_PURPOSE).derive(key.encode())
    return Fernet(base64.urlsafe_b64encode(derived))
