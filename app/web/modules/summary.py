"""Describe a module in plain words: what callers hear, whose phone rings, and where the call goes.

Each sentence is one message, since languages order their words differently.
"""

from flask_babel import gettext as _
from flask_babel import ngettext
from markupsafe import Markup, escape

from app.domain.agent_order import AgentOrder
from app.domain.backoff import LONGEST_PAUSE
from app.domain.dial_order import Confirmation
from app.domain.hours import AtClosing, Outside, parse_week
from app.domain.place_in_line import Place
from app.domain.routing import Destination, DestinationKind
from app.services.modules.input import ModuleInput
from app.services.pbx.directory import Directory
from app.services.prompts.input import PromptMode
from app.web.formats import digits, fill_in, name, number
from app.web.hours_fields import describe_week
from app.web.pbx.findings import format_code


def summarise(given: ModuleInput, directory: Directory) -> list[Markup]:
    """Return the paragraphs of the summary. Without code or targets, ask for them instead."""
    if not given.code or not given.targets:
        text = _("Enter a code and choose who calls back. Then this text describes what happens to a caller.")
        return [escape(text)]
    paragraphs = [] if given.active else [_inactive(given, directory)]
    paragraphs.append(_offer(given, directory))
    if given.target_kind == DestinationKind.EXTENSION and len(given.targets) > 1:
        paragraphs.append(_any_extension(given))
    if given.target_kind == DestinationKind.QUEUE and given.offer_key:
        paragraphs.append(_offer_in_queue(given))
    paragraphs += _call_back(given, directory) if given.automatic else [_manual()]
    paragraphs.append(_hours(given))
    paragraphs.append(_outside(given, directory))
    paragraphs.append(_onward(given, directory))
    paragraphs += _while_down(given)
    if given.expire_after:
        text = _("A request that is not done within %(time)s expires.")
        paragraphs.append(fill_in(text, time=format_duration(given.expire_after)))
    return paragraphs


# -- its paragraphs ---------------------------------------------------------------------------------------------------


def _inactive(given: ModuleInput, directory: Directory) -> Markup:
    if given.error.kind == DestinationKind.HANGUP:
        text = _("The module is inactive: calls to %(code)s end at once. When it is active:")
        return fill_in(text, code=number(given.code))
    text = _("The module is inactive: calls to %(code)s go to %(destination)s at once. When it is active:")
    return fill_in(text, code=number(given.code), destination=format_destination(given.error, directory))


def _offer(given: ModuleInput, directory: Directory) -> Markup:
    if given.silent:
        text = _(
            "A caller who gets no answer from %(target)s comes to %(code)s and hears nothing. "
            "Bazang registers the caller's number at once, unless it is hidden."
        )
    elif "intro" in given.prompts and given.prompts["intro"].mode == PromptMode.NONE:
        text = _(
            "A caller who gets no answer from %(target)s comes to %(code)s and hears no introduction. "
            "Key 1 registers the caller's own number, key 2 another number."
        )
    else:
        text = _(
            "A caller who gets no answer from %(target)s comes to %(code)s and hears the introduction. "
            "Key 1 registers the caller's own number, key 2 another number."
        )
    sentences = [
        fill_in(text, code=number(given.code), target=_targets(given, directory)),
        *_times(given),
        *_prospect(given),
        *_name(given),
    ]
    return Markup(" ").join(sentences)


def _times(given: ModuleInput) -> list[Markup]:
    """Say that callers may choose when they are called."""
    if not given.offers_times or given.silent:
        return []
    sentences = [escape(_("With key 3 callers choose first when they are called."))]
    if given.quarter_limit:
        text = ngettext(
            "There is at most %(num)s such call in a quarter of an hour.",
            "There are at most %(num)s such calls in a quarter of an hour.",
            given.quarter_limit,
        )
        sentences.append(escape(digits(text)))
    return sentences


def _prospect(given: ModuleInput) -> list[Markup]:
    """Say what callers hear about the line."""
    if given.silent or not (given.tells_place or given.tells_wait):
        return []
    if given.tells_place and given.tells_wait:
        text = _("Then callers hear their place in line and, if it can be estimated, how long it will probably take.")
    elif given.tells_place:
        text = _("Then callers hear their place in line.")
    else:
        text = _("Then callers hear how long it will probably take, if it can be estimated.")
    return [escape(text)]


def _name(given: ModuleInput) -> list[Markup]:
    """Say that callers may say their name."""
    if not given.asks_name or given.silent:
        return []
    return [escape(_("After that callers may say their name, and the agent hears it."))]


def _offer_in_queue(given: ModuleInput) -> Markup:
    """Say that callers who wait in the queue may leave it by a key."""
    after, key = format_duration(given.offer_after), digits(given.offer_key)
    text = _(
        "Callers who wait in the queue hear every %(after)s that key %(key)s leads them to a request with their place "
        "in line. If they leave none, they go on waiting; on FreePBX and Issabel they go to the error destination."
    )
    sentences = [fill_in(text, after=after, key=key)]
    if given.offer_callers:
        text = ngettext(
            "If %(num)s caller waits already, those who come hear it at once.",
            "If %(num)s callers wait already, those who come hear it at once.",
            given.offer_callers,
        )
        sentences.append(escape(digits(text)))
    if given.offer_callers_per_agent:
        text = ngettext(
            "If %(num)s caller for each agent who is logged in and not paused waits already, or no agent is left, "
            "those who come hear it at once.",
            "If %(num)s callers for each agent who is logged in and not paused wait already, or no agent is left, "
            "those who come hear it at once.",
            given.offer_callers_per_agent,
        )
        sentences.append(escape(digits(text)))
    return Markup(" ").join(sentences)


def _any_extension(given: ModuleInput) -> Markup:
    text = _("The extension that the caller wanted calls back. If the caller dialled %(code)s directly, any does.")
    order: dict[str, str] = {
        AgentOrder.LONGEST_IDLE: _("Of those that are free, the one rings that has had no call for longest."),
        AgentOrder.LISTED: _("Of those that are free, the first one rings in this order: %(extensions)s."),
        AgentOrder.IN_TURN: _("Of those that are free, the one rings whose last ring is longest ago."),
    }
    listed = escape(_(", ")).join(number(target) for target in given.targets)
    which = order.get(given.agent_order, "")
    return fill_in(f"{text} {which}", code=number(given.code), extensions=listed)


def _call_back(given: ModuleInput, directory: Directory) -> list[Markup]:
    paragraphs = []
    if given.min_wait:
        text = _("Bazang waits at least %(time)s, so that the person who missed the call can call back first.")
        paragraphs.append(fill_in(text, time=format_duration(given.min_wait)))
    ring = fill_in(_ring(given), target=_targets(given, directory), rest=format_duration(given.rest))
    if given.customer_first:
        ring = fill_in(_reserve(given), target=_targets(given, directory), rest=format_duration(given.rest))
        announce = _customer_first(given)
    elif given.agent_confirms == Confirmation.ANSWER:
        announce = _("Bazang announces the request and then dials the customer.")
    else:
        announce = _("Bazang announces the request and, after key 1, dials the customer.")
    paragraphs.append(ring + " " + announce)
    if given.target_kind == DestinationKind.QUEUE:
        paragraphs.append(_place(given))
    if given.preferred_for and (given.target_kind == DestinationKind.QUEUE or len(given.targets) > 1):
        text = _("If one of them talked with this customer last, nobody else rings for the first %(time)s.")
        paragraphs.append(fill_in(text, time=format_duration(given.preferred_for)))
    if given.fallback_after and given.fallback.code:
        text = _("When a request has waited for %(time)s, %(fallback)s may serve it, too.")
        fallback = format_destination(given.fallback, directory)
        paragraphs.append(fill_in(text, time=format_duration(given.fallback_after), fallback=fallback))
    paragraphs += _question(given)
    paragraphs.append(_misses(given))
    paragraphs.append(_retries(given))
    if given.retries and given.busy_pause:
        text = _("If the customer was busy, the next call comes after %(pause)s.")
        paragraphs.append(fill_in(text, pause=format_duration(given.busy_pause)))
    return paragraphs


def _ring(given: ModuleInput) -> str:
    if given.target_kind == DestinationKind.QUEUE:
        if given.rest:
            return _("As soon as a member of %(target)s has been free for %(rest)s, Bazang rings that member.")
        return _("As soon as a member of %(target)s is free, Bazang rings that member.")
    if len(given.targets) > 1:
        if given.rest:
            return _("As soon as that extension has been free for %(rest)s, Bazang rings it.")
        return _("As soon as that extension is free, Bazang rings it.")
    if given.rest:
        return _("As soon as %(target)s has been free for %(rest)s, Bazang rings it.")
    return _("As soon as %(target)s is free, Bazang rings it.")


def _reserve(given: ModuleInput) -> str:
    """Say when the customer is rung first, as `_ring` does of the agent."""
    if given.target_kind == DestinationKind.QUEUE:
        if given.rest:
            return _("As soon as a member of %(target)s has been free for %(rest)s, Bazang rings the customer.")
        return _("As soon as a member of %(target)s is free, Bazang rings the customer.")
    if len(given.targets) > 1:
        if given.rest:
            return _("As soon as that extension has been free for %(rest)s, Bazang rings the customer.")
        return _("As soon as that extension is free, Bazang rings the customer.")
    if given.rest:
        return _("As soon as %(target)s has been free for %(rest)s, Bazang rings the customer.")
    return _("As soon as %(target)s is free, Bazang rings the customer.")


def _customer_first(given: ModuleInput) -> Markup:
    """Say what happens when a customer has answered who is rung first."""
    if given.agent_confirms == Confirmation.ANSWER:
        text = _(
            "The customer hears music while the agent's phone rings, for at most %(ring)s, and is connected after the "
            "announcement."
        )
    else:
        text = _(
            "The customer hears music while the agent's phone rings, for at most %(ring)s, and is connected after key "
            "1."
        )
    after = _("If the agent does not come, the customer hears an apology, and the next call rings the agent first.")
    return fill_in(f"{text} {after}", ring=format_duration(given.agent_ring))


def _place(given: ModuleInput) -> Markup:
    """Say who comes first, a request or the callers who wait in the queue."""
    match given.place:
        case Place.CALLERS_FIRST if given.callers_lead:
            text = _(
                "Callers on the line come first, but a request does not wait behind those who called more than "
                "%(lead)s later."
            )
            return fill_in(text, lead=format_duration(given.callers_lead))
        case Place.CALLERS_FIRST:
            return escape(_("Callers on the line come first: as long as anyone waits there, no request is called."))
        case Place.SHARE:
            text = ngettext(
                "While callers are on the line, one request is called after each caller that was answered.",
                "While callers are on the line, one request is called after %(num)s callers that were answered.",
                given.callers_share,
            )
            return escape(digits(text))
    return escape(_("Callers on the line and requests are served by the time they first called."))


def _question(given: ModuleInput) -> list[Markup]:
    if not given.asks_customer:
        return []
    text = _(
        "Customers who answer are asked first: key 1 connects them, key 2 lets the request wait for the next pause "
        "between calls, key 9 cancels it. If nobody presses a key, the call counts as not answered."
    )
    return [escape(text)]


def _manual() -> Markup:
    text = _(
        "No phone rings automatically. The request stays among the pending requests until someone asks for the call."
    )
    return escape(text)


def _misses(given: ModuleInput) -> Markup:
    longest = int(LONGEST_PAUSE.total_seconds())
    if given.agent_pause < longest:
        text = _(
            "A phone that is not answered within %(ring)s does not ring again for %(pause)s, and for longer with each "
            "further miss of the same request, up to %(longest)s. Key 2 does the same."
        )
    else:
        text = _("A phone that is not answered within %(ring)s does not ring again for %(pause)s. Key 2 does the same.")
    ring, pause = format_duration(given.agent_ring), format_duration(given.agent_pause)
    return fill_in(text, ring=ring, pause=pause, longest=format_duration(longest))


def _retries(given: ModuleInput) -> Markup:
    ring, pauses = format_duration(given.customer_ring), given.retry_pauses[: given.retries]
    if not pauses:
        return fill_in(_("If the customer does not answer within %(ring)s, the request fails."), ring=ring)
    if given.retries == 1:
        text = _("If the customer does not answer within %(ring)s, Bazang calls once more after %(pause)s.")
    elif len(set(pauses)) == 1:
        text = _("If the customer does not answer within %(ring)s, Bazang calls %(count)s more times, %(pause)s apart.")
    elif given.retries == len(pauses):
        text = _(
            "If the customer does not answer within %(ring)s, Bazang calls %(count)s more times: after %(pause)s, then "
            "%(others)s."
        )
    else:
        text = _(
            "If the customer does not answer within %(ring)s, Bazang calls %(count)s more times: after %(pause)s, then "
            "%(others)s. The last pause repeats."
        )
    first, *others = map(format_duration, pauses)
    joined = _(", ").join(others)
    return fill_in(text, ring=ring, pause=first, others=joined, count=digits(given.retries))


def _hours(given: ModuleInput) -> Markup:
    """Say when phones ring by themselves."""
    if not given.hours:
        if given.holidays:
            return escape(_("Phones ring by themselves in the office hours only."))
        return escape(_("Phones ring by themselves in the office hours only, also on holidays."))
    if given.holidays:
        text = _("Phones ring by themselves in the module's own hours only (%(hours)s), and not on holidays.")
    else:
        text = _("Phones ring by themselves in the module's own hours only (%(hours)s), also on holidays.")
    return fill_in(text, hours=describe_week(parse_week(given.hours)))


def _outside(given: ModuleInput, directory: Directory) -> Markup:
    """Say what callers are offered outside the hours, and what becomes of open requests."""
    sentences = [_offer_outside(given, directory)]
    if given.stop_before and given.outside != Outside.OFFER:
        text = _("For callers, the hours end %(time)s earlier.")
        sentences.append(fill_in(text, time=format_duration(given.stop_before)))
    sentences.append(escape(_at_closing(given)))
    return Markup(" ").join(sentences)


def _at_closing(given: ModuleInput) -> str:
    match given.at_closing:
        case AtClosing.EXPIRE:
            return _("What is open when the office closes expires.")
        case AtClosing.GIVE_UP:
            return _(
                "When the office closes, requests whose customer was called and not reached are given up. The others "
                "wait for the next opening."
            )
    return _("Open requests wait for the next opening.")


def _offer_outside(given: ModuleInput, directory: Directory) -> Markup:
    match given.outside:
        case Outside.OFFER:
            return escape(_("Outside these hours callers are offered the same."))
        case Outside.DECLINE if given.error.kind == DestinationKind.HANGUP:
            return escape(_("Outside these hours callers hear that the office is closed, and the call ends."))
        case Outside.DECLINE:
            text = _(
                "Outside these hours callers hear that the office is closed, and the call goes to %(destination)s."
            )
            return fill_in(text, destination=format_destination(given.error, directory))
    return escape(
        _("Outside these hours callers hear that the office is closed, and are offered a call when it opens.")
    )


def _onward(given: ModuleInput, directory: Directory) -> Markup:
    texts = {
        (False, False): _(
            "After the request the call goes to %(next)s. Without a request it goes to %(error)s, also if Bazang does "
            "not run."
        ),
        (False, True): _("After the request the call goes to %(next)s. Without a request it ends."),
        (True, False): _(
            "After the request the call ends. Without a request it goes to %(error)s, also if Bazang does not run."
        ),
        (True, True): _("The call ends, with or without a request."),
    }
    return fill_in(
        texts[given.next.kind == DestinationKind.HANGUP, given.error.kind == DestinationKind.HANGUP],
        next=format_destination(given.next, directory),
        error=format_destination(given.error, directory),
    )


def _while_down(given: ModuleInput) -> list[Markup]:
    """Say that the PBX takes requests while Bazang does not run."""
    if not given.keeps_while_down:
        return []
    if given.silent:
        text = _(
            "While Bazang does not run, the PBX keeps the caller's own number, and Bazang registers it afterwards."
        )
    else:
        text = _(
            "While Bazang does not run, the PBX plays the introduction and takes key 1 only. Bazang registers the "
            "request afterwards, with the time of the call."
        )
    return [escape(text)]


# -- its parts --------------------------------------------------------------------------------------------------------


def format_destination(destination: Destination, directory: Directory) -> Markup:
    """Name a destination within a sentence."""
    code = destination.code
    if destination.kind != DestinationKind.HANGUP and not code:
        return escape(_("a destination that is not chosen yet"))
    match destination.kind:
        case DestinationKind.EXTENSION:
            return _extension(code, directory)
        case DestinationKind.QUEUE:
            return fill_in(_("queue %(name)s"), name=number(code))
        case DestinationKind.MODULE:
            module = directory.modules.get(code)
            text = _("the module “%(name)s” (%(code)s)")
            return fill_in(text, name=name(module.name), code=number(code)) if module else number(code)
    return fill_in(_("%(code)s on the PBX"), code=format_code(destination))


def _extension(code: str, directory: Directory) -> Markup:
    extension = directory.extensions.get(code)
    if extension is None or not extension.name:
        return fill_in(_("extension %(number)s"), number=number(code))
    return fill_in(_("%(number)s (%(name)s)"), number=number(code), name=name(extension.name))


def _targets(given: ModuleInput, directory: Directory) -> Markup:
    names = [format_destination(target, directory) for target in given.target_destinations]
    if len(names) == 1:
        return names[0]
    comma = escape(_(", "))
    return fill_in(_("%(some)s or %(last)s"), some=comma.join(names[:-1]), last=names[-1])


def format_duration(seconds: int) -> str:
    """Write a duration in words: 10 seconds, 5 minutes, 1 hour and 30 minutes."""
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    parts = []
    if hours:
        parts.append(ngettext("%(num)s hour", "%(num)s hours", hours))
    if minutes:
        parts.append(ngettext("%(num)s minute", "%(num)s minutes", minutes))
    if left or not parts:
        parts.append(ngettext("%(num)s second", "%(num)s seconds", left))
    joined = parts[0]
    for part in parts[1:]:
        joined = _("%(longer)s and %(shorter)s", longer=joined, shorter=part)
    return digits(joined)
