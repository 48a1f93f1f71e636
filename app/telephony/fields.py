"""Read the fields of AMI rows. One bad value may cost the row that has it, and no other."""

import re
from functools import lru_cache

LARGEST = 2**31 - 1  # what a column of the database holds
_NUMBER = re.compile(r"[+-]?[0-9]{1,12}")


@lru_cache(maxsize=256)  # states and counts repeat, times do not
def integer(text: str, default: int = 0, most: int = LARGEST) -> int:
    """Return the number in a field, between -most and most; the default if there is none."""
    if not _NUMBER.fullmatch(text):
        return default
    return max(-most, min(int(text), most))


def natural(text: str) -> int:
    """Return the number in a field, 0 if there is none or a negative one."""
    return max(integer(text), 0)
