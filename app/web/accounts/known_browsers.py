"""A cookie by which a browser proves that it has logged in to an account before.

It logs nobody in. It only keeps the failures of others from making the people of this browser wait.
"""

import secrets
from typing import Any

from flask import Response, current_app, request
from itsdangerous import BadData, URLSafeTimedSerializer

from app.services.logins import account_key

COOKIE = "browser"
MAX_AGE = 180 * 86400  # seconds
MOST_ACCOUNTS = 8
MAX_LENGTH = 1500


def browser_id(name: str) -> str:
    """Return the id of this browser if it is known for the account with this name, else ""."""
    known = _read()
    return known["id"] if account_key(name) in known["accounts"] else ""


def remember(response: Response, name: str) -> None:
    """Let the browser prove from now on that it has logged in to this account."""
    known, account = _read(), account_key(name)
    accounts = [account, *(other for other in known["accounts"] if other != account)][:MOST_ACCOUNTS]
    response.set_cookie(
        COOKIE,
        _serializer().dumps({"id": known["id"] or secrets.token_urlsafe(16), "accounts": accounts}),
        max_age=MAX_AGE,
        secure=request.is_secure,
        httponly=True,
        samesite="Lax",
    )


def _read() -> dict[str, Any]:
    text = request.cookies.get(COOKIE, "")
    try:
        if text and len(text) <= MAX_LENGTH:
            return dict(_serializer().loads(text, max_age=MAX_AGE))
    except BadData:
        pass
    return {"id": "", "accounts": []}


def _serializer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(current_app.secret_key), salt="known browser")
