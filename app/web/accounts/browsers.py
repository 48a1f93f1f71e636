"""The names of browsers and systems, read from what browsers call themselves."""

from app.web.formats import listed

# The first that is contained counts: many browsers also name those that they descend from.
_BROWSERS = {
    "Edg": "Edge",
    "OPR/": "Opera",
    "Firefox/": "Firefox",
    "FxiOS/": "Firefox",
    "CriOS/": "Chrome",
    "SamsungBrowser/": "Samsung Internet",
    "Chrome/": "Chrome",
    "Safari/": "Safari",
}
_SYSTEMS = {
    "Windows": "Windows",
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Mac OS X": "macOS",
    "CrOS": "ChromeOS",
    "Linux": "Linux",
}


def describe_browser(user_agent: str) -> str:
    """Return a short description such as "Firefox, Windows", or "" if nothing is recognized."""
    found = [
        next((label for mark, label in names.items() if mark in user_agent), "") for names in (_BROWSERS, _SYSTEMS)
    ]
    return listed(label for label in found if label)
