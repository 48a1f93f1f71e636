"""Encrypt backups with a passphrase, in the format of age: `age -d` decrypts them as well, without Bazang.

The whole file passes through memory, so this needs about three times its size.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from pyrage import DecryptError
from pyrage import passphrase as age

SHORTEST = 8  # characters
_MARK = b"age-encryption.org/"  # the beginning of each file of age


class WrongPassphrase(Exception):
    """The passphrase is another one, or the file is damaged: the two cannot be told apart."""


@contextmanager
def encrypting(target: IO[bytes], passphrase: str) -> Iterator[IO[bytes]]:
    """Yield a stream of which the content is written to `target`, encrypted if there is a passphrase."""
    if not passphrase:
        yield target
        return
    content = io.BytesIO()
    yield content
    target.write(age.encrypt(content.getvalue(), passphrase))


@contextmanager
def decrypting(source: IO[bytes], ask: Callable[[], str]) -> Iterator[IO[bytes]]:
    """Yield a stream with the content of `source`. `ask` is called if that is encrypted. Raises WrongPassphrase."""
    buffered = source if isinstance(source, io.BufferedReader) else io.BufferedReader(io.BytesIO(source.read()))
    if not buffered.peek(len(_MARK)).startswith(_MARK):
        yield buffered
        return
    try:
        content = age.decrypt(buffered.read(), ask())
    except DecryptError as error:
        raise WrongPassphrase(str(error)) from error
    yield io.BytesIO(content)
