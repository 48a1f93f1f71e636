"""Free ports for servers of the simulated office, outside the kernel's ephemeral range and the RTP range."""

import os
import random
import socket

# A port is used some time after it was found free. So each parallel test process has its own share of the ports.
_SHARES = 8
_SHARE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SHARES
_RANGE = range(10000 + _SHARE, 19900, _SHARES)
_returned: set[tuple[str, int, int]] = set()


def free_port(kind: int = socket.SOCK_STREAM, host: str = "127.0.0.1") -> int:
    """Return a free port that this process has not returned before.

    Raises OSError if no port is free.
    """
    for port in random.sample(_RANGE, len(_RANGE)):
        if (host, kind, port) in _returned:
            continue
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
        _returned.add((host, kind, port))
        return port
    raise OSError("no free port")
