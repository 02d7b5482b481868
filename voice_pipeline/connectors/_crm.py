"""What connectors to CRMs share: secrets by reference, names of fields, texts that fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

from pydantic import StringConstraints

from voice_pipeline.errors import Misconfigured
from voice_pipeline.ports import Parcel

Secret = Callable[[str], str]  # reads a reference; from the composition root
# The name of an object or field in the target. Goes into paths and queries, so nothing else fits.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,79}$")]
Reference = Annotated[str, StringConstraints(pattern=r"^(env|file):.+")]
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


def fitting(
    parcel: Parcel, limits: Mapping[str, int], only_new: tuple[str, ...] = ()
) -> dict[str, str]:
    """Return the fields that a record gets: cut to fit, and without what is for new ones only.

    Args:
        parcel: with the fields that the mapping made.
        limits: characters that a field takes.
        only_new: fields, a status for example, that people change later: not set a second time.
    """
    return {
        name: cut(text, limits[name]) if name in limits else text
        for name, text in parcel.fields.items()
        if parcel.record is None or name not in only_new
    }
