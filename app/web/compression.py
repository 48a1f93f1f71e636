"""Compressed responses.

A static file is compressed once, as well as possible, and kept in memory, so that nothing has to be built when a file
changes. A page is compressed each time. It contains secrets beside texts that a visitor chooses, and the size of such a
page betrays what both have in common (BREACH). So a random number of bytes goes with it, as in Django.
"""

import gzip
import io
import secrets
from threading import Lock

import brotli
from cachetools import LRUCache, cached
from flask import Flask, Response, request

from app.web.assets import FILES

TYPES = ("text/html", "text/css", "text/javascript", "application/json", "application/manifest+json", "image/svg+xml")
SMALLEST = 500  # bytes; less fits into one packet anyway
PAGE_LEVEL = 6
MAX_PADDING = 100  # bytes
MAX_KEPT = 8 * 1024 * 1024  # bytes of all compressed files


def register(app: Flask) -> None:
    app.after_request(_compress)


def _compress(response: Response) -> Response:
    if response.mimetype not in TYPES:
        return response
    is_static = request.endpoint in FILES
    response.vary.add("Accept-Encoding")
    etag, _is_weak = response.get_etag()
    if etag is not None:
        response.set_etag(etag, weak=True)  # the same for all encodings
    # A page is not sent as Brotli, whose format has no room for padding.
    encoding = request.accept_encodings.best_match(("br", "gzip") if is_static else ("gzip",))
    if encoding is None or response.status_code in (206, 304) or "Content-Encoding" in response.headers:
        return response
    if is_static:
        response.direct_passthrough = False
    elif response.is_streamed:
        return response
    body = response.get_data()
    if len(body) >= SMALLEST:
        response.set_data(_compress_file(etag, encoding, body) if is_static else _compress_page(body))
        response.content_encoding = encoding
    return response


@cached(LRUCache(MAX_KEPT, getsizeof=len), key=lambda etag, encoding, _body: (etag, encoding), lock=Lock())
def _compress_file(etag: str | None, encoding: str, body: bytes) -> bytes:
    """Compress a file. `etag` stands for its path and content."""
    return bytes(brotli.compress(body)) if encoding == "br" else gzip.compress(body, mtime=0)


def _compress_page(body: bytes) -> bytes:
    """Compress a page. The name in the head of gzip's format is the padding."""
    compressed = io.BytesIO()
    name = "b" * secrets.randbelow(MAX_PADDING)
    with gzip.GzipFile(name, "wb", PAGE_LEVEL, compressed, mtime=0) as file:
        file.write(body)
    return compressed.getvalue()
