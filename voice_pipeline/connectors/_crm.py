"""What connectors to CRMs share: secrets by reference, names, customers found, texts that fit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import StringConstraints

from voice_pipeline.domain import Receipt
from voice_pipeline.errors import Misconfigured, Permanent, PipelineError, Retryable
from voice_pipeline.ports import Match, Parcel

Secret = Callable[[str], str]  # reads a reference; from the composition root
# The name of an object or field in the target. Goes into paths and queries, so nothing else fits.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,79}$")]
Reference = Annotated[str, StringConstraints(pattern=r"^(env|file):.+")]
# What a record is called where nobody says: the kind of request, as words.
TITLE = "Call: {{ note.request_type.label | replace('_', ' ') if note.request_type else 'note' }}"
MARK = "\u2026"  # ends a text that was cut


def revealed(reference: str, secret: Secret | None) -> str:
    """Return what a reference points at.

    Raises:
        Misconfigured: there is nothing, or nobody who could read it.
    """
    if secret is None:
        raise Misconfigured("nothing reads references to secrets here: give the option `secret`")
    return secret(reference)


def cut(text: str, most: int) -> str:
    """Return a text that a field of `most` characters takes, marked where it was cut.

    Counts UTF-16 units, as most targets do: an emoji is two. Never leaves half of one.
    """
    if len(text) * 2 <= most or len(text.encode("utf-16-le", "replace")) <= 2 * most:
        return text
    kept, room = [], most - len(MARK)
    for letter in text[:most]:
        room -= 2 if ord(letter) > 0xFFFF else 1
        if room < 0:
            break
        kept.append(letter)
    return "".join(kept) + MARK


def looked_for(parcel: Parcel, key: str) -> str:
    """Return a value of the call to look for a customer by; empty where it has none to be trusted.

    Long values and control characters, direction marks among them, are nobody's reference.
    """
    value = parcel.metadata.get(key, "").strip()
    return value if len(value) <= 255 and value.isprintable() else ""


def nobody(keys: Iterable[str]) -> Match:
    """Return what there is to say of a call that has nothing to look for a customer by."""
    return Match("none", f"to look for: the call has no usable {' or '.join(keys)}")


def one_of(rows: Sequence[Mapping[str, Any]], how: str, known: Mapping[str, str]) -> Match:
    """Return what the customers found amount to.

    Args:
        rows: the customers, each with an `id` and its fields.
        how: by what they were looked for.
        known: names to fields whose values are to be compared with what was said.
    """
    if len(rows) != 1:
        return Match("several" if rows else "none", how)
    values = {name: rows[0].get(field) for name, field in known.items()}
    kept = {name: str(value) for name, value in values.items() if value not in (None, "")}
    return Match("one", how, str(rows[0]["id"]), kept)


def objects(value: Any) -> list[dict[str, Any]]:
    """Return a list of JSON objects as what it is.

    Raises:
        Retryable: it is something else (code `bad_answer`).
    """
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise Retryable("the server answered JSON of another shape", code="bad_answer")
    return value


def record_id(value: Any) -> str:
    """Return a record's id: a number, or letters and digits.

    Raises:
        Retryable: it is something else (code `bad_answer`).
    """
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text):
        raise Retryable("the answer names no record", code="bad_answer")
    return text


def not_removed(receipt: Receipt, error: PipelineError) -> Permanent:
    """Return the error for a test's record that stays."""
    return Permanent(
        f"the test's record {receipt.external_id} stays: {error.message}", code="not_removed"
    )


def fitting(
    parcel: Parcel, limits: Mapping[str, int], left_out: Sequence[str] = ()
) -> dict[str, str]:
    """Return the mapped fields without some, each cut to the characters that it takes."""
    return {
        name: cut(text, limits[name]) if name in limits else text
        for name, text in parcel.fields.items()
        if name not in left_out
    }
