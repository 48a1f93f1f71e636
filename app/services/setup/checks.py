"""The checks that the setup shows while somebody connects the PBX."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.config import Settings
from app.domain.outbound import OutboundResult
from app.domain.pbx_connection import CallersState, ConnectionReport, ConnectionResult, DialplanState
from app.domain.routing import Context
from app.services.pbx import connection_commands, outbound
from app.services.pbx.product import Proposal, propose
from app.store import pbx_state
from app.store import settings as store_settings
from app.store.database import Database
from app.store.settings import PbxSettings


class Check(StrEnum):
    """What must be true, in the order in which it can be checked."""

    SERVICE = "service"  # the worker runs
    REACHED = "reached"  # the PBX answers
    ACCEPTED = "accepted"  # the PBX accepts the user and the secret
    RIGHTS = "rights"
    PRODUCT = "product"  # the settings are for the product that was found
    CONTEXTS = "contexts"  # the contexts of extensions and queues exist
    DIALPLAN = "dialplan"  # the PBX runs our dialplan
    CALLERS = "callers"  # the PBX reaches our FastAGI server
    EXTENSIONS = "extensions"  # the PBX reports extensions
    OUTBOUND = "outbound"  # customers can be dialled


class CheckResult(StrEnum):
    OK = "ok"
    FAULT = "fault"
    UNKNOWN = "unknown"  # an earlier check failed


@dataclass(frozen=True)
class Checks:
    """`report` is None if the worker did not answer. `outbound` is the context for calls to customers.

    `found` is what becomes of a customer's number there, None if the PBX was not asked. `callers_address` is where the
    PBX should reach our FastAGI server. `missing` are the contexts of the settings that the PBX does not have, and
    `instead` the usual ones that it has. `proposal`: settings that fit the PBX better. `entered`: somebody has given
    the PBX settings; before that, the PBX is not asked.
    """

    results: dict[Check, CheckResult]
    report: ConnectionReport | None
    outbound: str = ""
    found: OutboundResult | None = None
    callers_address: str = ""
    missing: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()
    proposal: Proposal | None = None
    entered: bool = True

    @property
    def ready(self) -> bool:
        return all(result is CheckResult.OK for result in self.results.values())

    @property
    def refused(self) -> bool:
        """Whether the PBX refuses the log-in."""
        return self.results[Check.ACCEPTED] is CheckResult.FAULT


_CALLERS = {
    CallersState.REACHED: CheckResult.OK,
    CallersState.UNREACHED: CheckResult.FAULT,
    CallersState.UNKNOWN: CheckResult.UNKNOWN,
}
_UNREACHED = (
    ConnectionResult.HOST_UNKNOWN,
    ConnectionResult.NOTHING_LISTENS,
    ConnectionResult.NO_ANSWER,
    ConnectionResult.NOT_ASTERISK,
    ConnectionResult.CERTIFICATE,
)


def not_run(proposal: Proposal | None, *, entered: bool) -> Checks:
    """Return the checks before their first run, with what is proposed already."""
    return Checks(dict.fromkeys(Check, CheckResult.UNKNOWN), None, proposal=proposal, entered=entered)


def run(database: Database, settings: Settings, actor: str, now: datetime, *, everything: bool = True) -> Checks:
    """Run all checks with the effective settings. Waits for the PBX, at most some seconds.

    Without `everything`, the PBX is not asked again for its list of contexts.
    """
    with database.read() as session:
        runs = pbx_state.worker_runs(session, now)
        stored = store_settings.read_all(session)
        pbx = store_settings.pbx(session, settings, stored)
    if not store_settings.pbx_is_given(settings, stored):
        unasked = dict.fromkeys(Check, CheckResult.UNKNOWN) | {Check.SERVICE: _result(runs)}
        return Checks(unasked, None, pbx.outbound_context, entered=False)
    report = None
    if runs:
        report = connection_commands.test(
            database,
            settings,
            host=pbx.ami_host,
            port=pbx.ami_port,
            username=pbx.ami_username,
            secret=pbx.ami_secret,
            everything=everything,
            actor=actor,
            now=now,
        )
    results = dict.fromkeys(Check, CheckResult.UNKNOWN) | {Check.SERVICE: _result(report is not None)}
    if report is None:
        return Checks(results, None, pbx.outbound_context)
    results |= _connection_results(report)
    found = None
    if report.connected:
        results |= _context_results(pbx, report)
        results[Check.OUTBOUND], found = _check_outbound(database, settings, pbx.outbound_context, actor, now)
    return Checks(
        results,
        report,
        pbx.outbound_context,
        found,
        f"{pbx.agi_host}:{store_settings.agi_port(settings, stored)}",
        _missing_contexts(pbx, report),
        tuple(context for context in report.contexts or () if context not in set(Context)),
        propose(settings, pbx, report.product, report.outbound),
    )


def _connection_results(report: ConnectionReport) -> dict[Check, CheckResult]:
    if report.result in _UNREACHED:
        return {Check.REACHED: CheckResult.FAULT}
    if report.result in (ConnectionResult.REFUSED, ConnectionResult.LOGIN_IN_USE, ConnectionResult.TOO_OLD):
        return {Check.REACHED: CheckResult.OK, Check.ACCEPTED: CheckResult.FAULT}
    return {
        Check.REACHED: CheckResult.OK,
        Check.ACCEPTED: CheckResult.OK,
        Check.RIGHTS: _result(report.result is ConnectionResult.CONNECTED),
        Check.DIALPLAN: _result(report.dialplan is DialplanState.CURRENT),
        Check.CALLERS: _CALLERS[report.callers],
        Check.EXTENSIONS: _result(bool(report.extensions)),
    }


def _check_outbound(
    database: Database, settings: Settings, context: str, actor: str, now: datetime
) -> tuple[CheckResult, OutboundResult | None]:
    """Check that the context for calls to customers can dial an example number of the country."""
    if not context:
        return CheckResult.FAULT, None
    question = outbound.make_question(database, settings)
    if question is None:
        return CheckResult.OK, None
    found = outbound.ask(database, question, actor=actor, now=now)
    return CheckResult.UNKNOWN if found is None else _result(found is OutboundResult.DIALLED), found


def _context_results(pbx: PbxSettings, report: ConnectionReport) -> dict[Check, CheckResult]:
    """Return whether the settings fit the PBX: its product, and the contexts of extensions and queues."""
    results = {}
    if report.product is not None:
        results[Check.PRODUCT] = _result(report.product.profile == pbx.pbx_profile)
    if report.contexts is not None:
        results[Check.CONTEXTS] = _result(not _missing_contexts(pbx, report))
    return results


def _missing_contexts(pbx: PbxSettings, report: ConnectionReport) -> tuple[str, ...]:
    """Return the contexts of the settings that the PBX does not have. Ours come with our dialplan."""
    if report.contexts is None:
        return ()
    wanted = dict.fromkeys((pbx.extension_context, pbx.queue_context))
    return tuple(context for context in wanted if context not in {*report.contexts, *Context})


def _result(ok: bool) -> CheckResult:
    return CheckResult.OK if ok else CheckResult.FAULT
