"""The folder of finished sounds: each made once, whole and readable, by any number of threads and processes."""

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
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from app.audio import library as cache
from app.audio.clip import Clip, SoundError, SpeechError, read_clip
from app.audio.convert import MAX_BYTES
from app.audio.library import SoundLibrary
from tests.audio.sounds import likeness, read_samples

WEEK = timedelta(days=7)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "prompts"


@pytest.fixture
def library(root: Path) -> SoundLibrary:
    return SoundLibrary(root)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The sounds really made, in their order, by this process."""
    paths: list[Path] = []
    for name in ("speak", "convert"):
        monkeypatch.setattr(cache, name, count_calls(getattr(cache, name), paths))
    return paths


def count_calls(make, paths):  # type: ignore[no-untyped-def]
    def counted(*arguments, out, **options):  # type: ignore[no-untyped-def]
        paths.append(out)
        return make(*arguments, out=out, **options)

    return counted


def sounds(library: SoundLibrary) -> set[Path]:
    return {path for path in library.root.rglob("*") if path.is_file() and ".locks" not in path.parts}


@contextmanager
def umask(mask: int) -> Iterator[None]:
    former = os.umask(mask)
    try:
        yield
    finally:
        os.umask(former)


def test_the_same_text_is_spoken_once(library: SoundLibrary, made: list[Path]) -> None:
    first = library.synthesize("شماره ۱۲۳", "fa")
    assert library.synthesize("  شماره 123\n", "fa") == first
    assert library.synthesize("شماره 123", "fa", "fa+f3", 150) == first
    assert made == [first.path]
    assert first == read_clip(first.path)


def test_each_way_to_speak_a_text_is_a_sound_of_its_own(library: SoundLibrary) -> None:
    ways = [("123", "fa"), ("123", "en"), ("123", "en", "en-us+m3"), ("123", "en", None, 200), ("12", "en")]
    ways += [("123", "en", None, None, 80), ("123", "en", None, 200, 80)]
    clips = [library.synthesize(*way) for way in ways]
    assert len({clip.path for clip in clips}) == len({clip.path.read_bytes() for clip in clips}) == len(ways)


def test_the_usual_pitch_is_no_part_of_a_name(library: SoundLibrary) -> None:
    """What was spoken before there was a pitch keeps its name, and is found again."""
    recipe = json.dumps([1, "en", "en-us+f3", 150, "hello"])
    before = hashlib.sha256(recipe.encode()).hexdigest()
    for pitch in (None, 50):
        assert library.speech_path("hello", "en", pitch=pitch).stem == before
    assert library.speech_path("hello", "en", "", pitch=51).stem != before


def test_the_path_is_known_before_the_sound(library: SoundLibrary) -> None:
    path = library.speech_path("hello", "en")
    assert not path.exists()
    assert library.synthesize("hello", "en").path == path
    assert path.parent == library.root / "speech"
    assert len(path.stem) == 64


def test_a_name_is_what_asterisk_wants(library: SoundLibrary) -> None:
    clip = library.synthesize("hello", "en")
    assert library.name(clip) == f"speech/{clip.path.stem}"
    assert library.seconds(clip.path) == clip.seconds


@pytest.mark.parametrize("language", ["fa", "en"])
def test_digits_differ_from_each_other(language: str, library: SoundLibrary) -> None:
    digits = library.digits(language)
    assert list(digits) == list("0123456789")
    assert all(0.2 < clip.seconds < 1.2 for clip in digits.values())
    samples = [read_samples(clip.path) for clip in digits.values()]
    assert len({each.tobytes() for each in samples}) == 10
    assert all(any(each) for each in samples)
    assert digits["7"] == library.synthesize("7", language)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("", "en"), "empty_text"),
        (("a" * 1501, "en"), "text_too_long"),
        (("سلام", "en"), "wrong_language"),
        (("hello", "en", "fa"), "unknown_voice"),
        (("hello", "en", "en-xx"), "unknown_voice"),
        (("hello", "de"), "unknown_voice"),
        (("hello", "en", None, 79), "rate_out_of_range"),
        (("hello", "en", None, 0), "rate_out_of_range"),
        (("hello", "en", None, 150, 100), "pitch_out_of_range"),
    ],
)
def test_what_cannot_be_spoken_leaves_nothing(arguments: tuple[str, str], code: str, library: SoundLibrary) -> None:
    for call in (library.synthesize, library.speech_path):
        with pytest.raises(SpeechError) as caught:
            call(*arguments)
        assert caught.value.code == code
    assert sounds(library) == set()


def test_an_upload_is_converted_once_whatever_its_name(
    spoken_file: Path, library: SoundLibrary, made: list[Path], tmp_path: Path
) -> None:
    first = library.convert(spoken_file, "intro.wav")
    with spoken_file.open("rb") as stream:
        assert library.convert(stream, "../../other name.mp3\x00") == first
    assert library.convert(io.BytesIO(spoken_file.read_bytes())) == first
    assert made == [first.path]
    assert first.path.parent == library.root / "uploads"
    assert likeness(read_samples(first.path), read_samples(spoken_file)) > 0.95
    assert sounds(library) == {first.path}


def test_the_name_tells_uploads_without_a_head_apart(library: SoundLibrary, spoken_file: Path) -> None:
    raw = read_samples(spoken_file).tobytes()
    narrow, wide = (library.convert(io.BytesIO(raw), name) for name in ("a.sln", "a.SLN16"))
    assert narrow.seconds == pytest.approx(2 * wide.seconds, rel=0.05)
    with pytest.raises(SoundError, match="no kind of sound"):
        library.convert(io.BytesIO(raw), "a.wav")


def test_an_upload_is_read_no_further_than_its_limit(library: SoundLibrary) -> None:
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            assert self.given < 2 * MAX_BYTES
            return bytes(size)

    with pytest.raises(SoundError) as caught:
        library.convert(Endless())  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.details) == ("too_large", {"limit": MAX_BYTES})
    assert sounds(library) == set()


def test_a_refused_upload_leaves_nothing(library: SoundLibrary, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with pytest.raises(SoundError) as caught:
        library.convert(io.BytesIO(b"no sound at all"), "x.wav")
    assert caught.value.code == "not_audio"
    assert (sounds(library), list(temporary.iterdir())) == (set(), [])


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:44]),
        lambda path: path.write_bytes(path.read_bytes()[:-500]),
        lambda path: path.write_bytes(bytes(path.stat().st_size)),
        lambda path: path.write_bytes(b"RIFF\x24\x00\x00\x00WAVE"),
        lambda path: path.unlink(),
    ],
)
def test_a_damaged_sound_is_made_anew(damage, library: SoundLibrary) -> None:  # type: ignore[no-untyped-def]
    clip = library.synthesize("hello", "en")
    whole = clip.path.stat().st_size
    damage(clip.path)
    again = library.synthesize("hello", "en")
    assert again.path == clip.path
    # The engine's own speech may differ by a sample or two from one time to the next.
    assert again.seconds == pytest.approx(clip.seconds, abs=0.01)
    assert clip.path.stat().st_size == pytest.approx(whole, abs=160)


# Threads and processes


def test_many_threads_make_a_sound_once(library: SoundLibrary, made: list[Path]) -> None:
    together = threading.Barrier(8)

    def speak() -> Clip:
        together.wait()
        return library.synthesize("hello " * 60, "en")

    with ThreadPoolExecutor(8) as pool:
        clips = {future.result() for future in [pool.submit(speak) for _ in range(8)]}
    assert len(clips) == 1
    assert made == [clips.pop().path]


MAKER = """
import sys
from pathlib import Path
from app.audio import cache
made = []
for name in ("speak", "convert"):
    def counted(*arguments, make=getattr(cache, name), **options):
        made.append(name)
        return make(*arguments, **options)
    setattr(cache, name, counted)
library = cache.SoundLibrary(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
spoken = library.synthesize("hello " * 100, "en")
uploaded = library.convert(Path(sys.argv[2]))
print(len(made), spoken.seconds, uploaded.seconds)
"""


def test_two_processes_make_a_sound_once(root: Path, spoken_file: Path) -> None:
    makers = [
        subprocess.Popen(
            [sys.executable, "-c", MAKER, root, spoken_file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for maker in makers:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "ready\n"
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write("go\n")
        maker.stdin.flush()
    results = [maker.communicate(timeout=60)[0].split() for maker in makers]
    assert sum(int(result[0]) for result in results) == 2  # one of each kind
    assert results[0][1:] == results[1][1:]


def test_a_maker_that_died_keeps_nobody_waiting(root: Path, library: SoundLibrary) -> None:
    script = (
        "import sys, signal, os\n"
        "from pathlib import Path\n"
        "from app.audio import cache\n"
        "def die(*arguments, out, **options):\n"
        "    with cache.convert.__globals__['write_whole'](out) as part:\n"
        "        part.write_bytes(b'half'); os.kill(os.getpid(), signal.SIGKILL)\n"
        "cache.speak = die\n"
        "cache.SoundLibrary(Path(sys.argv[1])).synthesize('hello', 'en')\n"
    )
    assert subprocess.run([sys.executable, "-c", script, root]).returncode == -9
    (part,) = sounds(library)
    assert part.suffix == ".part"
    clip = library.synthesize("hello", "en")
    assert sounds(library) == {part, clip.path}
    old = time.time() - 2 * 3600
    assert library.remove_unused(timedelta(0)) == 1
    assert sounds(library) == {part}  # it may be in the making still
    os.utime(part, (old, old))
    assert library.remove_unused(WEEK) == 0
    assert sounds(library) == set()


def test_a_sound_found_needs_no_lock(library: SoundLibrary) -> None:
    clip = library.synthesize("hello", "en")
    with library._lock(clip.path):
        assert library.synthesize("hello", "en") == clip


# The folder


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_asterisk_may_read_all_whatever_the_umask(mask: int, tmp_path: Path, spoken_file: Path) -> None:
    with umask(mask):
        library = SoundLibrary(tmp_path / "var" / "prompts")
        library.convert(spoken_file)
        library.synthesize("hello", "en")
    modes: dict[bool, set[int]] = {True: set(), False: set()}
    for path in [tmp_path / "var", *(tmp_path / "var").rglob("*")]:
        if ".locks" not in path.parent.parts:
            modes[path.is_dir()].add(stat.S_IMODE(path.stat().st_mode))
    assert modes == {True: {0o755}, False: {0o644}}
    assert {stat.S_IMODE(path.stat().st_mode) & 0o022 for path in library.root.glob(".locks/*")} == {0}


def test_a_folder_too_tight_is_opened_up(root: Path) -> None:
    SoundLibrary(root)
    (root / "speech").chmod(0o700)
    SoundLibrary(root)
    assert stat.S_IMODE((root / "speech").stat().st_mode) == 0o755


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may write anywhere, so that a test run by root could not see a refusal."""
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
    """A library that only its owner may write, in a place that everyone may enter; one sound is in it."""
    folder = Path(tempfile.mkdtemp(prefix="prompts-"))
    folder.chmod(0o755)
    library = SoundLibrary(folder / "prompts")
    library.synthesize("hello", "en")
    yield library
    for path in folder.rglob("*"):
        path.chmod(0o755)
    shutil.rmtree(folder)


def close(library: SoundLibrary) -> None:
    for folder in [library.root, *(path for path in library.root.iterdir() if path.is_dir())]:
        folder.chmod(0o555)


def test_a_folder_that_cannot_be_written_is_named(foreign: SoundLibrary, spoken_file: Path) -> None:
    close(foreign)
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
        assert foreign.synthesize("hello", "en").seconds > 0.3  # what is there can be played


def test_a_file_in_the_place_of_the_folder_is_named(root: Path) -> None:
    root.write_text("")
    with pytest.raises(OSError) as caught:
        SoundLibrary(root)
    assert caught.value.errno in (errno.EEXIST, errno.ENOTDIR)
    assert str(root) in str(caught.value)


def test_another_users_lock_file_is_no_hindrance(foreign: SoundLibrary) -> None:
    """As after an administrator's command, which is often root's."""
    if os.geteuid() != 0:
        pytest.skip("only root can make another user's file")
    path = foreign.speech_path("something new", "en")
    with umask(0o077), foreign._lock(path):
        pass
    with as_nobody(), foreign._lock(path):
        pass


# Tidying up


def make_old(*clips: Clip) -> None:
    old = time.time() - WEEK.total_seconds() - 60
    for clip in clips:
        os.utime(clip.path, (old, old))


def test_only_sounds_unused_for_long_are_removed(library: SoundLibrary, spoken_file: Path) -> None:
    upload = library.convert(spoken_file)
    digit = library.synthesize("7", "fa")
    young = library.synthesize("three four", "en")
    used_again = library.synthesize("five six", "en")
    remembered = library.synthesize("one two", "en")
    dialogue = library.assemble([digit, young])
    unused = library.synthesize("seven eight", "en")
    make_old(upload, digit, used_again, remembered, dialogue, unused)
    library.synthesize("five six", "en")
    library.mark_used([library.name(remembered), "speech/none"])
    assert library.remove_unused(WEEK) == 2
    assert sounds(library) == {clip.path for clip in (upload, digit, young, used_again, remembered)}
    assert library.synthesize("seven eight", "en").seconds == unused.seconds


def test_what_another_user_made_is_left_to_them(library: SoundLibrary, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = library.synthesize("hello", "en")
    make_old(clip)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert library.remove_unused(WEEK) == 0
    assert clip.path.exists()


def test_a_sound_found_in_the_instant_of_its_removal_stays(
    library: SoundLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = library.synthesize("hello", "en")
    make_old(clip)
    rename = Path.rename

    def find_and_rename(path: Path, target: Path) -> Path:
        if path == clip.path:
            assert library.synthesize("hello", "en") == clip
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", find_and_rename)
    assert library.remove_unused(WEEK) == 0
    assert sounds(library) == {clip.path}


def test_a_sound_removed_in_the_instant_of_its_finding_is_made_again(
    library: SoundLibrary, made: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = library.synthesize("hello", "en")
    make_old(clip)
    removed: list[int] = []

    def read_and_remove(path: Path) -> Clip:
        found = read_clip(path)
        removed.append(library.remove_unused(WEEK))
        return found

    monkeypatch.setattr(cache, "read_clip", read_and_remove)
    assert library.synthesize("hello", "en").path.exists()
    assert removed == [1] and made == [clip.path] * 2
