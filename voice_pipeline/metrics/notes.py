"""Labelled calls and the notes written on them: what the escalation and summary suites share.

Truth turns are redacted before they are analysed, as every call is; what recognition errors cost
shows only where `turns` were heard instead of written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redaction import Redactor
from redaction.jsonl import redact_texts
from voice_pipeline import adapters
from voice_pipeline.domain import CaseNote, RedactedTranscript, RedactedTurn, Word
from voice_pipeline.errors import BadInput
from voice_pipeline.policy.load import load_pack
from voice_pipeline.policy.pack import Pack
from voice_pipeline.ports import Analyst
from voice_pipeline.redactors import build_redactor
from voice_pipeline.spoken.words import comparable
from voice_pipeline.stages.given_turns import name_turns
from voice_pipeline.stages.review import note_for


@dataclass(frozen=True, slots=True)
class Labelled:
    """One call with what a careful reader says of it."""

    id: str
    turns: tuple[Mapping[str, Any], ...]
    flags: frozenset[str]
    request_type: str | None
    outcome: str | None
    facts: tuple[tuple[str, tuple[str, ...]], ...]  # (statement, phrases of which one must appear)
    must_not: tuple[str, ...]
    metadata: Mapping[str, str]
    commitments: tuple[tuple[str, str], ...] = ()  # who promised, until when as spoken
    also: frozenset[str] = frozenset()  # further request types
    summary: str = ""  # by a person, where there is one


@dataclass(frozen=True, slots=True)
class Noted:
    """A labelled call with the note that was written on it."""

    truth: Labelled
    note: CaseNote
    transcript: RedactedTranscript


def read_labelled(data: Path) -> list[Labelled]:
    """Read `truth.jsonl` of a folder, or one such file.

    Raises:
        BadInput: there is none, or a line is no labelled call.
    """
    path = data / "truth.jsonl" if data.is_dir() else data
    if not path.is_file():
        raise BadInput(f"{data.name}: no truth.jsonl there; give a folder that has one")
    found = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.strip():
            try:
                found.append(labelled(json.loads(line)))
            except (ValueError, KeyError, TypeError, AttributeError):
                raise BadInput(
                    f"{path.name}:{number}: is no labelled call; a line has id and turns"
                ) from None
    return found


def labelled(record: Mapping[str, Any]) -> Labelled:
    """Return one line of truth as a record; facts may be plain strings."""
    return Labelled(
        id=str(record["id"]),
        turns=tuple({"speaker": turn["speaker"], **turn} for turn in record["turns"]),
        flags=frozenset(record.get("flags") or ()),
        request_type=record.get("request_type"),
        outcome=record.get("outcome"),
        facts=tuple(_fact(fact) for fact in record.get("facts") or ()),
        must_not=tuple(str(text) for text in record.get("must_not") or ()),
        metadata={str(k): str(v) for k, v in (record.get("metadata") or {}).items()},
        commitments=tuple(
            (str(promise["who"]), str(promise.get("due_text") or ""))
            for promise in record.get("commitments") or ()
        ),
        also=frozenset(record.get("also") or ()),
        summary=str(record.get("summary") or ""),
    )


def _fact(fact: Any) -> tuple[str, tuple[str, ...]]:
    if isinstance(fact, str):
        return fact, ()
    return str(fact["text"]), tuple(str(phrase) for phrase in fact.get("any") or ())


def noted(
    calls: Sequence[Labelled], *, analyst: Analyst | None = None, pack: Pack | None = None
) -> list[Noted]:
    """Redact and analyse labelled calls, with the product's own analyst unless told otherwise."""
    pack = pack or load_pack()
    analyst = analyst or adapters.load("analysts", "offline").build(offer={"pack": pack})
    redactor = build_redactor("balanced")
    found = []
    for call in calls:
        transcript = _redacted(call, redactor)
        found.append(Noted(call, note_for(transcript, call.metadata, analyst, pack), transcript))
    return found


def _redacted(call: Labelled, redactor: Redactor) -> RedactedTranscript:
    texts, _ = redact_texts([(str(t["speaker"]), str(t["text"])) for t in call.turns], redactor)
    spoken = [
        RedactedTurn(
            number,
            str(turn["speaker"]),
            0,
            turn.get("start"),
            turn.get("end"),
            tuple(Word(word, turn.get("start"), turn.get("end")) for word in text.split()),
        )
        for number, (turn, text) in enumerate(zip(call.turns, texts, strict=True))
    ]
    turns, doubts = name_turns(
        spoken, outbound=call.metadata.get("direction", "").lower() == "outbound"
    )
    length = max((turn.end for turn in turns if turn.end is not None), default=0.0)
    return RedactedTranscript(call.id, "en", turns, length, warnings=doubts)


def plain(text: str) -> str:
    """Return the text as words that can be compared, between spaces."""
    return f" {' '.join(form for word in text.split() for form in comparable(word))} "


def states(said: str, phrase: str) -> bool:
    """Tell whether a phrase stands in a text that `plain` made."""
    return plain(phrase) in said
