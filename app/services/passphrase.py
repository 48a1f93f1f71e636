"""Encrypt backups with a passphrase, in the format of age: `age -d` decrypts them as well, without Bazang.

Some kilobytes pass through memory at a time, however large the backup is. The libraries for age encrypt whole files at
once if there is a passphrase. So this writes the format, https://c2sp.org/age@v1.1.0, with the ciphers of
`cryptography`; tests exchange files with another program for age.
"""

import hashlib
import hmac
import io
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SHORTEST = 8  # characters of a passphrase
WORK = 18  # scrypt takes 2**WORK kilobytes, and about a second: what the command `age` takes as well
_MOST_WORK = 22  # accepted in a file of somebody else
_MARK = b"age-encryption.org/"  # the beginning of each file of age
_VERSION = b"age-encryption.org/v1"
_HEADER = re.compile(rb"-> scrypt ([A-Za-z0-9+/]{22}) ([1-9]\d?)\n([A-Za-z0-9+/]{43})\n---")
_LONGEST_LINE = 200  # bytes of the header
_KEY, _SALT, _NONCE, _TAG = 16, 16, 16, 16  # bytes
_CHUNK = 64 * 1024  # bytes that are encrypted together


class WrongPassphrase(Exception):
    """The passphrase is another one, or the file is damaged."""


@contextmanager
def encrypting(target: IO[bytes], passphrase: str) -> Iterator[IO[bytes]]:
    """Yield a stream of which the content is written to `target`, encrypted if there is a passphrase."""
    if not passphrase:
        yield target
        return
    key, salt, nonce = os.urandom(_KEY), os.urandom(_SALT), os.urandom(_NONCE)
    wrapped = ChaCha20Poly1305(_stretch(passphrase, salt, WORK)).encrypt(bytes(12), key, None)
    header = _VERSION + b"\n-> scrypt %b %d\n%b\n---" % (_encode(salt), WORK, _encode(wrapped))
    target.write(header + b" " + _encode(_header_mac(key, header)) + b"\n" + nonce)
    writer = _Writer(target, _derive(key, nonce, b"payload"))
    yield cast(IO[bytes], writer)  # it has what a caller needs of a stream
    writer.finish()


@contextmanager
def decrypting(source: IO[bytes], ask: Callable[[], str]) -> Iterator[IO[bytes]]:
    """Yield a stream with the content of `source`. `ask` is called if that is encrypted.

    Raises WrongPassphrase, also while the stream is read: its end may be damaged.
    """
    buffered = source if isinstance(source, io.BufferedReader) else io.BufferedReader(_Readable(source))
    if not buffered.peek(len(_MARK)).startswith(_MARK):
        yield buffered
        return
    yield io.BufferedReader(_Reader(buffered, _read_header(buffered, ask)), _CHUNK)


def _read_header(source: io.BufferedReader, ask: Callable[[], str]) -> bytes:
    """Return the key of the content that follows. Raises WrongPassphrase."""
    version, *lines = (source.readline(_LONGEST_LINE) for _ in range(4))
    *_, end = lines
    found = _HEADER.match(b"".join(lines))
    if version != _VERSION + b"\n" or found is None or not end.endswith(b"\n"):
        raise WrongPassphrase("its header is that of another version or key")
    salt, work, wrapped = _decode(found[1]), int(found[2]), _decode(found[3])
    if work > _MOST_WORK:
        raise WrongPassphrase("its header asks for too much work")
    try:
        key = ChaCha20Poly1305(_stretch(ask(), salt, work)).decrypt(bytes(12), wrapped, None)
    except InvalidTag as error:
        raise WrongPassphrase("the passphrase is another one") from error
    mac = _encode(_header_mac(key, version + found[0]))
    if not hmac.compare_digest(b"--- " + mac + b"\n", end):
        raise WrongPassphrase("its header has changed")
    return _derive(key, source.read(_NONCE), b"payload")


class _Writer:
    """Encrypts what is written to it. The last chunk is marked, so that a file that was cut off is noticed."""

    def __init__(self, target: IO[bytes], key: bytes) -> None:
        self._target, self._cipher = target, ChaCha20Poly1305(key)
        self._waiting, self._count = bytearray(), 0

    def write(self, data: bytes) -> int:
        self._waiting += data
        while len(self._waiting) > _CHUNK:  # the last chunk may be a whole one
            self._encrypt(bytes(self._waiting[:_CHUNK]))
            del self._waiting[:_CHUNK]
        return len(data)

    def finish(self) -> None:
        self._encrypt(bytes(self._waiting), is_last=True)

    def _encrypt(self, chunk: bytes, *, is_last: bool = False) -> None:
        self._target.write(self._cipher.encrypt(_chunk_nonce(self._count, is_last=is_last), chunk, None))
        self._count += 1


class _Reader(io.RawIOBase):
    """Decrypts `source`, a chunk at a time."""

    def __init__(self, source: io.BufferedReader, key: bytes) -> None:
        self._source, self._cipher = source, ChaCha20Poly1305(key)
        self._waiting, self._count, self._has_ended = b"", 0, False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._waiting and not self._has_ended:
            self._waiting = self._decrypt()
        size = min(len(buffer), len(self._waiting))
        buffer[:size], self._waiting = self._waiting[:size], self._waiting[size:]
        return size

    def _decrypt(self) -> bytes:
        chunk = self._source.read(_CHUNK + _TAG)
        self._has_ended = not self._source.peek(1)
        try:
            content = self._cipher.decrypt(_chunk_nonce(self._count, is_last=self._has_ended), chunk, None)
        except InvalidTag as error:
            raise WrongPassphrase("the file is damaged or not complete") from error
        self._count += 1
        return content


class _Readable(io.RawIOBase):
    """A stream that can only be read, as a raw one."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _stretch(passphrase: str, salt: bytes, work: int) -> bytes:
    memory = 1024 * 2**work + _CHUNK
    salt = b"age-encryption.org/v1/scrypt" + salt
    return hashlib.scrypt(passphrase.encode(), salt=salt, n=2**work, r=8, p=1, maxmem=memory, dklen=32)


def _derive(key: bytes, salt: bytes, use: bytes) -> bytes:
    return HKDF(SHA256(), length=32, salt=salt, info=use).derive(key)


def _header_mac(key: bytes, header: bytes) -> bytes:
    return hmac.digest(_derive(key, b"", b"header"), header, "sha256")


def _chunk_nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([is_last])


def _encode(data: bytes) -> bytes:
    return b64encode(data).rstrip(b"=")


def _decode(text: bytes) -> bytes:
    return b64decode(text + b"=" * (-len(text) % 4))
