"""What people do and read, once more on a PostgreSQL server: the same tests, another database."""

from collections.abc import Iterator
from types import ModuleType

import pytest

from app.store.database import Database
from script.office.server_database import new_database, open_server_database
from tests.services import test_audit, test_filling, test_retention, test_users
from tests.services.missed import test_automatic, test_calls, test_list
from tests.services.missed.test_automatic import rule
from tests.services.missed.test_calls import listed
from tests.services.monitoring import test_figures
from tests.services.report import test_overview, test_own_requests, test_query, test_statistics
from tests.services.requests import test_access, test_create, test_detail, test_pause, test_pending, test_perform
from tests.services.requests.test_pause import office_settings
from tests.services.test_filling import filled
from tests.store import test_search

__all__ = ["filled", "listed", "office_settings", "rule"]


@pytest.fixture
def database(postgres_url: str, postgres_template: str) -> Iterator[Database]:
    with new_database(postgres_url, postgres_template) as url, open_server_database(url) as opened:
        yield opened


def _take_over(*modules: ModuleType) -> None:
    """Have these modules' tests of a database collected here as well."""
    for module in modules:
        for name, value in vars(module).items():
            if name.startswith("test_") and callable(value) and "database" in value.__annotations__:
                globals()[f"{name}__{module.__name__.rpartition('_')[2]}"] = value


_take_over(
    test_search,
    test_access,
    test_perform,
    test_create,
    test_filling,
    test_audit,
    test_pause,
    test_pending,
    test_query,
    test_statistics,
    test_detail,
    test_overview,
    test_own_requests,
    test_users,
    test_calls,
    test_automatic,
    test_list,
    test_figures,
    test_retention,
)
