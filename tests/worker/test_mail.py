"""E-mail from what happens to a request to what a real SMTP server on the loopback gets."""

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from persiantools.jdatetime import JalaliDateTime
from sqlalchemy import select

from app.config import Settings
from app.domain.lifecycle import Claimed, Ended, Outcome, transition
from app.domain.mail import MailServer, Security
from app.domain.webhooks import Channel
from app.push.mail import MailSender
from app.push.webhook import find
from app.services.audit import AuditAction
from app.services.errors import ErrorCode, Invalid
from app.services.settings import mail as mail_settings
from app.services.settings.mail import MailInput
from app.services.webhooks import destinations, letters, mail_destinations, mail_test, summaries
from app.services.webhooks import log as message_log
from app.services.webhooks.mail_destinations import MailDestinationInput
from app.store import requests
from app.store.database import Database
from app.store.models import AuditEntry, CallRequest, Module, Webhook, WebhookMessage
from app.store.settings import write_setting
from app.worker.main import Worker
from app.worker.webhooks import Webhooks
from script.office.patience import PATIENCE
from tests.support.factories import NUMBER, create_contact, create_missed_call, create_missed_call_rule, create_module
from tests.support.mail_server import HOST, PASSWORD, USER, MailBox, run_mail_server
from tests.worker.test_webhooks import Wheel

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:aiosmtpd")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SARA, OMID = "sara@example.org", "omid@example.org"
OpenServer = Callable[..., MailBox]


@pytest.fixture
def open_server(tmp_path: Path) -> Iterator[OpenServer]:
    with ExitStack() as stack:

        def open_one(security: str = "none", **options: Any) -> MailBox:
            return stack.enter_context(run_mail_server(tmp_path / "mail", security=security, **options))

        yield open_one


@pytest.fixture
def wheel() -> Wheel:
    return Wheel()


@pytest.fixture
def work(office: Settings, database: Database, wheel: Wheel) -> Iterator[Webhooks]:
    found = Webhooks(office, database, clock=wheel.clock)
    yield found
    found.close()


@pytest.fixture
def box(open_server: OpenServer, work: Webhooks) -> MailBox:
    """A server without encryption, to which the office sends."""
    return use(work, open_server())


def use(work: Webhooks, box: MailBox, **given: Any) -> MailBox:
    """Let the office send to a server."""
    values = {"mail_host": HOST, "mail_sender": "bazang@example.org", "mail_security": "none", "mail_ca": box.ca}
    values |= {"panel_url": "https://panel.example.org"}
    save(work, **(values | given))
    work.mail_sender = box.sender
    return box


def save(work: Webhooks, **given: Any) -> None:
    mail_settings.save(work.database, work.settings, MailInput(**given), actor="sara", now=work.clock.now())


def add(work: Webhooks, *addresses: str, **given: Any) -> int:
    """Add recipients. Return the id of the first."""
    values = MailDestinationInput(**{"events": ["request.registered", "request.failed"], "language": "en"} | given)
    addresses = addresses or (SARA,)
    mail_destinations.add(work.database, values, addresses, actor="sara", now=work.clock.now())
    return next(each.id for each in listed(work) if each.name == addresses[0])


def listed(work: Webhooks) -> list[destinations.Destination]:
    return destinations.list_destinations(work.database, work.settings, Channel.MAIL)


def register(work: Webhooks, **details: Any) -> int:
    with work.database.read() as session:
        module = session.scalars(select(Module)).first()
    module = module or create_module(work.database, name="Sales", targets=["101"])
    number = details.pop("number", NUMBER)
    with work.database.write() as session:
        return requests.add(session, module, False, "101", number, work.clock.now(), **details).id


async def send(work: Webhooks) -> None:
    await work.run()
    await work.settle()


def text_of(mail: EmailMessage, kind: str) -> str:
    """Return a part of an e-mail, "plain" or "html"."""
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def messages(work: Webhooks) -> list[WebhookMessage]:
    with work.database.read() as session:
        return list(session.scalars(select(WebhookMessage).order_by(WebhookMessage.id)))


def states(work: Webhooks) -> list[tuple[str, str]]:
    return [(each.state, each.result) for each in messages(work)]


# -- what is sent -----------------------------------------------------------------------------------------------------


async def test_an_event_becomes_an_email_in_english(work: Webhooks, box: MailBox) -> None:
    add(work)
    request = register(work, caller_name="Sara O'Neil")
    await send(work)
    (mail,) = box.got
    assert mail["Subject"] == "Bazang: New call request – Sara O'Neil 09121234567"
    assert (mail["From"], mail["To"]) == ("Bazang <bazang@example.org>", SARA)
    assert mail["Auto-Submitted"] == "auto-generated" and mail["Content-Language"] == "en"
    plain, html = text_of(mail, "plain"), text_of(mail, "html")
    for text in ("Name: Sara O'Neil", "Number: 09121234567", "Module: Sales", "Extension: 101"):
        assert text in plain
    assert f"https://panel.example.org/requests/{request}" in plain
    assert '<html lang="en" dir="ltr">' in html
    assert f'href="https://panel.example.org/requests/{request}"' in html
    assert box.envelopes == [("bazang@example.org", SARA, False)]
    assert states(work) == [("sent", "smtp_250")]
    await send(work)
    assert len(box.got) == 1


async def test_an_email_in_persian_is_right_to_left_and_has_jalali_dates(work: Webhooks, box: MailBox) -> None:
    add(work, language="fa")
    register(work, caller_name="سارا")
    await send(work)
    (mail,) = box.got
    assert mail["Subject"] == "بازنگ: درخواست تماس جدید – سارا 09121234567"
    plain, html = text_of(mail, "plain"), text_of(mail, "html")
    assert '<html lang="fa" dir="rtl">' in html
    assert '<bdi dir="ltr">۰۹۱۲۱۲۳۴۵۶۷</bdi>' in html
    local = work.clock.now().astimezone(ZoneInfo("Asia/Tehran"))
    shown = JalaliDateTime(local).strftime("%Y/%m/%d").translate(str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹"))
    assert shown in plain and shown in html


@pytest.mark.parametrize(
    ("language", "claimed"), [("en", "The phone calls itself: Bank"), ("fa", "نامی که تلفن اعلام کرده: Bank")]
)
async def test_an_email_names_the_contact_as_the_pages_do(
    work: Webhooks, box: MailBox, language: str, claimed: str
) -> None:
    add(work, language=language)
    create_contact(work.database, "سارا احمدی", NUMBER)
    register(work, caller_name="Bank")
    await send(work)
    (mail,) = box.got
    assert mail["Subject"].endswith("– سارا احمدی 09121234567")
    for kind in ("plain", "html"):
        assert "سارا احمدی" in text_of(mail, kind)
    assert claimed in text_of(mail, "plain")


async def test_without_an_address_of_the_panel_there_is_no_link(work: Webhooks, box: MailBox) -> None:
    use(work, box, panel_url="")
    add(work)
    register(work)
    await send(work)
    assert b"http" not in text_of(box.got[0], "plain").encode()
    assert "href" not in text_of(box.got[0], "html")


@given(name=st.text(max_size=200), number=st.text(max_size=40), module=st.text(max_size=80))
def test_nothing_of_a_caller_becomes_a_header_or_markup(name: str, number: str, module: str) -> None:
    request = {"id": 17, "name": name, "number": number, "module": {"id": 1, "name": module}, "target": {}}
    message = WebhookMessage(uid="msg_1", event="request.failed", at=datetime(2026, 3, 2, tzinfo=UTC), agent="")
    message.data = {"request": request, "by": name}
    recipient = Webhook(id=3, recipient=SARA, language="fa")
    office = letters.Office(ZoneInfo("Asia/Tehran"), "IR", "bazang@example.org", "https://panel.example.org/")
    letter = letters.write(message, recipient, office)
    head, _empty, _body = letter.content.partition(b"\r\n\r\n")
    names = {line.split(b":")[0] for line in head.split(b"\r\n") if not line.startswith((b" ", b"\t"))}
    assert names == {
        *(b"From", b"To", b"Subject", b"Date", b"Message-ID", b"Auto-Submitted", b"MIME-Version", b"Content-Type"),
        b"Content-Language",
    }
    assert head.isascii() and max(map(len, letter.content.split(b"\r\n"))) <= 998
    parsed = message_from_bytes(letter.content, policy=default)
    assert isinstance(parsed, EmailMessage)
    assert [part.get_content_type() for part in parsed.iter_parts()] == ["text/plain", "text/html"]
    html = text_of(parsed, "html")
    assert html.count("<script") == 0 and html.count("<a ") == 1
    assert letter.content == letters.write(message, recipient, office).content


async def test_header_lines_of_a_name_stay_in_the_subject(work: Webhooks, box: MailBox) -> None:
    add(work)
    register(work, caller_name="Eve\r\nBcc: omid@example.org\r\n\r\n<script>alert(1)</script>")
    await send(work)
    (mail,) = box.got
    assert mail["Bcc"] is None and "Eve" in mail["Subject"] and "\n" not in mail["Subject"]
    assert "<script>" not in text_of(mail, "html")
    assert box.envelopes[0][1] == SARA


# -- encryption and log-in --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_an_email_goes_by_tls_with_a_log_in(work: Webhooks, open_server: OpenServer, security: str) -> None:
    box = open_server(security, wants_login=True)
    use(work, box, mail_security=security, mail_username=USER, mail_password=PASSWORD)
    add(work)
    register(work)
    await send(work)
    assert box.envelopes == [("bazang@example.org", SARA, True)]
    assert box.logins == [USER]
    assert box.asked == [HOST]


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_a_certificate_that_nobody_trusts_is_refused_before_the_log_in(
    work: Webhooks, open_server: OpenServer, security: str
) -> None:
    box = open_server(security, wants_login=True)
    use(work, box, mail_security=security, mail_username=USER, mail_password=PASSWORD, mail_ca="")
    add(work)
    register(work)
    await send(work)
    assert states(work) == [("waiting", "certificate")]
    assert (box.got, box.logins) == ([], [])


async def test_a_certificate_for_another_name_is_refused(work: Webhooks, open_server: OpenServer) -> None:
    box = open_server("tls")
    use(work, box, mail_security="tls", mail_host="other.example.org")
    assert await run_test(work) == ("certificate", False)


def server_of(box: MailBox, security: str, **given: Any) -> MailServer:
    return replace(MailServer(HOST, 25, Security(security), "bazang@example.org", ca=box.ca), **given)


async def run_test(work: Webhooks) -> tuple[str, bool]:
    """Return the code of a test's result, and whether it was taken."""
    found = json.loads(await work.test_mail({"address": SARA, "language": "en"}))
    return found["result"], found["is_taken"]


async def test_a_test_says_what_is_wrong(work: Webhooks, open_server: OpenServer, tmp_path: Path) -> None:
    assert await run_test(work) == ("no_server", False)
    box = use(work, open_server("starttls", wants_login=True), mail_security="starttls")
    assert await run_test(work) == ("sender", False)  # it wants a log-in first
    by_tls = {"mail_security": "starttls", "mail_username": USER}
    use(work, box, **by_tls, mail_password="wrong")
    assert await run_test(work) == ("login", False)
    use(work, box, **by_tls, mail_password=PASSWORD)
    assert await run_test(work) == ("smtp_250", True)
    assert box.subjects() == ["Bazang: Test"]
    for command, answer, result in (
        ("MAIL", "550 5.1.8 unknown sender", "sender"),
        ("RCPT", "550 5.1.1 no such user", "recipient"),
        ("RCPT", "554 5.7.1 relay access denied", "relay"),
        ("RCPT", "450 4.2.0 greylisted", "smtp_450"),
        ("DATA", "552 5.3.4 too large", "content"),
    ):
        box.answers[command] = [answer]
        assert await run_test(work) == (result, False)
    use(work, box, **by_tls | {"mail_security": "tls"}, mail_password=PASSWORD)
    assert await run_test(work) == ("tls", False)
    assert messages(work) == []


async def test_a_server_without_starttls_gets_no_password(work: Webhooks, open_server: OpenServer) -> None:
    box = use(work, open_server("none"), mail_security="starttls", mail_username=USER, mail_password=PASSWORD)
    assert await run_test(work) == ("no_starttls", False)
    assert box.logins == []


async def test_a_silent_server_and_no_server_are_told_apart(work: Webhooks, box: MailBox) -> None:
    def never(_host: str, _port: int, _inside: bool) -> list[tuple[str, int]]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    work.mail_sender = MailSender(never)
    assert await run_test(work) == ("unknown_host", False)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        work.mail_sender = MailSender(lambda *_: [("127.0.0.1", port)], timeout=0.2)
        assert await run_test(work) == ("timeout", False)
    work.mail_sender = MailSender(lambda *_: [("127.0.0.1", port)])
    assert await run_test(work) == ("refused", False)


async def test_an_address_inside_the_office_needs_permission(work: Webhooks, box: MailBox) -> None:
    work.mail_sender = MailSender(find)
    for host in ("127.0.0.1", "localhost", "10.0.0.7", "[::1]"):
        with pytest.raises(Invalid) as invalid:
            use(work, box, mail_host=host)
        assert invalid.value.errors["mail_host"] in (ErrorCode.INSIDE, ErrorCode.HOST)
    with work.database.write() as session:
        write_setting(session, "mail_host", "127.0.0.1")  # as if a name led there
    work.mail_sender = MailSender(find)
    assert await run_test(work) == ("not_allowed", False)
    save(work, mail_host="127.0.0.1", mail_port=box.port, mail_security="none", mail_sender="b@e.org", mail_inside=True)
    assert await run_test(work) == ("smtp_250", True)


def test_a_password_is_never_sent_in_the_clear_to_the_internet(work: Webhooks, box: MailBox) -> None:
    with pytest.raises(Invalid) as invalid:
        use(work, box, mail_username=USER, mail_password=PASSWORD)
    assert invalid.value.errors == {"mail_security": ErrorCode.ENCRYPT}


# -- retries ----------------------------------------------------------------------------------------------------------


async def test_a_refusal_for_now_is_tried_again_in_order(work: Webhooks, box: MailBox, wheel: Wheel) -> None:
    add(work)
    box.answers["RCPT"] = ["450 4.2.0 greylisted"]
    for number in ("+989120000001", "+989120000002"):
        register(work, number=number)
    await send(work)
    assert states(work) == [("waiting", "smtp_450"), ("waiting", "")]
    wheel.turn(11 * timedelta(seconds=1))
    await send(work)
    assert states(work) == [("sent", "smtp_250")] * 2
    assert [subject[-11:] for subject in box.subjects()] == ["09120000001", "09120000002"]
    assert len({mail["Message-ID"] for mail in box.got}) == 2


async def test_a_wrong_address_is_given_up_at_once_and_others_get_theirs(work: Webhooks, box: MailBox) -> None:
    add(work, OMID, SARA)
    box.answers["RCPT"] = ["550 5.1.1 no such user"]
    register(work)
    await send(work)
    assert sorted(states(work)) == [("failed", "recipient"), ("sent", "smtp_250")]
    refused = next(each for each in listed(work) if each.failed)
    assert refused.failing_since is not None and refused.last_result == "recipient"
    assert len(box.got) == 1
    message_log.send_failed_again(work.database, refused.id, actor="sara", now=work.clock.now())
    await send(work)
    assert {str(mail["To"]) for mail in box.got} == {OMID, SARA}
    assert all(state == "sent" for state, _result in states(work))


async def test_a_connection_that_ends_after_the_content_sends_the_same_email_twice(
    work: Webhooks, box: MailBox, wheel: Wheel
) -> None:
    add(work)
    box.drops = 1
    register(work)
    await send(work)
    assert states(work) == [("waiting", "dropped")]
    wheel.turn(MINUTE)
    await send(work)
    assert states(work) == [("sent", "smtp_250")]
    first, second = box.raw
    assert first == second
    assert box.got[0]["Message-ID"] == box.got[1]["Message-ID"]


async def test_a_server_that_is_down_for_an_hour_loses_and_repeats_nothing(
    work: Webhooks, box: MailBox, wheel: Wheel
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        closed = found.getsockname()[1]
    up, down = box.sender, MailSender(lambda *_: [("127.0.0.1", closed)])
    add(work)
    numbers = [f"+98912000000{n}" for n in range(6)]
    work.mail_sender = down
    for minute in range(60):
        if minute % 10 == 0:
            register(work, number=numbers[minute // 10])
        await send(work)
        wheel.turn(MINUTE)
    assert box.got == [] and {state for state, _result in states(work)} == {"waiting"}
    work.mail_sender = up
    for _minute in range(31):
        await send(work)
        wheel.turn(MINUTE)
    assert [subject[-4:] for subject in box.subjects()] == [f"000{n}" for n in range(6)]
    assert {state for state, _result in states(work)} == {"sent"}
    assert listed(work)[0].failing_since is None


async def test_a_recipient_that_takes_nothing_for_a_day_is_paused(work: Webhooks, box: MailBox, wheel: Wheel) -> None:
    add(work)
    box.answers["MAIL"] = ["550 5.1.8 unknown sender"] * 100
    register(work)
    for _half_hour in range(60):
        await send(work)
        wheel.turn(30 * MINUTE)
    shown = listed(work)[0]
    assert shown.paused_at is not None and shown.last_result == "sender"
    with work.database.read() as session:
        paused = session.scalars(select(AuditEntry).where(AuditEntry.action == AuditAction.WEBHOOK_PAUSED.value)).one()
    assert paused.subject == SARA


async def test_without_a_mail_server_messages_wait(work: Webhooks, box: MailBox) -> None:
    add(work)
    save(work)
    register(work)
    await send(work)
    assert states(work) == [("waiting", "no_server")]
    use(work, box)  # clears the pause
    with work.database.write() as session:
        for message in session.scalars(select(WebhookMessage)):
            message.next_at = work.clock.now()
    await send(work)
    assert states(work) == [("sent", "smtp_250")]


async def test_a_test_of_a_recipient_goes_to_the_log(work: Webhooks, box: MailBox) -> None:
    webhook_id = add(work, events=[], summary="daily")
    destinations.ask_for_test(work.database, webhook_id, actor="sara", now=work.clock.now())
    await send(work)
    assert box.subjects() == ["Bazang: Test"] and states(work) == [("sent", "smtp_250")]


# -- the summary ------------------------------------------------------------------------------------------------------


def turn_to(wheel: Wheel, *local: int) -> None:
    """Turn the clock to a moment in the office."""
    wheel.turn(datetime(*local, tzinfo=ZoneInfo("Asia/Tehran")) - wheel.now)  # type: ignore[misc,arg-type]


def end(work: Webhooks, request_id: int, outcome: Outcome, after: timedelta, wheel: Wheel) -> None:
    for happened in (Claimed(f"a-{request_id}"), Ended(f"a-{request_id}", outcome)):
        with work.database.write() as session:
            row, module = requests.load(session, request_id, lock=True) or (None, None)
            assert row is not None
            decision = transition(requests.to_domain(row, module), happened, work.clock.now())
            requests.apply_decision(session, row, decision, work.clock.now(), event="x", actor="")
    with work.database.write() as session:
        row = session.get_one(CallRequest, request_id)
        if outcome is Outcome.CONNECTED:
            row.reached_at = row.registered_at + after


async def test_a_summary_comes_once_with_the_figures_of_the_report(
    work: Webhooks, box: MailBox, wheel: Wheel, database: Database
) -> None:
    create_module(database, name="Sales", targets=["101"], retries=0)
    turn_to(wheel, 2027, 3, 1, 9)
    webhook_id = add(work, events=[], summary="daily", summary_hour=8)
    await send(work)
    assert box.got == []  # it has just been added
    reached, failed = register(work), register(work, number="+989120000001")
    register(work, number="+989120000002")
    end(work, reached, Outcome.CONNECTED, 130 * timedelta(seconds=1), wheel)
    end(work, failed, Outcome.CUSTOMER_NO_ANSWER, HOUR, wheel)
    create_missed_call_rule(database)
    create_missed_call(database, at=work.clock.now())
    turn_to(wheel, 2027, 3, 2, 7, 59)
    await send(work)
    assert box.got == []
    turn_to(wheel, 2027, 3, 2, 8, 1)
    await send(work)
    (mail,) = box.got
    assert mail["Subject"] == "Bazang: Summary of 2027-03-01"
    text = text_of(mail, "plain")
    for line in (
        "Registered requests: 3",
        "of them done: 1",
        "of them failed: 1",
        "of them expired: 0",
        "of them still open: 1",
        "Half of the customers were reached within: 02:10",
        "Missed calls: 1",
    ):
        assert line in text, text
    for _time in range(3):  # a worker that is restarted looks at once
        again = Webhooks(work.settings, database, mail_sender=box.sender, clock=wheel.clock)
        await send(again)
        again.close()
        wheel.turn(2 * MINUTE)
    assert len(box.got) == 1
    assert [each.uid for each in messages(work)] == ["summary_daily_2027-03-02"]
    assert webhook_id == messages(work)[0].webhook_id


async def test_a_weekly_summary_comes_on_the_first_day_of_the_office(
    work: Webhooks, box: MailBox, wheel: Wheel
) -> None:
    turn_to(wheel, 2027, 3, 1, 9)  # a Monday; the office's week begins on Saturday
    add(work, events=[], summary="weekly", language="fa")
    for day in range(2, 8):
        await send(work)
        turn_to(wheel, 2027, 3, day, 9)
    await send(work)
    assert box.subjects() == ["بازنگ: خلاصه از ۱۴۰۵/۱۲/۰۸ تا ۱۴۰۵/۱۲/۱۴"]


async def test_a_summary_is_late_after_a_stop_and_older_ones_are_left_out(
    work: Webhooks, box: MailBox, wheel: Wheel
) -> None:
    turn_to(wheel, 2027, 3, 1, 9)
    add(work, events=[], summary="daily")
    await send(work)
    turn_to(wheel, 2027, 3, 5, 15)  # nothing ran for four days
    await send(work)
    assert box.subjects() == ["Bazang: Summary of 2027-03-04"]


async def test_a_clock_that_jumps_repeats_no_summary(work: Webhooks, box: MailBox, wheel: Wheel) -> None:
    turn_to(wheel, 2027, 3, 1, 9)
    add(work, events=[], summary="daily")
    await send(work)
    for moment in ((2027, 3, 2, 9), (2027, 3, 1, 9), (2027, 3, 2, 9), (2027, 3, 1, 7), (2027, 3, 2, 8, 30)):
        turn_to(wheel, *moment)
        await send(work)
    assert box.subjects() == ["Bazang: Summary of 2027-03-01"]
    turn_to(wheel, 2027, 3, 9, 9)  # far ahead by mistake, and back
    await send(work)
    for day in (3, 4):
        turn_to(wheel, 2027, 3, day, 9)
        await send(work)
    assert box.subjects()[1:] == [f"Bazang: Summary of 2027-03-0{day}" for day in (8, 3)]


def test_another_hour_does_not_repeat_the_summary_of_the_day(work: Webhooks, box: MailBox, wheel: Wheel) -> None:
    turn_to(wheel, 2027, 3, 1, 9)
    webhook_id = add(work, events=[], summary="daily", summary_hour=8)
    assert summaries.store_due(work.database, work.settings, wheel.now) == 0
    turn_to(wheel, 2027, 3, 2, 9)
    assert summaries.store_due(work.database, work.settings, wheel.now) == 1
    given = mail_destinations.load_input(work.database, webhook_id)
    by: dict[str, Any] = {"actor": "sara", "now": wheel.now}
    mail_destinations.save(work.database, webhook_id, replace(given, summary_hour=17), **by)
    assert summaries.store_due(work.database, work.settings, wheel.now) == 0
    turn_to(wheel, 2027, 3, 2, 17, 1)
    assert summaries.store_due(work.database, work.settings, wheel.now) == 0
    turn_to(wheel, 2027, 3, 3, 17, 1)
    assert summaries.store_due(work.database, work.settings, wheel.now) == 1


# -- the test by the panel --------------------------------------------------------------------------------------------


async def test_the_page_gets_the_answer_of_a_running_worker(
    office: Settings, database: Database, box: MailBox, work: Webhooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(office.model_copy(update={"agi_port": 0}), database)
    worker.webhooks.mail_sender = box.sender

    async def nothing(*_: Any, **__: Any) -> None:
        """There is no PBX."""

    monkeypatch.setattr(worker, "_poll_pbx", nothing)
    monkeypatch.setattr(worker, "_keep_house", nothing)  # it speaks prompts, perhaps until after the end
    monkeypatch.setattr(worker, "_listen", nothing)
    running = asyncio.create_task(worker.run(lambda: None))
    try:
        async with asyncio.timeout(PATIENCE):
            by: dict[str, Any] = {"actor": "sara", "now": datetime.now(UTC)}
            result = await asyncio.to_thread(mail_test.run, database, SARA, "en", **by)
    finally:
        worker.stop()
        await running
    assert result is not None and (result.is_taken, result.result) == (True, "smtp_250")
    assert box.subjects() == ["Bazang: Test"]


def test_a_test_needs_an_address(work: Webhooks) -> None:
    with pytest.raises(Invalid):
        mail_test.run(work.database, "sara", "en", actor="sara", now=work.clock.now())
