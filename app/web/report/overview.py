"""The overview, and the wallboard for a television."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from babel.dates import format_date
from flask import Blueprint, render_template, request
from flask_babel import gettext as _
from flask_babel import ngettext
from flask_login import login_required
from persiantools.jdatetime import JalaliDateTime

from app.domain.policy import LineState
from app.services.report import overview
from app.services.report.overview import ExtensionNow, QueueNow, Rate
from app.web import health, poll
from app.web.context import current_scope, database, utcnow
from app.web.formats import digits, is_persian, office_zone
from app.web.reading import reads_together

blueprint = Blueprint("overview", __name__)
MAX_LINES = 12  # on the wallboard, so that it is readable from a distance
MAX_QUEUES = 3


@blueprint.get("/overview")
@login_required
@reads_together
def index():
    """Show the visible extensions, queues and requests."""
    return render_template("report/overview.html", **_values())


@blueprint.get("/overview/body")
@login_required
@reads_together
def body():
    """Return the live part of the page."""
    return poll.respond(lambda _now: (render_template("report/_overview_live.html", **_values()), None))


@blueprint.get("/wallboard")
@login_required
@reads_together
def wallboard():
    """Show the overview on a wallboard. It is dark unless `colours=light` is given."""
    colours = "light" if request.args.get("colours") == "light" else "dark"
    return render_template("report/wallboard.html", **_board(), theme=colours)


@blueprint.get("/wallboard/body")
@login_required
@reads_together
def wallboard_body():
    """Return the live part of the page."""
    return poll.respond(lambda _now: (render_template("report/_live_board.html", **_board()), None))


def _values() -> dict[str, object]:
    now = utcnow()
    seen = overview.load_overview(database(), current_scope(), office_zone(), now)
    return {"seen": seen, "now": now, "components": health.components(), "percent": percent, "waited": waited}


def _board() -> dict[str, object]:
    values = _values()
    seen = values["seen"]
    assert isinstance(seen, overview.Overview)
    now = utcnow()
    lines, other_lines = first_lines(seen.extensions)
    queues, other_queues = first_queues(seen.queues)
    clock = {"today": written_day(now), "time": digits(now.astimezone(office_zone()).strftime("%H:%M"))}
    others = {"other_lines": other_lines, "other_free": _free(other_lines), "other_queues": other_queues}
    return values | clock | others | {"lines": lines, "queues": queues, "zone": office_zone().key, "short": short}


def first_lines(lines: Sequence[ExtensionNow]) -> tuple[list[ExtensionNow], list[ExtensionNow]]:
    """Split the extensions into those shown on the wallboard and the others.

    Extensions with waiting requests are preferred. The order stays the same, so that none moves.
    """
    wanted = sorted(lines, key=lambda line: not (line.waiting or line.serves))[:MAX_LINES]
    chosen = {line.extension for line in wanted}
    return [x for x in lines if x.extension in chosen], [x for x in lines if x.extension not in chosen]


def first_queues(queues: Sequence[QueueNow]) -> tuple[list[QueueNow], list[QueueNow]]:
    """Split the queues in the same way."""
    wanted = sorted(queues, key=lambda queue: not (queue.waiting or queue.live_callers))[:MAX_QUEUES]
    chosen = {queue.name for queue in wanted}
    return [x for x in queues if x.name in chosen], [x for x in queues if x.name not in chosen]


def _free(lines: Sequence[ExtensionNow]) -> int:
    return sum(line.state is LineState.FREE for line in lines)


def percent(rate: Rate) -> str:
    """Format the share of served requests, a dash if none has ended."""
    if rate.share is None:
        return "–"
    return f"{digits(round(100 * rate.share))}{'٪' if is_persian() else '%'}"


def waited(time: timedelta) -> tuple[str, str]:
    """Return a waiting time as a number and its unit."""
    minutes = int(time.total_seconds() // 60)
    if minutes < 60:
        return digits(minutes), ngettext("minute", "minutes", minutes)
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return digits(f"{hours}:{minutes:02}"), ngettext("hour", "hours", hours + (minutes > 0))
    return digits(hours // 24), ngettext("day", "days", hours // 24)


def short(time: timedelta) -> str:
    """Format a duration in as few characters as possible."""
    minutes = max(0, int(time.total_seconds() // 60))
    if minutes < 60:
        return digits(_("%(count)s min", count=minutes))
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return digits(_("%(count)s h", count=f"{hours}:{minutes:02}"))
    return digits(_("%(count)s d", count=hours // 24))


def written_day(now: datetime) -> str:
    """Format today in full, in the reader's calendar."""
    local = now.astimezone(office_zone())
    if is_persian():
        day = JalaliDateTime(local)
        return digits(f"{day.strftime('%A', locale='fa')} {day.day} {day.strftime('%B', locale='fa')} {day.year}")
    return format_date(local, "EEEE, d MMMM y", locale="en")
