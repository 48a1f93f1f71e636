"""A search condition finds what `search_key` makes equal, on SQLite and on PostgreSQL."""

import pytest
from sqlalchemy import select

from app.store.database import Database
from app.store.models import Module
from app.store.search import contains
from tests.support.factories import create_module


@pytest.mark.parametrize(
    "typed", ["علي", "ALI", "۱۲", "پشتيباني", "پشتیبانی فنی", "پشتیبانیفنی", "فَنّي", "100%", "a_b", "it's", "\\"]
)
def test_texts_are_found_in_every_spelling(database: Database, typed: str) -> None:
    module = create_module(database, name="علی Ali 12 پشتیبانی\u200cفنی 100% a_b it's \\")
    create_module(database, name="other", code="*5002")
    with database.read() as session:
        assert session.scalars(select(Module.id).where(contains(Module.name, typed))).all() == [module.id]


@pytest.mark.parametrize("typed", ["%", "_", "x\x00y"])
def test_a_text_is_no_pattern(database: Database, typed: str) -> None:
    create_module(database, name="sales")
    with database.read() as session:
        assert session.scalars(select(Module.id).where(contains(Module.name, typed))).all() == []
