"""What pages take with many requests stored, beside few, and beside the list that Flask-Admin makes of the same table.

Everything is measured within this process, by a client that asks the application itself: no network, no browser. It
is the time of the processor, the database's included (it is SQLite), so that others' work does not count; and the sides
take turns.
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
from app.services import users
from app.services.requests import perform
from app.services.requests.access import Scope
from app.services.requests.actions import ShownRequest, WriteNote
from app.store.database import Database
from app.store.models import CallRequest, WorkerState
from app.web.accounts.session import SessionUser
from script.office.database import build_database, make_settings, open_engine

ROOT = Path(__file__).resolve().parents[2]
FEW, MANY, WAITING = 100, 100_000, 20
AIM, AIM_BESIDE = 1.3, 3.0
FLASK_ADMIN = "flask-admin==2.2.1"
PER_PAGE = 25
PAGES = {
    "pending requests": "/requests",
    "report": "/report",
    "its charts": "/report/charts",
    "page 500 of its list": "/report?period=all&page=500",
    "all of it, the last done first": "/report?period=all&sort=-done",
}
AFTER_A_CHANGE = ("report", "its charts", "page 500 of its list")
EVERYBODY = Scope("bench", everything=True)
LATEST = 2**31 - 1  # a version: whatever others did with the request was seen
Ask = Callable[[], object]


class Missing(Exception):
    """What there is to compare with is not there; the message says why."""


@dataclass
class Office:
    """An application with its database, and somebody who is logged in."""

    app: Flask
    client: FlaskClient
    database: Database
    path: Path
    changes: int = 0

    def ask(self, address: str) -> Ask:
        def once() -> object:
            answer = self.client.get(address)
            assert answer.status_code == 200, f"{address}: {answer.status}"
            return answer

        return once

    def change(self) -> None:
        """Change a request, as somebody does every other moment: what was built before is good no longer."""
        self.changes += 1
        note = perform.perform(
            self.database, EVERYBODY, WriteNote(f"note {self.changes}"), [ShownRequest(1, LATEST)], datetime.now(UTC)
        )
        assert [result.code for result in note] == ["done"], note


def run(runs: int) -> int:
    """Measure that many pairs and print what was found; return 1 where an aim is missed."""
    with tempfile.TemporaryDirectory(prefix="bazang-", ignore_cleanup_errors=True) as folder:
        few, many = _open(Path(folder) / "few", FEW), _open(Path(folder) / "many", MANY)
        print(f"Processor time of the server with {MANY:,} requests stored beside {FEW}, medians of {runs}, turn about")
        missed = 0
        for name, address in PAGES.items():
            changed = _measure([many.ask(address), few.ask(address)], runs)
            missed += _tell(name, changed, f"{MANY:,}", str(FEW), changed[0] / changed[1], at_most=AIM)
        for name in AFTER_A_CHANGE:  # what grows with the period's requests, for the first one who looks
            anew = _measure([many.ask(PAGES[name]), few.ask(PAGES[name])], runs, before=[many.change, few.change])
            _tell(f"{name}, after a change", anew, f"{MANY:,}", str(FEW), anew[0] / anew[1])
        missed += _excel_opens(many)
        return 1 if missed + _beside(many, runs) else 0


def _excel_opens(many: Office) -> int:
    """Read the Excel file of all requests back; return 1 unless it has each of them."""
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


def _open(folder: Path, count: int) -> Office:
    """Build an office in which so many requests are stored, of which a few wait."""
    folder.mkdir()
    path = build_database(folder)
    app = create_app(make_settings(folder))
    app.config["TESTING"] = True
    database: Database = app.extensions["bazang"]["database"]
    now = datetime.now(UTC)
    users.create(database, "bench", "a long password", "administrator", now)
    users.set_locale(database, 1, "en")
    _add_running_worker(database, now)
    demo_data.fill(database, make_settings(folder), count, now, waiting=WAITING)
    with database.write() as session:
        session.execute(text("ANALYZE"))
    client = app.test_client()
    with client.session_transaction() as session:
        session["_user_id"], session["_fresh"] = SessionUser(users.get(database, 1)).get_id(), True
    return Office(app, client, database, path)


def _measure(sides: Sequence[Ask], runs: int, before: Sequence[Callable[[], None]] = ()) -> list[float]:
    """Return the median milliseconds of each side, turn about; what is done `before` a turn does not count."""
    times: list[list[float]] = [[] for _ in sides]
    for turn in range(runs + 1):
        for happens in before:
            happens()
        for side, took in zip(sides, times, strict=True):
            gc.collect()
            began = time.process_time()
            side()
            if turn > 0:  # the first finds everything cold
                took.append((time.process_time() - began) * 1000)
    return [statistics.median(took) for took in times]


def _tell(
    name: str,
    medians: Sequence[float],
    one: str,
    other: str,
    ratio: float,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
) -> bool:
    """Print what was found; return whether it misses its aim."""
    line = f"{name + ':':<36} {medians[0]:6.1f} ms ({one}), {medians[1]:6.1f} ms ({other}), ratio {ratio:.2f}"
    if at_most is not None and ratio > at_most:
        print(f"{line}  MISSED: at most {at_most}")
    elif at_least is not None and ratio < at_least:
        print(f"{line}  MISSED: at least {at_least}")
    else:
        print(line)
        return False
    return True


def _beside(many: Office, runs: int) -> int:
    """Compare the report with Flask-Admin's list of the same rows."""
    try:
        other = _flask_admin(open_engine(many.path))
    except Missing as missing:
        print(f"Left out, Flask-Admin's list: {missing}")
        return 0
    missed = 0
    for name, page in (("first page", 1), ("page 500", 500)):

        def theirs(page: int = page) -> object:
            answer = other.get(f"/admin/requests/?page={page - 1}")
            assert answer.status_code == 200 and answer.text.count("<tr") > PER_PAGE, answer.status
            return answer

        sides = [theirs, many.ask(f"/report?period=all&page={page}")]
        medians = _measure(sides, runs)
        ratio = medians[0] / medians[1]
        missed += _tell(f"{name}, Flask-Admin's list", medians, "theirs", "ours", ratio, at_least=AIM_BESIDE)
        medians = _measure(sides, runs, before=[many.change])
        _tell(f"{name}, after a change", medians, "theirs", "ours", medians[0] / medians[1])
    return missed


def _flask_admin(engine: Engine) -> FlaskClient:
    """Return a client of Flask-Admin's list of the requests, with the report's columns and search. Raises Missing."""
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
    Babel(app)  # it speaks through it where it is there
    admin = Admin(app, name="Requests")
    admin.add_view(Requests(CallRequest, scoped_session(sessionmaker(engine)), endpoint="requests"))
    return app.test_client()


def _fetch_flask_admin() -> None:
    """Have it in a folder of its own, without the packages that we have anyway. Raises Missing."""
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
            raise Missing(f"{FLASK_ADMIN} cannot be installed ({(done.stderr.strip().splitlines() or ['?'])[-1]})")
    sys.path.append(str(home))
