"""Ports that people know, and their neighbours when those are taken."""

import errno
import socket

TRIES = 200


def free_port_near(wanted: int, host: str = "127.0.0.1", kind: int = socket.SOCK_STREAM) -> int:
    """Return `wanted`, or the next port that nobody has. Raises OSError when this host or port cannot be had at all."""
    for port in range(wanted, min(wanted + TRIES, 65536)):
        if _is_free(port, host, kind):
            return port
    raise OSError(f"no free port from {wanted} on")


def said(what: str, wanted: int, got: int) -> str:
    """Return the sentence that a replaced port deserves."""
    return f"Port {wanted} ({what}) is taken: {got} is used instead."


def _is_free(port: int, host: str, kind: int) -> bool:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=kind)[0]
    with socket.socket(family, kind) as probe:
        if kind == socket.SOCK_STREAM:  # connections of a server that has just ended do not keep the port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True
