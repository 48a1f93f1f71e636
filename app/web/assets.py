"""The URLs of static files. They change with the content, so browsers may keep a file without asking for it again.

A stylesheet has the digest of its content as an argument. A script is a module and imports others by relative paths,
which have no arguments, so the digest of all scripts is in the path: /static/js@<digest>/app.js imports
/static/js@<digest>/digits.js. Vendored files have their version in the name of their folder.
"""

from hashlib import sha256
from pathlib import Path
from threading import Lock

from cachetools import LRUCache, TTLCache, cached
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
        return cached_url_for("script", digest=_scripts_digest(_static(SCRIPTS)), filename=rest)
    path = _static(filename)
    return cached_url_for("static", filename=filename, v=_file_digest(path, path.stat().st_mtime_ns))


def _send_script(digest: str, filename: str) -> Response:
    """Send the current version of a script, whatever the digest in its URL."""
    return send_from_directory(_static(SCRIPTS), filename)


def _set_cache_headers(response: Response) -> Response:
    """Let browsers keep files whose URL changes with their content. Others are revalidated."""
    if request.endpoint == "script":
        is_versioned = (request.view_args or {}).get("digest") == _scripts_digest(_static(SCRIPTS))
    else:
        is_versioned = request.endpoint == "static" and ("v" in request.args or "@" in request.path)
    if is_versioned:
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


def _static(filename: str) -> Path:
    return Path(current_app.root_path, "static", filename)


@cached(TTLCache(maxsize=1, ttl=1), lock=Lock())
def _scripts_digest(folder: Path) -> str:
    """Return the digest of all scripts, computed at most once per second."""
    return digest_scripts(folder)


def digest_scripts(folder: Path) -> str:
    """Return a digest of the names and the content of all scripts in a folder."""
    digest = sha256()
    for path in sorted(folder.rglob("*.js")):
        digest.update(f"{path.relative_to(folder)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:10]


@cached(LRUCache(maxsize=256), lock=Lock())
def _file_digest(path: Path, _changed_at: int) -> str:
    return sha256(path.read_bytes()).hexdigest()[:10]
