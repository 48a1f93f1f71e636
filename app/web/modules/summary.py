"""Describe a module in plain words: what callers hear, whose phone rings, and where the call goes.

Each sentence is one message, since languages order their words differently.
"""

from flask_babel import gettext as _
from flask_babel import ngettext
from markupsafe import Markup, escape

from app.domain.routing import Destination, DestinationKind
from app.services.modules.input import ModuleInput
from app.services.pbx.directory import Directory
from app.services.prompts.input import PromptMode
from app.web.formats import digits, fill_in, name, number
from app.web.pbx.findings import format_code


def summarise(given: ModuleInput, directory: Directory) -> list[Markup]:
    """Return the paragraphs of the summary. Without code or targets, ask for them instead."""
    if not given.code or not given.targets:
        text = _("Enter a code and choose who calls back. Then this text describes what happens to a caller.")
        return [escape(text)]
    paragraphs = [] if given.active else [_inactive(given, directory)]
    paragraphs.append(_offer(given, directory))
    if given.target_kind == DestinationKind.EXTENSION and len(given.targets) > 1:
        text = _("The extension that the caller wanted calls back. If the caller dialled %(code)s directly, any does.")
        paragraphs.append(fill_in(text, code=number(given.code)))
    paragraphs += _call_back(given, directory) if given.automatic else [_manual()]
    paragraphs.append(_onward(given, directory))
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
    return fill_in(text, code=number(given.code), target=_targets(given, directory))


def _call_back(given: ModuleInput, directory: Directory) -> list[Markup]:
    paragraphs = []
    if given.min_wait:
        text = _("Bazang waits at least %(time)s, so that the person who missed the call can call back first.")
        paragraphs.append(fill_in(text, time=format_duration(given.min_wait)))
    ring = fill_in(_ring(given), target=_targets(given, directory), rest=format_duration(given.rest))
    announce = _("Bazang announces the request and, after key 1, dials the customer.")
    paragraphs.append(ring + " " + announce)
    text = _("A phone that is not answered within %(ring)s does not ring again for %(pause)s. Key 2 does the same.")
    ring_time, pause = format_duration(given.agent_ring), format_duration(given.agent_pause)
    paragraphs.append(fill_in(text, ring=ring_time, pause=pause))
    paragraphs.append(_retries(given))
    return paragraphs


def _ring(given: ModuleInput) -> str:
    if given.target_kind == DestinationKind.QUEUE:
        if given.rest:
            return _(
                "As soon as a member of %(target)s has been free for %(rest)s and no caller is waiting there, "
                "Bazang rings that member."
            )
        return _("As soon as a member of %(target)s is free and no caller is waiting there, Bazang rings that member.")
    if len(given.targets) > 1:
        if given.rest:
            return _("As soon as that extension has been free for %(rest)s, Bazang rings it.")
        return _("As soon as that extension is free, Bazang rings it.")
    if given.rest:
        return _("As soon as %(target)s has been free for %(rest)s, Bazang rings it.")
    return _("As soon as %(target)s is free, Bazang rings it.")


def _manual() -> Markup:
    text = _(
        "No phone rings automatically. The request stays among the pending requests until someone presses “Call now”."
    )
    return escape(text)


def _retries(given: ModuleInput) -> Markup:
    ring, pause = format_duration(given.customer_ring), format_duration(given.retry_pause)
    if not given.retries:
        return fill_in(_("If the customer does not answer within %(ring)s, the request fails."), ring=ring)
    if given.retries == 1:
        text = _("If the customer does not answer within %(ring)s, Bazang calls once more after %(pause)s.")
        return fill_in(text, ring=ring, pause=pause)
    text = _("If the customer does not answer within %(ring)s, Bazang calls %(count)s more times, %(pause)s apart.")
    return fill_in(text, ring=ring, pause=pause, count=digits(given.retries))


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
