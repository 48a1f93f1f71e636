"""What a browser needs to install the panel as an app: a manifest, a service worker, and a page for when it is away.

None of them has anything of a user or of the office, so they need no log-in. The service worker keeps the files of
`kept_files` and nothing else.
"""

import json
from hashlib import sha256

from flask import Blueprint, Response, current_app, render_template, url_for
from flask_babel import gettext as _

from app.web.assets import asset
from app.web.locale import LOCALES, use_locale
from app.web.notifications import wording

blueprint = Blueprint("browser", __name__)
_ICONS = (("icon-192", 192, "any"), ("icon-512", 512, "any"), ("maskable-512", 512, "maskable"))
_COLOUR = "#0b5e6f"  # of the logo
_FILES_OF_OFFLINE = (
    "css/tokens.css",
    "css/pages/offline.css",
    "js/theme.js",
    "icon.svg",
    "vendor/vazirmatn@33.0.3/Vazirmatn-400-800.woff2",
)


@blueprint.get("/<any(fa, en):language>.webmanifest")
def manifest(language: str):
    """Send what the installed app is called and looks like in this language."""
    with use_locale(language):
        described = {
            "id": url_for("requests.home"),
            "start_url": url_for("requests.home"),
            "scope": url_for("requests.home"),
            "name": _("Bazang: call requests"),
            "short_name": _("Bazang"),
            "description": _("The call requests of the office, and whom it calls back."),
            "lang": language,
            "dir": "rtl" if language == "fa" else "ltr",
            "display": "standalone",
            "theme_color": _COLOUR,
            "background_color": _COLOUR,
            "icons": [
                {"src": asset(f"icons/{name}.png"), "sizes": f"{size}x{size}", "type": "image/png", "purpose": purpose}
                for name, size, purpose in _ICONS
            ],
            "shortcuts": [
                {"name": _("My requests"), "url": url_for("mine.index")},
                {"name": _("Pending requests"), "url": url_for("requests.index")},
            ],
        }
    text = json.dumps(described, ensure_ascii=False)
    return Response(text, mimetype="application/manifest+json")


@blueprint.get("/service-worker.js")
def service_worker():
    """Send the script that shows notifications, and the offline page when the panel is away."""
    files = kept_files()
    config = {
        "cache": f"bazang-{sha256(''.join(files).encode()).hexdigest()[:10]}",
        "files": files,
        "offline": url_for("browser.offline"),
        "home": url_for("requests.home"),
        "requests": url_for("requests.index"),
        "icon": asset("icons/icon-192.png"),
        "badge": asset("icons/badge-96.png"),
        "texts": {locale: _texts(locale) for locale in LOCALES},
    }
    script = current_app.open_resource("static/js/service_worker.js", "r", encoding="utf-8")
    with script as source:
        text = f"const CONFIG = {json.dumps(config, ensure_ascii=False)};\n{source.read()}"
    return Response(text, mimetype="text/javascript")


@blueprint.get("/offline")
def offline():
    """Show that the panel cannot be reached, in both languages. The service worker keeps this page."""
    return render_template("browser/offline.html", texts={locale: _offline_texts(locale) for locale in LOCALES})


def kept_files() -> list[str]:
    """Return the URLs of all that the service worker keeps."""
    return [url_for("browser.offline"), *(asset(name) for name in _FILES_OF_OFFLINE)]


def _texts(locale: str) -> dict[str, str]:
    with use_locale(locale):
        return {name: str(text) for name, text in wording.MESSAGE.items()}


def _offline_texts(locale: str) -> dict[str, str]:
    with use_locale(locale):
        return {
            "title": _("Bazang cannot be reached"),
            "about": _(
                "This device is offline, or the panel is switched off. Nothing is lost: requests go on waiting."
            ),
            "retry": _("Try again"),
        }
