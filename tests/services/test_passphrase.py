"""Backups are encrypted in the format of age, a piece at a time."""

import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest

from app.services import passphrase
from app.services.passphrase import WrongPassphrase, decrypting, encrypting
from tests.support.rows import for_each

WORDS = "correct horse باتری"
CHUNK = passphrase._CHUNK
SIZES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 5)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passphrase, "WORK", 10)


def encrypted(content: bytes) -> bytes:
    target = io.BytesIO()
    with encrypting(target, WORDS) as stream:
        for start in range(0, len(content), 10_000):
            stream.write(content[start : start + 10_000])
    return target.getvalue()


def decrypted(content: bytes, words: str = WORDS) -> bytes:
    with decrypting(io.BytesIO(content), lambda: words) as stream:
        return stream.read()


def pattern(size: int) -> bytes:
    return bytes(number % 251 for number in range(size))


@for_each("size", SIZES)
def test_other_programs_for_age_read_it_and_write_what_is_read(size: int) -> None:
    content = pattern(size)
    assert pyrage.passphrase.decrypt(encrypted(content), WORDS) == content
    assert decrypted(encrypted(content)) == content


@pytest.mark.slow  # the other program takes a second for each passphrase
def test_a_file_of_another_program_is_read() -> None:
    content = pattern(CHUNK + 7)
    assert decrypted(pyrage.passphrase.encrypt(content, WORDS)) == content


def test_without_a_passphrase_nothing_changes() -> None:
    target = io.BytesIO()
    with encrypting(target, "") as stream:
        stream.write(b"content")
    assert target.getvalue() == b"content"
    assert decrypted(b"content") == b"content"


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "another version": lambda file: file.replace(b"/v1\n", b"/v2\n", 1),
    "no header": lambda file: file[:30],
    "another salt": lambda file: file.replace(b"-> scrypt ", b"-> scrypt A", 1),
    "too much work": lambda file: file.replace(b" 10\n", b" 63\n", 1),
    "another mac": lambda file: file.replace(b"--- ", b"--- A", 1),
    "a bit of the first chunk": lambda file: file[: -2 * CHUNK] + bytes([file[-2 * CHUNK] ^ 1]) + file[1 - 2 * CHUNK :],
    "cut off within a chunk": lambda file: file[:-10],
    "cut off after a chunk": lambda file: file[: -(CHUNK // 2 + 16)],
    "no content": lambda file: file[: file.index(b"\n", file.index(b"---")) + 17],
    "more at its end": lambda file: file + b"x",
}


@for_each("damage", DAMAGES)
def test_what_is_damaged_is_not_taken_for_whole(damage: str) -> None:
    whole = encrypted(pattern(2 * CHUNK + CHUNK // 2))
    with pytest.raises(WrongPassphrase):
        decrypted(DAMAGES[damage](whole))


def test_another_passphrase_is_refused() -> None:
    with pytest.raises(WrongPassphrase):
        decrypted(encrypted(b"content"), "another one")


def peak(file: Path, megabytes: int) -> int:
    """Return the most memory, in bytes, that encrypting and decrypting so much takes."""
    tracemalloc.start()
    try:
        with file.open("wb") as target, encrypting(target, WORDS) as stream:
            for _ in range(16 * megabytes):
                stream.write(bytes(CHUNK))
        read = 0
        with file.open("rb") as source, decrypting(source, lambda: WORDS) as stream:
            while data := stream.read(CHUNK):
                read += len(data)
        assert read == megabytes * 1024 * 1024
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_larger_backup_takes_no_more_memory(tmp_path: Path) -> None:
    small, large = (peak(tmp_path / "backup.age", megabytes) for megabytes in (1, 16))
    assert large < small + CHUNK
    assert large < 16 * CHUNK
