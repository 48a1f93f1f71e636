"""The official holidays of a country, from the library `holidays`, which has them offline."""

from datetime import date
from functools import lru_cache

import holidays


def has_holidays(country: str) -> bool:
    """Tell whether the official holidays of a country (two letters) are known."""
    return country in holidays.list_supported_countries(include_aliases=False)


@lru_cache(maxsize=64)
def official_holidays(country: str, year: int, english: bool = False) -> tuple[tuple[date, str], ...]:
    """Return the holidays of a year with their names, in order; none of a country that is not known.

    The names are in the country's language unless `english` is true and the library has them in English.
    """
    if not has_holidays(country):
        return ()
    known = holidays.country_holidays(country, years=year)
    languages = known.supported_languages
    language = "en_US" if english and "en_US" in languages else known.default_language
    named = holidays.country_holidays(country, years=year, language=language) if language is not None else known
    return tuple(sorted((day, name) for day, name in named.items() if day.year == year))
