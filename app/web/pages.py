"""What every page is given: its rooms, its colours, and the addresses of what it is made of."""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from flask import Flask, current_app, g, request, session, url_for
from flask_babel import lazy_gettext as _l
from flask_login import current_user

from app.web import words

THEMES = ("auto", "light", "dark")
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
    app.jinja_env.globals.update(asset=asset, navigation=navigation, role_label=role_label)
    app.context_processor(lambda: {"theme": theme()})


def navigation() -> list[tuple[str, list[Entry]]]:
    """Return the rooms that the user may enter, by group."""
    groups = []
    for group, rooms in _ROOMS:
        entries = [
            Entry(endpoint, url_for(endpoint), str(label), icon, endpoint.split(".")[0] == request.blueprint)
            for endpoint, label, icon, roles in rooms
            if current_user.role in roles and endpoint in current_app.view_functions
        ]
        if entries:
            groups.append((str(group), entries))
    return groups


def role_label(role: str) -> str:
    return str(words.ROLE.get(role, role))


def theme() -> str:
    """Return the colours of this page: the user's, or those chosen before the log-in."""
    chosen = current_user.theme if current_user.is_authenticated else session.get("theme")
    return chosen if chosen in THEMES else "auto"


def asset(filename: str) -> str:
    """Return the address of a file of ours, new whenever its content is. What is vendored has it in its folder."""
    if "@" in filename:
        known: dict[str, str] = g.setdefault("vendored", {})  # a page has the same icons many times
        if filename not in known:
            known[filename] = url_for("static", filename=filename)
        return known[filename]
    path = Path(current_app.static_folder or "") / filename
    return url_for("static", filename=filename, v=_digest(path, path.stat().st_mtime_ns))


@lru_cache(maxsize=256)
def _digest(path: Path, _changed: int) -> str:
    return sha256(path.read_bytes()).hexdigest()[:10]
