"""A test client that checks every page it gets. An invalid page fails the test, whatever the test is about."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element

from flask import Flask
from werkzeug.test import TestResponse

from app.services import sessions, users
from app.services.errors import NotFound
from tests.support.html import parse

DIRECTIONS = {"fa": "rtl", "en": "ltr"}
CONTROLS = ("input", "select", "textarea", "button", "audio", "a")
BOXES = ("radio", "checkbox")
FILLED = ("btn-primary", "btn-danger")  # what a page is for has one of these; all other buttons are outlined or plain
HTML = "text/html; charset=utf-8"
LINKS = {"href", "src", "action"}
# Attributes that contain ids of other elements.
REFERENCES = {"for", "aria-describedby", "aria-labelledby", "list", "data-shows", "data-toggles"}
CODE = re.compile(r"(?<!\u2066)\*[0-9۰-۹]{2,}")

Fields = dict[str, list[Any]]


class Page:
    """A parsed response. `fragment`: it is a part of a page."""

    def __init__(self, response: TestResponse, *, fragment: bool) -> None:
        self.response, self.status, self.fragment = response, response.status_code, fragment
        self.source = response.get_data(as_text=True)
        within = "tbody" if self.source.lstrip().startswith("<tr") else "div"
        self.root, self.faults = parse(self.source, within if fragment else None)

    def all(self, tag: str = "*", **attributes: str) -> list[Element]:
        """Return the elements with these attributes. `class_` is one of their classes, and _ in a name means -."""
        found = list(self.root.iter(tag if tag != "*" else None))
        for name, value in attributes.items():
            if name == "class_":
                found = [element for element in found if value in element.get("class", "").split()]
            else:
                attribute = name.replace("_", "-")
                found = [element for element in found if element.get(attribute) == value]
        return found

    def one(self, tag: str = "*", **attributes: str) -> Element:
        found = self.all(tag, **attributes)
        assert len(found) == 1, f"{len(found)} of {tag} {attributes} in\n{self.source}"
        return found[0]

    def has(self, tag: str = "*", **attributes: str) -> bool:
        return bool(self.all(tag, **attributes))

    @property
    def main(self) -> str:
        """The text of the page without head and navigation."""
        return text(self.root if self.fragment else self.one("main"))

    @property
    def message(self) -> str:
        """The message about the last action."""
        return text(self.one(id="message"))

    @property
    def title(self) -> str:
        return text(self.one("title"))

    def error(self, field: str) -> str:
        """Return the error of a field, or "" if it has none."""
        found = self.all(id=f"{field}-error")
        if not found:
            return ""
        described = [control for control in self.root.iter() if f"{field}-error" in control.get("aria-describedby", "")]
        assert described, f"no control is described by {field}-error"
        return text(found[0])

    def form(self, **attributes: str) -> Element:
        """Return the form in the content of the page."""
        forms = [form for form in self.one("main").iter("form") if all(form.get(k) == v for k, v in attributes.items())]
        forms = [form for form in forms if form.get("method") == "post"]
        assert len(forms) == 1, self.source
        return forms[0]

    def fields(self, form: Element | None = None) -> Fields:
        """Return what a browser would send for the form (no files)."""
        fields: Fields = {}
        for name, value in _sent(self.form() if form is None else form):
            fields.setdefault(name, []).append(value)
        return fields


def text(element: Element) -> str:
    """Return the text of an element in one line, without hidden parts."""
    return " ".join("".join(_texts(element)).split())


def child(element: Element, path: str) -> Element:
    """Return the first element at this path. Fails if there is none."""
    found = element.find(path)
    assert found is not None, f"no {path} in {element.tag} {element.attrib}"
    return found


def _texts(element: Element) -> Iterator[str]:
    shown = element.get("hidden") is None and element.get("popover") is None
    if shown and element.tag not in ("script", "datalist", "template"):
        yield element.text or ""
        for child in element:
            space = " " if child.tag in ("div", "p", "li", "td", "th", "tr", "option", "br") else ""
            yield space
            yield from _texts(child)
            yield space
            yield child.tail or ""


def _sent(form: Element) -> Iterator[tuple[str, str]]:
    for control in form.iter():
        name, kind = control.get("name", ""), control.get("type", "text")
        if not name or control.get("disabled") is not None:
            continue
        if control.tag == "textarea":
            yield name, (control.text or "").removeprefix("\n")
        elif control.tag == "select":
            options = list(control.iter("option"))
            chosen = [o for o in options if o.get("selected") is not None] or options[:1]
            yield from ((name, option.get("value", text(option))) for option in chosen)
        elif control.tag == "input" and kind not in ("file", "submit", "button"):
            if kind in ("checkbox", "radio"):
                if control.get("checked") is not None:
                    yield name, control.get("value", "on")
            else:
                yield name, control.get("value", "")


def session_user_id(app: Flask, user_id: int) -> str:
    """Start a session of a user and return its token. For a missing user return what looks like one."""
    database = app.extensions["bazang"]["database"]
    try:
        user = users.get(database, user_id)
    except NotFound:
        return "gone"
    limits = sessions.limits_of(app.extensions["bazang"]["settings"])
    return sessions.start(database, user, sessions.Client("127.0.0.1"), datetime.now(UTC), limits)


class Visitor:
    """A person with a browser. `locale` is the language that every page must have, or None for any."""

    def __init__(self, app: Flask, user_id: int | None = None, *, locale: str | None = None) -> None:
        self.app, self.client, self.locale = app, app.test_client(), locale
        if user_id is not None:
            with self.client.session_transaction() as session:
                session["_user_id"], session["_fresh"] = session_user_id(app, user_id), True

    def get(self, path: str, status: int = 200, *, headers: Mapping[str, str] | None = None, **query: Any) -> Page:
        response = self.client.get(path, headers=headers, query_string=query or None, buffered=True)
        return self.check(response, status, headers)

    def post(self, path: str, data: Any = None, status: int = 302, *, headers: Mapping[str, str] | None = None) -> Page:
        return self.check(self.client.post(path, data=data or {}, headers=headers, buffered=True), status, headers)

    def ask(self, path: str, status: int = 200) -> Page:
        """Send a GET request as HTMX does."""
        return self.get(path, status, headers={"HX-Request": "true"})

    def press(self, path: str, data: Any = None, status: int = 200) -> Page:
        """Send a POST request as HTMX does."""
        return self.post(path, data, status, headers={"HX-Request": "true"})

    def follow(self, page: Page) -> Page:
        """Get the page that a redirect leads to."""
        assert page.status == 302, page.source
        return self.get(page.response.headers["Location"])

    def submit(self, page: Page | Fields, path: str, status: int = 302, /, **changes: Any) -> Page:
        """Send the form of the page, or its fields, with changes. None leaves a field out, like an unticked box."""
        given = page.fields() if isinstance(page, Page) else page
        fields = {**given, **{k: v if isinstance(v, list) else [v] for k, v in changes.items()}}
        return self.post(path, {k: v for k, v in fields.items() if v != [None]}, status)

    def check(self, response: TestResponse, status: int, headers: Mapping[str, str] | None) -> Page:
        assert response.status_code == status, response.status
        check_headers(response)
        fragment = bool(headers and headers.get("HX-Request"))
        if response.content_type != HTML or 300 <= response.status_code < 400:
            page = Page.__new__(Page)
            page.response, page.status, page.fragment = response, response.status_code, fragment
            page.source = response.get_data(as_text=True) if (response.content_type or "").startswith("text/") else ""
            return page
        page = Page(response, fragment=fragment)
        check_page(page)
        if not fragment and self.locale is not None:
            assert page.one("html").get("lang") == self.locale
        return page


def check_headers(response: TestResponse) -> None:
    policy = response.headers["Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'self'" and "unsafe" not in policy
    assert rules["object-src"] == rules["base-uri"] == rules["frame-ancestors"] == "'none'"
    assert rules["form-action"] == "'self'"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert response.headers["Cache-Control"] == "no-store"
    assert "HX-Request" in response.vary
    cookie = response.headers.get("Set-Cookie", "HttpOnly; SameSite=Lax")
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie


def check_page(page: Page) -> None:
    """Check what must hold for every page."""
    assert page.faults == []
    by_id = _check_ids(page)
    _check_errors(page, by_id)
    _check_names(page)
    if CODE.search(page.source):
        _check_codes(page.root)
    _check_nothing_inline(page)
    filled = [text(button) for name in FILLED if name in page.source for button in page.all(class_=name)]
    assert len(filled) <= 1, f"more than one button is filled: {filled}"
    if not page.fragment:
        html = page.one("html")
        assert html.get("dir") == DIRECTIONS[html.get("lang", "")]
        own = page.title.split("·")[0].strip()
        assert own, "a page without a title"
        assert len(page.all("h1")) == 1
        forms = {form.get("id") for form in page.all("form")}
        lost = [element.attrib for element in page.root.iter() if element.get("form") not in {None, *forms}]
        assert not lost, "these belong to a form that the page does not have, so they do nothing"


def _check_ids(page: Page) -> dict[str, Element]:
    """Return the elements by id."""
    with_id = [(id_, element) for element in page.root.iter() if (id_ := element.get("id")) is not None]
    by_id = dict(with_id)
    ids = [id_ for id_, _element in with_id]
    assert len(ids) == len(by_id), f"twice: {sorted(i for i in ids if ids.count(i) > 1)}"
    for element in page.root.iter():
        for attribute in REFERENCES & element.attrib.keys():
            named = element.attrib[attribute].split()
            assert by_id.keys() >= set(named), f'{attribute}="{element.get(attribute)}" names no element'
            assert named, f"an empty {attribute}"
        if element.tag == "label" and element.get("for"):
            assert by_id[element.attrib["for"]].tag in CONTROLS
    return by_id


def _check_errors(page: Page, by_id: Mapping[str, Element]) -> None:
    """Check that the summary of errors links to each of them, and that each control in error says so."""
    if "error" not in page.source:
        return
    for summary in page.all(class_="error-summary"):
        links = {link.get("href", "").removeprefix("#") for link in summary.iter("a")}
        assert by_id.keys() >= links, f"these links of the summary lead nowhere: {links - by_id.keys()}"
        assert summary.get("tabindex") == "-1" and summary.get("autofocus") is not None
    for control in page.root.iter():
        described = (control.get("aria-describedby") or "").split()
        has_error = any(name.endswith("-error") for name in described)
        if has_error and control.tag in ("input", "select", "textarea") and control.get("type") not in BOXES:
            assert control.get("aria-invalid") == "true", control.attrib


def _check_names(page: Page) -> None:
    """Check that every control has a name."""
    labels = [label for label in page.root.iter("label") if text(label)]
    labelled = {label.get("for") for label in labels}
    within = {control for label in labels for control in label.iter()}
    for control in (control for tag in CONTROLS for control in page.root.iter(tag)):
        if control.get("type") == "hidden" or control.get("hidden") is not None:
            continue
        named = control.get("aria-label") or control.get("id") in labelled or control in within
        if control.tag in ("button", "a"):
            named = named or text(control)
        assert named, f"a {control.tag} without a name: {control.attrib}"
    for picture in page.root.iter("img"):
        assert picture.get("alt") is not None
    for table in page.root.iter("table"):
        assert table.get("aria-label") or table.get("aria-labelledby"), f"a table without a name: {table.attrib}"


def _check_codes(element: Element) -> None:
    """Check that codes such as *5001 are isolated, else their star changes sides in Persian texts."""
    if element.tag in ("bdi", "textarea", "script", "title") or (element.get("dir") == "ltr" and element.tag != "html"):
        return
    for written in (element.text, *(child.tail for child in element)):
        if written and "*" in written:
            found = CODE.search(written)
            assert found is None, f"{found} is not isolated in <{element.tag} {element.attrib}>: {written}"
    for child in element:
        _check_codes(child)


def _check_nothing_inline(page: Page) -> None:
    for element in page.root.iter():
        assert element.tag != "style"
        assert element.tag != "script" or (element.get("src") and not (element.text or "").strip())
        names = element.attrib.keys()
        inline = [name for name in names if name.startswith(("on", "hx-on")) or name == "style"]
        assert not inline, f"{inline} in {element.tag}"
        for name in LINKS & names:
            value = element.attrib[name]
            parts = urlsplit(value)
            if not (parts.scheme or parts.netloc):
                continue
            is_telephone = name == "href" and re.fullmatch(r"tel:\+?[0-9]+", value)
            # An administrator has set the customer program, and it must learn nothing of the panel.
            is_screen_pop = "data-pop" in names and element.get("rel") == "noopener noreferrer"
            leaves = name == "href" and element.get("rel") == "external"  # to the log-in of the office
            assert is_telephone or is_screen_pop or leaves, f"leads to another server: {value}"


def rows(page: Page) -> Sequence[str]:
    """Return the texts of the rows of the page's tables."""
    return [text(row) for body in page.all("tbody") for row in body.iter("tr")]
