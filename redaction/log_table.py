"""Redaction logs as a table that spreadsheets open: one row a record, nothing that could run.

Decides columns and how a cell is written. Refuses formulas: a cell that a spreadsheet would
evaluate gets an apostrophe in front, because rule and policy names come from people.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from typing import IO, Any

from redaction.log_events import COMMON, EVENTS, FIELDS

_USED = COMMON.union(*(needed | allowed for needed, allowed in EVENTS.values()))
COLUMNS = ("log", "seq", *(name for name in FIELDS if name in _USED))

# What makes a spreadsheet evaluate a cell, full-width forms included.
STARTS = frozenset("=+-@\t\r\n＝＋－＠")


class Table:
    """Writes records as comma-separated values."""

    def __init__(self, sink: IO[str]) -> None:
        self._rows = csv.writer(sink, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
        self._rows.writerow(COLUMNS)

    def add(self, log: str, record: Mapping[str, Any]) -> None:
        """Write one record of the log named `log`."""
        self._rows.writerow([cell(log), *(cell(record.get(name)) for name in COLUMNS[1:])])


def cell(value: Any) -> str:
    """Return a value as text that no spreadsheet evaluates."""
    if value is None:
        return ""
    if isinstance(value, Mapping):
        text = "; ".join(f"{key}: {item}" for key, item in value.items())
    elif isinstance(value, (list, tuple)):
        text = " ".join(map(str, value))
    else:
        text = str(value)
    text = text.replace("\0", "")
    risky = text[:1] in STARTS or text.lstrip()[:1] in STARTS
    return f"'{text}" if text and risky else text
