"""Write the e-mail of a message: plain text and HTML, in the language of its recipient.

Nothing that a caller said or typed can become a header or markup: texts are made one line before they are put into the
subject, the library refuses line ends in headers, and the template escapes what it is given.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.domain import numbers
from app.domain.mail import Letter, domain_of
from app.domain.mail_texts import TEXTS, MailText
from app.domain.text import displayable
from app.domain.webhook_bodies import WHAT
from app.domain.webhooks import WebhookEvent
from app.services import dates
from app.store.models import Webhook, WebhookMessage

_POLICY = SMTP.clone(cte_type="7bit")  # servers without 8BITMIME take it, too
_LONGEST_SUBJECT = 150
_TEMPLATE = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
).get_template("letter.html.jinja")


@dataclass(frozen=True)
class Office:
    """What letters need to know of the office. `panel_url`: with a slash at the end, "" if it is not known.

    `exchange`: the name of this one of several exchanges, "" if there is one only or it has no name. `suffix`: what is
    added to the ids of letters, which must differ from those of other exchanges.
    """

    zone: ZoneInfo
    region: str
    sender: str
    panel_url: str = ""
    exchange: str = ""
    suffix: str = ""


@dataclass(frozen=True)
class Line:
    """A label and its value. `is_code`: the value is a number or the like, which is written from left to right."""

    label: str
    value: str
    is_code: bool = False


def write(message: WebhookMessage, webhook: Webhook, office: Office, contact_name: str = "") -> Letter:
    """Return the e-mail of a message. `contact_name`: who has the number, "" if nobody.

    It is the same whenever it is sent again, but for a changed destination or contact.
    """
    writer = _Writer(message, webhook, office, contact_name)
    content = EmailMessage(policy=_POLICY)
    content["From"] = Address("Bazang", addr_spec=office.sender)
    content["To"] = Address(addr_spec=webhook.recipient)
    content["Subject"] = writer.subject
    content["Date"] = message.at
    content["Message-ID"] = f"<{message.uid}.{webhook.id}{office.suffix}@{domain_of(office.sender)}>"
    content["Auto-Submitted"] = "auto-generated"  # so that no holiday note comes back (RFC 3834)
    content.set_content(writer.plain())
    content.add_alternative(writer.html(), subtype="html")
    content["Content-Language"] = writer.language
    content.set_boundary(f"=={message.uid}.{webhook.id}==")
    return Letter(webhook.recipient, content.as_bytes())


class _Writer:
    def __init__(self, message: WebhookMessage, webhook: Webhook, office: Office, contact_name: str) -> None:
        self._message, self._office, self._data = message, office, message.data
        self.language = webhook.language if webhook.language in TEXTS else "en"
        self._texts, self._event = TEXTS[self.language], WebhookEvent(message.event)
        self._request: dict[str, Any] = self._data.get("request") or {}
        claimed = str(self._request.get("name", ""))
        self._name = contact_name or claimed
        self._claimed_name = claimed if contact_name else ""

    @property
    def title(self) -> str:
        if self._event is not WebhookEvent.SUMMARY:
            return WHAT[self.language][self._event]
        summary = self._data["summary"]
        first, last = (dates.day(date.fromisoformat(summary[name]), self.language) for name in ("first", "last"))
        text = MailText.OF_DAY if first == last else MailText.OF_WEEK
        return self._texts[text].format(first=first, last=last)

    @property
    def subject(self) -> str:
        """Return one line: what has happened, and whom it concerns."""
        about = " ".join(filter(None, (self._name, self._number())))
        sender = "Bazang" if self.language == "en" else "بازنگ"
        where = f" ({self._office.exchange})" if self._office.exchange else ""
        parts = (sender, where, ": ", self.title, f" – {about}" if about else "")
        return displayable(" ".join("".join(parts).split()), _LONGEST_SUBJECT)

    def plain(self) -> str:
        lines = [self.title, ""]
        lines += [f"{each.label}: {self._isolated(each)}" for each in self.lines()]
        if self.note:
            lines += [self.note]
        if self.url:
            lines += ["", f"{self.url_label}:", self.url]
        return "\n".join([*lines, "", "--", self._texts[MailText.FOOTER], ""])

    def _isolated(self, line: Line) -> str:
        """Return a value for plain text. Otherwise a plus would stand behind its number in a Persian line."""
        return f"\u2066{line.value}\u2069" if line.is_code and self.language == "fa" else line.value

    def html(self) -> str:
        return _TEMPLATE.render(
            language=self.language,
            direction="rtl" if self.language == "fa" else "ltr",
            title=self.title,
            lines=list(self.lines()),
            note=self.note,
            url=self.url,
            url_label=self.url_label,
            footer=self._texts[MailText.FOOTER],
        )

    @property
    def note(self) -> str:
        return self._texts[MailText.TESTED] if self._event is WebhookEvent.TEST else ""

    @property
    def url(self) -> str:
        base, request = self._office.panel_url, self._request.get("id")
        return f"{base}requests/{int(request)}" if base and request else base

    @property
    def url_label(self) -> str:
        return self._texts[MailText.OPEN_REQUEST if self._request.get("id") else MailText.OPEN_PANEL]

    # -- what happened ------------------------------------------------------------------------------------------------

    def lines(self) -> Iterator[Line]:
        """Yield what is known of the event. What is empty is left out."""
        of_event = self._of_summary() if self._event is WebhookEvent.SUMMARY else self._of_event()
        for label, value, is_code in ((MailText.EXCHANGE, self._office.exchange, False), *of_event):
            if shown := displayable(" ".join(str(value).split())):
                yield Line(self._texts[label], dates.digits(shown, self.language) if is_code else shown, is_code)

    def _of_event(self) -> Iterator[tuple[MailText, object, bool]]:
        request, trunk = self._request, self._data.get("trunk") or {}
        target = request.get("target") or {}
        yield MailText.NAME, self._name, False
        yield MailText.CLAIMED_NAME, self._claimed_name, False
        yield MailText.NUMBER, self._number(), True
        yield MailText.MODULE, (request.get("module") or {}).get("name", ""), False
        yield MailText.QUEUE if target.get("kind") == "queue" else MailText.EXTENSION, target.get("code", ""), True
        yield MailText.AGENT, self._message.agent, True
        yield MailText.DONE_BY, request.get("done_by", ""), False
        yield MailText.BY, self._data.get("by", ""), False
        yield MailText.ATTEMPTS, request.get("attempts") or "", True
        yield MailText.TRUNK, trunk.get("context", ""), True
        yield MailText.CAUSE, trunk.get("cause", ""), True
        yield MailText.TIME, self._moment(self._message.at), True
        if self._event is not WebhookEvent.REGISTERED and request.get("registered_at"):
            yield MailText.REGISTERED_AT, self._moment(datetime.fromisoformat(request["registered_at"])), True
        yield MailText.REQUEST, request.get("id", ""), True

    def _of_summary(self) -> Iterator[tuple[MailText, object, bool]]:
        summary = self._data["summary"]
        for name in ("registered", "reached", "failed", "expired", "cancelled", "open"):
            yield MailText(name), summary[name], True
        if summary["median"] is not None:
            yield MailText.MEDIAN, dates.duration(summary["median"], self.language), True
        for name in ("missed", "missed_open"):
            if summary[name] is not None:
                yield MailText(name), summary[name], True
        yield MailText.TIME, self._moment(self._message.at), True

    def _number(self) -> str:
        number = str(self._request.get("number", ""))
        return numbers.national(number, self._office.region) if number else ""

    def _moment(self, value: datetime) -> str:
        return dates.moment(value, self._office.zone, self.language)
