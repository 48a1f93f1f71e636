"""The checks that the setup shows while somebody connects the PBX."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.config import Settings
from app.domain.pbx_connection import ConnectionReport, ConnectionResult, DialplanState
from app.domain.routing import Destination, DestinationKind
from app.services.pbx import connection_test, lookup
from app.services.pbx.lookup import LookupResult
from app.services.settings import office
from app.store import pbx_state
from app.store import settings as store_settings
from app.store.database import Database


class Check(StrEnum):
    """What must be true, in the order in which it can be checked."""

    SERVICE = "service"  # the worker runs
    REACHED = "reached"  # the PBX answers
    ACCEPTED = "accepted"  # the PBX accepts the user and the secret
    RIGHTS = "rights"
    DIALPLAN = "dialplan"  # the PBX runs our dialplan
    EXTENSIONS = "extensions"  # the PBX reports extensions
    OUTBOUND = "outbound"  # customers can be dialled


class CheckResult(StrEnum):
    OK = "ok"
    FAULT = "fault"
    UNKNOWN = "unknown"  # an earlier check failed


@dataclass(frozen=True)
class Checks:
    """`report` is None if the worker did not answer. `outbound` is the context for calls to customers."""

    results: dict[Check, CheckResult]
    report: ConnectionReport | None
    outbound: str

    @property
    def ready(self) -> bool:
        return all(result is CheckResult.OK for result in self.results.values())


_UNREACHED = (
    ConnectionResult.HOST_UNKNOWN,
    ConnectionResult.NOTHING_LISTENS,
    ConnectionResult.NO_ANSWER,
    ConnectionResult.NOT_ASTERISK,
)


def not_run() -> Checks:
    """Return the checks before their first run."""
    return Checks(dict.fromkeys(Check, CheckResult.UNKNOWN), None, "")


def run(database: Database, settings: Settings, actor: str, now: datetime) -> Checks:
    """Run all checks with the effective settings. Waits for the PBX, at most some seconds."""
    with database.read() as session:
        runs = pbx_state.worker_runs(session, now)
        pbx = store_settings.pbx(session, settings)
    report = None
    if runs:
        report = connection_test.test(
            database,
            host=pbx.ami_host,
            port=pbx.ami_port,
            username=pbx.ami_username,
            secret=pbx.ami_secret,
            actor=actor,
            now=now,
        )
    results = dict.fromkeys(Check, CheckResult.UNKNOWN) | {Check.SERVICE: _result(report is not None)}
    if report is not None:
        results |= _connection_results(report)
        if report.connected:
            results[Check.OUTBOUND] = _check_outbound(database, settings, pbx.outbound_context, actor, now)
    return Checks(results, report, pbx.outbound_context)


def _connection_results(report: ConnectionReport) -> dict[Check, CheckResult]:
    if report.result in _UNREACHED:
        return {Check.REACHED: CheckResult.FAULT}
    if report.result is ConnectionResult.REFUSED:
        return {Check.REACHED: CheckResult.OK, Check.ACCEPTED: CheckResult.FAULT}
    return {
        Check.REACHED: CheckResult.OK,
        Check.ACCEPTED: CheckResult.OK,
        Check.RIGHTS: _result(report.result is ConnectionResult.CONNECTED),
        Check.DIALPLAN: _result(report.dialplan is DialplanState.CURRENT),
        Check.EXTENSIONS: _result(bool(report.extensions)),
    }


def _check_outbound(database: Database, settings: Settings, context: str, actor: str, now: datetime) -> CheckResult:
    """Check that the context for calls to customers can dial an example number of the country."""
    if not context:
        return CheckResult.FAULT
    here = office.load(database, settings)
    example = office.dialled_example(here.region, here.outbound_format, here.outbound_prefix)
    if example is None:
        return CheckResult.OK
    custom = Destination(DestinationKind.CUSTOM, f"{context},{example[1]},1")
    found = lookup.look_up(database, custom, actor=actor, now=now)
    return CheckResult.UNKNOWN if found is LookupResult.UNANSWERED else _result(found is LookupResult.FOUND)


def _result(ok: bool) -> CheckResult:
    return CheckResult.OK if ok else CheckResult.FAULT
