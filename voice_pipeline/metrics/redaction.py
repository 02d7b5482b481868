"""How much personal data leaks, per kind, beside vanilla Presidio on the same calls.

Decides by characters: a leak is a letter or digit of a value that no finding covers. Refuses to
state a figure without what it rests on. Definitions are in `score`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redaction.jsonl import redact_texts
from voice_pipeline.errors import BadInput
from voice_pipeline.metrics.report import Figure, Report, bootstrap, proportion, wilson
from voice_pipeline.redactors import build_redactor

FILLERS = frozenset({"uh", "um", "er", "ah", "hmm", "okay", "and"})  # inside a value, no part of it
OPTIONAL = "OPTIONAL"  # a mark: neither a hit nor a false alarm
TYPED_SHARE = 0.5  # of a value's characters that a finding of its label must cover
_MARK = re.compile(r"\{([A-Z_]+)\|([^{}]*)\}")
_WORD = re.compile(r"[^\W_]+")

Place = tuple[int, int, int, str]  # turn, start, end (code points), label


@dataclass(frozen=True, slots=True)
class Truth:
    """One labelled call or utterance."""

    id: str
    turns: tuple[tuple[str, str], ...] = field(repr=False)  # (speaker, text)
    values: tuple[Place, ...]
    optional: tuple[Place, ...] = ()  # neither a hit nor a false alarm


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of one call; figures are sums of these."""

    sensitive: Counter[str]  # characters per label
    leaked: Counter[str]
    spans: Counter[str]
    full: Counter[str]  # spans without a leaked character
    typed: Counter[str]  # spans covered by a finding of their own label
    found: Counter[str]  # findings per label
    right: Counter[str]  # findings that touch a value of their label
    other: int  # characters that are no personal data
    covered: int  # ... that a finding covers
    clean: bool
    flagged: bool


def read_truth(data: Path) -> list[Truth]:
    """Read labelled calls.

    Args:
        data: a folder with `truth.jsonl` or other .jsonl files, or one such file. A line gives
            `turns` (or `text`) with `pii: [{turn,start,end,label}]`, or marks values in the text
            as `{LABEL|value}`; `{OPTIONAL|value}` is what a policy may keep or not.

    Raises:
        BadInput: nothing is there, or a line is no labelled call.
    """
    files = (
        [data]
        if data.is_file()
        else sorted(data.glob("truth.jsonl")) or sorted(data.glob("*.jsonl"))
    )
    if not files:
        raise BadInput(f"{data.name}: no .jsonl file in it; give a folder with truth.jsonl")
    found = []
    for file in files:
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
            if not line.strip():
                continue
            try:
                found.append(_truth(json.loads(line), f"{file.name}:{number}"))
            except (ValueError, KeyError, TypeError, IndexError) as error:
                raise BadInput(
                    f"{file.name}:{number}: no labelled call ({type(error).__name__}); it needs "
                    "id, turns and pii"
                ) from None
    return found


def _truth(raw: dict[str, Any], where: str) -> Truth:
    items = raw.get("turns") or [{"speaker": "", "text": raw["text"]}]
    turns = []
    values: list[Place] = []
    optional: list[Place] = []
    marked = "pii" not in raw
    for index, item in enumerate(items):
        text = item["text"]
        if marked:
            text, places = compile_marks(text)
            for start, end, label in places:
                kind = optional if label == OPTIONAL else values
                kind.append((index, start, end, label))
        turns.append((str(item.get("speaker", "")), text))
    for place in raw.get("pii", ()):
        turn = int(place.get("turn", 0))
        start, end = int(place["start"]), int(place["end"])
        if not 0 <= start < end <= len(turns[turn][1]):
            raise ValueError("offsets outside the text")
        (optional if place.get("optional") else values).append(
            (turn, start, end, str(place["label"]))
        )
    return Truth(str(raw.get("id", where)), tuple(turns), tuple(values), tuple(optional))


def compile_marks(text: str) -> tuple[str, list[tuple[int, int, str]]]:
    """Return text without its `{LABEL|value}` marks, and (start, end, label) of each value."""
    parts, places, position, length = [], [], 0, 0
    for match in _MARK.finditer(text):
        before = text[position : match.start()]
        start = length + len(before)
        parts += [before, match.group(2)]
        length = start + len(match.group(2))
        places.append((start, length, match.group(1)))
        position = match.end()
    parts.append(text[position:])
    return "".join(parts), places


def score(truth: Truth, found: Sequence[Place]) -> Score:
    """Count one call.

    Sensitive characters are the letters and digits of values, fillers left out. A span is full
    when no such character is uncovered, typed when a finding of its label covers half of it.
    Over-redaction is the covered share of letters and digits outside every value.
    """
    empty: Callable[[], Counter[str]] = Counter
    result = Score(
        empty(), empty(), empty(), empty(), empty(), empty(), empty(), 0, 0, False, False
    )
    other = covered_other = 0
    for turn, (_, text) in enumerate(truth.turns):
        covered, labels = bytearray(len(text)), [""] * len(text)
        for place in found:
            if place[0] == turn:
                for at in range(place[1], min(place[2], len(text))):
                    covered[at], labels[at] = 1, place[3]
        inside = bytearray(len(text))
        for _, start, end, label in (v for v in truth.values if v[0] == turn):
            chars = _characters(text, start, end)
            leaked = sum(not covered[i] for i in chars)
            result.sensitive[label] += len(chars)
            result.leaked[label] += leaked
            result.spans[label] += 1
            result.full[label] += leaked == 0
            own = sum(labels[i] == label for i in chars)
            result.typed[label] += own >= TYPED_SHARE * len(chars)
            inside[start:end] = b"\1" * (end - start)
        for _, start, end, _label in (v for v in truth.optional if v[0] == turn):
            inside[start:end] = b"\1" * (end - start)
        plain = [i for i, char in enumerate(text) if char.isalnum() and not inside[i]]
        other += len(plain)
        covered_other += sum(covered[i] for i in plain)
    for turn, start, end, label in found:
        result.found[label] += 1
        result.right[label] += any(
            v[0] == turn and v[1] < end and start < v[2] and v[3] == label
            for v in (*truth.values, *truth.optional)
        )
    clean = not truth.values and not truth.optional
    return Score(
        result.sensitive, result.leaked, result.spans, result.full, result.typed, result.found,
        result.right, other, covered_other, clean, clean and bool(found),
    )  # fmt: skip


def _characters(text: str, start: int, end: int) -> list[int]:
    return [
        at
        for match in _WORD.finditer(text, start, end)
        if match.group().lower() not in FILLERS
        for at in range(match.start(), match.end())
    ]


def ours(profile: str) -> Callable[[Truth], list[Place]]:
    """Return our redactor as a function from a call to findings."""
    redactor = build_redactor(profile)

    def find(truth: Truth) -> list[Place]:
        _, spans = redact_texts(list(truth.turns), redactor)
        return [(s["turn"], s["start"], s["end"], s["label"]) for s in spans]

    return find


def vanilla() -> Callable[[Truth], list[Place]]:
    """Return Presidio with its default recognizers and no model, offline, turn by turn."""
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry

    from redaction.written import OURS, blank_nlp_engine, offline_email_recognizer

    registry = RecognizerRegistry(supported_languages=["en"])
    engine = blank_nlp_engine()
    registry.load_predefined_recognizers(languages=["en"], nlp_engine=engine)
    registry.remove_recognizer("EmailRecognizer")
    registry.add_recognizer(offline_email_recognizer())
    analyzer = AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"])

    def find(truth: Truth) -> list[Place]:
        return [
            (turn, hit.start, hit.end, OURS.get(hit.entity_type, hit.entity_type))
            for turn, (_, text) in enumerate(truth.turns)
            for hit in analyzer.analyze(text, language="en")
        ]

    return find


def evaluate(data: Path, *, profile: str = "balanced", beside: bool = True) -> Report:
    """Measure leak, recall, precision and over-redaction on labelled calls.

    Args:
        data: see `read_truth`.
        profile: precise, balanced or paranoid.
        beside: measure vanilla Presidio on the same calls too.

    Raises:
        BadInput: the data cannot be read.
    """
    calls = read_truth(data)
    systems = {"ours": ours(profile)}
    if beside:
        systems["presidio"] = vanilla()
    figures: list[Figure] = []
    rows: list[dict[str, Any]] = []
    for name, find in systems.items():
        scores = [score(call, find(call)) for call in calls]
        figures += _figures(name, scores)
        rows += [{"system": name, **row} for row in _rows(scores)]
    notes = (f"profile {profile}", "leak: letters and digits of values that no finding covers")
    return Report("redaction", len(calls), tuple(figures), tuple(rows), notes)


def _leak(scores: Sequence[Score]) -> float:
    sensitive = sum(s.sensitive.total() for s in scores)
    return sum(s.leaked.total() for s in scores) / sensitive if sensitive else 0.0


def _figures(name: str, scores: Sequence[Score]) -> Iterator[Figure]:
    sensitive = sum(s.sensitive.total() for s in scores)
    other = sum(s.other for s in scores)
    low, high = bootstrap(scores, _leak, rounds=300)
    yield Figure(f"{name}.leak", _leak(scores), sensitive, "sensitive characters", low, high)
    yield proportion(
        f"{name}.full_spans",
        sum(s.full.total() for s in scores),
        sum(s.spans.total() for s in scores),
        "spans",
    )
    covered = sum(s.covered for s in scores)
    yield Figure(
        f"{name}.over_redaction", covered / other if other else 0.0, other, "other characters"
    )
    yield proportion(
        f"{name}.clean_flagged", sum(s.flagged for s in scores), sum(s.clean for s in scores),
        "records without personal data",
    )  # fmt: skip


def _rows(scores: Sequence[Score]) -> Iterator[dict[str, Any]]:
    labels = sorted({label for s in scores for label in (*s.spans, *s.found)} - {OPTIONAL})
    for label in labels:
        spans = sum(s.spans[label] for s in scores)
        typed = sum(s.typed[label] for s in scores)
        found, right = sum(s.found[label] for s in scores), sum(s.right[label] for s in scores)
        sensitive = sum(s.sensitive[label] for s in scores)
        yield {
            "label": label,
            "spans": spans,
            "full": sum(s.full[label] for s in scores),
            "leak": sum(s.leaked[label] for s in scores) / sensitive if sensitive else None,
            "recall": typed / spans if spans else None,
            "recall_interval": wilson(typed, spans),
            "found": found,
            "precision": right / found if found else None,
            "precision_interval": wilson(right, found),
        }
