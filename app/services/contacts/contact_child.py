"""Read a file of contacts in a child process: it may have any shape, and reading it may take any amount of time.

The request has `content`, `kind` ("csv" or "vcard"), and how many rows, columns and characters in a cell there may be.
The reply has `rows`: lists of cells, all of the same length; and `unreadable`: how many cards were left out. The rows
of a vCard file have the columns name, organisation, numbers (one a line) and note. Or the reply has `fault`: why the
file is refused.
This file imports nothing of ours.
"""

import csv
import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any

import vobject  # type: ignore[import-untyped]

_CARD = re.compile(r"^BEGIN:VCARD[ \t]*\r?$.*?^END:VCARD[ \t]*\r?$", re.IGNORECASE | re.MULTILINE | re.DOTALL)
_BEGIN = re.compile(r"^BEGIN:VCARD", re.IGNORECASE | re.MULTILINE)
# Pictures, sounds and keys: large, and not needed.
_BULKY = re.compile(
    r"^(?:[\w-]+\.)?(?:PHOTO|LOGO|SOUND|KEY|X-[\w-]+)[;:][^\n]*\n(?:[ \t][^\n]*\n)*", re.IGNORECASE | re.MULTILINE
)


def read_csv(content: str, limits: dict[str, int]) -> dict[str, Any]:
    """Return the cells of a CSV file, whose separator is the one that its first lines have most often."""
    head = content[:4000].split("\n", 5)[:5]
    counts = {separator: sum(line.count(separator) for line in head) for separator in (",", ";", "\t")}
    separator = max(counts, key=lambda each: counts[each])
    rows: list[list[str]] = []
    width = 0
    for row in csv.reader(io.StringIO(content, newline=""), delimiter=separator):
        cells = [cell.strip()[: limits["cell"]] for cell in row]
        if not any(cells):
            continue
        width = max(width, len(cells))
        rows.append(cells)
        if len(rows) > limits["rows"] or width > limits["columns"]:
            return {"fault": "contacts_size"}
    return {"rows": [row + [""] * (width - len(row)) for row in rows], "unreadable": 0}


def read_vcards(content: str, limits: dict[str, int]) -> dict[str, Any]:
    """Return the cards of a vCard file. A card that cannot be read is counted, and the others are taken."""
    count = len(_BEGIN.findall(content))
    if count == 0:
        return {"fault": "no_contacts"}
    if count > limits["cards"]:
        return {"fault": "contacts_size"}
    rows: list[list[str]] = []
    for found in _CARD.finditer(content):
        try:
            row = read_card(_BULKY.sub("", found[0].replace("\r\n", "\n")))
        except MemoryError:
            raise
        except Exception as error:  # the library raises many kinds for a damaged card
            logging.getLogger().debug("a card is left out: %r", error)
            continue
        rows.append([cell.strip()[: limits["cell"]] for cell in row])
    return {"rows": rows, "unreadable": count - len(rows)}


def read_card(text: str) -> list[str]:
    """Return name, organisation, numbers and note of a card."""
    card = next(vobject.readComponents(text, ignoreUnreadable=True, allowQP=True))
    name = next(filter(None, (*texts(card, "fn"), *(person(line.value) for line in lines(card, "n")))), "")
    organisation = next(filter(None, texts(card, "org")), "")
    return [name, organisation, "\n".join(texts(card, "tel")), next(filter(None, texts(card, "note")), "")]


def lines(card: Any, name: str) -> list[Any]:
    return list(card.contents.get(name, ()))


def texts(card: Any, name: str) -> Iterator[str]:
    for line in lines(card, name):
        value = line.value
        yield " ".join(map(str, value)).strip() if isinstance(value, list) else str(value).strip()


def person(value: Any) -> str:
    """Return a structured name as it is said."""
    parts = (value.prefix, value.given, value.additional, value.family, value.suffix)
    return " ".join(str(part).strip() for part in parts if isinstance(part, str) and part.strip())


def main() -> None:
    request = json.load(sys.stdin)
    logging.disable()
    csv.field_size_limit(1_000_000)
    read = read_vcards if request["kind"] == "vcard" else read_csv
    try:
        reply = read(request["content"], request["limits"])
    except MemoryError:
        raise
    except csv.Error as error:
        reply = {"fault": "no_contacts", "reason": repr(error)[:300]}
    json.dump(reply, sys.stdout)


if __name__ == "__main__":
    main()
