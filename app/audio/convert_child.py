"""Child process: convert any sound file to a normalized 8 kHz mono WAV file.

Started by path, so it imports nothing of ours. Reads {"source", "raw_format", "out", "max_seconds", "timeout"} as JSON
from standard input. Writes {"seconds"}, {"error", "details", "reason"} or, if the file could not be written, {"errno"}
to standard output. `raw_format` is null or the [format, Hz] of a file without a header.
"""

from __future__ import annotations  # array[float] exists for the type checker only

import io
import json
import os
import re
import signal
import struct
import sys
import wave
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

RATE = 8000  # Hz
CHUNK_SAMPLES = 48_000  # about a second; collecting frames to this size doubles the speed
SILENCE_LEVEL = 10 ** (-60 / 20)  # full scale is 1.0
MIN_SOUND_SECONDS = 0.05  # a file must have this much sound above SILENCE_LEVEL
MAX_BAD_PACKETS = 50

# Without these whitelists, a play list (m3u8, concat) makes the library fetch any address that it names.
FORMATS = "wav,w64,mp3,ogg,flac,aac,amr,amrnb,amrwb,mov,matroska,aiff,gsm,asf,au,caf,mulaw,alaw,g722,s16le"
PROTOCOLS = "file"
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE  # format tags of WAV files
# A file that starts with one of these headers but cannot be opened is truncated or damaged. An m4a file from a
# telephone, for example, has its table of contents at the end.
KNOWN_HEADERS = re.compile(
    rb"RIFF....WAVE|OggS|fLaC|ID3|#!AMR|\x1aE\xdf\xa3|....ftyp|FORM....AIF|caff|\.snd", re.DOTALL
)

NORMALIZE_FILTERS = [
    ("loudnorm", "I=-19:TP=-2:LRA=7"),  # before areverse: after it, loudnorm would need 580 MB
    ("aresample", str(RATE)),
    ("silenceremove", "start_periods=1:start_threshold=-50dB:start_silence=0.1"),
    ("areverse", ""),
    ("silenceremove", "start_periods=1:start_threshold=-50dB:start_silence=0.1"),
    ("areverse", ""),
    ("aformat", f"sample_fmts=s16:channel_layouts=mono:sample_rates={RATE}"),
]


class ConversionError(Exception):
    """A file that cannot be converted. `code` and `details` are those of a SoundError, `reason` is for the log."""

    def __init__(self, code: str, reason: str = "", **details: Any) -> None:
        super().__init__(code)
        self.code, self.reason, self.details = code, reason, details


class FilterChain:
    """A chain of filters for frames with the format of `like`."""

    def __init__(self, av: Any, like: Any, filters: list[tuple[str, str]]) -> None:
        self._eof = av.error.EOFError
        self._graph = av.filter.Graph()
        self._graph.threads = 1  # each thread's stack counts against the memory limit
        nodes = [
            self._graph.add_abuffer(
                sample_rate=like.sample_rate, format=like.format.name, layout=like.layout, time_base=like.time_base
            )
        ]
        nodes += [self._graph.add(name, options or None) for name, options in filters]
        nodes.append(self._graph.add("abuffersink"))
        self._graph.link_nodes(*nodes).configure()

    def push(self, frame: Any) -> Iterator[Any]:
        """Push one frame, or None at the end, and yield the filtered frames that are ready."""
        self._graph.push(frame)
        while True:
            try:
                yield self._graph.pull()
            except (BlockingIOError, self._eof):
                return


def decode(av: Any, container: Any) -> Iterator[Any]:
    """Yield the frames of the first audio stream. Skip bad packets; raise ConversionError if there are too many."""
    stream = container.streams.audio[0]
    stream.codec_context.thread_count = 1
    bad = good = 0
    while True:
        try:
            for packet in container.demux(stream):
                try:
                    for frame in packet.decode():
                        good += 1
                        yield frame
                except av.error.EOFError:
                    return
                except (av.error.FFmpegError, ValueError):
                    bad += 1
                    if bad > MAX_BAD_PACKETS and bad > good:
                        raise ConversionError("broken", bad=bad) from None
            return
        except av.error.FFmpegError:  # the container itself is damaged here: go on behind the damage
            bad += 1
            if bad > MAX_BAD_PACKETS:
                raise ConversionError("broken", bad=bad) from None


def resample(av: Any, frames: Iterator[Any], max_seconds: float, gain: int = 1) -> array[float]:
    """Return all samples at 8 kHz mono as floats, multiplied by `gain` and not normalized yet.

    The duration is counted: what the file says about it may be wrong.
    """
    filters = [
        ("aresample", f"{RATE}:rematrix_maxval=1.0"),  # without it, mixing down adds 3 dB and clips
        ("aformat", "sample_fmts=flt:channel_layouts=mono"),
        *([("volume", str(gain))] if gain != 1 else []),
        ("highpass", "f=100"),
    ]
    samples: array[float] = array("f")
    seconds = 0.0

    def collect(chain: FilterChain, frame: Any) -> None:
        for filtered in chain.push(frame):
            samples.frombytes(memoryview(filtered.planes[0])[: filtered.samples * 4])

    chain: FilterChain | None = None
    fifo: Any = None
    kind: tuple[Any, ...] = ()
    for frame in frames:
        seconds += frame.samples / max(1, frame.sample_rate)
        if seconds > max_seconds:
            raise ConversionError("too_long", limit=round(max_seconds))
        frame.pts = None  # ignore gaps and jumps in the recording's clock
        if chain is None or kind != (frame.sample_rate, frame.format.name, frame.layout.name):
            if chain is not None:  # the format changes within the file, as in chained ogg files
                flush(fifo, chain, collect)
            kind = (frame.sample_rate, frame.format.name, frame.layout.name)
            chain, fifo = FilterChain(av, frame, filters), av.AudioFifo()
        fifo.write(frame)
        while chunk := fifo.read(CHUNK_SAMPLES):
            collect(chain, chunk)
    if chain is not None:
        flush(fifo, chain, collect)
    return samples


def flush(fifo: Any, chain: FilterChain, collect: Callable[[FilterChain, Any], None]) -> None:
    """Collect the rest of `fifo` and what the filters still hold back."""
    rest = fifo.read(0, True)
    if rest is not None:
        collect(chain, rest)
    collect(chain, None)


def normalize(av: Any, samples: array[float]) -> array[int]:
    """Bring the samples to a loudness of -19 LUFS and cut silence off both ends. Return 16 bit samples."""

    def frames() -> Iterator[Any]:
        for start in range(0, len(samples), RATE):
            part = samples[start : start + RATE].tobytes()
            frame = av.AudioFrame("flt", "mono", len(part) // 4)
            frame.sample_rate = RATE
            frame.planes[0].update(part)
            yield frame

    chain: FilterChain | None = None
    result: array[int] = array("h")
    for frame in [*frames(), None]:
        if chain is None:
            chain = FilterChain(av, frame, NORMALIZE_FILTERS)
        for filtered in chain.push(frame):
            result.frombytes(memoryview(filtered.planes[0])[: filtered.samples * 2])
    return result


def list_audio_decoders(av: Any) -> str:
    """Return the names of all audio decoders. Pictures in the file must not be decoded: video decoders are weaker."""
    names = []
    for name in av.codecs_available:
        try:
            if av.Codec(name, "r").type == "audio":
                names.append(name)
        except (ValueError, av.error.FFmpegError):  # an encoder only
            continue
    return ",".join(names)


def convert(request: dict[str, Any]) -> dict[str, Any]:
    """Convert the file of `request` and return the reply. Raises ConversionError."""
    import av  # imported late: the parent has set our limits by now

    samples = read_samples(av, request)
    if not samples:
        raise ConversionError("broken")
    # Count the samples instead of looking at the peak: a click, or a jump at the start, is not a sound to play.
    if sum(sample > SILENCE_LEVEL or sample < -SILENCE_LEVEL for sample in samples) < MIN_SOUND_SECONDS * RATE:
        raise ConversionError("silence_only")
    normalized = normalize(av, samples)
    if len(normalized) < MIN_SOUND_SECONDS * RATE:
        raise ConversionError("silence_only")
    try:
        write_wav(request["out"], normalized)
    except OSError as error:  # such as a full disk: the file is not at fault
        return {"errno": error.errno}
    return {"seconds": len(normalized) / RATE}


def read_samples(av: Any, request: dict[str, Any]) -> array[float]:
    """Open and decode the file of `request`. Raises ConversionError."""
    options = {
        "format_whitelist": FORMATS,
        "protocol_whitelist": PROTOCOLS,
        "codec_whitelist": list_audio_decoders(av),
    }
    file_format, rate = request["raw_format"] or (None, None)
    if file_format in ("mulaw", "alaw", "s16le"):
        options["sample_rate"] = str(rate)
    source = Path(request["source"])
    plain, gain = read_plain_wav(source) or (str(source), 1)
    try:
        container = av.open(plain, format=file_format, metadata_errors="replace", options=options)
    except (av.error.FFmpegError, ValueError) as error:
        with source.open("rb") as stream:
            is_known = KNOWN_HEADERS.match(stream.read(12)) or isinstance(error, av.error.EOFError)
        raise ConversionError("broken" if is_known else "not_audio", repr(error)) from error
    with container:
        if not container.streams.audio:
            raise ConversionError("no_sound")
        return resample(av, decode(av, container), request["max_seconds"], gain)


def read_plain_wav(source: Path) -> tuple[io.BytesIO, int] | None:
    """Return a WAV file with a plain header instead of its own, and the gain that its samples need.

    The library reads the samples by the number of valid bits, also where they lie in more bytes ("24 in 32"), and fails
    if the extension of the header is missing. Return None for all other files.
    """
    with source.open("rb") as stream:
        if not re.match(rb"RIFF....WAVE", stream.read(12), re.DOTALL):
            return None
        content = bytearray(b"\0" * 12 + stream.read())
    content[:12] = b"RIFF" + struct.pack("<I", len(content) - 8) + b"WAVE"
    chunks = find_chunks(content)
    at, size = chunks.get(b"fmt ", (0, 0))
    if size < 16:
        return None
    tag, channels, _rate, _bytes_per_second, block, bits = struct.unpack_from("<HHIIHH", content, at)
    valid = bits
    if tag == EXTENSIBLE:
        valid, _mask, tag = struct.unpack_from("<HIH", content, at + 18) if size >= 26 else (bits, 0, PCM)
    elif bits == 8 * block // max(1, channels):
        return None
    if tag not in (PCM, FLOAT) or not channels or block % channels or block // channels > 8:
        return None
    struct.pack_into("<H", content, at, tag)
    struct.pack_into("<H", content, at + 14, 8 * block // channels)
    is_right_justified = tag == PCM and block == 4 * channels and fits(content, chunks.get(b"data", (0, 0)), valid)
    return io.BytesIO(content), 1 << (32 - valid) if is_right_justified else 1


def find_chunks(content: bytearray) -> dict[bytes, tuple[int, int]]:
    """Return where the chunks of a WAV file begin, and how many bytes they have. The first of each name counts."""
    chunks: dict[bytes, tuple[int, int]] = {}
    at = 12
    while at + 8 <= len(content):
        size = min(struct.unpack_from("<I", content, at + 4)[0], len(content) - at - 8)
        chunks.setdefault(bytes(content[at : at + 4]), (at + 8, size))
        at += 8 + size + size % 2
    return chunks


def fits(content: bytearray, data: tuple[int, int], bits: int) -> bool:
    """Tell whether all 32 bit samples are so small that only their last `bits` bits are used."""
    at, size = data
    samples = array("i", bytes(content[at : at + size - size % 4]))
    least, most = min(samples, default=0), max(samples, default=0)
    return 0 < bits < 32 and -(1 << bits - 1) <= least and most < 1 << bits - 1


def write_wav(out: str, samples: array[int]) -> None:
    """Write the samples as an 8 kHz mono WAV file. Raises OSError."""
    with Path(out).open("wb") as file, wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(samples.tobytes())


def main() -> None:
    request = json.load(sys.stdin)
    signal.alarm(int(request["timeout"]) + 3)  # ends this process if the parent, which would kill it, is gone
    os.nice(5)  # calls go first
    try:
        reply = convert(request)
    except ConversionError as error:
        reply = {"error": error.code, "details": error.details, "reason": error.reason}
    except MemoryError:
        reply = {"error": "broken", "reason": "out of memory"}
    except Exception as error:
        reply = {"error": "broken", "reason": repr(error)}
    json.dump(reply, sys.stdout)


if __name__ == "__main__":
    main()
