"""Test the mail server: the page asks, the worker sends, and the page waits for what came of it."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.config import Settings
from app.domain.mail import Letter, MailServer, is_address
from app.domain.webhooks import WebhookEvent
from app.services import commands
from app.services.errors import ErrorCode, Invalid
from app.services.webhooks import letters, outbox
from app.store import encryption
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import Webhook, WebhookMessage

LONGEST = 12.0  # seconds for which the worker tries it
WAIT = 15.0  # seconds for which the page waits


@dataclass(frozen=True)
class TestResult:
    """What came of a test. `result` is a code as in the log of messages, `reply` is what the server has said."""

    __test__ = False  # pytest looks for classes with this name

    is_taken: bool
    result: str
    reply: str = ""


def run(database: Database, address: str, language: str, *, actor: str, now: datetime) -> TestResult | None:
    """Send a test to an address. Return None if the worker does not answer. Raises Invalid."""
    if not is_address(address):
        raise Invalid({"address": ErrorCode.ADDRESS if address else ErrorCode.REQUIRED})
    payload = {"address": address, "language": language}
    answered = commands.send_and_wait(database, commands.TEST_MAIL, payload, actor=actor, now=now, seconds=WAIT)
    if answered is None or not answered.ok:
        return None
    return TestResult(**json.loads(answered.result))


def prepare(
    database: Database, settings: Settings, payload: Mapping[str, Any], now: datetime
) -> tuple[MailServer, Letter] | TestResult:
    """Return what the worker sends for a test, or why it cannot. Raises KeyError for a bad payload."""
    message = WebhookMessage(uid=f"test_{secrets.token_hex(16)}", event=WebhookEvent.TEST.value, data={}, at=now)
    recipient = Webhook(id=0, recipient=payload["address"], language=payload["language"])
    with database.read() as session:
        stored = store_settings.read_all(session)
        try:
            server = store_settings.mail_server(settings, stored)
        except encryption.CannotDecrypt:
            return TestResult(False, "mail_key")
        if server is None:
            return TestResult(False, "no_server")
        return server, letters.write(message, recipient, outbox.load_letter_office(session, settings, stored, server))


def pack(result: TestResult) -> str:
    """Return a result as it is stored in the answer of the command."""
    return json.dumps({"is_taken": result.is_taken, "result": result.result, "reply": result.reply})
