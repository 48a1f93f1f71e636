"""Convert times to numbers in SQL, in the same way on SQLite and PostgreSQL."""

from typing import Any

from sqlalchemy import BigInteger, ColumnElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

QUARTER = 900  # seconds in a quarter of an hour: every time zone offset is a multiple of it


class epoch(FunctionElement[int]):
    """The whole seconds since 1970."""

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
    """Return the quarters of an hour since 1970. Days and hours of any time zone consist of whole quarters."""
    return epoch(moment) // QUARTER
