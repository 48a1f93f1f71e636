"""Read how long the requests of the last days waited. This is cheap, however many requests are stored."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, literal_column, select, union_all
from sqlalchemy.orm import Session

from app.domain.estimated_wait import DAYS, PastWait
from app.store.models import Base, CallRequest

MOST = 30  # past requests of one day
_TABLE = Base.metadata.tables[CallRequest.__tablename__]


def load_past_waits(
    session: Session, module_id: int, queue: bool, target: str, hours: Sequence[tuple[datetime, datetime]]
) -> list[PastWait]:
    """Return the past requests of a module and a target that were registered in these hours, one for each of the days.

    Of an hour with very many, the latest are returned. Requests with a time of their own are left out, and those whose
    customer did not answer at once, or who talked with the office otherwise: they did not wait for an agent.
    """
    lane = {"module_id": module_id, "is_queue": queue, "target": target}
    moments = {f"{name}{day}": at for day, hour in enumerate(hours) for name, at in zip(_EDGES, hour, strict=True)}
    rows = session.execute(_PAST_WAITS, lane | moments)
    return [PastWait(row.registered_at, row.reached_at - row.registered_at, row.done_at, row.ahead) for row in rows]


_EDGES = ("from", "to")


def _is_past_wait(table: Any) -> ColumnElement[bool]:
    # Literals as in the index: otherwise SQLite does not use it.
    return and_(
        table.c.status == literal_column("'done'"),
        table.c.last_outcome == literal_column("'connected'"),
        table.c.customer_attempts == literal_column("0"),
        table.c.postponed_until.is_(None),
        table.c.reopened_at.is_(None),
    )


def _of_day(day: int) -> Select[Any]:
    r = _TABLE.alias("r")
    found = (
        select(r.c.registered_at, r.c.reached_at, r.c.done_at, r.c.ahead)
        .where(_is_past_wait(r), r.c.module_id == bindparam("module_id"), r.c.queue == bindparam("is_queue"))
        .where(r.c.target == bindparam("target"), r.c.reached_at.is_not(None))
        .where(r.c.registered_at >= bindparam(f"from{day}"), r.c.registered_at < bindparam(f"to{day}"))
        .order_by(r.c.registered_at.desc())
        .limit(MOST)
        .subquery(f"day{day}")
    )
    return select(found)


# Made once: to make a statement takes longer than to run it.
_PAST_WAITS = union_all(*(_of_day(day) for day in range(DAYS + 1)))
