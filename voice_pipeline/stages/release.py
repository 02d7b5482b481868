"""Read everything that is about to leave once more, as whoever gets it would read it.

Decides whether a number stands in the note, its escalations and draft, the metadata or the file's
name that the verified transcript does not hold. Refuses nothing that was verified already: a quote
of the redacted text, captions among it, is as fit to leave as that text.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from redaction import Turn, Word, stamps, tokenize
from voice_pipeline.domain import (
    CaseNote,
    Finding,
    Recording,
    RedactedTranscript,
    Verification,
    Warning,
)
from voice_pipeline.note import note_json

# Parts of a note that we write from our own words, hashes and counts.
OURS = frozenset({
    "call_id", "status", "provenance", "measures", "request_type", "version", "sha256", "sources",
})  # fmt: skip
# Numbers of these kinds hold a call wherever they stand in free text.
HARD_LABELS = frozenset({
    "CARD_NUMBER", "CARD_CVV", "CARD_EXPIRY", "SSN", "PHONE", "ACCOUNT_NUMBER", "SORT_CODE",
    "ROUTING_NUMBER", "IBAN", "PIN",
})  # fmt: skip
# Metadata may name the record that an operator files a call under; never these.
NEVER_AN_IDENTIFIER = frozenset({"CARD_NUMBER", "CARD_CVV", "CARD_EXPIRY", "SSN", "IBAN", "PIN"})
_QUOTED = re.compile(r"“([^”]*)”")
_PLACEHOLDER = re.compile(r"\[[A-Z_]+\]")


class Redactor(Protocol):
    """Finds personal data in turns; `redaction.Redactor` is one."""

    def find(self, turns: Sequence[Turn]) -> tuple[Finding, ...]: ...


def release(
    recording: Recording,
    text: RedactedTranscript,
    note: CaseNote,
    verified: Verification,
    *,
    redactor: Redactor,
) -> Verification:
    """Return the verification with the check `payloads`; one that fails holds the call.

    Args:
        recording: its name and metadata leave with the result.
        text: the redacted transcript, verified.
        note: the reviewed note, with escalations and draft.
        verified: what `verify` has found.
        redactor: the active policy's.
    """
    said = " ".join(_plain(turn.text) for turn in text.turns)
    payloads = {
        "note": (list(_strings(note_json(note))), HARD_LABELS),
        "name": ([stamps.without(recording.name)], HARD_LABELS),
        "metadata": (list(_strings(dict(recording.metadata))), NEVER_AN_IDENTIFIER),
    }
    read, reasons = 0, []
    for name, (strings, labels) in payloads.items():
        new = sorted({_unquoted(s, said) for s in strings if s.strip() and _plain(s) not in said})
        read += len(new)
        kinds = sorted({label for s in new for label in _labels(s, redactor) if label in labels})
        if kinds:
            reasons.append(
                Warning("residual_personal_data", f"the {name} still holds: {', '.join(kinds)}")
            )
    return dataclasses.replace(
        verified,
        passed=verified.passed and not reasons,
        reasons=(*verified.reasons, *reasons),
        checks={**verified.checks, "payloads": f"{read} texts read, {len(reasons)} hold numbers"},
    )


def hard_labels(text: str, redactor: Redactor) -> frozenset[str]:
    """Return the kinds of numbers in a text for which `release` would hold a call."""
    return HARD_LABELS & frozenset(_labels(text, redactor))


def _unquoted(text: str, said: str) -> str:
    """Return a text without its quotes of the verified transcript: a letter is full of them."""
    return _QUOTED.sub(lambda q: " “” " if _plain(q[1]) in said else q[0], text)


def _labels(text: str, redactor: Redactor) -> Iterable[str]:
    words = tuple(Word(word, None, None) for word, _, _ in tokenize(_PLACEHOLDER.sub(" ", text)))
    return [finding.label for finding in redactor.find([Turn("unknown", words)])]


def _strings(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value but those that we wrote ourselves."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in OURS:
                yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", text.casefold()))
