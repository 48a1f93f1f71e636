"""Validate destinations: their codes here, and whether they exist by asking the PBX.

A destination can be right although the PBX does not know it, since dialplans have patterns. So a missing destination is
a warning, which the user can confirm.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.routing import CODE_PATTERNS, Destination, DestinationKind, dials_number
from app.services.errors import ErrorCode, Invalid
from app.services.pbx import lookup, queue_names
from app.services.pbx.lookup import LookupResult
from app.store import pbx_state
from app.store.database import Database
from app.store.models import ExtensionRow, Module, QueueRow
from app.store.settings import read_setting

# What is wrong with a code that is not well-formed
CODE_ERRORS: Mapping[str, ErrorCode] = {
    DestinationKind.EXTENSION: ErrorCode.CODE,
    DestinationKind.QUEUE: ErrorCode.QUEUE_NAME,
    DestinationKind.MODULE: ErrorCode.CODE,
    DestinationKind.CUSTOM: ErrorCode.CUSTOM,
}

DestinationsByField = Mapping[str, Sequence[Destination]]


@dataclass(frozen=True)
class PbxWarning:
    """The PBX does not have `destination`. It is saved only if the user confirms the warning.

    `code_taken`: `destination` is instead the module to be saved, and the PBX uses its code in `context` ("": unknown).
    """

    destination: Destination
    confirmed: bool
    code_taken: bool = False
    context: str = ""

    @property
    def key(self) -> str:
        """What the form sends to confirm this warning and no other."""
        return warning_key(self.destination, code_taken=self.code_taken)


def warning_key(destination: Destination, *, code_taken: bool = False) -> str:
    return f"{'own' if code_taken else destination.kind}:{destination.code}"


@dataclass(frozen=True)
class SaveResult:
    """What came of saving a form. `errors` are by field, `warnings` are by field and include confirmed ones.

    `pbx_answered`: the PBX could be asked about everything.
    """

    errors: Mapping[str, str] = field(default_factory=dict)
    warnings: Mapping[str, list[PbxWarning]] = field(default_factory=dict)
    saved: bool = False
    pbx_answered: bool = True


def check_destination(session: Session, destination: Destination, *, optional: bool = False) -> ErrorCode | None:
    """Return the error of a destination, None if it is valid. Its code becomes part of the dialplan.

    `optional`: it may have no kind. The PBX is not asked.
    """
    kind, code = destination.kind, destination.code
    if kind == DestinationKind.HANGUP or (optional and not kind):
        return None
    if kind not in CODE_PATTERNS:
        return ErrorCode.CHOICE
    if not code:
        return ErrorCode.REQUIRED
    if not destination.is_well_formed:
        return CODE_ERRORS[kind]
    if kind == DestinationKind.QUEUE and queue_names.is_taken_for_another(session, code):
        return ErrorCode.SAME_EXTENSION
    if kind == DestinationKind.MODULE and not _module_exists(session, code):
        return ErrorCode.NO_MODULE
    if kind == DestinationKind.CUSTOM and _dials_number(session, code):
        return ErrorCode.DIALS
    return None


def _dials_number(session: Session, location: str) -> bool:
    outbound = {pbx_state.worker_state(session).outbound_context, read_setting(session, "outbound_context")} - {""}
    inside = {*session.scalars(select(ExtensionRow.extension)), *session.scalars(select(QueueRow.name))}
    return dials_number(location, outbound, inside)


def _module_exists(session: Session, code: str) -> bool:
    return bool(session.scalar(select(func.count()).where(Module.code == code)))


def find_warnings(
    database: Database, destinations: DestinationsByField, confirmed: Collection[str], *, actor: str, now: datetime
) -> SaveResult:
    """Ask the PBX about the destinations of a form's fields. Waits for the answers.

    `confirmed`: the keys of the warnings that the user confirmed.
    """
    named = [destination for group in destinations.values() for destination in group]
    results = lookup.look_up_unknown(database, named, actor=actor, now=now)
    missing = {destination for destination, result in results.items() if result is LookupResult.MISSING}
    warnings = {
        name: [PbxWarning(destination, warning_key(destination) in confirmed) for destination in group]
        for name, group in _only(destinations, missing).items()
    }
    return SaveResult(warnings=warnings, pbx_answered=LookupResult.UNANSWERED not in results.values())


def repeat_confirmed(destinations: DestinationsByField, confirmed: Collection[str]) -> dict[str, list[PbxWarning]]:
    """Return the warnings that the user confirmed, so that a form with errors still shows them. Do not ask the PBX."""
    selected = {d for group in destinations.values() for d in group if warning_key(d) in confirmed}
    return {
        name: [PbxWarning(destination, confirmed=True) for destination in group]
        for name, group in _only(destinations, selected).items()
    }


def save_if_confirmed(checked: SaveResult, save: Callable[[], object]) -> SaveResult:
    """Save unless a warning is not confirmed. `save` may raise Invalid, which becomes the result's errors."""
    if not all(warning.confirmed for group in checked.warnings.values() for warning in group):
        return checked
    try:
        save()
    except Invalid as invalid:  # a change by someone else came first
        return SaveResult(invalid.errors, checked.warnings)
    return SaveResult(warnings=checked.warnings, saved=True, pbx_answered=checked.pbx_answered)


def without_stored(destinations: DestinationsByField, stored: Collection[Destination]) -> DestinationsByField:
    """Leave out the destinations that were stored before: the PBX is not asked about them again."""
    return {name: [d for d in group if d not in stored] for name, group in destinations.items()}


def _only(destinations: DestinationsByField, chosen: Collection[Destination]) -> DestinationsByField:
    groups = {name: [d for d in group if d in chosen] for name, group in destinations.items()}
    return {name: group for name, group in groups.items() if group}
