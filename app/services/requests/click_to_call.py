"""Call a number for a user: their own phone rings first, then the number.

It is a request like any other, which is called at once. So the number policy, the block list, the user's rights and the
history hold for it, and a call in vain is not forgotten.
"""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain.routing import EXTENSION_PATTERN
from app.services.errors import ErrorCode, Invalid
from app.services.requests.access import Scope
from app.services.requests.actions import CallNow, ShownRequest
from app.services.requests.create import NewRequest, TargetChoice, create_request, load_target_choices
from app.services.requests.perform import perform
from app.services.requests.results import ActionResult
from app.store.database import Database, Joined
from app.store.models import Module, QueueMemberRow


def load_places(database: Database, scope: Scope, extension: str) -> list[TargetChoice]:
    """Return the targets for which the user may create a request that this extension serves, the narrowest first."""
    choices = load_target_choices(database, scope)
    with database.read() as session:
        serves = _places_of(session, extension)
    found = [choice for choice in choices if (choice.module_id, choice.queue, choice.target) in serves]
    return sorted(found, key=lambda choice: (choice.queue, not choice.target, choice.module_id))


def _places_of(session: Session, extension: str) -> set[tuple[int, bool, str]]:
    """Return (module, queue, target) of all targets that an extension serves."""
    queues = set(session.scalars(select(QueueMemberRow.queue).where(QueueMemberRow.extension == extension)))
    places = set()
    for module_id, kind, targets in session.execute(select(Module.id, Module.target_kind, Module.targets)):
        if kind == "queue":
            places |= {(module_id, True, targets[0])} if targets[0] in queues else set()
        elif extension in targets:
            places |= {(module_id, False, extension), (module_id, False, "")}
    return places


def call_number(
    database: Database,
    settings: Settings,
    scope: Scope,
    number: str,
    extension: str,
    now: datetime,
    *,
    name: str = "",
    module_id: int | None = None,
) -> ActionResult:
    """Create a request for an extension, or find the active one, and ask for its call. Wait for the result.

    `module_id`: with which module, None: the first one that the extension serves. Raises Invalid for `number`, `name`,
    `extension` and `module_id`.
    """
    if not EXTENSION_PATTERN.fullmatch(extension):
        raise Invalid({"extension": ErrorCode.CHOICE})
    if not scope.everything and extension not in scope.extensions:
        raise Invalid({"extension": ErrorCode.NOT_YOURS})
    places = [
        place for place in load_places(database, scope, extension) if module_id is None or place.module_id == module_id
    ]
    if not places:
        raise Invalid({"extension" if module_id is None else "module_id": ErrorCode.NO_PLACE})
    place = places[0]
    given = NewRequest(number, place.module_id, "" if place.queue else place.target, name)
    with database.write() as session:  # one transaction: the worker never finds the request alone
        joined = Joined(database, session)
        created = create_request(joined, settings, scope, given, now)
        assert created.version is not None
        (result,) = perform(joined, scope, CallNow(extension), [ShownRequest(created.id, created.version)], now)
    return result
