"""Export contacts as CSV, in the form that the import reads."""

import csv
import io
from collections.abc import Iterator, Mapping
from datetime import datetime

from app.domain import numbers
from app.services import audit
from app.services.audit import AuditAction
from app.services.contacts.list import load_all
from app.services.report.export import CHUNK, safe_cell
from app.store import pbx_state
from app.store.database import Database

COLUMNS = ("name", "organisation", "numbers", "note")


def write_csv(database: Database, titles: Mapping[str, str], *, actor: str, now: datetime) -> Iterator[bytes]:
    """Return the parts of a CSV file in UTF-8 with a byte order mark. The audit log gets an entry.

    `titles` has one for each of COLUMNS.
    """
    with database.read() as session:
        found, region = load_all(session), pbx_state.office_region(session)
    audit.add(database, actor, AuditAction.CONTACTS_EXPORTED, {"contacts": len(found)}, now)

    def write() -> Iterator[bytes]:
        buffer = io.StringIO()
        writer = csv.writer(buffer)
        buffer.write("\ufeff")
        writer.writerow([safe_cell(titles[name]) for name in COLUMNS])
        for data in found.values():
            written = "; ".join(numbers.national(number, region) for number in data.numbers)
            writer.writerow(list(map(safe_cell, (data.name, data.organisation, written, data.note))))
            if buffer.tell() >= CHUNK:
                yield buffer.getvalue().encode()
                buffer.seek(0)
                buffer.truncate()
        yield buffer.getvalue().encode()

    return write()
