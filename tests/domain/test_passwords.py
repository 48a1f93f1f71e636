"""Which passwords are easy to guess."""

import pytest

from app.domain.passwords import is_common

COMMON = frozenset({"password", "iloveyou", "qwerty123"})


@pytest.mark.parametrize(
    "password",
    [
        "password",
        "PassWord",
        "password1!",
        "123password",
        "ｐａｓｓｗｏｒｄ",
        "Qwerty123",
        "bazang1404",
        "Asterisk!",
        "sara1234",
        "Sara@1404",
        "09121234567",
        "۰۹۱۲۱۲۳۴۵۶۷",
        "84629173",
        "aaaaaaaaaa",
        "abababab",
        "abcdefgh",
        "hgfedcba",
        "آآآآآآآآ",
    ],
)
def test_common_passwords_and_small_changes_of_them_are_refused(password: str) -> None:
    assert is_common(password, "Sara", COMMON)


@pytest.mark.parametrize(
    "password",
    [
        "correct horse",
        "k7mp-3xqa-9fhd",
        "گذرواژهٔ من",
        "a long password",
        "sara and omid",
        "482916350274",
        "9f3a61c07b2e",
    ],
)
def test_other_passwords_are_accepted(password: str) -> None:
    assert not is_common(password, "sara", COMMON)


@pytest.mark.parametrize("name", ["", "123", "۱۲"])
def test_a_name_without_letters_refuses_nothing(name: str) -> None:
    assert not is_common("482916350274", name, COMMON)
