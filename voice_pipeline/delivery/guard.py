"""Whose record a note goes onto. What is not certain goes to a person, and nothing is corrected.

Decides by what the target found for the customer, and by who spoke. A value that the caller said
and the record has otherwise is reported with the note; neither of them is changed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voice_pipeline.ports import Match

# What people call a reference: letters and digits, at least one digit, at least four signs.
REFERENCE = re.compile(r"\b(?=[A-Za-z-]*\d)[A-Za-z0-9][A-Za-z0-9-]{3,}\b")


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a person has to say whose record it is."""

    code: str  # no_match several_matches two_customers
    reason: str


def doubt(match: Match, speakers: Collection[str]) -> Doubt | None:
    """Return why a note must not be written by itself, or None.

    Args:
        match: what the target found.
        speakers: of the transcript.
    """
    customers = sorted(one for one in speakers if one.partition("_")[0] == "customer")
    if len(customers) > 1:
        return Doubt(
            "two_customers",
            f"{len(customers)} customers speak in this call; say whose record the note goes onto",
        )
    if match.found == "one":
        return None
    if match.found == "none":
        return Doubt(
            "no_match", f"the target has no customer {match.how}; name the record, or send without"
        )
    return Doubt(
        "several_matches", f"the target has several customers {match.how}; name the right record"
    )


def differences(note: Mapping[str, Any], known: Mapping[str, str]) -> list[str]:
    """Return which references said in the call differ from those of the customer's record.

    One differs where something of the same form was said, and the record's own was not.

    Args:
        note: fields of note.json that may leave.
        known: name -> value, from the target.
    """
    said = {word.casefold() for text in _texts(note) for word in REFERENCE.findall(text)}
    found = []
    for name, value in sorted(known.items()):
        alike = sorted(word for word in said if _form(word) == _form(value.casefold()))
        if alike and value.casefold() not in said:
            found.append(
                f"the caller said {', '.join(alike[:3])}; the record's {name} is {value}: "
                "check which is right"
            )
    return found


def _form(value: str) -> str:
    return re.sub(r"[a-z]", "a", re.sub(r"\d", "0", value))


def _texts(note: Mapping[str, Any]) -> Iterator[str]:
    claims: Sequence[Any] = [note.get("reason"), *note.get("summary", ()), *note.get("facts", ())]
    yield from (claim["text"] for claim in claims if claim)
