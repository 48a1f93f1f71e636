"""Ready templates for services to which offices send messages. Their formats are public; see docs/webhooks.md."""

from dataclasses import dataclass
from typing import Any

from flask_babel import lazy_gettext as _l

from app.domain.webhook_bodies import BodyFormat
from app.domain.webhooks import EVENTS, WebhookEvent

_BOT = '{\n  "chat_id": "{recipient}",\n  "text": "{text}"\n}'
_LINES = "{what}: {name} {number}\n{module} {target} {time}"
_ALARMS = (WebhookEvent.REGISTERED, WebhookEvent.FAILED, WebhookEvent.EXPIRED, WebhookEvent.TRUNK)


@dataclass(frozen=True)
class Preset:
    """What the form has in the beginning. `address` is an example. `hours`: None for the usual time."""

    label: Any
    about: Any
    address: str
    events: tuple[WebhookEvent, ...]
    body_format: BodyFormat = BodyFormat.STANDARD
    template: str = ""
    text: Any = ""
    to_customer: bool = False
    hours: int | None = None


PRESETS = {
    "program": Preset(
        _l("A program"),
        _l("A CRM, n8n, or a program of your own, which can check that messages are yours."),
        "https://crm.example.org/hooks/bazang",
        EVENTS,
    ),
    "sms": Preset(
        _l("SMS to the customer"),
        _l("Kavenegar and gateways like it. Tells customers after the last failed attempt that you have called."),
        "https://api.kavenegar.com/v1/API-KEY/sms/send.json",
        (WebhookEvent.FAILED,),
        BodyFormat.FORM,
        "receptor={recipient}\nsender=\nmessage={text}",
        _l("We have called you back, but could not reach you. Please call us again."),
        to_customer=True,
        hours=2,
    ),
    "telegram": Preset(
        _l("Telegram"),
        _l("A bot writes to a person or a group. The recipient is their chat_id."),
        "https://api.telegram.org/botTOKEN/sendMessage",
        _ALARMS,
        BodyFormat.JSON,
        _BOT,
        _LINES,
        hours=12,
    ),
    "bale": Preset(
        _l("Bale"),
        _l("A bot writes to a person or a group. The recipient is their chat_id."),
        "https://tapi.bale.ai/botTOKEN/sendMessage",
        _ALARMS,
        BodyFormat.JSON,
        _BOT,
        _LINES,
        hours=12,
    ),
    "slack": Preset(
        _l("Slack"),
        _l("Slack, Mattermost, Rocket.Chat: an incoming webhook of a channel."),
        "https://hooks.slack.com/services/T000/B000/KEY",
        _ALARMS,
        BodyFormat.CHAT,
        '{\n  "text": "{text}"\n}',
        _LINES,
        hours=12,
    ),
}
