"""Uploads that want to break something: damaged files, bombs, files of two kinds, play lists, names that are paths.

Whatever is uploaded becomes a clip or a message. No file appears outside the folder of the uploads, nothing stays
behind, and the limits of the child that converts hold.
"""

import gzip
import io
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from app.audio.child_process import MEMORY_BYTES
from app.audio.clip import read_clip
from app.audio.convert import MAX_SECONDS, TIMEOUT_SECONDS
from app.config import Settings
from app.store.database import Database
from app.store.models import Recording
from tests.audio.sounds import silence, tone, wav_file, wav_format, write_sound
from tests.audio.test_child_process import BOMBS, PLAY_LISTS, Listener, listener
from tests.support.forked_converter import Usage, forked_conversion
from tests.web.pages import Visitor
from tests.web.prompts.mutations import NAMES, make_sounds, mutate

__all__ = ["listener"]
UPLOAD = "/recordings/take"
FEW = 12
MANY, PARTS = 600, 4  # each format with each kind of damage several times
BYSTANDER = "not yours"
Upload = Callable[[bytes, str], int]


@pytest.fixture
def quick_conversion() -> None:
    """Not here: each file is converted in a child."""


@pytest.fixture
def usage() -> Iterator[Usage]:
    with forked_conversion() as usage:
        yield usage


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return make_sounds(tmp_path_factory.mktemp("originals"))


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}


@pytest.fixture
def upload(
    app: Flask,
    admin: Visitor,
    database: Database,
    settings: Settings,
    usage: Usage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Upload]:
    """Upload a file and return the status. Afterwards nothing has escaped, and an ordinary upload still works."""
    app.config["PROPAGATE_EXCEPTIONS"] = False  # a fault becomes status 500, as in an installation
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    (tmp_path / "bystander").write_text(BYSTANDER)
    (tmp_path / "link").symlink_to(tmp_path / "bystander")
    monkeypatch.chdir(tmp_path)  # where names that are paths would lead to
    admin.get("/recordings")  # makes the folders
    before = files_below(tmp_path)

    def upload(content: bytes, name: str) -> int:
        boundary, body = encode_multipart({"sound": FileStorage(BytesIO(content), name)})
        kind = f"multipart/form-data; boundary={boundary}"
        response = admin.client.post(UPLOAD, data=body, content_type=kind, buffered=True)
        if response.status_code == 422:
            assert response.content_type.startswith("text/plain") and response.text.strip()
        return response.status_code

    yield upload
    assert upload(write_sound(tmp_path / "sound.wav", tone(0.5)).read_bytes(), "ordinary.wav") == 200
    (tmp_path / "sound.wav").unlink()
    with database.read() as session:
        rows = session.scalars(select(Recording)).all()
    new = {f"data/prompts/{row.file}" for row in rows}
    database_files = {f"data/bazang.sqlite3{end}" for end in ("", "-wal", "-shm")}
    locks = {path for path in files_below(tmp_path) if path.startswith("data/prompts/.locks/")}
    assert files_below(tmp_path) - database_files - locks == (before | new) - database_files - locks
    assert list(temporary.iterdir()) == []
    assert (tmp_path / "bystander").read_text() == BYSTANDER
    for row in rows:
        clip = settings.prompts_path / row.file
        assert read_clip(clip).seconds <= MAX_SECONDS
        assert b"<script>" not in clip.read_bytes()
    assert usage.children > 0
    assert usage.most_memory < MEMORY_BYTES
    assert usage.most_seconds < TIMEOUT_SECONDS


def upload_mutated(numbers: range, sounds: dict[str, bytes], upload: Upload) -> dict[int, int]:
    """Return how often each status came."""
    count: dict[int, int] = {}
    for number in numbers:
        name, content = mutate(number, sounds)
        status = upload(content, name)
        assert status in (200, 422), f"number {number}: {status}"
        count[status] = count.get(status, 0) + 1
    return count


def test_a_few_damaged_files(sounds: dict[str, bytes], upload: Upload) -> None:
    upload_mutated(range(FEW), sounds, upload)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_many_damaged_files(part: int, sounds: dict[str, bytes], upload: Upload) -> None:
    count = upload_mutated(range(part, MANY, PARTS), sounds, upload)
    assert sum(count.values()) == MANY // PARTS
    assert min(count.get(200, 0), count.get(422, 0)) > MANY // PARTS // 20, "both kinds are tried"


# -- names ------------------------------------------------------------------------------------------------------------


def test_names_lead_nowhere(sounds: dict[str, bytes], upload: Upload, database: Database, tmp_path: Path) -> None:
    names = [*NAMES, str(tmp_path / "bystander"), "../bystander", "./link", "data/secret_key"]
    assert {upload(sounds["pcm.wav"], name) for name in names} <= {200, 422}
    assert upload(sounds["pcm.wav"], "a\0b.wav") == 400
    with database.read() as session:
        files = {row.file for row in session.scalars(select(Recording))}
    assert len(files) <= 4, "the same sound, and as each of the raw formats"


# -- files of a special kind ------------------------------------------------------------------------------------------


def zip_with_a_link() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        link = zipfile.ZipInfo("sound.wav")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("../../escaped.wav", "x")
    return packed.getvalue()


def zip_bomb() -> bytes:
    content = bytes(4_000_000)
    for _ in range(3):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for number in range(10):
                archive.writestr(f"{number}.zip", content)
        content = packed.getvalue()
    return content


def claim(flac: bytes, rate: int, channels: int, samples: int) -> bytes:
    """Return a FLAC file whose header makes these claims."""
    start = 8 + 10  # marker and block header, then block and frame sizes
    bits = (rate << 44) | (channels - 1 << 41) | (15 << 36) | samples
    return flac[:start] + struct.pack(">Q", bits) + flac[start + 8 :]


def hours_of_silence(folder: Path, name: str, codec: str, rate: int) -> bytes:
    return write_sound(folder / name, silence(60), codec, rate=rate).read_bytes() * 180


def make_bombs(folder: Path, sounds: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield files that are small and want to become large, or to take long."""
    yield from ((f"{name}.wav", content) for name, content in BOMBS.items())
    yield "silence.ogg", hours_of_silence(folder, "opus.ogg", "libopus", 48000)
    yield "silence.flac", hours_of_silence(folder, "flac.flac", "flac", 44100)
    yield "bomb.zip", zip_bomb()
    yield "bomb.wav", gzip.compress(bytes(50_000_000))
    yield "tag.mp3", b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + b"APIC\x7f\x7f\x7f\x7f" + bytes(1000)
    yield (
        "atom.m4a",
        b"\x00\x00\x00\x14ftypM4A \x00\x00\x00\x00M4A \x7f\xff\xff\xffmoov" + b"\x7f\xff\xff\xfftrak" * 500,
    )
    yield "element.webm", b"\x1aE\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xfe" * 2000
    yield "deep.caf", b"caff\x00\x01\x00\x00desc\x7f\xff\xff\xff\xff\xff\xff\xff" + bytes(64)
    yield "endless.au", b".snd" + struct.pack(">IIIII", 24, 0xFFFFFFFF, 1, 0x7FFFFFFF, 0x7FFFFFFF)
    yield "samples.wav", wav_file(wav_format(1, 0, 0, 0, 0, 0), (b"data", 0xFFFFFFFF, b""))


def make_polyglots(sounds: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield files that are a sound and something else."""
    page = b"<html><script>alert(document.cookie)</script></html>"
    for name in ("pcm.wav", "music.mp3", "opus.ogg", "lossless.flac"):
        yield name, sounds[name] + zip_with_a_link()
        yield name, sounds[name] + page
        yield f"{name}.html", page + sounds[name]
    yield "picture.gif", b"GIF89a/*" + sounds["music.mp3"] + b"*/=alert(1)"
    yield "paper.pdf", b"%PDF-1.7\n" + sounds["music.mp3"] + b"\n%%EOF"
    note = b"INFOIART" + struct.pack("<I", len(page)) + page + b"\0" * (len(page) % 2)
    body = (wav_format(1, 1, 8000, 16000, 2, 16), (b"LIST", len(note), note))
    yield "note.wav", wav_file(*body, (b"data", 16000, tone(1).tobytes()))
    yield "reference.m4a", sounds["telephone.m4a"].replace(b"url \0\0\0\1", b"url \0\0\0\0")
    yield "link.zip", zip_with_a_link()


@pytest.mark.slow
def test_bombs_are_refused(sounds: dict[str, bytes], upload: Upload, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name, content in make_bombs(tmp_path_factory.mktemp("bombs"), sounds):
        assert len(content) < 20 << 20
        assert upload(content, name) == 422, name


def make_liars(sounds: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield short sounds whose headers claim hours, or odd rates and channels."""
    data = tone(0.3).tobytes()
    yield "hours.wav", wav_file(wav_format(1, 1, 8000, 16000, 2, 16), (b"data", 0xFFFFFFF0, data))
    yield "hours.flac", claim(sounds["lossless.flac"], 44100, 2, (1 << 36) - 1)
    yield "rate.flac", claim(sounds["lossless.flac"], 655350, 8, 1)
    yield "nothing.flac", claim(sounds["lossless.flac"], 0, 1, 0)
    pages = sounds["opus.ogg"].split(b"OggS")
    late = [page[:2] + struct.pack("<q", 1 << 50) + page[10:] for page in pages[1:]]
    yield "hours.ogg", b"OggS" + b"OggS".join(late)


@pytest.mark.slow
def test_a_header_that_lies_makes_no_long_clip(sounds: dict[str, bytes], upload: Upload, database: Database) -> None:
    for name, content in make_liars(sounds):
        assert upload(content, name) in (200, 422), name
    with database.read() as session:
        assert all(row.seconds is not None and row.seconds < 1 for row in session.scalars(select(Recording)))


@pytest.mark.slow
def test_only_the_sound_of_a_file_of_two_kinds_is_kept(sounds: dict[str, bytes], upload: Upload) -> None:
    count = [upload(content, name) for name, content in make_polyglots(sounds)]
    assert set(count) == {200, 422}


@pytest.mark.slow
def test_play_lists_fetch_nothing(upload: Upload, listener: Listener, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{listener.server_port}"
    for make in PLAY_LISTS.values():
        for target in (address, f"file://{tmp_path}/bystander"):
            for name in (*PLAY_LISTS, "sound.wav", "sound.mp3", "sound.ogg", "sound"):
                assert upload(make(target).encode(), name) == 422
    assert listener.paths == []
