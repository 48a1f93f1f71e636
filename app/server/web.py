"""Serve the panel with waitress and the limits of `app.server.connections`."""

import argparse
import logging
import os
import resource
import sys
from dataclasses import replace

from app import create_app, log
from app.config import UMASK, ConfigError, load_settings
from app.memory import freeze_lasting, tune_allocator
from app.server.connections import Limits, create_server
from app.systemd import READY, Pulse, notify

THREADS = 16
DESCRIPTORS = 4096  # a connection has three at most: the socket, and files for a large request and response


def main(arguments: list[str]) -> int:
    """Parse the arguments and serve until the process ends. Return the exit code if it cannot start."""
    parser = argparse.ArgumentParser(prog="python -m app.server.web", description=__doc__)
    parser.add_argument("--listen", default="", help="address and port, instead of those in BAZANG_LISTEN")
    listen = parser.parse_args(arguments).listen
    os.umask(UMASK)
    tune_allocator()
    try:
        settings = load_settings()
        log.set_up(settings.log_format, level=logging.WARNING)
        for name in ("waitress", "bazang"):
            logging.getLogger(name).setLevel(logging.INFO)
        server = create_server(
            create_app(settings),
            choose_limits(settings.trusted_proxies),
            on_turn=Pulse().beat,
            listen=listen or settings.listen,
            threads=THREADS,
        )
    except (ConfigError, OSError, ValueError) as error:
        print(f"The panel cannot start: {error}", file=sys.stderr)
        return 1
    if settings.log_format == "json":
        logging.getLogger("bazang").info("serving the panel on %s", listen or settings.listen)
    else:
        server.print_listen("Serving on http://{}:{}")
    freeze_lasting()
    notify(READY)
    server.run()
    return 0


def choose_limits(trusted_proxies: int) -> Limits:
    """Return the limits for this process. Behind a proxy, all connections have its address."""
    limits = Limits(per_peer=None) if trusted_proxies else Limits()
    return replace(limits, connections=min(limits.connections, raise_descriptors() // 8))


def raise_descriptors() -> int:
    """Raise how many files and sockets this process may open. Return the number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < DESCRIPTORS:
        soft = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return soft


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
