"""Ports for servers under test: on loopback, outside the kernel's ephemeral range and the office's RTP range."""

import os
import random
import socket

# Several processes test at once, and a port is taken only some time after it was found free: each has its own.
_SHARES = 8
_SHARE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SHARES
_RANGE = range(10000 + _SHARE, 19900, _SHARES)
_given: set[tuple[str, int, int]] = set()


def free_port(kind: int = socket.SOCK_STREAM, host: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on now and that this process has not given away before.

    Raises OSError when the whole range is taken.
    """
    for port in random.sample(_RANGE, len(_RANGE)):
        if (host, kind, port) in _given:
            continue
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
        _given.add((host, kind, port))
        return port
    raise OSError("no free port")
