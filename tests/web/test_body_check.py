"""How much each page accepts of whom. A larger request is refused before its body is read."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.body_limits import ACCEPTED, ANYBODY, QUESTION, UPLOAD, USER
from app.services import users
from app.store.database import Database
from tests.support.rows import for_each
from tests.web.pages import Visitor
from tests.web.test_everywhere import all_rules, furnished, url_of

__all__ = ["furnished"]  # a fixture

UPLOADS = {
    "contacts.upload",
    "modules.new",
    "modules.edit",
    "recordings.add",
    "recordings.take",
    "recordings.set_digit",
    "recordings.change_set",
}


class Unreadable:
    """A body that must not be read."""

    def read(self, *_: Any) -> bytes:
        raise AssertionError("the body is read")

    readline = readlines = __iter__ = read


def send(client: FlaskClient, path: str, size: int | None, **environ: Any) -> Any:
    """Send the headers of a POST request with a body of this size."""
    headers = {"CONTENT_TYPE": "multipart/form-data; boundary=part"}
    headers |= {} if size is None else {"CONTENT_LENGTH": str(size)}
    overrides = headers | {"wsgi.input": Unreadable()} | environ
    return client.post(path, environ_overrides=overrides, buffered=True)


@pytest.fixture
def strict(app: Flask) -> Flask:
    """As in an installation, where forms need a token. It is in the body, which is not read."""
    app.config["WTF_CSRF_ENABLED"] = True
    return app


def posts(app: Flask) -> Iterator[tuple[str, str]]:
    """Yield the endpoint and a path of each route that takes a form."""
    for rule in all_rules():
        if "POST" in (rule.methods or ()):
            yield rule.endpoint, url_of(app, rule)


def test_every_page_has_a_limit_for_every_role(strict: Flask, furnished: None) -> None:
    clients = {"nobody": strict.test_client()}
    clients |= {name: Visitor(strict, user).client for name, user in (("operator", 2), ("administrator", 1))}
    faults, uploads = [], set()
    for endpoint, path in posts(strict):
        for name, client in clients.items():
            limit = UPLOAD if name == "administrator" and endpoint in UPLOADS else USER
            limit = ANYBODY if name == "nobody" else limit
            asked = send(client, path, limit, **{QUESTION: True})
            refused = send(client, path, limit + 1, HTTP_HX_REQUEST="true")  # a short answer, which is quick
            if (asked.status_code, asked.data, refused.status_code) != (ACCEPTED, b"", 413):
                faults.append((endpoint, name, asked.status_code, refused.status_code))
        uploads.add(endpoint)
    assert faults == []
    assert uploads > UPLOADS


@pytest.mark.parametrize(("size", "status"), [(ANYBODY - 1000, 422), (ANYBODY, 413)])
def test_body_of_unknown_length_is_small(admin: Visitor, size: int, status: int) -> None:
    """Servers other than ours may let it come in chunks."""
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    form = {"data": {"name": "x" * size}, "content_type": "multipart/form-data"}
    response = admin.client.post("/recordings/take", **form, environ_overrides=chunked, buffered=True)
    assert response.status_code == status


@pytest.mark.parametrize("locale", ["fa", "en"])
@for_each(
    ("user", "path", "text"),
    [
        (1, "/modules/new", {"en": "The limit is 20 MB", "fa": "۲۰ مگابایت"}),
        (1, "/recordings/set/en", {"en": "The limit is 24 MB", "fa": "۲۴ مگابایت"}),
        (1, "/contacts/import", {"en": "The limit is 10 MB", "fa": "۱۰ مگابایت"}),
        (4, "/contacts/import", {"en": "The limit is 10 MB", "fa": "۱۰ مگابایت"}),
        (1, "/settings/hours/calendar", {"en": "The limit is 400 KB", "fa": "۴۰۰ کیلوبایت"}),
        (4, "/settings/hours/calendar", {"en": "so much data", "fa": "داده"}),
        (2, "/contacts/import", {"en": "so much data", "fa": "داده"}),
        (1, "/language", {"en": "so much data", "fa": "داده"}),
        (2, "/recordings/take", {"en": "so much data", "fa": "داده"}),
        (None, "/recordings/take", {"en": "Log in", "fa": "وارد"}),
    ],
)
def test_page_says_what_is_too_large(
    strict: Flask, database: Database, locale: str, user: int | None, path: str, text: dict[str, str]
) -> None:
    if user is not None:
        users.set_locale(database, user, locale)
    visitor = Visitor(strict, user, locale=locale)
    if user is None:
        with visitor.client.session_transaction() as session:
            session["locale"] = locale
    page = visitor.check(send(visitor.client, path, 10**9), 413, None)
    assert text[locale] in page.main
    assert page.has("a", href="/requests") is (user is not None)
    assert bool(page.all("a", data_log_in="")) is (user is None), "a script looks for it"


def test_script_gets_a_message(strict: Flask, admin: Visitor) -> None:
    response = send(admin.client, "/modules/summary", 10**9, HTTP_HX_REQUEST="true")
    page = admin.check(response, 413, {"HX-Request": "true"})
    assert page.response.headers["HX-Retarget"] == "#message"
