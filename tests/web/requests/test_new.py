"""The page of a new request."""

from app.store.database import Database
from app.store.models import CallRequest
from tests.support.rows import for_each
from tests.web.pages import Visitor, text
from tests.web.requests.scene import is_success, load


def test_a_request_is_created(supervisor: Visitor, database: Database, office: None) -> None:
    page = supervisor.get("/requests/new")
    answer = supervisor.submit(page, "/requests/new", number="۰۹۳۵۱۱۱۲۲۳۳", wanted="1:102", name="Ali", note="by mail")
    assert is_success(supervisor.follow(answer))
    row = load(database, 3)
    assert (row.number, row.target, row.caller_name, row.created_by) == ("+989351112233", "102", "Ali", "mina")


def test_a_request_is_created_for_a_time(supervisor: Visitor, database: Database, office: None) -> None:
    typed = {"number": "09351112233", "wanted": "1:102", "when": "at"}
    page = supervisor.get("/requests/new")
    for day, at, field in (("", "10:00", "day"), ("2020-01-01", "10:00", "day"), ("2099-01-01", "", "at")):
        assert supervisor.submit(page, "/requests/new", 422, **typed, day=day, at=at).error(field)
    supervisor.follow(supervisor.submit(page, "/requests/new", **typed, at="23:59"))
    row = load(database, 3)
    assert row.postponed_until is not None and row.time_chosen
    shown = supervisor.get("/requests/3").main
    assert "Chosen time" in shown and "A time was chosen for the call." in shown
    assert "chosen time, " in supervisor.get("/requests").main


def test_a_duplicate_leads_to_the_existing_request(supervisor: Visitor, office: None) -> None:
    page = supervisor.get("/requests/new")
    page = supervisor.follow(supervisor.submit(page, "/requests/new", number="09121234567", wanted="1:101"))
    assert not is_success(page)
    assert "09121234567" in text(page.one("h1"))


@for_each(
    ("typed", "field"),
    [
        ({"number": "12"}, "number"),
        ({"wanted": ""}, "wanted"),
        ({"wanted": "x"}, "wanted"),
        ({"wanted": "1:999"}, "wanted"),
        ({"name": "a\u202eb"}, "name"),
        ({"note": "x" * 2001}, "note"),
    ],
)
def test_invalid_input_is_shown_with_its_error(
    supervisor: Visitor, database: Database, office: None, typed: dict[str, str], field: str
) -> None:
    page = supervisor.get("/requests/new")
    fields = {"number": "09351112233", "wanted": "1:101", "name": "Ali", "note": "n", **typed}
    answer = supervisor.submit(page, "/requests/new", 422, **fields)
    assert answer.error(field)
    kept = answer.fields(answer.form(id="action-form"))
    assert kept["number"] == [fields["number"]] and kept["note"] == [fields["note"]]
    with database.read() as session:
        assert session.get(CallRequest, 3) is None


def test_an_operator_creates_requests_for_their_own_phone(
    operator: Visitor, supervisor: Visitor, database: Database, office: None
) -> None:
    page = operator.get("/requests/new")
    values = [option.get("value") for option in page.one("select", name="wanted").iter("option")]
    assert values == ["", "1:", "1:101"]
    answer = operator.submit(page, "/requests/new", 422, number="09351112233", wanted="1:102")
    assert answer.error("wanted") != supervisor.post("/requests/new", {"number": "1"}, 422).error("wanted")
