"""The modules that are offered to the callers who wait in a queue, and what the PBX needs for that."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.audio.library import OFFERS
from app.config import Settings
from app.domain.routing import DestinationKind, OfferPlan, offer_context
from app.services.pbx.module_destinations import load_offers
from app.services.prompts.input import PromptMode
from app.store.models import Module, Prompt


@dataclass(frozen=True)
class Offer:
    """A module that is offered to callers of its queue. `lines` belong to the section of the queue in queues.conf.

    `is_set_up`: whether a key leads them there on the PBX, None if it has not let us read that. `has_sound`: there is a
    prompt for it.
    """

    module: int
    name: str
    code: str
    queue: str
    key: str
    after: int
    lines: Sequence[str]
    is_set_up: bool | None
    has_sound: bool


def is_offered(module: Module) -> bool:
    """Tell whether callers who wait in the queue of a module are offered it."""
    return bool(module.offer_key) and module.target_kind == DestinationKind.QUEUE


def offer_file(module_id: int) -> str:
    """Return the name of the file with the offer, without its folder and extension. It stays when the sound changes."""
    return f"module-{module_id}"


def plans(session: Session, settings: Settings, modules: Iterable[Module]) -> tuple[OfferPlan, ...]:
    """Return the plans of all modules of queues, since calls may be inside an offer that has ended."""
    return tuple(
        OfferPlan(
            module.id,
            module.code,
            module.targets[0],
            module.offer_key,
            module.offer_callers if module.offer_key else 0,
            module.offer_callers_per_agent if module.offer_key else 0,
            _sound(session, settings, module) if module.offer_key else "",
        )
        for module in modules
        if module.target_kind == DestinationKind.QUEUE
    )


def find_offer(session: Session, settings: Settings, queue: str) -> Offer | None:
    """Return the module that is offered to the callers of a queue, None if none is."""
    return next((offer for offer in list_offers(session, settings) if offer.queue == queue), None)


def list_offers(session: Session, settings: Settings) -> list[Offer]:
    """Return the modules that are offered to the callers of queues."""
    modules = session.scalars(select(Module).where(Module.offer_key != "").order_by(Module.id))
    return [_offer(session, settings, module) for module in modules if is_offered(module)]


def _offer(session: Session, settings: Settings, module: Module) -> Offer:
    lines = [f"context={offer_context(module.id)}"]
    sound = _sound(session, settings, module)
    if sound:
        lines += [f"periodic-announce={sound}", f"periodic-announce-frequency={module.offer_after}"]
    found, queue = load_offers(session), module.targets[0]
    return Offer(
        module.id,
        module.name,
        module.code,
        queue,
        module.offer_key,
        module.offer_after,
        lines,
        is_set_up=None if found is None else found.get(queue) == module.code,
        has_sound=bool(sound),
    )


def _sound(session: Session, settings: Settings, module: Module) -> str:
    """Return the file with the offer as Asterisk names it, "" if none is played."""
    prompt = session.scalar(select(Prompt).where(Prompt.module_id == module.id, Prompt.key == "offer"))
    if prompt is not None and prompt.mode == PromptMode.NONE:
        return ""
    return f"{settings.asterisk_prompts_dir}/{OFFERS}/{offer_file(module.id)}"
