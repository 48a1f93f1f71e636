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
    LOG,
    MISC_DESTINATIONS,
    OUTBOUND_ROUTES,
    QUEUES,
    RELOAD,
    dialplan_file,
    is_freepbx,
)
from app.domain.findings import Finding, Line, Said, fault, ok, say, warning
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
            findings.append(fault("pbx-silent", say("The PBX stopped answering: %(error)s", error=str(error)), LOG))
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
            "dialplan-not-included",
            say(
                "Asterisk does not have our dialplan. Callers who are sent to a module are hung up, and no agent is "
                "rung."
            ),
            say(
                "In %(file)s, outside all contexts: %(line)s; %(reload)s.",
                file=dialplan_file(pbx),
                line=Line(f"#tryinclude {settings.dialplan_path}"),
                reload=RELOAD,
            )
            + say(
                "If the line is there, the file came after the last reload, so reload again, or Asterisk's user cannot "
                "read it."
            ),
        )
    elif state is DialplanState.OUTDATED and written:
        yield fault(
            "dialplan-outdated",
            say("Asterisk does not run our current dialplan. The last changes in the panel have no effect on calls."),
            _TYPE_RELOAD,
        )
    elif state is not DialplanState.UNKNOWN:
        yield ok(
            "dialplan-current",
            say("Asterisk runs our dialplan, revision %(revision)s.", revision=written)
            if written
            else say("Asterisk runs our dialplan, revision unknown, because the worker never ran."),
        )


_TYPE_RELOAD = say("Type %(command)s in Asterisk's console.", command=Line("dialplan reload"))


# -- the codes of modules ---------------------------------------------------------------------------------------------


async def _check_codes(office: _Office, client: AmiClient) -> list[Finding]:
    """Check that our dialplan, as Asterisk runs it, has the code of each module."""
    missing = await module_codes.missing_codes(client, office.modules)
    if missing and office.makes_sounds:
        return [
            warning(
                "codes-wait-for-sounds",
                say(
                    "The worker is making the sounds of new modules, so Asterisk does not know their codes yet: "
                    "%(codes)s.",
                    codes=tuple(missing),
                ),
                say("Wait until the panel says that they are made."),
            )
        ]
    return [
        fault(
            "code-unknown",
            say(
                "Asterisk does not know the code %(code)s of the module %(module)s: callers who come by it are hung "
                "up.",
                code=code,
                module=office.modules[code],
            ),
            _TYPE_RELOAD
            + say(
                "If that does not help, look for another %(section)s in the PBX's files and remove it.",
                section=f"[{Context.MODULES}]",
            ),
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
        return [
            ok("phones-dial", say("Phones in the context %(context)s can dial the codes of modules.", context=context))
        ]
    if step is not None:
        return [
            warning(
                "code-taken",
                say(
                    "Phones in the context %(context)s that dial %(code)s get what the PBX has for it in %(other)s, "
                    "and not our module.",
                    context=context,
                    code=code,
                    other=step.context,
                ),
                say("Give the module another code."),
            )
        ]
    place = "[from-internal-custom]" if is_freepbx(pbx) else f"[{context}]"
    said = say(
        "Phones in the context %(context)s cannot dial the codes of modules, such as %(code)s.",
        context=context,
        code=code,
    )
    if is_freepbx(pbx):
        said += say("Misc Destinations that dial one lose their callers.")
    line = Line(config_snippets.include(Context.MODULES))
    return [warning("phones-do-not-dial", said, _add_line(pbx, place, line))]


def _add_line(pbx: PbxSettings, place: str, line: Line) -> Said:
    return say(
        "In %(file)s, %(place)s: %(line)s; %(reload)s.",
        file=dialplan_file(pbx),
        place=place,
        line=line,
        reload=RELOAD,
    )


async def _check_whole(pbx: PbxSettings, office: _Office, client: AmiClient, state: DialplanState) -> list[Finding]:
    """Check what only the whole dialplan shows."""
    rows = await client.collect("ShowDialPlan")
    has_ours = state in (DialplanState.CURRENT, DialplanState.OUTDATED)
    return [
        *_check_revisions(pbx, module_codes.find_revisions(rows)),
        *_check_leads(pbx, office, await module_codes.find_leads(client, rows)),
        *(await _check_modules_included(pbx, office, client, rows) if has_ours else ()),
        *(await _check_ways_in(office, client, rows) if has_ours and not is_freepbx(pbx) else ()),
    ]


async def _check_modules_included(
    pbx: PbxSettings, office: _Office, client: AmiClient, rows: Collection[Mapping[str, Any]]
) -> list[Finding]:
    """Check that phones get to the context of the modules, also before there is a code to try, as in the setup."""
    if office.first_code:
        return []
    phones = ("from-internal",) if is_freepbx(pbx) else await _phone_contexts(office, client)
    contexts = [context for context in phones if Context.MODULES not in _included(rows, context)]
    line = Line(config_snippets.include(Context.MODULES))
    return [
        warning(
            "modules-not-included",
            say(
                "Nothing in the context %(context)s leads to %(modules)s, so phones will not be able to dial the codes "
                "of modules.",
                context=context,
                modules=str(Context.MODULES),
            ),
            _add_line(pbx, "[from-internal-custom]" if is_freepbx(pbx) else f"[{context}]", line),
        )
        for context in contexts
    ]


def _included(rows: Collection[Mapping[str, Any]], context: str) -> set[str]:
    """Return the contexts that a context includes, and those that these include."""
    found: set[str] = set()
    new = {context}
    while new:
        inside = {str(row.get("IncludeContext", "")) for row in rows if row.get("Context") in new} - {""}
        found, new = found | inside, inside - found
    return found


def _check_revisions(pbx: PbxSettings, revisions: Collection[str]) -> Iterable[Finding]:
    """Check that no other worker writes a dialplan for this PBX."""
    if len(revisions) > 1:
        yield fault(
            "several-dialplans",
            say(
                "Asterisk has the dialplans of several installations of Bazang. Their workers ring the same phones, "
                "and know nothing of each other."
            ),
            say(
                "In %(file)s, keep one line %(line)s; %(reload)s. Stop the other worker.",
                file=dialplan_file(pbx),
                line=Line("#tryinclude"),
                reload=RELOAD,
            ),
        )


async def _check_ways_in(office: _Office, client: AmiClient, rows: Collection[Mapping[str, Any]]) -> list[Finding]:
    """Check that callers get to the scenarios of extensions and queues, and not past them."""
    ways = await find_ways_in(client, rows, office.phones, office.queues)
    contexts = await _phone_contexts(office, client) if ways.unused else ()
    unused = [_unused_context(office, context, contexts) for context in ways.unused]
    return unused + [_own_line(line) for line in ways.own_lines[:MOST_OWN_LINES]]


def _unused_context(office: _Office, context: Context, phones: tuple[str, ...]) -> Finding:
    """`phones`: the contexts in which phones dial."""
    names = tuple(office.phones if context == Context.EXTENSIONS else office.queues)
    line = Line(config_snippets.include(context))
    return warning(
        "nothing-leads-in",
        say(
            "Nothing in the PBX's dialplan leads calls to %(context)s, so callers of %(names)s never come to a module.",
            context=str(context),
            names=names,
        ),
        say(
            "In %(file)s, in the contexts of trunks and phones, such as %(contexts)s, before what rings these numbers: "
            "%(line)s; %(reload)s.",
            file="extensions.conf",
            contexts=phones,
            line=line,
            reload=RELOAD,
        )
        if phones
        else say(
            "In %(file)s, in the contexts of trunks and phones, before what rings these numbers: %(line)s; %(reload)s.",
            file="extensions.conf",
            line=line,
            reload=RELOAD,
        ),
    )


def _own_line(line: OwnLine) -> Finding:
    context = Context.EXTENSIONS if line.target.kind == DestinationKind.EXTENSION else Context.QUEUES
    step, place = line.step, config_snippets.location(context, line.target.code)
    return warning(
        "line-passes-by",
        say(
            "%(extension)s in the context %(context)s has a line of its own for %(target)s, %(step)s, so callers who "
            "come there never come to a module.",
            extension=step.extension,
            context=step.context,
            target=line.target.code,
            step=f"{step.application}({step.data})",
        ),
        say(
            "If they should: in %(file)s, %(section)s, replace it by %(line)s; %(reload)s.",
            file="extensions.conf",
            section=f"[{step.context}]",
            line=Line(f"Goto({place})"),
            reload=RELOAD,
        ),
    )


def _check_leads(pbx: PbxSettings, office: _Office, leads: Collection[Lead]) -> list[Finding]:
    """Check that the PBX sends callers only to codes that a module has or had."""
    wrong = [lead for lead in leads if lead.code not in office.modules and lead.code not in office.former_codes]
    found = [_wrong_code(pbx, office, lead) for lead in wrong]
    if leads and not wrong:
        found.append(ok("codes-led-to", say("All codes to which the PBX sends callers are those of modules.")))
    return found


_PLACES: dict[str, Callable[[str], Said]] = {  # by the contexts that FreePBX and Issabel generate
    "ext-local": lambda number: say("the extension %(number)s", number=number),
    "ext-queues": lambda number: say("the queue %(number)s", number=number),
    "ext-group": lambda number: say("the ring group %(number)s", number=number),
    "ext-findmefollow": lambda number: say("the follow-me of %(number)s", number=number),
    "customdests": lambda number: say("the custom destination %(number)s", number=number),
    "ext-miscdests": lambda number: say("the misc destination %(number)s", number=number),
    "from-pstn": lambda number: say("the inbound route %(number)s", number=number),
    "ext-did-0002": lambda number: say("the inbound route %(number)s", number=number),
}


def _place(lead: Lead) -> Said:
    if lead.context in _PLACES:
        return _PLACES[lead.context](lead.extension)
    return say("%(number)s in the context %(context)s", number=lead.extension, context=lead.context)


def _wrong_code(pbx: PbxSettings, office: _Office, lead: Lead) -> Finding:
    said = say(
        "On the PBX, %(place)s sends its callers to %(code)s, which is the code of no module: they are hung up.",
        place=_place(lead),
        code=lead.code,
    )
    if not is_freepbx(pbx):
        advice = say(
            "Change it in %(file)s, %(reload)s; or give a module this code.", file="extensions.conf", reload=RELOAD
        )
    elif lead.context == "ext-miscdests":
        advice = say(
            "%(menu)s: change Dial, then %(apply)s; or give a module this code.", menu=MISC_DESTINATIONS, apply=APPLY
        )
    else:
        advice = say(
            "%(menu)s: set Target of the one for %(code)s to %(target)s, then %(apply)s; or give a module this code.",
            menu=CUSTOM_DESTINATIONS,
            code=lead.code,
            target=Line(config_snippets.location(Context.MODULES, office.first_code or "CODE")),
            apply=APPLY,
        )
    return fault("code-of-no-module", said, advice)


async def _check_offers(settings: Settings, database: Database, pbx: PbxSettings, client: AmiClient) -> list[Finding]:
    """Check that a key leads callers who wait in a queue to the module that they are offered."""
    with database.read() as session:
        offers = list_offers(session, settings)
    found = await DestinationReader(client).read_offers() if offers else None
    return [] if found is None else [_report_offer(pbx, offer, found.get(offer.queue, "")) for offer in offers]


def _report_offer(pbx: PbxSettings, offer: Offer, code: str) -> Finding:
    """`code`: that of the module to which a key leads from the queue, "" if there is none."""
    if code == offer.code:
        return ok(
            "offer",
            say(
                "Callers who wait in the queue %(queue)s can leave it for the module %(module)s by a key.",
                queue=offer.queue,
                module=offer.name,
            ),
        )
    said = say(
        "The module %(module)s is offered to callers who wait in the queue %(queue)s, but on the PBX no key leads them "
        "there.",
        queue=offer.queue,
        module=offer.name,
    )
    if is_freepbx(pbx):
        advice = say(
            "%(menu)s: set IVR Break Out Menu to an IVR whose key %(key)s leads to the custom destination for "
            "%(code)s, then %(apply)s.",
            menu=f"{QUEUES} > {offer.queue}",
            key=offer.key,
            code=offer.code,
            apply=APPLY,
        )
    else:
        advice = say(
            "In %(file)s, %(section)s: %(lines)s; then %(command)s in Asterisk's console.",
            file="queues.conf",
            section=f"[{offer.queue}]",
            lines=tuple(map(Line, offer.lines)),
            command=Line("queue reload all"),
        )
    return fault("offer-leads-nowhere", said, advice)


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
    if is_freepbx(pbx):
        advice = say(
            "%(menu)s: check that %(extension)s exists and has a phone (is not of the type Virtual), submit its page, "
            "then %(apply)s.",
            menu=EXTENSIONS,
            extension=extension,
            apply=APPLY,
        )
    else:
        advice = say(
            "In %(file)s: %(line)s; %(reload)s.",
            file="extensions.conf",
            line=Line(config_snippets.hint_line(extension, "")),
            reload=RELOAD,
        )
    return fault(
        "no-hint",
        say(
            "The PBX has no hint with a phone for %(extension)s, an extension of a module, so it is never rung.",
            extension=extension,
        ),
        advice,
    )


# -- the way to customers ---------------------------------------------------------------------------------------------


async def _check_outbound(pbx: PbxSettings, question: OutboundQuestion | None, client: AmiClient) -> list[Finding]:
    context = pbx.outbound_context
    if not context:
        return [
            fault(
                "no-outbound-context",
                say("The context for calls to customers is not set, so no customer can be dialled."),
                say("Set it in the panel or by BAZANG_OUTBOUND_CONTEXT."),
            )
        ]
    if question is None:
        return [_way_out(say("the context %(context)s", context=context))]
    found = await find_way_out(client, context, question.number, question.agents)
    return [report_outbound(pbx, question, found)]


_FAILS = say("The agent is rung and answers, then the call to the customer fails.")


def report_outbound(pbx: PbxSettings, question: OutboundQuestion, found: Outbound) -> Finding:
    """Say what becomes of a customer's number, of which `question` has an example."""
    context, number = pbx.outbound_context, question.number
    match found.result:
        case OutboundResult.NO_CONTEXT:
            return fault(
                "outbound-context-missing",
                say("The PBX has no context %(context)s, in which customers are dialled.", context=context) + _FAILS,
                say(
                    "Set the context in which phones dial out, on FreePBX and Issabel %(usual)s: in the panel, or by "
                    "BAZANG_OUTBOUND_CONTEXT.",
                    usual="from-internal",
                )
                if is_freepbx(pbx)
                else say("Set the context in which phones dial out: in the panel, or by BAZANG_OUTBOUND_CONTEXT."),
            )
        case OutboundResult.NO_ROUTE:
            return fault(
                "outbound-no-route",
                say(
                    "In the context %(context)s the PBX has no way to %(number)s, an example of a customer's number.",
                    context=context,
                    number=number,
                )
                + _FAILS,
                _add_route(pbx, number),
            )
        case OutboundResult.PASSWORD:
            return fault("outbound-password", _asks(pbx, found, number) + _FAILS, _no_password(pbx, found))
    if not found.route:
        return _way_out(say("the context %(context)s", context=context))
    return _way_out(
        say(
            "the outbound route “%(route)s” (%(inside)s), context %(context)s",
            route=found.route,
            inside=found.context,
            context=context,
        )
    )


def _way_out(way: Said) -> Finding:
    return ok("outbound", say("Customers are dialled through %(way)s.", way=way))


def _asks(pbx: PbxSettings, found: Outbound, number: str) -> Said:
    if not is_freepbx(pbx):
        who = say("The context %(context)s", context=found.context)
    elif found.route:
        who = say("The outbound route “%(route)s” (%(inside)s)", route=found.route, inside=found.context)
    else:
        who = say("The outbound route (%(inside)s)", inside=found.context)
    return say(
        "%(who)s asks for a password before it dials %(number)s, an example of a customer's number. Nobody enters it.",
        who=who,
        number=number,
    )


def _add_route(pbx: PbxSettings, number: str) -> Said:
    pattern = f"{number[0]}{'X' * (len(number) - 1)}"
    if not is_freepbx(pbx):
        place, line = f"[{pbx.outbound_context}]", Line(f"exten => _{pattern},1,Dial(PJSIP/${{EXTEN}}@TRUNK)")
        return _add_line(pbx, place, line) + say("How numbers are dialled is set in the panel, under Settings.")
    return say(
        "%(menu)s: add the Dial Pattern %(pattern)s to a route with a trunk, then %(apply)s. How numbers are dialled, "
        "with a prefix for example, is set in the panel, under Settings.",
        menu=OUTBOUND_ROUTES,
        pattern=Line(pattern),
        apply=APPLY,
    )


def _no_password(pbx: PbxSettings, found: Outbound) -> Said:
    if not is_freepbx(pbx):
        return say(
            "In %(file)s, remove the step that asks, such as %(step)s, from %(section)s; %(reload)s.",
            file="extensions.conf",
            step="Authenticate()",
            section=f"[{found.context}]",
            reload=RELOAD,
        )
    return say(
        "%(menu)s: empty Route Password and set PIN Set to None, then %(apply)s. Or let the agents call without: "
        "%(extensions)s > their extension > Advanced > Pinless Dialing: Enable.",
        menu=f"{OUTBOUND_ROUTES} > {found.route or found.context}",
        apply=APPLY,
        extensions=EXTENSIONS,
    )
