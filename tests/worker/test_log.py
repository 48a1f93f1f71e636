"""The log shows no customer's number, except at debug."""

import logging

import pytest

from app.domain.text import mask_all, masked
from app.worker.log import MaskingFormatter


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("101", "101"),
        ("", ""),
        ("09121234567", "***567"),
        ("+989121234567", "***567"),
        ("0912\u202e1234567\r\n", "***567"),
        ("sip:x@10.0.0.1", "***0.1"),
    ],
)
def test_a_number_is_masked_unless_it_is_an_extension(number: str, shown: str) -> None:
    assert masked(number) == shown


def test_numbers_in_the_text_of_others_are_masked() -> None:
    assert mask_all("Key (number)=(+989121234567) exists; call 1782907200.17 at 12:00+0330") == (
        "Key (number)=(***567) exists; call 1782907200.17 at 12:00+0330"
    )


@pytest.mark.parametrize(("level", "shown"), [(logging.ERROR, False), (logging.INFO, False), (logging.DEBUG, True)])
def test_the_log_masks_messages_and_tracebacks_except_at_debug(level: int, shown: bool) -> None:
    try:
        raise ValueError("+989121234567 is there already")
    except ValueError as error:
        trace = (ValueError, error, error.__traceback__)
    record = logging.LogRecord("bazang", level, "file", 1, "number %s", ("+989121234567",), trace)
    assert ("9121234567" in MaskingFormatter().format(record)) is shown
