"""Keep hostile connections open to a FastAGI server, as a process: `python hostile.py PORT COUNT`.

A connection is silent, sends headers slowly, or asks for a module without the secret or with a wrong one. One that the
server closes is opened again. The process prints a line when all have been open.
"""

import asyncio
import resource
import sys

AGAIN = 3.0  # seconds until a closed connection is opened again
SENT = (
    b"",
    b"agi_network: yes\n",
    b"agi_network: yes\nagi_network_script: module/1\n\n",
    b"agi_network: yes\nagi_network_script: 0123456789abcdef0123456789abcdef/module/1\n\n",
)


async def attack(port: int, number: int, opened: asyncio.Semaphore) -> None:
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            opened.release()
            writer.write(SENT[number % len(SENT)])
            await reader.read()
            writer.close()
        except OSError:
            pass
        await asyncio.sleep(AGAIN)


async def main(port: int, count: int) -> None:
    opened = asyncio.Semaphore(0)
    attacks = [asyncio.create_task(attack(port, number, opened)) for number in range(count)]
    for _ in attacks:
        await opened.acquire()
    print("open", flush=True)
    await asyncio.gather(*attacks)


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
