"""`analyse`: JSON lines of turns to case notes. Whatever comes in is redacted first."""

from __future__ import annotations

import json
import math
import sys
from datetime import date
from pathlib import Path
from typing import Any

from redaction.jsonl import redact_texts
from voice_pipeline.building import build_analyst
from voice_pipeline.codec import plain
from voice_pipeline.config import Part, Settings, load_settings
from voice_pipeline.domain import RedactedTranscript, RedactedTurn, Word
from voice_pipeline.embedding import build_embedder
from voice_pipeline.errors import BadInput
from voice_pipeline.intake import KNOWN_METADATA
from voice_pipeline.knowledge.index import Knowledge
from voice_pipeline.knowledge.library import Library
from voice_pipeline.knowledge.shelf import open_knowledge
from voice_pipeline.note import note_json, note_warnings
from voice_pipeline.opening import has_store, open_store
from voice_pipeline.policy.load import load_pack
from voice_pipeline.policy.pack import Pack
from voice_pipeline.redactors import build_redactor
from voice_pipeline.scrub import Scrubber
from voice_pipeline.stages.draft import answer
from voice_pipeline.stages.given_turns import name_turns
from voice_pipeline.stages.review import note_for


def run(analyst: str, *, config: Path | None, data: Path | None) -> int:
    """Write a note for each line of standard input; return 0, or 3 where a line was bad."""
    settings = load_settings(config, data=data)
    pack = load_pack(settings.policy)
    part = settings.analyst if analyst == settings.analyst.use else Part(use=analyst)
    writer = build_analyst(part, pack, build_embedder(settings.embedder))
    redactor = build_redactor(settings.redaction)
    knowledge = _knowledge(settings, pack)
    code = 0
    for number, line in enumerate(sys.stdin, 1):
        if not line.strip():
            continue
        record: Any = None
        try:
            record = _parsed(line)
            transcript, metadata = _read(record, redactor)
            judged = note_for(transcript, metadata, writer, pack)
            final = answer(transcript, judged, pack=pack, knowledge=knowledge, redactor=redactor)
            note = note_json(final)
            warnings = [*transcript.warnings, *note_warnings(final)]
            for warning in warnings:
                print(f"warning: line {number}: {warning.detail} ({warning.code})", file=sys.stderr)
            line_out = {
                "id": record["id"],
                "note": note,
                "escalations": note["escalations"],
                "route": note["route"],
                "warnings": [plain(warning) for warning in warnings],
            }
        except BadInput as error:
            code = 3
            ident = record.get("id") if isinstance(record, dict) else None
            line_out = {"id": ident, "error": f"line {number}: {error.message}"}
            print(f"error: line {number}: {error}", file=sys.stderr)
        print(json.dumps(line_out, ensure_ascii=False), flush=True)
    return code


def _knowledge(settings: Settings, pack: Pack) -> Knowledge:
    """Return the approved articles of the data folder, where there is one."""
    if not has_store(settings):
        return Knowledge(())
    store = open_store(settings)
    library = Library(store.database)
    articles = library.usable(date.today())
    embedder = build_embedder(settings.embedder) if articles else None
    return open_knowledge(articles, library, pack, embedder)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise BadInput("is not JSON; give one object a line") from None


def _read(record: Any, redactor: Any) -> tuple[RedactedTranscript, dict[str, str]]:
    """Return a line's turns, redacted, and its metadata."""
    if not isinstance(record, dict) or "id" not in record:
        raise BadInput("is no object with an id")
    turns = record.get("turns")
    if not isinstance(turns, list) or not all(
        isinstance(turn, dict) and isinstance(turn.get("text"), str) for turn in turns
    ):
        raise BadInput("needs turns: a list of objects with speaker and text")
    metadata = record.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise BadInput("has metadata that is no object")
    pairs = [(str(turn.get("speaker", "unknown")), turn["text"]) for turn in turns]
    texts, _ = redact_texts(pairs, redactor)
    redacted, doubts = name_turns(
        [_turn(n, turn, text) for n, (turn, text) in enumerate(zip(turns, texts, strict=True))],
        outbound=str(metadata.get("direction", "")).lower() == "outbound",
    )
    ends = [turn.end for turn in redacted if turn.end is not None]
    transcript = RedactedTranscript(
        call=str(record["id"]),
        language="en",
        turns=redacted,
        duration=max(ends, default=0.0),
        warnings=doubts,
    )
    scrub = Scrubber(redactor)
    return transcript, {
        str(key): scrub(str(value), key in KNOWN_METADATA) for key, value in metadata.items()
    }


def _turn(number: int, turn: dict[str, Any], text: str) -> RedactedTurn:
    start, end = _time(turn.get("start")), _time(turn.get("end"))
    words = tuple(Word(word, start, end) for word in text.split())
    return RedactedTurn(number, str(turn.get("speaker", "unknown")), 0, start, end, words)


def _time(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value) if value >= 0 else None
