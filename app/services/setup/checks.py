"""What the set-up watches while somebody connects the exchange: step by step, how far one is."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.config import Settings
from app.domain.pbx_connection import ConnectionReport, ConnectionResult, DialplanState
from app.services.pbx import connection_test, lookup
from app.services.settings import office
from app.store import pbx_state
from app.store import settings as store_settings
from app.store.database import Database


class Check(StrEnum):
    """What has to be so, in the order in which it can be found out."""

    SERVICE = "service"  # our telephone service runs
    REACHED = "reached"
    ACCEPTED = "accepted"  # the user and the secret
    RIGHTS = "rights"
    DIALPLAN = "dialplan"  # ours is taken in
    EXTENSIONS = "extensions"  # the exchange tells of some
    OUTBOUND = "outbound"  # customers can be dialled


class CheckResult(StrEnum):
    OK = "ok"
    FAULT = "fault"
    UNKNOWN = "unknown"  # what comes before it has to be well first


@dataclass(frozen=True)
class Checks:
    """`report` is None where the telephone service did not answer. `outbound`: the context for calls to customers."""

    marks: dict[Check, CheckResult]
    report: ConnectionReport | None
    outbound: str

    @property
    def ready(self) -> bool:
        return all(mark is CheckResult.OK for mark in self.marks.values())


_NOT_REACHED = (
    ConnectionResult.HOST_UNKNOWN,
    ConnectionResult.NOTHING_LISTENS,
    ConnectionResult.NO_ANSWER,
    ConnectionResult.NOT_ASTERISK,
)


def unknown() -> Checks:
    """Return what is known before anybody has looked."""
    return Checks(dict.fromkeys(Check, CheckResult.UNKNOWN), None, "")


def check(database: Database, settings: Settings, actor: str, now: datetime) -> Checks:
    """Try out what is in force. It takes as long as the exchange does."""
    with database.read() as session:
        runs = pbx_state.stored_facts(session, now).worker_runs(now)
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
    marks = dict.fromkeys(Check, CheckResult.UNKNOWN)
    marks[Check.SERVICE] = CheckResult.OK if report is not None else CheckResult.FAULT
    if report is not None:
        marks |= _marks(report)
        if marks[Check.ACCEPTED] is CheckResult.OK:
            marks[Check.OUTBOUND] = _outbound(database, settings, exchange.outbound_context, actor, now)
    return Checks(marks, report, exchange.outbound_context)


def _marks(report: ConnectionReport) -> dict[Check, CheckResult]:
    if report.verdict in _NOT_REACHED:
        return {Check.REACHED: CheckResult.FAULT}
    if report.verdict is ConnectionResult.REFUSED:
        return {Check.REACHED: CheckResult.OK, Check.ACCEPTED: CheckResult.FAULT}
    return {
        Check.REACHED: CheckResult.OK,
        Check.ACCEPTED: CheckResult.OK,
        Check.RIGHTS: _mark(report.verdict is ConnectionResult.CONNECTED),
        Check.DIALPLAN: _mark(report.dialplan is DialplanState.CURRENT),
        Check.EXTENSIONS: _mark(bool(report.extensions)),
    }


def _outbound(database: Database, settings: Settings, context: str, actor: str, now: datetime) -> CheckResult:
    """Tell whether a number of the country would be dialled in the context for calls to customers."""
    if not context:
        return CheckResult.FAULT
    there = office.load(database, settings)
    example = office.example(there.region, there.outbound_format, there.outbound_prefix)
    if example is None:
        return CheckResult.OK
    found = lookup.exists(database, "custom", f"{context},{example[1]},1", actor, now)
    return CheckResult.UNKNOWN if found is None else _mark(found)


def _mark(well: bool) -> CheckResult:
    return CheckResult.OK if well else CheckResult.FAULT
