"""Check the dialplan of the PBX: whether it has ours, its codes, the hints of agents, and a way to customers."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.config import Settings
from app.doctor.words import (
    APPLY,
    CUSTOM_DESTINATIONS,
    EXTENSIONS,
    MISC_DESTINATIONS,
    OUTBOUND_ROUTES,
    QUEUES,
    RELOAD,
    dialplan_file,
    is_freepbx,
)
from app.domain.findings import Finding, fault, ok, warning
from app.domain.outbound import Outbound, OutboundResult
from app.domain.pbx_connection import DialplanProblem, DialplanState
from app.domain.routing import Context, DestinationKind
from app.services.modules.offers import Offer, list_offers
from app.services.pbx import config_snippets, outbound
from app.services.pbx.outbound import OutboundQuestion
from app.store.database import Database
from app.store.models import ExtensionRow, ExtensionScenario, FormerCode, Module, QueueScenario
from app.store.pbx_state import worker_state
from app.store.settings import PbxSettings
from app.telephony import module_codes
from app.telephony.ami import AmiClient, AmiError, AmiRefused
from app.telephony.devices import parse_hint
from app.telephony.hints import HintFinder
from app.telephony.module_codes import Lead
from app.telephony.module_destinations import DestinationReader
from app.telephony.outbound import find_way_out
from app.telephony.own_lines import OwnLine, find_ways_in

MOST_PHONES = 20  # of which the contexts are asked
MOST_OWN_LINES = 5  # of which each is a finding


@dataclass(frozen=True)
class _Office:
    """What the PBX must know: the names of modules by their codes, their former codes, and their extensions.

    `phones`: the devices of the extensions that have a scenario, "" if not known; `queues`: those that have one.
    `makes_sounds`: new modules are not in the dialplan yet.
    """

    modules: Mapping[str, str]
    former_codes: frozenset[str]
    targets: tuple[str, ...]
    extensions: tuple[str, ...]  # that the PBX reports
    phones: Mapping[str, str]
    queues: tuple[str, ...]
    makes_sounds: bool

    @property
    def first_code(self) -> str:
        return next(iter(self.modules), "")


def _load(database: Database) -> _Office:
    with database.read() as session:
        modules = session.scalars(select(Module).order_by(Module.code)).all()
        rows = [row for row in modules if row.target_kind == DestinationKind.EXTENSION]
        return _Office(
            {row.code: row.name for row in modules},
            frozenset(session.scalars(select(FormerCode.code))),
            tuple(dict.fromkeys(target for row in rows for target in row.targets)),
            tuple(session.scalars(select(ExtensionRow.extension).order_by(ExtensionRow.extension))),
            _phones_with_scenario(session),
            tuple(session.scalars(select(QueueScenario.queue).order_by(QueueScenario.queue))),
            worker_state(session).dialplan_detail == DialplanProblem.SOUNDS_MISSING,
        )


def _phones_with_scenario(session: Session) -> Mapping[str, str]:
    rows = session.execute(
        select(ExtensionScenario.extension, ExtensionRow.devices)
        .outerjoin(ExtensionRow, ExtensionRow.extension == ExtensionScenario.extension)
        .order_by(ExtensionScenario.extension)
    )
    return {extension: devices or "" for extension, devices in rows}


async def check(
    settings: Settings, database: Database, pbx: PbxSettings, client: AmiClient, state: DialplanState
) -> list[Finding]:
    """Return all findings. `state`: that of our dialplan in the PBX."""
    office = _load(database)
    findings = [*_check_included(settings, database, pbx, state)]
    checks: list[Callable[[], Awaitable[list[Finding]]]] = []
    if state in (DialplanState.CURRENT, DialplanState.OUTDATED):
        checks += [lambda: _check_codes(office, client), lambda: _check_phones(pbx, office, client)]
    question = outbound.make_question(database, settings)
    checks += [
        lambda: _check_whole(pbx, office, client, state),
        lambda: _check_offers(settings, database, pbx, client),
        lambda: _check_hints(pbx, office, client),
        lambda: _check_outbound(pbx, question, client),
    ]
    for one in checks:
        try:
            findings += await one()
        except AmiRefused:
            continue  # no right to ask, which is a finding of its own
        except AmiError as error:
            findings.append(fault(f"The PBX stopped answering: {error}", "Look into Asterisk's log."))
            break
    return findings


# -- our dialplan -----------------------------------------------------------------------------------------------------


def _check_included(
    settings: Settings, database: Database, pbx: PbxSettings, state: DialplanState
) -> Iterable[Finding]:
    with database.read() as session:
        written = worker_state(session).dialplan_written
    if state is DialplanState.NONE:
        yield fault(
            "Asterisk does not have our dialplan. Callers who are sent to a module are hung up, and no agent is rung.",
            f"In {dialplan_file(pbx)}, outside all contexts: `#tryinclude {settings.dialplan_path}`; {RELOAD}. If the "
            "line is there, the file came after the last reload, so reload again, or Asterisk's user cannot read it.",
        )
    elif state is DialplanState.OUTDATED and written:
        yield fault(
            "Asterisk does not run our current dialplan. The last changes in the panel have no effect on calls.",
            "Type `dialplan reload` in Asterisk's console.",
        )
    elif state is not DialplanState.UNKNOWN:
        yield ok(f"Asterisk runs our dialplan, revision {written or 'unknown, because the worker never ran'}.")


# -- the codes of modules ---------------------------------------------------------------------------------------------


async def _check_codes(office: _Office, client: AmiClient) -> list[Finding]:
    """Check that our dialplan, as Asterisk runs it, has the code of each module."""
    missing = await module_codes.missing_codes(client, office.modules)
    if missing and office.makes_sounds:
        codes = ", ".join(missing)
        return [
            warning(
                f"The worker is making the sounds of new modules, so Asterisk does not know their codes yet: {codes}.",
                "Wait until the panel says that they are made.",
            )
        ]
    return [
        fault(
            f"Asterisk does not know the code {code} of the module {office.modules[code]}: callers who come by it are "
            "hung up.",
            "Type `dialplan reload` in Asterisk's console. If that does not help, look for another [bazang-modules] in "
            "the PBX's files and remove it.",
        )
        for code in missing
    ]


async def _check_phones(pbx: PbxSettings, office: _Office, client: AmiClient) -> list[Finding]:
    """Check that the codes can be dialled from phones."""
    code = office.first_code
    if not code:
        return []
    contexts = ("from-internal",) if is_freepbx(pbx) else await _phone_contexts(office, client)
    return [finding for context in contexts for finding in await _check_phone_context(pbx, context, code, client)]


async def _phone_contexts(office: _Office, client: AmiClient) -> tuple[str, ...]:
    """Return the contexts in which the phones of a plain Asterisk dial."""
    phones = dict.fromkeys((*office.targets, *office.extensions))
    return await module_codes.phone_contexts(client, [*phones][:MOST_PHONES])


async def _check_phone_context(pbx: PbxSettings, context: str, code: str, client: AmiClient) -> list[Finding]:
    step = await module_codes.leads_to(client, context, code)
    if step is not None and (step.context == Context.MODULES or f"{Context.MODULES}," in step.data):
        return [ok(f"Phones in the context {context} can dial the codes of modules.")]
    if step is not None:
        return [
            warning(
                f"Phones in the context {context} that dial {code} get what the PBX has for it in {step.context}, and "
                "not our module.",
                "Give the module another code.",
            )
        ]
    place = "[from-internal-custom]" if is_freepbx(pbx) else f"[{context}]"
    meaning = " Misc Destinations that dial one lose their callers." if is_freepbx(pbx) else ""
    return [
        warning(
            f"Phones in the context {context} cannot dial the codes of modules, such as {code}.{meaning}",
            f"In {dialplan_file(pbx)}, {place}: `{config_snippets.include(Context.MODULES)}`; {RELOAD}.",
        )
    ]


async def _check_whole(pbx: PbxSettings, office: _Office, client: AmiClient, state: DialplanState) -> list[Finding]:
    """Check what only the whole dialplan shows."""
    rows = await client.collect("ShowDialPlan")
    has_ours = state in (DialplanState.CURRENT, DialplanState.OUTDATED)
    return [
        *_check_revisions(pbx, module_codes.find_revisions(rows)),
        *_check_leads(pbx, office, await module_codes.find_leads(client, rows)),
        *(await _check_ways_in(office, client, rows) if has_ours and not is_freepbx(pbx) else ()),
    ]


def _check_revisions(pbx: PbxSettings, revisions: Collection[str]) -> Iterable[Finding]:
    """Check that no other worker writes a dialplan for this PBX."""
    if len(revisions) > 1:
        yield fault(
            "Asterisk has the dialplans of several installations of Bazang. Their workers ring the same phones, and "
            "know nothing of each other.",
            f"In {dialplan_file(pbx)}, keep one line `#tryinclude`; {RELOAD}. Stop the other worker.",
        )


async def _check_ways_in(office: _Office, client: AmiClient, rows: Collection[Mapping[str, Any]]) -> list[Finding]:
    """Check that callers get to the scenarios of extensions and queues, and not past them."""
    ways = await find_ways_in(client, rows, office.phones, office.queues)
    contexts = await _phone_contexts(office, client) if ways.unused else ()
    unused = [_unused_context(office, context, contexts) for context in ways.unused]
    return unused + [_own_line(line) for line in ways.own_lines[:MOST_OWN_LINES]]


def _unused_context(office: _Office, context: Context, phones: tuple[str, ...]) -> Finding:
    """`phones`: the contexts in which phones dial."""
    names = ", ".join(office.phones if context == Context.EXTENSIONS else office.queues)
    such = f", such as {', '.join(phones)}" if phones else ""
    return warning(
        f"Nothing in the PBX's dialplan leads calls to {context}, so callers of {names} never come to a module.",
        f"In extensions.conf, in the contexts of trunks and phones{such}, before what rings these numbers: "
        f"`{config_snippets.include(context)}`; {RELOAD}.",
    )


def _own_line(line: OwnLine) -> Finding:
    context = Context.EXTENSIONS if line.target.kind == DestinationKind.EXTENSION else Context.QUEUES
    step, place = line.step, config_snippets.location(context, line.target.code)
    return warning(
        f"{step.extension} in the context {step.context} has a line of its own for {line.target.code}, "
        f"{step.application}({step.data}), so callers who come there never come to a module.",
        f"If they should: in extensions.conf, [{step.context}], replace it by `Goto({place})`; {RELOAD}.",
    )


def _check_leads(pbx: PbxSettings, office: _Office, leads: Collection[Lead]) -> list[Finding]:
    """Check that the PBX sends callers only to codes that a module has or had."""
    wrong = [lead for lead in leads if lead.code not in office.modules and lead.code not in office.former_codes]
    found = [_wrong_code(pbx, office, lead) for lead in wrong]
    if leads and not wrong:
        found.append(ok("All codes to which the PBX sends callers are those of modules."))
    return found


_PLACES = {  # by the contexts that FreePBX and Issabel generate
    "ext-local": "the extension {}",
    "ext-queues": "the queue {}",
    "ext-group": "the ring group {}",
    "ext-findmefollow": "the follow-me of {}",
    "customdests": "the custom destination {}",
    "ext-miscdests": "the misc destination {}",
    "from-pstn": "the inbound route {}",
    "ext-did-0002": "the inbound route {}",
}


def _wrong_code(pbx: PbxSettings, office: _Office, lead: Lead) -> Finding:
    place = _PLACES.get(lead.context, f"{{}} in the context {lead.context}").format(lead.extension)
    text = f"On the PBX, {place} sends its callers to {lead.code}, which is the code of no module: they are hung up."
    if not is_freepbx(pbx):
        return fault(text, f"Change it in extensions.conf, {RELOAD}; or give a module this code.")
    if lead.context == "ext-miscdests":
        return fault(text, f"{MISC_DESTINATIONS}: change Dial, {APPLY}; or give a module this code.")
    code = office.first_code or "CODE"
    target = config_snippets.location(Context.MODULES, code)
    return fault(
        text,
        f"{CUSTOM_DESTINATIONS}: set Target of the one for {lead.code} to `{target}`, {APPLY}; or give a module "
        "this code.",
    )


async def _check_offers(settings: Settings, database: Database, pbx: PbxSettings, client: AmiClient) -> list[Finding]:
    """Check that a key leads callers who wait in a queue to the module that they are offered."""
    with database.read() as session:
        offers = list_offers(session, settings)
    found = await DestinationReader(client).read_offers() if offers else None
    return [] if found is None else [_report_offer(pbx, offer, found.get(offer.queue, "")) for offer in offers]


def _report_offer(pbx: PbxSettings, offer: Offer, code: str) -> Finding:
    """`code`: that of the module to which a key leads from the queue, "" if there is none."""
    if code == offer.code:
        return ok(f"Callers who wait in the queue {offer.queue} can leave it for the module {offer.name} by a key.")
    text = (
        f"The module {offer.name} is offered to callers who wait in the queue {offer.queue}, but on the PBX no key "
        "leads them there."
    )
    if is_freepbx(pbx):
        return fault(
            text,
            f"{QUEUES} > {offer.queue}: set IVR Break Out Menu to an IVR whose key {offer.key} leads to the custom "
            f"destination for {offer.code}, {APPLY}.",
        )
    lines = ", ".join(f"`{line}`" for line in offer.lines)
    return fault(text, f"In queues.conf, [{offer.queue}]: {lines}; then `queue reload all` in Asterisk's console.")


# -- the hints of agents ----------------------------------------------------------------------------------------------


async def _check_hints(pbx: PbxSettings, office: _Office, client: AmiClient) -> list[Finding]:
    """Check that each extension of a module has a hint with a phone."""
    rows = await client.collect("ExtensionStateList")
    hinted = {str(row.get("Exten", "")) for row in rows if parse_hint(str(row.get("Hint", ""))).devices}
    if not any(row.get("Event") == "ExtensionStatus" for row in rows):
        return []  # which is a finding of its own
    missing = [target for target in office.targets if target not in hinted]
    contexts = {str(row.get("Context", "")) for row in rows}
    found = await HintFinder(client, Context.EXTENSIONS).find(missing, contexts)  # those of patterns
    return [_missing_hint(pbx, target) for target in missing if target not in found]


def _missing_hint(pbx: PbxSettings, extension: str) -> Finding:
    text = f"The PBX has no hint with a phone for {extension}, an extension of a module, so it is never rung."
    if is_freepbx(pbx):
        return fault(
            text,
            f"{EXTENSIONS}: check that {extension} exists and has a phone (is not of the type Virtual), submit its "
            f"page, {APPLY}.",
        )
    return fault(text, f"In extensions.conf: `{config_snippets.hint_line(extension, '')}`; {RELOAD}.")


# -- the way to customers ---------------------------------------------------------------------------------------------


async def _check_outbound(pbx: PbxSettings, question: OutboundQuestion | None, client: AmiClient) -> list[Finding]:
    context = pbx.outbound_context
    if not context:
        return [
            fault(
                "The context for calls to customers is not set, so no customer can be dialled.",
                "Set it in the panel or by BAZANG_OUTBOUND_CONTEXT.",
            )
        ]
    if question is None:
        return [ok(f"Customers are dialled through the context {context}.")]
    found = await find_way_out(client, context, question.number, question.agents)
    return [report_outbound(pbx, question, found)]


_FAILS = "The agent is rung and answers, then the call to the customer fails."


def report_outbound(pbx: PbxSettings, question: OutboundQuestion, found: Outbound) -> Finding:
    """Say what becomes of a customer's number, of which `question` has an example."""
    context, number = pbx.outbound_context, question.number
    route = f"the outbound route {f'“{found.route}” ' if found.route else ''}({found.context})"
    match found.result:
        case OutboundResult.NO_CONTEXT:
            usual = ", on FreePBX and Issabel from-internal" if is_freepbx(pbx) else ""
            return fault(
                f"The PBX has no context {context}, in which customers are dialled. {_FAILS}",
                f"Set the context in which phones dial out{usual}: in the panel, or by BAZANG_OUTBOUND_CONTEXT.",
            )
        case OutboundResult.NO_ROUTE:
            return fault(
                f"In the context {context} the PBX has no way to {number}, an example of a customer's number. {_FAILS}",
                _add_route(pbx, number),
            )
        case OutboundResult.PASSWORD:
            asking = f"T{route[1:]}" if is_freepbx(pbx) else f"The context {found.context}"
            return fault(
                f"{asking} asks for a password before it dials {number}, an example of a customer's number. Nobody "
                f"enters it. {_FAILS}",
                _no_password(pbx, found),
            )
    way = f"{route}, context {context}" if found.route else f"the context {context}"
    return ok(f"Customers are dialled through {way}.")


def _add_route(pbx: PbxSettings, number: str) -> str:
    pattern = f"{number[0]}{'X' * (len(number) - 1)}"
    if not is_freepbx(pbx):
        return (
            f"In extensions.conf, [{pbx.outbound_context}]: `exten => _{pattern},1,Dial(PJSIP/${{EXTEN}}@TRUNK)`; "
            f"{RELOAD}. How numbers are dialled is set in the panel, under Settings."
        )
    return (
        f"{OUTBOUND_ROUTES}: add the Dial Pattern `{pattern}` to a route with a trunk, {APPLY}. How numbers are "
        "dialled, with a prefix for example, is set in the panel, under Settings."
    )


def _no_password(pbx: PbxSettings, found: Outbound) -> str:
    if not is_freepbx(pbx):
        return (
            f"In extensions.conf, remove the step that asks, such as Authenticate(), from [{found.context}]; {RELOAD}."
        )
    name = found.route or found.context
    return (
        f"{OUTBOUND_ROUTES} > {name}: empty Route Password and set PIN Set to None, {APPLY}. Or let the agents call "
        f"without: {EXTENSIONS} > their extension > Advanced > Pinless Dialing: Enable."
    )
