"""How a module takes requests while our service is down: what the dialplan needs to know of it, and its sounds."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audio.library import WHILE_DOWN
from app.config import Settings
from app.domain.hours import Hours, Outside
from app.domain.routing import DayPlan, DownPlan, HoursPlan
from app.services.prompts.input import PromptMode
from app.services.requests.outside import hours_of
from app.store.models import Module, Prompt

SOUNDS = ("intro", "before_success", "after_success")  # in the order of DownPlan


def sound_files(module: Module) -> Mapping[str, str]:
    """Return the files that the dialplan plays by prompt, without folder and extension. They stay when a sound changes.

    There are none if the module takes no requests while our service is down, or plays nothing.
    """
    if not module.keeps_while_down or not module.active or module.silent:
        return {}
    return {key: f"module-{module.id}-{key}" for key in SOUNDS}


def plan(session: Session, settings: Settings, module: Module, now: datetime) -> DownPlan | None:
    """Return how the dialplan takes requests for a module, None if it takes none.

    The hours are those of the year and of some months before and after it. So they change the dialplan once a year, and
    not every day.
    """
    if not module.keeps_while_down or not module.active:
        return None
    rows = session.execute(select(Prompt.key, Prompt.mode).where(Prompt.module_id == module.id))
    unplayed = {key for key, mode in rows if mode == PromptMode.NONE}
    folder, files = f"{settings.asterisk_prompts_dir}/{WHILE_DOWN}", sound_files(module)
    intro, before, after = ("" if key in unplayed or key not in files else f"{folder}/{files[key]}" for key in SOUNDS)
    middle = now.replace(month=7, day=1, hour=0, minute=0, second=0, microsecond=0)
    declines = module.outside == Outside.DECLINE.value
    hours = _hours_plan(hours_of(session, settings, module, middle)) if declines else None
    return DownPlan(module.silent, intro, before, after, hours)


def _hours_plan(hours: Hours) -> HoursPlan | None:
    if hours.is_always:
        return None
    days = {str((weekday + 1) % 7): spans for weekday, spans in enumerate(hours.week)}
    days |= {f"{day:%Y%m%d}": spans for day, spans in hours.days}
    plans = (DayPlan(key, tuple((span.start, span.end) for span in spans)) for key, spans in days.items())
    return HoursPlan(str(hours.zone), tuple(plans))
