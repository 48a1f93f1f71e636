"""Addresses with placeholders, filled without any way out of the place where a placeholder stands."""

import re
from collections.abc import Collection, Mapping
from urllib.parse import quote

from app.domain.webhooks import LONGEST_URL, BadUrl, parse_url

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_IN_HOST = re.compile(r"[^/?#]*//[^/?#]*\{")


class UnknownPlaceholder(ValueError):
    """The template has a placeholder that does not exist."""


class HostNotFixed(ValueError):
    """The template does not say which host it leads to."""


def check(template: str, placeholders: Collection[str], *, inside: bool, fragment: bool = False) -> None:
    """Raise UnknownPlaceholder, HostNotFixed or BadUrl if a template cannot be used.

    `inside`: the host may be one of the office. `fragment`: the address is for a browser and may have a "#".
    """
    if len(template) > LONGEST_URL:
        raise BadUrl
    if any(name not in placeholders for name in _PLACEHOLDER.findall(template)):
        raise UnknownPlaceholder
    if _IN_HOST.match(template):
        raise HostNotFixed
    example = _PLACEHOLDER.sub("x", template)
    address, _sign, part = example.partition("#") if fragment else (example, "", "")
    parse_url(address, inside=inside)
    parse_url("https://example.org/" + part)  # of the same signs


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return an address. Each value is percent-encoded, so that it stays within its place of the path or the query.

    A value of dots alone would lead to another folder, so it becomes nothing.
    """
    filled = {name: value if value.strip(".") else "" for name, value in values.items()}
    return _PLACEHOLDER.sub(lambda found: quote(filled.get(found[1], ""), safe=""), template)


def host_of(template: str) -> str:
    """Return the host of a template, "" if it has none."""
    try:
        return parse_url(_PLACEHOLDER.sub("x", template).partition("#")[0], inside=True).host
    except BadUrl:
        return ""
