"""The sound of a simulated phone's call: send speech, silence and keys, store what arrives (RFC 3550, RFC 4733)."""

from __future__ import annotations

import asyncio
import secrets
import struct
import time

RATE = 8000
PTIME = 0.02  # seconds per packet
ULAW, EVENTS = 0, 101
_KEYS = "0123456789*#"
_SILENCE = b"\xff" * 160


class Rtp(asyncio.DatagramProtocol):
    """One stream in each direction. `received` is the received µ-law without gaps."""

    def __init__(self) -> None:
        self.transport: asyncio.DatagramTransport
        self.received = bytearray()
        self.keys_heard = ""
        self.key_heard = asyncio.Event()
        self.peer: tuple[str, int] | None = None
        self.port = 0
        self._sequence, self._timestamp = secrets.randbelow(30000), secrets.randbelow(1 << 30)
        self._ssrc = secrets.randbits(32)
        self._last_event = -1
        self._task: asyncio.Task[None] | None = None
        self._keys: asyncio.Queue[str] = asyncio.Queue()
        self._sound = b""

    @classmethod
    async def open(cls, host: str) -> Rtp:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(cls, local_addr=(host, 0))
        protocol.transport = transport
        protocol.port = transport.get_extra_info("sockname")[1]
        return protocol

    def start(self, peer: tuple[str, int]) -> None:
        self.peer = peer
        if self._task is None:
            self._task = asyncio.create_task(self._send_forever())

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self.transport.close()
        while not self._keys.empty():  # they are never sent
            self._keys.get_nowait()
            self._keys.task_done()

    async def press(self, keys: str) -> None:
        """Send keys one after the other. Return after the last one, or when the call has ended."""
        for key in keys if not self.transport.is_closing() else "":
            self._keys.put_nowait(key)
        await self._keys.join()

    def speak(self, ulaw: bytes) -> None:
        """Send this sound (µ-law) once, instead of silence."""
        self._sound += ulaw

    @property
    def is_speaking(self) -> bool:
        """Whether not all of the sound is sent yet."""
        return bool(self._sound)

    async def _send_forever(self) -> None:
        due = time.monotonic()
        while True:
            if not self._keys.empty():
                try:
                    due = await self._send_key(self._keys.get_nowait(), due)
                finally:
                    self._keys.task_done()
            piece, self._sound = self._sound[:160], self._sound[160:]
            self._send(ULAW, piece.ljust(160, b"\xff") if piece else _SILENCE)
            self._timestamp += 160
            due = await self._pace(due)

    async def _send_key(self, key: str, due: float) -> float:
        code = _KEYS.index(key)
        for step in range(1, 6):
            self._send(EVENTS, struct.pack("!BBH", code, 10, 160 * step), marker=step == 1)
            due = await self._pace(due)
        for _ in range(3):
            self._send(EVENTS, struct.pack("!BBH", code, 0x80 | 10, 160 * 6))
        self._timestamp += 160 * 6
        for _ in range(4):  # the pause between keys
            self._send(ULAW, _SILENCE)
            self._timestamp += 160
            due = await self._pace(due)
        return due

    async def _pace(self, due: float) -> float:
        due = max(due + PTIME, time.monotonic() - 0.1)
        await asyncio.sleep(max(0, due - time.monotonic()))
        return due

    def _send(self, kind: int, payload: bytes, *, marker: bool = False) -> None:
        self._sequence = (self._sequence + 1) & 0xFFFF
        second = kind | (0x80 if marker else 0)
        head = struct.pack("!BBHII", 0x80, second, self._sequence, self._timestamp & 0xFFFFFFFF, self._ssrc)
        if self.peer is not None and not self.transport.is_closing():
            self.transport.sendto(head + payload, self.peer)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(data) < 12:
            return
        kind, (timestamp,) = data[1] & 0x7F, struct.unpack("!I", data[4:8])
        payload = data[12:]
        if kind == EVENTS and len(payload) >= 4:
            if payload[1] & 0x80 and timestamp != self._last_event and payload[0] < len(_KEYS):
                self._last_event = timestamp
                self.keys_heard += _KEYS[payload[0]]
                self.key_heard.set()
        elif kind == ULAW:
            self.received += payload
