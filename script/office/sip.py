"""The parts of SIP messages and digest authentication that a simulated phone needs (RFC 3261, RFC 2617)."""

import hashlib
import re
import secrets
from dataclasses import dataclass, field

_SHORT = {
    "v": "via",
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "l": "content-length",
    "c": "content-type",
}


@dataclass
class SipMessage:
    """A request (`method`, `uri`) or a response (`status`). Header names are lower case and can repeat."""

    method: str = ""
    uri: str = ""
    status: int = 0
    reason: str = ""
    headers: dict[str, list[str]] = field(default_factory=dict)
    body: str = ""

    def __getitem__(self, name: str) -> str:
        return self.headers.get(name, [""])[0]

    @property
    def cseq(self) -> tuple[int, str]:
        number, _, method = self["cseq"].partition(" ")
        return int(number or 0), method.strip()

    @property
    def call_id(self) -> str:
        return self["call-id"]


def parse(data: bytes) -> SipMessage | None:
    """Parse a datagram. Return None for a keep-alive."""
    head, _, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
    lines = head.split("\r\n")
    first = lines[0].split(" ", 2)
    if len(first) < 3:
        return None
    message = SipMessage(body=body)
    if first[0] == "SIP/2.0":
        message.status, message.reason = int(first[1]), first[2]
    else:
        message.method, message.uri = first[0], first[1]
    for line in lines[1:]:
        name, _, value = line.partition(":")
        name = name.strip().lower()
        message.headers.setdefault(_SHORT.get(name, name), []).append(value.strip())
    return message


def build(first: str, headers: list[tuple[str, str]], body: str = "", content: str = "application/sdp") -> bytes:
    """Build a datagram from its first line, headers and body, which is of the type `content`."""
    lines = [first, *(f"{name}: {value}" for name, value in headers)]
    if body:
        lines.append(f"Content-Type: {content}")
    lines += [f"Content-Length: {len(body.encode())}", "", body]
    return "\r\n".join(lines).encode()


def token() -> str:
    return secrets.token_hex(8)


def tag_of(header: str) -> str:
    found = re.search(r";tag=([^;>\s]+)", header)
    return found[1] if found else ""


def user_of(header: str) -> str:
    found = re.search(r"sips?:([^@>;]+)@", header)
    return found[1] if found else ""


def uri_of(header: str) -> str:
    found = re.search(r"<([^>]+)>", header)
    return found[1] if found else header.split(";")[0].strip()


def authorize(challenge: str, method: str, uri: str, user: str, secret: str) -> str:
    """Answer a digest challenge (MD5, with or without qop=auth)."""
    found = re.findall(r'(\w+)=(?:"([^"]*)"|([^",\s]+))', challenge)  # the realm may be empty
    given = {name: quoted or plain for name, quoted, plain in found}

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    ha1, ha2 = md5(f"{user}:{given['realm']}:{secret}"), md5(f"{method}:{uri}")
    parts = {"username": user, "realm": given["realm"], "nonce": given["nonce"], "uri": uri}
    extra = ""
    if "qop" in given:
        cnonce = token()
        response = md5(f"{ha1}:{given['nonce']}:00000001:{cnonce}:auth:{ha2}")
        extra = f', qop=auth, nc=00000001, cnonce="{cnonce}"'
    else:
        response = md5(f"{ha1}:{given['nonce']}:{ha2}")
    if "opaque" in given:
        extra += f', opaque="{given["opaque"]}"'
    values = ", ".join(f'{name}="{value}"' for name, value in parts.items())
    return f'Digest {values}, response="{response}", algorithm=MD5{extra}'
