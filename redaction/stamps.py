"""The stamps that recorders put into file names: when, and which channel or file. No personal data.

Decides what is one: a valid date from 2010 on, with or without a time of day; the numbers that
telephone exchanges count calls with; random ids. Refuses dates that may be somebody's birthday.
"""

from __future__ import annotations

import re
from datetime import datetime

OLDEST = 2010  # years before it may be a year of birth
_DATE = r"(?P<date>20\d{2}(?P<sep>[-_.]?)(?:0[1-9]|1[0-2])(?P=sep)(?:0[1-9]|[12]\d|3[01]))"
_TIME = r"(?:[-_T ]?(?:[01]\d|2[0-3])[-:_.]?[0-5]\d(?:[-:_.]?[0-5]\d)?(?:[-_.]?\d{3})?Z?)?"
_STAMP = re.compile(
    rf"""(?<![0-9A-Za-z]){_DATE}{_TIME}(?![0-9])
    |(?<![0-9])1[3-9]\d{{8}}\.\d{{1,7}}(?![0-9])     # seconds since 1970 and a count: Asterisk
    |(?<![0-9A-Fa-f])[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}(?![0-9A-Fa-f])  # UUID
    """,
    re.VERBOSE | re.IGNORECASE,
)


def split(name: str) -> list[tuple[str, bool]]:
    """Return the pieces of a file name in order, and of each whether it is a stamp."""
    pieces: list[tuple[str, bool]] = []
    at = 0
    for found in _STAMP.finditer(name):
        if found["date"] and not _is_date(re.sub(r"\D", "", found["date"])):
            continue
        pieces += [(name[at : found.start()], False), (found.group(), True)]
        at = found.end()
    return [piece for piece in (*pieces, (name[at:], False)) if piece[0]]


def without(name: str) -> str:
    """Return a name with blanks where stamps stand."""
    return "".join(" " if stamp else piece for piece, stamp in split(name))


def _is_date(digits: str) -> bool:
    try:
        return datetime.strptime(digits, "%Y%m%d").year >= OLDEST
    except ValueError:
        return False
