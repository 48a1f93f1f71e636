"""The report: whom it shows, how it is searched, and what comes of addresses that make no sense."""

from datetime import UTC, datetime

from app.config import Settings
from app.services import filling
from app.store.database import Database
from tests.web.pages import Visitor


def test_x(admin: Visitor, database: Database, settings: Settings) -> None:
    filling.fill(database, settings, 200, datetime.now(UTC))
    admin.get("/report")
    admin.get("/report/charts")
    admin.get("/report?period=all&sort=done&page=2&number=912")
    admin.get("/report.csv")
    admin.get("/report.xlsx")
