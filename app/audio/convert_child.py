"""Child process: turns any sound file into levelled 8 kHz mono WAV. Started by path; imports nothing of ours.

Reads {"source", "headless", "out", "max_seconds", "gain", "timeout"} as JSON from standard input. Writes to standard
output {"seconds"}, or {"error", "details", "reason"}, or {"errno"} if the file could not be written.
`gain` is a factor after levelling, `headless` null or [format, Hz] of a file without a head.
"""

from __future__ import annotations  # array[float] is for the checker only

import json
import os
import re
import signal
import sys
import wave
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

RATE = 8000  # Hz
CHUNK = 48_000  # samples; frames are gathered to about a second, which doubles the speed
SILENCE = 10 ** (-60 / 20)  # full scale is 1.0
SHORTEST = 0.05  # seconds above SILENCE that a file must have
MAX_BAD_PACKETS = 50

# Without these lists a play list (m3u8, concat) makes the library fetch whatever addresses it names.
FORMATS = "wav,w64,mp3,ogg,flac,aac,amr,amrnb,amrwb,mov,matroska,aiff,gsm,asf,au,caf,mulaw,alaw,g722,s16le"
PROTOCOLS = "file"
# What cannot be opened in spite of such a head is a sound cut off or damaged, as a telephone's m4a, which ends in its
# table of contents.
HEADS = re.compile(rb"RIFF....WAVE|OggS|fLaC|ID3|#!AMR|\x1aE\xdf\xa3|....ftyp|FORM....AIF|caff|\.snd", re.DOTALL)

LEVEL = [
    ("loudnorm", "I=-19:TP=-2:LRA=7"),  # before areverse: after it, it would need 580 MB
    ("aresample", str(RATE)),
    ("silenceremove", "start_periods=1:start_threshold=-50dB:start_silence=0.1"),
    ("areverse", ""),
    ("silenceremove", "start_periods=1:start_threshold=-50dB:start_silence=0.1"),
    ("areverse", ""),
]


class Refused(Exception):
    def __init__(self, code: str, **details: Any) -> None:
        super().__init__(code)
        self.code, self.details = code, details


class Chain:
    """A row of filters: frames in, frames out."""

    def __init__(self, av: Any, like: Any, filters: list[tuple[str, str]]) -> None:
        self._eof = av.error.EOFError
        self._graph = av.filter.Graph()
        self._graph.threads = 1  # each thread's stack counts against the limit of memory
        nodes = [
            self._graph.add_abuffer(
                sample_rate=like.sample_rate, format=like.format.name, layout=like.layout, time_base=like.time_base
            )
        ]
        nodes += [self._graph.add(name, options or None) for name, options in filters]
        nodes.append(self._graph.add("abuffersink"))
        self._graph.link_nodes(*nodes).configure()

    def pass_on(self, frame: Any) -> Iterator[Any]:
        """Give one frame, or None for the end, and take what has come through."""
        self._graph.push(frame)
        while True:
            try:
                yield self._graph.pull()
            except (BlockingIOError, self._eof):
                return


def decode(av: Any, container: Any) -> Iterator[Any]:
    """The sound's frames. A bad packet here and there is left out; too many of them are `broken`."""
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
                        raise Refused("broken", bad=bad) from None
            return
        except av.error.FFmpegError:  # raised by the container itself: go on behind the damaged place
            bad += 1
            if bad > MAX_BAD_PACKETS:
                raise Refused("broken", bad=bad) from None


def to_telephone(av: Any, frames: Iterator[Any], max_seconds: float) -> array[float]:
    """All samples at 8 kHz mono as floats, not levelled yet. The duration is counted, never believed."""
    filters = [
        ("aresample", f"{RATE}:rematrix_maxval=1.0"),  # else mixing down adds 3 dB and clips
        ("aformat", "sample_fmts=flt:channel_layouts=mono"),
        ("highpass", "f=100"),
    ]
    samples: array[float] = array("f")
    seconds = 0.0

    def collect(chain: Chain, frame: Any) -> None:
        for ready in chain.pass_on(frame):
            samples.frombytes(memoryview(ready.planes[0])[: ready.samples * 4])

    chain: Chain | None = None
    fifo: Any = None
    kind: tuple[Any, ...] = ()
    for frame in frames:
        seconds += frame.samples / max(1, frame.sample_rate)
        if seconds > max_seconds:
            raise Refused("too_long", limit=round(max_seconds))
        frame.pts = None  # gaps and jumps in a recording's clock are of no interest
        if chain is None or kind != (frame.sample_rate, frame.format.name, frame.layout.name):
            if chain is not None:  # the sound changes its form midway, as chained ogg files may
                flush(fifo, chain, collect)
            kind = (frame.sample_rate, frame.format.name, frame.layout.name)
            chain, fifo = Chain(av, frame, filters), av.AudioFifo()
        fifo.write(frame)
        while whole := fifo.read(CHUNK):
            collect(chain, whole)
    if chain is not None:
        flush(fifo, chain, collect)
    return samples


def flush(fifo: Any, chain: Chain, collect: Any) -> None:
    rest = fifo.read(0, True)
    if rest is not None:
        collect(chain, rest)
    collect(chain, None)


def level(av: Any, samples: array[float], gain: float) -> array[int]:
    """To an even loudness of -19 LUFS, silence cut off at both ends, as 16 bit samples."""

    def frames() -> Iterator[Any]:
        for start in range(0, len(samples), RATE):
            part = samples[start : start + RATE].tobytes()
            frame = av.AudioFrame("flt", "mono", len(part) // 4)
            frame.sample_rate = RATE
            frame.planes[0].update(part)
            yield frame

    chain: Chain | None = None
    result: array[int] = array("h")
    last = [("volume", str(gain)), ("aformat", f"sample_fmts=s16:channel_layouts=mono:sample_rates={RATE}")]
    for frame in [*frames(), None]:
        if chain is None:
            chain = Chain(av, frame, LEVEL + last)
        for ready in chain.pass_on(frame):
            result.frombytes(memoryview(ready.planes[0])[: ready.samples * 2])
    return result


def list_codecs(av: Any) -> str:
    """The decoders of sound: no picture in the file may be looked at, video decoders being the weaker ones."""
    names = []
    for name in av.codecs_available:
        try:
            if av.Codec(name, "r").type == "audio":
                names.append(name)
        except (ValueError, av.error.FFmpegError):  # an encoder only
            continue
    return ",".join(names)


def convert(request: dict[str, Any]) -> dict[str, Any]:
    import av  # by now the parent has set our limits

    options = {"format_whitelist": FORMATS, "protocol_whitelist": PROTOCOLS, "codec_whitelist": list_codecs(av)}
    file_format, rate = request["headless"] or (None, None)
    if file_format in ("mulaw", "alaw", "s16le"):
        options["sample_rate"] = str(rate)
    try:
        container = av.open(request["source"], format=file_format, metadata_errors="replace", options=options)
    except (av.error.FFmpegError, ValueError) as error:
        with Path(request["source"]).open("rb") as source:
            known = HEADS.match(source.read(12)) or isinstance(error, av.error.EOFError)
        return {"error": "broken" if known else "not_audio", "reason": repr(error)}
    with container:
        if not container.streams.audio:
            raise Refused("no_sound")
        samples = to_telephone(av, decode(av, container), request["max_seconds"])
    if not samples:
        raise Refused("broken")
    # Counted, not the peak alone: a click, or the jump of an offset at the start, is no sound to play.
    if sum(sample > SILENCE or sample < -SILENCE for sample in samples) < SHORTEST * RATE:
        raise Refused("silence_only")
    levelled = level(av, samples, request["gain"])
    if len(levelled) < SHORTEST * RATE:
        raise Refused("silence_only")
    try:
        with wave.open(request["out"], "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(RATE)
            sound.writeframes(levelled.tobytes())
    except OSError as error:  # a full disk: nobody's file is damaged
        return {"errno": error.errno}
    return {"seconds": len(levelled) / RATE}


def main() -> None:
    request = json.load(sys.stdin)
    signal.alarm(int(request["timeout"]) + 3)  # the parent kills us in time; should it be gone, nobody else would
    os.nice(5)  # a call's sound goes before a file's
    try:
        reply = convert(request)
    except Refused as refused:
        reply = {"error": refused.code, "details": refused.details}
    except MemoryError:
        reply = {"error": "broken", "reason": "out of memory"}
    except Exception as error:
        reply = {"error": "broken", "reason": repr(error)}
    json.dump(reply, sys.stdout)


if __name__ == "__main__":
    main()
