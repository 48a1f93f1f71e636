"""Find the wanted port, or the next free one."""

import errno
import socket

TRIES = 200


def free_port_near(wanted: int, host: str = "127.0.0.1", kind: int = socket.SOCK_STREAM) -> int:
    """Return `wanted` or the next free port. Raises OSError if the host cannot be bound or no port is free."""
    for port in range(wanted, min(wanted + TRIES, 65536)):
        if _is_free(port, host, kind):
            return port
    raise OSError(f"no free port from {wanted} on")


def describe_replacement(what: str, wanted: int, got: int) -> str:
    """Return a message that says which port replaces the wanted one."""
    return f"Port {wanted} ({what}) is in use; using {got} instead."


def _is_free(port: int, host: str, kind: int) -> bool:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=kind)[0]
    with socket.socket(family, kind) as probe:
        if kind == socket.SOCK_STREAM:  # closing connections of a stopped server must not block the port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True
