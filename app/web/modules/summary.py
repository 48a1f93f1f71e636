"""A module in plain words: what callers meet, who is rung, and what becomes of the call. Whole sentences, since every
language has an order of its own.
"""

from flask_babel import gettext as _
from flask_babel import ngettext
from markupsafe import Markup, escape

from app.services.modules.save import ModuleInput
from app.services.pbx.directory import Directory
from app.web.formats import digits, name, number
from app.web.pbx.destinations import code_of, say


def sentences(given: ModuleInput, here: Directory) -> list[Markup]:
    """Return what a module does, a paragraph each. What is not filled in yet is asked for instead."""
    if not given.code or not given.targets:
        return [escape(_("Give it a code and say for whom it is; what happens to a caller is told here then."))]
    told = [_begin(given, here)] if not given.active else []
    told.append(_offer(given, here))
    if given.target_kind == "extension" and len(given.targets) > 1:
        told.append(_choice(given))
    told += _call_back(given, here) if given.automatic else [_by_hand()]
    if given.automatic:
        told.append(_customer(given))
    told.append(_onward(given, here))
    if given.expire_after:
        text = _("A request that nobody could settle within %(time)s expires.")
        told.append(say(text, time=duration(given.expire_after)))
    return told


# -- its parts --------------------------------------------------------------------------------------------------------


def _begin(given: ModuleInput, here: Directory) -> Markup:
    code = number(given.code)
    if given.error_kind == "hangup":
        text = _(
            "The module is switched off: the call of everybody who comes to %(code)s ends at once. "
            "Switched on, it does this:"
        )
        return say(text, code=code)
    text = _(
        "The module is switched off: everybody who comes to %(code)s goes to %(place)s at once. "
        "Switched on, it does this:"
    )
    return say(text, code=code, place=place(given.error_kind, given.error_code, here))


def _offer(given: ModuleInput, here: Directory) -> Markup:
    values = {"code": number(given.code), "who": _who(given, here)}
    if given.silent:
        return say(
            _(
                "A caller to %(code)s who reaches nobody at %(who)s hears nothing; the number they "
                "call from is noted at "
                "once. Whoever hides their number is not noted."
            ),
            **values,
        )
    if "intro" in given.prompts and given.prompts["intro"].mode == "none":
        return say(
            _(
                "A caller to %(code)s who reaches nobody at %(who)s hears no introduction, but can "
                "press 1 to be called "
                "back on their own number, or 2 to leave another."
            ),
            **values,
        )
    return say(
        _(
            "A caller to %(code)s who reaches nobody at %(who)s hears the introduction and can press "
            "1 to be called back "
            "on their own number, or 2 to leave another."
        ),
        **values,
    )


def _choice(given: ModuleInput) -> Markup:
    text = _("The extension that the caller wanted calls back; for whoever dialled %(code)s itself any of them does.")
    return say(text, code=number(given.code))


def _call_back(given: ModuleInput, here: Directory) -> list[Markup]:
    told = []
    if given.min_wait:
        text = _("Bazang waits at least %(time)s, so that the person who missed the call can ring back first.")
        told.append(say(text, time=duration(given.min_wait)))
    values = {"who": _who(given, here), "rest": duration(given.rest)}
    told.append(say(_ring(given), **values))
    text = _("A phone that is not taken up within %(ring)s, or puts it off with key 2, is left alone for %(pause)s.")
    told.append(say(text, ring=duration(given.agent_ring), pause=duration(given.agent_pause)))
    return told


def _ring(given: ModuleInput) -> str:
    if given.target_kind == "queue":
        if given.rest:
            return _(
                "As soon as a member of %(who)s is free and has rested %(rest)s, and no caller waits "
                "there, Bazang rings "
                "that member, says whose request it is, and after key 1 dials the customer."
            )
        return _(
            "As soon as a member of %(who)s is free and no caller waits there, Bazang rings that member, says whose "
            "request it is, and after key 1 dials the customer."
        )
    if len(given.targets) > 1:
        if given.rest:
            return _(
                "As soon as that extension is free and has rested %(rest)s, Bazang rings it, says whose request it is, "
                "and after key 1 dials the customer."
            )
        return _(
            "As soon as that extension is free, Bazang rings it, says whose request it is, and after key 1 dials the "
            "customer."
        )
    if given.rest:
        return _(
            "As soon as %(who)s is free and has rested %(rest)s, Bazang rings it, says whose request "
            "it is, and after key "
            "1 dials the customer."
        )
    return _(
        "As soon as %(who)s is free, Bazang rings it, says whose request it is, and after key 1 dials the customer."
    )


def _by_hand() -> Markup:
    return escape(
        _(
            "Nobody is rung by itself: the request stands among the pending ones until somebody "
            "presses “Call now” there."
        )
    )


def _customer(given: ModuleInput) -> Markup:
    ring = duration(given.customer_ring)
    if not given.retries:
        text = _("If the customer does not answer within %(ring)s, the request has failed; it is not tried again.")
        return say(text, ring=ring)
    pause = duration(given.retry_pause)
    if given.retries == 1:
        text = _("If the customer does not answer within %(ring)s, it is tried once more, %(pause)s later.")
        return say(text, ring=ring, pause=pause)
    text = _("If the customer does not answer within %(ring)s, it is tried %(count)s more times, %(pause)s apart.")
    return say(text, ring=ring, pause=pause, count=digits(given.retries))


def _onward(given: ModuleInput, here: Directory) -> Markup:
    values = {
        "next": place(given.next_kind, given.next_code, here),
        "error": place(given.error_kind, given.error_code, here),
    }
    ends = (given.next_kind == "hangup", given.error_kind == "hangup")
    texts = {
        (False, False): _(
            "Afterwards the caller goes to %(next)s; whoever leaves nothing, or cannot, goes to %(error)s, also while "
            "Bazang itself is out of order."
        ),
        (False, True): _(
            "Afterwards the caller goes to %(next)s; for whoever leaves nothing, or cannot, the call ends."
        ),
        (True, False): _(
            "Afterwards the call ends; whoever leaves nothing, or cannot, goes to %(error)s, also "
            "while Bazang itself is "
            "out of order."
        ),
        (True, True): _("Afterwards the call ends, and so it does for whoever leaves nothing, or cannot."),
    }
    return say(texts[ends], **values)


# -- words ------------------------------------------------------------------------------------------------------------


def place(kind: str, code: str, here: Directory) -> Markup:
    """Name a destination within a sentence."""
    if kind != "hangup" and not code:
        return escape(_("a place that is not chosen yet"))
    if kind == "extension":
        return _extension(code, here)
    if kind == "queue":
        return say(_("queue %(name)s"), name=number(code))
    if kind == "module":
        known = here.modules.get(code)
        text = _("the module “%(name)s” (%(code)s)")
        return say(text, name=name(known.name), code=number(code)) if known else number(code)
    return say(_("the place %(code)s of the exchange"), code=code_of(kind, code))


def _extension(code: str, here: Directory) -> Markup:
    known = here.extensions.get(code)
    if known is None or not known.name:
        return say(_("extension %(number)s"), number=number(code))
    return say(_("%(number)s (%(name)s)"), number=number(code), name=name(known.name))


def _who(given: ModuleInput, here: Directory) -> Markup:
    named = [place(given.target_kind, target, here) for target in given.targets]
    if len(named) == 1:
        return named[0]
    comma = escape(_(", "))
    return say(_("%(some)s or %(last)s"), some=comma.join(named[:-1]), last=named[-1])


def duration(seconds: int) -> str:
    """Say a duration: 10 seconds, 5 minutes, 1 hour and 30 minutes."""
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
