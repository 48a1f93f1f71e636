"""Recognize prompts in the sound that a simulated phone receives."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from script.office.phone import Call
from script.office.sound import RATE, find, read_ulaw

MIN_SHARE = 0.8  # of a prompt; below 1, because a packet may come late
PACKET = RATE // 50  # samples
SIGNATURE = RATE // 2  # samples that identify a prompt
MAX_SEARCHED = 10 * RATE  # samples at the end of the sound
CHECK_INTERVAL = 0.05  # seconds


class PromptListener:
    """Listens for prompts in a call. Each search starts behind the prompt found before."""

    def __init__(self, call: Call) -> None:
        self._call, self._from = call, 0

    async def hears(self, prompt: Path | bytes, timeout: float = 10) -> bool:
        """Return whether the whole prompt is received. It must begin within `timeout` seconds."""
        sound = await asyncio.to_thread(read_ulaw, prompt) if isinstance(prompt, Path) else prompt
        begin = await self._wait_for_begin(sound[:SIGNATURE], time.monotonic() + timeout)
        if begin is None:
            return False
        end = begin + len(sound)
        # Asterisk does not send the last, incomplete packet of a sound.
        await self._wait_for_samples(end - 2 * PACKET, time.monotonic() + len(sound) / RATE + 2)
        share = find(bytes(self._call.rtp.received[begin : end + RATE]), sound).share
        self._from = max(self._from, end - 3 * PACKET)
        return share >= MIN_SHARE

    async def _wait_for_begin(self, beginning: bytes, deadline: float) -> int | None:
        while True:
            match = find(bytes(self._call.rtp.received[self._from :]), beginning)
            if match.share >= MIN_SHARE:
                return max(0, self._from + round(match.at * RATE))
            if self._call.ended.is_set() or time.monotonic() > deadline:
                return None
            await asyncio.sleep(CHECK_INTERVAL)

    async def _wait_for_samples(self, samples: int, deadline: float) -> None:
        while True:
            if len(self._call.rtp.received) >= samples or time.monotonic() > deadline or self._call.ended.is_set():
                return
            await asyncio.sleep(CHECK_INTERVAL)


@dataclass(frozen=True)
class KnownPrompt:
    """A prompt to recognize: its key ("intro"), its text, and its sound in µ-law."""

    key: str
    words: str
    sound: bytes


class Recognizer:
    """Recognizes which of several prompts is played, as soon as no other one is possible.

    `searched`: samples at the end of the sound. A prompt is missed if its beginning is older at the next `hear`.
    """

    def __init__(self, prompts: Sequence[KnownPrompt], searched: int = MAX_SEARCHED) -> None:
        self._searched = searched
        self._signatures = [(prompt, _signature(prompt.sound, prompts)) for prompt in prompts]
        self._from = 0

    def hear(self, received: bytearray) -> KnownPrompt | None:
        """Return the next prompt in the received sound that was not returned before."""
        self._from = max(self._from, len(received) - self._searched)
        recent = bytes(received[self._from :])
        for prompt, signature in self._signatures:
            match = find(recent, signature)
            if match.share >= MIN_SHARE:
                self._from += round(match.at * RATE) + len(signature)
                return prompt
        return None


def _signature(sound: bytes, prompts: Sequence[KnownPrompt]) -> bytes:
    """Return the first part of a sound that differs from the beginning of all other prompts."""
    common = max((_common_length(sound, other.sound) for other in prompts if other.sound != sound), default=0)
    start = common - common % PACKET
    return sound[start : start + SIGNATURE] if len(sound) - start >= SIGNATURE // 2 else sound[:SIGNATURE]


def _common_length(one: bytes, other: bytes) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
