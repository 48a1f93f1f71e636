"""Countries and time zones, by the names that the reader gives them."""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

import phonenumbers
from babel import Locale
from babel.core import get_global
from babel.dates import get_timezone_location
from flask_babel import gettext as _
from wtforms import SelectChoice

from app.web.formats import digits
from app.web.settings import wording as settings_wording

_PERSIAN_ORDER = "آابپتثجچحخدذرزژسشصضطظعغفقکگلمنوهی"
_ALPHABET = {letter: f"{place:02}" for place, letter in enumerate(_PERSIAN_ORDER)}


def countries(language: str) -> list[SelectChoice]:
    """Return the choices of countries, in the order of the reader's alphabet."""
    return [SelectChoice(code, name) for code, name in _countries(language)]


@lru_cache(maxsize=4)
def _countries(language: str) -> list[tuple[str, str]]:
    names = Locale(language).territories
    return _sorted((code, names.get(code, code)) for code in phonenumbers.SUPPORTED_REGIONS)


def zones(language: str, now: datetime, in_force: str) -> list[SelectChoice]:
    """Return the choices of time zones by part of the world, each with the time that it is there now.

    `in_force` is among them, whatever it is called.
    """
    known = _zones(language)
    there = {zone for _, group in known for zone, _ in group}
    groups = [*known, ("Etc", [(in_force, in_force)])] if in_force not in there else known
    choices = []
    for area, group in groups:
        label = str(settings_wording.ZONE_AREA.get(area, area))
        choices += [SelectChoice(zone, _with_time(name, zone, now), optgroup=label) for zone, name in group]
    return choices


def _with_time(name: str, zone: str, now: datetime) -> str:
    time = digits(now.astimezone(ZoneInfo(zone)).strftime("%H:%M"))
    return _("%(city)s, now %(time)s", city=name, time=time)


@lru_cache(maxsize=4)
def _zones(language: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """The zones of inhabited places by the first part of their names: several names of one place are here once."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for zone in sorted(set(get_global("zone_territories")) & available_timezones()):
        area = zone.partition("/")[0]
        if area in settings_wording.ZONE_AREA and area != "Etc":
            city = get_timezone_location(zone, locale=language, return_city=True)
            groups.setdefault(area, []).append((zone, city.rpartition("/")[2]))
    groups["Etc"] = [("UTC", "UTC")]
    ordered = {"Asia": groups.pop("Asia"), **groups}  # most readers look for theirs there
    return [(area, _sorted(group)) for area, group in ordered.items()]


def _sorted(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(pairs, key=lambda pair: _in_alphabet(pair[1]))


def _in_alphabet(name: str) -> str:
    """Return what to sort a name by: Persian letters stand in Unicode in another order than in the alphabet."""
    return "".join(_ALPHABET.get(letter, letter) for letter in name.replace("\u200c", "").casefold())
