"""Moments as numbers, computed by the database, alike on SQLite and PostgreSQL."""

from typing import Any

from sqlalchemy import BigInteger, ColumnElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

QUARTER = 900  # seconds: every time zone is a whole number of quarters away from UTC


class epoch(FunctionElement[int]):
    """The seconds since 1970 of a moment, without their fractions."""

    type = BigInteger()
    name = "epoch"
    inherit_cache = True


@compiles(epoch, "sqlite")
def _on_sqlite(element: epoch, compiler: Any, **kwargs: Any) -> str:
    return f"CAST(strftime('%s', {compiler.process(element.clauses, **kwargs)}) AS INTEGER)"


@compiles(epoch, "postgresql")
def _on_postgresql(element: epoch, compiler: Any, **kwargs: Any) -> str:
    return f"CAST(floor(extract(epoch FROM {compiler.process(element.clauses, **kwargs)})) AS BIGINT)"


def quarter(moment: Any) -> ColumnElement[int]:
    """Return the number of quarters of an hour since 1970, of which days and hours of any time zone are made."""
    return epoch(moment) // QUARTER
