"""The page of one request."""

from datetime import timedelta

from app.config import Settings
from app.services.requests.actions import Postpone, Prioritise, Reassign, WriteNote
from app.services.requests.spoken_names import save
from app.store.database import Database
from tests.audio.sounds import tone, write_sound
from tests.support.factories import create_attempt
from tests.web.pages import Visitor, text
from tests.web.requests.scene import act_as_other, ago, load, now


def test_the_page_shows_attempts_and_events(supervisor: Visitor, database: Database, office: None) -> None:
    start = ago(minutes=5)
    create_attempt(
        database,
        load(database),
        started_at=start,
        answered_at=start + timedelta(seconds=8),
        dialled_at=start + timedelta(seconds=10),
        ended_at=start + timedelta(seconds=35),
        outcome="customer_busy",
        cause="17 User busy",
        manual=True,
    )
    for action in (Postpone(now() + timedelta(minutes=50)), Reassign(False, "102"), Prioritise(1), WriteNote("a\nb")):
        act_as_other(database, action)
    page = supervisor.get("/requests/1")
    assert "09121234567" in page.title
    assert "in 50 minutes" in page.main and "high" in page.main
    steps = [text(step) for step in page.one("ol", class_="timeline").iter("li")]
    assert "reza" in steps[0]
    assert "from normal to high" in steps[1]
    assert "from extension 101 to extension 102" in steps[2]
    (attempt,) = page.all("li", class_="step-customer")
    assert "17 User busy" in text(attempt)
    assert [text(duration) for duration in attempt.iter("dd")] == ["00:08", "00:25"]
    live = supervisor.ask(page.one(id="live").get("hx-get", ""))
    assert [text(step) for step in live.one("ol", class_="timeline").iter("li")] == steps


def test_name_that_the_caller_said_is_played_to_those_who_may_see_the_request(
    supervisor: Visitor, operator: Visitor, visitor: Visitor, database: Database, office: None, settings: Settings
) -> None:
    assert supervisor.get("/requests/1").all("audio") == []
    for request, file in ((1, f"names/{'a' * 32}.wav"), (2, f"names/{'b' * 32}.wav")):
        (settings.prompts_path / "names").mkdir(exist_ok=True)
        write_sound(settings.prompts_path / file, tone(0.5))
        save(database, settings.prompts_path, request, file, now())
    (player,) = supervisor.get("/requests/1").all("audio")
    heard = supervisor.client.get(player.get("src", ""), buffered=True)
    assert (heard.status_code, heard.mimetype) == (200, "audio/wav")
    assert heard.data == (settings.prompts_path / f"names/{'a' * 32}.wav").read_bytes()
    paths = ("/requests/1/name.wav", "/requests/2/name.wav", "/requests/9/name.wav")
    assert [operator.client.get(path, buffered=True).status_code for path in paths] == [200, 404, 404]
    assert visitor.client.get(paths[0]).status_code == 302
    save(database, settings.prompts_path, 1, f"names/{'c' * 32}.wav", now())
    assert supervisor.client.get(paths[0]).status_code == 404, "the file is lost"
    assert supervisor.get("/requests/1").one("audio").get("src") != player.get("src"), "the browser loads another one"


def test_requests_of_others_are_not_found(operator: Visitor, office: None) -> None:
    operator.get("/requests/1")
    for path in ("/requests/2", "/requests/2/rows", "/requests/9", "/requests/9/rows"):
        operator.get(path, 404)
