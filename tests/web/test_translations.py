"""The Persian catalogue has exactly the texts of the code, in Persian letters."""

import re
import tomllib
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

from tests.support.rows import for_each

ROOT = Path(__file__).parents[2]
APP = Path(__file__).parents[2] / "app"
FOLDER = ROOT / "app/translations/fa/LC_MESSAGES"
KEYWORDS = {**DEFAULT_KEYWORDS, "_l": None, "lazy_gettext": None, "say": None}
PLACEHOLDER = re.compile(r"%(?:\((\w+)\))?[a-zA-Z%]")
ADVICE = "run script/messages to update the catalogue"
MsgId = str | tuple[str, ...]
Text = MsgId | list[str] | None


def extract() -> set[MsgId]:
    """Return the texts of the code, by the mappings of pybabel."""
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


def forms(text: Text) -> tuple[str, ...]:
    """Return singular and plural, or the only form."""
    assert text is not None
    return (text,) if isinstance(text, str) else tuple(text)


def test_the_catalogue_has_the_texts_of_the_code(catalogue: Catalog, messages: list[Message]) -> None:
    texts, translated = extract(), {message.id for message in messages}
    assert len(texts) > 200, "the code was read"
    assert (texts - translated, translated - texts) == (set(), set()), ADVICE
    assert not catalogue.obsolete, ADVICE


def test_everything_is_translated(messages: list[Message]) -> None:
    assert [message.id for message in messages if not all(forms(message.string))] == []
    assert [message.id for message in messages if message.fuzzy] == []


def test_translations_use_the_same_placeholders(messages: list[Message]) -> None:
    def named(text: Text) -> set[tuple[str, ...]]:
        return {tuple(sorted(match[0] for match in PLACEHOLDER.finditer(form))) for form in forms(text)}

    assert [message.id for message in messages if not named(message.string) <= named(message.id)] == []


def test_translations_use_persian_letters(messages: list[Message]) -> None:
    wrong = re.compile("[يكىة\u0660-\u0669]")  # Arabic letters and digits that look like Persian ones
    texts = [form for message in messages for form in forms(message.string)]
    assert [form for form in texts if wrong.search(form)] == []
    assert [
        form for form in texts if re.search(r"\w", PLACEHOLDER.sub("", form)) and not re.search("[آ-ی،]", form)
    ] == []
    assert [form for form in texts if '"' in form or "“" in form or "," in re.sub(r"\w+,\w+,\w+", "", form)] == []
    assert [form for form in texts if form != form.strip() and form.strip() not in ("،", "؛")] == []


def test_verb_prefixes_are_joined_by_a_half_space(messages: list[Message]) -> None:
    apart = re.compile(r"(^|\s)(می|نمی) |\S ها(ی)?(\s|$)")
    assert [f for message in messages for f in forms(message.string) if apart.search(f)] == []


def test_marks_before_latin_words_stay_before_them(messages: list[Message]) -> None:
    """A reader of ".env" in a Persian sentence sees "env.", unless a left-to-right mark stands before it."""
    loose = re.compile(r"(^|[\sآ-ی(«])[./+~][A-Za-z]")
    assert [form for message in messages for form in forms(message.string) if loose.search(form)] == []


def test_translations_end_like_the_original(messages: list[Message]) -> None:
    ends = {".": ".", ":": ":", "?": "؟"}
    for message in messages:
        english, persian = forms(message.id)[0][-1], forms(message.string)[0].rstrip("\u2069")[-1]
        assert persian == ends.get(english, persian), message.id
        assert english in ends or persian not in ends.values(), message.id


def test_the_compiled_catalogue_is_up_to_date(messages: list[Message]) -> None:
    with (FOLDER / "messages.mo").open("rb") as file:
        compiled = {forms(message.id): forms(message.string) for message in read_mo(file) if message.id}
    written = {forms(message.id): forms(message.string) for message in messages}
    assert compiled == written, "run script/bootstrap to compile it"


def test_translations_follow_the_glossary(catalogue: Catalog) -> None:
    """Users of PBX panels know and look for these words."""
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
        "Duplicate": "کپی",
        "Save": "ثبت",
        "uncertain": "نامشخص",
    }
    found = {english: catalogue.get(english) for english in words}
    assert {english: message and message.string for english, message in found.items()} == words


NAMES = {"English", "فارسی", "Asterisk"}  # names that are the same in all languages
READ = re.compile(r'\b(?:aria-label|title|placeholder|alt)="([^"]*)"')
WORDS = re.compile(r"[^\W\d_]{2,}")


def untranslated_words(template: str) -> list[str]:
    """Return the words of a template that are not translated, in its text and in attributes that people read."""
    for left_out in (
        r"\{#.*?#\}",
        r"\{% block (width|shape|styles|scripts)\b.*?\{% endblock %\}",  # names of classes
        r"\{[%{].*?[%}]\}",
        r"<(code|script)\b.*?</\1>",
    ):
        template = re.sub(left_out, " ", template, flags=re.DOTALL)
    attributes = READ.findall(template)
    plain = re.sub(r'[\w:-]+="[^"]*"', "", re.sub(r"<[^<>]*>", "\n", template))  # some macros return attributes only
    texts = [*attributes, *plain.splitlines()]
    return [word for text in texts for word in WORDS.findall(text) if word not in NAMES]


@for_each("path", sorted((APP / "templates").rglob("*.html")))
def test_templates_have_no_untranslated_text(path: Path) -> None:
    assert untranslated_words(path.read_text(encoding="utf-8")) == []


@for_each("path", sorted((APP / "static/js").rglob("*.js")))
def test_scripts_have_no_text_of_their_own(path: Path) -> None:
    """Scripts get their texts from the page, which is translated."""
    texts = re.findall(r"(?:textContent|innerText|title|ariaLabel)\s*=\s*[\"'`]([^\"'`]*)", path.read_text("utf-8"))
    assert [text for text in texts if WORDS.search(re.sub(r"\$\{.*?\}", "", text))] == []


def test_untranslated_words_are_found() -> None:
    assert untranslated_words('<p title="Hello">{{ _("Yes") }} there{# no #}</p><code>ls</code>') == ["Hello", "there"]
