"""What was counted is kept while no request changes, and never longer."""

import threading
from collections.abc import Iterator

import pytest

from app.domain.lifecycle import Cancelled
from app.services.report import query
from app.services.report.query import Filter
from app.services.report.remembering import MOST, remember
from app.services.requests.access import Scope
from app.store.database import Database
from app.store.models import CallRequest
from app.store.stamps import requests_version
from tests.support.factories import NOW, create_module, create_request, wish
from tests.support.server_database import migrated_database, new_database, open_server_database

SARA = Scope("sara", everything=True)


class Counter:
    """Counts how often it was asked to count."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> int:
        self.times += 1
        return self.times


def ask(database: Database, key: str, counter: Counter) -> int:
    with database.read() as session:
        return remember(session, key, counter)


def test_it_is_counted_once_until_a_request_changes(database: Database) -> None:
    counter = Counter()
    assert [ask(database, "a", counter) for _ in range(3)] == [1, 1, 1]
    create_request(database, create_module(database))
    assert [ask(database, "a", counter) for _ in range(2)] == [2, 2]
    wish(database, 1, Cancelled())
    assert [ask(database, "a", counter) for _ in range(2)] == [3, 3]


def test_each_question_has_its_own_answer(database: Database) -> None:
    one, other = Counter(), Counter()
    ask(database, "a", one)
    assert (ask(database, "b", other), ask(database, "a", one)) == (1, 1)


def test_the_oldest_answers_are_let_go(database: Database) -> None:
    counter = Counter()
    for number in range(MOST + 1):
        ask(database, str(number), Counter())
    ask(database, "0", counter)
    assert counter.times == 1


def test_a_filter_may_be_any_collection(database: Database) -> None:
    request = create_request(database, create_module(database))
    for statuses in ([request.status], {request.status}, ()):
        assert query.read_page(database, SARA, Filter(statuses=statuses)).total == 1  # type: ignore[arg-type]


@pytest.fixture
def server(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with migrated_database(postgres_url, tmp_path_factory.mktemp("template")) as template:
        with new_database(postgres_url, template) as url, open_server_database(url) as opened:
            yield opened


def test_nothing_is_kept_while_somebody_writes(server: Database) -> None:
    """Who took a number earlier may commit later: what is counted in between may not be kept under the later one."""
    module = create_module(server)
    counter = Counter()
    began, go_on = threading.Event(), threading.Event()

    def write_slowly() -> None:
        with server.write() as session:
            session.add(_request(module.id, "+989120000001"))
            session.flush()
            began.set()
            assert go_on.wait(10)

    writer = threading.Thread(target=write_slowly)
    writer.start()
    assert began.wait(10)
    with server.read() as session:
        assert requests_version(session) is None
    create_request(server, module, number="+989120000002")
    assert [ask(server, "a", counter) for _ in range(2)] == [1, 2]
    go_on.set()
    writer.join(10)
    assert [ask(server, "a", counter) for _ in range(2)] == [3, 3]
    assert query.read_page(server, SARA, Filter()).total == 2


def _request(module_id: int, number: str) -> CallRequest:
    moments = {"first_called_at": NOW, "registered_at": NOW}
    return CallRequest(module_id=module_id, module_name="Sales", number=number, status="waiting", **moments)
