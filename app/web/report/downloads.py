"""Send the report as a CSV or an Excel file."""

import tempfile
from datetime import date
from pathlib import Path

from flask import Response, send_file
from flask_babel import gettext as _
from persiantools.jdatetime import JalaliDate

from app.services.report import export, query
from app.services.report.export import Wording
from app.web import wording
from app.web.context import current_scope, database, utcnow
from app.web.formats import is_persian, office_zone
from app.web.report.form import Search

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def send_csv(search: Search) -> Response:
    """Stream the filtered report as CSV."""
    lines = export.write_csv(_rows(search), _wording(), office_zone())
    response = Response(lines, content_type="text/csv; charset=utf-8")
    response.headers.set("Content-Disposition", "attachment", filename=f"{_file_name(search)}.csv")
    return response


def send_xlsx(search: Search) -> Response:
    """Send the filtered report as an Excel file. The file is deleted after it is sent."""
    with tempfile.TemporaryDirectory(prefix="bazang-") as folder:
        path = Path(folder) / "report.xlsx"
        export.write_xlsx(path, _rows(search), _wording(), office_zone())
        size, file = path.stat().st_size, path.open("rb")  # an open file stays readable after its deletion
    response = send_file(file, mimetype=XLSX, as_attachment=True, download_name=f"{_file_name(search)}.xlsx")
    response.content_length = size
    response.headers["Cache-Control"] = "no-store"
    return response


def _rows(search: Search):
    return query.stream(database(), current_scope(), search.filter(office_zone()), search.sort)


def _file_name(search: Search) -> str:
    """Name the file by its period, in ASCII."""
    days = [field.data for field in (search.form.registered_from, search.form.registered_to)]
    today = utcnow().astimezone(office_zone()).date()
    period = "_".join(_ascii_date(day) for day in days if day) or f"all_{_ascii_date(today)}"
    return f"bazang_{period}"


def _ascii_date(day: date) -> str:
    return str(JalaliDate(day).strftime("%Y-%m-%d")) if is_persian() else day.isoformat()


def _wording() -> Wording:
    titles = {
        "id": _("Request"),
        "operator": _("Operator"),
        "target": _("Extension or queue"),
        "module": _("Call request module"),
        "caller_number": _("Caller's number"),
        "caller_name": _("Caller's name"),
        "number": _("Received number"),
        "contact_name": _("Contact"),
        "created_by": _("Created by"),
        "registered_at": _("Date registered"),
        "done_at": _("Date done"),
        "status": _("Status"),
        "attempts": _("Attempts"),
        "note": _("Note"),
    }
    if is_persian():
        titles |= {
            "registered_at": _("Date registered (Gregorian)"),
            "registered_at_jalali": _("Date registered"),
            "done_at": _("Date done (Gregorian)"),
            "done_at_jalali": _("Date done"),
        }
    # Spreadsheets have no time zones, so the titles name it.
    titles |= {
        name: f"{title} ({office_zone().key})" for name, title in titles.items() if name.endswith(("_at", "_jalali"))
    }
    statuses = {status: str(label) for status, label in wording.STATUS.items()}
    return Wording(
        titles,
        statuses,
        caller=_("by phone"),
        missed_call=_("from a missed call"),
        website=_("website"),
        sheet=_("Report"),
        locale="fa" if is_persian() else "en",
    )
