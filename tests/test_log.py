"""Lines of the log: one for each event, whatever is in it, and no customer's number except at debug."""

import asyncio
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.domain.text import mask_all, masked, one_line
from app.log import JsonFormatter, TextFormatter, current_fields, log_fields, set_fields
from app.worker.background import BackgroundTasks
from app.worker.write_queue import WriteQueue

ROOT = Path(__file__).parent.parent
HOSTILE = "a\nINFO bazang: forged\r\x1b[2J\u2028\u202eb \x00"


def make_record(message: object, *args: object, level: int = logging.INFO, trace: Any = None) -> logging.LogRecord:
    return logging.LogRecord("bazang", level, "file", 1, message, args, trace)


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("PJSIP/09121234567-00000001", "PJSIP/09121234567-00000001"),  # a phone of the office, not a customer's
        ("number 09121234567.", "number ***567."),
        ("(02188776655)", "(***655)"),
        ("2026-03-02T08:00:00.000+00:00", "2026-03-02T08:00:00.000+00:00"),
        ("0a91212345 and 012345678901234567", "0a91212345 and 012345678901234567"),
    ],
)
def test_local_numbers_are_masked_but_not_parts_of_other_words(text: str, shown: str) -> None:
    assert mask_all(text) == shown


def test_a_text_becomes_one_line() -> None:
    assert one_line("plain") == "plain"
    assert one_line("می\u200cشود\n") == "می\u200cشود\\n"
    assert one_line(HOSTILE).isprintable()


def make_trace(text: str) -> Any:
    try:
        raise ValueError(text)
    except ValueError as error:
        return (ValueError, error, error.__traceback__)


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
@pytest.mark.parametrize(("level", "shown"), [(logging.ERROR, False), (logging.INFO, False), (logging.DEBUG, True)])
def test_the_log_masks_messages_and_tracebacks_except_at_debug(
    formatter: logging.Formatter, level: int, shown: bool
) -> None:
    trace = make_trace("+989121234567 is there already")
    line = formatter.format(make_record("number %s", "+989121234567", level=level, trace=trace))
    assert ("9121234567" in line) is shown


def test_a_line_of_text_is_one_line_and_its_traceback_is_indented() -> None:
    assert len(TextFormatter().format(make_record("caller %s", HOSTILE)).splitlines()) == 1
    lines = TextFormatter().format(make_record("failed", trace=make_trace(HOSTILE))).splitlines()
    assert len(lines) > 2
    assert all(line.startswith("  ") for line in lines[1:])


def test_a_json_line_is_one_line_with_all_of_it() -> None:
    record = make_record("caller %s", HOSTILE, level=logging.ERROR, trace=make_trace(HOSTILE))
    record.fields = {"status": 500}
    with log_fields(attempt="a1", request=7):
        line = JsonFormatter().format(record)
    assert len(line.splitlines()) == 1
    assert line.isascii()
    parsed = json.loads(line)
    assert "ValueError" in parsed.pop("exception")
    assert parsed.pop("time").endswith("+00:00")
    assert parsed == {
        **{"level": "error", "logger": "bazang", "message": f"caller {HOSTILE}"},
        **{"attempt": "a1", "request": 7, "status": 500},
    }


def test_a_message_whose_arguments_do_not_fit_is_logged_all_the_same() -> None:
    assert "no %d" in json.loads(JsonFormatter().format(make_record("no %d", "text")))["message"]


def test_fields_end_with_their_block() -> None:
    with log_fields(attempt="a1"):
        with log_fields(request=7):
            assert current_fields() == {"attempt": "a1", "request": 7}
        assert current_fields() == {"attempt": "a1"}
    assert current_fields() == {}
    set_fields(http_request="r1")
    assert "[r1]" in TextFormatter().format(make_record("x"))
    set_fields()
    assert "[" not in TextFormatter().format(make_record("x"))


async def test_tasks_and_writes_have_the_fields_of_who_began_them() -> None:
    seen: list[object] = []
    tasks, writes = BackgroundTasks(), WriteQueue()

    async def work() -> None:
        seen.append(current_fields()["attempt"])

    with log_fields(attempt="a1"):
        tasks.spawn(work())
        writes.put(lambda: seen.append(current_fields()["attempt"]))
    writes.put(lambda: seen.append(dict(current_fields())))
    running = asyncio.create_task(writes.run())
    await writes.drain(10)
    running.cancel()
    assert seen == ["a1", "a1", {}]


def test_in_json_what_python_reports_is_a_line_too() -> None:
    program = """
import threading, warnings
from app import log
log.set_up("json")
warnings.warn("a warning\\nin two lines")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise ValueError("+989121234567")
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert ended.returncode == 1
    assert [line["level"] for line in lines] == ["warning", "error", "critical"]
    assert "ZeroDivisionError" in lines[1]["exception"]
    assert "9121234567" not in ended.stderr
