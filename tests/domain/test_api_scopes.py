"""What an API token may do."""

import pytest

from app.domain.api_scopes import ApiScope, known_scopes, parse_scopes


def test_scopes_are_read_by_their_names() -> None:
    assert parse_scopes(["requests:read", "figures:read"]) == {ApiScope.REQUESTS_READ, ApiScope.FIGURES_READ}
    assert parse_scopes([]) == frozenset()


@pytest.mark.parametrize("name", ["", "requests", "requests:Read", "requests:read ", "*"])
def test_unknown_scope_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a valid ApiScope"):
        parse_scopes(["requests:read", name])


def test_stored_scope_of_another_version_gives_no_right() -> None:
    assert known_scopes(["requests:read", "everything"]) == {ApiScope.REQUESTS_READ}
