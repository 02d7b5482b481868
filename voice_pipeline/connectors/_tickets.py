"""What Request Tracker's REST2 takes and answers: values of its query language, texts, tickets.

Decides what a field may hold, and which answers are none. Refuses answers of another shape: an
empty list of tickets must be one that was found, or a ticket would be made twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voice_pipeline.connectors._http import Answer
from voice_pipeline.errors import Retryable

CUSTOM = re.compile(r"CF\.\{([^{}'\"\\]+)\}")  # how a custom field is named
OWN = frozenset(
    {"Subject", "Content", "Status", "Priority", "FinalPriority", "Owner", "Requestor", "Cc",
     "AdminCc", "Due", "Starts"}
)  # fmt: skip
LIMITS = {"Subject": 200, "Content": 1_000_000}  # a note of 4 MB at most; RT takes 10
CUSTOM_LIMIT = 10_000
_CONTROL = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)])  # all but tab and newline


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a connector needs to know of a ticket."""

    id: str
    status: str
    custom: Mapping[str, str]  # custom fields by name, the first value of each


def equals(name: str, value: str) -> str | None:
    """Return a condition of TicketSQL, or None where no ticket could have that value.

    Nothing in the value ends the string; one that begins with `CF.` is taken for a column even
    inside quotes, and would then equal itself on every ticket.
    """
    if not value.strip() or value.upper().startswith("CF."):
        return None
    return f"{name} = '" + re.sub(r"(['\\])", r"\\\1", value) + "'"


def fit(name: str, text: str, link: str | None = None) -> str:
    """Cut to what a field takes; take out what no database or page should get."""
    text = text.translate(_CONTROL).encode("utf-8", "replace").decode()
    limit = LIMITS.get(name, CUSTOM_LIMIT)
    if name == "Subject":
        text = " ".join(text.split())
    if len(text) <= limit:
        return text
    where = f"; all of it: {link}" if link else ""
    tail = f"\n\n[cut here{where}]" if name == "Content" else " ..."
    return text[: limit - len(tail)] + tail


def as_ticket(item: Mapping[str, Any]) -> Ticket:
    """Return the ticket of an answer."""
    if not str(item.get("id", "")).isdecimal():
        raise Retryable("the server answered with a ticket that has no id", code="bad_answer")
    return Ticket(str(item["id"]), str(item.get("Status", "")), custom_of(item))


def custom_of(item: Mapping[str, Any]) -> dict[str, str]:
    return {
        str(field.get("name")): str(value)
        for field in listed(item, "CustomFields")
        for value in field.get("values", [])[:1]
    }


def names_of(queue: Mapping[str, Any]) -> frozenset[str]:
    """Return the custom fields that a queue's tickets have, as far as we may see them."""
    fields = listed(_holding(queue, "TicketCustomFields"), "TicketCustomFields")
    return frozenset(str(field.get("name")) for field in fields)


def items(answer: Answer) -> list[dict[str, Any]]:
    """Return what was found; an answer that does not say what was found is none."""
    return listed(_holding(answer.object(), "items"), "items")


def listed(item: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return a list of objects that an answer may hold."""
    value = item.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise Retryable("the server answered JSON of another shape", code="bad_answer")
    return value


def _holding(item: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if name not in item:
        raise Retryable("the server answered JSON of another shape", code="bad_answer")
    return item
