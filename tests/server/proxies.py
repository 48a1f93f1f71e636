"""The examples of deploy/, run by the real nginx and Caddy without root, with names, ports and paths of a test."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

from app.server.process import spawn, terminate
from script.lib.package_files import LIBRARIES, PackageFile
from script.office.patience import PATIENCE
from tests.support.certificates import Certificate

DEPLOY = Path(__file__).parents[2] / "deploy"
HOST = "bazang.example.org"
SOON = "1s"  # in place of the time-out for silent connections
NGINX_MAIN = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
{user}
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/bazang.conf;
}}
"""


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def replaced(text: str, changes: dict[str, str]) -> str:
    """Return the text of an example with changes. Each must be in it."""
    for old, new in changes.items():
        assert old in text, f"the example has no {old!r}"
        text = text.replace(old, new)
    return text


@contextmanager
def run_nginx(package: PackageFile, folder: Path, panel_port: int, certificate: Certificate) -> Iterator[int]:
    """Run deploy/nginx.conf in front of the panel. Yield the port."""
    port = unused_port()
    example = replaced(
        (DEPLOY / "nginx.conf").read_text(),
        {
            "listen 443 ": f"listen 127.0.0.1:{port} ",
            "/etc/ssl/certs/bazang.pem": str(certificate.certificate),
            "/etc/ssl/private/bazang.key": str(certificate.key),
            "127.0.0.1:8000": f"127.0.0.1:{panel_port}",
            "15s": SOON,
        },
    )
    (folder / "bazang.conf").write_text(example)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(NGINX_MAIN.format(folder=folder, user=user))
    command = [str(package.find()), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    with _run(command, folder, port, package.root()):
        yield port


@contextmanager
def run_caddy(package: PackageFile, folder: Path, panel_port: int, certificate: Certificate) -> Iterator[int]:
    """Run deploy/Caddyfile in front of the panel. Yield the port."""
    port = unused_port()
    site = f"https://{HOST}:{port} {{\n\tbind 127.0.0.1\n\ttls {certificate.certificate} {certificate.key}\n"
    example = replaced(
        (DEPLOY / "Caddyfile").read_text(),
        {
            "{\n\tservers {": "{\n\tadmin off\n\tauto_https disable_redirects\n\tservers {",
            f"{HOST} {{\n": site,
            "127.0.0.1:8000": f"127.0.0.1:{panel_port}",
            "15s": SOON,
        },
    )
    (folder / "Caddyfile").write_text(example)
    command = [str(package.find()), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
    with _run(command, folder, port, package.root()):
        yield port


@contextmanager
def _run(command: list[str], folder: Path, port: int, root: Path) -> Iterator[None]:
    """Run a proxy with the libraries of its package until the block ends."""
    libraries = ":".join(str(root / path) for path in (LIBRARIES, Path("lib") / LIBRARIES.name))
    homes = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(folder))
    found = {} if root == Path("/") else {"LD_LIBRARY_PATH": libraries}
    process = spawn(command, folder / "log", environment={**os.environ, **homes, **found}, folder=folder)
    try:
        _wait_for_port(process, port, folder / "log")
        yield
    finally:
        terminate(process, 5)


def _wait_for_port(process: Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"no proxy on port {port}: {log.read_text()[-3000:]}")
