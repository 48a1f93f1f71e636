"""A provider that says what a test wants: tokens of others, with another key, or without a signature."""

import base64
import hmac
import json
import time
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

from app.identity.errors import Unreachable
from app.identity.http import Answer, HttpClient

ISSUER = "https://login.example.org"
CLIENT = "bazang"


class ProviderDouble(HttpClient):
    """Answers as a provider. `claims` replace those of a right ID token; None leaves one out."""

    def __init__(self) -> None:
        super().__init__()
        self.key = _first_key()
        self.published = [self.key]
        self.metadata: dict[str, Any] = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "end_session_endpoint": f"{ISSUER}/logout",
        }
        self.claims: dict[str, Any] = {}
        self.user_info: dict[str, Any] | None = None
        self.algorithm = "RS256"
        self.asked: list[str] = []
        self.down = False
        self.nonce = ""
        self.token_answer: Answer | None = None

    def authorize(self, url: str) -> dict[str, str]:
        """Note the nonce of the address that a browser is sent to. Return what it comes back with."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        self.nonce = query["nonce"]
        return {"state": query["state"], "code": "a-code"}

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        self._note(url)
        pages = {
            f"{ISSUER}/.well-known/openid-configuration": self.metadata,
            f"{ISSUER}/keys": {"keys": [key.as_dict(private=False) for key in self.published]},
            f"{ISSUER}/userinfo": self.user_info,
        }
        return Answer(200, json.dumps(pages[url]).encode())

    def post(self, url: str, *, data: Mapping[str, str], headers: Mapping[str, str], auth: Any) -> Answer:
        self._note(url)
        if self.token_answer is not None:
            return self.token_answer
        token = {"access_token": "opaque", "token_type": "Bearer", "id_token": self.token()}
        return Answer(200, json.dumps(token).encode())

    def token(self) -> str:
        """Return the ID token."""
        now = int(time.time())
        right = {"iss": ISSUER, "sub": "42", "aud": CLIENT, "exp": now + 300, "iat": now, "nonce": self.nonce}
        claims = {**right, "preferred_username": "nima", "groups": ["staff"], **self.claims}
        claims = {name: value for name, value in claims.items() if value is not None}
        if self.algorithm == "none":
            return _encode({"alg": "none", "typ": "JWT"}, claims) + "."
        if self.algorithm == "HS256":  # signed with what everybody can read: the public key
            secret = self.key.as_pem(private=False)
            signed = _encode({"alg": "HS256", "kid": "1"}, claims)
            return f"{signed}.{_base64(hmac.digest(secret, signed.encode(), 'sha256'))}"
        return jwt.encode({"alg": self.algorithm, "kid": self.key.kid}, claims, self.key, algorithms=[self.algorithm])

    def _note(self, url: str) -> None:
        self.asked.append(urlsplit(url).path)
        if self.down:
            raise Unreachable("connection refused")


@cache
def _first_key() -> RSAKey:
    """Return the key of every provider, unless a test changes it. To make one takes most of the time of a test."""
    return RSAKey.generate_key(2048, {"kid": "1"})


def _encode(*parts: dict[str, Any]) -> str:
    return ".".join(_base64(json.dumps(part).encode()) for part in parts)


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
