"""How a module takes requests while our service is down: what the dialplan needs to know of it, and its sounds."""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audio.library import WHILE_DOWN
from app.config import Settings
from app.domain.routing import DownPlan
from app.services.prompts.input import PromptMode
from app.store.models import Module, Prompt

SOUNDS = ("intro", "before_success", "after_success")  # in the order of DownPlan


def sound_files(module: Module) -> Mapping[str, str]:
    """Return the files that the dialplan plays by prompt, without folder and extension. They stay when a sound changes.

    There are none if the module takes no requests while our service is down, or plays nothing.
    """
    if not module.keeps_while_down or not module.active or module.silent:
        return {}
    return {key: f"module-{module.id}-{key}" for key in SOUNDS}


def plan(session: Session, settings: Settings, module: Module) -> DownPlan | None:
    """Return how the dialplan takes requests for a module, None if it takes none."""
    if not module.keeps_while_down or not module.active:
        return None
    rows = session.execute(select(Prompt.key, Prompt.mode).where(Prompt.module_id == module.id))
    unplayed = {key for key, mode in rows if mode == PromptMode.NONE}
    folder, files = f"{settings.asterisk_prompts_dir}/{WHILE_DOWN}", sound_files(module)
    sounds = ["" if key in unplayed or key not in files else f"{folder}/{files[key]}" for key in SOUNDS]
    return DownPlan(module.silent, *sounds)
