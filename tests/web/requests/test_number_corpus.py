"""A sample of the corpus of numbers on the way in by the panel: each rule and each kind of number.

The whole corpus is tried on the rules themselves, in the tests of the domain.
"""

import pytest
from sqlalchemy import delete, func, select

from app.store.database import Database
from app.store.models import CallRequest, HistoryEntry
from app.store.settings import write_setting
from app.web import wording
from app.web.wording import ERROR
from tests.support import number_corpus
from tests.support.factories import create_line, create_module
from tests.support.number_corpus import Place
from tests.web.pages import Visitor

HEADERS = {"HX-Request": "true"}


@pytest.fixture
def office(database: Database) -> None:
    create_module(database, targets=["101"])
    for extension in number_corpus.EXTENSIONS:
        create_line(database, extension)


def move_to(database: Database, place: Place) -> None:
    with database.write() as session:
        write_setting(session, "region", place.region)
        write_setting(session, "area_code", place.area_code)


def count_requests(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(CallRequest)) or 0


def take_number(database: Database) -> str:
    """Return the number of the only request, and delete it."""
    with database.write() as session:
        number = session.scalars(select(CallRequest.number)).one()
        session.execute(delete(HistoryEntry))
        session.execute(delete(CallRequest))
    return number


def test_no_hostile_number_becomes_a_request(supervisor: Visitor, database: Database, office: None) -> None:
    reasons = {str(ERROR[code]) for code in ("required", "number", *_CODES)}
    wrong = []
    for place, entries in number_corpus.by_place(number_corpus.sample(number_corpus.hostile())).items():
        move_to(database, place)
        for entry in entries:
            if entry.text in number_corpus.EXTENSIONS or entry.rule == "extension":
                continue  # a colleague may enter an extension
            given = {"number": entry.text, "wanted": "1:101"}
            response = supervisor.client.post("/requests/new", data=given, headers=HEADERS)
            if response.status_code not in (400, 422) or (
                response.status_code == 422 and not any(reason in response.text for reason in reasons)
            ):
                wrong.append((entry, response.status_code))
    assert wrong == []
    assert count_requests(database) == 0


_CODES = ("short_number", "emergency", "costly", "foreign", "kind")


def test_every_ordinary_number_becomes_a_request(supervisor: Visitor, database: Database, office: None) -> None:
    wrong: list[tuple[number_corpus.Ordinary, object]] = []
    for place, entries in number_corpus.by_place(number_corpus.sample(number_corpus.ordinary())).items():
        move_to(database, place)
        for entry in entries:
            given = {"number": entry.text, "wanted": "1:101"}
            response = supervisor.client.post("/requests/new", data=given)
            if response.status_code != 302:
                wrong.append((entry, response.status_code))
            elif (number := take_number(database)) != entry.number:
                wrong.append((entry, number))
    assert wrong == []


def test_reason_is_shown_beside_the_field(supervisor: Visitor, office: None) -> None:
    page = supervisor.submit(supervisor.get("/requests/new"), "/requests/new", 422, number="118", wanted="1:101")
    assert page.error("number") == wording.error("short_number")
