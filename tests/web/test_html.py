"""The reader of pages sees what html5lib sees, also in the second page of a structure."""

from pathlib import Path
from xml.etree.ElementTree import tostring

import pytest

from tests.support import html

PAGE = "<!doctype html>\n<html lang=en>\n<head><title>A</title></head>\n<body>{}</body>\n</html>\n".replace(
    "=en", '="en"'
)
SOUND = (
    '<p class="{0}" hidden title=\'"\n\'>{0}<br>b</p><svg viewBox="0 0 1 1"><use href="#a"/></svg>'
    "<textarea\n  name='a'>\r\n\n{0}</textarea>"
)


@pytest.mark.parametrize("within", [None, "div"])
@pytest.mark.parametrize("text", ["Sara", "&lt;b&gt; &amp; &#34;", "سلام", "  x\ny "])
def test_page_of_a_known_structure_is_read_as_by_html5lib(text: str, within: str | None) -> None:
    first, second = (PAGE.format(SOUND.format(one)) if within is None else SOUND.format(one) for one in ("a", text))
    assert html.parse(first, within)[1] == []
    root, faults = html.parse(second, within)
    expected, _ = html._read_thoroughly(second, within)
    assert (tostring(root), faults) == (tostring(expected), [])
    read = html._read_quickly(second.replace("\r\n", "\n"), within)
    assert read is not None and (within, read[1]) in html._sound


@pytest.mark.parametrize(
    ("sound", "faulty"),
    [
        ("<p>a</p>", "<p>&nothing;</p>"),
        ("<p>a</p>", "<p>&copy b</p>"),
        ("<p>a</p>", "<p>\x01</p>"),
        ("<p>a</p>", "<p>1 < 2</p>"),
        ("<p>a</p>", "<p>a</b>"),
        ('<p id="a">a</p>', '<p id="a" id="b">a</p>'),
        ('<p id="a">a</p>', '<p id="a"class="b">a</p>'),
        ("<p>a</p>", "<p>a</p"),
        ("<p>a</p>", "<!-- <p>a</p>"),
        ("<p>a</p>", "<p>a<?b c?></p>"),
        ("<p>a</p>", "<p>a<![CDATA[b]]></p>"),
        ("<div></div><p>a</p>", "<div/><p>a</p>"),
        ("<p>a<br>b</p>", "<p>a<br></br>b</p>"),
        ("<table> </table>", "<table><b>a</b></table>"),
        ("<div><div>a</div></div>", "<p><div>a</div></p>"),
        ("<form>a</form><form>b</form>", "<form><form>b</form></form>"),
        ("<ul><li>a</li></ul>", "<ul><li>a</ul></li>"),
        ('<table><input type="hidden"></table>', '<table><input type="text"></table>'),
    ],
)
def test_fault_is_found_after_a_similar_page_without_it(sound: str, faulty: str) -> None:
    html.parse(PAGE.format(sound))
    assert html.parse(PAGE.format(faulty))[1] != []


def test_only_pages_without_a_fault_are_known_to_the_next_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "folder/file"
    monkeypatch.setattr(html, "_sound", html.SoundStructures(file))
    html.parse.cache_clear()
    pages = {text: PAGE.format(text) for text in ("<p>a</p>", "<p>b</p>", "<i>a</b>", "<table><b>a</b></table>")}
    for page in pages.values():
        html.parse(page)
    known = html.SoundStructures(file)
    structures = {text: html._read_quickly(page, None) for text, page in pages.items()}
    assert {text for text, read in structures.items() if read and (None, read[1]) in known} == {"<p>a</p>", "<p>b</p>"}
    assert len(file.read_text().split()) == 1
