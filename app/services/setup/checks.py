"""What the set-up watches while somebody connects the exchange: step by step, how far one is."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.config import Settings
from app.domain.pbx_connection import Loaded, Report, Verdict
from app.services.pbx import connection_test, lookup
from app.services.settings import office
from app.store import pbx_state
from app.store import settings as store_settings
from app.store.database import Database


class Point(StrEnum):
    """What has to be so, in the order in which it can be found out."""

    SERVICE = "service"  # our telephone service runs
    REACHED = "reached"
    ACCEPTED = "accepted"  # the user and the secret
    RIGHTS = "rights"
    DIALPLAN = "dialplan"  # ours is taken in
    EXTENSIONS = "extensions"  # the exchange tells of some
    OUTBOUND = "outbound"  # customers can be dialled


class Mark(StrEnum):
    OK = "ok"
    FAULT = "fault"
    UNKNOWN = "unknown"  # what comes before it has to be well first


@dataclass(frozen=True)
class Readiness:
    """`report` is None where the telephone service did not answer. `outbound`: the context for calls to customers."""

    marks: dict[Point, Mark]
    report: Report | None
    outbound: str

    @property
    def ready(self) -> bool:
        return all(mark is Mark.OK for mark in self.marks.values())


_NOT_REACHED = (Verdict.HOST_UNKNOWN, Verdict.NOTHING_LISTENS, Verdict.NO_ANSWER, Verdict.NOT_ASTERISK)


def unknown() -> Readiness:
    """Return what is known before anybody has looked."""
    return Readiness(dict.fromkeys(Point, Mark.UNKNOWN), None, "")


def look(database: Database, settings: Settings, actor: str, now: datetime) -> Readiness:
    """Try out what is in force. It takes as long as the exchange does."""
    with database.read() as session:
        runs = pbx_state.stored_facts(session, now).service_runs(now)
        exchange = store_settings.exchange(session, settings)
    report = None
    if runs:
        report = connection_test.test(
            database,
            host=exchange.ami_host,
            port=exchange.ami_port,
            username=exchange.ami_username,
            secret=exchange.ami_secret,
            actor=actor,
            now=now,
        )
    marks = dict.fromkeys(Point, Mark.UNKNOWN)
    marks[Point.SERVICE] = Mark.OK if report is not None else Mark.FAULT
    if report is not None:
        marks |= _marks(report)
        if marks[Point.ACCEPTED] is Mark.OK:
            marks[Point.OUTBOUND] = _outbound(database, settings, exchange.outbound_context, actor, now)
    return Readiness(marks, report, exchange.outbound_context)


def _marks(report: Report) -> dict[Point, Mark]:
    if report.verdict in _NOT_REACHED:
        return {Point.REACHED: Mark.FAULT}
    if report.verdict is Verdict.REFUSED:
        return {Point.REACHED: Mark.OK, Point.ACCEPTED: Mark.FAULT}
    return {
        Point.REACHED: Mark.OK,
        Point.ACCEPTED: Mark.OK,
        Point.RIGHTS: _mark(report.verdict is Verdict.CONNECTED),
        Point.DIALPLAN: _mark(report.dialplan is Loaded.CURRENT),
        Point.EXTENSIONS: _mark(bool(report.extensions)),
    }


def _outbound(database: Database, settings: Settings, context: str, actor: str, now: datetime) -> Mark:
    """Tell whether a number of the country would be dialled in the context for calls to customers."""
    if not context:
        return Mark.FAULT
    there = office.load(database, settings)
    example = office.example(there.region, there.outbound_format, there.outbound_prefix)
    if example is None:
        return Mark.OK
    found = lookup.look_up(database, "custom", f"{context},{example[1]},1", actor, now)
    return Mark.UNKNOWN if found is None else _mark(found)


def _mark(well: bool) -> Mark:
    return Mark.OK if well else Mark.FAULT
