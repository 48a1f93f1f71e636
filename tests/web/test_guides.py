"""The guides in docs/ say what the panel says: each name in bold and each quoted message exists, in the same language.

Names are in **bold**, with " > " between the parts of a path. Messages are in “ ” or « ». Questions are bold, too.
"""

import ast
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from babel.messages.pofile import read_po
from flask import Flask

from app.audio.library import SoundLibrary
from app.config import Settings
from app.services import transfer, users
from app.services.pbx import config_snippets
from app.store import settings as store_settings
from app.store.database import Database
from app.store.settings import write_setting
from app.web.assets import FILES as STATIC_FILES
from app.web.context import PROBES
from script.office.asterisk_config import MODULES
from tests.support.factories import (
    NOW,
    create_attempt,
    create_missed_call,
    create_module,
    create_request,
    create_running_service,
)
from tests.support.second_factors import create_second_factor
from tests.web.pages import Visitor
from tests.web.test_everywhere import (
    FILES,
    FRAGMENTS,
    INSTALLATION,
    QUERIES,
    REDIRECTS,
    SOUNDS,
    ZIP_FILES,
    all_rules,
    furnished,
    url_of,
)

__all__ = ["furnished"]

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
IN_BOTH_LANGUAGES = ("manager", "operator", "faq")
GUIDES = {
    **{f"{name}.md": "en" for name in IN_BOTH_LANGUAGES},
    **{f"{name}.fa.md": "fa" for name in IN_BOTH_LANGUAGES},
    "administrator.md": "en",
    "README.md": "en",
}
BOLD, QUOTED = re.compile(r"\*\*(.+?)\*\*", re.DOTALL), re.compile(r"[“«]([^”»]+)[”»]")
LINK, IMAGE = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)"), re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)
PLACEHOLDER = re.compile(r"%\(\w+\)s")
ISOLATES = re.compile("[\u2066-\u2069\u200f\u200e]")
LATIN = str.maketrans("۰۱۲۳۴۵۶۷۸۹", "0123456789")


def plain(text: str) -> str:
    """Return a text without line breaks, marks of direction and Persian digits."""
    return " ".join(ISOLATES.sub("", text).translate(LATIN).split())


def prose(name: str) -> str:
    """Return the text of a guide without code."""
    return CODE.sub("", (DOCS / name).read_text())


@pytest.fixture
def guided(database: Database, settings: Settings, furnished: None) -> None:
    """An office in which the guides' names can be seen: a pause, calls that failed, calls of each kind."""
    create_running_service(database)
    module = create_module(database, name="Support", code="*5002", target_kind="queue", targets=["800"])
    request = create_request(database, module, target="800", queue=True, number="+989121110001", status="uncertain")
    create_attempt(database, request, agent="101", outcome="unclear", started_at=NOW, ended_at=NOW)
    create_request(database, module, target="800", queue=True, number="+989121110002", status="failed", done_at=NOW)
    now = datetime.now(UTC)  # the charts show the last days
    times = {"first_called_at": now, "registered_at": now, "done_at": now, "reached_at": now}
    create_request(database, module, number="+989121110003", status="done", last_outcome="connected", **times)
    create_missed_call(database, number="+989121110004", at=now, outcome="reached", outcome_at=now)
    create_second_factor(database, settings, 2)
    with database.write() as session:
        write_setting(session, "all_paused", "1")
        write_setting(session, "outbound_context", "outbound")


def pages(app: Flask, database: Database, locale: str) -> Iterator[Element]:
    """Yield all pages and fragments, as an administrator and as an operator see them."""
    not_pages = SOUNDS | REDIRECTS | STATIC_FILES | PROBES | INSTALLATION | ZIP_FILES | FILES.keys()
    for user in (1, 2):
        users.set_locale(database, user, locale)
        visitor = Visitor(app, user, locale=locale)
        for rule in all_rules():
            if "GET" not in (rule.methods or ()) or rule.endpoint in not_pages:
                continue
            path = url_of(app, rule, **QUERIES.get(rule.endpoint, {}))
            headers = {"HX-Request": "true"} if rule.endpoint in FRAGMENTS else None
            response = visitor.client.get(path, headers=headers, buffered=True)
            if response.status_code == 200:
                yield visitor.check(response, 200, headers).root


@lru_cache
def texts_of(root: Element) -> frozenset[str]:
    """Return all that one can read in the elements of a page, and their labels."""
    found = {plain(text) for element in root.iter() for text in ("".join(element.itertext()), element.text or "")}
    found |= {plain(element.tail or "") for element in root.iter()}
    return frozenset(found | {plain(element.get("aria-label", "")) for element in root.iter()})


@pytest.mark.slow
@pytest.mark.parametrize("locale", ["en", "fa"])
def test_names_in_the_guides_are_those_of_the_panel(
    app: Flask, database: Database, guided: None, locale: str, subtests: pytest.Subtests
) -> None:
    shown = {text for root in pages(app, database, locale) for text in texts_of(root)}
    for guide in (name for name, language in GUIDES.items() if language == locale):
        with subtests.test(guide):
            bold = {plain(found) for found in BOLD.findall(prose(guide)) if not found.endswith(("?", "؟"))}
            names = {name for path in bold for name in path.split(" > ")}
            assert names or guide.startswith("README")
            assert {name for name in names if name not in shown} == set()


@pytest.mark.parametrize("guide", GUIDES)
def test_messages_in_the_guides_are_those_of_the_program(guide: str) -> None:
    quoted = {plain(found) for found in QUOTED.findall(prose(guide))}
    known = messages(GUIDES[guide])
    assert {message for message in quoted if not is_said(message, known)} == set()


def is_said(message: str, texts: frozenset[str]) -> bool:
    """Whether a message of a guide is a text of the program, or a part of it. Placeholders stand for anything."""
    return any(message in text for text in texts) or any(like.fullmatch(message) for like in patterns(texts))


@lru_cache
def patterns(texts: frozenset[str]) -> list[re.Pattern[str]]:
    """Return a pattern for each text with placeholders."""
    parts = [PLACEHOLDER.split(text) for text in texts if PLACEHOLDER.search(text)]
    return [re.compile(".+".join(map(re.escape, part))) for part in parts]


@lru_cache
def messages(locale: str) -> frozenset[str]:
    """Return the texts of the catalogue in a language; for English also those of the commands and the doctor."""
    with (ROOT / "app/translations/fa/LC_MESSAGES/messages.po").open("rb") as file:
        found = [entry.id if locale == "en" else entry.string or "" for entry in read_po(file) if entry.id]
    texts = {text for forms in found for text in ((forms,) if isinstance(forms, str) else forms)}
    if locale == "en":
        sources = [*(ROOT / "app/doctor").glob("*.py"), ROOT / "app/cli.py"]
        trees = [ast.parse(source.read_text()) for source in sources]
        constants = [node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        texts |= {value for value in constants if isinstance(value, str)}
    return frozenset(plain(text) for text in texts)


def test_a_wrong_message_is_found() -> None:
    assert is_said("101 is in a call", frozenset({"%(agent)s is in a call"}))
    assert not is_said("101 is on a call", frozenset({"%(agent)s is in a call"}))
    assert not is_said("The telephone service is dead.", messages("en"))


@pytest.mark.parametrize("name", IN_BOTH_LANGUAGES)
def test_both_languages_say_as_much(name: str) -> None:
    """A guide that was changed in one language only has other parts than its translation."""
    english, persian = (DOCS / f"{name}.md").read_text(), (DOCS / f"{name}.fa.md").read_text()
    for part in (r"^#+ ", r"^\|", r"^ *[-*] |^\d\. ", r"!\["):
        counts = [len(re.findall(part, text, re.MULTILINE)) for text in (english, persian)]
        assert counts[0] == counts[1], part


# -- links and pictures -----------------------------------------------------------------------------------------------


def anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def all_documents() -> list[Path]:
    return [*DOCS.glob("*.md"), *ROOT.glob("*.md")]


@pytest.mark.parametrize("document", all_documents(), ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    for link in [*LINK.findall(text), *IMAGE.findall(text)]:
        if "://" in link:
            continue
        path, _, part = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        if part:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            assert part in {anchor(heading) for heading in headings}, link


def test_each_picture_is_shown() -> None:
    shown = {(path.parent / link).resolve() for path in all_documents() for link in IMAGE.findall(path.read_text())}
    assert set((DOCS / "images").iterdir()) == {path for path in shown if path.parent == DOCS / "images"}


# -- what is to be pasted ---------------------------------------------------------------------------------------------


def block(language: str, beginning: str) -> str:
    """Return the block of code of the administrator's guide that begins so."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", (DOCS / "administrator.md").read_text(), re.DOTALL | re.MULTILINE)
    found: str = next(text for marked, text in blocks if marked == language and text.startswith(beginning))
    return found


def test_lines_to_paste_are_those_of_the_panel(database: Database, settings: Settings) -> None:
    with database.read() as session:
        pbx = store_settings.pbx(session, settings)
    lines = config_snippets.make(pbx, "the-secret-from-the-panel", Path("/var/lib/bazang/dialplan/bazang.conf"))
    assert block("ini", "[general]") == f"[general]\n{lines.general}\n\n{lines.user}\n"
    dialplan = block("ini", "#tryinclude")
    assert dialplan.startswith(f"{lines.tryinclude}\n")
    for context in ("phones", "from-trunk"):
        assert f"[{context}]\n{lines.includes}\n" in dialplan
    for line in [line for line in dialplan.splitlines() if ",hint," in line]:
        assert line == config_snippets.hint_line(line.split()[2].split(",")[0], "")


def test_example_of_an_import_can_be_imported(database: Database, settings: Settings) -> None:
    content = json.loads(block("json", "{"))
    library = SoundLibrary(settings.prompts_path)
    count, _users = transfer.import_settings(database, settings, library, content, datetime.now(UTC))
    assert count == len(content["modules"]) + len(content["extensions"]) + len(content["queues"])
    required = {"name", "code", "target_kind", "targets", "next", "error"}
    assert set(content["modules"][0]) == required


def test_modules_of_asterisk_are_those_of_the_tests() -> None:
    phones = re.compile(r"res_(pjsip|pjproject|sorcery|crypto|rtp|geolocation|timing)|chan_pjsip|func_pjsip")
    listed = block("", "app_bridgewait").split()
    assert listed == sorted(name for name in MODULES if not phones.match(name))
