"""The log of the worker: customers' numbers are masked, except at debug."""

import logging

from app.domain.text import mask_all


class MaskingFormatter(logging.Formatter):
    """Mask numbers that others put into a message, such as the database into the text of an error."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, with its traceback."""
        line = super().format(record)
        return line if record.levelno <= logging.DEBUG else mask_all(line)
