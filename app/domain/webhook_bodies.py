"""The bodies that other services want: a template with placeholders, filled without any way out of its strings.

A template is parsed before anything is put into it. So what a caller typed or what a name contains stays inside the
value where its placeholder stood, whatever characters it has.
"""

import json
import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any
from urllib.parse import quote_plus

from app.domain.webhooks import WebhookEvent

LONGEST_TEMPLATE = 4000
LONGEST_TEXT = 1000
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
# What a text can contain; `text` is the filled text itself, for templates.
PLACEHOLDERS = (
    *("what", "event", "time", "id", "number", "number_e164", "name", "module", "target", "agent", "attempts"),
    *("trunk", "recipient", "recipient_e164", "exchange"),
)


class BodyFormat(StrEnum):
    STANDARD = "standard"  # the JSON of docs/webhooks.md
    JSON = "json"  # a template
    FORM = "form"  # a template with a line for each field: name=value
    CHAT = "chat"  # as JSON, for chats in which <, > and & mean something


CONTENT_TYPE = {
    BodyFormat.STANDARD: "application/json",
    BodyFormat.JSON: "application/json",
    BodyFormat.FORM: "application/x-www-form-urlencoded",
    BodyFormat.CHAT: "application/json",
}


class BadTemplate(ValueError):
    """The template cannot be used. `placeholder`: one that does not exist; "": it is not in its format."""

    def __init__(self, placeholder: str = "") -> None:
        super().__init__(placeholder)
        self.placeholder = placeholder


def check_text(text: str) -> None:
    """Raises BadTemplate if a text has a placeholder that does not exist."""
    _check(text, PLACEHOLDERS)


def check_template(body_format: BodyFormat, template: str) -> None:
    """Raises BadTemplate."""
    _check(template, (*PLACEHOLDERS, "text"))
    render(body_format, template, "", dict.fromkeys(PLACEHOLDERS, ""))


def render_text(text: str, values: Mapping[str, str]) -> str:
    """Return a text with its placeholders filled. What fills one is not searched for others."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)


def render(body_format: BodyFormat, template: str, text: str, values: Mapping[str, str]) -> str:
    """Return the body for a template. `text` may have placeholders and stands for {text}. Raises BadTemplate."""
    filled = dict(values) | {"text": render_text(text, values)}
    if body_format is BodyFormat.FORM:
        fields = [line.partition("=") for line in template.splitlines() if line.strip()]
        if not fields or not all(name.strip() and equals for name, equals, _value in fields):
            raise BadTemplate
        pairs = ((name.strip(), render_text(value.strip(), filled)) for name, _equals, value in fields)
        return "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs)
    if body_format is BodyFormat.CHAT:
        filled = {name: _without_markup(value) for name, value in filled.items()}
    try:
        content = json.loads(template)
        body = json.dumps(_walk(content, lambda value: render_text(value, filled)), ensure_ascii=False)
    except (ValueError, RecursionError) as error:
        raise BadTemplate from error
    if not isinstance(content, dict):
        raise BadTemplate
    return body


def _walk(content: Any, fill: Callable[[str], str]) -> Any:
    if isinstance(content, str):
        return fill(content)
    if isinstance(content, list):
        return [_walk(value, fill) for value in content]
    if isinstance(content, dict):
        return {name: _walk(value, fill) for name, value in content.items()}
    return content


def _without_markup(value: str) -> str:
    """Return a value as Slack and its like want it. Otherwise a caller named <!channel> would ring everybody."""
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _check(text: str, known: tuple[str, ...]) -> None:
    for name in _PLACEHOLDER.findall(text):
        if name not in known:
            raise BadTemplate(name)


# What {what} says.
WHAT: Mapping[str, Mapping[WebhookEvent, str]] = {
    "en": {
        WebhookEvent.REGISTERED: "New call request",
        WebhookEvent.STARTED: "A call request is being called",
        WebhookEvent.CONNECTED: "A call request is connected",
        WebhookEvent.DONE: "A call request is done",
        WebhookEvent.FAILED: "A call request has failed",
        WebhookEvent.CANCELLED: "A call request was cancelled",
        WebhookEvent.EXPIRED: "A call request has expired",
        WebhookEvent.TRUNK: "Calls to customers fail",
        WebhookEvent.SUMMARY: "Summary",
        WebhookEvent.TEST: "Test",
    },
    "fa": {
        WebhookEvent.REGISTERED: "درخواست تماس جدید",
        WebhookEvent.STARTED: "در حال تماس برای یک درخواست",
        WebhookEvent.CONNECTED: "تماس یک درخواست متصل شد",
        WebhookEvent.DONE: "یک درخواست تماس انجام شد",
        WebhookEvent.FAILED: "یک درخواست تماس ناموفق ماند",
        WebhookEvent.CANCELLED: "یک درخواست تماس لغو شد",
        WebhookEvent.EXPIRED: "یک درخواست تماس منقضی شد",
        WebhookEvent.TRUNK: "تماس با مشتریان برقرار نمی‌شود",
        WebhookEvent.SUMMARY: "خلاصه",
        WebhookEvent.TEST: "آزمایش",
    },
}
