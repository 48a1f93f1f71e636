"""Files of every kind become the same kind of sound; what is none, or an attack, is refused within bounds."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import signal
import stat
import struct
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from app.audio import child_process, convert_child
from app.audio.child_process import run_child
from app.audio.clip import MESSAGES, SoundError, read_clip, read_seconds
from app.audio.convert import MAX_BYTES, convert, write_atomically
from tests.audio.sounds import PIPER_MODEL, RATE, likeness, louder, read_samples, silence, tone, write_sound

CD = {"rate": 44100, "layout": "stereo"}
SCRIPTS = ("convert_child.py", "speak_child.py", "piper_child.py")
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "pcm.wav": ("pcm_s16le", {}),
    "cd.wav": ("pcm_s16le", CD),
    "ulaw.wav": ("pcm_mulaw", {}),
    "float-surround.wav": ("pcm_f32le", {"rate": 48000, "layout": "5.1"}),
    "music.mp3": ("libmp3lame", CD),
    "opus.ogg": ("libopus", {"rate": 48000}),
    "browser.webm": ("libopus", {"rate": 48000}),
    "browser.mp4": ("aac", {"rate": 48000}),
    "lossless.flac": ("flac", CD),
    "telephone.m4a": ("aac", CD),
    "telephone.amr": ("libopencore_amrnb", {}),
    "telephone.3gp": ("libopencore_amrnb", {}),
    "apple.aiff": ("pcm_s16be", {"rate": 22050}),
    # Asterisk's own, without a head
    "asterisk.ulaw": ("pcm_mulaw", {"file_format": "mulaw"}),
    "asterisk.ALAW": ("pcm_alaw", {"file_format": "alaw"}),
    "asterisk.g722": ("g722", {"file_format": "g722", "rate": 16000}),
    "asterisk.sln": ("pcm_s16le", {"file_format": "s16le"}),
    "asterisk.sln16": ("pcm_s16le", {"file_format": "s16le", "rate": 16000}),
}


def can_encode(codec: str) -> bool:
    try:
        av.Codec(codec, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "out.wav"


@pytest.fixture(scope="session")
def speech(spoken_file: Path) -> Any:
    return read_samples(spoken_file)


def refused(source: Path, out: Path, **options: Any) -> SoundError:
    """Convert what must be refused; nothing may be left of it."""
    with pytest.raises(SoundError) as caught:
        convert(source, out=out, **options)
    assert list(out.parent.iterdir()) == []
    return caught.value


@pytest.mark.parametrize("name", KINDS)
def test_speech_of_every_kind_is_understood(name: str, speech: Any, tmp_path: Path, out: Path) -> None:
    codec, options = KINDS[name]
    if not can_encode(codec):
        pytest.skip(f"this build of PyAV does not write {codec}")
    clip = convert(write_sound(tmp_path / name, speech, codec, **options), out=out)
    assert clip == read_clip(out)
    assert clip.seconds == pytest.approx(len(speech) / RATE, abs=0.1)
    assert -23 < clip.loudness_dbfs < -16
    assert likeness(read_samples(out), speech) > 0.95


def test_a_tone_keeps_its_pitch(tmp_path: Path, out: Path) -> None:
    convert(write_sound(tmp_path / "tone.mp3", tone(2.0, hertz=440), "libmp3lame", **CD), out=out)
    samples = read_samples(out)[RATE // 2 : RATE * 3 // 2]
    rises = sum(before < 0 <= after for before, after in pairwise(samples))
    assert rises == pytest.approx(440, abs=2)


def test_a_name_from_elsewhere_tells_files_without_a_head(speech: Any, tmp_path: Path, out: Path) -> None:
    source = write_sound(tmp_path / "source", speech, "pcm_mulaw", file_format="mulaw")
    assert refused(source, out).code == "not_audio"
    assert likeness(read_samples(convert(source, name="intro.ulaw", out=out).path), speech) > 0.95


@pytest.mark.parametrize("factor", [0.01, 0.1])
def test_quiet_speech_is_made_louder(factor: float, speech: Any, tmp_path: Path, out: Path) -> None:
    source = write_sound(tmp_path / "quiet.wav", louder(speech, factor))
    before = read_clip(source)
    after = convert(source, out=out)
    assert before.loudness_dbfs < -38 or factor > 0.01
    assert -23 < after.loudness_dbfs < -16
    assert after.peak_dbfs < -0.5
    assert likeness(read_samples(out), speech) > 0.9


def test_silence_is_cut_off_both_ends_but_not_from_within(speech: Any, tmp_path: Path, out: Path) -> None:
    whole = silence(2) + speech + silence(1.5) + speech + silence(3)
    clip = convert(write_sound(tmp_path / "pauses.wav", whole), out=out)
    assert clip.seconds == pytest.approx(2 * len(speech) / RATE + 1.5, abs=0.3)
    samples = read_samples(out)
    for edge in (samples[: RATE // 4], samples[-RATE // 4 :]):
        assert max(map(abs, edge)) > 300


def test_only_the_sound_of_a_film_is_taken(speech: Any, tmp_path: Path, out: Path) -> None:
    source = write_film(tmp_path / "film.mp4", speech)
    assert likeness(read_samples(convert(source, out=out).path), speech) > 0.95


def test_a_title_in_an_old_persian_encoding_does_no_harm(speech: Any, tmp_path: Path, out: Path) -> None:
    title = "سلام".encode("cp1256")
    tags = b"INFOINAM" + struct.pack("<I", len(title)) + title
    data = speech.tobytes()
    source = tmp_path / "music.wav"
    source.write_bytes(wav_file(PLAIN, (b"LIST", len(tags), tags), (b"data", len(data), data)))
    with pytest.raises(UnicodeDecodeError):  # else the title is one that nobody stumbles over
        av.open(str(source))
    assert convert(source, out=out).seconds == pytest.approx(len(speech) / RATE, abs=0.1)


def test_a_damaged_place_is_left_out(speech: Any, tmp_path: Path, out: Path) -> None:
    source = write_sound(tmp_path / "music.mp3", speech, "libmp3lame", **CD)
    data = bytearray(source.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = b"\xff" * 2000
    source.write_bytes(data)
    assert convert(source, out=out).seconds == pytest.approx(len(speech) / RATE, abs=0.5)


def test_of_a_stream_cut_off_all_that_is_there_is_kept(speech: Any, tmp_path: Path, out: Path) -> None:
    source = write_sound(tmp_path / "music.mp3", speech, "libmp3lame")
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    assert convert(source, out=out).seconds == pytest.approx(len(speech) / RATE / 2, abs=0.3)


def test_volume_is_a_factor_after_levelling(speech: Any, tmp_path: Path) -> None:
    source = write_sound(tmp_path / "speech.wav", speech)
    full, half = (convert(source, volume=volume, out=tmp_path / f"{volume}.wav") for volume in (1.0, 0.5))
    assert full.loudness_dbfs - half.loudness_dbfs == pytest.approx(6.0, abs=0.2)


# What is refused


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("empty.wav", b"", "not_audio"),
        ("empty.ulaw", b"", "broken"),
        ("text.txt", b"Hello, this is no sound at all.\n" * 100, "not_audio"),
        ("text.mp3", "سلام، این صدا نیست.\n".encode() * 100, "not_audio"),
        ("page.wav", b"<!doctype html><html><body>404</body></html>", "not_audio"),
        ("zeros.bin", bytes(100_000), "not_audio"),
        ("archive.zip", b"PK\x03\x04" + bytes(range(256)) * 40, "not_audio"),
        ("program.wav", b"\x7fELF" + bytes(range(256)) * 40, "not_audio"),
        ("picture.wav", b"RIFF\x00\x00\x01\x00WEBPVP8 " + bytes(range(256)) * 40, "not_audio"),
    ],
)
def test_what_is_no_sound_is_refused(name: str, data: bytes, code: str, tmp_path: Path, out: Path) -> None:
    source = tmp_path / name
    source.write_bytes(data)
    assert refused(source, out).code == code


@pytest.mark.parametrize(
    ("name", "kept", "code"),
    [
        ("pcm.wav", 30, "broken"),
        ("pcm.wav", 44, "broken"),
        ("opus.ogg", 100, "broken"),
        ("lossless.flac", 100, "broken"),
        ("browser.webm", 100, "broken"),
        ("telephone.m4a", 100, "broken"),
        ("telephone.m4a", 20_000, "broken"),  # the table of contents comes last
        ("telephone.amr", 6, "broken"),
    ],
)
def test_a_file_cut_off_before_its_sound_is_broken(
    name: str, kept: int, code: str, speech: Any, tmp_path: Path, out: Path
) -> None:
    codec, options = KINDS[name]
    source = write_sound(tmp_path / name, speech, codec, **options)
    source.write_bytes(source.read_bytes()[:kept])
    assert refused(source, out).code == code


@pytest.mark.parametrize("name", ["pcm.wav", "music.mp3", "lossless.flac", "opus.ogg"])
def test_a_silent_file_is_refused(name: str, tmp_path: Path, out: Path) -> None:
    codec, options = KINDS[name]
    assert refused(write_sound(tmp_path / name, silence(3), codec, **options), out).code == "silence_only"


def test_noise_below_hearing_and_a_click_are_silence(tmp_path: Path, out: Path) -> None:
    faint = write_sound(tmp_path / "faint.wav", louder(tone(2), 0.0005))
    assert refused(faint, out).code == "silence_only"
    click = silence(2)
    click[8000:8040] = tone(0.005)
    assert refused(write_sound(tmp_path / "click.wav", click), out).code == "silence_only"


@pytest.mark.parametrize("name", ["long.wav", "long.flac"])
def test_a_sound_too_long_is_refused(name: str, speech: Any, tmp_path: Path, out: Path) -> None:
    source = write_sound(tmp_path / name, speech, "flac" if name.endswith("flac") else "pcm_s16le")
    error = refused(source, out, max_seconds=3)
    assert (error.code, error.details, str(error)) == ("too_long", {"limit": 3}, "the sound is longer than 3 seconds")
    assert convert(source, max_seconds=7, out=out).seconds > 5


def test_a_file_too_large_is_not_even_opened(tmp_path: Path, out: Path) -> None:
    source = tmp_path / "large.wav"
    source.write_bytes(bytes(1001))
    error = refused(source, out, max_bytes=1000)
    assert (error.code, error.details) == ("too_large", {"limit": 1000})


def test_a_film_without_sound_is_told_apart(tmp_path: Path, out: Path) -> None:
    assert refused(write_film(tmp_path / "mute.mp4", None), out).code == "no_sound"


def write_film(path: Path, samples: Any) -> Path:
    with av.open(str(path), "w") as container:
        picture = container.add_stream("mpeg4", rate=10)
        picture.width = picture.height = 64
        sound = None if samples is None else container.add_stream("aac", rate=RATE, layout="mono")
        for _ in range(10):
            container.mux(picture.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(picture.encode(None))
        if sound is not None:
            resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE, frame_size=1024)
            frame = av.AudioFrame(format="s16", layout="mono", samples=len(samples))
            frame.sample_rate = RATE
            frame.planes[0].update(samples.tobytes())
            for ready in [*resampler.resample(frame), *resampler.resample(None), None]:
                container.mux(sound.encode(ready))
    return path


# What is an attack


class Listener(ThreadingHTTPServer):
    """Notes each address asked for; being asked at all is the failure."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), Answer)


class Answer(BaseHTTPRequestHandler):
    server: Listener

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_error(404)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


PLAY_LISTS: dict[str, Callable[[str], str]] = {
    "list.m3u8": lambda url: f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{url}/a.ts\n#EXT-X-ENDLIST\n",
    "list.ffconcat": lambda url: f"ffconcat version 1.0\nfile '{url}/a.wav'\n",
    "list.sdp": lambda url: f"v=0\nc=IN IP4 127.0.0.1\nm=audio {url.rsplit(':', 1)[1]} RTP/AVP 0\n",
    "list.mpd": lambda url: (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"'
        ' mediaPresentationDuration="PT9S"><Period><AdaptationSet contentType="audio">'
        f'<Representation id="a" bandwidth="1"><BaseURL>{url}/a.mp4'
        "</BaseURL></Representation></AdaptationSet></Period></MPD>"
    ),
}


def test_the_library_itself_would_fetch_a_play_list(listener: Listener, tmp_path: Path) -> None:
    """Without this the next test could pass for a play list that nobody understands."""
    source = tmp_path / "list.m3u8"
    source.write_text(PLAY_LISTS["list.m3u8"](f"http://127.0.0.1:{listener.server_port}"))
    with source.open("rb") as stream, pytest.raises(av.error.FFmpegError):
        av.open(stream)
    assert set(listener.asked) == {"/a.ts"}


@pytest.mark.parametrize("kind", PLAY_LISTS)
@pytest.mark.parametrize("disguise", ["", ".wav", ".mp3"])
def test_a_play_list_is_never_followed(kind: str, disguise: str, listener: Listener, tmp_path: Path, out: Path) -> None:
    source = tmp_path / (kind + disguise)
    source.write_text(PLAY_LISTS[kind](f"http://127.0.0.1:{listener.server_port}"))
    assert refused(source, out).code == "not_audio"
    assert listener.asked == []


def test_a_play_list_does_not_read_our_files_either(spoken_file: Path, tmp_path: Path, out: Path) -> None:
    for name, text in (
        ("list.m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{spoken_file}\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", f"ffconcat version 1.0\nfile {spoken_file.name}\n"),
    ):
        source = spoken_file.parent / name
        source.write_text(text)
        assert refused(source, out).code == "not_audio"


def wav_file(*chunks: tuple[bytes, int, bytes]) -> bytes:
    body = b"".join(name + struct.pack("<I", size) + data for name, size, data in chunks)
    return b"RIFF" + struct.pack("<I", 0x7FFFFFFF) + b"WAVE" + body


def wav_format(tag: int, channels: int, rate: int, per_second: int, block: int, bits: int) -> tuple[bytes, int, bytes]:
    return b"fmt ", 16, struct.pack("<HHIIHH", tag, channels, rate, per_second, block, bits)


NOISE = bytes(range(1, 255)) * 161  # 41 KB
PLAIN = wav_format(1, 1, 8000, 16000, 2, 16)
BOMBS = {
    "description of a gigabyte": wav_file(PLAIN, (b"bext", 0x40000000, NOISE)),
    "tag of a gigabyte": wav_file(PLAIN, (b"LIST", 0x40000000, b"INFOINAM" + struct.pack("<I", 0x40000000) + NOISE)),
    "format of a gigabyte": wav_file((b"fmt ", 0x40000000, PLAIN[2] + b"\xff\xff" + NOISE)),
    "65,535 channels": wav_file(wav_format(1, 65535, 8000, 0, 65535, 16), (b"data", 0x40000000, NOISE)),
    "65,535 channels of ulaw": wav_file(wav_format(7, 65535, 0x7FFFFFFF, 0, 65535, 8), (b"data", 0x40000000, NOISE)),
    "64 channels of 16 MHz": wav_file(wav_format(1, 64, 1 << 24, 0x7FFFFFFF, 256, 32), (b"data", 0x7FFFFFF0, NOISE)),
    "2 GHz": wav_file(wav_format(1, 1, 0x7FFFFFF0, 0, 2, 16), (b"data", len(NOISE), NOISE)),
    "an hour at 1 Hz": wav_file(wav_format(1, 1, 1, 0, 1, 8), (b"data", 3600, NOISE[:3600])),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_with_absurd_claims_is_refused_soon(name: str, tmp_path: Path, out: Path) -> None:
    source = tmp_path / "bomb.wav"
    source.write_bytes(BOMBS[name])
    begin = time.monotonic()
    assert refused(source, out).code in ("broken", "too_long", "silence_only")
    assert time.monotonic() - begin < 10


def test_the_child_cannot_take_the_gigabyte_that_the_library_would(tmp_path: Path) -> None:
    source = tmp_path / "bomb.wav"
    source.write_bytes(BOMBS["description of a gigabyte"])
    script = (
        "import av, re, resource, sys\n"
        "limit = int(sys.argv[2])\n"
        "if limit: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "try: av.open(sys.argv[1])\n"
        "except (av.error.FFmpegError, MemoryError): pass\n"
        "print(re.search(r'VmPeak:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
    )
    free, bound = (
        int(subprocess.run([sys.executable, "-c", script, source, str(limit)], capture_output=True, check=True).stdout)
        for limit in (0, child_process.MEMORY_BYTES)
    )
    assert free > 1 << 20  # kB
    assert bound <= child_process.MEMORY_BYTES >> 10


def test_hours_of_compressed_silence_are_refused_soon(tmp_path: Path, out: Path) -> None:
    source = write_sound(tmp_path / "silence.mp3", silence(60), "libmp3lame")
    source.write_bytes(source.read_bytes() * 180)
    assert source.stat().st_size < MAX_BYTES
    begin = time.monotonic()
    assert refused(source, out).code == "too_long"
    assert time.monotonic() - begin < 15


# The child's bounds


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A file that can be opened, but not within any time: nobody writes into the pipe."""
    path = tmp_path / "endless.wav"
    os.mkfifo(path)
    return path


def our_children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that ended meanwhile
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


def wait_for(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
    return value


def test_a_hanging_child_is_ended_and_its_slot_freed(endless: Path, spoken_file: Path, out: Path) -> None:
    before = our_children()
    for _ in range(3):  # more than there are slots
        begin = time.monotonic()
        error = refused(endless, out, timeout=0.3)
        assert (error.code, error.details) == ("timeout", {"limit": 0.3})
        assert time.monotonic() - begin < 2.5  # its own alarm would end it later
    assert our_children() == before
    assert convert(spoken_file, out=out).seconds > 5


def test_at_most_two_children_work_and_a_third_caller_is_told(endless: Path, out: Path) -> None:
    before = our_children()

    def convert_endless(seconds: float) -> str:
        return refused_code(endless, out, seconds)

    with ThreadPoolExecutor(2) as pool:
        busy = [pool.submit(convert_endless, 1.5) for _ in range(2)]
        wait_for(lambda: len(our_children() - before) == 2)
        assert refused_code(endless, out, 0.2) == "busy"
        assert [future.result() for future in busy] == ["timeout", "timeout"]


def refused_code(source: Path, out: Path, timeout: float) -> str:
    with pytest.raises(SoundError) as caught:
        convert(source, out=out, timeout=timeout)
    return caught.value.code


def test_a_child_has_its_limits_before_it_opens_the_file(endless: Path) -> None:
    before = our_children()
    request = {"source": str(endless), "headless": None, "max_seconds": 9.0, "gain": 1.0, "out": str(endless)}

    def read_limits() -> str:
        writer = wait_for(lambda: open_if_read(endless))
        try:
            (pid,) = our_children() - before
            return Path(f"/proc/{pid}/limits").read_text()
        finally:
            os.close(writer)

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_limits)
        with pytest.raises(SoundError):
            run_child("convert_child.py", request, timeout=1.5, file_bytes=12345)
        limits = dict(re.findall(r"^Max (.+?)  +(\S+)", reading.result(), re.MULTILINE))
    assert (limits["address space"], limits["file size"]) == (str(512 << 20), "12345")
    assert (limits["cpu time"], limits["core file size"]) == ("3", "0")


def open_if_read(pipe: Path) -> int | None:
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        assert error.errno == errno.ENXIO  # nobody reads yet
        return None


def test_too_little_memory_ends_in_an_error(spoken_file: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "MEMORY_BYTES", 64 << 20)
    assert refused(spoken_file, out).code == "broken"


def test_a_full_disk_is_not_blamed_on_the_file(spoken_file: Path, out: Path) -> None:
    request = {"source": str(spoken_file), "headless": None, "max_seconds": 300.0, "gain": 1.0, "out": str(out)}
    with pytest.raises(OSError) as caught:
        run_child("convert_child.py", request, timeout=20, file_bytes=1000)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(out))


def test_a_child_ends_itself_when_its_parent_is_gone(endless: Path, tmp_path: Path) -> None:
    request = {"text": "hello", "voice": "en-us", "rate": 150, "pitch": 50, "slowness": 1.0, "model": str(PIPER_MODEL)}
    request |= {"headless": None, "max_seconds": 9.0, "gain": 1.0}
    request |= {"source": str(endless), "out": str(tmp_path / "out.wav"), "timeout": 0.1}
    os.mkfifo(tmp_path / "out.wav")
    scripts = [Path(child_process.__file__).with_name(name) for name in SCRIPTS]

    def run(script: Path) -> int:
        command = [sys.executable, "-P", str(script)]
        return subprocess.run(command, input=json.dumps(request).encode(), capture_output=True, timeout=20).returncode

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(run, scripts)) == [-signal.SIGALRM] * 3


def test_no_decoder_of_pictures_is_allowed() -> None:
    names = convert_child.list_audio_decoders(av).split(",")
    assert {"mp3", "aac", "opus", "pcm_mulaw", "flac", "amrnb"} <= set(names)
    assert [name for name in names if av.Codec(name, "r").type != "audio"] == []
    assert {"h264", "png", "mjpeg"} & set(names) == set()


# The file written


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_everyone_may_read_the_sound_whatever_the_umask(mask: int, spoken_file: Path, out: Path) -> None:
    former = os.umask(mask)
    try:
        convert(spoken_file, out=out)
    finally:
        os.umask(former)
    assert stat.S_IMODE(out.stat().st_mode) == 0o644


def test_a_failure_leaves_the_former_file_alone(spoken_file: Path, tmp_path: Path, out: Path) -> None:
    convert(spoken_file, out=out)
    before = out.read_bytes()
    (tmp_path / "text.txt").write_text("no sound")
    with pytest.raises(SoundError):
        convert(tmp_path / "text.txt", out=out)
    assert out.read_bytes() == before
    assert list(out.parent.iterdir()) == [out]


def test_the_file_appears_whole(out: Path) -> None:
    with write_atomically(out) as temporary:
        temporary.write_bytes(b"half")
        assert not out.exists()
        assert temporary.parent == out.parent  # else the move would copy
        temporary.write_bytes(b"half and half")
    assert out.read_bytes() == b"half and half"
    with pytest.raises(KeyboardInterrupt), write_atomically(out) as temporary:
        temporary.write_bytes(b"other")
        raise KeyboardInterrupt
    assert out.read_bytes() == b"half and half"
    assert list(out.parent.iterdir()) == [out]


# Measuring


def wav(samples: bytes, rate: int = RATE, channels: int = 1, width: int = 2) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as sound:
        sound.setframerate(rate)
        sound.setnchannels(channels)
        sound.setsampwidth(width)
        sound.writeframes(samples)
    return target.getvalue()


def test_a_clip_tells_seconds_loudness_and_peak(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(wav(struct.pack("<4h", 16384, -16384, 16384, -16384) * 2000))
    clip = read_clip(path)
    assert (clip.seconds, read_seconds(path)) == (1.0, 1.0)
    assert clip.loudness_dbfs == pytest.approx(-6.02, abs=0.01)
    assert clip.peak_dbfs == pytest.approx(-6.02, abs=0.01)
    path.write_bytes(wav(struct.pack("<2h", -32768, 0)))
    assert read_clip(path).peak_dbfs == 0.0
    path.write_bytes(wav(bytes(16000)))
    assert (read_clip(path).loudness_dbfs, read_clip(path).peak_dbfs) == (-96.0, -96.0)


RATELESS = wav_file(wav_format(1, 1, 0, 0, 2, 16), (b"data", 4, bytes(4)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no sound",
        wav(b""),
        wav(bytes(8000), rate=16000),
        wav(bytes(8000), channels=2),
        wav(bytes(8000), width=1),
        wav(bytes(8000))[:-1],
        wav(bytes(8000))[:-1000],
        wav(bytes(8000))[:40],
        RATELESS,
    ],
)
def test_what_is_no_finished_sound_is_broken(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(data)
    with pytest.raises(SoundError) as caught:
        read_clip(path)
    assert caught.value.code == "broken"


@pytest.mark.parametrize("data", [b"", b"no sound", wav(bytes(8000), rate=16000), RATELESS])
def test_the_seconds_of_what_is_no_finished_sound_are_not_known(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    path.write_bytes(data)
    with pytest.raises(SoundError) as caught:
        read_seconds(path)
    assert caught.value.code == "broken"
    with pytest.raises(FileNotFoundError):
        read_seconds(tmp_path / "lost.wav")
    with pytest.raises(FileNotFoundError):
        read_clip(tmp_path / "lost.wav")


def test_every_code_has_its_sentence() -> None:
    details = {"limit": 1, "length": 2, "language": "fa", "voice": "x", "rate": 3, "least": 4, "most": 5}
    details |= {"pitch": 6, "reason": "y"}
    for code in MESSAGES:
        error = SoundError(code, **details)
        assert (error.code, error.details) == (code, details)
        assert "{" not in str(error)
