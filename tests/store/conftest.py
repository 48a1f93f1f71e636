"""Fixtures for the store: each test gets a copy of a migrated database."""

from tests.support.databases import built_database, database, database_file

__all__ = ["built_database", "database", "database_file"]
