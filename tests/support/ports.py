"""Ports for servers under test: on loopback, outside the kernel's ephemeral range and the office's RTP range."""

import random
import socket

_RANGE = range(10000, 19900)
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
