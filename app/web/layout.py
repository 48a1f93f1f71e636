"""What every page has around its content: the navigation and the theme."""

from dataclasses import dataclass

from flask import Flask, render_template, request, session
from flask_babel import lazy_gettext as _l
from flask_login import current_user
from markupsafe import Markup

from app.web import wording
from app.web.context import command, current_exchange, database
from app.web.http import exchange_root, panel_url_for
from app.web.locale import choose_locale
from app.web.urls import cached_url_for
from app.web.waiting_counts import current_badges, lists_missed_calls

THEMES = ("auto", "light", "dark")
ALL_ROLES = ("administrator", "supervisor", "operator")
SUPERVISORS = ("administrator", "supervisor")
ADMINISTRATORS = ("administrator",)


@dataclass(frozen=True)
class NavigationEntry:
    """A link of the navigation. `key`, after g, is its keyboard shortcut, "" if it has none."""

    endpoint: str
    url: str
    label: str
    icon: str
    is_current: bool
    key: str


@dataclass(frozen=True)
class SwitchEntry:
    """An exchange in the switch."""

    url: str
    name: str
    is_current: bool


# group title -> endpoint, label, icon and the roles that see it
_NAVIGATION = (
    (
        _l("Requests"),
        (
            ("overview.index", _l("Overview"), "layout-dashboard", ALL_ROLES),
            ("requests.index", _l("Pending requests"), "hourglass", ALL_ROLES),
            ("mine.index", _l("My requests"), "headset", ALL_ROLES),
            ("missed.index", _l("Missed calls"), "phone-off", ALL_ROLES),
            ("report.index", _l("Report"), "chart-bar", ALL_ROLES),
            ("contacts.index", _l("Contacts"), "user-circle", SUPERVISORS),
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
            ("log.index", _l("Log"), "history", SUPERVISORS),
        ),
    ),
)
_KEYS = {"overview.index": "o", "requests.index": "p", "mine.index": "m", "missed.index": "c", "report.index": "r"}


def register(app: Flask) -> None:
    """Give templates the navigation and the theme."""
    app.jinja_env.globals.update(frame=frame, navigation=navigation, role_label=role_label)
    app.jinja_env.globals.update(exchange_switch=switch, exchange_name=exchange_name)
    app.jinja_env.globals.update(panel_url_for=panel_url_for, exchange_here=exchange_here, command=command)
    app.context_processor(lambda: {"theme": theme()})


def frame() -> Markup:
    """Return the navigation of this user's pages, cached until something in it changes."""
    user = current_user.id, current_user.name, current_user.role
    key = "frame", user, request.blueprint, choose_locale(), theme(), request.script_root, current_exchange().code
    shown = current_badges(), current_user.extensions, tuple(switch())
    return database().cache.get(key, shown, lambda: Markup(render_template("components/_navigation.html")))  # noqa: S704 - from a template


def navigation() -> list[tuple[str, list[NavigationEntry]]]:
    """Return the titles of the navigation's groups with the entries that the user may see."""
    groups = []
    for title, links in _NAVIGATION:
        entries = [
            NavigationEntry(
                endpoint, cached_url_for(endpoint), str(label), icon, _is_current(endpoint), _KEYS.get(endpoint, "")
            )
            for endpoint, label, icon, roles in links
            if current_user.role in roles and (endpoint != "missed.index" or lists_missed_calls())
        ]
        if entries:
            groups.append((str(title), entries))
    return groups


def _is_current(endpoint: str) -> bool:
    return endpoint.split(".")[0] == request.blueprint


def switch() -> list[SwitchEntry]:
    """Return the exchanges among which the user can choose. Empty: there is no choice."""
    if len(current_user.exchanges) < 2:
        return []
    here = current_exchange().code
    return [
        SwitchEntry(f"{exchange_root(seen.code)}/", exchange_name(seen.name), seen.code == here)
        for seen in current_user.exchanges
    ]


def exchange_here() -> str:
    """Return the name of this page's exchange, "" if the user sees no other one."""
    return next((entry.name for entry in switch() if entry.is_current), "")


def exchange_name(name: str) -> str:
    """Return how pages call an exchange. `name` is "" for the first one until somebody names it."""
    return name or str(_l("Main exchange"))


def role_label(role: str) -> str:
    return str(wording.ROLE.get(role, role))


def theme() -> str:
    """Return the theme of this page: the user's, or the one chosen before the log-in."""
    chosen = current_user.theme if current_user.is_authenticated else session.get("theme")
    return chosen if chosen in THEMES else "auto"
