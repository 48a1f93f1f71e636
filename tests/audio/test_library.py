"""The sound library: each clip is made once, complete and readable, by any number of threads and processes."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.audio import library as library_module
from app.audio.clip import Clip, SoundError, SpeechError, read_clip
from app.audio.convert import MAX_BYTES
from app.audio.library import SoundLibrary
from app.audio.speak import speak
from app.audio.voices import DEFAULT_VOICES
from tests.audio.sounds import likeness, read_samples

pytestmark = pytest.mark.usefixtures("quick_sounds")
WEEK = timedelta(days=7)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "prompts"


@pytest.fixture
def library(root: Path) -> SoundLibrary:
    return SoundLibrary(root)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, quick_sounds: None) -> list[Path]:
    """The clips that were made and not found, in this order."""
    paths: list[Path] = []

    def count(make: Callable[..., Clip]) -> Callable[..., Clip]:
        def counted(*arguments: Any, out: Path, **options: Any) -> Clip:
            paths.append(out)
            return make(*arguments, out=out, **options)

        return counted

    for name in ("speak", "convert"):
        monkeypatch.setattr(library_module, name, count(getattr(library_module, name)))
    return paths


def list_files(library: SoundLibrary) -> set[Path]:
    return {path for path in library.root.rglob("*") if path.is_file() and ".locks" not in path.parts}


@contextmanager
def umask(mask: int) -> Iterator[None]:
    previous = os.umask(mask)
    try:
        yield
    finally:
        os.umask(previous)


# -- speech ---------------------------------------------------------------------------------------------------------


def test_same_text_is_synthesized_once(library: SoundLibrary, made: list[Path]) -> None:
    path = library.speech_path("شماره ۱۲۳", "fa")
    assert not path.exists()
    assert (path.parent, len(path.stem)) == (library.root / "speech", 64)
    first = library.synthesize("شماره ۱۲۳", "fa")
    assert library.synthesize("  شماره 123\n", "fa") == first
    assert library.synthesize("شماره 123", "fa", DEFAULT_VOICES["fa"], 150) == first
    assert made == [first.path] == [path]
    assert first == read_clip(first.path)


def test_every_difference_in_speech_makes_another_clip(library: SoundLibrary) -> None:
    arguments: list[tuple[Any, ...]] = [
        ("123", "fa"),
        ("123", "en"),
        ("123", "en", "en-us+m3"),
        ("123", "en", None, 200),
        ("12", "en"),
    ]
    arguments += [("123", "en", None, None, 80), ("123", "en", None, 200, 80)]
    clips = [library.synthesize(*each) for each in arguments]
    assert len({clip.path for clip in clips}) == len({clip.path.read_bytes() for clip in clips}) == len(arguments)


def test_default_pitch_is_not_part_of_the_name(library: SoundLibrary) -> None:
    """Clips from before there was a pitch keep their names."""
    recipe = json.dumps([1, "en", DEFAULT_VOICES["en"], 150, "hello"])
    name = hashlib.sha256(recipe.encode()).hexdigest()
    for pitch in (None, 50):
        assert library.speech_path("hello", "en", pitch=pitch).stem == name
    assert library.speech_path("hello", "en", "", pitch=51).stem != name


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("", "en"), "empty_text"),
        (("سلام", "en"), "wrong_language"),
        (("hello", "en", "fa"), "unknown_voice"),
        (("hello", "en", "en-xx"), "unknown_voice"),
        (("hello", "de"), "unknown_voice"),
        (("hello", "en", None, 0), "rate_out_of_range"),
        (("hello", "en", None, 150, 100), "pitch_out_of_range"),
    ],
)
def test_invalid_speech_is_refused(arguments: tuple[str, str], code: str, library: SoundLibrary) -> None:
    for call in (library.synthesize, library.speech_path):
        with pytest.raises(SpeechError) as caught:
            call(*arguments)
        assert caught.value.code == code
    assert list_files(library) == set()


# -- uploads --------------------------------------------------------------------------------------------------------


def test_same_content_is_converted_once(spoken_file: Path, library: SoundLibrary, made: list[Path]) -> None:
    first = library.convert(spoken_file, "intro.wav")
    with spoken_file.open("rb") as stream:
        assert library.convert(stream, "../../other name.mp3\x00") == first
    assert library.convert(io.BytesIO(spoken_file.read_bytes())) == first
    assert made == [first.path]
    assert first.path.parent == library.root / "uploads"
    assert likeness(read_samples(first.path), read_samples(spoken_file)) > 0.95
    assert list_files(library) == {first.path}


def test_raw_format_is_part_of_the_name(library: SoundLibrary, spoken_file: Path) -> None:
    raw = read_samples(spoken_file).tobytes()
    narrow, wide = (library.convert(io.BytesIO(raw), name) for name in ("a.sln", "a.SLN16"))
    assert narrow.seconds == pytest.approx(2 * wide.seconds, rel=0.05)
    with pytest.raises(SoundError) as caught:
        library.convert(io.BytesIO(raw), "a.wav")
    assert caught.value.code == "not_audio"


def test_upload_is_read_up_to_the_limit(library: SoundLibrary) -> None:
    class Endless(io.RawIOBase):
        size = 0

        def read(self, size: int = -1) -> bytes:
            self.size += size
            assert self.size < 2 * MAX_BYTES
            return bytes(size)

    with pytest.raises(SoundError) as caught:
        library.convert(Endless())  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.details) == ("too_large", {"limit": MAX_BYTES})
    assert list_files(library) == set()


def test_refused_upload_leaves_no_file(library: SoundLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with pytest.raises(SoundError):
        library.convert(io.BytesIO(b"no sound at all"), "x.wav")
    assert (list_files(library), list(temporary.iterdir())) == (set(), [])


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-500]),
        lambda path: path.write_bytes(bytes(path.stat().st_size)),
        lambda path: path.unlink(),
    ],
)
def test_damaged_clip_is_made_again(damage: Callable[[Path], object], library: SoundLibrary) -> None:
    clip = library.synthesize("hello", "en")
    content = clip.path.read_bytes()
    damage(clip.path)
    assert library.synthesize("hello", "en") == clip
    assert clip.path.read_bytes() == content


# -- threads and processes ------------------------------------------------------------------------------------------


def test_threads_make_a_clip_once(library: SoundLibrary, made: list[Path]) -> None:
    barrier = threading.Barrier(8)

    def synthesize() -> Clip:
        barrier.wait()
        return library.synthesize("hello", "en")

    with ThreadPoolExecutor(8) as pool:
        clips = {future.result() for future in [pool.submit(synthesize) for _ in range(8)]}
    assert len(clips) == 1
    assert made == [clips.pop().path]


MAKER = """
import sys
from pathlib import Path
from app.audio import library
from tests.support.sounds import fake_speak
made = []
def speak(*arguments, **options):
    made.append(1)
    return fake_speak(*arguments, **options)
library.speak = speak
sounds = library.SoundLibrary(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
clip = sounds.synthesize("hello", "en")
print(len(made), clip.path.stem)
"""


def test_processes_make_a_clip_once(root: Path) -> None:
    makers = [
        subprocess.Popen([sys.executable, "-c", MAKER, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for maker in makers:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "ready\n"
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write("go\n")
        maker.stdin.flush()
    (made, name), (other_made, other_name) = [maker.communicate(timeout=60)[0].split() for maker in makers]
    assert int(made) + int(other_made) == 1
    assert name == other_name


def test_dead_process_leaves_no_lock(root: Path, library: SoundLibrary) -> None:
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from app.audio import library\n"
        "from app.audio.convert import write_atomically\n"
        "def die(*, out, **options):\n"
        "    with write_atomically(out) as part:\n"
        "        part.write_bytes(b'half'); os.kill(os.getpid(), signal.SIGKILL)\n"
        "library.speak = die\n"
        "library.SoundLibrary(Path(sys.argv[1])).synthesize('hello', 'en')\n"
    )
    assert subprocess.run([sys.executable, "-c", script, root]).returncode == -9
    (part,) = list_files(library)
    assert part.suffix == ".part"
    clip = library.synthesize("hello", "en")
    assert list_files(library) == {part, clip.path}
    assert library.remove_unused(timedelta(0)) == 1
    assert list_files(library) == {part}  # another process may still write it
    make_old(part)
    assert library.remove_unused(WEEK) == 0
    assert list_files(library) == set()


def test_existing_clip_needs_no_lock(library: SoundLibrary) -> None:
    clip = library.synthesize("hello", "en")
    with library._lock(clip.path):
        assert library.synthesize("hello", "en") == clip


# -- the folder -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_asterisk_may_read_everything_whatever_the_umask(mask: int, tmp_path: Path, spoken_file: Path) -> None:
    with umask(mask):
        library = SoundLibrary(tmp_path / "var" / "prompts")
        library.convert(spoken_file)
        library.assemble([library.synthesize("hello", "en")])
    modes: dict[bool, set[int]] = {True: set(), False: set()}
    for path in [tmp_path / "var", *(tmp_path / "var").rglob("*")]:
        if ".locks" not in path.parent.parts:
            modes[path.is_dir()].add(stat.S_IMODE(path.stat().st_mode))
    assert modes == {True: {0o755}, False: {0o644}}
    assert {stat.S_IMODE(path.stat().st_mode) & 0o022 for path in library.root.glob(".locks/*")} == {0}


def test_closed_folder_is_opened(root: Path) -> None:
    SoundLibrary(root)
    (root / "speech").chmod(0o700)
    SoundLibrary(root)
    assert stat.S_IMODE((root / "speech").stat().st_mode) == 0o755


@contextmanager
def as_nobody() -> Iterator[None]:
    """Drop root's right to write anywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def foreign() -> Iterator[SoundLibrary]:
    """A library with one clip that every user may read and only its owner may write."""
    folder = Path(tempfile.mkdtemp(prefix="prompts-"))
    folder.chmod(0o755)
    library = SoundLibrary(folder / "prompts")
    library.synthesize("hello", "en")
    yield library
    for path in folder.rglob("*"):
        path.chmod(0o755)
    shutil.rmtree(folder)


def test_folder_that_cannot_be_written_is_named(foreign: SoundLibrary, spoken_file: Path) -> None:
    for folder in [foreign.root, *(path for path in foreign.root.iterdir() if path.is_dir())]:
        folder.chmod(0o555)
    sound = io.BytesIO(spoken_file.read_bytes())
    with as_nobody():
        for call in (
            lambda: foreign.synthesize("something new", "en"),
            lambda: foreign.convert(sound),
            lambda: SoundLibrary(foreign.root / "deeper"),
        ):
            with pytest.raises(PermissionError) as caught:
                call()
            assert str(foreign.root) in str(caught.value)
        assert foreign.synthesize("hello", "en").seconds > 0.3  # an existing clip can be used


def test_file_in_place_of_the_folder_is_named(root: Path) -> None:
    root.write_text("")
    with pytest.raises(OSError) as caught:
        SoundLibrary(root)
    assert caught.value.errno in (errno.EEXIST, errno.ENOTDIR)
    assert str(root) in str(caught.value)


def test_lock_file_of_another_user_can_be_locked(foreign: SoundLibrary) -> None:
    """Such as root's, after an administrator's command."""
    if os.geteuid() != 0:
        pytest.skip("only root can create another user's file")
    path = foreign.speech_path("something new", "en")
    with umask(0o077), foreign._lock(path):
        pass
    with as_nobody(), foreign._lock(path):
        pass


# -- clean-up -------------------------------------------------------------------------------------------------------


def make_old(*paths: Path) -> None:
    old = time.time() - WEEK.total_seconds() - 60
    for path in paths:
        os.utime(path, (old, old))


def test_only_clips_that_are_unused_for_long_are_removed(library: SoundLibrary, spoken_file: Path) -> None:
    upload = library.convert(spoken_file).path
    digit = library.synthesize("7", "fa").path
    new, used, marked, unused = (library.synthesize(text, "en").path for text in ("new", "used", "marked", "unused"))
    dialogue = library.assemble([read_clip(digit), read_clip(new)]).path
    make_old(upload, digit, used, marked, dialogue, unused)
    library.synthesize("used", "en")
    library.mark_used([f"speech/{marked.stem}", "speech/missing"])
    assert library.remove_unused(WEEK) == 2
    assert list_files(library) == {upload, digit, new, used, marked}


def test_files_of_another_user_stay(library: SoundLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = library.synthesize("hello", "en")
    make_old(clip.path)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert library.remove_unused(WEEK) == 0
    assert clip.path.exists()


def test_clip_that_is_used_during_its_removal_stays(library: SoundLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = library.synthesize("hello", "en")
    make_old(clip.path)
    rename = Path.rename

    def use_and_rename(path: Path, target: Path) -> Path:
        if path == clip.path:
            assert library.synthesize("hello", "en") == clip
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", use_and_rename)
    assert library.remove_unused(WEEK) == 0
    assert list_files(library) == {clip.path}


def test_clip_that_is_removed_while_it_is_read_is_made_again(
    library: SoundLibrary, made: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = library.synthesize("hello", "en")
    make_old(clip.path)
    removed: list[int] = []

    def read_and_remove(path: Path) -> Clip:
        found = read_clip(path)
        removed.append(library.remove_unused(WEEK))
        return found

    monkeypatch.setattr(library_module, "read_clip", read_and_remove)
    assert library.synthesize("hello", "en").path.exists()
    assert (removed, made) == ([1], [clip.path] * 2)


def test_real_speech(library: SoundLibrary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # quick_sounds
    clip = library.synthesize("hello", "en", "en-us+m3", 200, 70)
    spoken = speak("hello", voice="en-us+m3", rate=200, pitch=70, out=tmp_path / "hello.wav")
    assert clip.seconds == pytest.approx(spoken.seconds, abs=0.01)  # the engine's own length varies by some samples
