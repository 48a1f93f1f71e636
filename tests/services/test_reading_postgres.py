"""What people do and read, once more on a PostgreSQL server: the same tests, another database."""

from collections.abc import Iterator

import pytest

from app.store.database import Database
from script.office.server_database import new_database, open_server_database
from tests.services import test_audit, test_filling, test_retention, test_transfer, test_users
from tests.services.contacts import test_contacts
from tests.services.contacts.test_contacts import user_id
from tests.services.missed import test_automatic, test_calls, test_list
from tests.services.missed.test_automatic import rule
from tests.services.missed.test_calls import listed
from tests.services.monitoring import test_figures
from tests.services.report import test_overview, test_own_requests, test_query, test_statistics
from tests.services.requests import test_access, test_create, test_detail, test_pause, test_pending, test_perform
from tests.services.requests.test_pause import office_settings
from tests.services.requests.test_pending import loaded
from tests.services.test_filling import filled
from tests.services.test_transfer import furnished, library
from tests.services.website import test_challenges
from tests.store import test_search
from tests.support.other_database import taken_over

__all__ = ["filled", "furnished", "library", "listed", "loaded", "office_settings", "other", "rule", "user_id"]


@pytest.fixture
def database(postgres_url: str, postgres_template: str) -> Iterator[Database]:
    with new_database(postgres_url, postgres_template) as url, open_server_database(url) as opened:
        yield opened


@pytest.fixture
def other(postgres_url: str, postgres_template: str) -> Iterator[Database]:
    """A second office, for what goes from one to another."""
    with new_database(postgres_url, postgres_template) as url, open_server_database(url) as opened:
        yield opened


globals().update(
    taken_over(
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
        test_contacts,
        test_challenges,
        test_transfer,
    )
)
