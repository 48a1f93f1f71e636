"""Who calls the API: the token of a call, what it may do, and how often it may call."""

import math
from collections.abc import Mapping
from datetime import timedelta

from flask import request

from app.config import FIRST_EXCHANGE
from app.domain.api_scopes import ApiScope
from app.services.api import tokens
from app.services.api.tokens import ApiAccess, TokenExpired, WrongToken
from app.services.counts import Limit
from app.services.errors import NotFound
from app.services.logins import TooManyFailures
from app.web.context import counts, enter_exchange, named_exchange, panel_database, utcnow
from app.web.problems import Problem

MINUTE = timedelta(minutes=1)
CALLS = Limit("api", 300, MINUTE, block=30)  # of a token
CHANGES = Limit("api changes", 60, MINUTE, block=5)  # of these, calls that change something
_REALM = 'Bearer realm="Bazang"'


def authenticate(scope: ApiScope | None, *, changes: bool) -> ApiAccess:
    """Return who calls. None as `scope`: any token will do. Raises Problem.

    The token counts in the header only. Addresses, and so tokens in them, are written to logs and shown in browsers.
    """
    scheme, _space, token = request.headers.get("Authorization", "").strip().partition(" ")
    if scheme.lower() != "bearer" or not token:
        text = "Send a token in the header Authorization, after the word Bearer."
        raise Problem(401, "token_missing", text, headers={"WWW-Authenticate": _REALM})
    try:
        access = tokens.check_token(panel_database(), token.strip(), request.remote_addr or "", utcnow())
    except TokenExpired as expired:
        text = f"The token has expired at {expired.at.isoformat(timespec='seconds')}. Make a new one."
        raise Problem(401, "token_expired", text, headers=_challenge("invalid_token")) from None
    except WrongToken:
        text = "There is no such token, it was revoked, or its user may not use the panel."
        raise Problem(401, "token_invalid", text, headers=_challenge("invalid_token")) from None
    except TooManyFailures as failures:
        text = "Too many wrong tokens came from this address."
        raise Problem(429, "too_many_wrong_tokens", text, headers=_retry_after(failures.wait)) from None
    _count(CALLS, access)
    if changes:
        _count(CHANGES, access)
    if scope is not None and scope not in access.scopes:
        text = f"The token does not have the scope {scope}."
        raise Problem(403, "scope_missing", text, headers=_challenge("insufficient_scope", scope=scope))
    return _enter(access)


def _enter(access: ApiAccess) -> ApiAccess:
    """Let the call be about the exchange that its address names, else the first one of the user. Raises Problem."""
    code = named_exchange()
    try:
        entered = access.enter(code if code != FIRST_EXCHANGE else "")
    except NotFound:
        text = "There is no such exchange, or the user of the token may not see it."
        raise Problem(403, "exchange_forbidden", text) from None
    enter_exchange(entered.exchanges[0].code)
    return entered


def _count(limit: Limit, access: ApiAccess) -> None:
    """Count a call of a token. Raises Problem if there are too many."""
    wait = counts().hit(limit, str(access.token_id), utcnow())
    if wait is not None:
        text = f"This token may make {limit.most} such calls in a minute."
        raise Problem(429, "too_many_calls", text, headers=_retry_after(wait))


def _challenge(error: str, **more: str) -> Mapping[str, str]:
    members = {"error": error, **more}
    return {"WWW-Authenticate": ", ".join((_REALM, *(f'{name}="{value}"' for name, value in members.items())))}


def _retry_after(wait: timedelta) -> Mapping[str, str]:
    return {"Retry-After": str(max(math.ceil(wait.total_seconds()), 1))}
