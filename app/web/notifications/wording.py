"""The words for notifications, and for what became of them."""

from flask_babel import lazy_gettext as _l

from app.domain.notifications import Kind

# The texts of notifications. The service worker puts the name, the number or the count in the place of #.
MESSAGE = {
    "arrived": _l("New call request"),
    "due": _l("A call request is due"),
    "failed": _l("A call request has failed"),
    "test": _l("Test notification"),
    "test_body": _l("Notifications arrive in this browser."),
    "other": _l("There is something new in the panel."),
    "extension": _l("For extension #"),
    "queue": _l("For queue #"),
    "attempts": _l("Attempts: #"),
    "number": _l("Number: #"),
}
KIND = {
    Kind.ARRIVED.value: _l("A request arrives"),
    Kind.DUE.value: _l("One of mine can be called by now"),
    Kind.FAILED.value: _l("The last attempt of a request has failed"),
}
_FAILURE = {
    "unreachable": _l("the browser's push service cannot be reached from the server"),
    "tls": _l("the browser's push service has no valid certificate, or something stands between"),
    "not_public": _l("the browser's push service has no public address here"),
    "key": _l("the keys of the browser are invalid; turn notifications off and on again"),
    "http_400": _l("the push service did not understand the message"),
    "http_401": _l("the push service did not accept the key; turn notifications off and on again"),
    "http_403": _l("the push service did not accept the key, or the clock of the server is wrong"),
    "http_429": _l("the push service wants fewer notifications"),
}


def failure(code: str) -> str:
    """Return why a notification was not sent."""
    return str(_FAILURE.get(code) or _l("the push service answered %(code)s", code=code.removeprefix("http_")))
