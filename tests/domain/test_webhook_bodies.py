"""Templates of other services are filled, and nothing that is filled in gets out of its value."""

import json
from urllib.parse import parse_qsl

import pytest

from app.domain.webhook_bodies import (
    PLACEHOLDERS,
    WHAT,
    BadTemplate,
    BodyFormat,
    check_template,
    check_text,
    render,
    render_text,
)
from app.domain.webhooks import WebhookEvent

TELEGRAM = '{"chat_id": "{recipient}", "text": "{text}", "silent": true, "keys": [["{id}", 1]]}'
VALUES = dict.fromkeys(PLACEHOLDERS, "") | {"recipient": "42", "number": "09121234567", "name": "Sara", "id": "7"}
# What a caller may have as a name.
HOSTILE = '"}, {"chat_id": "1"\n&to=1<!channel>{recipient}{text}\\'


def test_json_is_filled() -> None:
    body = render(BodyFormat.JSON, TELEGRAM, "Call {name}: {number}", VALUES)
    assert json.loads(body) == {"chat_id": "42", "text": "Call Sara: 09121234567", "silent": True, "keys": [["7", 1]]}


def test_a_form_is_filled() -> None:
    template = "receptor={recipient}\n\nsender = 1000 \nmessage={text}\nempty="
    body = render(BodyFormat.FORM, template, "سلام {name} & {number}", VALUES)
    assert parse_qsl(body, keep_blank_values=True) == [
        ("receptor", "42"),
        ("sender", "1000"),
        ("message", "سلام Sara & 09121234567"),
        ("empty", ""),
    ]


def test_what_is_filled_in_stays_in_its_value() -> None:
    values = VALUES | {"name": HOSTILE}
    assert json.loads(render(BodyFormat.JSON, TELEGRAM, "{name}", values))["text"] == HOSTILE
    assert json.loads(render(BodyFormat.JSON, TELEGRAM, "{name}", values))["chat_id"] == "42"
    form = parse_qsl(render(BodyFormat.FORM, "a={text}\nto=2", "{name}", values))
    assert form == [("a", HOSTILE), ("to", "2")]


def test_a_chat_gets_no_markup_from_a_name() -> None:
    chat = json.loads(render(BodyFormat.CHAT, '{"text": "{text}"}', "<b> {name}", VALUES | {"name": "<!channel> & co"}))
    assert chat == {"text": "&lt;b&gt; &lt;!channel&gt; &amp; co"}


def test_a_placeholder_is_filled_once() -> None:
    assert render_text("{name}", {"name": "{number}", "number": "1"}) == "{number}"


@pytest.mark.parametrize(
    ("body_format", "template"),
    [
        (BodyFormat.JSON, ""),
        (BodyFormat.JSON, "{text}"),
        (BodyFormat.JSON, '["{text}"]'),
        (BodyFormat.JSON, '{"text": {text}}'),
        (BodyFormat.JSON, '{"a": ' + "[" * 1900 + "]" * 1900 + "}"),
        (BodyFormat.CHAT, "text={text}"),
        (BodyFormat.FORM, ""),
        (BodyFormat.FORM, "only a line"),
        (BodyFormat.FORM, "={text}"),
    ],
)
def test_a_template_that_is_not_in_its_format_is_refused(body_format: BodyFormat, template: str) -> None:
    with pytest.raises(BadTemplate) as caught:
        check_template(body_format, template)
    assert caught.value.placeholder == ""


@pytest.mark.parametrize("text", ["{nothing}", "{config}", "{text}", "a {number} {secret_key}"])
def test_unknown_placeholders_are_refused(text: str) -> None:
    with pytest.raises(BadTemplate) as caught:
        check_text(text)
    assert f"{{{caught.value.placeholder}}}" in text


@pytest.mark.parametrize(
    "text", ["", "{}", "{ number }", "{0}", "{number!r}", "{number.__class__}", "{{7*7}}", "{%x%}"]
)
def test_nothing_but_a_placeholder_means_anything(text: str) -> None:
    check_text(text)
    assert render_text(text, VALUES) == text


def test_a_template_may_have_every_placeholder() -> None:
    check_template(BodyFormat.JSON, json.dumps({name: f"{{{name}}}" for name in (*PLACEHOLDERS, "text")}))


def test_every_event_has_its_words() -> None:
    assert all(words.keys() == set(WebhookEvent) for words in WHAT.values())
