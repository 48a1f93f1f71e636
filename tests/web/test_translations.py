"""The Persian catalogue is what the code needs: all of it, nothing else, and in the letters of Persian."""

import re
import tomllib
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

ROOT = Path(__file__).parents[2]
APP = Path(__file__).parents[2] / "app"
FOLDER = ROOT / "app/translations/fa/LC_MESSAGES"
KEYWORDS = {**DEFAULT_KEYWORDS, "_l": None, "lazy_gettext": None}
PLACEHOLDER = re.compile(r"%(?:\((\w+)\))?[a-zA-Z%]")
MEND = "script/messages brings the catalogue up to date"
MsgId = str | tuple[str, ...]


def extract() -> set[MsgId]:
    """Return what the code has to say, by the mappings that pybabel takes."""
    mappings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["babel"]["mappings"]
    method_map = [(mapping["pattern"], mapping["method"]) for mapping in mappings]
    return {
        tuple(message) if isinstance(message, (tuple, list)) else message
        for _file, _line, message, _comments, _context in extract_from_dir(ROOT, method_map, keywords=KEYWORDS)
    }


@pytest.fixture(scope="module")
def catalogue() -> Catalog:
    with (FOLDER / "messages.po").open("rb") as file:
        return read_po(file, locale="fa")


@pytest.fixture(scope="module")
def messages(catalogue: Catalog) -> list[Message]:
    return [message for message in catalogue if message.id]


def forms(text: MsgId) -> tuple[str, ...]:
    """Return singular and plural, or the one form that there is."""
    return (text,) if isinstance(text, str) else tuple(text)


def test_the_catalogue_holds_what_the_code_says_and_no_more(catalogue: Catalog, messages: list[Message]) -> None:
    said, translated = extract(), {message.id for message in messages}
    assert len(said) > 200, "the code was read"
    assert (said - translated, translated - said) == (set(), set()), MEND
    assert not catalogue.obsolete, MEND


def test_everything_is_translated(messages: list[Message]) -> None:
    assert [message.id for message in messages if not all(forms(message.string))] == []
    assert [message.id for message in messages if message.fuzzy] == []


def test_the_placeholders_are_the_same(messages: list[Message]) -> None:
    def named(text: MsgId) -> set[tuple[str, ...]]:
        return {tuple(sorted(match[0] for match in PLACEHOLDER.finditer(form))) for form in forms(text)}

    assert [message.id for message in messages if not named(message.string) <= named(message.id)] == []


def test_the_letters_are_persian(messages: list[Message]) -> None:
    wrong = re.compile("[يكىة\u0660-\u0669]")  # Arabic letters and digits that look like Persian ones
    said = [form for message in messages for form in forms(message.string)]
    assert [form for form in said if wrong.search(form)] == []
    assert [
        form for form in said if re.search(r"\w", PLACEHOLDER.sub("", form)) and not re.search("[آ-ی،]", form)
    ] == []
    assert [form for form in said if '"' in form or "“" in form or "," in re.sub(r"\w+,\w+,\w+", "", form)] == []
    assert [form for form in said if form != form.strip() and form.strip() != "،"] == []


def test_the_verbs_prefix_is_joined_by_a_half_space(messages: list[Message]) -> None:
    apart = re.compile(r"(^|\s)(می|نمی) |\S ها(ی)?(\s|$)")
    assert [f for message in messages for f in forms(message.string) if apart.search(f)] == []


def test_sentences_end_alike(messages: list[Message]) -> None:
    ends = {".": ".", ":": ":", "?": "؟"}
    for message in messages:
        english, persian = forms(message.id)[0][-1], forms(message.string)[0].rstrip("\u2069")[-1]
        assert persian == ends.get(english, persian), message.id
        assert english in ends or persian not in ends.values(), message.id


def test_what_is_compiled_is_what_is_written(messages: list[Message]) -> None:
    with (FOLDER / "messages.mo").open("rb") as file:
        compiled = {forms(message.id): forms(message.string) for message in read_mo(file) if message.id}
    written = {forms(message.id): forms(message.string) for message in messages}
    assert compiled == written, "script/bootstrap compiles it"


def test_the_glossary_is_kept(catalogue: Catalog) -> None:
    """Words that the users of such panels know, and look for."""
    words = {
        "Pending requests": "درخواست‌های در انتظار",
        "Call requests": "درخواست تماس",
        "Extensions": "داخلی‌ها",
        "Queues": "صف‌ها",
        "Silent": "بی‌صدا",
        "Automatic call": "تماس خودکار",
        "Minimum waiting time": "حداقل زمان انتظار",
        "Number of retries": "تعداد تلاش مجدد",
        "Next destination": "کد مقصد بعدی",
        "Error destination": "کد مقصد خطا",
        "text to speech": "تولید صدا از روی متن",
        "don't play": "پخش نشود",
        "Duplicate": "تکثیر",
        "Save": "ثبت",
        "uncertain": "نامشخص",
    }
    assert {english: catalogue.get(english).string for english in words} == words


NAMES = {"English", "فارسی", "Asterisk"}  # the languages by their own names, and one that has no other
SAID = re.compile(r'\b(?:aria-label|title|placeholder|alt)="([^"]*)"')
WORDS = re.compile(r"[^\W\d_]{2,}")


def said_outright(template: str) -> list[str]:
    """Return the words of a template that no catalogue has: of its texts, and of what is heard or hovered over."""
    for left_out in (
        r"\{#.*?#\}",
        r"\{% block (width|shape|styles|scripts)\b.*?\{% endblock %\}",  # names of classes
        r"\{[%{].*?[%}]\}",
        r"<(code|script)\b.*?</\1>",
    ):
        template = re.sub(left_out, " ", template, flags=re.DOTALL)
    heard = SAID.findall(template)
    plain = re.sub(r'[\w:-]+="[^"]*"', "", re.sub(r"<[^<>]*>", "\n", template))  # a macro may give attributes alone
    texts = [*heard, *plain.splitlines()]
    return [word for text in texts for word in WORDS.findall(text) if word not in NAMES]


@pytest.mark.parametrize("path", sorted((APP / "templates").rglob("*.html")), ids=lambda path: path.stem)
def test_a_template_says_nothing_that_is_not_translated(path: Path) -> None:
    assert said_outright(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", sorted((APP / "static/js").glob("*.js")), ids=lambda path: path.stem)
def test_a_script_says_nothing_by_itself(path: Path) -> None:
    """What a script says is given to it by the page, which is translated."""
    said = re.findall(r"(?:textContent|innerText|title|ariaLabel)\s*=\s*[\"'`]([^\"'`]*)", path.read_text("utf-8"))
    assert [text for text in said if WORDS.search(re.sub(r"\$\{.*?\}", "", text))] == []


def test_what_is_said_outright_is_found() -> None:
    assert said_outright('<p title="Hello">{{ _("Yes") }} there{# no #}</p><code>ls</code>') == ["Hello", "there"]
