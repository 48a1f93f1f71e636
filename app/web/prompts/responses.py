"""Responses with a sound, or with an error message for a script."""

from flask import Response, request, send_file

from app.audio.clip import Clip


def send_clip(clip: Clip, name: str) -> Response:
    """Send a clip to be played, or with `download` in the query to be saved as a file with this name."""
    as_attachment = "download" in request.args
    return send_file(clip.path, mimetype="audio/wav", as_attachment=as_attachment, download_name=name, max_age=0)


def error_text(message: str) -> tuple[str, int, dict[str, str]]:
    """Return a 422 response with a message that the page's script shows."""
    return message, 422, {"Content-Type": "text/plain; charset=utf-8"}
