"""Store the summary of a day or a week for each recipient for whom it is due.

It is stored once in the outbox, in the transaction that notes the day. So a restart does not repeat it. If the worker
did not run when it was due, it comes as soon as it runs again; of several that were missed, only the newest one comes.
"""

import logging
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import exists, select

from app.config import Settings
from app.domain.lifecycle import Status
from app.domain.summaries import Schedule, days_of, due_day
from app.domain.webhooks import WebhookEvent
from app.services.missed.list import is_in_use, load_figures
from app.services.report import periods
from app.services.report.query import Filter
from app.services.report.statistics import statistics
from app.services.requests.access import Scope, Visibility
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import Webhook, WebhookMessage
from app.store.webhooks import MessageState

log = logging.getLogger(__name__)
_ALL = Scope("", everything=True)


def store_due(database: Database, settings: Settings, now: datetime) -> int:
    """Store the summaries that are due. Return how many."""
    with database.read() as session:
        wants = Webhook.summary != Schedule.NONE.value
        rows = session.execute(
            select(Webhook.id, Webhook.summary, Webhook.summary_hour, Webhook.summary_day).where(wants)
        )
        wanted = [(row.id, Schedule(row.summary), row.summary_hour, row.summary_day) for row in rows]
        if not wanted:
            return 0
        office = store_settings.office(session, settings)
    zone, first_weekday = ZoneInfo(office.timezone), periods.first_weekday(office.locale)
    figures: dict[tuple[Schedule, date], Mapping[str, Any]] = {}
    stored = 0
    for webhook_id, schedule, hour, last in wanted:
        day = due_day(schedule, hour, first_weekday, zone, now)
        if day is None or day == last:
            continue
        if (schedule, day) not in figures and last is not None and last < day:
            figures[schedule, day] = load(database, schedule, day, zone)
        stored += _store(database, webhook_id, schedule, day, figures.get((schedule, day)), now)
    return stored


def load(database: Database, schedule: Schedule, day: date, zone: ZoneInfo) -> Mapping[str, Any]:
    """Return the figures of the summary that was due on a day, ready for JSON.

    They are those of the report for the requests that were registered on the days before.
    """
    first, last = days_of(schedule, day)
    period = periods.between(first, last, zone)
    found = statistics(database, _ALL, Filter(registered_from=period.start, registered_to=period.end), zone)
    with database.read() as session:
        missed = load_figures(session, Visibility(everything=True), period) if is_in_use(session) else None
    ended = {
        name: found.outcomes.get(status, 0)
        for name, status in (
            ("reached", Status.DONE),
            ("failed", Status.FAILED),
            ("expired", Status.EXPIRED),
            ("cancelled", Status.CANCELLED),
        )
    }
    return {
        "first": first.isoformat(),
        "last": last.isoformat(),
        "registered": found.total,
        **ended,
        "open": found.total - sum(ended.values()),
        "median": found.delay.median,
        "missed": missed.missed if missed is not None else None,
        "missed_open": missed.open if missed is not None else None,
    }


def _store(
    database: Database,
    webhook_id: int,
    schedule: Schedule,
    day: date,
    figures: Mapping[str, Any] | None,
    now: datetime,
) -> bool:
    """Note that the summary of a day is done, and store it if there are figures. Return whether it was stored.

    Without figures there is nothing to tell: the recipient has just been added, or the clock was put back and the day
    of the last summary is in the future. Its id has the day, so that a day comes once although the clock went back.
    """
    uid = f"summary_{schedule}_{day.isoformat()}"
    with database.write() as session:
        row = session.get(Webhook, webhook_id, with_for_update=True)
        if row is None or row.summary != schedule.value or row.summary_day == day:
            return False  # somebody has changed it meanwhile
        row.summary_day = day
        is_there = exists().where(WebhookMessage.webhook_id == webhook_id, WebhookMessage.uid == uid)
        if figures is None or not row.active or session.scalar(select(is_there)):
            return False
        message = WebhookMessage(webhook_id=webhook_id, uid=uid, event=WebhookEvent.SUMMARY.value)
        message.data, message.state = {"summary": dict(figures)}, MessageState.WAITING.value
        message.at = message.since = message.next_at = now
        session.add(message)
    log.info("the %s summary of %s is stored for destination %s", schedule, day, webhook_id)
    return True
