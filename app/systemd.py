"""Tell systemd how a service is doing, by the protocol of sd_notify(3). Without systemd nothing happens."""

import logging
import os
import socket
import time

log = logging.getLogger(__name__)
READY = "READY=1"
_ALIVE = "WATCHDOG=1"
_SIGNS = 4  # signs of life in the time after which systemd kills a silent service


def notify(*assignments: str) -> None:
    """Send assignments such as ``READY=1`` or ``STATUS=…`` to the systemd that started this process."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # a socket without a file
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.sendto("\n".join(assignments).encode(), address)
    except OSError as error:
        log.warning("cannot notify systemd: %s", error)


class Pulse:
    """Signs of life for the watchdog of systemd. Nothing is sent if the unit has no ``WatchdogSec``.

    `seconds`: how often `beat` should be called, a quarter of the unit's limit.
    """

    def __init__(self) -> None:
        limit = os.environ.get("WATCHDOG_USEC", "")
        is_ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._is_watched = is_ours and limit.isdigit() and int(limit) > 0
        self.seconds = int(limit) / 1_000_000 / _SIGNS if self._is_watched else 60.0
        self._next = 0.0  # monotonic

    def beat(self) -> None:
        """Send a sign of life, unless the last one was sent just now. This may be called as often as you like."""
        now = time.monotonic()
        if self._is_watched and now >= self._next:
            self._next = now + self.seconds * 0.9  # a caller that comes every `seconds` is never too early
            notify(_ALIVE)
