"""The smallest AMI client that makes a call when an extension becomes idle: one socket, one search, one write."""

import asyncio
from collections.abc import Mapping

LOGIN_SECONDS = 5


class BareClient:
    """Send an armed Originate once when the extension becomes idle."""

    def __init__(self, extension: str) -> None:
        self._exten = f"\r\nExten: {extension}\r\n".encode()
        self._armed = b""
        self._task: asyncio.Task[None] | None = None

    async def connect(self, port: int, username: str, secret: str) -> None:
        """Log in. Raises ConnectionError and TimeoutError."""
        async with asyncio.timeout(LOGIN_SECONDS):
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
            self._writer.write(_action({"Action": "Login", "Username": username, "Secret": secret, "Events": "on"}))
            answer = await self._reader.readuntil(b"\r\n\r\n")
        if b"Response: Success" not in answer:
            raise ConnectionError(f"the PBX refused the bare client: {answer!r}")
        self._task = asyncio.create_task(self._follow())

    def arm(self, headers: Mapping[str, str], variables: Mapping[str, str]) -> None:
        """Originate this call when the extension becomes idle next."""
        originate = _action({"Action": "Originate", **headers, "Async": "true"})[:-2]
        self._armed = originate + b"".join(f"Variable: {n}={v}\r\n".encode() for n, v in variables.items()) + b"\r\n"

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._writer.close()

    async def _follow(self) -> None:
        while True:
            event = await self._reader.readuntil(b"\r\n\r\n")
            if (
                self._armed
                and event.startswith(b"Event: ExtensionStatus")
                and self._exten in event
                and b"\r\nStatus: 0\r\n" in event
            ):
                self._writer.write(self._armed)
                self._armed = b""


def _action(headers: Mapping[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n"
