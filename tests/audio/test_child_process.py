"""Child processes: attacks by uploaded files, and the limits on time, memory and file size."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import pytest

from app.audio import child_process
from app.audio.child_process import MEMORY_BYTES, run_child
from app.audio.clip import SoundError
from app.audio.convert import MAX_BYTES, convert
from script.office.patience import PATIENCE
from tests.audio.sounds import PIPER_MODEL, silence, wav_file, wav_format, write_sound

SCRIPTS = ("convert_child.py", "speak_child.py", "piper_child.py")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "out.wav"


def refuse(source: Path, out: Path, **options: Any) -> SoundError:
    """Convert a file that must be refused without leaving a file behind. Return the error."""
    with pytest.raises(SoundError) as caught:
        convert(source, out=out, **options)
    assert list(out.parent.iterdir()) == []
    return caught.value


# -- play lists -----------------------------------------------------------------------------------------------------


class Listener(ThreadingHTTPServer):
    """Notes the paths of all requests."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
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


def test_pyav_alone_fetches_a_play_list(listener: Listener, tmp_path: Path) -> None:
    """Prove that the next test uses a play list that PyAV understands."""
    source = tmp_path / "list.m3u8"
    source.write_text(PLAY_LISTS["list.m3u8"](f"http://127.0.0.1:{listener.server_port}"))
    with source.open("rb") as stream, pytest.raises(av.error.FFmpegError):
        av.open(stream)
    assert set(listener.paths) == {"/a.ts"}


@pytest.mark.usefixtures("quick_conversion")
@pytest.mark.parametrize("extension", ["", ".wav", ".mp3"])
@pytest.mark.parametrize("name", PLAY_LISTS)
def test_play_list_is_not_fetched(name: str, extension: str, listener: Listener, tmp_path: Path, out: Path) -> None:
    source = tmp_path / (name + extension)
    source.write_text(PLAY_LISTS[name](f"http://127.0.0.1:{listener.server_port}"))
    assert refuse(source, out).code == "not_audio"
    assert listener.paths == []


@pytest.mark.usefixtures("quick_conversion")
def test_play_list_does_not_read_local_files(spoken_file: Path, out: Path) -> None:
    for name, text in (
        ("list.m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{spoken_file}\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", f"ffconcat version 1.0\nfile {spoken_file.name}\n"),
    ):
        source = spoken_file.parent / name
        source.write_text(text)
        assert refuse(source, out).code == "not_audio"


# -- files with absurd claims ---------------------------------------------------------------------------------------

NOISE = bytes(range(1, 255)) * 161  # 41 KB
PLAIN = wav_format(1, 1, 8000, 16000, 2, 16)
BOMBS = {
    "description of a gigabyte": wav_file(PLAIN, (b"bext", 0x40000000, NOISE)),
    "tag of a gigabyte": wav_file(PLAIN, (b"LIST", 0x40000000, b"INFOINAM" + struct.pack("<I", 0x40000000) + NOISE)),
    "65,535 channels": wav_file(wav_format(1, 65535, 8000, 0, 65535, 16), (b"data", 0x40000000, NOISE)),
    "64 channels of 16 MHz": wav_file(wav_format(1, 64, 1 << 24, 0x7FFFFFFF, 256, 32), (b"data", 0x7FFFFFF0, NOISE)),
    "2 GHz": wav_file(wav_format(1, 1, 0x7FFFFFF0, 0, 2, 16), (b"data", len(NOISE), NOISE)),
    "an hour at 1 Hz": wav_file(wav_format(1, 1, 1, 0, 1, 8), (b"data", 3600, NOISE[:3600])),
}


@pytest.mark.parametrize("name", BOMBS)
def test_small_file_with_absurd_claims_is_refused(name: str, tmp_path: Path, out: Path) -> None:
    source = tmp_path / "bomb.wav"
    source.write_bytes(BOMBS[name])
    assert refuse(source, out).code in ("broken", "too_long", "silence_only")


def test_memory_limit_stops_a_bomb(tmp_path: Path) -> None:
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
    unlimited, limited = (
        int(subprocess.run([sys.executable, "-c", script, source, str(limit)], capture_output=True, check=True).stdout)
        for limit in (0, MEMORY_BYTES)
    )
    assert unlimited > 1 << 20  # kB
    assert limited <= MEMORY_BYTES >> 10


def test_hours_of_compressed_silence_are_refused(tmp_path: Path, out: Path) -> None:
    source = write_sound(tmp_path / "silence.mp3", silence(60), "libmp3lame")
    source.write_bytes(source.read_bytes() * 180)
    assert source.stat().st_size < MAX_BYTES
    assert refuse(source, out).code == "too_long"


# -- limits ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A named pipe without a writer: opening it for reading blocks."""
    path = tmp_path / "pipe.wav"
    os.mkfifo(path)
    return path


def list_children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(FileNotFoundError):  # the thread has ended
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


def wait_for(condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
    return value


def convert_request(source: Path, out: Path) -> dict[str, Any]:
    return {"source": str(source), "raw_format": None, "max_seconds": 300.0, "out": str(out)}


def test_hanging_child_is_killed_and_frees_its_slot(pipe: Path, spoken_file: Path, out: Path) -> None:
    before = list_children()
    for _ in range(3):  # there are only two slots
        error = refuse(pipe, out, timeout=0.3)
        assert (error.code, error.details) == ("timeout", {"limit": 0.3})
    assert list_children() == before
    assert convert(spoken_file, out=out).seconds > 5


def test_third_conversion_at_once_is_refused(pipe: Path, out: Path) -> None:
    before = list_children()

    def convert_pipe(timeout: float) -> str:
        with pytest.raises(SoundError) as caught:
            convert(pipe, out=out, timeout=timeout)
        return caught.value.code

    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(convert_pipe, 1.5) for _ in range(2)]
        wait_for(lambda: len(list_children() - before) == 2)
        assert convert_pipe(0.2) == "busy"
        assert [future.result() for future in running] == ["timeout", "timeout"]


def test_child_has_its_limits_before_it_opens_the_file(pipe: Path) -> None:
    before = list_children()

    def read_limits() -> str:
        writer = wait_for(lambda: open_if_read(pipe))
        try:
            (pid,) = list_children() - before
            limits = Path(f"/proc/{pid}/limits").read_text()
            os.kill(pid, signal.SIGKILL)
            return limits
        finally:
            os.close(writer)

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_limits)
        with pytest.raises(SoundError):
            run_child("convert_child.py", convert_request(pipe, pipe), timeout=PATIENCE, file_bytes=12345)
        limits = dict(re.findall(r"^Max (.+?)  +(\S+)", reading.result(), re.MULTILINE))
    assert (limits["address space"], limits["file size"]) == (str(512 << 20), "12345")
    assert (limits["cpu time"], limits["core file size"]) == (str(math.ceil(PATIENCE) + 1), "0")


def open_if_read(pipe: Path) -> int | None:
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        assert error.errno == errno.ENXIO  # nothing reads it yet
        return None


def test_too_little_memory_is_an_error(spoken_file: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "MEMORY_BYTES", 64 << 20)
    assert refuse(spoken_file, out).code == "broken"


def test_crashed_child_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "crash.py").write_text("raise SystemExit('out of order')")
    monkeypatch.setattr(child_process, "__file__", str(tmp_path / "child_process.py"))
    caplog.set_level(logging.INFO)
    with pytest.raises(SoundError) as caught:
        run_child("crash.py", {}, timeout=20, file_bytes=1000)
    assert caught.value.code == "broken"
    assert "out of order" in caplog.text


def test_full_disk_is_an_os_error(spoken_file: Path, out: Path) -> None:
    with pytest.raises(OSError) as caught:
        run_child("convert_child.py", convert_request(spoken_file, out), timeout=20, file_bytes=1000)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(out))


@pytest.mark.slow
def test_child_ends_itself_when_its_parent_is_gone(pipe: Path, tmp_path: Path) -> None:
    request = convert_request(pipe, tmp_path / "out.wav") | {"timeout": 0.1, "text": "hello", "voice": "en-us"}
    request |= {"rate": 150, "pitch": 50, "slowness": 1.0, "model": str(PIPER_MODEL)}
    os.mkfifo(tmp_path / "out.wav")
    scripts = [Path(child_process.__file__).with_name(name) for name in SCRIPTS]

    def run(script: Path) -> int:
        command = [sys.executable, "-P", str(script)]
        return subprocess.run(command, input=json.dumps(request).encode(), capture_output=True, timeout=60).returncode

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(run, scripts)) == [-signal.SIGALRM] * 3
