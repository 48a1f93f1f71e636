"""The URLs of static files. They change with the content, so browsers may keep a file without asking for it again.

A stylesheet has the digest of its content as an argument. A script is a module and imports others by relative paths,
which have no arguments, so the digest of all scripts is in the path: /static/js@<digest>/app.js imports
/static/js@<digest>/digits.js. Vendored files have their version in the name of their folder.
"""

from hashlib import sha256
from pathlib import Path
from threading import Lock

from cachetools import TTLCache, cached
from flask import Flask, Response, current_app, request, send_from_directory

from app.web.urls import cached_url_for

SCRIPTS = "js"


def register(app: Flask) -> None:
    """Serve scripts below their digest, and give templates `asset`."""
    app.jinja_env.globals["asset"] = asset
    app.add_url_rule(f"{app.static_url_path}/{SCRIPTS}@<digest>/<path:filename>", "script", _send_script)
    app.after_request(_set_cache_headers)


def asset(filename: str) -> str:
    """Return the URL of a static file."""
    if "@" in filename:
        return cached_url_for("static", filename=filename)
    folder, _slash, rest = filename.partition("/")
    if folder == SCRIPTS:
        return cached_url_for("script", digest=_current_digest(_static_folder(), SCRIPTS), filename=rest)
    return cached_url_for("static", filename=filename, v=_current_digest(_static_folder(), filename))


def _send_script(digest: str, filename: str) -> Response:
    """Send the current version of a script, whatever the digest in its URL."""
    return send_from_directory(Path(_static_folder(), SCRIPTS), filename)


def _set_cache_headers(response: Response) -> Response:
    """Let browsers keep files whose URL changes with their content. Others are revalidated."""
    if request.endpoint == "script":
        digest = (request.view_args or {}).get("digest")
        is_versioned = digest == _current_digest(_static_folder(), SCRIPTS)
    else:
        is_versioned = request.endpoint == "static" and ("v" in request.args or "@" in request.path)
    if is_versioned:
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


def _static_folder() -> str:
    return str(current_app.static_folder)


@cached(TTLCache(maxsize=256, ttl=1), lock=Lock())
def _current_digest(static_folder: str, name: str) -> str:
    """Return the digest of a static file or folder, computed at most once per second."""
    return digest(Path(static_folder, name))


def digest(path: Path) -> str:
    """Return a digest of a file, or of the names and the content of all files in a folder."""
    found = sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            found.update(f"{file.relative_to(path)}\0".encode())
            found.update(file.read_bytes())
    return found.hexdigest()[:10]
