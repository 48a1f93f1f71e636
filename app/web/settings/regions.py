"""Choices of countries and time zones, named and sorted in the user's language."""

from collections.abc import Callable, Iterable
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
from app.web.settings import wording

_PERSIAN_ORDER = "آابپتثجچحخدذرزژسشصضطظعغفقکگلمنوهی"
_load_zone = lru_cache(maxsize=512)(ZoneInfo)  # ZoneInfo itself keeps eight, and reads the files of all others again
_SORT_KEYS = {letter: f"{index:02}" for index, letter in enumerate(_PERSIAN_ORDER)}


def countries(language: str) -> list[SelectChoice]:
    """Return the choices of countries, in alphabetical order."""
    return [SelectChoice(code, name) for code, name in _countries(language)]


def names(language: str) -> dict[str, str]:
    """Return the names of the countries by their codes, in alphabetical order."""
    return dict(_countries(language))


@lru_cache(maxsize=4)
def _countries(language: str) -> list[tuple[str, str]]:
    names = Locale(language).territories
    return _sorted((code, names.get(code, code)) for code in phonenumbers.SUPPORTED_REGIONS)


def time_zones(language: str, now: datetime, current: str) -> list[SelectChoice]:
    """Return the choices of time zones, grouped by region, each with its local time.

    `current` is always among them, even if it is an uncommon name.
    """
    groups = _time_zones(language)
    if not any(zone == current for _, zones in groups for zone, _ in zones):
        groups = [*groups, ("Etc", [(current, current)])]
    pattern, times = _("%(city)s, now %(time)s"), _clocks(now)
    return [
        SelectChoice(zone, pattern % {"city": name, "time": times(zone)}, optgroup=label)
        for label, zones in ((str(wording.ZONE_AREA.get(area, area)), zones) for area, zones in groups)
        for zone, name in zones
    ]


def _clocks(now: datetime) -> Callable[[str], str]:
    """Return a function that says what time it is in a zone. There are 430 zones and some forty times."""
    written = lru_cache(maxsize=None)(digits)
    return lambda zone: written(now.astimezone(_load_zone(zone)).strftime("%H:%M"))


@lru_cache(maxsize=4)
def _time_zones(language: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return (area, [(zone, city)]) for all time zones that belong to a country."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for zone in sorted(set(get_global("zone_territories")) & available_timezones()):
        area = zone.partition("/")[0]
        if area in wording.ZONE_AREA and area != "Etc":
            city = get_timezone_location(zone, locale=language, return_city=True)
            groups.setdefault(area, []).append((zone, city.rpartition("/")[2]))
    groups["Etc"] = [("UTC", "UTC")]
    ordered = {"Asia": groups.pop("Asia"), **groups}  # most users live there
    return [(area, _sorted(group)) for area, group in ordered.items()]


def _sorted(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted(pairs, key=lambda pair: _sort_key(pair[1]))


def _sort_key(name: str) -> str:
    """Return the key for sorting by the alphabet. Unicode has the Persian letters in another order."""
    return "".join(_SORT_KEYS.get(letter, letter) for letter in name.replace("\u200c", "").casefold())
