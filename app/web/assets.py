"""The static files and their URLs, which change with the content. So browsers keep a file without asking for it again.

A file has the digest of its content as an argument. A script is a module and imports others by relative paths, which
have no arguments, so the digest of all scripts is in the path: /static/js@<digest>/app.js imports
/static/js@<digest>/digits.js. The stylesheets that all pages need are sent as one. A stylesheet names a font by a
relative path, so a font has no argument, but a version in the name of its folder.
"""

import os
from collections.abc import Hashable, Iterator
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from threading import Lock

from cachetools import TTLCache, cached
from flask import Flask, Response, current_app, request, send_from_directory

from app.web.urls import cached_url_for

FILES = frozenset({"static", "script", "shared_styles", "icons"})  # the endpoints of static files, which are public
SCRIPTS = "js"
ICONS = "vendor/tabler-icons@3.51.0/icons.svg"
SHARED_STYLES = (
    "vendor/tabler@1.6.1/tabler.css",
    *(f"css/{name}.css" for name in ("tokens", "base", "layout", "components", "date_picker")),
)


def register(app: Flask) -> None:
    """Serve scripts and the shared stylesheet below their digest, and give templates the URLs."""
    app.jinja_env.globals.update(asset=asset, shared_styles=shared_styles, icons=icons)
    app.add_url_rule(f"{app.static_url_path}/{SCRIPTS}@<digest>/<path:filename>", "script", _send_script)
    app.add_url_rule(f"{app.static_url_path}/css@<digest>/shared.css", "shared_styles", _send_shared_styles)
    app.add_url_rule(f"{app.static_url_path}/icons@<digest>.svg", "icons", _send_icons)
    app.after_request(_set_cache_headers)


def asset(filename: str) -> str:
    """Return the URL of a static file."""
    if filename.endswith(".woff2"):
        return cached_url_for("static", filename=filename)
    folder, _slash, rest = filename.partition("/")
    if folder == SCRIPTS:
        return cached_url_for("script", digest=_current_digest(_static_folder(), SCRIPTS), filename=rest)
    return cached_url_for("static", filename=filename, v=_current_digest(_static_folder(), filename))


def shared_styles() -> str:
    """Return the URL of the stylesheet that all pages share."""
    return cached_url_for("shared_styles", digest=_current_digest(_static_folder(), *SHARED_STYLES))


def icons() -> str:
    """Return the URL of all icons. It is short, since a page repeats it for each icon."""
    return cached_url_for("icons", digest=_current_digest(_static_folder(), ICONS))


def _send_script(digest: str, filename: str) -> Response:
    """Send the current version of a script, whatever the digest in its URL."""
    return send_from_directory(Path(_static_folder(), SCRIPTS), filename)


def _send_icons(digest: str) -> Response:
    """Send the current icons, whatever the digest in their URL."""
    return send_from_directory(_static_folder(), ICONS)


def _send_shared_styles(digest: str) -> Response:
    """Send the current version of the shared stylesheet, whatever the digest in its URL."""
    css = b"\n".join(Path(_static_folder(), name).read_bytes() for name in SHARED_STYLES)
    response = Response(css, mimetype="text/css")
    response.cache_control.no_cache = True
    response.add_etag()
    response.make_conditional(request)
    return response


def _set_cache_headers(response: Response) -> Response:
    """Let browsers keep files whose URL changes with their content. Others are revalidated."""
    given = (request.view_args or {}).get("digest")
    if request.endpoint == "script":
        is_versioned = given == _current_digest(_static_folder(), SCRIPTS)
    elif request.endpoint == "shared_styles":
        is_versioned = given == _current_digest(_static_folder(), *SHARED_STYLES)
    elif request.endpoint == "icons":
        is_versioned = given == _current_digest(_static_folder(), ICONS)
    else:
        is_versioned = request.endpoint == "static" and ("v" in request.args or request.path.endswith(".woff2"))
    if is_versioned:
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


def _static_folder() -> str:
    return str(current_app.static_folder)


@cached(TTLCache(maxsize=256, ttl=1), lock=Lock())
def _current_digest(static_folder: str, *names: str) -> str:
    """Return the digest of static files or folders. Whether they have changed is looked at once per second at most."""
    paths = tuple(Path(static_folder, name) for name in names)
    return _digest_of(paths, tuple(state for path in paths for state in _states_of(path)))


def _states_of(path: str | Path) -> Iterator[tuple[str, int, int]]:
    """Yield what is different after a change of a file, or of one below a folder, without reading it."""
    try:
        entries = os.scandir(path)
    except NotADirectoryError:
        found = os.stat(path)  # noqa: PTH116 - of both kinds of path
        yield str(path), found.st_mtime_ns, found.st_size
        return
    with entries:
        for entry in entries:
            if entry.is_dir():
                yield from _states_of(entry.path)
            else:
                found = entry.stat()
                yield entry.path, found.st_mtime_ns, found.st_size


@lru_cache
def _digest_of(paths: tuple[Path, ...], _states: Hashable) -> str:
    """Return the digest of files or folders in this state."""
    return digest(*paths)


def digest(*paths: Path) -> str:
    """Return a digest of files, or of the names and the content of all files in folders."""
    found = sha256()
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                found.update(f"{file.relative_to(path)}\0".encode())
                found.update(file.read_bytes())
    return found.hexdigest()[:10]
