"""Stand between the worker and AMI, as a process: `busy_exchange.py PORT TARGET`. Add events, as a busy exchange does.

Each line on standard input sets how many events a second to add. The answer is how many were added since the last one.
"""

import asyncio
import sys
import time
from collections.abc import Iterator

TICK, LONGEST_TICK = 0.001, 0.01  # seconds between two batches of events, on a free machine and on a busy one
END = b"\r\n\r\n"
CHANNEL = "PJSIP/trunk-000001a4"
# What an exchange reports of its calls to a user with all rights. The worker needs none of these.
USELESS = (
    ("VarSet", f"Channel: {CHANNEL}\r\nUniqueid: 1764400000.420\r\nVariable: RTPAUDIOQOS\r\nValue: ssrc=1;lp=0\r\n"),
    (
        "Newexten",
        f"Channel: {CHANNEL}\r\nContext: from-internal\r\nExtension: s\r\nApplication: Set\r\nAppData: A=1\r\n",
    ),
    ("RTCPSent", f"Channel: {CHANNEL}\r\nSSRC: 0x2a\r\nPT: 200(SR)\r\nTo: 192.0.2.7:4001\r\nReportCount: 1\r\n"),
    ("RTCPReceived", f"Channel: {CHANNEL}\r\nSSRC: 0x2b\r\nPT: 201(RR)\r\nFrom: 192.0.2.7:4001\r\nReportCount: 1\r\n"),
)
USEFUL = ("Newstate", f"Channel: {CHANNEL}\r\nChannelState: 6\r\nChannelStateDesc: Up\r\nUniqueid: 1764400000.420\r\n")
USEFUL_OF = 100  # one of so many events is one that the worker handles


def events() -> Iterator[bytes]:
    """Yield events for ever."""
    number = 0
    while True:
        name, text = USEFUL if number % USEFUL_OF == 0 else USELESS[number % len(USELESS)]
        yield f"Event: {name}\r\nPrivilege: dialplan,all\r\n{text}\r\n".encode()
        number += 1


class BusyExchange:
    def __init__(self, target: int) -> None:
        self._target = target
        self._rate = self._added = 0
        source = events()
        self._batch = [next(source) for _ in range(2000)]

    def set_rate(self, rate: int) -> int:
        """Set the events per second. Return how many were added since the last time."""
        added, self._added, self._rate = self._added, 0, rate
        return added

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, upward = await asyncio.open_connection("127.0.0.1", self._target)
        tasks = [
            asyncio.create_task(work)
            for work in (self._pass_up(reader, upward), self._pass_down(upstream, writer), self._add(writer))
        ]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for each in (writer, upward):
            each.close()

    async def _pass_up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    async def _pass_down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on whole messages, so that events fit between them."""
        writer.write(await reader.readuntil(b"\r\n"))  # the greeting
        while True:
            writer.write(await reader.readuntil(END))

    async def _add(self, writer: asyncio.StreamWriter) -> None:
        """Add events at the rate. Wait while the worker does not read; what it missed then is not added later."""
        last = time.monotonic()
        while True:
            now = time.monotonic()
            count = int(self._rate * min(now - last, LONGEST_TICK))
            last = now
            writer.write(b"".join(self._batch[:count]))
            await writer.drain()
            self._added += count
            await asyncio.sleep(TICK)


async def main(port: int, target: int) -> None:
    exchange = BusyExchange(target)
    server = await asyncio.start_server(exchange.serve, "127.0.0.1", port)
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(exchange.set_rate(int(line)), flush=True)
    server.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
