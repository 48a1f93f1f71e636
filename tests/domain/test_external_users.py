"""Which role groups give, and what is taken over of claims."""

from typing import Any

import pytest

from app.domain.external_users import (
    MOST_EXTENSIONS,
    RoleGroups,
    find_claim,
    fold_group,
    read_extensions,
    read_texts,
    split_groups,
)


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        ("", None),
        ("others", None),
        ("phones", "operator"),
        ("phones leads", "supervisor"),
        ("phones leads admins", "administrator"),
        ("Admins", None),
        ("*", None),
    ],
)
def test_the_highest_role_of_the_groups(groups: str, role: str | None) -> None:
    roles = RoleGroups(frozenset({"admins"}), frozenset({"leads"}), frozenset({"phones", "staff"}))
    assert roles.role_of(set(groups.split())) == role


def test_everybody_gets_a_role_only_if_the_setting_says_so() -> None:
    assert RoleGroups(operator=split_groups("*")).role_of(()) == "operator"
    assert RoleGroups(administrator=split_groups("a; *;")).role_of(()) == "administrator"
    assert RoleGroups().role_of(("",)) is None
    assert RoleGroups(administrator=split_groups(" ; ;")).role_of(("",)) is None


def test_names_of_a_directory_are_compared_without_case_and_spaces() -> None:
    assert fold_group("CN=Bazang Admins, OU=Groups,DC=example") == fold_group("cn=bazang admins,ou=groups,dc=EXAMPLE")
    assert fold_group(r"cn=a\, b,ou=x") == r"cn=a\, b,ou=x"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("groups", ["a"]),
        ("realm.roles", ["b"]),
        ("https://example.org/groups", ["c"]),
        ("realm.none", None),
        ("groups.a", None),
        ("", None),
        ("realm.", None),
    ],
)
def test_claims_within_claims(name: str, value: object) -> None:
    claims = {"groups": ["a"], "realm": {"roles": ["b"]}, "https://example.org/groups": ["c"]}
    assert find_claim(claims, name) == value


@pytest.mark.parametrize(
    ("value", "texts"),
    [("a", ("a",)), (["a", 7, None, True, {"b": 1}], ("a", "7")), (101, ("101",)), (None, ()), ({}, ())],
    ids=repr,
)
def test_texts_of_a_claim(value: Any, texts: tuple[str, ...]) -> None:
    assert read_texts(value) == texts


@pytest.mark.parametrize(
    ("values", "extensions"),
    [
        (["101"], ("101",)),
        (["101, 102;101"], ("101", "102")),
        (["101', DROP", "x", "", "1" * 40], ()),
        ([str(number) for number in range(100, 200)], tuple(str(100 + n) for n in range(MOST_EXTENSIONS))),
    ],
    ids=["one", "list", "none", "many"],
)
def test_extensions_of_a_claim(values: list[str], extensions: tuple[str, ...]) -> None:
    assert read_extensions(values) == extensions
