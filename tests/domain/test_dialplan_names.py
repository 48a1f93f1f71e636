"""Names as extensions: those that Asterisk takes for something else or for each other."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.dialplan_names import clashing, extension_key, is_extension, queue_extension, queue_extensions
from app.domain.routing import EXTENSION_PATTERN

SPECIAL = ["h", "i", "s", "t", "T", "o", "a", "e", "H", "h-", "-s-", "fax", "talk", "failed", "Fax"]
PATTERNS = ["_X.", "_.", "_", "_sales", "_Z!"]
CODE = re.compile(r"queue-[0-9a-f]{12}")


@pytest.mark.parametrize("name", ["800", "sales-1_a.b", "x" * 79, "5", "ab", "*5001", "#", "*"])
def test_plain_name_is_an_extension(name: str) -> None:
    assert is_extension(name)


@pytest.mark.parametrize("name", ["", "-", "--", "a b", "فروش", "x" * 80, "a,b", "a/b", "a\n", *SPECIAL, *PATTERNS])
def test_name_with_a_meaning_is_no_extension(name: str) -> None:
    assert not is_extension(name)


@given(st.text("0123456789*#", min_size=1, max_size=20))
def test_numbers_and_codes_are_extensions_of_their_own(code: str) -> None:
    assert EXTENSION_PATTERN.fullmatch(code)
    assert is_extension(code) and extension_key(code) == code


@pytest.mark.parametrize("queue", ["800", "sales-1_a.b", "x" * 79, "5"])
def test_queue_with_a_plain_name_is_its_own_extension(queue: str) -> None:
    assert queue_extension(queue) == queue


@pytest.mark.parametrize(
    "queue",
    ["sales team", "فروش", "x" * 80, "صف " * 26, "queue-0123456789ab", "queue0123456789ab", *SPECIAL, *PATTERNS],
)
def test_queue_with_another_name_has_a_short_code_as_its_extension(queue: str) -> None:
    assert CODE.fullmatch(queue_extension(queue))
    assert queue_extension(queue) != queue_extension(f"{queue[:-1]}z")


def test_first_of_the_names_that_are_one_extension_keeps_its_name() -> None:
    found = queue_extensions(["ab", "a-b", "a--b", "800", "8-00", "h", "sales"])
    assert (found["a--b"], found["8-00"], found["sales"]) == ("a--b", "8-00", "sales")
    assert all(CODE.fullmatch(found[queue]) for queue in ("ab", "a-b", "800", "h"))


@given(st.lists(st.text("ab-_.h0 ف", max_size=4) | st.sampled_from(SPECIAL + PATTERNS), max_size=8))
def test_each_queue_has_an_extension_of_its_own(queues: list[str]) -> None:
    found = queue_extensions(queues)
    assert set(found) == set(queues)
    assert all(map(is_extension, found.values()))
    assert len({extension_key(extension) for extension in found.values()}) == len(found)


@pytest.mark.parametrize(
    ("queue", "others", "expected"),
    [
        ("ab", ["800", "a-b", "a--b"], "a--b"),
        ("a-b", ["ab"], "ab"),
        ("ab", ["ab", "800"], ""),
        ("h", ["h-"], ""),  # both have codes
        ("a b", ["ab"], ""),
    ],
)
def test_clashes(queue: str, others: list[str], expected: str) -> None:
    assert clashing(queue, others) == expected
