"""Gather from the tables what the dialplan is rendered from."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.config import Settings, agi_secret
from app.domain.dialplan_numbers import CallerCheck, dialplan_caller_check, dialplan_number_check
from app.domain.hosts import split_hosts
from app.domain.routing import Context, DestinationKind, Dialplan, ExtensionPlan, ModulePlan, QueuePlan, Situation
from app.services.modules import former_codes, offers, while_down
from app.services.pbx.queue_names import queues_of_dialplan
from app.services.pbx.references import codes_of_destinations
from app.services.pbx.scenarios import ExtensionInput, QueueInput
from app.store import settings as store_settings
from app.store.database import Database
from app.store.models import ExtensionRow, ExtensionScenario, Module, QueueScenario
from app.store.number_lists import load_lists
from app.store.number_policy import load_policy


def gather_dialplan(database: Database, settings: Settings, agi_port: int, now: datetime) -> Dialplan:
    """Return the plans of all modules, extensions and queues, and the settings in force.

    On FreePBX the extensions have dialplans of their own, so there are no plans for them.
    """
    with database.read() as session:
        stored = store_settings.read_all(session)
        pbx, office = store_settings.pbx(session, settings, stored), store_settings.office(session, settings, stored)
        modules = session.scalars(select(Module).order_by(Module.id)).all()
        plans = tuple(
            ModulePlan(
                module.id, module.code, module.next, module.error, while_down.plan(session, settings, module, now)
            )
            for module in modules
        )
        policy = load_policy(session, office.region, stored)
        return Dialplan(
            modules=plans,
            extensions=() if pbx.pbx_profile == "freepbx" else _extension_plans(session, modules),
            queues=_queue_plans(session),
            profile=pbx.pbx_profile,
            agi_host=",".join(split_hosts(pbx.agi_host)),
            agi_port=agi_port,
            agi_secret=agi_secret(settings),
            extension_context=pbx.extension_context,
            queue_context=pbx.queue_context,
            numbers=dialplan_number_check(policy, office.outbound_format, office.outbound_prefix),
            former_codes=former_codes.plans(session),
            offers=offers.plans(session, settings, modules),
            # Only if it is needed: it has a step for each blocked number, and changes with the list.
            callers=dialplan_caller_check(policy, load_lists(session).blocked)
            if any(plan.down is not None for plan in plans)
            else CallerCheck(),
        )


def _queue_plans(session: Session) -> tuple[QueuePlan, ...]:
    scenarios = {row.queue: QueueInput.from_row(row) for row in session.scalars(select(QueueScenario))}
    inputs = (scenarios.get(queue, QueueInput(queue)) for queue in queues_of_dialplan(session))
    return tuple(QueuePlan(given.queue, given.max_wait, given.failed) for given in inputs)


def _extension_plans(session: Session, modules: Collection[Module]) -> tuple[ExtensionPlan, ...]:
    """Return the plans of extensions that have a scenario, or are a destination, or a module's target or fallback."""
    hints = {row.extension: row for row in session.scalars(select(ExtensionRow)) if row.context != Context.EXTENSIONS}
    scenarios = {row.extension: ExtensionInput.from_row(row) for row in session.scalars(select(ExtensionScenario))}
    extensions = {*scenarios, *codes_of_destinations(session, DestinationKind.EXTENSION)}
    for module in modules:
        extensions.update(module.targets if module.target_kind == DestinationKind.EXTENSION else ())
        extensions.update({module.fallback_code} if module.fallback_kind == DestinationKind.EXTENSION else ())
    return tuple(
        _extension_plan(extension, scenarios.get(extension), hints.get(extension)) for extension in sorted(extensions)
    )


def _extension_plan(extension: str, scenario: ExtensionInput | None, hint: ExtensionRow | None) -> ExtensionPlan:
    """`hint`: the PBX's own hint of the extension."""
    given = scenario or ExtensionInput(extension)
    return ExtensionPlan(
        extension=given.extension,
        devices=(hint.devices if hint else "") or f"PJSIP/{given.extension}",
        hint_context=(hint.context if hint else "") or Context.EXTENSIONS,
        add_hint=not (hint and hint.context),
        ring=given.ring,
        no_answer=given.destination(Situation.NO_ANSWER),
        busy=given.destination(Situation.BUSY),
        unavailable=given.destination(Situation.UNAVAILABLE),
        has_scenario=scenario is not None,
    )
