"""The panel behind the reverse proxies of deploy/: a real nginx and a real Caddy, with TLS."""

import asyncio
import gzip
import re
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import brotli
import pytest
from werkzeug.datastructures import FileStorage

from app.body_limits import ANYBODY
from app.server.panel import panel_answers, start_panel
from app.server.process import terminate
from app.services import users
from script.office.database import build_database, open_database
from tests.audio.sounds import tone, write_sound
from tests.server.clients import Client, connect
from tests.server.proxies import HOST, run_caddy, run_nginx, unused_port
from tests.server.visitors import NetworkVisitor
from tests.support.certificates import make_certificate

NAME, PASSWORD = "sara", "correct horse"
PREFIX = "/bazang"
SETTINGS = {
    "BAZANG_TRUSTED_PROXIES": "1",
    "BAZANG_URL_PREFIX": PREFIX,
    "BAZANG_ALLOWED_HOSTS": HOST,
    "BAZANG_DEFAULT_LOCALE": "en",
}
TRIES = 8  # of log-ins; after five failures one must wait
Visit = Callable[..., NetworkVisitor]


@pytest.fixture(scope="session")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a panel in a process of its own, with an administrator."""
    folder, port = tmp_path_factory.mktemp("panel"), unused_port()
    database = open_database(build_database(folder / "data"))
    users.create(database, NAME, PASSWORD, "administrator", datetime.now(UTC), locale="en")
    database.engine.dispose()
    environment = SETTINGS | {
        "BAZANG_DATA_DIR": str(folder / "data"),
        "PATH": "/usr/bin:/bin",
        "FLASK_SKIP_DOTENV": "1",
    }
    process = start_panel("127.0.0.1", port, environment, folder, folder / "log")
    try:
        assert asyncio.run(panel_answers(process, "127.0.0.1", port)), (folder / "log").read_text()
        yield port
    finally:
        terminate(process, 5)


@pytest.fixture(params=["nginx", "caddy"])
def proxy(request: pytest.FixtureRequest, panel: int, tmp_path: Path) -> Iterator[tuple[int, ssl.SSLContext]]:
    """The port of a reverse proxy, and what a browser of the office trusts."""
    package = request.getfixturevalue(request.param)
    certificate = make_certificate(tmp_path / "certificate", HOST)
    (tmp_path / "proxy").mkdir()
    run = {"nginx": run_nginx, "caddy": run_caddy}[request.param]
    with run(package, tmp_path / "proxy", panel, certificate) as port:
        yield port, ssl.create_default_context(cafile=certificate.ca)


@pytest.mark.slow
def test_panel_behind_a_reverse_proxy(
    proxy: tuple[int, ssl.SSLContext], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    port, tls = proxy
    name = request.node.callspec.params["proxy"]

    def visit(last: int) -> NetworkVisitor:
        network = {"nginx": "127.0.1", "caddy": "127.0.2"}[name]
        return NetworkVisitor(port, address=f"{network}.{last}", host=HOST, tls=tls)

    with connect(port, 20, "127.0.0.9") as silent:
        sara = visit(5)
        log_in_with_secure_cookies(sara)
        compressed_files_pass(sara)
        addresses_are_the_visitors_own(visit)
        names_of_others_are_refused(visit(8))
        sounds_are_uploaded(sara, tmp_path)
        large_bodies_are_refused(visit(6))
        for visitor, text in ((visit(6), "You are not logged in"), (sara, "The limit is 20 MB")):
            huge_bodies_are_refused_unread(Client(port, tls=tls, host=HOST), visitor.cookie_header, text)
        for client in silent:
            assert client.wait_until_closed() == b""
    stored = [path for path in (tmp_path / "proxy").rglob("*") if path.is_file() and path.stat().st_size > ANYBODY]
    assert stored == []
    if name == "nginx":  # behind Caddy, the panel's own deadline counts
        slow_bodies_are_cut(port, tls)


def log_in_with_secure_cookies(visitor: NetworkVisitor) -> None:
    answer = visitor.log_in(f"{PREFIX}/login", NAME, PASSWORD)
    assert (answer.status, answer.location) == (302, f"{PREFIX}/requests")
    assert visitor.cookies.keys() >= {"session", "browser"}
    assert all(morsel["secure"] and morsel["httponly"] for morsel in visitor.cookies.values())
    page = visitor.get(f"{PREFIX}/requests")
    assert page.status == 200
    assert page.headers["Strict-Transport-Security"].startswith("max-age=")
    assert f'href="{PREFIX}/requests"' in page.text
    assert visitor.address in visitor.get(f"{PREFIX}/account").text, "the address of the session"


def compressed_files_pass(visitor: NetworkVisitor) -> None:
    """Browsers offer Brotli by https. Caches must tell the encodings apart, and polls must know their ETags again."""
    accepted = {"Accept-Encoding": "gzip, deflate, br"}
    page = visitor.get(f"{PREFIX}/requests", accepted)
    assert (page.status, page.headers["Content-Encoding"]) == (200, "gzip")
    styles = re.search(r'href="([^"]+/shared\.css)"', gzip.decompress(page.body).decode())
    assert styles is not None
    answer = visitor.get(styles[1], accepted)
    assert (answer.status, answer.headers["Content-Encoding"]) == (200, "br")
    assert "immutable" in answer.headers["Cache-Control"] and "Accept-Encoding" in answer.headers["Vary"]
    assert brotli.decompress(answer.body) == visitor.get(styles[1]).body
    poll = visitor.get(f"{PREFIX}/requests/rows", accepted)
    assert visitor.get(f"{PREFIX}/requests/rows", accepted | {"If-None-Match": poll.headers["ETag"]}).status == 304


def addresses_are_the_visitors_own(visit: Visit) -> None:
    """A visitor who fails to log in has to wait, even with a forged address. Other visitors do not wait."""

    def fail(visitor: NetworkVisitor, name: str, claimed: str = "") -> int:
        return visitor.log_in(f"{PREFIX}/login", name, "wrong", {"X-Forwarded-For": claimed} if claimed else {}).status

    attacker = visit(7)
    assert any(fail(attacker, NAME) == 429 for _ in range(TRIES))
    assert any(fail(attacker, "other", f"10.0.0.{number}") == 429 for number in range(TRIES))
    assert fail(visit(8), NAME) == 422


def names_of_others_are_refused(visitor: NetworkVisitor) -> None:
    assert "csrf_token" not in visitor.get(f"{PREFIX}/login", {"Host": "panel.evil.example"}).text
    forged = {"X-Forwarded-Host": "panel.evil.example", "X-Forwarded-Prefix": "/evil", "X-Forwarded-Proto": "http"}
    page = visitor.get(f"{PREFIX}/login", forged)
    assert page.status == 200 and "evil" not in page.text + str(page.headers)
    assert "Strict-Transport-Security" in page.headers


def sounds_are_uploaded(visitor: NetworkVisitor, folder: Path) -> None:
    sound = write_sound(folder / "long.wav", tone(60, 440)).read_bytes()
    assert len(sound) > 10 * ANYBODY
    fields = {"csrf_token": visitor.get(f"{PREFIX}/recordings").token, "name": "Long"}
    answer = visitor.upload(f"{PREFIX}/recordings/take", {**fields, "sound": FileStorage(BytesIO(sound), "long.wav")})
    assert answer.status == 200 and "data-digest" in answer.text


def large_bodies_are_refused(stranger: NetworkVisitor) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=part"}
    answer = stranger.send("POST", f"{PREFIX}/recordings/take", bytes(2 * ANYBODY), kind)
    assert answer.status == 413 and "You are not logged in" in answer.text


def huge_bodies_are_refused_unread(client: Client, cookies: str, text: str) -> None:
    """Only the beginning is sent, so the answer does not wait for the rest. Caddy needs a sign of life for it."""
    lines = [
        f"POST {PREFIX}/recordings/take HTTP/1.1",
        f"Host: {HOST}",
        f"Cookie: {cookies}",
        "Content-Length: 400000000",
    ]
    client.send("\r\n".join([*lines, "", ""]).encode())
    client.send_until_answered()
    status, body = client.read_response()
    assert status == 413 and text in body.decode()
    client.close()


def slow_bodies_are_cut(port: int, tls: ssl.SSLContext) -> None:
    client = Client(port, tls=tls, host=HOST)
    client.send(f"POST {PREFIX}/login HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 60000\r\n\r\nname=".encode())
    client.wait_until_closed()
    client.close()
