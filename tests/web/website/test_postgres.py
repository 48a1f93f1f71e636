"""The form of a website and its limits, once more on a PostgreSQL server."""

from concurrent.futures import ThreadPoolExecutor

from flask import Flask
from sqlalchemy import update

from app.store.database import Database
from app.store.models import WebsiteForm
from tests.support.other_database import taken_over
from tests.web.on_postgres import app, template_with_people
from tests.web.website import test_views
from tests.web.website.test_views import Shop, form, module, quick, requests_of, shop

__all__ = ["app", "form", "module", "quick", "shop", "template_with_people"]

globals().update(taken_over(test_views), **taken_over(test_views, fixture="shop"))


def test_visitors_at_the_same_moment_get_no_more_than_the_form_allows(app: Flask, database: Database) -> None:
    with database.write() as session:
        session.execute(update(WebsiteForm).values(daily_limit=5))
    shops = [Shop(app, address=f"192.0.2.{number}") for number in range(12)]
    solved = [each.solve() for each in shops]

    def send(number: int) -> int:
        sent = {"number": f"091212345{number:02}", **solved[number]}
        return shops[number].open("POST", "/requests", json=sent).status_code

    with ThreadPoolExecutor(12) as threads:
        answers = sorted(threads.map(send, range(12)))
    assert answers == [200] * 5 + [429] * 7
    assert len(requests_of(database)) == 5
