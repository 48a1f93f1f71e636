"""What every page is given: its rooms, its colours, and the addresses of what it is made of."""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from flask import Flask, current_app, render_template, request, session, url_for
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from markupsafe import Markup

from app.web import wording
from app.web.context import cached
from app.web.locale import choose_locale

THEMES = ("auto", "light", "dark")
MOST_ADDRESSES = 5000  # which are remembered
EVERYBODY = ("administrator", "supervisor", "operator")
OVERSEERS = ("administrator", "supervisor")
ADMINISTRATORS = ("administrator",)


@dataclass(frozen=True)
class Entry:
    """A page that the navigation leads to."""

    endpoint: str
    address: str
    label: str
    icon: str
    here: bool


# group -> endpoint, label, icon, and the roles that see it
_ROOMS = (
    (
        _l("Requests"),
        (
            ("overview.index", _l("Overview"), "layout-dashboard", EVERYBODY),
            ("requests.index", _l("Pending requests"), "hourglass", EVERYBODY),
            ("mine.index", _l("My requests"), "headset", EVERYBODY),
            ("report.index", _l("Report"), "chart-bar", EVERYBODY),
        ),
    ),
    (
        _l("Call centre"),
        (
            ("modules.index", _l("Call requests"), "phone-incoming", ADMINISTRATORS),
            ("recordings.index", _l("Prompt library"), "microphone", ADMINISTRATORS),
            ("extensions.index", _l("Extensions"), "phone", ADMINISTRATORS),
            ("queues.index", _l("Queues"), "users", ADMINISTRATORS),
        ),
    ),
    (
        _l("Administration"),
        (
            ("settings.index", _l("Settings"), "settings", ADMINISTRATORS),
            ("users.index", _l("Users"), "user-plus", ADMINISTRATORS),
            ("log.index", _l("Log"), "history", OVERSEERS),
        ),
    ),
)


def register(app: Flask) -> None:
    app.jinja_env.globals.update(
        asset=asset, frame=frame, navigation=navigation, role_label=role_label, url_for=address
    )
    app.extensions["bazang"]["addresses"] = {}
    app.context_processor(lambda: {"theme": theme()})


def frame() -> Markup:
    """Return what stands around every page of this user: it is built once for as long as nothing changes in it."""
    depends = "frame", current_user.id, request.blueprint, choose_locale(), theme(), request.script_root
    return cached(depends, lambda: Markup(render_template("components/_navigation.html")))  # noqa: S704 - a template's


def navigation() -> list[tuple[str, list[Entry]]]:
    """Return the rooms that the user may enter, by group."""
    groups = []
    for group, rooms in _ROOMS:
        entries = [
            Entry(endpoint, address(endpoint), str(label), icon, endpoint.split(".")[0] == request.blueprint)
            for endpoint, label, icon, roles in rooms
            if current_user.role in roles and endpoint in current_app.view_functions
        ]
        if entries:
            groups.append((str(group), entries))
    return groups


def role_label(role: str) -> str:
    return str(wording.ROLE.get(role, role))


def theme() -> str:
    """Return the colours of this page: the user's, or those chosen before the log-in."""
    chosen = current_user.theme if current_user.is_authenticated else session.get("theme")
    return chosen if chosen in THEMES else "auto"


def address(endpoint: str, **values: Any) -> str:
    """Return what `url_for` does. Pages have the same addresses again and again: those are built once."""
    if endpoint.startswith(".") or "_external" in values:  # it depends on the page, or on how the panel was called
        return url_for(endpoint, **values)
    known: dict[tuple[str, str, str], str] = current_app.extensions["bazang"]["addresses"]
    key = request.script_root, endpoint, repr(values)
    if key not in known:
        if len(known) >= MOST_ADDRESSES:
            known.clear()
        known[key] = url_for(endpoint, **values)
    return known[key]


def asset(filename: str) -> str:
    """Return the address of a file of ours, new whenever its content is. What is vendored has it in its folder."""
    if "@" in filename:
        return address("static", filename=filename)
    path = Path(current_app.root_path, "static", filename)
    return address("static", filename=filename, v=_digest(path, path.stat().st_mtime_ns))


@lru_cache(maxsize=256)
def _digest(path: Path, _changed: int) -> str:
    return sha256(path.read_bytes()).hexdigest()[:10]
