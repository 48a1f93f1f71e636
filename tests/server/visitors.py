"""People who use the panel over the network, with a browser that keeps cookies but runs no scripts."""

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from ssl import SSLContext
from urllib.parse import urlencode

from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from script.office.patience import PATIENCE


@dataclass(frozen=True)
class Answer:
    """A response of the panel."""

    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def location(self) -> str:
        return str(self.headers["Location"])

    @property
    def token(self) -> str:
        """The token for the forms of this page."""
        found = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', self.text)
        assert found is not None, self.text
        return found[1]


class NetworkVisitor:
    """A person at `address`, a loopback address, who opens the panel as `host`. `tls`: the context for https."""

    def __init__(
        self, port: int, *, address: str = "127.0.0.1", host: str = "127.0.0.1", tls: SSLContext | None = None
    ):
        self._port, self.address, self.host, self._tls = port, address, host, tls
        self.cookies = SimpleCookie()

    @property
    def cookie_header(self) -> str:
        return "; ".join(f"{name}={morsel.value}" for name, morsel in self.cookies.items())

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.send("GET", path, b"", headers)

    def post(self, path: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Answer:
        """Send a form as the page that has it would."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.send("POST", path, urlencode(fields).encode(), {**kind, **(headers or {})})

    def upload(self, path: str, fields: Mapping[str, str | FileStorage]) -> Answer:
        boundary, body = encode_multipart(dict(fields))
        return self.send("POST", path, body, {"Content-Type": f"multipart/form-data; boundary={boundary}"})

    def log_in(self, path: str, name: str, password: str, headers: Mapping[str, str] | None = None) -> Answer:
        token = self.get(path).token
        return self.post(path, {"csrf_token": token, "name": name, "password": password}, headers)

    def send(self, method: str, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request on a connection of its own."""
        connection = HTTPConnection(self.host, self._port)
        connection.sock = self._connect()
        try:
            sent = {"Host": f"{self.host}:{self._port}", "Referer": f"https://{self.host}:{self._port}/"}
            sent |= {"Cookie": self.cookie_header}
            connection.request(method, path, body or None, sent | dict(headers or {}))
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        finally:
            connection.close()
        for line in answer.headers.get_all("Set-Cookie", []):
            self.cookies.load(line)
        return answer

    def _connect(self) -> socket.socket:
        plain = socket.create_connection(("127.0.0.1", self._port), PATIENCE, (self.address, 0))
        return self._tls.wrap_socket(plain, server_hostname=self.host) if self._tls is not None else plain
