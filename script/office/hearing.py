"""Listening to a call of a test phone: which prompt is being played, and was all of it heard."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from script.office.phone import Call
from script.office.sound import RATE, find, read_ulaw

ENOUGH = 0.8  # share of a prompt: a packet may come late
PACKET = RATE // 50  # samples
SIGNATURE = RATE // 2  # samples by which a prompt is recognised
MEMORY = 10 * RATE  # samples in which something new is looked for
LOOK_EVERY = 0.05  # seconds


class PromptListener:
    """Hears prompts one after the other: each is looked for behind the one before."""

    def __init__(self, call: Call) -> None:
        self._call, self._from = call, 0

    async def hears(self, prompt: Path | bytes, timeout: float = 10) -> bool:
        """Return whether the whole prompt is heard. It must have begun within `timeout` seconds."""
        sound = await asyncio.to_thread(read_ulaw, prompt) if isinstance(prompt, Path) else prompt
        begin = await self._begin(sound[:SIGNATURE], time.monotonic() + timeout)
        if begin is None:
            return False
        end = begin + len(sound)
        # The last, incomplete packet of a sound is not sent.
        await self._received(end - 2 * PACKET, time.monotonic() + len(sound) / RATE + 2)
        share = find(bytes(self._call.rtp.received[begin : end + RATE]), sound).share
        self._from = max(self._from, end - 3 * PACKET)
        return share >= ENOUGH

    async def _begin(self, beginning: bytes, deadline: float) -> int | None:
        while True:
            heard = find(bytes(self._call.rtp.received[self._from :]), beginning)
            if heard.share >= ENOUGH:
                return max(0, self._from + round(heard.at * RATE))
            if self._call.ended.is_set() or time.monotonic() > deadline:
                return None
            await asyncio.sleep(LOOK_EVERY)

    async def _received(self, samples: int, deadline: float) -> None:
        while True:
            if len(self._call.rtp.received) >= samples or time.monotonic() > deadline or self._call.ended.is_set():
                return
            await asyncio.sleep(LOOK_EVERY)


@dataclass(frozen=True)
class KnownPrompt:
    """A prompt that a caller may hear: its key ("intro"), what it says, its sound."""

    key: str
    words: str
    sound: bytes


class Recognizer:
    """Tells which of several prompts is being played, as soon as it can be no other one."""

    def __init__(self, prompts: Sequence[KnownPrompt]) -> None:
        self._signatures = [(prompt, _signature(prompt.sound, prompts)) for prompt in prompts]
        self._from = 0

    def hear(self, received: bytearray) -> KnownPrompt | None:
        """Return a prompt that was not told of before."""
        self._from = max(self._from, len(received) - MEMORY)
        news = bytes(received[self._from :])
        for prompt, signature in self._signatures:
            heard = find(news, signature)
            if heard.share >= ENOUGH:
                self._from += round(heard.at * RATE) + len(signature)
                return prompt
        return None


def _signature(sound: bytes, prompts: Sequence[KnownPrompt]) -> bytes:
    """Return the first piece that no other prompt begins with: two texts that begin alike sound alike so far."""
    alike = max((_common(sound, other.sound) for other in prompts if other.sound != sound), default=0)
    start = alike - alike % PACKET
    return sound[start : start + SIGNATURE] if len(sound) - start >= SIGNATURE // 2 else sound[:SIGNATURE]


def _common(one: bytes, other: bytes) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
