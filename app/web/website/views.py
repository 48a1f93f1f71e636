"""The form of a website: its script, the calls that the script makes, and pages for visitors without JavaScript.

The visitor is nobody's user: there is no session, no cookie and no form token. What protects these routes are the
origin, which a browser does not let a page forge, and a challenge that is used up by one try.
"""

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any

from flask import Blueprint, Response, current_app, json, render_template, request, url_for
from flask_babel import gettext as _

from app.domain.login_limits import address_group
from app.domain.numbers import ascii_digits
from app.domain.text import as_typed
from app.domain.website import is_allowed, origin_of
from app.extensions import csrf
from app.services.errors import ErrorCode, Invalid
from app.services.website import challenges, forms
from app.services.website.challenges import ChallengeRefused, Refusal
from app.services.website.forms import FormView
from app.services.website.register import PER_ADDRESS, NotNow, Promise, Unavailable, When, Wish, register
from app.web import wording
from app.web.context import cached, cached_query, counts, database, settings, utcnow
from app.web.formats import digits, format_moment
from app.web.locale import use_locale

blueprint = Blueprint("website", __name__, url_prefix="/website")
csrf.exempt(blueprint)  # nobody is logged in here, so there is nothing that a forged call could use

SCRIPT_AGE = 300  # seconds for which browsers keep the script: a changed form shows after that
HONEYPOT = "company"  # people do not see the field; robots fill in all of them
_TIMES = ("", "6", "*", "#")


class _Refused(Exception):
    """The call gets this answer. `text` is in the language of the form."""

    def __init__(self, status: int, code: str, text: str, *, wait: timedelta | None = None) -> None:
        super().__init__(code)
        self.status, self.code, self.text, self.wait = status, code, text, wait
        self.errors: dict[str, str] = {}


def _for_form(view: Callable[..., Any]) -> Callable[..., Any]:
    """Give a view the form with this key, and speak its language."""

    @wraps(view)
    def serve(key: str) -> Any:
        form = _find(key)
        if form is None:
            return Response("There is no such form.\n", 404, content_type="text/plain; charset=utf-8")
        with use_locale(form.language):
            return view(form)

    return serve


def _find(key: str) -> FormView | None:
    found = cached_query("website forms", forms.list_forms)  # one value, which no visitor can push out of the cache
    return next((form for form in found if form.key == key), None)


def _secret() -> str:
    return str(current_app.config["SECRET_KEY"])


# -- the script and its calls -----------------------------------------------------------------------------------------


@blueprint.get("/<key>.js")
@_for_form
def script(form: FormView) -> Response:
    """Send the script that shows the form on the website."""
    config = cached(("website script", form.key, request.script_root), lambda: json.dumps(_config(form)))
    # Inside a script of JavaScript, JSON is safe but for these two ends of lines; "<" is for who copies it into a page.
    safe = config.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    response = Response(render_template("website/form.js", config=safe), content_type="text/javascript; charset=utf-8")
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"  # websites that isolate themselves ask for it
    response.headers["Cache-Control"] = f"public, max-age={SCRIPT_AGE}"
    return response


def _config(form: FormView) -> dict[str, Any]:
    """Return what the script needs, with all texts in the language of the form."""
    return {
        "registers": form.registers,
        "language": form.language,
        "direction": "rtl" if form.language == "fa" else "ltr",
        "challenge": url_for("website.challenge", key=form.key),
        "requests": url_for("website.send", key=form.key),
        "asksName": form.asks_name,
        "times": [[key, _time_label(key)] for key in _TIMES] if form.offers_times else [],
        "honeypot": HONEYPOT,
        "fastest": int(challenges.FASTEST.total_seconds() * 1000),
        "texts": {
            "title": _("We call you back"),
            "number": _("Your phone number"),
            "name": _("Your name (optional)"),
            "time": _("When?"),
            "send": _("Call me back"),
            "sending": _("One moment…"),
            "failed": _("This did not work. Check your connection and try again, or call us."),
            "insecure": _("This browser cannot send the form from this page. Call us instead."),
            "unavailable": _("The form is out of service. Call us instead."),
            "privacy": form.privacy,
        },
    }


def _time_label(key: str) -> str:
    return {
        "": _("As soon as possible"),
        "6": _("In an hour"),
        "*": _("Tomorrow morning"),
        "#": _("Tomorrow afternoon"),
    }[key]


def _for_script(view: Callable[..., Any]) -> Callable[..., Any]:
    """Serve a call of the script: from the origins of the form only, and in JSON."""

    @wraps(view)
    def serve(form: FormView) -> Response:
        origin = request.headers.get("Origin", "")
        response = _answer_script(view, form) if is_allowed(origin, form.origins) else _wrong_origin()
        if response.status_code != 403:
            response.headers["Access-Control-Allow-Origin"] = origin  # without credentials: no cookie goes with it
        response.vary.add("Origin")
        return response

    return serve


def _answer_script(view: Callable[..., Any], form: FormView) -> Response:
    if request.method == "OPTIONS":
        allowed = {"Allow-Methods": "GET, POST", "Allow-Headers": "Content-Type", "Max-Age": "600"}
        return Response("", 204, {f"Access-Control-{name}": value for name, value in allowed.items()})
    try:
        return _json(view(form))
    except _Refused as refused:
        content = {"code": refused.code, "message": refused.text, "errors": refused.errors}
        response = _json(content, refused.status)
        if refused.wait is not None:
            response.headers["Retry-After"] = str(max(math.ceil(refused.wait.total_seconds()), 1))
        return response


def _wrong_origin() -> Response:
    return _json({"code": "origin", "message": "The form may not be used on this website."}, 403)


def _json(content: Any, status: int = 200) -> Response:
    return Response(json.dumps(content), status, content_type="application/json")


@blueprint.route("/<key>/challenge", methods=["GET", "OPTIONS"], provide_automatic_options=False)
@_for_form
@_for_script
def challenge(form: FormView) -> dict[str, Any]:
    """Give the visitor's browser a puzzle."""
    puzzle = challenges.make_puzzle(_secret(), form.key, utcnow())
    return {"token": puzzle.token, "salt": puzzle.salt, "digest": puzzle.digest, "size": puzzle.size}


@blueprint.route("/<key>/requests", methods=["POST", "OPTIONS"], provide_automatic_options=False)
@_for_form
@_for_script
def send(form: FormView) -> dict[str, Any]:
    """Register the request of a visitor, whose browser has solved a puzzle."""
    given = request.get_json(silent=True) if request.is_json else None
    if not isinstance(given, dict):
        raise _Refused(400, "malformed", _("This did not work. Check your connection and try again, or call us."))
    wish = Wish(*(_text(given.get(name)) for name in ("number", "name", "time")))
    try:
        challenges.check_puzzle(
            database(), _secret(), form.key, _text(given.get("token"), 1000), given.get("solution"), utcnow()
        )
    except ChallengeRefused as refused:
        raise _challenge_refused(refused) from None
    if _text(given.get(HONEYPOT)):
        return {"message": _promise_text(Promise(When.SOON))}  # a robot learns nothing
    return {"message": _promise_text(_register(form, wish))}


def _text(value: object, longest: int = 200) -> str:
    """Return what was typed into a field; what is no text is none."""
    return as_typed(value[:longest]).strip() if isinstance(value, str) else ""


def _challenge_refused(refused: ChallengeRefused) -> _Refused:
    if refused.reason is Refusal.TOO_FAST:
        return _Refused(422, refused.reason, _("That was very fast. Wait two seconds and send it again."))
    return _Refused(422, refused.reason, _("The form was open for too long, or was sent before. Send it again."))


def _register(form: FormView, wish: Wish) -> Promise:
    """Register a request. Raises _Refused."""
    now = utcnow()
    wait = counts().hit(PER_ADDRESS, address_group(request.remote_addr or ""), now)
    if wait is not None:
        raise _Refused(429, "too_many", _("Too many requests came from here. Try again later, or call us."), wait=wait)
    try:
        return register(database(), settings(), form, wish, now)
    except Invalid as invalid:
        errors = {name: _error(code) for name, code in invalid.errors.items()}
        refused = _Refused(422, "invalid", next(iter(errors.values())))
        refused.errors = errors
        raise refused from None
    except Unavailable:
        raise _Refused(409, "unavailable", _("The form is out of service. Call us instead.")) from None
    except NotNow as not_now:
        raise _Refused(409 if not_now.closed else 429, "not_now", _not_now_text(not_now), wait=_wait(not_now)) from None


def _wait(not_now: NotNow) -> timedelta | None:
    return None if not_now.closed else timedelta(hours=1)


def _not_now_text(not_now: NotNow) -> str:
    if not not_now.closed:
        return _("Too many requests are waiting. Try again later, or call us.")
    if not_now.opens_at is None:
        return _("We are closed. Call us another time.")
    return digits(_("We are closed. We open on %(when)s.", when=_moment(not_now.opens_at)))


def _error(code: str) -> str:
    if code == ErrorCode.KIND:
        return _("We cannot call this number. Enter another one.")
    return wording.error(code)


def _promise_text(promise: Promise) -> str:
    if promise.when is When.AT and promise.at is not None:
        return digits(_("Thank you. We call you on %(when)s.", when=_moment(promise.at)))
    if promise.when is When.AFTER_OPENING:
        if promise.at is None:
            return _("Thank you. We are closed now. We call you when we open again.")
        return digits(
            _("Thank you. We are closed now. We call you after we open on %(when)s.", when=_moment(promise.at))
        )
    return _("Thank you. We call you as soon as somebody is free.")


def _moment(moment: datetime) -> str:
    return str(format_moment(moment))


# -- without JavaScript -----------------------------------------------------------------------------------------------


@blueprint.post("/<key>")
@_for_form
def ask(form: FormView) -> tuple[str, int]:
    """Show what a visitor has typed on the website, and ask a question that a robot does not answer by itself."""
    origin = request.headers.get("Origin") or origin_of(request.headers.get("Referer", ""))
    if not is_allowed(origin, form.origins):
        return _page("refused", form, text=_("The form may not be used on this website.")), 403
    typed = {name: _text(request.form.get(name)) for name in ("number", "name", "time", HONEYPOT)}
    return _question(form, typed), 200


def _question(form: FormView, typed: dict[str, str], error: str = "") -> str:
    question = challenges.make_question(_secret(), form.key, typed, utcnow())
    words = [_number_words()[number - 1] for number in question.numbers]
    return _page("question", form, question=question, words=words, typed=typed, error=error)


def _number_words() -> list[str]:
    return [
        *(_("one"), _("two"), _("three"), _("four"), _("five")),
        *(_("six"), _("seven"), _("eight"), _("nine")),
    ]


@blueprint.post("/<key>/confirm")
@_for_form
def confirm(form: FormView) -> tuple[str, int] | Response:
    """Register the request of a visitor who has answered the question."""
    if request.headers.get("Origin", request.host_url.rstrip("/")) != request.host_url.rstrip("/"):
        return _page("refused", form, text=_("The form may not be used on this website.")), 403
    token, answer = request.form.get("token", "")[:4000], ascii_digits(_text(request.form.get("answer")))
    try:
        typed = challenges.check_question(database(), _secret(), form.key, token, answer, utcnow())
    except ChallengeRefused as refused:
        return _ask_again(form, token, refused)
    if typed.get(HONEYPOT):
        return _page("done", form, text=_promise_text(Promise(When.SOON))), 200
    try:
        promise = _register(form, Wish(typed.get("number", ""), typed.get("name", ""), typed.get("time", "")))
    except _Refused as refused:
        return _page("refused", form, text=refused.text), refused.status
    return _page("done", form, text=_promise_text(promise)), 200


def _ask_again(form: FormView, token: str, refused: ChallengeRefused) -> tuple[str, int]:
    """Ask another question, with what the visitor had typed. What is forged is refused."""
    try:
        typed = challenges.read_typed(_secret(), form.key, token)
    except ChallengeRefused:
        return _page("refused", form, text=_("This did not work. Go back to the website and try again.")), 422
    if refused.reason is Refusal.REPLAYED:
        return _page("refused", form, text=_("This was sent before. Go back to the website to send another one.")), 422
    is_wrong = refused.reason is Refusal.WRONG
    error = _("That is not the sum. Here is another one.") if is_wrong else _challenge_refused(refused).text
    return _question(form, typed, error), 422


def _page(name: str, form: FormView, **values: Any) -> str:
    return render_template(f"website/{name}.html", form=form, **values)
