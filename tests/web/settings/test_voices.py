"""The page of the voices."""

from sqlalchemy import select

from app.store import settings as store
from app.store.database import Database
from app.store.models import Command
from app.store.settings import Speech
from app.web import wording
from tests.web.pages import Visitor


def test_a_saved_voice_is_stored_and_the_worker_is_told(admin: Visitor, database: Database) -> None:
    form = admin.get("/settings/voices")
    fields = form.fields(form.form(id="voice-en")) | {"en-voice": "en-us+m3", "en-rate": "170", "en-pitch": "30"}
    admin.post("/settings/voices/en", fields)
    with database.read() as session:
        assert store.speech(session, "en") == Speech("en-us+m3", 170, 30)
        assert store.speech(session, "fa") == Speech()
        assert "write_dialplan" in session.scalars(select(Command.kind)).all()
    page = admin.post("/settings/voices/en", fields | {"en-voice": "fa+f3", "en-rate": "9999"}, 422)
    assert page.error("en-voice") == wording.error("choice")
    assert page.error("en-rate") == wording.error("range")
    admin.post("/settings/voices/de", {}, 404)


def test_pronunciations_are_heard_in_the_sample_and_saved(admin: Visitor, database: Database) -> None:
    fields = {"en-voice": "", "en-rate": "200", "en-pitch": "50", "en-sample": "Bazang. Bazang."}
    plain = admin.post("/settings/voices/en/preview", fields, 200)
    helped = fields | {"en-pronunciations": "bazang = a very much longer name"}
    assert len(admin.post("/settings/voices/en/preview", helped, 200).response.data) > len(plain.response.data) * 1.5
    admin.post("/settings/voices/en", helped | {"en-pronunciations": " bazang=Baazang \r\n\r\ncat = dog"})
    with database.read() as session:
        assert store.speech(session, "en").pronunciations == "bazang = Baazang\ncat = dog"
    assert "bazang = Baazang" in admin.get("/settings/voices").response.text
    wrong = helped | {"en-pronunciations": "cat = dog\nسلام"}
    page = admin.post("/settings/voices/en", wrong, 422)
    assert page.error("en-pronunciations") == "Line 2 is not “word = how to write it”."
    refused = admin.client.post("/settings/voices/en/preview", data=wrong)
    assert refused.status_code == 422 and "Line 2" in refused.text
    with database.read() as session:
        assert store.speech(session, "en").pronunciations == "bazang = Baazang\ncat = dog"


def test_default_values_are_not_stored(admin: Visitor, database: Database) -> None:
    form = admin.get("/settings/voices")
    admin.post("/settings/voices/fa", form.fields(form.form(id="voice-fa")))
    with database.read() as session:
        assert store.speech(session, "fa") == Speech()


def test_a_sample_is_spoken_without_being_saved(admin: Visitor, database: Database) -> None:
    fields = {"en-voice": "", "en-rate": "200", "en-pitch": "50", "en-sample": "Good morning."}
    fast = admin.post("/settings/voices/en/preview", fields, 200)
    assert fast.response.content_type == "audio/wav"
    slow = admin.post("/settings/voices/en/preview", fields | {"en-rate": "100"}, 200)
    assert len(slow.response.data) > len(fast.response.data) * 1.3
    for changes in ({"en-sample": "سلام"}, {"en-sample": "x" * 1501}, {"en-rate": "fast"}):
        refused = admin.client.post("/settings/voices/en/preview", data=fields | changes)
        assert refused.status_code == 422 and refused.content_type.startswith("text/plain")
    with database.read() as session:
        assert store.speech(session, "en") == Speech()
