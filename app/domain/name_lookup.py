"""Names that another program knows: what its answer says, and when it is asked again."""

import json
from datetime import timedelta

from app.domain.contacts import LONGEST_NAME
from app.domain.text import displayable

AGAIN_AFTER_FAILURE = timedelta(minutes=10)
DEFAULT_DAYS, MOST_DAYS = 7, 365  # for which an answer counts


class NoName(ValueError):
    """The answer is not what was expected."""


def name_from(body: bytes, field: str) -> str:
    """Return the name in an answer, "" if the program knows none. Raises NoName.

    `field`: the member of the JSON that has the name, with dots between ("customer.name"). "": the answer is text, and
    its first line is the name.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NoName from error
    if not field:
        return displayable(next(iter(text.strip().splitlines()), ""), LONGEST_NAME)
    if not text.strip():
        return ""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NoName from error
    for part in field.split("."):
        if isinstance(value, list):  # a list of what was found
            value = value[0] if value else None
        if value is None:
            return ""
        if not isinstance(value, dict):
            raise NoName
        value = value.get(part)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise NoName
    return displayable(" ".join(value.split()), LONGEST_NAME)
