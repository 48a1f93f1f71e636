"""Which extensions Bazang needs to know."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.routing import DestinationKind
from app.store import requests
from app.store.models import CallRequest, ExtensionScenario, Module, User
from app.store.user_exchanges import extensions_here


def wanted_extensions(session: Session) -> set[str]:
    """Return the extensions that modules, scenarios and users name, and those of internal customers who wait."""
    modules = select(Module.targets).where(Module.target_kind == DestinationKind.EXTENSION)
    of_users = session.scalars(select(extensions_here(session)).select_from(User))
    lists = [*session.scalars(modules), *filter(None, of_users)]
    requested = select(CallRequest.number, CallRequest.target, CallRequest.queue).where(requests.has_status())
    found = {extension for extensions in lists for extension in extensions}
    found |= set(session.scalars(select(ExtensionScenario.extension)))
    found |= set(session.scalars(select(Module.fallback_code).where(Module.fallback_kind == DestinationKind.EXTENSION)))
    for number, target, queue in session.execute(requested):
        found.add(number)
        if not queue:
            found.add(target)
    return {extension for extension in found if extension and not extension.startswith("+")}
