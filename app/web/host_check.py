"""Refuse requests for a host name that is not the panel's, and say what to do."""

from flask import Flask, request
from werkzeug.exceptions import HTTPException

from app.domain.hosts import host_name
from app.services import hosts
from app.web.assets import FILES
from app.web.context import PROBES, panel_database, panel_settings, panel_stored, utcnow


class UnknownHost(HTTPException):
    """The panel may not be opened by this name."""

    code = 421
    description = "The panel is not known by this name."


def register(app: Flask) -> None:
    app.before_request(_check)


def learn_host() -> None:
    """Remember the name by which somebody has just logged in."""
    hosts.learn(panel_database(), panel_settings(), host_name(request.host), panel_stored(), utcnow())


def _check() -> None:
    if request.endpoint in FILES or request.endpoint in PROBES:
        return
    if not hosts.is_allowed(host_name(request.host), panel_settings(), panel_stored(), utcnow()):
        raise UnknownHost
