"""Measure pages with many stored requests, and compare them with few requests and with Flask-Admin's list of the table.

Flask's test client calls the application in this process, without network and browser. The result is processor time,
including SQLite, so other processes do not influence it. The sides are measured alternately.
"""

import gc
import io
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import openpyxl
from flask import Flask
from flask.testing import FlaskClient
from flask_babel import Babel
from sqlalchemy import Engine, text
from sqlalchemy.orm import scoped_session, sessionmaker

from app import create_app, demo_data
from app.config import Settings
from app.services import sessions, users
from app.services.requests import perform
from app.services.requests.access import Scope
from app.services.requests.actions import ShownRequest, WriteNote
from app.store.database import Database
from app.store.models import CallRequest, WorkerState
from script.office.database import build_database, make_settings, open_database

ROOT = Path(__file__).resolve().parents[2]
FEW, MANY, WAITING = 100, 100_000, 20
MAX_RATIO, MIN_RATIO_FLASK_ADMIN = 1.3, 3.0
FLASK_ADMIN = "flask-admin==2.2.1"
PER_PAGE = 25
PAGES = {
    "pending requests": "/requests",
    "report": "/report",
    "report charts": "/report/charts",
    "report, page 500": "/report?period=all&page=500",
    "report, all by completion": "/report?period=all&sort=-done",
}
AFTER_A_CHANGE = ("report", "report charts", "report, page 500")
BENCH_SCOPE = Scope("bench", everything=True)
LATEST = 2**31 - 1  # a request version that is newer than every change
Measured = Callable[[], object]


class NotAvailable(Exception):
    """Flask-Admin is not available. The message says why."""


@dataclass
class Office:
    """An application with its database and a client that is logged in."""

    app: Flask
    client: FlaskClient
    database: Database
    changes: int = 0

    def page(self, address: str) -> Measured:
        def load() -> object:
            answer = self.client.get(address)
            assert answer.status_code == 200, f"{address}: {answer.status}"
            return answer

        return load

    def change(self) -> None:
        """Change a request, so that cached parts of pages become invalid."""
        self.changes += 1
        note = perform.perform(
            self.database, BENCH_SCOPE, WriteNote(f"note {self.changes}"), [ShownRequest(1, LATEST)], datetime.now(UTC)
        )
        assert [result.code for result in note] == ["done"], note


def run(runs: int) -> int:
    """Measure `runs` pairs and print the results. Return 1 if a limit is missed."""
    with tempfile.TemporaryDirectory(prefix="bazang-", ignore_cleanup_errors=True) as folder:
        few, many = open_office(Path(folder) / "few", FEW), open_office(Path(folder) / "many", MANY)
        print(f"Processor time of the server with {MANY:,} requests and with {FEW}, medians of {runs} alternate runs")
        missed = 0
        for name, address in PAGES.items():
            medians = _measure_medians([many.page(address), few.page(address)], runs)
            missed += _print_result(name, medians, f"{MANY:,}", str(FEW), medians[0] / medians[1], at_most=MAX_RATIO)
        for name in AFTER_A_CHANGE:  # the cost of the first page after a change grows with the requests
            medians = _measure_medians(
                [many.page(PAGES[name]), few.page(PAGES[name])], runs, before=[many.change, few.change]
            )
            _print_result(f"{name}, after a change", medians, f"{MANY:,}", str(FEW), medians[0] / medians[1])
        missed += _check_excel(many)
        return 1 if missed + _compare_with_flask_admin(many, runs) else 0


def _check_excel(many: Office) -> int:
    """Read the Excel file of all requests. Return 1 unless it has a row for each of them."""
    answer = many.client.get("/report.xlsx?period=all")
    sheet = openpyxl.load_workbook(io.BytesIO(answer.data), read_only=True).active
    rows = {row[0] for row in sheet.iter_rows(min_row=2, max_col=1, values_only=True)}
    print(f"Excel file of all:  {len(rows):,} rows, {len(answer.data) / 2**20:.1f} MB")
    return int(len(rows) != MANY)


def _add_running_worker(database: Database, now: datetime) -> None:
    """Store the state of a connected worker whose heartbeat outlasts the measurement."""
    with database.write() as session:
        session.add(
            WorkerState(
                id=1,
                heartbeat=now + timedelta(hours=1),
                ami_status="connected",
                asterisk_version="22.10.1",
                dialplan_written="1",
                dialplan_running="1",
            )
        )


def open_office(folder: Path, count: int) -> Office:
    """Build an office with `count` stored requests. A few of them wait."""
    folder.mkdir()
    path = build_database(folder)
    settings = make_settings(folder)
    demo_data.fill(open_database(path), settings, count, datetime.now(UTC), waiting=WAITING)
    return open_panel(settings)


def open_panel(settings: Settings) -> Office:
    """Return the panel of a filled database, with a running worker and a client of an administrator."""
    app = create_app(settings)
    app.config["TESTING"] = True
    database: Database = app.extensions["bazang"]["database"]
    now = datetime.now(UTC)
    users.create(database, "bench", "a long password", "administrator", now)
    users.set_locale(database, 1, "en")
    _add_running_worker(database, now)
    with database.write() as session:
        session.execute(text("ANALYZE"))
    token = sessions.start(database, users.get(database, 1), sessions.Client(), now, sessions.limits_of(settings))
    client = app.test_client()
    with client.session_transaction() as session:
        session["_user_id"], session["_fresh"] = token, True
    return Office(app, client, database)


def _measure_medians(sides: Sequence[Measured], runs: int, before: Sequence[Callable[[], None]] = ()) -> list[float]:
    """Return the median milliseconds of each side, measured alternately. The time of `before` does not count."""
    times: list[list[float]] = [[] for _ in sides]
    for turn in range(runs + 1):
        for prepare in before:
            prepare()
        for side, durations in zip(sides, times, strict=True):
            gc.collect()
            began = time.process_time()
            side()
            if turn > 0:  # the first run warms up
                durations.append((time.process_time() - began) * 1000)
    return [statistics.median(durations) for durations in times]


def _print_result(
    name: str,
    medians: Sequence[float],
    one: str,
    other: str,
    ratio: float,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
) -> bool:
    """Print a result and return whether it misses its limit."""
    line = f"{name + ':':<36} {medians[0]:6.1f} ms ({one}), {medians[1]:6.1f} ms ({other}), ratio {ratio:.2f}"
    if at_most is not None and ratio > at_most:
        print(f"{line}  MISSED: at most {at_most}")
    elif at_least is not None and ratio < at_least:
        print(f"{line}  MISSED: at least {at_least}")
    else:
        print(line)
        return False
    return True


def _compare_with_flask_admin(many: Office, runs: int) -> int:
    """Compare the report with Flask-Admin's list of the same rows. Return the number of missed limits."""
    try:
        other = _flask_admin(many.database.engine)
    except NotAvailable as missing:
        print(f"Left out, Flask-Admin's list: {missing}")
        return 0
    missed = 0
    for name, page in (("first page", 1), ("page 500", 500)):

        def load_flask_admin(page: int = page) -> object:
            answer = other.get(f"/admin/requests/?page={page - 1}")
            assert answer.status_code == 200 and answer.text.count("<tr") > PER_PAGE, answer.status
            return answer

        sides = [load_flask_admin, many.page(f"/report?period=all&page={page}")]
        medians = _measure_medians(sides, runs)
        ratio = medians[0] / medians[1]
        missed += _print_result(
            f"{name}, Flask-Admin's list", medians, "Flask-Admin", "Bazang", ratio, at_least=MIN_RATIO_FLASK_ADMIN
        )
        medians = _measure_medians(sides, runs, before=[many.change])
        _print_result(f"{name}, after a change", medians, "Flask-Admin", "Bazang", medians[0] / medians[1])
    return missed


def _flask_admin(engine: Engine) -> FlaskClient:
    """Return a client of Flask-Admin's request list with the columns and search of the report. Raises NotAvailable."""
    _fetch_flask_admin()
    from flask_admin import Admin  # type: ignore[import-not-found]
    from flask_admin.contrib.sqla import ModelView  # type: ignore[import-not-found]
    from flask_admin.contrib.sqla.filters import DateTimeBetweenFilter  # type: ignore[import-not-found]

    class Requests(ModelView):  # type: ignore[misc]
        page_size = PER_PAGE
        can_create = can_edit = can_delete = False
        column_list = (
            "id", "done_by", "target", "caller_number", "caller_name", "number", "created_by", "registered_at",
            "done_at", "status",
        )  # fmt: skip
        column_default_sort = ("registered_at", True)
        column_sortable_list = column_list
        column_filters = (
            DateTimeBetweenFilter(CallRequest.registered_at, "Registered"),
            DateTimeBetweenFilter(CallRequest.done_at, "Done"),
            "caller_number", "number", "done_by", "module_name", "target", "status",
        )  # fmt: skip

    app = Flask("flask_admin_list")
    app.config.update(SECRET_KEY="bench", TESTING=True)
    Babel(app)  # Flask-Admin uses it if it is installed
    admin = Admin(app, name="Requests")
    admin.add_view(Requests(CallRequest, scoped_session(sessionmaker(engine)), endpoint="requests"))
    return app.test_client()


def _fetch_flask_admin() -> None:
    """Install Flask-Admin into its own folder, without its dependencies. Raises NotAvailable."""
    home = ROOT / ".cache" / FLASK_ADMIN.replace("==", "-")
    if not (home / "flask_admin").is_dir():
        options = ["--no-deps", "--target", str(home), FLASK_ADMIN]
        installer = (
            ["uv", "pip", "install", "--quiet"]
            if shutil.which("uv")
            else [sys.executable, "-m", "pip", "install", "--quiet"]
        )
        done = subprocess.run([*installer, *options], capture_output=True, text=True)
        if done.returncode != 0:
            raise NotAvailable(f"cannot install {FLASK_ADMIN} ({(done.stderr.strip().splitlines() or ['?'])[-1]})")
    sys.path.append(str(home))
