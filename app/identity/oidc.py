"""Log in with an OpenID Connect provider: the code flow with PKCE, state and nonce (OpenID Connect Core 1.0, RFC 7636).

What the provider publishes about itself is kept for an hour, and for a few seconds that it does not answer. So a
provider that is down makes nobody wait for long.
"""

import hmac
import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from authlib.oauth2.base import OAuth2Error
from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import OpenIDProviderMetadata
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from app.config import Settings, is_loopback
from app.domain.external_users import ExternalUser, Source, find_claim, read_extensions, read_texts
from app.identity.errors import Refused, Unreachable
from app.identity.http import HttpClient

KEPT = 3600.0  # seconds
RETRIED_AFTER = 15.0  # seconds
KEYS_AGAIN_AFTER = 10.0  # seconds; a token with an unknown key must not make us ask for keys all the time
SKEW = timedelta(minutes=2)  # by which the clocks of provider and panel may differ
AGAIN_WITHIN = timedelta(minutes=2)  # how old a log-in may be if we asked the provider for a new one
# Only signatures with a public key: anybody can sign with "none", and who knows the client's secret with HS256.
ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
LONGEST_HINT = 3000  # characters of a token that is sent along to the log-out; addresses have limits
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Started:
    """A log-in that has begun. The browser keeps all but the address until it comes back."""

    url: str
    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True)
class Finished:
    """A log-in that counts. `token` is the ID token, for the log-out at the provider."""

    user: ExternalUser
    token: str


class Provider:
    """The provider of the settings. One object for a process; its methods may be called from several threads."""

    def __init__(
        self, settings: Settings, http: HttpClient | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._settings, self._http, self._clock = settings, http or HttpClient(settings.oidc_ca), clock
        self._lock = threading.Lock()
        self._metadata: Mapping[str, Any] | None = None
        self._metadata_until = 0.0
        self._failure, self._failure_until = "", 0.0
        self._keys: KeySet | None = None
        self._keys_at = 0.0

    # -- what the provider publishes -------------------------------------------------------------------------------

    def is_known_unreachable(self) -> bool:
        """Return whether it did not answer a moment ago. Asks nobody."""
        return self._clock() < self._failure_until

    def metadata(self) -> Mapping[str, Any]:
        """Return what the provider says of itself (OpenID Connect Discovery 1.0). Raises Unreachable.

        One thread asks. The others get what is kept, or the last failure, and do not wait for longer than this one.
        """
        kept = self._metadata
        if kept is not None and self._clock() < self._metadata_until:
            return kept
        if self.is_known_unreachable():
            if kept is not None:
                return kept
            raise Unreachable(self._failure)
        with self._lock:
            if self._metadata is not None and self._clock() < self._metadata_until:
                return self._metadata
            if self.is_known_unreachable() and self._metadata is None:
                raise Unreachable(self._failure)
            return self._discover()

    def _discover(self) -> Mapping[str, Any]:
        try:
            found = self._read_metadata()
        except Unreachable as error:
            self._failure, self._failure_until = str(error), self._clock() + RETRIED_AFTER
            log.warning("the OpenID Connect provider cannot be used: %s", error)
            if self._metadata is None:
                raise
            return self._metadata  # its addresses rarely change
        self._failure_until = 0.0
        self._metadata, self._metadata_until = found, self._clock() + KEPT
        return found

    def _read_metadata(self) -> Mapping[str, Any]:
        issuer = self._settings.oidc_issuer
        found = self._json(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if str(found.get("issuer", "")).rstrip("/") != issuer.rstrip("/"):
            raise Unreachable(f"it calls itself {found.get('issuer')!r} and not {issuer!r} (BAZANG_OIDC_ISSUER)")
        metadata = OpenIDProviderMetadata(found)
        if not is_loopback(issuer):  # Authlib demands https everywhere
            try:
                metadata.validate()
            except ValueError as error:
                raise Unreachable(f"what it says of itself is invalid: {error}") from error
        for name in (*_ENDPOINTS, "userinfo_endpoint", "end_session_endpoint"):
            address = found.get(name)
            if address is None and name not in _ENDPOINTS:
                continue
            if not isinstance(address, str) or not may_use(address, issuer):
                raise Unreachable(f"its {name} is no https address: {address!r}")
        return dict(metadata)

    def keys(self, *, again: bool = False) -> KeySet:
        """Return the provider's public keys. `again`: they have changed. Raises Unreachable."""
        age = self._clock() - self._keys_at
        if self._keys is None or age > KEPT or (again and age > KEYS_AGAIN_AFTER):
            try:
                self._keys = KeySet.import_key_set(self._json(self.metadata()["jwks_uri"]))  # type: ignore[arg-type]
            except (JoseError, ValueError, TypeError, KeyError) as error:
                raise Unreachable(f"its keys cannot be read: {error}") from error
            self._keys_at = self._clock()
        return self._keys

    def _json(self, url: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        answer = self._http.get(url, headers)
        if answer.status_code != 200:
            raise Unreachable(f"{url} answers HTTP {answer.status_code}")
        try:
            found = answer.json()
        except ValueError as error:
            raise Unreachable(f"{url} answers no JSON") from error
        if not isinstance(found, dict):
            raise Unreachable(f"{url} answers no object")
        return found

    # -- a log-in -----------------------------------------------------------------------------------------------------

    def begin(self, redirect_uri: str, *, again: bool = False) -> Started:
        """Begin a log-in. `again`: the provider must ask for the password although somebody is logged in there.

        Raises Unreachable.
        """
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        metadata = self.metadata()
        # max_age=0 would do as well, but some providers take it for "not given".
        more = {"prompt": "login", "max_age": 1} if again else {}
        url, _ = self._client(metadata, redirect_uri).create_authorization_url(
            metadata["authorization_endpoint"], state=state, nonce=nonce, code_verifier=verifier, **more
        )
        return Started(url, state, nonce, verifier)

    def finish(
        self, started: Started, answer: Mapping[str, str], redirect_uri: str, now: datetime, *, again: bool = False
    ) -> Finished:
        """Finish a log-in by what the provider has sent the browser back with: its code, for which we get the token.

        Raises Unreachable and Refused. `started.url` does not matter.
        """
        if not hmac.compare_digest(answer.get("state", "").encode(), started.state.encode()):
            raise Refused("the state is another one")
        metadata = self.metadata()
        names_itself = metadata.get("authorization_response_iss_parameter_supported") is True  # RFC 9207
        if (names_itself or "iss" in answer) and answer.get("iss") != metadata["issuer"]:
            raise Refused("another provider sent the answer")
        if not answer.get("code"):
            raise Refused("there is no code")
        tokens = self._fetch_tokens(metadata, redirect_uri, answer["code"], started.verifier)
        token = tokens.get("id_token")
        if not isinstance(token, str):
            raise Refused("there is no ID token")
        claims = self._check(token, tokens.get("access_token"), started.nonce, now)
        if again:
            authenticated = claims.get("auth_time")
            if (
                not isinstance(authenticated, int | float)
                or now.timestamp() - authenticated > (AGAIN_WITHIN + SKEW).total_seconds()
            ):
                raise Refused("the provider did not ask for the password again")
        return Finished(self._describe(claims, tokens.get("access_token")), token)

    def _fetch_tokens(self, metadata: Mapping[str, Any], redirect_uri: str, code: str, verifier: str) -> dict[str, Any]:
        try:
            tokens = self._client(metadata, redirect_uri).fetch_token(
                metadata["token_endpoint"],
                grant_type="authorization_code",
                code=code,
                redirect_uri=redirect_uri,
                code_verifier=verifier,
            )
        except OAuth2Error as error:
            raise Refused(f"the provider refuses the code: {error.error} {error.description}") from error
        except (ValueError, TypeError) as error:
            raise Unreachable(f"its answer to the code cannot be read: {error}") from error
        return dict(tokens)

    def _client(self, metadata: Mapping[str, Any], redirect_uri: str) -> OAuth2Client:
        methods = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        by_post = "client_secret_basic" not in methods
        secret = self._settings.oidc_client_secret
        return OAuth2Client(
            self._http,
            client_id=self._settings.oidc_client_id,
            client_secret=secret or None,
            token_endpoint_auth_method=("client_secret_post" if by_post else "client_secret_basic")
            if secret
            else "none",
            scope=self._settings.oidc_scopes,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
        )

    def _check(self, token: str, access_token: Any, nonce: str, now: datetime) -> dict[str, Any]:
        """Return the claims of an ID token whose signature, issuer, audience, times and nonce are right.

        Raises Refused and Unreachable.
        """
        try:
            try:
                decoded = jwt.decode(token, self.keys(), algorithms=ALGORITHMS)
            except (JoseError, ValueError):  # perhaps the provider has new keys
                decoded = jwt.decode(token, self.keys(again=True), algorithms=ALGORITHMS)
            issuer = self.metadata()["issuer"]
            checked = CodeIDToken(
                decoded.claims,
                decoded.header,
                options={
                    "iss": {"essential": True, "value": issuer},
                    "aud": {"essential": True, "value": self._settings.oidc_client_id},
                },
                params={"nonce": nonce, "client_id": self._settings.oidc_client_id, "access_token": access_token},
            )
            checked.validate(now=int(now.timestamp()), leeway=int(SKEW.total_seconds()))
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise Refused(f"the ID token does not count: {error}") from error
        if not isinstance(checked.get("sub"), str) or not checked["sub"]:
            raise Refused("the ID token names nobody")
        return dict(checked)

    def _describe(self, claims: dict[str, Any], access_token: Any) -> ExternalUser:
        """Return the user of the claims. What the ID token does not have may be in the user info."""
        settings = self._settings
        wanted = [settings.oidc_name_claim, settings.oidc_groups_claim, settings.oidc_extension_claim]
        address = self.metadata().get("userinfo_endpoint")
        if address and access_token and any(name and find_claim(claims, name) is None for name in wanted):
            more = self._json(address, {"Authorization": f"Bearer {access_token}"})
            if more.get("sub") != claims["sub"]:  # OpenID Connect Core 1.0, 5.3.2
                raise Refused("the user info is of somebody else")
            claims = {**more, **claims}
        groups = find_claim(claims, settings.oidc_groups_claim)
        if groups is None:
            log.warning(
                "the provider says no groups of %s (claim %s)%s",
                claims["sub"],
                settings.oidc_groups_claim,
                "; it leaves them out because they are too many" if "_claim_names" in claims else "",
            )
        extension = find_claim(claims, settings.oidc_extension_claim) if settings.oidc_extension_claim else None
        return ExternalUser(
            Source.OIDC,
            str(claims["iss"]),
            claims["sub"],
            next(iter(read_texts(find_claim(claims, settings.oidc_name_claim))), ""),
            frozenset(read_texts(groups)),
            None if extension is None else read_extensions(read_texts(extension)),
        )

    def logout_url(self, token: str, back: str) -> str:
        """Return the address that logs the user out at the provider and leads back, or "" if it offers none.

        See OpenID Connect RP-Initiated Logout 1.0. Never waits for a provider that was not asked before.
        """
        address = (self._metadata or {}).get("end_session_endpoint")
        if not address:
            return ""
        values = {"client_id": self._settings.oidc_client_id, "post_logout_redirect_uri": back}
        if token and len(token) <= LONGEST_HINT:
            values["id_token_hint"] = token
        return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(values)}"


def may_use(address: str, issuer: str) -> bool:
    """Return whether an address of the provider is safe: https, or http on this machine if the issuer is there."""
    parts = urlsplit(address)
    return bool(parts.hostname) and (parts.scheme == "https" or (is_loopback(issuer) and is_loopback(address)))
