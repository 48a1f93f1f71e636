"""The store is tested on copies of a database that the migrations have built."""

from tests.support.databases import built_database, database, database_file

__all__ = ["built_database", "database", "database_file"]
