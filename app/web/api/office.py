"""The operations on modules, queues and figures."""

from pydantic import Field

from app.domain.api_scopes import ApiScope
from app.services.api.tokens import ApiAccess
from app.services.report import periods
from app.services.report.overview import load_overview
from app.services.report.query import Filter
from app.services.report.statistics import statistics
from app.services.requests.create import load_target_choices
from app.web.api import answers
from app.web.api.input import Day, Query, refuse
from app.web.api.operation import operation
from app.web.context import database, utcnow
from app.web.formats import office_zone


@operation("GET", "/modules", scope=ApiScope.OFFICE_READ, answers={200: answers.Modules})
def list_modules(access: ApiAccess) -> answers.Modules:
    """List the modules for which the user of the token may make requests."""
    return answers.Modules.of(load_target_choices(database(), access.user))


@operation("GET", "/queues", scope=ApiScope.OFFICE_READ, answers={200: answers.Queues})
def list_queues(access: ApiAccess) -> answers.Queues:
    """List the queues as they are now. Operators see those in which one of their extensions is a member."""
    now = load_overview(database(), access.user, office_zone(), utcnow())
    return answers.Queues(queues=[answers.QueueAnswer.of(queue) for queue in now.queues])


class FiguresQuery(Query):
    first_day: Day | None = Field(None, alias="from")
    """The first day, in the office's time zone. Without it, today."""
    last_day: Day | None = Field(None, alias="to")
    """The last day. Without it, the first day."""


@operation(
    "GET", "/figures", scope=ApiScope.FIGURES_READ, query=FiguresQuery, answers={200: answers.Figures}, problems=(422,)
)
def show_figures(access: ApiAccess, query: FiguresQuery) -> answers.Figures:
    """Count the requests of a period. Operators see the figures of their own requests."""
    zone = office_zone()
    first = query.first_day or utcnow().astimezone(zone).date()
    last = query.last_day or first
    if last < first:
        raise refuse({"to": "order"})
    period = periods.between(first, last, zone)
    wanted = Filter(registered_from=period.start, registered_to=period.end)
    return answers.Figures.of(statistics(database(), access.user, wanted, zone), first, last)


@operation("GET", "/figures/now", scope=ApiScope.FIGURES_READ, answers={200: answers.FiguresNow})
def show_figures_now(access: ApiAccess) -> answers.FiguresNow:
    """Count the requests at this moment. Operators see the figures of their own requests."""
    return answers.FiguresNow.of(load_overview(database(), access.user, office_zone(), utcnow()))
