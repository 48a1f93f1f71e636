import pytest

from app.domain.name_lookup import NoName, name_from


@pytest.mark.parametrize(
    ("body", "field", "name"),
    [
        (b"Sara\n", "", "Sara"),
        ("\ufeff سارا \r\nmore".encode(), "", "سارا"),
        (b"", "", ""),
        (b"\x07Sara\xe2\x80\xae", "", "Sara"),
        (b"x" * 500, "", "x" * 120),
        (b'{"name": "Sara  Ahmadi"}', "name", "Sara Ahmadi"),
        (b'{"customer": {"name": "Sara"}}', "customer.name", "Sara"),
        (b'[{"name": "Sara"}, {"name": "Omid"}]', "name", "Sara"),
        (b'{"found": []}', "found.name", ""),
        (b"[]", "name", ""),
        (b'{"name": null}', "name", ""),
        (b"{}", "name", ""),
        (b"null", "name", ""),
        (b"", "name", ""),
    ],
)
def test_names(body: bytes, field: str, name: str) -> None:
    assert name_from(body, field) == name


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"\xff", ""),
        (b"<html>", "name"),
        (b'{"name": 5}', "name"),
        (b'{"name": {"a": 1}}', "name"),
        (b'"Sara"', "name"),
        (b"[" * 10_000, "name"),
    ],
)
def test_other_answers_have_no_name(body: bytes, field: str) -> None:
    with pytest.raises(NoName):
        name_from(body, field)
