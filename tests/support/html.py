"""Parse HTML as a browser does, and list every fault in it.

html5lib took half of the time of all tests of pages. What it finds depends on the structure of a page: its tags, the
names of their attributes, and where there is text. So it reads each structure once. Pages of a structure in which it
found no fault, and no element that is not in the source as a tag, are read by a quick reader. A file has these
structures, for all processes and for later runs.
"""

import html
import re
import warnings
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder, tostring

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # by imports of the parser
    from html5lib import HTMLParser, getTreeBuilder

Structure = tuple[str, ...]

_NAME = r"[a-z][a-z0-9]*"
_ATTRIBUTE = re.compile(r"""\s+([a-zA-Z][a-zA-Z0-9:-]*)(?:="([^"]*)"|='([^']*)')?""")
_TOKEN = re.compile(
    rf"""<(?P<name>{_NAME})(?P<attributes>(?:{_ATTRIBUTE.pattern})*)\s*(?P<closed>/?)>|</(?P<end>{_NAME})>|(?P<text>[^<]+)"""
)
_DOCTYPE = re.compile(r"\s*<!doctype html>\s*", re.IGNORECASE)
_UNUSUAL = re.compile(r"&(?!(?:amp|lt|gt|#34|#39);)|[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd]")
_VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
_SVG = "{http://www.w3.org/2000/svg}"
_FRAGMENT = "DOCUMENT_FRAGMENT"  # html5lib's name for its root

# A change of this reader or of html5lib begins a new file.
_READERS = sha256(Path(__file__).read_bytes() + version("html5lib-modern").encode()).hexdigest()
_FILE = Path(__file__).parents[2] / ".cache/html" / _READERS[:16]


class SoundStructures:
    """The structures in which html5lib found no fault."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._digests = set(file.read_text().split()) if file.exists() else set[str]()

    def __contains__(self, found: tuple[str | None, Structure]) -> bool:
        return _digest(*found) in self._digests

    def add(self, within: str | None, structure: Structure) -> None:
        digest = _digest(within, structure)
        self._digests.add(digest)
        with suppress(OSError):  # without the file, each process finds them again
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a") as file:
                file.write(f"{digest}\n")  # at once, so that lines of several processes are not mixed


def _digest(within: str | None, structure: Structure) -> str:
    return sha256("\0".join((within or "", *structure)).encode()).hexdigest()


_sound = SoundStructures(_FILE)


@lru_cache(maxsize=100)
def parse(source: str, within: str | None = None) -> tuple[Element, list[str]]:
    """Return the root and the faults of a page, or of a fragment of the element `within`. Change nothing in them."""
    source = source.replace("\r\n", "\n")
    read = _read_quickly(source, within)
    if read is not None and (within, read[1]) in _sound:
        return read[0], []
    root, faults = _read_thoroughly(source, within)
    if read is not None and not faults and tostring(root) == tostring(read[0]):
        _sound.add(within, read[1])
    return root, faults


def _read_thoroughly(source: str, within: str | None) -> tuple[Element, list[str]]:
    parser = HTMLParser(getTreeBuilder("etree"), namespaceHTMLElements=False)
    root: Element = parser.parse(source) if within is None else parser.parseFragment(source, within)
    lines = source.splitlines()
    return root, [f"{code}: {lines[min(line, len(lines)) - 1]}" for (line, _), code, _ in parser.errors if lines]


def _read_quickly(source: str, within: str | None) -> tuple[Element, Structure] | None:
    """Return the root and the structure, or None if there is anything unusual in the source."""
    doctype = _DOCTYPE.match(source)
    if _UNUSUAL.search(source) or (doctype is None) == (within is None):
        return None
    structure: list[str] = []
    builder = TreeBuilder()
    opened: list[str] = []
    if within is not None:
        builder.start(_FRAGMENT, {})
    at = doctype.end() if doctype else 0
    foreign = 0  # elements that are open in an <svg>, itself included
    for token in _TOKEN.finditer(source, at):
        if token.start() != at:
            return None
        at = token.end()
        if text := token["text"]:
            if opened[-1:] in (["textarea"], ["pre"]) and structure[-1] != "text":
                text = text.removeprefix("\n")
            blank = not text.strip()
            structure.append("blank" if blank else "text")
            if not (blank and opened == ["html"] and "<head" not in structure):  # a browser leaves it out
                builder.data(html.unescape(text) if "&" in text else text)
        elif name := token["name"]:
            found = _ATTRIBUTE.findall(token["attributes"])
            attributes = {key: html.unescape(one or other) for key, one, other in found}
            structure.append(f"<{name}{token['closed']}")
            structure += [key for key, _, _ in found]
            structure.append(attributes.get("type", "") if name == "input" else "")
            if name == "svg" or foreign:
                foreign += not token["closed"]
                name = _SVG + name
            builder.start(name, attributes)
            if name in _VOID or token["closed"]:
                builder.end(name)
            else:
                opened.append(name)
        else:
            name = token["end"]
            structure.append(f"/{name}")
            if name in ("body", "html"):  # what follows belongs to the body
                continue
            if foreign:
                foreign -= 1
                name = _SVG + name
            if opened[-1:] != [name]:
                return None
            builder.end(opened.pop())
    if at != len(source):
        return None
    for name in reversed(opened):
        builder.end(name)
    if within is not None:
        builder.end(_FRAGMENT)
    return builder.close(), tuple(structure)
