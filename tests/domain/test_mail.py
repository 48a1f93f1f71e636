"""Addresses of e-mail, the answers of mail servers, and when a summary is due."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from app.domain.mail import MailStep, domain_of, fate_of_reply, is_address
from app.domain.mail_texts import TEXTS, MailText
from app.domain.summaries import Schedule, days_of, due_day
from app.domain.webhook_bodies import WHAT
from app.domain.webhooks import EVENTS, Fate, WebhookEvent

TEHRAN, BERLIN = ZoneInfo("Asia/Tehran"), ZoneInfo("Europe/Berlin")
MONDAY, SATURDAY = 0, 5


@pytest.mark.parametrize(
    "text", ["sara@example.org", "s.o'neil+calls@mail-1.example.org", "root@localhost", f"{'a' * 68}@example.org"]
)
def test_an_address_is_recognised(text: str) -> None:
    assert is_address(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "sara", "@example.org", "sara@", "sara@@example.org", "sara@example..org", "sara@-example.org"),
        *(".sara@example.org", "sara.@example.org", "sara@example.org ", "sara @example.org", "sara@example.org\n"),
        *("sara@example.org\r\nBcc: omid@example.org", "<sara@example.org>", "sara@example.org,omid@example.org"),
        *("سارا@example.org", "sara@بازنگ.ایران", '"sara"@example.org', "sara@[127.0.0.1]", f"{'a' * 69}@example.org"),
        *("sara@exa_mple.org", "sara@example.org>", "sara\x00@example.org"),
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    assert not is_address(text)


def test_the_domain_follows_the_at() -> None:
    assert domain_of("sara@example.org") == "example.org"


@pytest.mark.parametrize(
    ("step", "code", "text", "fate", "result"),
    [
        (MailStep.GREETING, 421, "too busy", Fate.LATER, "smtp_421"),
        (MailStep.GREETING, 554, "go away", Fate.LATER, "smtp_554"),
        (MailStep.LOGIN, 454, "4.7.0 later", Fate.LATER, "smtp_454"),
        (MailStep.LOGIN, 535, "5.7.8 wrong", Fate.LATER, "login"),
        (MailStep.SENDER, 550, "5.1.8 unknown", Fate.LATER, "sender"),
        (MailStep.RECIPIENT, 450, "4.2.0 greylisted", Fate.LATER, "smtp_450"),
        (MailStep.RECIPIENT, 550, "5.1.1 no such user", Fate.NEVER, "recipient"),
        (MailStep.RECIPIENT, 550, "no such user", Fate.NEVER, "recipient"),
        (MailStep.RECIPIENT, 554, "5.7.1 relay access denied", Fate.LATER, "relay"),
        (MailStep.CONTENT, 452, "4.3.1 disk is full", Fate.LATER, "smtp_452"),
        (MailStep.CONTENT, 552, "5.3.4 too large", Fate.NEVER, "content"),
        (MailStep.CONTENT, 999, "", Fate.LATER, "smtp_999"),
    ],
)
def test_an_answer_decides_what_becomes_of_a_message(
    step: MailStep, code: int, text: str, fate: Fate, result: str
) -> None:
    assert fate_of_reply(step, code, text) == (fate, result)


def test_both_languages_have_all_words() -> None:
    assert all(set(texts) == set(MailText) and all(texts.values()) for texts in TEXTS.values())
    assert all(set(texts) == set(WebhookEvent) for texts in WHAT.values())
    assert set(TEXTS) == set(WHAT)
    assert WebhookEvent.SUMMARY not in EVENTS


def at(zone: ZoneInfo, *parts: int) -> datetime:
    return datetime(*parts, tzinfo=zone).astimezone(UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("schedule", "hour", "first", "now", "day"),
    [
        (Schedule.NONE, 8, MONDAY, at(TEHRAN, 2026, 3, 2, 9), None),
        (Schedule.DAILY, 8, MONDAY, at(TEHRAN, 2026, 3, 2, 7, 59), date(2026, 3, 1)),
        (Schedule.DAILY, 8, MONDAY, at(TEHRAN, 2026, 3, 2, 8, 0), date(2026, 3, 2)),
        (Schedule.DAILY, 0, MONDAY, at(TEHRAN, 2026, 3, 2, 0, 0), date(2026, 3, 2)),
        (Schedule.DAILY, 23, MONDAY, at(TEHRAN, 2026, 3, 3, 1), date(2026, 3, 2)),
        (Schedule.WEEKLY, 8, MONDAY, at(TEHRAN, 2026, 3, 2, 8), date(2026, 3, 2)),  # a Monday
        (Schedule.WEEKLY, 8, MONDAY, at(TEHRAN, 2026, 3, 2, 7), date(2026, 2, 23)),
        (Schedule.WEEKLY, 8, MONDAY, at(TEHRAN, 2026, 3, 8, 23), date(2026, 3, 2)),
        (Schedule.WEEKLY, 8, SATURDAY, at(TEHRAN, 2026, 3, 2, 8), date(2026, 2, 28)),
        # The hour is repeated on 25 October and skipped on 29 March.
        (Schedule.DAILY, 2, MONDAY, datetime(2026, 10, 25, 0, 30, tzinfo=UTC), date(2026, 10, 25)),
        (Schedule.DAILY, 2, MONDAY, datetime(2026, 10, 25, 1, 30, tzinfo=UTC), date(2026, 10, 25)),
        (Schedule.DAILY, 2, MONDAY, datetime(2026, 3, 29, 0, 59, tzinfo=UTC), date(2026, 3, 28)),
        (Schedule.DAILY, 2, MONDAY, datetime(2026, 3, 29, 1, 30, tzinfo=UTC), date(2026, 3, 29)),
    ],
)
def test_a_summary_is_due_by_the_calendar_of_the_office(
    schedule: Schedule, hour: int, first: int, now: datetime, day: date | None
) -> None:
    zone = BERLIN if hour == 2 else TEHRAN
    assert due_day(schedule, hour, first, zone, now) == day


def test_a_summary_covers_the_days_before() -> None:
    assert days_of(Schedule.DAILY, date(2026, 3, 2)) == (date(2026, 3, 1), date(2026, 3, 1))
    assert days_of(Schedule.WEEKLY, date(2026, 3, 2)) == (date(2026, 2, 23), date(2026, 3, 1))
