"""Fills the sections that an organisation's pack asks for, from what the note holds already.

A section picks sentences by phrase, claims by kind, or claims of a kind by phrase; it states
nothing that the call does not, and an empty section is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from voice_pipeline.analysts._quotes import claim_of, is_redacted, without_repeats
from voice_pipeline.analysts._reading import Reader
from voice_pipeline.domain import Claim, Commitment, Section
from voice_pipeline.policy.pack import NoteSection


def sections(
    reader: Reader,
    label: str,
    claims: Mapping[str, Sequence[Claim | Commitment]],
    but: frozenset[int],
) -> tuple[Section, ...]:
    """Return the sections of the pack for a request type.

    Args:
        claims: what the note holds, by the kinds that packs may name.
        but: turns that speak to the machine and are for no section.
    """
    found = []
    for wanted in reader.pack.note.sections:
        if wanted.request_types and label not in wanted.request_types:
            continue
        if wanted.kinds:
            pool = [Claim(c.text, c.evidence) for kind in wanted.kinds for c in claims[kind]]
            chosen = _holding(reader, wanted, pool) if wanted.phrases else pool
        else:
            chosen = list(_said(reader, wanted, but))
        kept = tuple(without_repeats(chosen))[: wanted.most]
        if kept:
            found.append(Section(wanted.id, wanted.title, kept))
    return tuple(found)


def _holding(reader: Reader, wanted: NoteSection, pool: Iterable[Claim]) -> list[Claim]:
    """Keep the claims whose turns hold a phrase of the section."""
    turns = {match.first.turn for match in reader.said(wanted.phrases, wanted.speaker, frozenset())}
    return [claim for claim in pool if any(quote.turn in turns for quote in claim.evidence)]


def _said(reader: Reader, wanted: NoteSection, but: frozenset[int]) -> Iterable[Claim]:
    for match in reader.said(wanted.phrases, wanted.speaker, but):
        quote, inside = reader.call.sentence(match.first, match.last)
        if not is_redacted(inside):
            side = reader.call.side(reader.call.turn(quote.turn))
            yield claim_of(quote, side.title() if side in ("agent", "customer") else "Said")
