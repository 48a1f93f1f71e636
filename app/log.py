"""The log of panel and worker: one line for each event, as text or as JSON, without customers' numbers.

Numbers are masked in every line except at debug. What a line belongs to, such as an attempt, is said by `log_fields`
around the work, and not by each message.
"""

import json
import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import Any, Literal

from app.domain.text import mask_all, one_line

Format = Literal["text", "json"]
HTTP_REQUEST = "http_request"  # the field with the identifier of a request to the panel
_NONE: Mapping[str, Any] = MappingProxyType({})
_FIELDS: ContextVar[Mapping[str, Any]] = ContextVar("log_fields", default=_NONE)
_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def current_fields() -> Mapping[str, Any]:
    """Return the fields of the lines that are logged now."""
    return _FIELDS.get()


def set_fields(**fields: Any) -> None:
    """Give the lines of this thread or task these fields from now on, and no others."""
    _FIELDS.set(fields)


@contextmanager
def log_fields(**fields: Any) -> Iterator[None]:
    """Give the lines that are logged inside a `with` block, and in tasks that begin there, these fields, too."""
    token = _FIELDS.set({**_FIELDS.get(), **fields})
    try:
        yield
    finally:
        _FIELDS.reset(token)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # arguments that do not fit: the line still counts
        return f"{record.msg} {record.args!r}"


class TextFormatter(logging.Formatter):
    """One line for people. A traceback follows in indented lines, so no line of it can pass for one of the log."""

    def __init__(self) -> None:
        super().__init__(_TEXT)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, with its traceback."""
        line = super().format(record)
        return line if record.levelno <= logging.DEBUG else mask_all(line)

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line without a traceback."""
        number = current_fields().get(HTTP_REQUEST)  # the messages themselves name attempts and requests
        return one_line(super().formatMessage(record) + (f" [{number}]" if number else ""))

    def formatException(self, ei: Any) -> str:
        """Return the traceback, indented."""
        lines = super().formatException(ei).splitlines()
        return "\n".join(f"  {one_line(line)}" for line in lines)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, the fields, and the traceback as `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
            **current_fields(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        text = json.dumps(line, default=str)  # ASCII only: no character in it ends the line
        return text if record.levelno <= logging.DEBUG else mask_all(text)


def set_up(log_format: Format, *, level: int = logging.INFO) -> None:
    """Send the log of this process to its error output. In JSON, what Python itself reports is logged, too."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler])
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    if log_format == "json":
        logging.captureWarnings(True)
        sys.excepthook = _log_end
        threading.excepthook = _log_thread


def _log_end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        logging.getLogger("bazang").critical("the process ends with an error", exc_info=(kind, error, trace))


def _log_thread(arguments: threading.ExceptHookArgs) -> None:
    if arguments.exc_value is not None:
        error = arguments.exc_value
        logging.getLogger("bazang").error("a thread has failed", exc_info=(type(error), error, error.__traceback__))
